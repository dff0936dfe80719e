"""What settings of a step cost when they are on: `python -m tests.benchmarks.step_settings`.

A tanh network (two layers, m = 20, k = 64, d = 10) by the generic way, two runs of a batch, trained
with each setting that adds to a step beside the plain one, in turns. Steps alone are timed, as the
difference of two lengths; time is that on a core, which other programs hardly change. The process
is pinned to one core, as the engine's workers are: XLA would spread random numbers over several,
which takes up to twice as long on them together.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.tables import Table, machine
from tests.benchmarks.timing import in_turns

PLAIN = "none"
CASES: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "ema_decay": {"ema_decay": 0.999},
    "sam_radius": {"sam_radius": 0.05},
    "clip_norm": {"clip_norm": 1.0},
    "label_noise": {"label_noise": 0.1},
    "schedule": {"schedule": "cosine", "schedule_steps": 100, "schedule_end": 0.1},
    "warmup_steps": {"warmup_steps": 100},
    "learning_rate_factors": {"learning_rate_factors": "1, 0.5"},
    "weight_decay_factors": {"weight_decay": 1e-3, "weight_decay_factors": "1, 0.5"},
}
# Samples, precision, steps that are timed.
SIZES = (
    (20, "float64", 10_000), (20, "float32", 10_000),
    (200, "float64", 1_000), (200, "float32", 1_500),
)  # fmt: skip
_FEW, _RUNS = 100, 2


def document(samples: int, precision: str, steps: int, more: dict[str, Any]) -> dict[str, Any]:
    """Return the sweep."""
    return {
        "name": "step_settings",
        "problem": {
            "kind": "teacher", "signal_dim": 10, "measurement_dim": 20, "num_samples": samples,
        },
        "network": {"kind": "mlp", "depth": 2, "width": 64, "activation": "tanh"},
        "training": {"learning_rate": 1e-3, "num_steps": steps, **more},
        "record": {"count": 2, "observables": ["loss"]},
        "sweep": {"seeds": _RUNS, "kernel": "generic", "precision": precision},
    }  # fmt: skip


def training(samples: int, precision: str, steps: int, more: dict[str, Any]) -> Any:
    """Return a function that trains and returns the seconds on a core of a run-step."""
    import time

    from dlnsweep.engine.batch import train_batch
    from tests.benchmarks.ours import plan_of

    plans = [plan_of(document(samples, precision, each, more)) for each in (_FEW, _FEW + steps)]

    def seconds(plan: Any) -> float:
        began = time.process_time()
        train_batch(plan.settings, plan.shared, plan.program_widths[0])
        return time.process_time() - began

    def a_step() -> float:
        few, many = map(seconds, plans)
        return (many - few) / steps / _RUNS

    return a_step


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="for trying the script, not numbers")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    where = machine()
    print(where, flush=True)
    table = Table(
        f"what a setting adds to a step of a tanh network: microseconds on a core, {_RUNS} runs",
        ["samples", "precision", "setting", "a step", "beside none"],
    )
    for samples, precision, steps in SIZES[:1] if arguments.quick else SIZES:
        length, rounds = (200, 1) if arguments.quick else (steps, 9)
        found = in_turns(
            {name: training(samples, precision, length, more) for name, more in CASES.items()},
            rounds,
        )
        for name, taken in found.items():
            table.add(samples, precision, name, 1e6 * taken, taken / found[PLAIN])
        if arguments.csv:
            table.write_csv(arguments.csv, where)
    print(table.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
