"""What a neuron of a teacher, or of a student of its kind, makes of its input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlnsweep.numerics.lazy import jax, jnp, lax

if TYPE_CHECKING:
    from jaxtyping import Array, Float


def activated(name: str, values: Float[Array, "K n"]) -> Float[Array, "K n"]:
    """Return s(z) of each entry z.

    Args:
        name: "linear", "quadratic" (z^2), "erf" (of z / sqrt 2), "tanh", or "relu", whose
            derivative at 0 is 0.
        values: z.
    """
    if name == "tanh":
        return jnp.tanh(values)
    if name == "erf":
        return lax.erf(values / 2**0.5)
    if name == "relu":
        return jax.nn.relu(values)
    return values**2 if name == "quadratic" else values
