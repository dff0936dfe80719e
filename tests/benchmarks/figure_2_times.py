"""Figure 2's sizes beside the dense kernel: `python -m tests.benchmarks.figure_2_times`.

One reduced run for each dimension of the subspace, 30 000 steps to 1e-4, by whole commands in one
process with what they compile kept: processor seconds. The dense kernel's steps are counted from
two short runs, and the whole of it is extrapolated. `--only S` measures one dimension, `--csv FILE`
writes the table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import dlnsweep
from tests.benchmarks.figures_again import trained
from tests.benchmarks.floors import in_one_process
from tests.benchmarks.tables import Table, machine

FILE, STEPS, FLOOR = "fig2_subspace_dim", 30_000, 5
DIMENSIONS = (2, 4, 8, 16, 32)
_SHORT, _LONG = 200, 1400


def dense_seconds(dimension: int) -> tuple[float, float]:
    """Return the processor seconds of a dense run of all steps, extrapolated, and of a step."""
    settings = f"problem.subspace_dim={dimension} sweep.seeds=1 sweep.kernel=dense"
    short, long = (
        in_one_process(FILE, f"{settings} training.num_steps={steps}")[1]
        for steps in (_SHORT, _LONG)
    )
    step = (long - short) / (_LONG - _SHORT)
    return short + (STEPS - _SHORT) * step, step


def reduced_run(dimension: int, kernel: str) -> tuple[float, Any]:
    """Return the processor seconds of a run by a kernel, compiled before, and its outcome."""
    settings = [f"problem.subspace_dim={dimension}", "sweep.seeds=1", "sweep.tolerance=1e-4"]
    settings.append(f'sweep.kernel="{kernel}"')
    with tempfile.TemporaryDirectory() as folder:
        trained(FILE, settings, f"{folder}/first")
        place, seconds = trained(FILE, settings, f"{folder}/again")
        runs: Any = dlnsweep.open_results(str(place)).runs()
        return seconds, runs.iloc[0]


def main() -> int:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", type=int, choices=DIMENSIONS)
    parser.add_argument("--kernel", default="reduced")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    table = Table(
        f"Figure 2's sizes, one run of {STEPS} steps to 1e-4: processor seconds",
        ["s", "kernel", "trained by", "seconds", "dense", "a dense step", "dense over it", "floor",
         "estimate", "reason"],
    )  # fmt: skip
    for dimension in DIMENSIONS:
        if arguments.only in (None, dimension):
            dense, step = dense_seconds(dimension)
            seconds, run = reduced_run(dimension, arguments.kernel)
            table.add(dimension, arguments.kernel, run["kernel"], seconds, dense, step,
                      dense / seconds, FLOOR, float(run["truncation_error"]),
                      run["kernel_reason"])  # fmt: skip
            table.keep_last(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
