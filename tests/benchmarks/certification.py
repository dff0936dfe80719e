"""Errors beside their estimates: `python -m tests.benchmarks.certification [--csv FILE]`.

The random networks of tests/reduced/test_certification.py with other seeds: how far the reduced
kernel is from plain gradient descent in NumPy, and what it said of that. One row a run, written
after every group, so that a benchmark that is stopped has left what it found.

With `--later` of each group of gradient descent the first networks alone, which take their later
steps in smaller bases (`reduced/later.py`) however small they are and however few steps are left.
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

from dlnsweep.reduced import later  # noqa: E402
from tests.benchmarks.tables import Table, machine  # noqa: E402

_DRAW = cases.draw


def draw(number: int) -> Any:
    """Return a group of the test's generator; every sixth has a fine tolerance, as there."""
    group = _DRAW(number)
    if number % 6 != 5 or group.momentum:
        return group
    fine = np.random.default_rng([number, 1]).uniform(-6.5, -5.0)
    return replace(group, tolerance=10**fine)


def settings_of(group: Any, lane: int) -> list[Any]:
    """Return what is random of a network, for the columns of `SETTINGS`."""
    # The targets have the singular values of the signals.
    values = np.linalg.svd(group.targets[lane], compute_uv=False)[: len(group.inputs[lane])]
    kind = ("nesterov" if group.nesterov else "momentum") if group.momentum else "gradient_descent"
    return [
        len(group.dims) - 1, " ".join(map(str, group.dims)), len(values),
        float(values[0] / values[-1]),
        "fan_in" if len(np.unique(group.rates[lane])) > 1 else "uniform",
        float(np.max(group.rates[lane])), float(group.decays[lane]), int(group.steps[-1]),
        group.tolerance, kind, group.momentum,
    ]  # fmt: skip


SETTINGS = [
    "depth", "sizes", "subspace dim", "condition number", "step rule", "learning rate",
    "weight decay", "num steps", "tolerance", "optimizer", "momentum",
]  # fmt: skip
_COLUMNS = ["group", "lane", *SETTINGS, "certificate", "estimate", "error"]
# What a run's bases and those of its later steps have of directions.
_LATER_COLUMNS = [*_COLUMNS, "directions", "later directions", "later from"]


def measure(table: Table, number: int, *, narrows: bool = False) -> float:
    """Add a row for each run of a group; return the largest error beside what is allowed."""
    group = draw(number)
    if narrows:
        group = group.only([*range(cases.USUAL_LANES)])
        found = [] if group.momentum else cases.outcomes_of(group, number, narrows=True)
    else:
        with mock.patch.object(cases, "draw", draw):
            found = cases.outcomes.__wrapped__(number)
    for lane, case in enumerate(found):
        row = [
            number, lane, *settings_of(group, lane),
            "refused" if case.prepared.refusal else "certified",
            case.prepared.estimate, float(np.max(case.errors)),
        ]  # fmt: skip
        if narrows:
            sizes, own = case.prepared.sizes, case.prepared.later
            row += [sum(sizes.forward) + sum(sizes.backward), 0, 0]
            if own:
                row[-2:] = sum(b.shape[1] for b in (*own.inner, *own.outer)), int(own.begins)
        table.add(*row)
    return max((case.ratio for case in found if not case.prepared.refusal), default=0.0)


def main() -> int:
    """Print the worst of the certified runs, and write all of them if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    # The test's own groups are those below.
    parser.add_argument("--first", type=int, default=cases.GROUPS)
    parser.add_argument("--groups", type=int, default=72)
    parser.add_argument("--later", action="store_true")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    if arguments.later:
        later._LEAST_FLOPS = later._PAYS = 0.0
    whose = " whose later steps have smaller bases" if arguments.later else ""
    table = Table(
        f"Errors of the reduced kernel{whose} beside plain gradient descent, and its estimates",
        _LATER_COLUMNS if arguments.later else _COLUMNS,
    )
    worst = 0.0
    for number in range(arguments.first, arguments.first + arguments.groups):
        worst = max(worst, measure(table, number, narrows=arguments.later))
        print(f"group {number}: worst error so far {worst:.3g} of what is allowed", flush=True)
        if arguments.csv:
            table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
