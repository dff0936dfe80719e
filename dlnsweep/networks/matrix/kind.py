"""Deep linear networks on a loss of their end-to-end matrix: keys, costs.

"deep_linear" trains the layers; "end_to_end" trains beside them a single matrix by the update that
they are said to amount to.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from dlnsweep.contracts.network import NetworkKind, StepCost
from dlnsweep.contracts.observable import Dimensions
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.networks.layered.initializers import INITIALIZER_WORDS
from dlnsweep.networks.layered.kind import (
    FAN_IN,
    RELATIVE_SCALE_NEEDS_TWO_LAYERS,
    LayerInitScale,
    ProductInitScale,
    RelativeInitScale,
)
from dlnsweep.settings.base import Constraint, Describe, Settings, UsedBy
from dlnsweep.settings.reasons import Reason
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.words import Words

TASK = "matrix"

_Width = Annotated[int, Field(ge=1, le=65_536)]
_Depth = Annotated[int, Field(ge=1, le=10_000)]
_Positive = Annotated[float, Field(gt=0)]

# One core: products of square matrices of some hundred rows in float32, twice those in float64;
# reading a large operator, the second time from a cache; the dispatch of a step's operations.
_FLOPS_A_SECOND = 70e9
_BYTES_A_SECOND = 26e9
_DISPATCH_SECONDS = 10e-6
# A smaller operator fits in the caches of a core, and each run has its own.
_LEAST_SHARED_BYTES = 4 * 1024**2
_BALANCED = ("balanced", "near_target")


class FactorizationSettings(Settings):
    """[network] for problems of finding a matrix, W = W_L ... W_1.

    "deep_linear": the layers are trained; "end_to_end": beside them W itself, by the update (6) of
    arXiv:1802.06509 that they amount to when balanced.
    """

    kind: Annotated[
        Literal["deep_linear", "end_to_end"],
        Describe(
            "static",
            "deep_linear: train the layers; end_to_end: beside them a matrix by the end-to-end "
            "update",
            axis=False,
        ),
    ] = "deep_linear"
    depth: Annotated[_Depth, Describe("static", "number of weight matrices", "L")]
    width: Annotated[_Width, Describe("static", "hidden width", "d_w")]
    initializer: Annotated[
        str,
        Words("near_target", others=INITIALIZER_WORDS),
        Describe(
            "static",
            "how the initial weights are drawn; near_target: balanced, with a product at a given "
            "distance from the target",
        ),
    ] = "fan_in_normal"
    layer_init_scale: LayerInitScale = 1.0
    product_init_scale: ProductInitScale = 1.0
    relative_init_scale: RelativeInitScale = 1.0
    product_determinant: Annotated[
        Literal["any", "positive", "negative"],
        Describe(
            "static",
            "sign of the initial product's determinant; another one is turned by the sign of the "
            "last layer's last row",
        ),
    ] = "any"
    deficiency_margin: Annotated[
        Annotated[float, Field(gt=0, le=1)],
        Describe(
            "traced",
            "deficiency margin of the initial product over the target's smallest singular value: "
            "‖W(0) - M‖_F = (1 - margin) σ_min(M) (near_target)",
            "δ/σ_min",
        ),
    ] = 1.0

    used_by: ClassVar[Mapping[str, UsedBy]] = {
        "deficiency_margin": UsedBy("initializer", ("near_target",), needed=True),
        # The others; the product of near_target has its size from the target.
        "layer_init_scale": UsedBy("initializer", INITIALIZER_WORDS),
        "product_init_scale": UsedBy("initializer", INITIALIZER_WORDS),
        "relative_init_scale": UsedBy("initializer", INITIALIZER_WORDS),
    }
    constraints: ClassVar[tuple[Constraint, ...]] = (
        RELATIVE_SCALE_NEEDS_TWO_LAYERS,
        Constraint(
            ("training.weight_decay", "sweep.precision"),
            lambda decay, precision: decay == 0 or precision == "float64",
            "training.weight_decay is {0} and sweep.precision is {1}; a small decay would be lost "
            'in rounding: set sweep.precision = "float64".',
        ),
        Constraint(
            ("network.product_determinant", "network.initializer"),
            lambda sign, initializer: sign == "any" or initializer != "zero_last",
            "network.product_determinant is {0} and network.initializer is {1}, whose product is "
            "zero: leave network.product_determinant out.",
        ),
        Constraint(
            ("network.product_determinant", "problem.num_rows", "problem.num_columns"),
            lambda sign, d, m: sign == "any" or d == m,
            "network.product_determinant is {0}; a matrix of {1} rows and {2} columns has none: "
            "leave it out.",
        ),
        Constraint(
            ("network.product_determinant", "problem.kind"),
            lambda sign, kind: sign == "any" or kind != "regression",
            "network.product_determinant is {0}; the matrix of problem.kind = {1} is a row: leave "
            "it out.",
        ),
        Constraint(
            ("network.initializer", "problem.kind"),
            lambda init, kind: init != "near_target" or kind == "matrix_approximation",
            "network.initializer is {0}; problem.kind = {1} has no target of full rank, which only "
            "'matrix_approximation' has.",
        ),
        Constraint(
            (
                "network.initializer",
                "network.width",
                "network.depth",
                "problem.num_rows",
                "problem.num_columns",
            ),
            lambda init, width, depth, d, m: (
                init not in _BALANCED or depth == 1 or width >= min(d, m)
            ),
            "network.initializer is {0} and network.width is {1}; it needs a width of at least "
            "min(num_rows, num_columns) of {3} and {4}.",
        ),
        Constraint(
            ("network.initializer", "network.width", "network.depth", "problem.kind"),
            lambda init, width, depth, kind: (
                init not in _BALANCED or depth == 1 or kind != "divergent_completion" or width >= 2
            ),
            "network.initializer is {0} and network.width is {1}; it needs a width of at least 2 "
            "for problem.kind = {3}.",
        ),
    )


# What cannot be recorded of which problem.
RECORDED: tuple[Constraint, ...] = (
    Constraint(
        ("problem.kind", "record.observables"),
        lambda kind, names: kind != "divergent_completion" or "reconstruction_error" not in names,
        "record.observables names 'reconstruction_error'; the target of problem.kind = {0} has "
        "a free entry: leave it out.",
    ),
    Constraint(
        ("problem.kind", "record.observables"),
        lambda kind, names: (
            kind == "divergent_completion"
            or not {"free_entry", "free_entry_bound", "free_entry_excess"} & set(names)
        ),
        "record.observables names 'free_entry', 'free_entry_bound' or 'free_entry_excess', "
        "which are about problem.kind = 'divergent_completion'; it is {0}.",
    ),
    Constraint(
        ("problem.num_rows", "problem.num_columns", "record.observables"),
        lambda d, m, names: d == m or "determinant" not in names,
        "record.observables names 'determinant'; a matrix of {0} rows and {1} columns has "
        "none: leave it out.",
    ),
    Constraint(
        ("problem.data", "record.observables"),
        lambda data, names: data == "synthetic" or "reconstruction_error" not in names,
        "record.observables names 'reconstruction_error'; problem.data is {0}, whose weights "
        "nobody knows: leave it out.",
    ),
)


def problem_settings(row: RunSettings) -> Any:
    """Return the settings of [problem] of a run."""
    return row.section("problem", PROBLEMS[row["problem.kind"]].settings)


def matrix_shape(row: RunSettings) -> tuple[int, int]:
    """Return d and m of a run."""
    problem = problem_settings(row)
    if row["problem.kind"] == "regression":
        from dlnsweep.problems.regression import ends

        inputs, outputs = ends(problem)
        return outputs, inputs
    if row["problem.kind"] == "divergent_completion":
        return 2, 2
    return problem.num_rows, problem.num_columns


def layer_sizes(row: RunSettings, width: int) -> tuple[int, ...]:
    """Return the layer sizes (m, d_w, ..., d_w, d)."""
    d, m = matrix_shape(row)
    return (m, *(width,) * (row["network.depth"] - 1), d)


def chain_flops(dims: Sequence[int]) -> int:
    """Return the floating-point operations of a step's 3 (L - 1) products."""
    narrow = min(dims[0], dims[-1])
    return 6 * narrow * sum(a * b for a, b in itertools.pairwise(dims[1:] or dims))


def operator_entries(row: RunSettings) -> int:
    """Return the number of entries of the operator that a step reads twice."""
    d, m = matrix_shape(row)
    if row["problem.kind"] == "matrix_sensing":
        return problem_settings(row).num_measurements * d * m
    if row["problem.kind"] == "regression":
        from dlnsweep.problems.regression import num_samples

        return num_samples(problem_settings(row)) * m
    return d * m


def shares_operator(row: RunSettings) -> bool:
    """Return whether the runs of a seed share their operator, for it is large."""
    item = 8 if row["sweep.precision"] == "float64" else 4
    large = item * operator_entries(row) >= _LEAST_SHARED_BYTES
    return large and PROBLEMS[row["problem.kind"]].shared is not None


class Factorization(NetworkKind):
    """W_L ... W_1 on a loss of W."""

    kind = "deep_linear"
    task = TASK
    settings = FactorizationSettings
    views = ("matrix", "factors")
    constraints = RECORDED
    observables = ("loss", "singular_values")
    step_rules = FAN_IN
    drawing = "dlnsweep.networks.matrix.draw:MatrixDrawing"
    generic = "dlnsweep.networks.matrix.definition:MatrixDefinition"
    honoured = {  # noqa: RUF012 - never changed
        "training.minibatch_size": (0,),
        "training.prescription": ("none",),
    }

    def step_cost(self, row: RunSettings, width: int) -> StepCost:
        """Estimate a step of a run with arrays of `width`."""
        dims = layer_sizes(row, width)
        item = 8 if row["sweep.precision"] == "float64" else 4
        entries, read = sum(a * b for a, b in itertools.pairwise(dims)), operator_entries(row)
        flops = chain_flops(dims) + 4 * read
        speed = _FLOPS_A_SECOND * 4 / item
        seconds = chain_flops(dims) / speed + 2 * item * read / _BYTES_A_SECOND
        copies = 1 if row["training.optimizer"] == "gradient_descent" else 3
        state = item * (copies * entries + dims[0] * dims[-1])
        # Singular values take some twenty times a product.
        record = 40 * dims[0] * dims[-1] * min(dims[0], dims[-1]) / 10e9
        return StepCost(flops, state, seconds + _DISPATCH_SECONDS, record)

    def lanes_share(self, row: RunSettings) -> bool:
        """Return whether the runs of a batch share an operator."""
        return shares_operator(row)

    def dimensions(self, row: RunSettings) -> Dimensions:
        """Return the sizes that the length of an observable can depend on."""
        d, m = matrix_shape(row)
        return Dimensions(d, m, row["network.depth"], 0)

    def why_not_reducible(self, row: RunSettings, width: int) -> Reason:
        """Return why a run gets the dense kernel."""
        found = f"the loss of {row['problem.kind']} is not one of few reduced samples"
        return Reason("loss", found)

    def why_not_trainable(self, row: RunSettings) -> str:
        """Return what is wrong with a stranger's initializer; else nothing."""
        from dlnsweep.networks.layered.trial import why_not_initializer

        dims = layer_sizes(row, row["network.width"])
        return why_not_initializer(row["network.initializer"], dims)

    def label(self, name: str, label: str) -> str:
        """Return a label with the loss of a matrix in place of that of samples."""
        if name != "loss":
            return label
        return r"loss $c\,\ell(W_{L:1})+\frac{\lambda}{2}\sum_i\|W_i\|_F^2$"


class EndToEnd(Factorization):
    """The same with a matrix beside it that the end-to-end update moves."""

    kind = "end_to_end"
    views = ("matrix", "factors", "end_to_end")
    step_rules: Mapping[str, str] = {}
    drawing = "dlnsweep.networks.matrix.draw:EndToEndDrawing"
    # The matrix beside the layers follows no gradient.
    generic = ""
    # The end-to-end update is that of one learning rate for all layers, without decay.
    honoured = {  # noqa: RUF012 - never changed
        **Factorization.honoured,
        "training.optimizer": ("gradient_descent",),
        "training.weight_decay": (0.0,),
    }
