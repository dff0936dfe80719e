"""Networks of weight matrices on samples, "deep_linear" and "linear_then_relu": keys and costs.

They learn signals X (d, n) from measurements Y (m, n). The seconds are those of the dense kernel;
`why_not_reducible` says where the reduced one is not to try.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from dlnsweep.contracts.network import NetworkKind, StepCost
from dlnsweep.contracts.observable import Dimensions, of_any_network
from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.networks.layered.initializers import INITIALIZER_WORDS, INITIALIZERS
from dlnsweep.networks.layered.reducible import reasons_not_reduced, why_not_estimated
from dlnsweep.settings.base import Constraint, Describe, Settings
from dlnsweep.settings.reasons import Reason
from dlnsweep.settings.run_settings import RunSettings

Width = Annotated[int, Field(ge=1, le=10**12)]
# Each layer is compiled by itself: compiling thousands would not end.
Depth = Annotated[int, Field(ge=1, le=10_000)]
_Positive = Annotated[float, Field(gt=0)]
LayerInitScale = Annotated[_Positive, Describe("traced", "factor on each initial weight matrix")]
ProductInitScale = Annotated[
    _Positive, Describe("traced", "factor on the initial product (its L-th root on each layer)")
]
RelativeInitScale = Annotated[
    _Positive,
    Describe("traced", "factor on the initial W_1, whose inverse is on W_L: the product stays"),
]

# One core: multiply-adds of skinny products, and the dispatch of a step's small operations.
_FLOPS_A_SECOND = 8e9
_BYTES_A_SECOND = 15e9
# One core: products over all samples, which are wide, in float64; float32 is twice as fast.
_WIDE_FLOPS_A_SECOND = 40e9
_DISPATCH_SECONDS = 3e-6
_GENERIC_SECONDS = 1e-5
# A pilot takes about so many steps itself; a dense run below this many floating-point operations
# takes less.
_FEWEST_STEPS = 1000
_LEAST_FLOPS = 1e10
# Roughly the width of a network that is compressed to its law.
_COMPRESSED_WIDTH = 400
# Keeping a second matrix beside each one costs up to as much as the step itself where that waits
# for memory, and a third of it in small networks. With a decay of this much a step and more, the
# plateau of float32 is right without to some 3e-8 sqrt(d_w / 8) / (eta lambda), 5 % at d_w = 1000.
COARSE_DECAY = 2.0**-17
# Bytes an entry of the weights while they are drawn, in float64, for a run of 8 or 4 bytes an
# entry: as XLA measures its program of three layers of width 1500 (jax 0.10.2).
_DRAWN_BYTES = {8: 32, 4: 24}


RELATIVE_SCALE_NEEDS_TWO_LAYERS = Constraint(
    ("network.depth", "network.relative_init_scale"),
    lambda depth, scale: depth >= 2 or scale == 1,
    "network.depth is {0} and network.relative_init_scale is {1}; one layer is first and last at "
    "once: leave it out, or take two layers or more.",
)

BALANCED_NEEDS_WIDTH = Constraint(
    (
        "network.initializer",
        "network.width",
        "network.depth",
        "problem.signal_dim",
        "problem.measurement_dim",
    ),
    lambda init, width, depth, d, m: init != "balanced" or depth == 1 or width >= min(d, m),
    "network.initializer is {0} and network.width is {1}; balanced weights need a width of "
    "at least min(signal_dim, measurement_dim) of {3} and {4}.",
)


class NetworkSettings(Settings):
    """[network] "deep_linear": W_L ... W_1 y; "linear_then_relu": W_L (W_{L-1} ... W_1 y)_+."""

    kind: Annotated[
        Literal["deep_linear", "linear_then_relu"],
        Describe(
            "static",
            "which network is trained, without biases; linear_then_relu: one ReLU, before the last "
            "layer",
            axis=False,
        ),
    ] = "deep_linear"
    depth: Annotated[Depth, Describe("static", "number of weight matrices", "L")]
    width: Annotated[Width, Describe("static", "hidden width", "d_w")]
    initializer: Annotated[
        str, INITIALIZER_WORDS, Describe("static", "how the initial weights are drawn")
    ] = "fan_in_normal"
    initial_weights: Annotated[
        Literal["drawn", "law"],
        Describe(
            "static",
            "drawn: the weights themselves; law: compressed, from their exact law, at any width",
        ),
    ] = "drawn"
    layer_init_scale: LayerInitScale = 1.0
    product_init_scale: ProductInitScale = 1.0
    relative_init_scale: RelativeInitScale = 1.0

    constraints: ClassVar[tuple[Constraint, ...]] = (
        Constraint(
            ("network.kind", "network.depth"),
            lambda kind, depth: kind == "deep_linear" or depth >= 2,
            "network.kind is {0} and network.depth is {1}; it needs two layers or more, one of "
            "them after the ReLU.",
        ),
        RELATIVE_SCALE_NEEDS_TWO_LAYERS,
        BALANCED_NEEDS_WIDTH,
    )


# The step rule of networks of weight matrices.
FAN_IN = {"fan_in": "layer i uses η / fan_in_i (networks of weight matrices)"}


def layer_sizes(row: RunSettings, width: int) -> tuple[int, ...]:
    """Return the layer sizes (m, d_w, ..., d_w, d)."""
    hidden = (width,) * (row["network.depth"] - 1)
    return (row["problem.measurement_dim"], *hidden, row["problem.signal_dim"])


def is_slow(learning_rate: Any, weight_decay: Any, step_rule: str, fan_ins: Sequence[Any]) -> Any:
    """Return whether the weights decay so slowly that float32 must keep what it rounds off.

    How it is kept: `numerics/compensated.py`.

    Args:
        learning_rate: eta, of one run or of several.
        weight_decay: lambda.
        step_rule: The step rule, which may divide eta by the number of inputs of each layer.
        fan_ins: These numbers.
    """
    # Not above: completion at a TAB needs the settings, and no arrays.
    import numpy as np

    most = reduce(np.maximum, fan_ins) if step_rule == "fan_in" else 1
    return np.asarray(learning_rate) * np.asarray(weight_decay) / most < COARSE_DECAY


def problem_rank(row: RunSettings) -> int:
    """Return the rank of the measurements."""
    problem = PROBLEMS[row["problem.kind"]]
    return problem.rank_of(row.section("problem", problem.settings))


def dense_flops(dims: Sequence[int], rank: int) -> int:
    """Return the floating-point operations of a dense step on reduced samples."""
    inputs = (rank, *dims[1:])
    return 6 * rank * sum(a * b for a, b in zip(inputs, dims[1:], strict=False))


def why_not_worth(dims: Sequence[int], rank: int, num_steps: int) -> Reason | None:
    """Return why a run is not worth a pilot; None if it is.

    Args:
        dims: The layer sizes m, d_1, ..., d.
        rank: The rank of the measurements.
        num_steps: The number of steps.
    """
    if num_steps < _FEWEST_STEPS or num_steps * dense_flops(dims, rank) < _LEAST_FLOPS:
        return Reason(
            "not_worth", "too short or too narrow for a pilot to pay", {"sweep.kernel": "reduced"}
        )
    return None


def _relu_costs(dims: Sequence[int], rank: int, num_samples: int) -> tuple[int, int]:
    """Return the operations of a step with one ReLU, and the numbers that it holds for all samples.

    The last layer acts on all samples, forward, backward and for its gradient; so does the way
    from the reduced directions to the samples and back. Held are A, H and G, and the residual.
    """
    *_, width, signal_dim = dims
    over_samples = num_samples * width * (6 * signal_dim + 4 * rank)
    held = num_samples * (3 * width + signal_dim)
    return dense_flops(dims[:-1], rank) + over_samples, held


class DeepLinear(NetworkKind):
    """W_L ... W_1 y, trained by the dense or the reduced kernel."""

    kind = "deep_linear"
    task = "samples"
    settings = NetworkSettings
    views = ("linear", "samples", "layers")
    observables = ("regression_error", "off_subspace_error")
    drawing = "dlnsweep.networks.layered.draw:SampleDrawing"
    generic = "dlnsweep.networks.layered.definition:LinearDefinition"
    reducible = layered = squared = True
    step_rules = FAN_IN

    def step_cost(self, row: RunSettings, width: int) -> StepCost:
        """Estimate a step of a run's dense kernel with arrays of `width`."""
        if row["network.initial_weights"] == "law":
            width = min(width, _COMPRESSED_WIDTH)
        dims, rank = layer_sizes(row, width), problem_rank(row)
        descent = row["training.optimizer"] == "gradient_descent"
        inputs = (rank, *dims[1:]) if descent else dims
        entries = sum(a * b for a, b in itertools.pairwise(inputs))
        item = 8 if row["sweep.precision"] == "float64" else 4
        flops = 6 * rank * entries
        passes = (1 if descent else 8) * 3 * item * entries
        seconds = max(flops / _FLOPS_A_SECOND, passes / _BYTES_A_SECOND) + _DISPATCH_SECONDS
        # An observable of the whole end-to-end matrix needs one product with all m directions.
        record_seconds = 2 * dims[0] * entries / _FLOPS_A_SECOND
        state = item * (1 if descent else 3) * entries
        return StepCost(flops, state, seconds, record_seconds, _DRAWN_BYTES[item] * entries)

    def generic_cost(self, row: RunSettings, width: int) -> StepCost:
        """Estimate a step of a run by the generic way, which sees all samples in all layers."""
        dims = layer_sizes(row, width)
        # A problem of a user's own need not say how many samples it draws.
        samples = row.get("problem.num_samples") or problem_rank(row)
        entries = sum(a * b for a, b in itertools.pairwise(dims))
        item = 8 if row["sweep.precision"] == "float64" else 4
        flops = 6 * samples * entries
        state = item * (3 * entries + 2 * samples * sum(dims))
        seconds = flops / _WIDE_FLOPS_A_SECOND * item / 8 + _GENERIC_SECONDS
        record_seconds = 2 * dims[0] * entries / _FLOPS_A_SECOND
        return StepCost(flops, state, seconds, record_seconds, _DRAWN_BYTES[item] * entries)

    def dimensions(self, row: RunSettings) -> Dimensions:
        """Return the sizes that the length of an observable can depend on."""
        # Of a folder that an earlier version began, the row has no levels.
        levels = row.get("record.noise_levels") or ()
        sizes = row["problem.signal_dim"], row["problem.measurement_dim"]
        return Dimensions(*sizes, row["network.depth"], len(levels))

    def why_not_reducible(self, row: RunSettings, width: int) -> Reason | None:
        """Return why a run gets the dense kernel; None if the reduced one is to try.

        The rule reads the settings alone, never the machine, so that a run gets the same kernel
        anywhere. What the settings leave open the pilot decides: under "auto" a run that it cannot
        certify is trained by the dense kernel.
        """
        depth, optimizer = row["network.depth"], row["training.optimizer"]
        reasons = reasons_not_reduced(
            optimizer,
            depth,
            row["record.observables"],
            row["training.minibatch_size"],
            # A folder of an earlier version has no such setting.
            row.get("record.weights"),
            row["training.num_steps"],
        )
        reason = next(iter(reasons), None)
        if reason or self.must_reduce(row):
            return reason
        sizes, rank = layer_sizes(row, width), problem_rank(row)
        unworthy = why_not_worth(sizes, rank, row["training.num_steps"])
        return unworthy or why_not_estimated(row["record.observables"])

    def why_not_trainable(self, row: RunSettings) -> str:
        """Return what is wrong with a stranger's initializer; else nothing."""
        from dlnsweep.networks.layered.trial import why_not_initializer

        dims = layer_sizes(row, row["network.width"])
        return why_not_initializer(row["network.initializer"], dims)

    def must_reduce(self, row: RunSettings) -> bool:
        """Return whether a run is trained by the reduced kernel whatever the pilot finds."""
        return row["sweep.kernel"] == "reduced" or row["network.initial_weights"] == "law"

    def weight_shape(self, name: str, row: RunSettings) -> tuple[int, ...] | None:
        """Return the shape of "weights[i]"."""
        dims = layer_sizes(row, row["network.width"])
        shapes = {f"weights[{i}]": (dims[i + 1], dims[i]) for i in range(len(dims) - 1)}
        return shapes.get(name)

    def paddable(self, row: RunSettings) -> bool:
        """Return whether narrow networks can stand in wider, zero-padded arrays."""
        made_of = INITIALIZERS[row["network.initializer"]], OPTIMIZERS[row["training.optimizer"]]
        return all(each.paddable for each in made_of) and row["network.depth"] > 1

    def width_is_free(self, row: RunSettings) -> bool:
        """Return whether the network is drawn from the law: its size does not depend on d_w."""
        return row["network.initial_weights"] == "law"

    def run_class(self, row: RunSettings, numbers: Mapping[str, Any]) -> Any:
        """Return whether the dense kernel is to keep what a step of gradient descent rounds off.

        That takes time, and what a run does must not depend on what its neighbours need.
        """
        descent = row["training.optimizer"] == "gradient_descent"
        if row["sweep.precision"] != "float32" or not descent or self.must_reduce(row):
            return False
        return is_slow(
            numbers["training.learning_rate"],
            numbers["training.weight_decay"],
            row["training.step_rule"],
            # Of all layers beyond the first one it is the same.
            layer_sizes(row, numbers["network.width"])[:-1][:2],
        )


class LinearThenRelu(DeepLinear):
    """W_L (W_{L-1} ... W_1 y)_+, trained by a dense kernel of its own."""

    kind = "linear_then_relu"
    views = ("samples", "layers")
    observables = ("regression_error",)
    drawing = "dlnsweep.networks.layered.draw:ReluDrawing"
    generic = "dlnsweep.networks.layered.definition:ReluDefinition"
    reducible = False
    # A ReLU acts on the neurons themselves, which the law compresses.
    honoured = {  # noqa: RUF012 - never changed
        "network.initial_weights": ("drawn",),
        "training.optimizer": ("gradient_descent",),
        "training.minibatch_size": (0,),
    }

    def run_class(self, row: RunSettings, numbers: Mapping[str, Any]) -> Any:
        """Return nothing: its kernel keeps what is rounded off in all runs."""
        return 0

    def step_cost(self, row: RunSettings, width: int) -> StepCost:
        """Estimate a step of a run's kernel with arrays of `width`."""
        linear = super().step_cost(row, width)
        dims, rank = layer_sizes(row, width), problem_rank(row)
        item = 8 if row["sweep.precision"] == "float64" else 4
        # A problem of a user's own need not say how many samples it draws.
        flops, held = _relu_costs(dims, rank, row.get("problem.num_samples") or rank)
        seconds = flops / _WIDE_FLOPS_A_SECOND * item / 8 + _DISPATCH_SECONDS
        state = linear.state_bytes + item * held
        return StepCost(flops, state, seconds, linear.record_seconds, linear.draw_bytes)

    def why_not_reducible(self, row: RunSettings, width: int) -> Reason | None:
        """Return why a run gets the dense kernel: always."""
        return NetworkKind.why_not_reducible(self, row, width)

    def label(self, name: str, label: str) -> str:
        """Return a label with f(Y) in place of W_{L:1} Y."""
        return of_any_network(label)
