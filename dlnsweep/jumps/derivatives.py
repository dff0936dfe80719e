"""Derivatives of a network's outputs in all its parameters, and a loss's metric of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float

from dlnsweep.jumps.flow import Vector
from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.numerics.products import multiply

_AT_ONCE = 64


def jacobian(outputs: Callable[[Vector], Any], vector: Vector) -> Float[Array, "K N"]:
    """Return the derivatives of all outputs, backwards or forwards, whichever is less."""
    values, back = jax.vjp(outputs, vector)
    if values.size <= vector.size:
        units = jnp.eye(values.size, dtype=vector.dtype)
        return lax.map(lambda u: back(u)[0], units, batch_size=min(values.size, _AT_ONCE))
    _, along = jax.linearize(outputs, vector)
    units = jnp.eye(vector.size, dtype=vector.dtype)
    return lax.map(along, units, batch_size=min(vector.size, _AT_ONCE)).T


def root(matrix: Float[Array, "K K"]) -> Float[Array, "K K"]:
    """Return the symmetric root of a matrix without negative eigenvalues."""
    values, vectors = jnp.linalg.eigh(matrix)
    return multiply(vectors * jnp.sqrt(jnp.maximum(values, 0.0)), vectors.T)
