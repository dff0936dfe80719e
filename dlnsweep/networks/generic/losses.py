"""Losses of outputs F (d, n) and targets X, the samples as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlnsweep.numerics.lazy import jax, jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float


def squared(outputs: Float[Array, "d n"], targets: Float[Array, "d n"]) -> Float[Array, ""]:
    """Return (1/2) ||F - X||_F^2."""
    return 0.5 * jnp.sum((outputs - targets) ** 2)


def mean_squared(outputs: Float[Array, "d n"], targets: Float[Array, "d n"]) -> Float[Array, ""]:
    """Return (1/2n) ||F - X||_F^2: the mean over samples of half the squared error."""
    return squared(outputs, targets) / outputs.shape[-1]


def logistic(outputs: Float[Array, "d n"], targets: Float[Array, "d n"]) -> Float[Array, ""]:
    """Return (1/n) sum log(1 + exp(-X F)) over all entries, for targets of 1 and -1."""
    return jnp.sum(jax.nn.softplus(-targets * outputs)) / outputs.shape[-1]


def exponential(outputs: Float[Array, "d n"], targets: Float[Array, "d n"]) -> Float[Array, ""]:
    """Return (1/n) sum exp(-X F) over all entries, for targets of 1 and -1."""
    return jnp.sum(jnp.exp(-targets * outputs)) / outputs.shape[-1]


def cross_entropy(outputs: Float[Array, "d n"], targets: Float[Array, "d n"]) -> Float[Array, ""]:
    """Return -(1/n) sum X log softmax(F), softmax over each column; X holds probabilities."""
    return -jnp.sum(targets * jax.nn.log_softmax(outputs, axis=0)) / outputs.shape[-1]
