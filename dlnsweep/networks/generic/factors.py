"""Factors on learning rate and weight decay, one a layer, as each leaf of the parameters has them.

With eta, lambda the numbers of [training] and f_l, k_l the factors of layer l, its leaves move at
eta f_l, beside what network and step rule have to say of it, and decay by lambda k_l: training
makes small

    F(theta) = c L(theta) + (lambda / 2) sum_l k_l ||theta_l||^2.

Leaves of no layer have the factor 1.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Array, Float

from dlnsweep.networks.generic.state import is_none
from dlnsweep.numerics.lazy import jax, jnp


def by_leaf(factors: Float[Array, " L"], layers: Any, params: Any) -> Any:
    """Return the factor of each leaf, in the tree of the parameters that are trained.

    Args:
        factors: One a layer.
        layers: The layer of each leaf of all parameters, from 0; -1 of a leaf of none.
        params: Those that are trained, with None in the places of the others.
    """

    def factor(leaf: Any, layer: int) -> Any:
        if leaf is None:
            return None
        return factors[layer] if layer >= 0 else jnp.ones((), factors.dtype)

    return jax.tree.map(factor, params, layers, is_leaf=is_none)


def decays_of(decay: Float[Array, ""], factors: Any, params: Any) -> Any:
    """Return the weight decay of each leaf.

    Args:
        decay: lambda.
        factors: The factor of each leaf; None where all are 1.
        params: The parameters.
    """
    if factors is None:
        return jax.tree.map(lambda _: decay, params)
    return jax.tree.map(lambda factor: decay * factor.astype(decay.dtype), factors)


def penalty(decay: Float[Array, ""], factors: Any, params: Any) -> Float[Array, ""]:
    """Return (lambda / 2) sum_l k_l ||theta_l||^2; for the arguments see `decays_of`."""
    decays = jax.tree.leaves(decays_of(decay, factors, params))
    squares = [jnp.sum(leaf**2) for leaf in jax.tree.leaves(params)]
    return 0.5 * jnp.sum(jnp.stack(decays) * jnp.stack(squares))
