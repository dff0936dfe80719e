"""Products of weight matrices, and what a gradient of their product is for each of them."""

from __future__ import annotations

import itertools

from jaxtyping import Array, Float

from dlnsweep.numerics.products import multiply

Weights = tuple[Float[Array, "..."], ...]


def partial_products(weights: Weights) -> list[Float[Array, "..."]]:
    """Return W_{i:1} for i = 1 to L."""
    products = [weights[0]]
    for weight in weights[1:]:
        products.append(multiply(weight, products[-1]))
    return products


def layer_gradients(
    weights: Weights, products: list[Float[Array, "..."]], gradient: Float[Array, "d m"]
) -> Weights:
    """Return W_{L:i+1}^T G W_{i-1:1}^T for i = 1 to L.

    Args:
        weights: W_1, ..., W_L.
        products: W_{i:1} for i = 1 to L.
        gradient: G.
    """
    found = []
    for i in reversed(range(1, len(weights))):
        found.append(multiply(gradient, products[i - 1].T))
        gradient = multiply(weights[i].T, gradient)
    return (gradient, *reversed(found))


def transposed(weights: Weights) -> Weights:
    """Return W_L^T, ..., W_1^T, whose product is W^T."""
    return tuple(weight.T for weight in reversed(weights))


def gaps_of(weights: Weights) -> list[Float[Array, "..."]]:
    """Return W_{l+1}^T W_{l+1} - W_l W_l^T of each pair of neighbouring layers."""
    return [
        multiply(upper.T, upper) - multiply(lower, lower.T)
        for lower, upper in itertools.pairwise(weights)
    ]
