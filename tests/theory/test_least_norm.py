"""How far least-norm solutions are from the truth: against draws in NumPy and the problem's own."""

from __future__ import annotations

from functools import partial
from math import isnan
from typing import Any

import numpy as np
import pytest

from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import purpose_key
from dlnsweep.problems.sparse_regression import SparseRegressionSettings, coefficients, draw
from dlnsweep.theory.least_norm import least_norm_error


def within(squares: np.ndarray, expected: float) -> bool:
    """Return whether a mean is what is expected, to four of its standard errors."""
    return abs(np.mean(squares) - expected) < 4 * np.std(squares) / len(squares) ** 0.5


@pytest.mark.parametrize(("n", "m"), [(1, 4), (20, 30), (9, 10)])
def test_the_mean_over_draws(n: int, m: int):
    random = np.random.default_rng(n)
    # Not along a diagonal, nor sparse: the law is the same of every beta.
    beta = np.arange(1.0, m + 1)
    exact, fresh = [], []
    for _ in range(3000):
        y, test = random.standard_normal((m, n)), random.standard_normal((m, 100))
        apart = (beta @ y) @ np.linalg.solve(y.T @ y, y.T) - beta
        exact.append(np.sum(apart**2) / np.sum(beta**2))
        fresh.append(np.sum((apart @ test) ** 2) / np.sum((beta @ test) ** 2))
    expected = least_norm_error(n, m) ** 2
    assert expected == pytest.approx((m - n) / m, rel=1e-14)
    assert within(np.array(exact), expected)
    # Of 100 fresh inputs it is larger by 2 % at most.
    error = 4 * np.std(fresh) / 3000**0.5
    assert expected - error < np.mean(fresh) < expected * 100 / 98 + error


def test_more_samples_than_inputs_leave_nothing_open():
    assert least_norm_error(5, 5) == 0
    assert isnan(least_norm_error(6, 5))


def test_the_problem_has_this_law():
    settings = SparseRegressionSettings(sparsity=3, measurement_dim=30, num_samples=20)

    def drawn(seed: Any) -> Any:
        key = partial(purpose_key, seed)
        return *draw(settings, key), *coefficients(settings, key)

    with numerics():
        x, y, beta = (np.asarray(a) for a in jax.jit(jax.vmap(drawn))(jnp.arange(400)))
    apart = (x @ np.linalg.pinv(y))[:, 0] - beta
    assert np.allclose(np.linalg.norm(beta, axis=1), 1, rtol=1e-14)
    assert within(np.sum(apart**2, axis=1), least_norm_error(20, 30) ** 2)
