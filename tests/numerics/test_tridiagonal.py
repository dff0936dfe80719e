"""The top of a tridiagonal matrix, against LAPACK and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.tridiagonal import largest_of_tridiagonal

MOST = 50


def dense(diagonal: np.ndarray, beside: np.ndarray) -> np.ndarray:
    return np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)


def top_of(matrices: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return value and last entry of each: side by side, of arrays that more rows have room in."""
    sizes = np.array([len(diagonal) for diagonal, _ in matrices])
    # What lies beyond a matrix must not count.
    rows = [np.full((len(sizes), MOST), 7.0) for _ in range(2)]
    lows, highs = [], []
    for i, (diagonal, beside) in enumerate(matrices):
        rows[0][i, : sizes[i]], rows[1][i, : sizes[i] - 1] = diagonal, beside
        sides = np.r_[0.0, beside] + np.r_[beside, 0.0]
        lows.append(np.max(diagonal))
        highs.append(np.max(diagonal + sides))
    with numerics():
        found = jax.jit(jax.vmap(largest_of_tridiagonal))(
            *map(jnp.asarray, (*rows, sizes, np.array(lows), np.array(highs)))
        )
    return np.stack(list(map(np.asarray, found)), axis=1)


def last_entry(diagonal: np.ndarray, beside: np.ndarray) -> float:
    """Return |s_k| from the spectra of T and of T without its first row.

    s_1 s_k prod_{i > 1} (theta - theta_i) = prod_j b_j, and s_1^2 times the same product is
    prod_i (theta - theta'_i): no difference in them is small.
    """
    values = np.linalg.eigvalsh(dense(diagonal, beside))
    inner = np.linalg.eigvalsh(dense(diagonal[1:], beside[1:]))
    apart = np.prod(values[-1] - values[:-1])
    first = np.sqrt(np.prod(values[-1] - inner) / apart)
    return float(np.prod(beside) / apart / first)


def test_values_are_lapacks_and_last_entries_keep_their_digits():
    random = np.random.default_rng(0)
    sizes = (2, 3, 8, 20, MOST)
    found = [(random.normal(size=k), np.abs(random.normal(size=k - 1))) for k in sizes]
    # Their vectors end in entries down to 1e-30, which orthogonal transformations lose.
    falling = [(-np.arange(float(k)), random.uniform(0.3, 0.6, size=k - 1)) for k in (2, 12, 20)]
    tops = top_of(found + falling)
    for (diagonal, beside), (value, _) in zip(found + falling, tops, strict=True):
        size = np.max(np.abs(diagonal)) + 2 * np.max(beside)
        wanted = np.linalg.eigvalsh(dense(diagonal, beside))[-1]
        assert abs(value - wanted) <= 20 * np.finfo(float).eps * size
    ends = [last_entry(*one) for one in falling]
    np.testing.assert_allclose(tops[len(found) :, 1], ends, rtol=1e-12)
    assert min(ends) < 1e-20


def test_where_the_first_pivot_has_its_pole_at_what_is_tried_first():
    """A chain of equal numbers, whose value is that of its shorter ones nearly; and zeros."""
    k = 40
    flat = np.zeros(k), np.ones(k - 1)
    with numerics():
        shorter = 2 * np.cos(np.pi / k)
        value, last = largest_of_tridiagonal(
            jnp.zeros(MOST), jnp.ones(MOST), jnp.asarray(k), jnp.asarray(shorter), jnp.asarray(2.0)
        )
    assert float(value) == pytest.approx(2 * np.cos(np.pi / (k + 1)), abs=1e-14)
    end = np.sqrt(2 / (k + 1)) * np.sin(np.pi / (k + 1))
    assert float(last) == pytest.approx(end, rel=1e-9)
    alone = np.array([3.0]), np.zeros(0)
    (_, lasts), one, nothing, uncoupled = top_of(
        [flat, alone, (np.zeros(4), np.zeros(3)), (np.array([1.0, 5.0, 2.0]), np.zeros(2))]
    )
    assert lasts == pytest.approx(end, rel=1e-9)
    assert tuple(one) == (3.0, 1.0)
    assert nothing[0] == 0.0
    assert uncoupled[0] == pytest.approx(5.0, abs=1e-14)
