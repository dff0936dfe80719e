"""Errors beside their estimates: `python -m tests.benchmarks.certification [--csv FILE]`.

The random networks of tests/reduced/test_certification.py with other seeds: how far the reduced
kernel is from plain gradient descent in NumPy, and what it said of that. One row a run, written
after every group, so that a benchmark that is stopped has left what it found.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any
from unittest import mock

# Before NumPy starts: threads that wait for each other make small products many times slower.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "reduced"))

from dataclasses import replace  # noqa: E402

import numpy as np  # noqa: E402
import test_certification as cases  # noqa: E402

from tests.benchmarks.tables import Table, machine  # noqa: E402

_DRAW = cases.draw


def draw(number: int) -> Any:
    """Return a group of the test's generator; every sixth has a fine tolerance, as there."""
    group = _DRAW(number)
    if number % 6 != 5 or group.momentum:
        return group
    fine = np.random.default_rng([number, 1]).uniform(-6.5, -5.0)
    return replace(group, tolerance=10**fine)


def measure(table: Table, number: int) -> float:
    """Add a row for each run of a group; return the largest error beside what is allowed."""
    group = draw(number)
    with mock.patch.object(cases, "draw", draw):
        found = cases.outcomes.__wrapped__(number)
    for lane, case in enumerate(found):
        table.add(
            number, lane, len(group.dims) - 1, case.tolerance, group.momentum,
            "refused" if case.prepared.refusal else "certified",
            case.prepared.estimate, float(np.max(case.errors)),
        )  # fmt: skip
    return max((case.ratio for case in found if not case.prepared.refusal), default=0.0)


def main() -> int:
    """Print the worst of the certified runs, and write all of them if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    # The test's own groups are those below.
    parser.add_argument("--first", type=int, default=cases.GROUPS)
    parser.add_argument("--groups", type=int, default=72)
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    table = Table(
        "Errors of the reduced kernel beside plain gradient descent, and its estimates",
        ["group", "lane", "depth", "tolerance", "momentum", "certificate", "estimate", "error"],
    )
    worst = 0.0
    for number in range(arguments.first, arguments.first + arguments.groups):
        worst = max(worst, measure(table, number))
        print(f"group {number}: worst error so far {worst:.3g} of what is allowed", flush=True)
        if arguments.csv:
            table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
