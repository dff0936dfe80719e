"""Runs that have arrived: they are held, however long, and saddles are not taken for it."""

from __future__ import annotations

import numpy as np
import pytest
from two_products import TOLERANCE, motion, walked

from dlnsweep.jumps.arrival import Approach
from dlnsweep.jumps.projection import projected
from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.runtime import numerics

DECAY = 1e-3
# A part of which no more than rounding is seen, and one that grows by a fifth of the decay.
TARGETS = {"fits": (1.0, 0.5), "saddle": (1.0, 1.2e-3)}
SMALL = 1e-11


def _rest(target: float) -> float:
    """Return where both factors of a product rest: u v = s - lambda, u = v, or 0 below lambda."""
    return float(np.sqrt(max(target - DECAY, 0.0)))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_run_at_rest_is_held_for_the_price_of_its_way_there(momentum: float):
    with numerics():
        given = motion(TARGETS["fits"], DECAY, momentum)
        ends = [walked(given, [0.9, 0.3, 0.5, 0.8], [stop])[0] for stop in (10**7, 10**15)]
    shorter, longer = (int(walk.jumps) for walk in ends)
    assert int(ends[1].holds) == 1
    # 10^15 steps are 10^11 time constants; each jump had less than four.
    assert longer <= shorter + 5 < 150
    for walk in ends:
        found = np.asarray(given.rule.parameters(walk.point))
        wanted = [_rest(target) for target in TARGETS["fits"]] * 2
        np.testing.assert_allclose(found, wanted, rtol=100 * TOLERANCE)


def test_a_saddle_is_left_however_little_is_seen_of_what_grows():
    """It grows by e in 5 * 10^4 steps, from 1e-11 to what is seen in 10^6; all else rests."""
    with numerics():
        given = motion(TARGETS["saddle"], DECAY)
        (walk,) = walked(given, [1.0, SMALL, 1.0, SMALL], [10**9])
    found = np.asarray(walk.point)
    np.testing.assert_allclose(found, [_rest(t) for t in TARGETS["saddle"]] * 2, rtol=1e-5)


def _systems(least: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a symmetric matrix and a preconditioner with which it has that least eigenvalue."""
    random = np.random.default_rng(7)
    turn, _ = np.linalg.qr(random.normal(size=(60, 60)))
    root = turn * np.sqrt(10 ** random.uniform(-6, 0, 60)) @ turn.T
    other, _ = np.linalg.qr(random.normal(size=(60, 60)))
    values = np.concatenate([[least], np.zeros(9), np.repeat([1.0, 2.0, 0.7], [30, 10, 10])])
    inverse = np.linalg.inv(root)
    matrix = inverse @ (other * values @ other.T) @ inverse
    return (matrix + matrix.T) / 2, root @ root


@pytest.mark.parametrize("least", [-0.3, -0.01, 0.0, 0.2])
def test_the_least_eigenvalue_is_that_of_the_dense_matrix(least: float):
    matrix, inverse = _systems(least)
    right = np.random.default_rng(8).normal(size=60)
    with numerics():
        found = projected(
            lambda x: jnp.asarray(matrix) @ x, lambda x: jnp.asarray(inverse) @ x,
            jnp.asarray(right), 40,
        )  # fmt: skip
        # Of a linear pull whose Jacobian is minus the matrix but for 1 / h.
        time = jnp.asarray(1e30)
        approach = Approach(
            lambda x: -jnp.asarray(matrix) @ x, lambda x: jnp.asarray(inverse) @ x, time
        )
        _, rests = approach.way_left(jnp.asarray(right))
    # The matrix is made by products with an inverse of condition 1e3: known to 1e-10.
    assert float(found.least) == pytest.approx(min(least, 0.0), abs=1e-6)
    assert bool(rests) == (least >= 0)


def test_a_system_is_solved():
    matrix, inverse = _systems(0.2)
    matrix = matrix + 0.1 * np.linalg.inv(inverse)
    right = matrix @ np.ones(60)
    with numerics():
        found = projected(
            lambda x: jnp.asarray(matrix) @ x, lambda x: jnp.asarray(inverse) @ x,
            jnp.asarray(right), 40,
        )  # fmt: skip
    np.testing.assert_allclose(found.solution, 1.0, rtol=1e-6)
    assert float(found.left) <= 1e-9
