"""Jumps where weight decay vanishes: `python -m tests.benchmarks.jumps_by_decay [--csv FILE]`.

Runs of twelve e-foldings of the first layer, by plain jumps alone and by both kinds
(`jumps/euler.py`); and 10^6 steps at a decay of 1e-4 beside 10^9 at 1e-7. Medians over networks of
real steps, jumps and processor seconds, both walks included and compiling not.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

# Before NumPy starts: threads that wait for each other make small products many times slower.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))

import planned_runs  # noqa: E402

from dlnsweep.engine.programs import PROGRAMS  # noqa: E402
from dlnsweep.jumps import euler, walk  # noqa: E402
from dlnsweep.plan.plan import make_plan  # noqa: E402
from dlnsweep.spec.sweep import Sweep  # noqa: E402
from tests.benchmarks.jump_times import RATE, sweep  # noqa: E402
from tests.benchmarks.tables import Table, machine  # noqa: E402

DECAYS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
CASES = [(decay, round(12 / (RATE * decay))) for decay in DECAYS]
CASES += [(1e-4, 10**6), (1e-7, 10**9)]
KINDS = {"plain": lambda *_: float("inf"), "both": euler.dearer}


def measured(document: dict[str, Any], networks: int) -> list[float]:
    """Return the medians of real steps, jumps, processor seconds, and the largest estimate."""
    document["sweep"]["seeds"] = networks
    plan = make_plan(Sweep.from_dict(document))
    found = []
    for run in range(networks):
        began = time.process_time()
        trained = planned_runs.train(plan, [run])
        seconds = time.process_time() - began
        counts = re.findall(r"[\d,]*\d", trained.kernel_reason[0])
        steps, _, jumps = (int(each.replace(",", "")) for each in counts)
        found.append((steps, jumps, seconds, float(trained.truncation_error[0])))
    *medians, estimates = zip(*found, strict=True)
    return [*map(median, medians), max(estimates)]


def main() -> int:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=4)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    table = Table(
        f"Jumps where weight decay vanishes: medians over {arguments.networks} networks",
        ["depth", "weight decay", "steps", "kind", "steps taken", "jumps", "seconds", "estimate"],
    )
    for kind in arguments.kinds:
        walk.dearer = KINDS[kind]
        PROGRAMS.clear()
        for depth in (2, 3):
            # Compiled by a run of its own.
            measured(sweep(depth, *CASES[-2]), 1)
            for case in CASES:
                found = measured(sweep(depth, *case), arguments.networks)
                table.add(depth, *case, kind, *found)
                table.keep_last(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
