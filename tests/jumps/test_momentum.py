"""Jumps of heavy ball and Nesterov's steps: their doubled map and its flow, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from dlnsweep.jumps.flow import TERMS, flow, weights_of
from dlnsweep.jumps.momentum import Momentum
from dlnsweep.jumps.rules import STEEPEST
from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.runtime import numerics

# Sums of some tens of numbers of size 1 in float64.
ROUNDING = 1e-12
RULES = [(0.5, False), (0.9, True), (0.99, False)]


def stepped(hessian: np.ndarray, beta: float, nesterov: bool) -> np.ndarray:
    """Return the matrix of a step on (y, u), column by column, as optax writes it."""
    size = len(hessian)
    columns = []
    for unit in np.eye(2 * size):
        y, u = unit[:size], unit[size:]
        trace = hessian @ y + beta * -u
        direction = hessian @ y + beta * trace if nesterov else trace
        columns.append(np.concatenate([y - direction, -trace]))
    return np.array(columns).T


def logarithm(step: np.ndarray) -> np.ndarray:
    """Return the terms of the logarithm of a matrix that a flow keeps."""
    less: np.ndarray = step - np.eye(len(step))
    total, power = np.zeros_like(less), np.eye(len(step))
    for k in range(1, TERMS + 1):
        power = power @ less
        total = total + (-1.0) ** (k + 1) / k * power
    return total


@pytest.mark.parametrize(("beta", "nesterov"), RULES)
def test_a_step_is_optaxs_and_its_flow_the_logarithm(beta: float, nesterov: bool):
    random = np.random.default_rng(3)
    roots = random.normal(size=(4, 4))
    hessian, z = 0.1 * roots @ roots.T, random.normal(size=8)
    step = stepped(hessian, beta, nesterov)
    with numerics():
        rule = Momentum(jnp.asarray(beta), nesterov)
        move = rule.move(lambda y: -jnp.asarray(hessian) @ y)
        moved = move(jnp.asarray(z))
        velocity, left = flow(move, jnp.asarray(z), weights_of(TERMS))
    np.testing.assert_allclose(moved, step @ z - z, atol=ROUNDING)
    np.testing.assert_allclose(velocity, logarithm(step) @ z, atol=ROUNDING)
    last = np.linalg.matrix_power(step - np.eye(8), TERMS) @ z / TERMS
    np.testing.assert_allclose(left, last, atol=ROUNDING)


@pytest.mark.parametrize(("beta", "nesterov"), RULES)
def test_a_velocity_is_carried_as_its_parts_fade(beta: float, nesterov: bool):
    """Each eigenvector of M^T M + D by its own 2 x 2 matrix, with NumPy's eigenvalues."""
    decay, length = 1e-7, 40.0
    random = np.random.default_rng(5)
    # Slow, oscillating and fast parts.
    derivatives = np.diag([0.02, 0.5, 1.1]) @ np.linalg.qr(random.normal(size=(6, 6)))[0][:3]
    velocity = random.normal(size=12)
    with numerics():
        rule = Momentum(jnp.asarray(beta), nesterov)
        fast = rule.fast_part(jnp.asarray(derivatives), jnp.full(6, decay), weights_of(TERMS))
        found = np.asarray(rule.carrier(fast, jnp.asarray(length))(jnp.asarray(velocity)))
        assert rule.holds(fast, jnp.asarray(200.0))
    values, vectors = np.linalg.eigh(derivatives.T @ derivatives + decay * np.eye(6))
    wanted = np.zeros((2, 6))
    for value, vector in zip(values, vectors.T, strict=True):
        matrix = stepped(np.array([[value]]), beta, nesterov) - np.eye(2)
        roots, sides = np.linalg.eig(matrix)
        powers = [(-1) ** (k + 1) / k * roots.astype(complex) ** k for k in range(1, TERMS + 1)]
        logs = np.sum(powers, axis=0)
        parts = length / (1 - length * logs)
        if value < 1e-5:
            slow = int(np.argmin(abs(roots)))
            parts[slow] = np.expm1(length * logs[slow].real) / logs[slow].real
        function = ((sides * parts) @ np.linalg.inv(sides)).real
        wanted += np.outer(function @ (velocity.reshape(2, 6) @ vector), vector)
    # A difference of 40 and 1: eleven digits are left.
    np.testing.assert_allclose(found.reshape(2, 6), wanted, atol=1e-9)


@pytest.mark.parametrize(("beta", "nesterov"), RULES)
@pytest.mark.parametrize("decay", [1e-6, 1e-3])
def test_what_has_a_decay_alone_is_exact_however_long_the_step(
    beta: float, nesterov: bool, decay: float
):
    """From rest on: at 0.99 and 1e-3 it oscillates as it decays."""
    step = stepped(np.array([[decay]]), beta, nesterov)
    start, length = np.linalg.matrix_power(step, 4000) @ [1.0, 0.0], 1000
    with numerics():
        rule, weights = Momentum(jnp.asarray(beta), nesterov), weights_of(TERMS)
        # Another entry, which has a gradient.
        fast = rule.fast_part(jnp.asarray([[0.0, 1.0]]), jnp.asarray([decay, 0.0]), weights)
        z = jnp.asarray([start[0], 0.0, start[1], 0.0])
        move = rule.move(lambda y: -decay * y)
        velocity, _ = flow(move, z, weights)
        end = np.asarray(z + rule.carrier(fast, jnp.asarray(float(length)))(velocity))
    wanted = np.linalg.matrix_power(step, length) @ start
    # What is left out of the logarithm: its fifth term a step; and rounding.
    roots = np.linalg.eigvals(step - np.eye(2))
    missing = float(length * np.min(abs(roots)) ** 5 / 5)
    least = 2 * missing * float(np.linalg.norm(wanted))
    np.testing.assert_allclose(end[[0, 2]], wanted, rtol=2 * missing + 1e-9, atol=least)


def test_what_oscillates_is_known_and_taken_away():
    """Two parts: one that moves slowly, and one that swings."""
    beta, rates, length = 0.98, np.array([1e-5, 0.5]), 150
    step = stepped(np.diag(rates), beta, nesterov=False)
    # Of the slow one all that is fast has faded.
    slow = np.linalg.matrix_power(step, 2000) @ [1.0, 0.0, 0.0, 0.0]
    swinging = np.array([0.0, 1e-3, 0.0, -2e-4])
    with numerics():
        rule, weights = Momentum(jnp.asarray(beta), nesterov=False), weights_of(TERMS)
        fast = rule.fast_part(jnp.asarray(np.diag(rates**0.5)), jnp.zeros(2), weights)
        move = rule.move(lambda y: -jnp.asarray(rates) * y)
        z = jnp.asarray(slow + swinging)
        found = rule.swinging(fast, *flow(move, z, weights))
        assert found is not None
        later = np.asarray(rule.later(fast, found, jnp.asarray(float(length))))
        still = np.asarray(rule.stilled(fast, found, z))
    np.testing.assert_allclose(still, slow, rtol=0, atol=1e-11)
    true = np.linalg.norm(np.linalg.matrix_power(step, length) @ swinging)
    assert true > 1e-5
    # Its phase is another one.
    assert 0.3 < np.linalg.norm(later) / true < 3


@pytest.mark.parametrize(("beta", "nesterov"), RULES)
def test_curvature_that_steps_do_not_bear_is_not_jumped_over(beta: float, nesterov: bool):
    with numerics():
        rule, weights = Momentum(jnp.asarray(beta), nesterov), weights_of(TERMS)
        limit = float(rule.limit)
        for share, holds in ((0.99 * STEEPEST, True), (1.01 * STEEPEST, False)):
            derivatives = jnp.asarray([[(share * limit) ** 0.5, 0.0]])
            fast = rule.fast_part(derivatives, jnp.zeros(2), weights)
            assert bool(rule.holds(fast, jnp.asarray(1e3))) == holds
    for share, stable in ((0.999, True), (1.001, False)):
        step = stepped(np.array([[share * limit]]), beta, nesterov)
        assert (np.max(abs(np.linalg.eigvals(step))) < 1) == stable
