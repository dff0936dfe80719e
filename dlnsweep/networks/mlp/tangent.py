"""The tangent kernel of an mlp, from its layers, without the derivative by each weight.

A weight of layer l acts on sample s by a_l delta_i(s) h_j(s), with h the values that the layer is
given and delta_i the derivative of an output by z_l. So over all weights of a layer

    a_l^2 <delta(s), delta'(s')> <h(s), h(s')>

is its part of the kernel, over its biases <delta(s), delta'(s')>, each times the learning rate over
eta; the kernel is the sum over layers. That takes products of n x n matrices as long as layers are
wide, where the derivatives themselves take some as long as there are weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlnsweep.networks.mlp.activations import ACTIVATIONS
from dlnsweep.networks.mlp.parametrization import scales_of
from dlnsweep.numerics.lazy import jax, jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.mlp.settings import MlpSettings


def tangent_kernel(
    params: dict[str, Any],
    inputs: Float[Array, "m n"],
    settings: MlpSettings,
    rates: dict[str, Any],
) -> Float[Array, "N N"]:
    """Return Theta, N = d n, row (output, sample).

    Args:
        params: All parameters.
        inputs: The samples.
        settings: The settings of [network].
        rates: The learning rate over eta of each leaf; 0 of those that are not trained.
    """
    from dlnsweep.numerics.products import multiply

    weights, phi = params["weights"], ACTIVATIONS[settings.activation]
    sizes = (weights[0].shape[1], *(weight.shape[0] for weight in weights))
    multipliers = [own.multiplier for own in scales_of(settings.parametrization, sizes)]
    given, slopes = [inputs], []
    for layer, (weight, factor) in enumerate(zip(weights[:-1], multipliers, strict=False)):
        before = factor * multiply(weight, given[-1])
        if settings.biases:
            before = before + params["biases"][layer][:, None]
        after, back = jax.vjp(phi, before)
        given.append(after)
        slopes.append(back(jnp.ones_like(before))[0])
    d, n = sizes[-1], inputs.shape[1]
    # Derivatives of output o on sample s by z_l: column o n + s.
    deltas = jnp.repeat(jnp.eye(d, dtype=inputs.dtype), n, axis=1) / settings.richness
    found = jnp.zeros((d, n, d, n), inputs.dtype)
    for layer in reversed(range(len(weights))):
        factor = multipliers[layer]
        within = factor**2 * rates["weights"][layer] * multiply(given[layer].T, given[layer])
        if settings.biases:
            within = within + rates["biases"][layer]
        found = found + multiply(deltas.T, deltas).reshape(found.shape) * within[:, None]
        if layer:
            deltas = factor * multiply(weights[layer].T, deltas)
            deltas = deltas * jnp.tile(slopes[layer - 1], d)
    return found.reshape(d * n, d * n)
