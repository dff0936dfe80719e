"""Least l1 solutions against all sets of rows that could be their support, and by their KKT."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dlnsweep.errors import SpecError
from dlnsweep.theory.least_l1 import least_l1


def by_enumeration(y: np.ndarray, x: np.ndarray) -> float:
    """Return the least l1 norm: a vertex, of as many entries as there are samples, has it."""
    m, n = y.shape
    chosen = itertools.combinations(range(m), n)
    return min(float(np.sum(np.abs(np.linalg.solve(y[list(rows)].T, x)))) for rows in chosen)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("m", "n"), [(7, 3), (9, 4), (5, 1)])
def test_no_set_of_rows_has_a_smaller_norm(seed: int, m: int, n: int):
    random = np.random.default_rng(seed)
    y, x = random.standard_normal((m, n)), 1e-9 * random.standard_normal(n)
    found = least_l1(y, x)
    assert found.l1_norm == pytest.approx(by_enumeration(y, x), rel=1e-11)
    assert found.l1_norm == pytest.approx(np.sum(np.abs(found.coefficients)), rel=1e-14)


@pytest.mark.parametrize(("m", "n", "s"), [(30, 20, 3), (30, 20, 20), (200, 60, 8), (40, 6, 4)])
def test_it_certifies_itself(m: int, n: int, s: int):
    """The conditions of Karush, Kuhn and Tucker, with numbers of their own."""
    random = np.random.default_rng(m + n + s)
    y, beta = random.standard_normal((m, n)), np.zeros(m)
    beta[:s] = random.standard_normal(s)
    x = beta @ y
    found = least_l1(y, x)
    own = found.coefficients
    # Rounding of sums of some tens of terms, and of HiGHS's own solution of the dual.
    assert np.allclose(own @ y, x, rtol=0, atol=1e-12)
    assert found.infeasibility < 1e-13
    on, along = own != 0, y @ found.dual
    assert np.allclose(along[on], np.sign(own[on]), rtol=0, atol=1e-9)
    assert found.elsewhere == pytest.approx(np.max(np.abs(along[~on])), rel=1e-12)
    assert found.elsewhere < 1
    assert abs(found.gap) < 1e-9
    least = np.sqrt(np.linalg.eigvalsh(y[on] @ y[on].T)[0])
    assert found.least_singular_value == pytest.approx(least, rel=1e-6)
    assert found.least_singular_value > 1e-3
    # No other solution, which is beta + z with z Y = 0, has a norm as small.
    null = np.linalg.svd(y)[0][:, n:]
    assert np.allclose(null.T @ y, 0, atol=1e-12)
    for _ in range(50):
        other = own + 0.01 * null @ random.standard_normal(m - n)
        assert np.sum(np.abs(other)) > found.l1_norm
    if (m, n, s) in ((30, 20, 3), (200, 60, 8)):
        assert np.allclose(own, beta, rtol=0, atol=1e-12)


def test_it_says_where_there_are_others():
    # Two inputs that are one and the same.
    found = least_l1(np.array([[1.0], [1.0], [0.5]]), np.array([2.0]))
    assert found.l1_norm == 2.0
    assert found.gap == pytest.approx(0, abs=1e-12)
    assert found.elsewhere == pytest.approx(1, rel=1e-12)


def test_what_has_no_answer_is_refused():
    random = np.random.default_rng(0)
    y = random.standard_normal((3, 5))
    with pytest.raises(SpecError, match=r"^least_l1: no predictor of 3 inputs fits all 5 samples;"):
        least_l1(y, random.standard_normal(5))
    with pytest.raises(SpecError, match=r"^least_l1: all targets are 0, which 0 fits"):
        least_l1(y, np.zeros(5))
    with pytest.raises(SpecError, match=r"^least_l1: inputs and targets must be finite"):
        least_l1(y, np.full(5, np.nan))
    # As many samples as inputs, all of which count: nothing is elsewhere.
    square = least_l1(y[:, :3], np.array([1.0, 4, -2]) @ y[:, :3])
    assert np.allclose(square.coefficients, [1, 4, -2], rtol=0, atol=1e-12)
    assert square.elsewhere == 0
    # More samples than inputs that one predictor fits.
    found = least_l1(y, np.array([1.0, 0, -2]) @ y)
    assert np.allclose(found.coefficients, [1, 0, -2], rtol=0, atol=1e-12)
