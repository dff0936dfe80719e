"""The data of problem "subspace" (section 2 of arXiv:2502.15522).

Statistical bounds are 5 standard deviations wide for fixed keys: a correct draw would fail one
with a probability below 6e-7.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import numpy as np
import pytest

from dlnsweep.contracts.problem import PROBLEMS, Problem, register
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import purpose_key
from dlnsweep.problems import subspace
from dlnsweep.settings.base import with_numbers

SIGMAS = 5.0
# Products of orthonormal factors, rounded at 1.1e-16 an entry.
EXACT = 1e-12
SMALL = (9, 6, 4, 30)


def settings(d: int, m: int, s: int, n: int) -> subspace.SubspaceSettings:
    return subspace.SubspaceSettings(signal_dim=d, measurement_dim=m, subspace_dim=s, num_samples=n)


@cache
def compiled(sizes: tuple[int, int, int, int], test: int):
    def draw(seed, condition_number):
        mine = with_numbers(settings(*sizes), {"condition_number": condition_number})
        key = partial(purpose_key, seed)
        operator, basis = subspace._operator_and_basis(mine, key)
        return (operator, basis, *subspace.draw(mine, key), *subspace.draw_test(mine, key, test))

    # Compiled with less care, in half the time.
    return jax.jit(draw, compiler_options={"xla_backend_optimization_level": 0})


def draw(sizes, seed=0, kappa=1.0, test=400):
    """Return A, R, X, Y, test signals and test measurements."""
    with numerics():
        return [np.asarray(a) for a in compiled(sizes, test)(np.int64(seed), kappa)]


def test_operator_has_variance_one_over_m():
    operator, *_ = draw((80, 50, 3, 10))
    count = operator.size
    scaled = operator * np.sqrt(50)
    assert operator.shape == (50, 80)
    assert abs(np.mean(scaled)) < SIGMAS / np.sqrt(count)
    assert abs(np.mean(scaled**2) - 1) < SIGMAS * np.sqrt(2 / count)
    assert abs(np.mean(scaled**4) - 3) < SIGMAS * np.sqrt(96 / count)


@pytest.mark.parametrize("kappa", [1.0, 4.0, 10.0])
def test_signals_lie_in_the_subspace_with_equally_spaced_singular_values(kappa):
    operator, basis, x, y, *_ = draw(SMALL, seed=1, kappa=kappa)
    d, m, s, n = SMALL
    assert x.shape == (d, n)
    assert y.shape == (m, n)
    assert x.dtype == y.dtype == np.float64
    assert np.max(np.abs(basis.T @ basis - np.eye(s))) < EXACT
    assert np.max(np.abs(x - basis @ (basis.T @ x))) < EXACT
    # R has orthonormal columns, so X has the singular values of Z.
    values = np.linalg.svd(x, compute_uv=False)
    expected = [1 - (1 - 1 / kappa) * k / (s - 1) for k in range(s)]
    assert np.max(np.abs(values[:s] - expected)) < EXACT
    assert np.all(values[s:] < EXACT)
    assert np.max(np.abs(y - operator @ x)) < EXACT
    problem: Any = PROBLEMS["subspace"]
    assert np.linalg.matrix_rank(y, tol=1e-9) == s == problem.rank(settings(*SMALL))


def test_fewer_samples_than_dimensions():
    sizes = (9, 6, 4, 2)
    _, _, x, y, *_ = draw(sizes, seed=2, kappa=2.0)
    values = np.linalg.svd(x, compute_uv=False)
    assert np.max(np.abs(values - [1.0, 0.5])) < EXACT
    assert np.linalg.matrix_rank(y, tol=1e-9) == 2 == subspace.rank(settings(*sizes))


def test_singular_vectors_are_random():
    # Coordinates of Z's right singular vectors in dimension n: mean 0 and variance 1/n.
    sizes = (9, 6, 4, 30)
    frames = []
    for seed in range(60):
        _, basis, x, *_ = draw(sizes, seed=seed, kappa=4.0)
        frames.append(basis.T @ x)
    mean = np.mean(np.array(frames), axis=0)
    # Entries of Z have variance at most 1/n; 120 of them are tested, so 6 deviations.
    assert np.max(np.abs(mean)) < 6 / np.sqrt(30 * 60)


def test_test_samples_share_subspace_and_operator_and_are_fresh():
    operator, basis, x, _, test_x, test_y = draw(SMALL, seed=3)
    assert test_x.shape == (9, 400)
    assert np.max(np.abs(test_x - basis @ (basis.T @ test_x))) < EXACT
    assert np.max(np.abs(test_y - operator @ test_x)) < EXACT
    # Mean square norm 1: s independent coordinates of variance 1/s, 400 samples.
    assert abs(np.mean(np.sum(test_x**2, axis=0)) - 1) < SIGMAS * np.sqrt(2 / 4 / 400)
    coordinates = basis.T @ test_x[:, :30]
    correlation = np.corrcoef(coordinates.ravel(), (basis.T @ x).ravel())[0, 1]
    assert abs(correlation) < SIGMAS / np.sqrt(120)


def test_draws_are_paired_across_settings():
    base = draw(SMALL, seed=4)
    other = draw(SMALL, seed=4, kappa=7.0)
    # The condition number changes Z's singular values alone.
    assert np.array_equal(base[0], other[0])
    assert np.array_equal(base[1], other[1])
    assert not np.array_equal(base[2], other[2])
    # The number of samples changes neither the operator nor the subspace.
    more = draw((9, 6, 4, 2), seed=4)
    assert np.array_equal(base[0], more[0])
    assert np.array_equal(base[1], more[1])
    # A draw is repeated exactly; another seed shares nothing.
    again, new = draw(SMALL, seed=4), draw(SMALL, seed=5)
    for a, b, c in zip(base, again, new, strict=True):
        assert np.array_equal(a, b)
        assert not np.any(a == c)


def test_operator_subspace_and_singular_vectors_are_independent():
    # Same-shaped streams of one seed: correlations of n pairs have deviation 1 / sqrt(n).
    d = 40
    operator, basis, x, *_ = draw((d, d, d, d), seed=6)
    parts = [operator.ravel(), basis.ravel(), (basis.T @ x).ravel()]
    for i in range(3):
        for j in range(i):
            assert abs(np.corrcoef(parts[i], parts[j])[0, 1]) < SIGMAS / d


def test_a_kind_is_registered_once():
    problem = PROBLEMS["subspace"]
    sentence = "^a problem of kind 'subspace' is registered already$"
    with pytest.raises(ValueError, match=sentence):
        register(
            Problem("subspace", problem.settings, problem.draw, problem.draw_test, problem.rank)
        )
