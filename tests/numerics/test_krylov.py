"""The largest eigenvalues by products alone, against those that a matrix was made of."""

from __future__ import annotations

import numpy as np
import pytest

from dlnsweep.numerics.krylov import TOLERANCES, largest_eigenvalues
from dlnsweep.numerics.lazy import jax
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.runtime import numerics

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


def matrices() -> np.ndarray:
    """Return symmetric matrices of these spectra, in bases that have no pattern."""
    random, made = np.random.default_rng(0), []
    for values in SPECTRA.values():
        basis = np.linalg.qr(random.normal(size=(SIZE, SIZE)))[0]
        matrix = (basis * values) @ basis.T
        made.append((matrix + matrix.T) / 2)
    return np.array(made)


def found_in(stack: np.ndarray, mapped: str, dtype: str) -> np.ndarray:
    def leading(matrix):
        size = matrix.shape[0]
        return largest_eigenvalues(lambda v: multiply(matrix, v), size, COUNT, matrix.dtype)

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
    found = found_in(stack, "vmap", "float64")
    assert np.all(np.isnan(found[0]))
    np.testing.assert_array_equal(found[1], 0.0)
