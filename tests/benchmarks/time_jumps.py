"""Errors of time jumps and their estimates: `python -m tests.benchmarks.time_jumps [--csv FILE]`.

With `--momentum` the same runs by momentum and Nesterov's, of 0.5 to 0.99. With `--layers` runs of
linear layers with more outputs than are decomposed (`jumps/layers.py`). With `--following` all
jumps follow the fast part as it turns (`jumps/euler.py`), which elsewhere few of so short runs do.

The random runs of tests/samples/jump_samples.py: how far records by `sweep.kernel = "jumps"` are
from the generic way, step by step in float64, and what the estimate said of that. One row a run,
written after every family, so that a benchmark that is stopped has left what it found.

With `--again FILE` those runs of a table alone whose estimate is known and above the tolerance, and
the others that have their learning rates, once more; all else stays as it stands in FILE.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before NumPy starts: threads that wait for each other make small products many times slower.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))

import jump_samples as samples  # noqa: E402

from dlnsweep.jumps import walk  # noqa: E402
from tests.benchmarks.tables import Table, machine  # noqa: E402


def retrain(
    path: Path, family: Callable[[int], dict[str, Any]], table: Table, where: str, to: Path | None
) -> None:
    """Fill a table with the rows of another, those above the tolerance made anew."""
    lines = path.read_text("utf-8").splitlines()
    numbers = csv.reader(line for line in lines if not line.startswith("#"))
    kept: list[list[Any]] = [*numbers][1:]
    rate_at, estimate_at = table.columns.index("learning rate"), table.columns.index("estimate")
    above: dict[int, list[str]] = {}
    for row in kept:
        if samples.TOLERANCE < float(row[estimate_at]) < math.inf:
            above.setdefault(int(row[0]), []).append(row[rate_at])
    for number, rates in above.items():
        document = family(number)
        axes = [axis.split(".") for axis in document["sweep"]["zip"][0]]
        every = [f"{rate:.4g}" for rate in document["training"]["learning_rate"]]
        # An axis has two values at least.
        places = sorted({*map(every.index, rates)} | ({0} if every[0] not in rates else {1}))
        for section, name in axes:
            values = document[section][name]
            document[section][name] = [values[place] for place in places]
        optimizer = document["training"].get("optimizer")
        new: dict[str, list[list[Any]]] = {}
        for case in samples.outcomes(document):
            row = [number, *case, optimizer][: len(table.columns)]
            new.setdefault(f"{case.learning_rate:.4g}", []).append(row)
            print(f"family {number}: {case.share:.3g} of what is allowed, {case}", flush=True)
        for place, row in enumerate(kept):
            if int(row[0]) == number and new.get(row[rate_at]):
                kept[place] = new[row[rate_at]].pop(0)
        table.rows[:] = kept
        if to:
            table.write_csv(to, where)


def main() -> int:
    """Print the worst of the runs, and write all of them if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--families", type=int, default=32)
    parser.add_argument("--momentum", action="store_true")
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--following", action="store_true")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--again", type=Path)
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    columns = ["family", "network", "learning rate", "weight decay", "init scale", "ending",
               "steps", "estimate", "error", "where"]  # fmt: skip
    descent, family = "gradient descent", samples.family
    if arguments.momentum:
        columns += ["momentum", "optimizer"]
        descent, family = "momentum and Nesterov's", samples.with_memory
    if arguments.layers:
        descent, family = "gradient descent of many outputs", samples.of_layers
    table = Table(
        f"Errors of time jumps beside {descent} step by step, and their estimates "
        f"(tolerance {samples.TOLERANCE:g})",
        columns,
    )
    if arguments.following:
        # As if they were for nothing.
        walk.dearer = lambda *_: 1e-3
    if arguments.again:
        retrain(arguments.again, family, table, where, arguments.csv)
        return 0
    worst = 0.0
    numbers = range(arguments.first, arguments.first + arguments.families, arguments.every)
    for number in numbers:
        document = family(number)
        optimizer = document["training"].get("optimizer")
        for case in samples.outcomes(document):
            table.add(*(number, *case, optimizer)[: len(columns)])
            worst = max(worst, case.share)
            if case.share > 1:
                print(f"family {number}: {case}", flush=True)
        print(f"family {number}: worst error so far {worst:.3g} of what is allowed", flush=True)
        if arguments.csv:
            table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
