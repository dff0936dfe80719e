"""Pytrees of arrays as one vector, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlnsweep.numerics.lazy import jax, jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float


def flat(tree: Any) -> Float[Array, " P"]:
    """Return all entries of all leaves, one leaf after the other."""
    return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(tree)])


def like(vector: Float[Array, " P"], tree: Any) -> Any:
    """Return such entries in the shapes of a pytree's leaves."""
    leaves, structure = jax.tree.flatten(tree)
    made, start = [], 0
    for leaf in leaves:
        made.append(vector[start : start + leaf.size].reshape(leaf.shape))
        start += leaf.size
    return jax.tree.unflatten(structure, made)
