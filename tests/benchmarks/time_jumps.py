"""Errors of time jumps and their estimates: `python -m tests.benchmarks.time_jumps [--csv FILE]`.

With `--momentum` the same runs by momentum and Nesterov's, of 0.5 to 0.99. With `--following` all
jumps follow the fast part as it turns (`jumps/euler.py`), which elsewhere few of so short runs do.

The random runs of tests/samples/jump_samples.py: how far records by `sweep.kernel = "jumps"` are
from the generic way, step by step in float64, and what the estimate said of that. One row a run,
written after every family, so that a benchmark that is stopped has left what it found.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# Before NumPy starts: threads that wait for each other make small products many times slower.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))

import jump_samples as samples  # noqa: E402

from dlnsweep.jumps import walk  # noqa: E402
from tests.benchmarks.tables import Table, machine  # noqa: E402


def main() -> int:
    """Print the worst of the runs, and write all of them if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--families", type=int, default=32)
    parser.add_argument("--momentum", action="store_true")
    parser.add_argument("--following", action="store_true")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    columns = ["family", "network", "learning rate", "weight decay", "init scale", "ending",
               "steps", "estimate", "error", "where"]  # fmt: skip
    descent, family = "gradient descent", samples.family
    if arguments.momentum:
        columns += ["momentum", "optimizer"]
        descent, family = "momentum and Nesterov's", samples.with_memory
    table = Table(
        f"Errors of time jumps beside {descent} step by step, and their estimates "
        f"(tolerance {samples.TOLERANCE:g})",
        columns,
    )
    if arguments.following:
        # As if they were for nothing.
        walk.dearer = lambda *_: 1e-3
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
