"""What a neuron of student or teacher makes of w . x, entry by entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlnsweep.numerics.lazy import jax, lax

if TYPE_CHECKING:
    from jaxtyping import Array, Float


def activate(name: str, values: Float[Array, "k b"]) -> Float[Array, "k b"]:
    """Return s of each entry; see `moments.py`."""
    if name == "erf":
        return lax.erf(values / 2**0.5)
    if name == "relu":
        return jax.nn.relu(values)
    return values**2 if name == "quadratic" else values
