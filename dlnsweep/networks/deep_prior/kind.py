"""The network "deep_prior", g(u) = V phi(W u) / sqrt(k): its keys, its costs and its sizes.

Runs of different sizes share a program: arrays are zero-padded, to a few sizes in m and n, and in
the width k where it pays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from dlnsweep.contracts.network import NetworkKind, StepCost
from dlnsweep.contracts.observable import Dimensions
from dlnsweep.problems.deep_prior import PADDABLE
from dlnsweep.settings.base import Describe, Settings
from dlnsweep.settings.reasons import Reason
from dlnsweep.settings.run_settings import RunSettings

# One core: the dispatch of a step's operations, phi and phi' of a neuron, and small products.
_STEP_SECONDS = 3e-7
_NEURON_SECONDS = 2e-9
_FLOPS_A_SECOND = 1.2e10


class DeepPriorNetworkSettings(Settings):
    """[network] "deep_prior": V phi(W u) / sqrt(k) with a fixed input u."""

    kind: Annotated[
        Literal["deep_prior"], Describe("static", "which network is trained", axis=False)
    ] = "deep_prior"
    width: Annotated[
        Annotated[int, Field(ge=1, le=65_536)], Describe("static", "hidden width", "k")
    ]
    input_dim: Annotated[
        Annotated[int, Field(ge=1, le=2**31 - 1)],
        Describe(
            "traced",
            "dimension of the fixed input u on the unit sphere; only z = W u moves, which is "
            "N(0, I_k) at first for every d, so nothing that is recorded depends on it",
            "d",
        ),
    ] = 500
    activation: Annotated[
        Literal["sigmoid", "tanh", "softplus", "arctan"], Describe("static", "phi", "φ")
    ] = "sigmoid"
    output_entries: Annotated[
        Literal["signs", "uniform"],
        Describe(
            "static",
            "independent entries of V, of variance 1: random signs, or uniform in ±√3",
        ),
    ] = "signs"
    trained_layers: Annotated[
        Literal["first", "both"], Describe("static", "whether V is trained beside W")
    ] = "first"


def room_for(size: int, coarse: bool) -> int:
    """Return the size of an array that holds a dimension: one of few.

    Args:
        size: The dimension.
        coarse: Powers of two from 8 on; else those and their halves in between, 8, 12, 16, 24.
    """
    room = 8
    while room < size:
        if not coarse and size <= room * 3 // 2:
            return room * 3 // 2
        room *= 2
    return room


def room_of(row: RunSettings) -> tuple[int, int]:
    """Return the rows and columns of the arrays that hold A."""
    m, n = row["problem.measurement_dim"], row["problem.signal_dim"]
    if row["problem.operator"] not in PADDABLE:
        return m, n
    return room_for(m, coarse=False), room_for(n, coarse=True)


class DeepPrior(NetworkKind):
    """V phi(W u) / sqrt(k), trained on z = W u."""

    kind = "deep_prior"
    task = "inverse"
    settings = DeepPriorNetworkSettings
    views = ("deep_prior",)
    observables = ("loss", "signal_error")
    drawing = "dlnsweep.networks.deep_prior.draw:PriorDrawing"
    generic = "dlnsweep.networks.deep_prior.definition:PriorDefinition"
    step_rules = {  # noqa: RUF012 - never changed
        "curvature": "η / P, P the loss's largest curvature at the initial weights (deep_prior)",
    }
    # Its loss is problem.loss as it stands, of one sample.
    honoured = {  # noqa: RUF012 - never changed
        "training.optimizer": ("gradient_descent",),
        "training.weight_decay": (0.0,),
        "training.data_fit_scale": (1.0,),
        "training.minibatch_size": (0,),
    }

    def step_cost(self, row: RunSettings, width: int) -> StepCost:
        """Estimate a step; its products are those of m x k matrices, whatever d and n."""
        m, n = room_of(row)
        both = row["network.trained_layers"] == "both"
        flops = (10 if both else 4) * m * width
        item = 8 if row["sweep.precision"] == "float64" else 4
        seconds = _STEP_SECONDS + width * _NEURON_SECONDS + flops / _FLOPS_A_SECOND
        state = width * (1 + (m if both else 0))
        return StepCost(flops, item * state, seconds, 2 * n * width / _FLOPS_A_SECOND)

    def dimensions(self, row: RunSettings) -> Dimensions:
        """Return the sizes that the length of an observable can depend on."""
        return Dimensions(row["problem.signal_dim"], row["problem.measurement_dim"], 2)

    def why_not_reducible(self, row: RunSettings, width: int) -> Reason:
        """Return why a run gets its kernel: that is exact, and small."""
        return Reason("exact", "trained on z = W u, exactly")

    def paddable(self, row: RunSettings) -> bool:
        """Return that narrow networks can stand in wider, zero-padded arrays."""
        return True

    def weight_shape(self, name: str, row: RunSettings) -> tuple[int, ...] | None:
        """Return the shape of z = W u and of C."""
        width, measured = row["network.width"], row["problem.measurement_dim"]
        return {"hidden": (width,), "output_change": (measured, width)}.get(name)

    def size_class(self, key: str, value: Any, values: Mapping[str, Any]) -> Any:
        """Return what runs must have in common in a static setting to share a program."""
        if set(values["problem.operator"]) <= set(PADDABLE):
            if key == "problem.measurement_dim":
                return room_for(value, coarse=False)
            if key == "problem.signal_dim":
                return room_for(value, coarse=True)
        return value

    def label(self, name: str, label: str) -> str:
        """Return the label of an observable that all networks have, in the symbols of this one."""
        own = {
            "loss": r"loss $L_y(A\,g(u,\theta))$",
            "gradient_norm": r"gradient norm $\|\nabla_\theta L\|$",
        }
        return own.get(name, label)
