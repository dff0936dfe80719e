"""The flow of a map and the extrapolated steps that follow it, against formulas in NumPy."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest

from dlnsweep.jumps import choice
from dlnsweep.jumps.euler import dearer, euler
from dlnsweep.jumps.extrapolation import jump
from dlnsweep.jumps.fast import carried, fast_part
from dlnsweep.jumps.flow import TERMS, flow, logarithm, weights_of
from dlnsweep.jumps.rules import GradientDescent
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics

# Sums of some tens of numbers of size 1 in float64.
ROUNDING = 1e-13


def test_a_part_that_contracts_decays_by_the_logarithm_as_far_as_it_is_kept():
    rates = np.array([1e-6, 1e-3, 0.1, 0.7, 1.9])
    with numerics():
        for terms in (TERMS, TERMS - 1):
            weights = weights_of(terms)
            velocity, last = flow(lambda x: -jnp.asarray(rates) * x, jnp.ones(5), weights)
            wanted = sum(rates**k / k for k in range(1, terms + 1))
            np.testing.assert_allclose(velocity, -wanted, rtol=ROUNDING)
            np.testing.assert_allclose(
                logarithm(jnp.asarray(rates), weights), wanted, rtol=ROUNDING
            )
            # A difference of four moves that are equal to ten digits.
            np.testing.assert_allclose(np.abs(last), rates**4 / 4, rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("terms", [TERMS, TERMS - 1])
def test_to_follow_the_flow_is_to_take_the_steps(terms: int):
    """x <- x - e x^2, from 1: followed over 1 / e steps, F is wrong by e^terms."""
    errors = []
    with numerics():
        weights = weights_of(terms)
        for rate in (0.04, 0.02):
            x = 1.0
            for _ in range(round(1 / rate)):
                x -= rate * x**2

            def velocity(y: float, rate: float = rate) -> float:
                found, _ = flow(lambda z: -rate * z**2, jnp.asarray([y]), weights)
                return float(found[0])

            y, parts = 1.0, 40
            h = 1 / rate / parts
            for _ in range(parts):
                # Runge and Kutta's method of order 4: wrong by some 1e-10 here.
                a = velocity(y)
                b = velocity(y + h / 2 * a)
                c = velocity(y + h / 2 * b)
                y += h / 6 * (a + 2 * b + 2 * c + velocity(y + h * c))
            errors.append(abs(y - x))
    slope = math.log2(errors[0] / errors[1])
    assert terms - 0.3 < slope < terms + 0.6, errors


def test_a_velocity_is_carried_as_the_fast_part_fades():
    """Against the eigenvectors of the 6 x 6 matrix M^T M, by NumPy."""
    decays, length = np.full(6, 0.03), 7.0
    random = np.random.default_rng(5)
    derivatives, velocity = random.normal(size=(2, 6)), random.normal(size=6)
    with numerics():
        weights = weights_of(TERMS)
        fast = fast_part(jnp.asarray(derivatives), jnp.asarray(decays), weights)
        found = carried(fast, jnp.asarray(length), jnp.asarray(velocity))
    values, vectors = np.linalg.eigh(derivatives.T @ derivatives)
    wanted = np.zeros(6)
    for value, vector in zip(values, vectors.T, strict=True):
        inside = value > 1e-9
        rate = sum((max(value, 0) * inside + 0.03) ** k / k for k in range(1, TERMS + 1))
        part = length / (1 + length * rate) if inside else -math.expm1(-rate * length) / rate
        wanted += part * (vector @ velocity) * vector
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


def test_what_has_a_decay_alone_is_exact_however_long_the_step():
    """An entry that no output depends on, beside others of another decay."""
    derivatives = np.array([[1.0, 0.5, 0.0], [0.2, -1.0, 0.0]])
    decays, start = np.array([0.01, 0.02, 1e-3]), np.array([1.0, 2.0, 1e-9])
    matrix = derivatives.T @ derivatives + np.diag(decays)
    with numerics():
        weights = weights_of(TERMS)
        fast = fast_part(jnp.asarray(derivatives), jnp.asarray(decays), weights)
        velocity, _ = flow(lambda x: -jnp.asarray(matrix) @ x, jnp.asarray(start), weights)
        end = start + np.asarray(carried(fast, jnp.asarray(5e3), velocity))
    # 1 - 1e-3 and four terms of its logarithm: 1e-15 a step, 5e3 steps.
    assert end[2] / start[2] == pytest.approx((1 - 1e-3) ** 5000, rel=1e-10)


def rows(velocity: Any, fast_part_at: Any, start: Any, length: Any, follows: bool) -> Any:
    """Return the rows of a jump of gradient descent."""
    return euler(
        GradientDescent(),
        velocity,
        fast_part_at,
        start,
        velocity(start),
        fast_part_at(start),
        length,
        jnp.asarray(follows),
    )


def test_a_jump_that_follows_the_fast_part_is_as_right_however_fast_it_is():
    """Round a circle, half a unit of angle, held to it by a force of any rate."""
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    ends = {}
    with numerics():
        weights = jnp.asarray([1.0, 0.0, 0.0, 0.0])
        start, length = jnp.asarray([1.0, 0.0]), jnp.asarray(0.5)

        @partial(jax.jit, static_argnums=1)
        def tried(rate: jax.Array, follows: bool) -> Any:
            def velocity(y: Any) -> Any:
                return jnp.asarray(quarter) @ y - rate * (y @ y - 1) * y

            def fast_part_at(y: Any) -> Any:
                return fast_part(jnp.sqrt(2 * rate) * y[None], jnp.zeros(2), weights)

            steps = rows(velocity, fast_part_at, start, length, follows)
            made = jump(steps, lambda d: jnp.linalg.norm(d) / 1e-7, start, length)
            return made.point, made.accepted

        for rate in (1e3, 1e6, 1e9, 1e12):
            for follows in (True, False):
                made = tried(jnp.asarray(rate), follows)
                ends[rate, follows] = [np.asarray(each) for each in made]
    wanted = np.array([math.cos(0.5), math.sin(0.5)])
    for rate in (1e3, 1e6, 1e9, 1e12):
        point, accepted = ends[rate, True]
        assert accepted, rate
        # The estimate is a difference of two rows, and no bound.
        assert np.linalg.norm(point - wanted) < 5e-7
    # One that does not follow is far off, and is known to be.
    assert not any(ends[rate, False][1] for rate in (1e6, 1e9, 1e12))


def test_that_kind_of_jump_is_made_by_which_the_next_record_is_nearer():
    """The other one is tried after eight, then after sixteen, if nothing is known of it."""
    with numerics():
        prices = jnp.asarray([1.0, dearer(24, 7)])
        assert prices[1] == pytest.approx(28 * 36 / (28 * 4 + 24))
        known = choice.begun(jnp.dtype("float64"))
        no, yes = jnp.zeros((), bool), jnp.ones((), bool)
        plain, following = jnp.asarray(choice.PLAIN), jnp.asarray(choice.FOLLOWING)
        tried = []
        for jumps in range(40):
            hoped = known.hoped(prices)
            if hoped[1] > 1:
                # Twice as cheap as what the plain ones are; it fails.
                assert hoped[1] == pytest.approx(2 * 50.0 * prices[1])
                known = known.tried(following, no, jnp.asarray(0.5), no)
                tried.append(jumps)
            else:
                known = known.tried(plain, no, jnp.asarray(50.0), yes)
        assert tried == [8, 8 + 1 + 16]
        assert known.lengths.tolist() == [50.0, 0.5]
        known = known.tried(plain, yes, jnp.asarray(7.0), yes)
        assert known.lengths.tolist() == [50.0, 0.5]
        assert known.landings.tolist() == [7.0, 1.0]


def test_a_jump_finds_its_order_and_says_when_it_has_not():
    """Down 15 (y_2 - y_1^2)^2 + y_2: along the parabola, whose walls are steep."""

    def velocity(y: Any) -> Any:
        apart = y[1] - y[0] ** 2
        return (np if isinstance(y, np.ndarray) else jnp).stack(
            [60 * y[0] * apart, -30 * apart - 1]
        )

    with numerics():
        weights = jnp.asarray([1.0, 0.0, 0.0, 0.0])
        fast = fast_part(30**0.5 * jnp.asarray([[-2.0, 1.0]]), jnp.zeros(2), weights)
        start = jnp.asarray([1.0, 1.0])

        @jax.jit
        def tried(length: jax.Array, allowed: jax.Array) -> tuple[jax.Array, ...]:
            made = jump(
                rows(velocity, lambda y: fast, start, length, follows=False),
                lambda difference: jnp.linalg.norm(difference) / allowed,
                start,
                length,
            )
            return made.point, made.accepted, made.following, made.rows

        wanted = np.array([1.0, 1.0])
        for _ in range(4000):
            # Runge and Kutta's method of order 4, in steps of a hundredth of the fast rate.
            stages = [velocity(wanted)]
            for share in (0.5, 0.5, 1.0):
                stages.append(velocity(wanted + share * 1e-4 * stages[-1]))
            wanted = wanted + 1e-4 / 6 * (stages[0] + 2 * stages[1] + 2 * stages[2] + stages[3])
        taken = []
        for allowed in (1e-2, 1e-4, 1e-6):
            point, accepted, _, gradients = tried(jnp.asarray(0.4), jnp.asarray(allowed))
            assert accepted
            # The estimate is a difference of two rows, and no bound.
            assert np.linalg.norm(point - wanted) < 5 * allowed
            taken.append(int(gradients))
        assert taken[0] < taken[1] < taken[2]
        _, accepted, following, _ = tried(jnp.asarray(40.0), jnp.asarray(1e-12))
        assert not accepted
        assert 0 < following < 40
