"""What sharpness costs: `python -m tests.benchmarks.sharpness`.

The tanh network of tests/samples/own_networks.py (d = 20, m = 10, k = 64) by the generic way and by
vector instructions, which take the same records beside quicker steps, trained twice: with records
of the loss alone, and of the sharpness beside it. A record's cost is counted in steps: 60 records,
log-spaced, may take 20 % of 10^5 steps, 333 steps each. Time is that of one core, to which the
process is pinned.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from pathlib import Path
from typing import Any

from dlnsweep.numerics.runtime import usable_cores
from tests.benchmarks.own_network import PLUGIN, document
from tests.benchmarks.tables import Table, machine, verdict
from tests.benchmarks.timing import in_turns

_RECORDS, _STEPS, _MOST = 60, 10**5, 0.2


def training(samples: int, precision: str, kernel: str, steps: int, observables: list[str]) -> Any:
    """Return a function that trains two runs and returns the seconds on a core that it took."""
    import numpy as np

    from dlnsweep.engine.batch import train_batch
    from dlnsweep.plan.plan import make_plan
    from dlnsweep.spec.sweep import Sweep

    made = document(steps, [0, 1])
    made["problem"]["num_samples"] = samples
    made["record"] = {"observables": observables, "count": _RECORDS}
    made["sweep"] |= {"precision": precision, "kernel": kernel}
    plan = make_plan(Sweep.from_dict(made))
    columns = {key: column[np.arange(2)] for key, column in plan.settings.items()}

    def seconds() -> float:
        began = time.process_time()
        trained = train_batch(columns, plan.shared, plan.program_widths[plan.programs[0]])
        assert set(trained.kernel) == {kernel}
        return time.process_time() - began

    seconds()
    return seconds


def main() -> int:
    """Print the table."""
    import dlnsweep

    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="for trying the script, not numbers")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    dlnsweep.load_plugin(PLUGIN)
    where = machine()
    if hasattr(os, "sched_setaffinity"):
        # As workers are: else threads of XLA's that wait for each other are counted, too.
        os.sched_setaffinity(0, {usable_cores()[-1]})
    print(where, flush=True)
    few, steps, rounds = (100, 300, 1) if arguments.quick else (2000, 20000, 5)
    table = Table(
        "sharpness of a tanh network of width 64: microseconds on a core, two runs of a batch",
        [
            "samples",
            "precision",
            "kernel",
            "a step",
            "a record",
            "in steps",
            "share of 10^5 steps",
        ],
    )
    worst = 0.0
    works = itertools.product(
        ((20, "float64"), (200, "float64"), (200, "float32")), ("generic", "simd_samples")
    )
    for (samples, precision), kernel in works:
        wanted = samples, precision, kernel
        found = in_turns(
            {
                "few": training(*wanted, few, ["loss"]),
                "many": training(*wanted, steps, ["loss"]),
                "sharp": training(*wanted, steps, ["loss", "sharpness"]),
            },
            rounds,
        )
        step = (found["many"] - found["few"]) / (steps - few)
        # Log-spaced steps that coincide count once: some 50 records.
        record = (found["sharp"] - found["many"]) / records_of(steps)
        share = _RECORDS * record / step / _STEPS
        worst = max(worst, share)
        table.add(*wanted, 1e6 * step / 2, 1e6 * record / 2, record / step, share)
    table.notes.append(f"Allowed over the largest share: {verdict(_MOST / worst, 1.0)}.")
    print(table.markdown() if arguments.markdown else table.text())
    if arguments.csv:
        table.write_csv(arguments.csv, where)
    return 0


def records_of(steps: int) -> int:
    """Return how many steps are recorded."""
    from dlnsweep.contracts.schedule import record_steps
    from dlnsweep.settings.sections import RecordSettings

    return len(record_steps(RecordSettings(count=_RECORDS), steps))


if __name__ == "__main__":
    sys.exit(main())
