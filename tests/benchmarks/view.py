"""`dlnsweep view` on a million rows: seconds from a change to its answer, and the server's memory.

    python -m tests.benchmarks.view [--csv results/kept/speed/view.csv]

The rows are synthetic (tests/benchmarks/million.py): 5000 runs, 50 weight decays, 200 records each.
What is timed is all that the server does for a change, its JSON included: the least of five (and of
their CPU seconds, which a busy machine does not stretch so), beside the first, which reads files.
The memory is the height of the whole process.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks import million
from tests.benchmarks.tables import Table, machine

DECAY = "training.weight_decay"
CHANGES: dict[str, dict[str, Any]] = {
    "curves": {"kind": "curves", "y": ["regression_error"]},
    "curves, 50 hues": {"kind": "curves", "y": ["regression_error"], "hue": DECAY},
    "final": {"kind": "final", "y": ["regression_error"], "x": DECAY},
    "final at a step": {"kind": "final", "y": ["regression_error"], "x": DECAY, "at": "994"},
    "scatter": {"kind": "scatter", "x": "regression_error", "y": ["off_subspace_error"]},
    "heatmap": {"kind": "heatmap", "x": DECAY, "y_setting": "seed", "value": "regression_error"},
}


def main() -> int:
    """Measure each change, and print or keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dlnsweep-view-") as temporary:
        root = Path(temporary) / "million"
        # In a process of its own: what it takes to make them is not the page's.
        for job in ("plan", "fill"):
            million.measured(job, "--folder", str(root), "--runs", "5000", "--rows", "200")
        table = _measured(root)
    print(table.markdown())
    if arguments.csv:
        table.write_csv(arguments.csv, machine())
    return 0


def _measured(root: Path) -> Table:
    from dlnsweep.view.page import _drawn
    from dlnsweep.view.sweeps import Sweeps

    sweeps = Sweeps([str(root)])
    table = Table(
        "A change of the page, 1 000 000 rows",
        ["change", "seconds", "cpu_seconds", "first", "megabytes"],
    )
    for name, form in CHANGES.items():
        taken, worked = [], []
        for _ in range(6):
            began, cpu = time.perf_counter(), time.process_time()
            answer = json.dumps(_drawn(sweeps, [0], {**form, "where": []}, "", []), default=str)
            taken.append(time.perf_counter() - began)
            worked.append(time.process_time() - cpu)
            assert '"data": [{' in answer, answer[:300]
        height = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        table.add(name, min(taken[1:]), min(worked[1:]), taken[0], height)
    return table


if __name__ == "__main__":
    sys.exit(main())
