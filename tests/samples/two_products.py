"""Two products of two factors, each with a target of its own: by jumps, and by NumPy's steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlnsweep.jumps.flow import TERMS, weights_of
from dlnsweep.jumps.momentum import Momentum
from dlnsweep.jumps.rules import GradientDescent
from dlnsweep.jumps.walk import Motion, Walk, begun
from dlnsweep.jumps.walk import walked as walked_to
from dlnsweep.numerics.lazy import jax, jnp

RATE, TOLERANCE = 0.1, 1e-9


def motion(targets: tuple[float, float], decay: float, momentum: float = 0.0) -> Motion:
    """Return gradient descent on both products, or momentum, with weight decay."""
    wanted = jnp.array(targets)
    rule = Momentum(jnp.asarray(momentum), False) if momentum else GradientDescent()

    def loss(x: Any) -> Any:
        return jnp.sum((x[:2] * x[2:] - wanted) ** 2) / 2

    def descent(x: Any) -> Any:
        return -RATE * (jax.grad(loss)(x) + decay * x)

    def advance(walk: Walk, stop: Any) -> Walk:
        def step(_: Any, z: Any) -> Any:
            return z + rule.move(descent)(z)

        point = jax.lax.fori_loop(walk.now, stop, step, walk.point)
        return walk._replace(point=point, now=stop, steps=walk.steps + stop - walk.now)

    root = np.sqrt(RATE)
    return Motion(
        rule=rule,
        descent=descent,
        derivatives=lambda x: root * jax.jacobian(lambda y: y[:2] * y[2:])(x),
        size=lambda x: jnp.sqrt(2 * loss(x)),
        roots=jnp.full(4, root),
        decays=jnp.full(4, RATE * decay),
        advance=advance,
        dearness=2,
    )


def walked(given: Motion, begin: Sequence[float], stops: Sequence[int]) -> list[Walk]:
    """Return the walk at some steps, all of which are recorded."""

    @jax.jit
    def go(walk: Walk, stop: Any) -> Walk:
        tolerance, weights = jnp.asarray(TOLERANCE), weights_of(TERMS)
        return walked_to(given, walk, stop, tolerance, weights, jnp.int64(10**7))[0]

    found = [begun(given.rule, jnp.array(begin))]
    for stop in stops:
        found.append(go(found[-1], jnp.int64(stop)))
    return found[1:]


def steps_of(
    targets: tuple[float, float],
    decay: float,
    momentum: float,
    begin: Sequence[float],
    stops: Sequence[int],
) -> list[np.ndarray]:
    """Return the factors at some steps, by heavy ball: u <- b u - eta g, x <- x + u."""
    x, u, found = np.array(begin), np.zeros(4), []
    for step in range(1, max(stops) + 1):
        residual = x[:2] * x[2:] - targets
        gradient = np.concatenate([residual * x[2:], residual * x[:2]]) + decay * x
        u = momentum * u - RATE * gradient
        x = x + u
        if step in stops:
            found.append(x.copy())
    return found
