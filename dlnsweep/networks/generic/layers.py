"""Observables of the layers of a network, as its `Structure` gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.observable import observable
from dlnsweep.errors import SpecError
from dlnsweep.numerics.lazy import jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.generic.view import GenericView
    from dlnsweep.settings.sections import RecordSettings


def layers_of(view: GenericView, params: Any, name: str) -> tuple[Float[Array, "_ _"], ...]:
    """Return the layers' matrices at all parameters, for an observable of some name."""
    layers, depth = view.kernel.network.structure.layers, getattr(view.kernel.settings, "depth", 0)
    found = () if layers is None else tuple(layers(params))
    if not found or len(found) != depth:
        raise SpecError(
            f"record.observables names '{name}', which is of networks whose layers are known, as "
            f"an mlp's: this one names {len(found)} for network.depth = {depth}. Leave it out, or "
            "record parameter_distance."
        )
    return found


def hidden_of(view: GenericView, params: Any, name: str) -> tuple[Float[Array, "_ n"], ...]:
    """Return the hidden layers' values on the training samples, for an observable of some name."""
    from dlnsweep.settings.base import with_numbers

    hidden, found = view.kernel.network.structure.hidden, ()
    if hidden is not None:
        settings = with_numbers(view.kernel.settings, view.constants.network)
        found = tuple(hidden(params, view.data.inputs, settings))
    if not found:
        raise SpecError(
            f"record.observables names '{name}', which is of the values of hidden layers; none are "
            "known of this network. Leave it out, or take an mlp of two layers or more."
        )
    return found


def _start(view: GenericView) -> Any:
    """Return all parameters of step 0."""
    from dlnsweep.networks.generic.state import whole

    return whole(view.initial, view.constants)


@observable(
    "layer_rotation",
    r"layer rotation $1-\cos(W_i(t),W_i(0))$",
    "1 - <W_i, W_i(0)> / (||W_i||_F ||W_i(0)||_F) of each layer's matrix, the first layer first "
    "(arXiv:1806.01603); biases are left out, and a layer that is not trained stays at 0",
    size=lambda dims: dims.depth,
    views=("parameters",),
    needs_initial=True,
    basis_free=True,
)
def _layer_rotation(view: GenericView, record: RecordSettings) -> Float[Array, " L"]:
    name = "layer_rotation"
    now, start = (layers_of(view, params, name) for params in (view.whole, _start(view)))
    turned = []
    for pair in zip(now, start, strict=True):
        # Of unit matrices 1 - <A, B> is half of ||A - B||^2, in which small numbers keep digits.
        a, b = (each / jnp.linalg.norm(each) for each in pair)
        turned.append(0.5 * jnp.sum((a - b) ** 2))
    return jnp.stack(turned)


@observable(
    "activation_distance",
    "activation distance from step 0",
    "share of all pairs of a hidden neuron and a training sample in which the neuron is on (its "
    "value is positive) at step 0 and off now, or the other way round: the Hamming distance of the "
    "activation patterns (arXiv:2406.06158), of networks of ReLU",
    views=("parameters",),
    needs_initial=True,
    basis_free=True,
)
def _activation_distance(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    name = "activation_distance"
    if not view.kernel.network.structure.gated(view.kernel.settings):
        raise SpecError(
            f"record.observables names '{name}', which is of neurons that are on or off, as those "
            "of an mlp with activation relu; this network's are not, as far as is known. Leave it "
            "out."
        )
    now, start = (hidden_of(view, params, name) for params in (view.whole, _start(view)))
    changed = [(a > 0) != (b > 0) for a, b in zip(now, start, strict=True)]
    return jnp.mean(jnp.concatenate(changed), dtype=view.dtype)


@observable(
    "principal_alignment",
    r"principal alignment $\|U_k^\top Q\|_F^2\,/\,k$",
    "overlap of what the network can put out with the leading principal directions of the training "
    "targets X: ||U_k^T Q||_F^2 / k with Q an orthonormal basis of the last layer's columns, k "
    "their number, and U_k the left singular vectors of X (not centred) of the k largest singular "
    "values; 1 if one space is the other, k/d on average if they know nothing of each other. Of an "
    "mlp without biases whose width is less than d",
    views=("parameters",),
    basis_free=True,
)
def _principal_alignment(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.spectra import guarded

    name = "principal_alignment"
    last = layers_of(view, view.whole, name)[-1]
    d, k = last.shape
    if k >= d:
        raise SpecError(
            f"record.observables names '{name}', and the last layer's {k} columns can span all {d} "
            "outputs; network.width must be less than problem.signal_dim."
        )
    leading = jnp.linalg.svd(view.data.targets, full_matrices=False)[0][:, :k]
    basis = guarded(lambda matrix: jnp.linalg.qr(matrix)[0], last)
    return jnp.sum(multiply(leading.T, basis) ** 2) / k
