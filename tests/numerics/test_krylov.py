"""The largest eigenvalues by products alone, against those that a matrix was made of."""

from __future__ import annotations

import numpy as np
import pytest

from dlnsweep.numerics.krylov import TOLERANCES, largest_eigenvalues
from dlnsweep.numerics.lazy import jax
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.three_terms import largest_eigenvalue

SIZE, COUNT = 60, 3
REST = np.linspace(-0.5, 1.0, SIZE)
SPECTRA = {
    "all negative": -np.arange(1.0, SIZE + 1),
    "a pair": np.r_[2.0, 2.0, REST[2:]],
    "three times": np.r_[2.0, 2.0, 2.0, REST[3:]],
    "nearly a pair": np.r_[2.0, 2.0 - 1e-7, REST[2:]],
    "the largest in size is negative": np.r_[-50.0, 2.0, REST[2:]],
    "few that are not zero": np.r_[3.0, -1.0, np.zeros(SIZE - 2)],
    "a continuum": np.linspace(0.0, 1.0, SIZE),
    "zero": np.zeros(SIZE),
    "small": 1e-30 * np.r_[5.0, 4.0, REST[2:]],
}


# Of which the largest alone is asked for: near others by less and less, and of any size.
ALONE = SPECTRA | {
    "a thousandth apart": np.r_[2.0, 2.0 - 1e-3, REST[2:]],
    "a millionth apart": np.r_[2.0, 2.0 - 1e-6, REST[2:]],
    "nearer than the tolerance asks": np.r_[2.0, 2.0 - 1e-9, REST[2:]],
    "within the tolerance": np.r_[2.0, 2.0 - 1e-12, REST[2:]],
    "five near each other": np.r_[2.0 - 1e-9 * np.arange(5), REST[5:]],
    "two clusters": np.r_[1.0 - 1e-8 * np.arange(20), -1.0 - 1e-9 * np.arange(SIZE - 20)],
    "the unit matrix": np.ones(SIZE),
    "its negative": -np.ones(SIZE),
    "one that is not zero, negative": np.r_[-1.0, np.zeros(SIZE - 1)],
    "over twelve decades": np.logspace(-12, 0, SIZE),
    "the largest next to zero": np.r_[-1e-9, -np.linspace(0.5, 1.0, SIZE - 1)],
}


def matrices(spectra: dict[str, np.ndarray] = SPECTRA) -> np.ndarray:
    """Return symmetric matrices of these spectra, in bases that have no pattern."""
    random, made = np.random.default_rng(0), []
    for values in spectra.values():
        basis = np.linalg.qr(random.normal(size=(SIZE, SIZE)))[0]
        matrix = (basis * values) @ basis.T
        made.append((matrix + matrix.T) / 2)
    return np.array(made)


def found_in(stack: np.ndarray, mapped: str, dtype: str, count: int = COUNT) -> np.ndarray:
    def leading(matrix):
        size = matrix.shape[0]
        return largest_eigenvalues(lambda v: multiply(matrix, v), size, count, matrix.dtype)

    with numerics():
        over = jax.vmap(leading) if mapped == "vmap" else lambda s: jax.lax.map(leading, s)
        return np.asarray(jax.jit(over)(stack.astype(dtype)))


def test_they_are_those_that_it_was_made_of(capfd: pytest.CaptureFixture[str]):
    stack = matrices()
    # Beside the others, and last: what is not finite, of which nothing is said.
    stack = np.concatenate([stack, stack[:1]])
    stack[-1, 3, 3] = np.nan
    for mapped, dtype in (("vmap", "float64"), ("map", "float32")):
        found = found_in(stack, mapped, dtype)
        for values, got, name in zip(SPECTRA.values(), found, SPECTRA, strict=False):
            wanted, scale = np.sort(values)[::-1][:COUNT], np.max(np.abs(values))
            # The residual's bound is one on the values; they are far closer.
            assert np.max(np.abs(got - wanted)) <= TOLERANCES[dtype] * scale, name
            assert np.all(np.diff(got) <= 0), name
        assert np.all(np.isnan(found[-1]))
    assert "LAPACK" not in capfd.readouterr().err


def test_the_largest_alone():
    sizes = {"float64": (1e-300, 1e-200, 1e200), "float32": (1e-30, 1e20)}
    stack = matrices(ALONE)
    for dtype, units in sizes.items():
        values = [*ALONE.values(), *(unit * ALONE["a pair"] for unit in units)]
        pair = stack[list(ALONE).index("a pair")]
        every = [*stack, *(unit * pair for unit in units)]
        for bad in (np.nan, np.inf):
            every.append(pair.copy())
            every[-1][5, 5] = bad
        # Side by side those that take few products wait for those that take many.
        for mapped in ("vmap", "map"):
            found = found_in(np.array(every), mapped, dtype, 1)[:, 0]
            for wanted, got in zip(values, found, strict=False):
                close = TOLERANCES[dtype] * np.max(np.abs(wanted))
                assert abs(got - np.max(wanted)) <= close, (wanted, got)
            assert np.all(np.isnan(found[-2:]))


@pytest.mark.parametrize("share", [0.3, 0.03])
def test_a_start_that_is_nearly_all_of_the_second_does_not_hide_the_largest(share: float):
    """Its mixtures with the largest, 1e-9 away, have residuals that the tolerance would allow."""
    values = np.r_[2.0, 2.0 - 1e-9, REST[2:]]
    start = np.r_[share, np.ones(SIZE - 1)]
    with numerics():
        found = largest_eigenvalue(
            lambda v: values * v, jax.numpy.asarray(start / np.linalg.norm(start)), 1e-10, 2000
        )
    assert abs(float(found) - 2.0) <= 1e-10 * 2.0


def test_the_largest_alone_of_few_rows_and_of_some():
    """Where the vectors fill the space, and where rows that only fill up do not count."""

    def leading(matrix, support):
        kept = jax.numpy.where(support[:, None] & support, matrix, 0.0)
        size = len(kept)
        return largest_eigenvalues(lambda v: multiply(kept, v), size, 1, kept.dtype, support)[0]

    random = np.random.default_rng(1)
    for size, rows in ((1, 1), (2, 2), (40, 3), (40, 1)):
        matrix = random.normal(size=(size, size))
        matrix += matrix.T - 30 * np.eye(size)
        support = np.zeros(size, bool)
        support[random.permutation(size)[:rows]] = True
        wanted = np.linalg.eigvalsh(matrix[np.ix_(support, support)])
        assert wanted[-1] < 0, "rows that do not count would show"
        with numerics():
            found = float(jax.jit(leading)(matrix, support))
        assert abs(found - wanted[-1]) <= 1e-13 * np.max(np.abs(wanted))


@pytest.mark.slow
def test_a_small_matrix_has_no_more_than_its_rows():
    found = found_in(np.array([[[2.0, 1.0], [1.0, 2.0]]]), "map", "float64")
    np.testing.assert_allclose(found[0, :2], [3.0, 1.0], rtol=1e-14)
    assert np.isnan(found[0, 2])


@pytest.mark.slow
def test_it_is_not_said_before_the_tolerance_is_met(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dlnsweep.numerics.krylov.MOST_PRODUCTS", 20)
    names = ["a continuum", "zero"]
    stack = matrices()[[list(SPECTRA).index(name) for name in names]]
    for count in (COUNT, 1):
        found = found_in(stack, "vmap", "float64", count)
        assert np.all(np.isnan(found[0]))
        np.testing.assert_array_equal(found[1], 0.0)
