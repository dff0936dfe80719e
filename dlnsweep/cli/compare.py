"""The command `compare`: a fast kernel beside the one that judges it."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from dlnsweep.cli.files import Overrides, Plugins, SweepFile, use
from dlnsweep.errors import Interrupted
from dlnsweep.machine.stopping import stoppable


class CheckedKernel(StrEnum):
    """The kernels that have a judge."""

    reduced = "reduced"
    dense = "dense"
    simd = "simd"
    simd_samples = "simd_samples"
    jumps = "jumps"
    reduced_inputs = "reduced_inputs"


class Judge(StrEnum):
    """What can judge one."""

    dense = "dense"
    generic = "generic"


def compare(
    file: SweepFile,
    overrides: Overrides = None,
    runs: Annotated[
        int, typer.Option("--runs", min=1, metavar="N", help="How many runs of the sweep.")
    ] = 4,
    kernel: Annotated[
        CheckedKernel | None,
        typer.Option(
            "--kernel",
            help="The kernel to check. Default: sweep.kernel; for auto the one that it takes.",
        ),
    ] = None,
    judge: Annotated[
        Judge | None,
        typer.Option("--judge", help="What checks it. Default: dense for reduced, else generic."),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Check a fast kernel by a slower one on a few runs.

    The reduced kernel is checked by the dense one, the dense kernel of any network by the generic
    way: by value-and-grad of the loss as it is defined, on all samples. So are the generic way's
    own steps as vector instructions (simd, simd_samples), and on the span of the samples
    (reduced_inputs). Of
    auto it is what a folder begun here would have: simd_dense are the dense kernel's own steps as
    vector instructions.

    The deviation is relative to the judge, the largest over all recorded steps. Both compute in
    float64: rounding in float32 would hide what is looked for. A regression error that differs
    by less than 1e-13 counts as equal: it is a difference of numbers of size 1, each rounded at
    1.1e-16 over many steps; beside the generic way, so does whatever differs by less than 1e-13
    of its largest value in the run, and of the gradient's norm what 1e-13 of each parameter makes
    of it. Exit status 1 if a deviation exceeds the sweep's tolerance
    and three times the estimate; of the other kernels, if it exceeds 1e-8. A run whose estimate
    is infinite is told apart: nothing is promised of it, so that there is nothing to hold it to.
    """
    use(plugin)
    from dlnsweep.execution import comparison, comparison_text, judges
    from dlnsweep.execution.warm_start import plan_of
    from dlnsweep.progress.reporting import Tally, reporting
    from dlnsweep.settings.sentences import duration
    from dlnsweep.spec.sweep import Sweep

    sweep = Sweep.from_file(file, overrides or ())
    planned = plan_of(sweep)
    chosen = comparison.choose_sample(planned.num_runs, runs)
    kernels = judges.choose_kernels(
        planned, chosen, kernel.value if kernel else "", judge.value if judge else ""
    )
    seconds = max(1.0, comparison.seconds_of(planned, chosen, kernels[1]))
    these = "1 run" if len(chosen) == 1 else f"{len(chosen)} runs"
    note = "" if sweep.options.precision == "float64" else ", in float64 (see --help)"
    way = "as auto takes their steps, by vector instructions where they pay,"
    way = way if kernels[0] == comparison.AS_AUTO else f"by the {kernels[0]} kernel"
    if kernels[0] == comparison.AS_JUMPS:
        way = "as auto takes them, by time jumps where they hold,"
    _say(
        f"{these} {way} and by the {kernels[1]} one{note}, which will take about "
        f"{duration(seconds)}"
    )
    tolerance = sweep.options.tolerance
    tally = Tally(2 * len(chosen), 0, comparison.run_steps(planned, chosen))
    with stoppable() as should_stop:
        try:
            with reporting(tally) as on_event:
                pairs = comparison.compare_runs(planned, chosen, on_event, should_stop, kernels)
        except Interrupted:
            raise Interrupted("stopped: nothing was compared, and nothing is kept.") from None
    print(comparison_text.table(pairs))
    print(comparison_text.summary(pairs, tolerance))
    if not all(pair.is_right(tolerance) for pair in pairs):
        raise typer.Exit(1)


def _say(text: str) -> None:
    print(f"dlnsweep: {text}", file=sys.stderr, flush=True)
