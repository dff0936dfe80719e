"""A network on the span of its samples, as a network in pure functions itself.

Let Y = Q C be the inputs (m, n), Q (m, r) with orthonormal columns, and W (k, m) a parameter that
meets inputs by the product a(m) W y only (`Structure.input_axes`). The gradient of the loss with
respect to W is made of products with Y^T, so its rows lie in the span of Q. With

    W = A Q^T + B,   B Q = 0,

it is dL/dW = (dL/dA) Q^T, and B has no gradient but its decay. If the optimizer's direction is a
combination of gradients and parameters by factors that depend on inner products of them only
(`Optimizer.isotropic`), all that it makes of B is a multiple of B(0): B = b B(0) / ||B(0)||_F. So A
(k, r) and the one number b, trained on C as parameters of one network by the same steps, with the
learning rate and the decay of W, are W: the loss does not know b, and all inner products of W,
||W||^2 = ||A||^2 + b^2 among them, are those of A and b. Nothing but the optimizer had to be known:
it holds for minibatches (columns of C), noise on targets, sharpness-aware steps and clipping, whose
norms are those of gradients. (Claim 1 of arXiv:2502.15522 is the statement for linear networks.)

Fresh inputs Z = Q C' + Q' R', Q' (m, s) orthogonal to Q, are met by

    W Z = [A, b U] [C'; R'],   U = B(0) Q' / ||B(0)||_F   (k, s),

so that they are known by their coordinates, too, and any number of them costs U once.

The network that does this has the parameters

    network   those of the network itself, with A in the places of W
    off       b of each such leaf
    beyond    U of each; none where no fresh inputs are needed; never trained
    inputs    m, never trained

and multiplies inputs by a(m) / a(r), for the network takes A to be a layer of r inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from dlnsweep.contracts.network import Network
from dlnsweep.contracts.structure import Structure
from dlnsweep.numerics.lazy import jax, jnp

Params = dict[str, Any]


def axes_of(network: Network, params: Any) -> list[int]:
    """Return for each leaf of all parameters the axis that meets inputs, or -1."""
    axes = network.structure.input_axes
    assert axes is not None, "the kind offers this way"
    return jax.tree.leaves(axes(params))


def first_leaves(network: Network, tree: Any, params: Any) -> list[Any]:
    """Return the leaves of a tree in the places of those parameters that meet inputs.

    Args:
        network: The network.
        tree: A tree like that of the parameters.
        params: All parameters.
    """
    pairs = zip(jax.tree.leaves(tree), axes_of(network, params), strict=True)
    return [leaf for leaf, axis in pairs if axis >= 0]


def replaced(network: Network, params: Any, change: Callable[[int, Any, int], Any]) -> Any:
    """Return parameters with other leaves in the places of those that meet inputs.

    Args:
        network: The network.
        params: All parameters.
        change: Takes the number of such a leaf, the leaf and its axis; returns another one.
    """
    leaves, structure = jax.tree.flatten(params)
    made, number = [], 0
    for leaf, axis in zip(leaves, axes_of(network, params), strict=True):
        made.append(change(number, leaf, axis) if axis >= 0 else leaf)
        number += axis >= 0
    return jax.tree.unflatten(structure, made)


def on_span(network: Network) -> Network:
    """Return the network of A, b and the other parameters."""
    own = network.structure
    structure = Structure(
        degree=own.degree,
        gated=own.gated,
        hidden=own.hidden and partial(_hidden, network),
        layers=own.layers and partial(_layers, network),
        layer_of=own.layer_of and partial(_layer_of, network),
        tangent_kernel=own.tangent_kernel and partial(_tangent_kernel, network),
    )
    return replace(
        network,
        predict=partial(_predict, network),
        rates=network.rates and partial(_rates, network),
        trained=partial(_trained, network),
        structure=structure,
    )


def left_out(network: Network, params: Params) -> list[Any]:
    """Return how many entries of each leaf W that meets inputs are neither in A nor b: a number.

    Args:
        network: The network itself.
        params: All parameters, of the network on the span.
    """
    own = params["network"]
    pairs = zip(jax.tree.leaves(own), axes_of(network, own), strict=True)
    return [
        leaf.size // leaf.shape[axis] * (params["inputs"] - leaf.shape[axis]) - 1
        for leaf, axis in pairs
        if axis >= 0
    ]


def _given(network: Network, params: Params, inputs: Any, settings: Any) -> tuple[Any, Any]:
    """Return parameters and inputs as the network itself takes them."""
    own, seen = params["network"], inputs.shape[0]

    def widened(number: int, leaf: Any, axis: int) -> Any:
        if leaf.shape[axis] == seen:
            return leaf
        beyond = params["off"][number] * params["beyond"][number]
        return jnp.concatenate([leaf, beyond], axis=axis)

    multiplier = network.structure.input_multiplier
    if multiplier is not None:
        ratio = multiplier(settings, params["inputs"]) / multiplier(settings, seen)
        inputs = jnp.asarray(ratio, inputs.dtype) * inputs
    return replaced(network, own, widened), inputs


def _predict(network: Network, params: Params, inputs: Any, settings: Any) -> Any:
    return network.predict(*_given(network, params, inputs, settings), settings)


def _hidden(network: Network, params: Params, inputs: Any, settings: Any) -> tuple[Any, ...]:
    assert network.structure.hidden is not None
    return network.structure.hidden(*_given(network, params, inputs, settings), settings)


def _tangent_kernel(
    network: Network, params: Params, inputs: Any, settings: Any, rates: Params
) -> Any:
    """Return the kernel on inputs of the span, on which b moves no output."""
    kernel = network.structure.tangent_kernel
    assert kernel is not None
    return kernel(*_given(network, params, inputs, settings), settings, rates["network"])


def _layers(network: Network, params: Params) -> tuple[Any, ...]:
    """Return the layers; the first has one more column, of norm b, and so W's inner products.

    Of a single layer its columns are not those of W.
    """
    own = params["network"]

    def padded(number: int, leaf: Any, axis: int) -> Any:
        shape = tuple(1 if i == axis else size for i, size in enumerate(leaf.shape))
        column = jnp.zeros(shape, leaf.dtype).at[(0,) * leaf.ndim].set(params["off"][number])
        return jnp.concatenate([leaf, column], axis=axis)

    assert network.structure.layers is not None
    return tuple(network.structure.layers(replaced(network, own, padded)))


def _beside(network: Network, params: Params, tree: Any, nothing: Any) -> Params:
    """Return what holds for each leaf, of what holds for those of the network itself."""
    return {
        "network": tree,
        "off": tuple(first_leaves(network, tree, params["network"])),
        "beyond": tuple(nothing for _ in params["beyond"]),
        "inputs": nothing,
    }


def _layer_of(network: Network, params: Params) -> Params:
    assert network.structure.layer_of is not None
    return _beside(network, params, network.structure.layer_of(params["network"]), -1)


def _rates(network: Network, params: Params, settings: Any, optimizer: str) -> Params:
    assert network.rates is not None
    return _beside(network, params, network.rates(params["network"], settings, optimizer), 1.0)


def _trained(network: Network, params: Params, settings: Any) -> Params:
    own = params["network"]
    if network.trained is None:
        return _beside(network, params, jax.tree.map(lambda _: True, own), False)
    return _beside(network, params, network.trained(own, settings), False)
