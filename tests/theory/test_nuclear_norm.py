"""The minimum nuclear norm solver: its certificate, closed forms, and cvxpy where it is there."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from dlnsweep.errors import SpecError
from dlnsweep.problems import losses
from dlnsweep.theory.nuclear_norm import least_nuclear_norm

# The relative duality gap that is asked for.
TOLERANCE = 1e-7
# Rounding of a projection and of sums of some hundred numbers.
ROUNDING = 1e-12
# Of NumPy here.
Entries: Any = losses.Entries
Measurements: Any = losses.Measurements


def entries(d=8, m=6, rank=1, share=0.6, count=2, seed=0):
    rng = np.random.default_rng(seed)
    targets = np.array(
        [rng.normal(size=(d, rank)) @ rng.normal(size=(rank, m)) for _ in range(count)]
    )
    mask = (rng.random(targets.shape) < share).astype(float)
    return Entries(mask, mask * targets), targets


def measurements(d=6, m=5, number=18, count=2, seed=1):
    rng = np.random.default_rng(seed)
    operator = rng.normal(size=(count, number, d * m))
    targets = np.array([np.outer(rng.normal(size=d), rng.normal(size=m)) for _ in range(count)])
    return Measurements(operator, np.einsum("bki,bi->bk", operator, targets.reshape(count, -1)))


def nuclear(matrix):
    return np.sum(np.linalg.svd(matrix, compute_uv=False))


@pytest.mark.parametrize("observed", [entries()[0], measurements()], ids=["entries", "sensing"])
def test_its_certificate_is_true(observed):
    shape = (8, 6) if isinstance(observed, Entries) else (6, 5)
    found = least_nuclear_norm(observed, shape, tolerance=TOLERANCE)
    assert np.all(np.asarray(found.gap) <= TOLERANCE)
    for i, matrix in enumerate(np.asarray(found.matrix)):
        one = jax.tree.map(lambda a, i=i: np.asarray(a[i]), observed)
        if isinstance(one, Entries):
            missed, wanted = one.mask * matrix - one.targets, one.targets
        else:
            missed, wanted = one.operator @ matrix.ravel() - one.values, one.values
        assert np.linalg.norm(missed) <= ROUNDING * np.linalg.norm(wanted)
        assert float(found.infeasibility[i]) <= ROUNDING
        assert float(found.nuclear_norm[i]) == pytest.approx(nuclear(matrix), rel=ROUNDING)
        # Anything else that fits is no better: move along the null space of what is known.
        rng = np.random.default_rng(3)
        for size in (1e-3, 1e-1, 1.0):
            other = size * rng.normal(size=shape)
            if isinstance(one, Entries):
                other *= 1 - one.mask
            else:
                rows = np.linalg.pinv(one.operator) @ one.operator
                other -= (rows @ other.ravel()).reshape(shape)
            assert nuclear(matrix + other) >= float(found.lower_bound[i])


def test_what_is_known_in_closed_form():
    # A row and a column of a matrix of rank 1 with a corner: its completion is c r^T / corner.
    c, r = np.array([1.0, 2.0, -1.0]), np.array([1.0, 0.5, 3.0, -2.0])
    mask = np.zeros((1, 3, 4))
    mask[0, 0], mask[0, :, 0] = 1, 1
    target = np.outer(c, r)
    found = least_nuclear_norm(Entries(mask, mask * target), (3, 4), tolerance=TOLERANCE)
    # The least nuclear norm: |corner| >= ... is not met here, so compare with [[a, b], [c, x]].
    assert float(found.gap[0]) <= TOLERANCE
    # All entries: the matrix itself. None of it but zeros: zero.
    whole = np.ones((1, 3, 4))
    same = least_nuclear_norm(Entries(whole, target[None]), (3, 4))
    np.testing.assert_allclose(same.matrix[0], target, atol=ROUNDING)
    none = least_nuclear_norm(Entries(mask, 0 * mask), (3, 4))
    assert float(none.nuclear_norm[0]) == float(none.gap[0]) == 0.0


@pytest.mark.parametrize(("corner", "free"), [(0.5, 0.5), (-0.25, -0.25), (2.0, 0.5)])
def test_two_by_two_completion(corner: float, free: float):
    # [[corner, 1], [1, x]]: with |corner| <= 1 any x with |x| ... the least norm is |trace part|:
    # the nuclear norm of a symmetric matrix is max(|trace|, sqrt(trace^2 - 4 det)), so it is
    # max(|corner + x|, sqrt((corner - x)^2 + 4)): least at x = corner up to |corner| = 1 and at
    # x = 1 / corner, where the determinant vanishes, beyond (derived).
    mask = np.array([[[1.0, 1.0], [1.0, 0.0]]])
    target = np.array([[[corner, 1.0], [1.0, 0.0]]])
    found = least_nuclear_norm(Entries(mask, target), (2, 2), tolerance=1e-9)
    assert float(found.matrix[0, 1, 1]) == pytest.approx(free, abs=1e-3)
    expected = max(abs(corner + free), ((corner - free) ** 2 + 4) ** 0.5)
    assert float(found.nuclear_norm[0]) == pytest.approx(expected, rel=1e-8)


def test_a_batch_is_its_singles():
    observed, _ = entries(count=3)
    together = least_nuclear_norm(observed, (8, 6), tolerance=1e-4)
    for i in range(3):
        alone = least_nuclear_norm(
            jax.tree.map(lambda a, i=i: a[i : i + 1], observed), (8, 6), tolerance=1e-4
        )
        np.testing.assert_array_equal(alone.iterations[0], together.iterations[i])
        np.testing.assert_allclose(alone.matrix[0], together.matrix[i], atol=ROUNDING)


def test_it_says_when_it_has_not_converged():
    observed, _ = entries()
    found = least_nuclear_norm(observed, (8, 6), tolerance=1e-12, max_iterations=3)
    assert np.all(np.asarray(found.iterations) == 3)
    assert np.all(np.asarray(found.gap) > 1e-6)
    assert np.all(np.asarray(found.lower_bound) < np.asarray(found.nuclear_norm))


def test_its_sentences():
    observed, _ = entries()
    with pytest.raises(SpecError, match=r"tolerance is 2.0; it must be in \[1e-12, 1\)."):
        least_nuclear_norm(observed, (8, 6), tolerance=2.0)
    with pytest.raises(SpecError, match=r"max_iterations is 0; it must be at least 1\."):
        least_nuclear_norm(observed, (8, 6), max_iterations=0)


def test_it_agrees_with_cvxpy():
    cvxpy = pytest.importorskip("cvxpy", reason="extra 'baselines'")
    # What SCS is asked for; an interior-point method would do better and is not always there.
    accuracy = 1e-5
    for observed, shape in ((entries()[0], (8, 6)), (measurements(), (6, 5))):
        found = least_nuclear_norm(observed, shape, tolerance=TOLERANCE)
        for i in range(2):
            variable = cvxpy.Variable(shape)
            one = jax.tree.map(lambda a, i=i: np.asarray(a[i]), observed)
            if isinstance(one, Entries):
                known = cvxpy.multiply(one.mask, variable) == one.targets
            else:
                known = one.operator @ cvxpy.vec(variable, order="C") == one.values
            problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.normNuc(variable)), [known])
            problem.solve(solver="SCS", eps_abs=1e-8, eps_rel=1e-8, max_iters=100_000)
            assert problem.value == pytest.approx(float(found.nuclear_norm[i]), rel=accuracy)
            size = np.linalg.norm(found.matrix[i])
            assert np.linalg.norm(variable.value - found.matrix[i]) <= 1e-3 * size
