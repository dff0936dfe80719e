"""What `plan` tells of time jumps: `python -m tests.benchmarks.jump_times [--csv FILE]`.

A run's processor time beside what the first seconds of its walk say of it (`engine/pace.py`), over
depths, weight decays and lengths. Processor time, so that a busy machine does not matter.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

# Before NumPy starts: threads that wait for each other make small products many times slower.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))

import numpy as np  # noqa: E402
import planned_runs  # noqa: E402

from dlnsweep.engine.pace import paced  # noqa: E402
from dlnsweep.engine.programs import PROGRAMS  # noqa: E402
from dlnsweep.numerics.runtime import numerics  # noqa: E402
from dlnsweep.plan.plan import make_plan  # noqa: E402
from dlnsweep.spec.sweep import Sweep  # noqa: E402
from tests.benchmarks.tables import Table, machine  # noqa: E402

RATE = 0.05
# Depth, weight decay, steps.
CASES = [
    *((depth, decay, round(12 / (RATE * decay))) for depth in (2, 3, 4)
      for decay in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)),
    *((depth, 1e-8, steps) for depth in (2, 4) for steps in (10**7, 2 * 10**8, 6 * 10**9)),
    *((depth, 0.0, steps) for depth in (2, 4) for steps in (10**6, 10**8, 10**10)),
]  # fmt: skip
# Seconds that are walked, of runs that take up to some twenty.
WALKED = (0.3, 1.0)


def sweep(depth: int, decay: float, steps: int) -> dict[str, Any]:
    """Return the sweep of one run."""
    return {
        "name": "jump_times",
        "problem": {"kind": "subspace", "signal_dim": 12, "measurement_dim": 8,
                    "subspace_dim": 2, "num_samples": 40},
        "network": {"depth": depth, "width": 32},
        "training": {"learning_rate": RATE, "weight_decay": decay, "num_steps": steps},
        "record": {"count": 60, "observables": ["regression_error", "off_subspace_error"]},
        "sweep": {"kernel": "jumps", "tolerance": 1e-6},
    }  # fmt: skip


def measure(table: Table, case: tuple[int, float, int]) -> None:
    """Add a row for each time that is walked."""
    plan = make_plan(Sweep.from_dict(sweep(*case)))
    columns = {key: np.asarray(column) for key, column in plan.settings.items()}
    with numerics():
        program: Any = PROGRAMS.dense(plan.row(0), plan.program_widths[plan.programs[0]], 1)
        told = [paced(program, plan.row(0), columns, most) for most in WALKED]
    began = time.process_time()
    planned_runs.train(plan)
    taken = time.process_time() - began
    for most, each in zip(WALKED, told, strict=True):
        table.add(*case, taken, most, each.walked, each.seconds, each.seconds / taken)


def main() -> int:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    table = Table(
        "Processor seconds of a run by time jumps, and what its first seconds say",
        ["depth", "weight decay", "steps", "seconds", "walked for", "records", "told", "ratio"],
    )
    with mock.patch("time.perf_counter", time.process_time):
        for case in CASES:
            measure(table, case)
            print(table.rows[-2:], flush=True)
            if arguments.csv:
                table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
