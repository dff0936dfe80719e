"""The settings of the sweep file's sections [record] and [sweep], and the table of all sections.

[training] stands in settings/training.py, a problem's settings in its own file under problems/, a
network's under networks/, a figure's in settings/figures.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from dlnsweep.settings.base import Describe, Settings
from dlnsweep.settings.refine import Refine
from dlnsweep.settings.training import MOST_STEPS, NonNegative, TrainingSettings
from dlnsweep.settings.until import Until
from dlnsweep.settings.warm_start import WarmStart, read_warm_start

# Of each the weights are kept twice while a run is trained.
MOST_PLACES = 64

PositiveInt = Annotated[int, Field(ge=1, le=2**31 - 1)]


class RecordSettings(Settings):
    """[record]: at which steps what is recorded."""

    spacing: Annotated[
        Literal["log", "linear", "explicit"],
        Describe(
            "static", "how recorded steps are spaced; steps 0 and T are always recorded", axis=False
        ),
    ] = "log"
    count: Annotated[
        Annotated[int, Field(ge=2, le=1_000_000)],
        Describe(
            "static", "number of spaced steps (log: those that coincide count once)", axis=False
        ),
    ] = 200
    steps: Annotated[
        list[Annotated[int, Field(ge=0, le=MOST_STEPS)]],
        Describe("static", 'the recorded steps under spacing = "explicit"', axis=False),
    ] = Field(default_factory=list)
    weights: Annotated[
        Literal["final"] | list[Annotated[int, Field(ge=0, le=MOST_STEPS)]],
        Describe(
            "outside",
            'which weights are kept beside the curves: "final", or a list of recorded steps; '
            "results.weights(run_id) has them",
            axis=False,
        ),
    ] = Field(default_factory=list)
    observables: Annotated[list[str], Describe("static", "what is recorded", axis=False)] = Field(
        default_factory=lambda: ["regression_error", "off_subspace_error"]
    )
    rank_threshold: Annotated[
        Annotated[float, Field(gt=0, lt=1)],
        Describe("traced", "numerical_rank counts singular values above this times the largest"),
    ] = 1e-3
    num_test_samples: Annotated[
        PositiveInt, Describe("static", "number of fresh signals for test errors")
    ] = 100
    test_noise: Annotated[
        NonNegative,
        Describe("traced", "standard deviation of the noise on each test measurement", "σ"),
    ] = 0.0
    num_eigenvalues: Annotated[
        Annotated[int, Field(ge=1, le=64)],
        Describe(
            "static",
            "how many of the largest eigenvalues hessian_eigenvalues and kernel_eigenvalues record",
            axis=False,
        ),
    ] = 3
    noise_levels: Annotated[
        list[NonNegative],
        Describe(
            "static",
            "the standard deviations at which noisy_test_errors tests a network, one draw of noise "
            "scaled by each",
            "σ",
            axis=False,
        ),
    ] = Field(default_factory=list)


class SweepSettings(Settings):
    """[sweep]: seeds, precision, kernel, and which axes move together."""

    seeds: Annotated[
        Annotated[int, Field(ge=1)] | list[Annotated[int, Field(ge=0, le=2**63 - 1)]],
        Describe("traced", "number of seeds (0, 1, ...), or a list of seeds", axis=False),
    ] = 1
    precision: Annotated[
        Literal["float64", "float32"],
        Describe("static", "precision of training; data are drawn in float64", axis=False),
    ] = "float64"
    kernel: Annotated[
        Literal[
            "auto", "dense", "reduced", "generic", "simd", "simd_samples", "jumps", "reduced_inputs"
        ],
        Describe(
            "static",
            "how gradient descent is carried out; generic: by value-and-grad of the loss as it is "
            "defined, slowly; simd: the same steps of a small network as vector instructions, one "
            "run a lane, on a CPU with llvmlite; simd_samples: the same of a larger one, one run "
            "after another, a sample a lane; what cannot be made of them the generic "
            "way trains; auto has them where they pay, of a kernel by hand of that kernel's steps; "
            "jumps: full-batch gradient descent, momentum or nesterov of a smooth network with few "
            "outputs on all samples, or gradient descent of a linear one with any, over any number "
            "of steps, jumping over most, to sweep.tolerance; "
            "reduced_inputs: generic on the span of the samples, exactly, of networks whose first "
            "layer is linear in the inputs; auto takes reduced, reduced_inputs or jumps where they "
            "pay",
            axis=False,
        ),
    ] = "auto"
    tolerance: Annotated[
        Annotated[float, Field(ge=1e-9, le=1e-1)],
        Describe(
            "static", "relative error that the reduced kernel, or jumps, may cause", axis=False
        ),
    ] = 1e-6
    check_jumps: Annotated[
        Annotated[int, Field(ge=0, le=MOST_PLACES)],
        Describe(
            "outside",
            "at how many random places of a run that jumps real steps are taken beside it; what "
            "they say is burst_error in outcomes, and a run that they contradict is not certified",
            axis=False,
        ),
    ] = 0
    zip: Annotated[
        list[list[str]], Describe("outside", "lists of keys whose axes move together", axis=False)
    ] = Field(default_factory=list)
    samples: Annotated[
        PositiveInt | None,
        Describe(
            "outside",
            "how many samples are drawn of the settings that are sampled, jointly",
            axis=False,
        ),
    ] = None
    sample_seed: Annotated[
        Annotated[int, Field(ge=0, le=2**63 - 1)],
        Describe("outside", "says which samples are drawn", axis=False),
    ] = 0
    sampler: Annotated[
        Literal["random", "sobol"],
        Describe(
            "outside",
            "random: each sampled setting by a stream of its own; sobol: a scrambled Sobol "
            "sequence over all of them",
            axis=False,
        ),
    ] = "random"
    block: Annotated[
        list[dict[str, Any]],
        Describe(
            "outside", "tables of settings whose runs are joined, [[sweep.block]]", axis=False
        ),
    ] = Field(default_factory=list)
    refine: Annotated[
        Refine | None,
        Describe(
            "outside",
            "where along an axis runs begin or cease to succeed, [sweep.refine]: between, "
            "success, tolerance, max_rounds, points, spacing",
            axis=False,
        ),
    ] = None
    until: Annotated[
        Until | None,
        Describe(
            "outside",
            "seeds are added in rounds until an interval is narrow enough, [sweep.until]: "
            "observable or success, width, most_seeds, relative, level, growth, against, "
            "difference, where",
            axis=False,
        ),
    ] = None
    go_on_from: Annotated[
        str,
        Describe(
            "outside",
            "a results folder that kept final weights: runs with the settings of one there, but "
            "more steps, go on from its state; others begin at step 0",
            axis=False,
        ),
    ] = ""
    warm_start: Annotated[
        WarmStart | None,
        BeforeValidator(read_warm_start),
        Describe(
            "outside",
            "a results folder that kept weights, or a table, [sweep.warm_start]: from, where, "
            "step: new runs, from step 0, whose initial weights are those of its runs",
            axis=False,
        ),
    ] = None
    max_runs: Annotated[
        PositiveInt, Describe("outside", "most runs that a file may expand to", axis=False)
    ] = 10_000_000


SECTIONS: dict[str, Any] = {
    "training": TrainingSettings,
    "record": RecordSettings,
    "sweep": SweepSettings,
}
