"""Sums in float32 that keep what rounding takes away.

A step of training adds to a weight what may be less than half an ulp of it: one step's share of a
slow decay, or the gradient that balances it. Rounded away every time, it is lost for good, and a
run ends at a plateau that is not its own. So float32 weights have a second matrix beside them that
holds what has been rounded off so far, and gives it back once it amounts to an ulp (Kahan 1965,
"Further remarks on reducing truncation errors"). The sum of both is good to about 2^-48. In float64
there is none, and nothing is computed for it.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Array, Float

from dlnsweep.numerics.lazy import jax, jnp

Matrices = tuple[Float[Array, "..."], ...]


def nothing_lost(weights: Matrices, *, kept: bool = True) -> Matrices:
    """Return what has been rounded off at step 0; empty where nothing is to be kept.

    Args:
        weights: The weights.
        kept: Whether it is to be kept in float32.
    """
    kept &= weights[0].dtype == jnp.float32
    return tuple(jnp.zeros_like(w) for w in weights) if kept else ()


def add(weight: Any, lost: Any, change: Any) -> tuple[Any, Any]:
    """Return weight + lost + change, rounded, and what that has rounded off."""
    change = change + lost
    total = weight + change
    return total, change - (total - weight)


def add_all(weights: Any, lost: Matrices, changes: Any) -> tuple[Any, Matrices]:
    """Return trees of weights with their changes, and what that has rounded off.

    Args:
        weights: The weights, in any tree.
        lost: What is rounded off so far, leaf by leaf; empty where nothing is kept.
        changes: What is added, of the same structure.
    """
    leaves, structure = jax.tree.flatten(weights)
    if not lost:
        return jax.tree.map(jnp.add, weights, changes), ()
    triples = zip(leaves, lost, jax.tree.leaves(changes), strict=True)
    sums, rests = zip(*(add(*triple) for triple in triples), strict=True)
    return jax.tree.unflatten(structure, sums), rests


def subtract(matrices: list[Any], lost: list[Any], i: int, fold: Any, change: Any) -> None:
    """Make matrix i `fold` times itself less a change, in place of it in its list."""
    kept = fold * matrices[i]
    if not lost:
        matrices[i] = kept - change
    else:
        matrices[i], lost[i] = add(kept, fold * lost[i], -change)
