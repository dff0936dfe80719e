"""The network "deep_linear_resnet": linear maps with identities beside them.

    f(y) = B (I + W_L) ... (I + W_1) A y,   A (k, m), W_l (k, k), B (d, k)

Hardt and Ma 2017 (arXiv:1611.04231) have d = m = k and no ends: that is A = B = I, here the ends
"identity" with a width of d = m. Where m, k and d differ, the identity ends are rectangular: A
fills a signal up with zeros, B takes the first d entries. Gaussian ends with entries of variance
1 / m and 1 / k that are not trained are those of Zou, Long and Gu 2020 (arXiv:2003.01094), whose
blocks begin at zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from dlnsweep.contracts.network import Network
from dlnsweep.contracts.structure import Structure
from dlnsweep.networks.layered.kind import Depth, LayerInitScale
from dlnsweep.numerics.lazy import jnp
from dlnsweep.settings.base import Constraint, Describe, Settings, UsedBy

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.generic.state import Samples
    from dlnsweep.numerics.streams import Keys


class DeepLinearResnetSettings(Settings):
    """[network] "deep_linear_resnet": f(y) = B (I + W_L) ... (I + W_1) A y."""

    kind: Annotated[
        Literal["deep_linear_resnet"], Describe("static", "which network is trained", axis=False)
    ] = "deep_linear_resnet"
    depth: Annotated[Depth, Describe("static", "number of blocks I + W_l", "L")]
    width: Annotated[
        Annotated[int, Field(ge=1, le=65_536)], Describe("static", "size of each block", "d_w")
    ]
    initializer: Annotated[
        Literal["zero", "fan_in_normal"],
        Describe(
            "static", "how each W_l begins; fan_in_normal: independent entries of variance 1/d_w"
        ),
    ] = "zero"
    layer_init_scale: LayerInitScale = 1.0
    ends: Annotated[
        Literal["identity", "gaussian"],
        Describe(
            "static",
            "A and B at the start; identity: rectangular ones, none at all for d = m = d_w; "
            "gaussian: independent entries of variance 1/m and 1/d_w",
        ),
    ] = "identity"
    trained_ends: Annotated[
        bool, Describe("static", "whether A and B are trained beside the blocks")
    ] = False

    used_by: ClassVar[Mapping[str, UsedBy]] = {
        "layer_init_scale": UsedBy("initializer", ("fan_in_normal",))
    }
    constraints: ClassVar[tuple[Constraint, ...]] = (
        Constraint(
            ("network.ends", "network.width", "problem.signal_dim", "problem.measurement_dim"),
            lambda ends, width, d, m: ends != "identity" or width >= max(d, m),
            "network.ends is {0} and network.width is {1}; such ends leave out what the width does "
            "not hold: it must be at least signal_dim and measurement_dim, {2} and {3}, or take "
            '"gaussian".',
        ),
    )


def init(settings: DeepLinearResnetSettings, data: Samples, key: Keys) -> dict[str, Any]:
    """Return the blocks' W_1, ..., W_L and the ends."""
    from dlnsweep.numerics.streams import gaussian

    k, m, d = settings.width, data.inputs.shape[0], data.targets.shape[0]
    layers = range(1, settings.depth + 1)
    if settings.initializer == "zero":
        blocks = tuple(jnp.zeros((k, k)) for _ in layers)
    else:
        scale = settings.layer_init_scale / k**0.5
        blocks = tuple(scale * gaussian(key(f"weights/{i}"), k, k) for i in layers)
    if settings.ends == "identity":
        first, last = jnp.eye(k, m), jnp.eye(d, k)
    else:
        first = gaussian(key("weights/hidden"), k, m) / m**0.5
        last = gaussian(key("weights/output"), d, k) / k**0.5
    return {"blocks": blocks, "first": first, "last": last}


def predict(
    params: dict[str, Any], inputs: Float[Array, "m n"], settings: DeepLinearResnetSettings
) -> Float[Array, "d n"]:
    """Return B (I + W_L) ... (I + W_1) A Y."""
    from dlnsweep.numerics.products import multiply

    del settings
    values = multiply(params["first"], inputs)
    for block in params["blocks"]:
        values = values + multiply(block, values)
    return multiply(params["last"], values)


def trained(params: dict[str, Any], settings: DeepLinearResnetSettings) -> dict[str, Any]:
    """Return whether the ends are trained; the blocks are."""
    blocks = tuple(True for _ in params["blocks"])
    return {"blocks": blocks, "first": settings.trained_ends, "last": settings.trained_ends}


def layer_of(params: dict[str, Any]) -> dict[str, Any]:
    """Return the layer of each block; the ends are of none."""
    return {"blocks": tuple(range(len(params["blocks"]))), "first": -1, "last": -1}


def input_axes(params: dict[str, Any]) -> dict[str, Any]:
    """Return where A meets inputs."""
    return {"blocks": tuple(-1 for _ in params["blocks"]), "first": 1, "last": -1}


def multiplications(settings: DeepLinearResnetSettings, inputs: int, outputs: int) -> int:
    """Return the products that a prediction takes."""
    return settings.width * (settings.depth * settings.width + inputs + outputs)


DEEP_LINEAR_RESNET = Network(
    "deep_linear_resnet",
    DeepLinearResnetSettings,
    init,
    predict,
    observables=("loss", "regression_error"),
    trained=trained,
    multiplications=multiplications,
    structure=Structure(linear=lambda _: True, layer_of=layer_of, input_axes=input_axes),
)
