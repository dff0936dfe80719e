"""Walks of a small network by jumps and steps, and what they are paid for by."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dlnsweep.jumps.choice import FOLLOWING, PLAIN
from dlnsweep.jumps.euler import dearer
from dlnsweep.jumps.extrapolation import ROWS_WANTED
from dlnsweep.jumps.flow import TERMS, weights_of
from dlnsweep.jumps.rules import GradientDescent
from dlnsweep.jumps.walk import Motion, Walk, begun, walked
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics

RATE, DECAY, STEPS = 0.1, 1e-7, 10**9


def motion(decay: float = DECAY) -> Motion:
    """Two outputs, x_0 x_1 and x_0 x_2, of which the decay makes the slow part."""

    def loss(x: Any) -> Any:
        return jnp.sum((x[0] * x[1:] - jnp.array([1.0, 0.5])) ** 2) / 2

    def descent(x: Any) -> Any:
        return -RATE * (jax.grad(loss)(x) + decay * x)

    def advance(walk: Walk, stop: Any) -> Walk:
        def step(_: Any, x: Any) -> Any:
            return x + descent(x)

        point = jax.lax.fori_loop(walk.now, stop, step, walk.point)
        return walk._replace(point=point, now=stop, steps=walk.steps + stop - walk.now)

    root = np.sqrt(RATE)
    return Motion(
        rule=GradientDescent(),
        descent=descent,
        derivatives=lambda x: root * jax.jacobian(lambda y: y[0] * y[1:])(x),
        size=lambda x: jnp.sqrt(2 * loss(x)),
        roots=jnp.full(3, root),
        decays=jnp.full(3, RATE * decay),
        advance=advance,
        dearness=2,
    )


def test_a_jump_that_follows_is_paid_for_by_its_price():
    """Else a call that is to rest after a second of plain jumps takes as many of the dear ones."""
    with numerics():
        given = motion()

        def once(walk: Walk, gradients: Any) -> tuple[Walk, Any]:
            tolerance = jnp.asarray(1e-6)
            return walked(given, walk, jnp.int64(STEPS), tolerance, weights_of(TERMS), gradients)

        go: Callable[..., tuple[Walk, Any]] = jax.jit(once)
        walk, paid = begun(given.rule, jnp.array([0.3, 0.8, -0.2])), {}
        while int(walk.now) < STEPS:
            before, gradients = walk, max(1, int(walk.trial - walk.now))
            walk, left = go(walk, jnp.int64(gradients))
            if int(walk.steps) == int(before.steps):
                paid.setdefault(int(walk.choice.kind), set()).add(gradients - int(left))
    dear = math.ceil(given.least * dearer(2, ROWS_WANTED))
    assert paid == {PLAIN: {given.least}, FOLLOWING: {dear}}
    assert int(walk.jumps) < 100


def test_a_walk_comes_to_steps_that_no_float_is():
    """A jump that lands is as long as what is left, which a float would round up here."""
    stops = [2**58 + k * (2**58 - 1) for k in range(12)] + [2**62 - 1, 2**62]
    with numerics():
        given = motion(1e-25)

        def once(walk: Walk, stop: Any) -> tuple[Walk, Any]:
            tolerance = jnp.asarray(1e-6)
            return walked(given, walk, stop, tolerance, weights_of(TERMS), jnp.int64(10**9))

        go: Callable[..., tuple[Walk, Any]] = jax.jit(once)
        walk = before = begun(given.rule, jnp.array([0.3, 0.8, -0.2]))
        for stop in stops:
            # What is left moves so little that it may be one jump.
            long = walk.choice._replace(landings=jnp.full(2, 2.0**60))
            before, walk = walk, go(walk._replace(choice=long), jnp.int64(stop))[0]
            assert int(walk.now) == stop
            if stops[0] < stop < stops[-1]:
                assert int(walk.steps) == int(before.steps)
    assert int(walk.steps - before.steps) == 1
