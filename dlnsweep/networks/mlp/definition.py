"""What "mlp" is, in pure functions.

With L the depth, phi the activation, a_l the parametrization's multipliers and gamma the richness,

    h_0 = y,   z_l = a_l W_l h_{l-1} + b_l,   h_l = phi(z_l),   f(y) = z_L / gamma

and of a centred output f less what it is at the initial weights, which are kept beside the others
and never trained. Of a symmetrised output only the last hidden layer is doubled: its second d_w / 2
rows of W_{L-1} begin as its first, and the columns of W_L that read them as the opposite of the
others', so that z_L = 0 at the start; both halves are trained, each by itself, and entries keep the
variance of a layer of d_w neurons.

Richness (Chizat, Oyallon and Bach 2019, arXiv:1812.07956, with alpha = 1 / gamma): the learning
rate's gamma^2 makes the first change of f that of gamma = 1 times a factor that does not depend on
gamma, as does a plain gamma where a step's size does not depend on the gradient's.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.network import Network
from dlnsweep.contracts.structure import Structure
from dlnsweep.networks.layered.initializers import INITIALIZERS, Shape
from dlnsweep.networks.mlp.activations import ACTIVATIONS
from dlnsweep.networks.mlp.parametrization import NORMALIZED, scales_of
from dlnsweep.networks.mlp.settings import UNIT_ROWS, MlpSettings
from dlnsweep.networks.mlp.tangent import tangent_kernel
from dlnsweep.numerics.lazy import jax, jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.generic.state import Samples
    from dlnsweep.numerics.streams import Keys

    Weights = tuple[Float[Array, "..."], ...]


def layer_sizes(settings: MlpSettings, inputs: int, outputs: int) -> tuple[int, ...]:
    """Return the layer sizes (m, d_w, ..., d_w, d)."""
    return (inputs, *(settings.width,) * (settings.depth - 1), outputs)


def init(settings: MlpSettings, data: Samples, key: Keys) -> dict[str, Any]:
    """Draw the weights; biases are zero."""
    dims = layer_sizes(settings, data.inputs.shape[0], data.targets.shape[0])
    weights = _drawn(settings, dims, key)
    if settings.output == "symmetrised":
        half = settings.width // 2
        rows, readouts = weights[-2][:half], weights[-1][:, :half]
        doubled = jnp.concatenate([rows, rows]), jnp.concatenate([readouts, -readouts], axis=1)
        weights = (*weights[:-2], *doubled)
    params: dict[str, Any] = {"weights": weights}
    if settings.biases:
        params["biases"] = tuple(jnp.zeros(size) for size in dims[1:])
    if settings.output == "centred":
        params["initial"] = dict(params)
    return params


def _drawn(settings: MlpSettings, dims: tuple[int, ...], key: Keys) -> Weights:
    scale = settings.layer_init_scale
    if settings.initializer == UNIT_ROWS:
        return _unit_rows(dims, scale, settings.imbalance, key)
    drawn = INITIALIZERS[settings.initializer].draw(Shape(dims, settings.width), key)
    scales = scales_of(settings.parametrization, dims)
    return tuple(scale * own.deviation * w for own, w in zip(scales, drawn, strict=True))


def _unit_rows(dims: tuple[int, ...], scale: Any, imbalance: Any, key: Keys) -> Weights:
    """Draw rows of norm s alpha, uniform on the sphere, and readouts of size s / alpha.

    alpha solves s^2 / alpha^2 - s^2 alpha^2 = delta: alpha^2 = (sqrt(4 + q^2) - q) / 2 with
    q = delta / s^2, of which the second root's product with it is -1 (Kunin et al. 2024,
    arXiv:2406.06158, whose code has it so).
    """
    from dlnsweep.numerics.streams import gaussian

    inputs, width, outputs = dims
    ratio = imbalance / scale**2
    # The difference cancels where delta is positive: there the other root is taken, inverted.
    larger = (jnp.sqrt(4 + ratio**2) + jnp.abs(ratio)) / 2
    alpha = jnp.sqrt(jnp.where(ratio > 0, 1 / larger, larger))
    rows = gaussian(key("weights/1"), width, inputs)
    rows = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
    signs = jnp.where(gaussian(key("weights/2"), outputs, width) < 0, -1.0, 1.0)
    return scale * alpha * rows, scale / alpha * signs


def predict(
    params: dict[str, Any], inputs: Float[Array, "m n"], settings: MlpSettings
) -> Float[Array, "d n"]:
    """Return f of each column of the inputs."""
    from dlnsweep.numerics.products import rows_pay

    by_rows = settings.depth == 2 and rows_pay(params["weights"][0].shape, inputs.shape[1])
    outputs = (_two_layers_by_rows if by_rows else _outputs)(params, inputs, settings)
    if settings.output == "centred":
        outputs = outputs - _outputs(params["initial"], inputs, settings)
    return outputs / settings.richness


def _outputs(
    params: dict[str, Any], inputs: Float[Array, "m n"], settings: MlpSettings
) -> Float[Array, "d n"]:
    return _layers(params, inputs, settings)[-1]


def _two_layers_by_rows(
    params: dict[str, Any], inputs: Float[Array, "m n"], settings: MlpSettings
) -> Float[Array, "d n"]:
    """Return z_2, made from rows of samples."""
    from dlnsweep.numerics.products import multiply_rows, read_rows

    scales = scales_of(settings.parametrization, _sizes(params["weights"]))
    biases = params["biases"] if settings.biases else (None, None)
    values: Any = None
    for layer, (weight, own, bias) in enumerate(
        zip(params["weights"], scales, biases, strict=True)
    ):
        if layer:
            values = read_rows(weight, ACTIVATIONS[settings.activation](values))
        else:
            values = multiply_rows(weight, inputs)
        if own.multiplier != 1:
            values = own.multiplier * values
        if bias is not None:
            values = values + (bias[:, None] if layer else bias)
    return values


def _layers(
    params: dict[str, Any], inputs: Float[Array, "m n"], settings: MlpSettings
) -> list[Float[Array, "_ n"]]:
    """Return h_1, ..., h_{L-1} and z_L."""
    from dlnsweep.numerics.products import multiply

    weights, phi = params["weights"], ACTIVATIONS[settings.activation]
    scales = scales_of(settings.parametrization, _sizes(weights))
    values, found = inputs, []
    for layer, (weight, own) in enumerate(zip(weights, scales, strict=True)):
        if layer:
            values = phi(values)
            found.append(values)
        values = multiply(weight, values)
        if own.multiplier != 1:
            values = own.multiplier * values
        if settings.biases:
            values = values + params["biases"][layer][:, None]
    return [*found, values]


def _sizes(weights: Weights) -> tuple[int, ...]:
    return (weights[0].shape[1], *(weight.shape[0] for weight in weights))


def rates(params: dict[str, Any], settings: MlpSettings, optimizer: str) -> dict[str, Any]:
    """Return the factors on the learning rate: the parametrization's, times the richness's."""
    power = 1 if optimizer in NORMALIZED else 2
    rich = settings.richness**power
    scales = scales_of(settings.parametrization, _sizes(params["weights"]), optimizer)
    found: dict[str, Any] = {"weights": tuple(rich * own.rate for own in scales)}
    if settings.biases:
        found["biases"] = tuple(rich * own.bias_rate for own in scales)
    if "initial" in params:
        found["initial"] = jax.tree.map(lambda _: 1.0, params["initial"])
    return found


def trained(params: dict[str, Any], settings: MlpSettings) -> dict[str, Any]:
    """Return which layers are trained; what a centred output keeps of the start never is."""
    last = settings.depth - 1
    chosen = {"all": range(last + 1), "first": (0,), "last": (last,)}[settings.trained_layers]
    uses = tuple(layer in chosen for layer in range(last + 1))
    found: dict[str, Any] = {name: uses for name in params if name != "initial"}
    if "initial" in params:
        found["initial"] = jax.tree.map(lambda _: False, params["initial"])
    return found


def layer_of(params: dict[str, Any]) -> dict[str, Any]:
    """Return the layer of each matrix, and of the biases beside it; what is kept is of none."""
    found: dict[str, Any] = {
        name: tuple(range(len(leaves))) for name, leaves in params.items() if name != "initial"
    }
    if "initial" in params:
        found["initial"] = jax.tree.map(lambda _: -1, params["initial"])
    return found


def input_axes(params: dict[str, Any]) -> dict[str, Any]:
    """Return where W_1 meets inputs, the one that is trained and the one that is kept."""
    found = jax.tree.map(lambda _: -1, params)
    for weights in (found, *([found["initial"]] if "initial" in found else [])):
        weights["weights"] = (1, *weights["weights"][1:])
    return found


def input_multiplier(settings: MlpSettings, inputs: Any) -> Any:
    """Return a_1, by the number of inputs, which may be a tracer."""
    dims: Any = layer_sizes(settings, inputs, 1)
    return scales_of(settings.parametrization, dims)[0].multiplier


def input_law(settings: MlpSettings, inputs: Any) -> tuple[Any, int] | None:
    """Return the standard deviation of W_1's entries, and how often each row of it comes."""
    if settings.initializer != "fan_in_normal":
        return None
    dims: Any = layer_sizes(settings, inputs, 1)
    own = scales_of(settings.parametrization, dims)[0]
    twice = settings.output == "symmetrised" and settings.depth == 2
    return settings.layer_init_scale * own.deviation / inputs**0.5, 2 if twice else 1


def multiplications(settings: MlpSettings, inputs: int, outputs: int) -> int:
    """Return the products that a prediction takes, those of the initial weights' included."""
    dims = layer_sizes(settings, inputs, outputs)
    products = sum(a * b for a, b in itertools.pairwise(dims))
    # They are not differentiated: a third of the work.
    return products * 4 // 3 if settings.output == "centred" else products


def degree(settings: MlpSettings) -> int:
    """Return the degree of f in the weights that are trained; 0 where it is not homogeneous.

    A layer multiplies the degree of its inputs by that of phi, and adds 1 where it is trained.
    """
    last, found = settings.depth - 1, 0
    power = {"linear": 1, "relu": 1, "quadratic": 2}.get(settings.activation, 0) if last else 1
    if settings.biases or settings.output == "centred" or not power:
        return 0
    for layer in range(last + 1):
        own = {"all": True, "first": layer == 0, "last": layer == last}[settings.trained_layers]
        found = (found * power if layer else 0) + own
    return found


def linear(settings: MlpSettings) -> bool:
    """Return whether f(Y) = B Y."""
    return not settings.biases and (settings.activation == "linear" or settings.depth == 1)


def hidden(
    params: dict[str, Any], inputs: Float[Array, "m n"], settings: MlpSettings
) -> tuple[Float[Array, "_ n"], ...]:
    """Return h_1, ..., h_{L-1}."""
    return tuple(_layers(params, inputs, settings)[:-1])


MLP = Network(
    "mlp",
    MlpSettings,
    init,
    predict,
    observables=("loss", "regression_error"),
    rates=rates,
    trained=trained,
    multiplications=multiplications,
    structure=Structure(
        degree=degree,
        linear=linear,
        gated=lambda settings: settings.activation == "relu",
        hidden=hidden,
        layers=lambda params: params["weights"],
        layer_of=layer_of,
        input_axes=input_axes,
        input_multiplier=input_multiplier,
        input_law=input_law,
        tangent_kernel=tangent_kernel,
    ),
)
