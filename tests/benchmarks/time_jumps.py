"""Errors of time jumps and their estimates: `python -m tests.benchmarks.time_jumps [--csv FILE]`.

With `--momentum` the same runs by momentum and Nesterov's, of 0.5 to 0.99. With `--layers` runs of
linear layers with more outputs than are decomposed (`jumps/layers.py`). With `--following` all
jumps follow the fast part as it turns (`jumps/euler.py`), which elsewhere few of so short runs do.
With `--kind` the runs of tests/samples/jump_starts.py that begin where jumps have it hard: wide
networks, the edge of stability, escapes from a saddle, and deep priors; with `--momentum`, too, the
same of 0.5 to 0.98.

The random runs of tests/samples/jump_samples.py: how far records by `sweep.kernel = "jumps"` are
from the generic way, step by step in float64, and what the estimate said of that. One row a run,
written after every family, so that a benchmark that is stopped has left what it found.

With `--again FILE` those runs of a table alone whose estimate is known and above the tolerance, and
the others that have their learning rates, once more; all else stays as it stands in FILE.

With `--describe FILE` a table gets the columns of what is random of its runs that it has not: they
are drawn once more, and held against what the table has of each.
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
import jump_starts as starts  # noqa: E402

from dlnsweep.jumps import walk  # noqa: E402
from tests.benchmarks.tables import Table, machine, written  # noqa: E402

_RESULTS = ["family", "network", "learning rate", "weight decay", "init scale", "ending", "steps",
            "estimate", "error", "where"]  # fmt: skip
_MEMORY = ["momentum", "optimizer"]
_PATH = ["loss at first", "rests until", "loss at last", "rate times curvature at first"]


def columns_of(*, momentum: bool) -> list[str]:
    """Return the columns of a table."""
    return [*_RESULTS, *(_MEMORY if momentum else []), *samples.SETTINGS, *_PATH]


def rows_of(number: int, document: dict[str, Any], table: Table) -> list[samples.Case]:
    """Add the rows of a document; return its cases."""
    optimizer = document["training"].get("optimizer")
    cases = samples.outcomes(document)
    for case, steepness in zip(cases, samples.steepness(document), strict=True):
        own: list[Any] = list(case[: len(_RESULTS) - 1])
        own += [case.momentum, optimizer] if "optimizer" in table.columns else []
        table.add(number, *own, *case.settings, *case.path, float(steepness))
    return cases


def kept_in(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table that was written."""
    lines = path.read_text("utf-8").splitlines()
    return [*csv.DictReader(line for line in lines if not line.startswith("#"))]


def describe(path: Path, family: Callable[[int], dict[str, Any]]) -> None:
    """Add to a table what is random of its runs; refuse where they are not those that are drawn."""
    title, where = (line.removeprefix("# ") for line in path.read_text("utf-8").splitlines()[:2])
    rows = kept_in(path)
    columns = [name for name in rows[0] if name not in samples.SETTINGS]
    table = Table(title, [*columns, *samples.SETTINGS])
    for number in dict.fromkeys(row["family"] for row in rows):
        own = [row for row in rows if row["family"] == number]
        for row, run in zip(own, samples.planned(family(int(number))), strict=True):
            said, drawn = [row[name] for name in _RESULTS[1:5]], [*map(written, run[:4])]
            if said != drawn:
                raise SystemExit(f"family {number}: the table has {said}, and drawn is {drawn}")
            table.add(*(row[name] for name in columns), *run[4:])
    table.write_csv(path, where)


def retrain(
    path: Path, family: Callable[[int], dict[str, Any]], table: Table, where: str, to: Path | None
) -> None:
    """Fill a table with the rows of another, those above the tolerance made anew.

    It has the columns of the other, which may be older and have none for what is told of a path.
    """
    full, before = table.columns, kept_in(path)
    table.columns = [name for name in full if name in before[0]]
    kept: list[list[Any]] = [[row[name] for name in table.columns] for row in before]
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
        made = Table(table.title, full)
        for case in rows_of(number, document, made):
            print(f"family {number}: {case.share:.3g} of what is allowed, {case}", flush=True)
        new: dict[str, list[list[Any]]] = {}
        for row in made.rows:
            own = [value for name, value in zip(full, row, strict=True) if name in before[0]]
            new.setdefault(f"{own[rate_at]:.4g}", []).append(own)
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
    parser.add_argument("--kind", choices=sorted(starts.KINDS))
    parser.add_argument("--again", type=Path)
    parser.add_argument("--describe", type=Path)
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    descent, family = "gradient descent", samples.family
    if arguments.momentum:
        descent, family = "momentum and Nesterov's", samples.with_memory
    if arguments.layers:
        descent, family = "gradient descent of many outputs", samples.of_layers
    if arguments.kind:
        by_kind = starts.with_memory if arguments.momentum else starts.KINDS.__getitem__
        family = by_kind(arguments.kind)
    if arguments.describe:
        describe(arguments.describe, family)
        return 0
    table = Table(
        f"Errors of time jumps beside {descent} step by step, and their estimates "
        f"(tolerance {samples.TOLERANCE:g})",
        columns_of(momentum=arguments.momentum),
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
        for case in rows_of(number, family(number), table):
            worst = max(worst, case.share)
            if case.share > 1:
                print(f"family {number}: {case}", flush=True)
        print(f"family {number}: worst error so far {worst:.3g} of what is allowed", flush=True)
        if arguments.csv:
            table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
