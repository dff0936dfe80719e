"""The largest curvature, by power iterations: what gradient descent takes away at most."""

from __future__ import annotations

from typing import Any

from jaxtyping import Array, Float

from dlnsweep.jumps.flow import Move, Vector
from dlnsweep.numerics.lazy import jax, jnp, lax

_POWER_STEPS = 4


def steepest_of(
    pull: Move, point: Vector, before: Vector, largest: Vector
) -> tuple[Float[Array, ""], Vector]:
    """Return what a step takes away at most, from below, and along which direction.

    Args:
        pull: f, of y.
        point: y.
        before: The direction as last seen.
        largest: That of the tangent kernel.
    """
    along = jax.linearize(pull, point)[1]

    def once(_: Any, state: tuple[Array, Vector]) -> tuple[Array, Vector]:
        vector = state[1]
        image = -along(vector)
        norm = jnp.linalg.norm(image)
        return jnp.sum(vector * image), image / jnp.where(norm > 0, norm, 1.0)

    start = before + largest * jnp.where(jnp.sum(before * largest) < 0, -1.0, 1.0)
    norm = jnp.linalg.norm(start)
    first = jnp.zeros((), point.dtype), start / jnp.where(norm > 0, norm, 1.0)
    return lax.fori_loop(0, _POWER_STEPS, once, first)
