"""Figure 2's sizes beside the dense kernel: `python -m tests.benchmarks.figure_2_times`.

One run for each dimension of the subspace, 30 000 steps, the reduced kernel to 1e-4: processor
seconds of a whole command in one process, and of a run in a session of Python that has run it
before, as the runs of a grid are. What is compiled is kept by an earlier run, in both. The dense
kernel's steps are counted from two short runs of the same, and the whole of it is extrapolated.
`--only S` measures one dimension, `--csv FILE` writes the table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import dlnsweep
from dlnsweep.execution import comparison
from dlnsweep.execution.warm_start import plan_of
from dlnsweep.spec.sweep import Sweep
from tests.benchmarks.figures_again import trained
from tests.benchmarks.floors import in_a_session, in_one_process
from tests.benchmarks.tables import Table, machine

FILE, STEPS, FLOOR = "fig2_subspace_dim", 30_000, 5
DIMENSIONS = (2, 4, 8, 16, 32)
# The reduced kernel certifies no runs of the others: these networks are too narrow for them.
REDUCED, SEEDS = DIMENSIONS[:3], 3
_SHORT, _LONG = 200, 1400
OBSERVABLES = ("regression_error", "off_subspace_error")


def of_all(short: float, long: float) -> tuple[float, float]:
    """Return the seconds of all steps, and of one, from those of two short runs."""
    step = (long - short) / (_LONG - _SHORT)
    return short + (STEPS - _SHORT) * step, step


def dense_seconds(dimension: int) -> tuple[float, float, float]:
    """Return the seconds of a dense run as a command, in a session, and of a step there."""
    both = f"problem.subspace_dim={dimension}", "sweep.seeds=1", "sweep.kernel=dense"
    asked = [" ".join((*both, f"training.num_steps={steps}")) for steps in (_SHORT, _LONG)]
    command, _ = of_all(*(in_one_process(FILE, each)[1] for each in asked))
    return command, *of_all(*(in_a_session(FILE, each)[0] for each in asked))


def reduced_run(dimension: int, kernel: str) -> tuple[float, float, Any]:
    """Return the seconds of a run by a kernel as a command and in a session, and its outcome."""
    settings = [f"problem.subspace_dim={dimension}", "sweep.seeds=1", "sweep.tolerance=1e-4"]
    settings.append(f'sweep.kernel="{kernel}"')
    with tempfile.TemporaryDirectory() as folder:
        trained(FILE, settings, f"{folder}/first")
        place, seconds = trained(FILE, settings, f"{folder}/again")
        runs: Any = dlnsweep.open_results(str(place)).runs()
        return seconds, in_a_session(FILE, " ".join(settings))[0], runs.iloc[0]


def errors(dimension: int) -> list[tuple[Any, ...]]:
    """Return for each seed the estimate, and each observable's deviation and where it is."""
    settings = [f"problem.subspace_dim={dimension}", f"sweep.seeds={SEEDS}", "sweep.tolerance=1e-4"]
    plan = plan_of(Sweep.from_file(f"sweeps/{FILE}.toml", settings))
    pairs = comparison.compare_runs(plan, range(plan.num_runs))
    found: list[tuple[Any, ...]] = []
    for seed, pair in enumerate(pairs):
        deviations = [pair.deviations[name] for name in OBSERVABLES]
        parts = [number for each in deviations for number in (each.largest, each.step)]
        found.append((dimension, seed, pair.estimate, *parts))
    return found


def of_errors(dimensions: list[int], csv: Path | None) -> None:
    """Print the table of errors, and write it if asked."""
    where = machine()
    table = Table(
        f"Figure 2's sizes, {STEPS} steps, reduced to 1e-4: deviations from the dense kernel",
        ["s", "seed", "estimate", *(part for name in OBSERVABLES for part in (name, f"{name} at"))],
    )  # fmt: skip
    for dimension in dimensions:
        for row in errors(dimension):
            table.add(*row)
            table.keep_last(csv, where)


def main() -> int:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("--only", type=int, choices=DIMENSIONS)
    parser.add_argument("--kernel", default="reduced")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    if arguments.errors:
        of_errors([s for s in REDUCED if arguments.only in (None, s)], arguments.csv)
        return 0
    where = machine()
    table = Table(
        f"Figure 2's sizes, one run of {STEPS} steps to 1e-4: processor seconds",
        ["s", "kernel", "trained by", "seconds", "dense", "dense over it", "in a session",
         "dense there", "dense over it there", "a dense step", "floor", "estimate", "reason"],
    )  # fmt: skip
    for dimension in DIMENSIONS:
        if arguments.only in (None, dimension):
            dense, there, step = dense_seconds(dimension)
            seconds, session, run = reduced_run(dimension, arguments.kernel)
            table.add(dimension, arguments.kernel, run["kernel"], seconds, dense, dense / seconds,
                      session, there, there / session, step, FLOOR,
                      float(run["truncation_error"]), run["kernel_reason"])  # fmt: skip
            table.keep_last(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
