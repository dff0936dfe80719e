"""Lists of operations on small matrices, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from dlnsweep.simd.memory import empty
from dlnsweep.simd.products import VECTOR, Kind, operation, run

# Sums of at most some tens of numbers of size 1, in another order.
ROUNDING = 1e-13


def matrix(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Random numbers in rows of whole vectors, zeros beyond."""
    width = VECTOR * -(-columns // VECTOR)
    made = empty(8 * rows * width).view(np.float64).reshape(rows, width)
    made[:, :columns] = rng.normal(size=(rows, columns))
    return made


def table(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.int64)


def sides(**matrices: np.ndarray) -> dict[str, int]:
    found = {}
    for name, own in matrices.items():
        found |= {name: own.ctypes.data, f"{name}_row": own.shape[1]}
    return found


# All blocks of rows and of columns that are under way together, and what they leave.
SIZES = [(1, 1, 1), (2, 3, 8), (4, 9, 40), (5, 17, 71), (11, 30, 33), (15, 6, 121), (23, 12, 96)]


@pytest.mark.parametrize(("rows", "n", "m"), SIZES)
def test_products_and_updates(rows: int, n: int, m: int):
    rng = np.random.default_rng(rows)
    a, b, c = matrix(rng, rows, n), matrix(rng, n, m), matrix(rng, rows, m)
    share = np.array([0.3])
    expected = a[:, :n] @ b
    updated = share[0] * c + expected
    own = {"rows": rows, "n": n, "m": b.shape[1], "a_column": 1, **sides(a=a, b=b, c=c)}
    run(table(operation(Kind.UPDATE, s=share.ctypes.data, **own)), 1)
    np.testing.assert_allclose(c, updated, atol=ROUNDING)
    run(table(operation(Kind.PRODUCT, **own)), 1)
    np.testing.assert_allclose(c, expected, atol=ROUNDING)
    # What is beyond the columns is zero, as it was.
    assert not c[:, m:].any()
    # Of a transposed one, which lies by columns.
    turned = matrix(rng, n, rows)
    own |= {"a": turned.ctypes.data, "a_row": 1, "a_column": turned.shape[1]}
    run(table(operation(Kind.PRODUCT, **own)), 1)
    np.testing.assert_allclose(c, turned[:, :rows].T @ b, atol=ROUNDING)


@pytest.mark.parametrize(("rows", "n", "m"), SIZES)
def test_scalar_products_and_what_is_done_number_by_number(rows: int, n: int, m: int):
    rng = np.random.default_rng(m)
    a, b, c = matrix(rng, rows, n), matrix(rng, m, n), matrix(rng, rows, m)
    weights = rng.normal(size=m)
    own = {"rows": rows, "n": a.shape[1], "m": m, "s": weights.ctypes.data}
    run(table(operation(Kind.DOTS, **own, **sides(a=a, b=b, c=c))), 1)
    np.testing.assert_allclose(c[:, :m], a @ b.T * weights, atol=ROUNDING)

    c, width = matrix(rng, rows, n), a.shape[1]
    own = {"rows": rows, "m": width, **sides(a=a, c=c)}
    factors = rng.normal(size=max(rows, width))
    run(table(operation(Kind.SCALE, s=factors.ctypes.data, **own)), 1)
    np.testing.assert_array_equal(c, factors[0] * a)
    run(table(operation(Kind.SCALE, s=factors.ctypes.data, n=1, **own)), 1)
    np.testing.assert_array_equal(c, factors[:rows, None] * a)
    run(table(operation(Kind.ACROSS, s=factors.ctypes.data, **own)), 1)
    np.testing.assert_array_equal(c, factors[:width] * a)

    other, square = matrix(rng, rows, n), np.zeros(1)
    rest = {**sides(b=other), "a_column": square.ctypes.data}
    run(table(operation(Kind.RESIDUAL, s=factors.ctypes.data, **own, **rest)), 1)
    np.testing.assert_array_equal(c, factors[0] * (a - other))
    assert abs(square[0] / np.sum((a - other) ** 2) - 1) <= ROUNDING

    # A sum with another matrix, whose columns have factors of their own, and with its transpose.
    across, turned = rng.normal(size=width), matrix(rng, width, rows)
    rest = {**sides(b=other), "a_column": across.ctypes.data}
    run(table(operation(Kind.MIXED, s=factors.ctypes.data, **own, **rest)), 1)
    np.testing.assert_allclose(c, factors[0] * a + across * other, atol=ROUNDING)
    rest |= sides(b=turned)
    run(table(operation(Kind.TURNED, s=factors.ctypes.data, **own, **rest)), 1)
    expected = factors[0] * a + across * turned[:, :rows].T
    np.testing.assert_allclose(c, expected, atol=ROUNDING)


def test_a_round_does_what_is_to_be_done_further_on():
    """Powers of a matrix, one after the other, each twice as large by then."""
    rng = np.random.default_rng(0)
    size, rounds = 5, 4
    square = matrix(rng, size, size)
    powers = matrix(rng, (rounds + 1) * size, size)
    two = np.array([2.0])
    block = 8 * size * powers.shape[1]
    here, after = powers.ctypes.data, powers.ctypes.data + block
    own = {"rows": size, "n": size, "m": square.shape[1], "a_row": powers.shape[1], "a_column": 1}
    own |= {**sides(b=square), "c_row": powers.shape[1]}
    scaled = {"rows": size, "m": powers.shape[1], "a_row": powers.shape[1], "c_row": own["c_row"]}
    run(
        table(
            operation(Kind.PRODUCT, a=(here, block), c=(after, block), **own),
            operation(Kind.SCALE, a=(after, block), c=(after, block), s=two.ctypes.data, **scaled),
        ),
        rounds,
    )
    expected = powers[:size, :size]
    for k in range(1, rounds + 1):
        expected = 2 * expected @ square[:, :size]
        found = powers[k * size : (k + 1) * size, :size]
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
