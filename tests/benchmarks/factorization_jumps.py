"""Long factorizations: `python -m tests.benchmarks.factorization_jumps [--csv FILE] [--whole]`.

All entries of a matrix of 100 by 100 and rank 5, by gradient descent on Gaussian layers of a tenth
of the size of unit variance, fitted within some hundred steps, and a million steps in all or more:
by time jumps (`jumps/layers.py`) and by the dense kernel, float64, in turns, in processor seconds.
The dense kernel takes some thousand steps, from which its million is extrapolated; errors are by
the records that both have. With `--whole` it takes the million steps of the first row.
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

import jump_samples as samples  # noqa: E402
import numpy as np  # noqa: E402

from dlnsweep.engine.programs import PROGRAMS  # noqa: E402
from dlnsweep.plan.plan import make_plan  # noqa: E402
from dlnsweep.spec.sweep import Sweep  # noqa: E402
from tests.benchmarks.tables import Table, machine  # noqa: E402

_SIZE, _RANK, _NORM, _TOLERANCE = 100, 5, 100.0, 1e-6
# Below the limit of stability of each depth: 1 / (L sigma^(2 - 2/L)) at a singular value of 45.
_RATES = {2: 5e-3, 3: 1e-3, 4: 4e-4}
_STEPS, _TURNS = 4000, 3
# Depth, weight decay, steps, records.
CASES = [
    (3, 0.0, 10**6, 20),
    (3, 0.0, 10**6, 100),
    (3, 0.0, 10**9, 20),
    (2, 0.0, 10**6, 20),
    (4, 0.0, 10**6, 20),
    (3, 1e-3, 10**6, 20),
    (3, 1e-5, 10**6, 20),
]


def document(depth: int, decay: float, steps: int, records: int) -> dict[str, Any]:
    """Return a sweep of one run; its records begin as those of a longer one do."""
    return {
        "name": "factorization",
        "problem": {"kind": "matrix_completion", "num_rows": _SIZE, "num_columns": _SIZE,
                    "rank": _RANK, "num_observed": _SIZE**2, "target_norm": _NORM,
                    "loss": "half_sum"},
        "network": {"kind": "deep_linear", "depth": depth, "width": _SIZE,
                    "layer_init_scale": 0.1},
        "training": {"learning_rate": _RATES[depth], "num_steps": steps, "weight_decay": decay},
        "record": {"count": records, "observables": ["loss", "singular_values"]},
        "sweep": {"tolerance": _TOLERANCE},
    }  # fmt: skip


def trained(case: dict[str, Any], kernel: str) -> tuple[float, Any]:
    """Return the processor seconds of a run, once it is planned, and the run."""
    own = case | {"sweep": case["sweep"] | {"kernel": kernel}}
    plan = make_plan(Sweep.from_dict(own))
    began = time.process_time()
    found = samples.planned_runs.train(plan)
    return time.process_time() - began, found


def error(found: Any, judge: Any) -> float:
    """Return the largest deviation of a recorded number from the judge's."""
    return max(
        float(np.max(samples.judged(name, found.observables[name][0], values[0])))
        for name, values in judge.observables.items()
    )


def measured(case: tuple[int, float, int, int], whole: bool) -> list[Any]:
    """Return a row of the table."""
    depth, decay, steps, _ = case
    short = document(depth, decay, _STEPS, 20)
    PROGRAMS.clear()
    first, found = trained(document(*case), "jumps")
    # Compiled for its steps by a run of its own.
    judge = trained(short, "dense")[1]
    times: dict[str, list[float]] = {"jumps": [], "dense": []}
    for _ in range(_TURNS):
        seconds, found = trained(document(*case), "jumps")
        times["jumps"].append(seconds)
        seconds, judge = trained(short, "dense")
        times["dense"].append(seconds / _STEPS * steps)
    wrong = error(trained(short, "jumps")[1], judge)
    again, dense, to = median(times["jumps"]), median(times["dense"]), _STEPS
    if whole:
        dense, judge = trained(document(*case), "dense")
        wrong, to = error(found, judge), steps
    counts = re.findall(r"[\d,]*\d", found.kernel_reason[0])
    taken, _, jumps = (int(each.replace(",", "")) for each in counts)
    estimate = float(found.truncation_error[0])
    times_faster = [dense / each for each in (first, again)]
    return [*case, taken, jumps, first, again, dense, *times_faster, estimate, wrong, to]


def main() -> int:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--whole", action="store_true")
    arguments = parser.parse_args()
    where = machine()
    table = Table(
        f"Factorizations of {_SIZE} by {_SIZE} entries: processor seconds",
        ["depth", "weight decay", "steps", "records", "steps taken", "jumps", "at first", "again",
         "dense", "times faster at first", "again faster", "estimate", "error", "until"],
    )  # fmt: skip
    for number, case in enumerate(CASES):
        table.add(*measured(case, arguments.whole and number == 0))
        table.keep_last(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
