"""The keys of [network] kind = "mlp". No JAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from dlnsweep.networks.layered.initializers import INITIALIZER_WORDS
from dlnsweep.networks.layered.kind import BALANCED_NEEDS_WIDTH, Depth, LayerInitScale
from dlnsweep.networks.mlp.parametrization import NORMALIZED, PROPORTIONAL
from dlnsweep.settings.base import Constraint, Describe, Settings, UsedBy
from dlnsweep.settings.words import Words

UNIT_ROWS = "unit_rows"
_KNOWN = {
    "standard": None,
    "ntk": None,
    "mean_field": PROPORTIONAL,
    "mup": (*PROPORTIONAL, *NORMALIZED),
}


def _knows(parametrization: str, optimizer: str) -> bool:
    known = _KNOWN[parametrization]
    return known is None or optimizer in known


def _not_known(parametrization: str, optimizer: str) -> str:
    known = ", ".join(_KNOWN[parametrization] or ())
    return (
        f"network.parametrization is '{parametrization}' and training.optimizer is '{optimizer}', "
        f"whose learning rates are not known for it; take one of {known}, or another "
        "parametrization."
    )


class MlpSettings(Settings):
    """[network] "mlp": f(y) = W_L φ(W_{L-1} ... φ(W_1 y)) / γ, with biases or without."""

    kind: Annotated[Literal["mlp"], Describe("static", "which network is trained", axis=False)] = (
        "mlp"
    )
    depth: Annotated[
        Depth, Describe("static", "number of weight matrices; 1 is linear regression", "L")
    ]
    width: Annotated[
        Annotated[int, Field(ge=1, le=65_536)],
        Describe("static", "number of neurons of each hidden layer", "d_w"),
    ]
    activation: Annotated[
        Literal["linear", "tanh", "relu", "gelu", "erf", "quadratic", "softplus"],
        Describe(
            "static", "φ of each hidden layer; gelu: z Φ(z); quadratic: z²; softplus: log(1 + e^z)"
        ),
    ] = "relu"
    biases: Annotated[
        bool, Describe("static", "whether each layer has biases, which begin at zero")
    ] = False
    parametrization: Annotated[
        Literal["standard", "ntk", "mean_field", "mup"],
        Describe(
            "static",
            "how multipliers, initial weights and learning rates of the layers go with the width; "
            "ntk: W/√fan_in; mean_field: that over √d_w, rates times d_w; mup: Table 3 of "
            "arXiv:2203.03466",
        ),
    ] = "standard"
    initializer: Annotated[
        str,
        Words(UNIT_ROWS, others=INITIALIZER_WORDS),
        Describe(
            "static",
            "how the initial weights are drawn; unit_rows (depth 2): rows of W_1 of norm sα, "
            "entries of W_2 ± s/α, s the layer_init_scale (arXiv:2406.06158)",
        ),
    ] = "fan_in_normal"
    layer_init_scale: LayerInitScale = 1.0
    imbalance: Annotated[
        float,
        Describe(
            "traced",
            "squared entry of W_2 less squared norm of its neuron's row of W_1, at the start: "
            "s²/α² − s²α² (unit_rows)",
            "δ",
        ),
    ] = 0.0
    richness: Annotated[
        Annotated[float, Field(gt=0)],
        Describe(
            "traced",
            "the output is divided by it, and learning rates are multiplied by its square (adam, "
            "adamw: by itself): small is lazy, large is rich",
            "γ",
            idle=1.0,
        ),
    ] = 1.0
    output: Annotated[
        Literal["plain", "centred", "symmetrised"],
        Describe(
            "static",
            "centred: f less f at the initial weights; symmetrised: the last hidden layer's second "
            "half begins as its first, with the opposite readouts; both are zero at the start",
        ),
    ] = "plain"
    trained_layers: Annotated[
        Literal["all", "first", "last"],
        Describe("static", "which layers are trained; last: random features"),
    ] = "all"

    used_by: ClassVar[Mapping[str, UsedBy]] = {"imbalance": UsedBy("initializer", (UNIT_ROWS,))}
    constraints: ClassVar[tuple[Constraint, ...]] = (
        BALANCED_NEEDS_WIDTH,
        Constraint(
            ("network.parametrization", "training.optimizer"),
            _knows,
            _not_known,
        ),
        Constraint(
            ("network.richness", "training.optimizer"),
            lambda richness, name: richness == 1 or name in (*PROPORTIONAL, *NORMALIZED),
            "network.richness is {0} and training.optimizer is {1}, whose learning rate is not "
            f"known to go with it; take one of {', '.join((*PROPORTIONAL, *NORMALIZED))}, or leave "
            "it out.",
        ),
        Constraint(
            ("network.initializer", "network.depth"),
            lambda name, depth: name != UNIT_ROWS or depth == 2,
            "network.initializer is {0} and network.depth is {1}; it is for a row and a readout of "
            "each neuron: set network.depth to 2.",
        ),
        Constraint(
            ("network.initializer", "network.parametrization"),
            lambda name, parametrization: name != UNIT_ROWS or parametrization == "standard",
            "network.initializer is {0} and network.parametrization is {1}; it says the sizes of "
            'the weights itself: set network.parametrization to "standard".',
        ),
        Constraint(
            ("network.output", "network.depth"),
            lambda output, depth: output != "symmetrised" or depth >= 2,
            "network.output is {0} and network.depth is {1}; there is no hidden neuron to double: "
            'take two layers or more, or "centred".',
        ),
        Constraint(
            ("network.output", "network.width"),
            lambda output, width: output != "symmetrised" or width % 2 == 0,
            "network.output is {0} and network.width is {1}; neurons come in pairs: the width must "
            "be even.",
        ),
        Constraint(
            ("network.trained_layers", "network.depth"),
            lambda trained, depth: trained == "all" or depth >= 2,
            "network.trained_layers is {0} and network.depth is {1}; one layer is first and last "
            "at once: leave it out, or take two layers or more.",
        ),
    )
