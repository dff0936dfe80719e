"""Where `auto` tries time jumps, and what they save: `python -m tests.benchmarks.jump_border`.

Of each network: the least number of steps from which jumps are tried
(`execution/ways/auto_jumps.py`), and what runs of a tenth, of as many and of ten times as many
take by jumps and by the fastest way of the steps of such small networks: vector instructions,
eight runs together. Steps are timed over some seconds; there are as many of them as are asked for.
Processor seconds, on one core; the ratio is that of a single run, which pays for compiling. Of runs
at the edge of stability, which jumps do not hold for: what is lost until they are trained by their
steps.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

# Before NumPy starts: threads that wait for each other make small products many times slower.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# Nothing is at hand that another process has compiled.
os.environ["DLNSWEEP_COMPILE_CACHE"] = "off"
sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))

import numpy as np  # noqa: E402

from dlnsweep.contracts.network import AUTO_JUMPS, AUTO_TAKES  # noqa: E402
from dlnsweep.engine import batch  # noqa: E402
from dlnsweep.engine.jumps import JumpProgram  # noqa: E402
from dlnsweep.engine.programs import PROGRAMS  # noqa: E402
from dlnsweep.execution.ways import auto_jumps  # noqa: E402
from dlnsweep.plan.plan import Plan, make_plan  # noqa: E402
from dlnsweep.spec.sweep import Sweep  # noqa: E402
from tests.benchmarks.tables import Table, machine  # noqa: E402

VECTOR, RUNS = 8, 3


def _subspace(depth: int, width: int, d: int = 12, m: int = 8, s: int = 2) -> dict[str, Any]:
    return {
        "problem": {"kind": "subspace", "signal_dim": d, "measurement_dim": m, "subspace_dim": s,
                    "num_samples": 40},
        "network": {"kind": "deep_linear", "depth": depth, "width": width},
    }  # fmt: skip


def _completion(size: int, depth: int) -> dict[str, Any]:
    return {
        "problem": {"kind": "matrix_completion", "num_rows": size, "num_columns": size, "rank": 1,
                    "num_observed": 2 * size, "target_norm": 2.0},
        "network": {"kind": "deep_linear", "depth": depth, "width": size, "layer_init_scale": 0.3},
    }  # fmt: skip


def _teacher(samples: int, **network: Any) -> dict[str, Any]:
    return {
        "problem": {"kind": "teacher", "signal_dim": 2, "measurement_dim": 4,
                    "num_samples": samples},
        "network": network,
    }  # fmt: skip


CASES: dict[str, dict[str, Any]] = {
    "linear, depth 2, 12 x 32 x 8": _subspace(2, 32),
    "linear, depth 3, width 32": _subspace(3, 32),
    "completion 5 x 5, depth 3": _completion(5, 3),
    "mlp, tanh, depth 2, width 10": _teacher(
        8, kind="mlp", depth=2, width=10, activation="tanh"
    ),
    "diagonal, depth 3": {
        "problem": {"kind": "teacher", "signal_dim": 1, "measurement_dim": 4, "num_samples": 8},
        "network": {"kind": "diagonal_linear", "depth": 3},
    },
}  # fmt: skip
# A rate with which each is at the edge of stability: jumps do not hold.
UNFIT: dict[str, float] = {
    "mlp, tanh, depth 2, width 10": 0.5,
    "linear, depth 3, width 32": 0.35,
}


class _Reached(Exception):
    """Runs have come to be trained by their steps."""


def planned(case: dict[str, Any], steps: int, runs: int, rate: float = 0.02, **sweep: Any) -> Plan:
    """Return the plan of some runs of a network."""
    document = {
        "name": "border",
        **case,
        "training": {"learning_rate": rate, "weight_decay": 1e-6, "num_steps": steps},
        "record": {"count": 40, "observables": ["loss", "parameter_norm"]},
        "sweep": {"seeds": runs, **sweep},
    }
    if case["problem"]["kind"] in ("subspace", "matrix_completion"):
        document["record"]["observables"] = ["loss"]
    return make_plan(Sweep.from_dict(document))


def trained(plan: Plan, told: dict[str, Any]) -> tuple[float, Any]:
    """Return the processor seconds that training runs takes, and the runs."""
    columns = {key: np.asarray(column) for key, column in plan.settings.items()}
    began = time.process_time()
    found = batch.train_batch(columns, {**plan.shared, **told}, plan.program_widths[0])
    return time.process_time() - began, found


def least_steps(case: dict[str, Any]) -> int:
    """Return the number of steps from which jumps are tried, to two digits."""
    choices = [digits * 10**power for power in range(4, 11) for digits in range(10, 100)]

    def is_tried(steps: int) -> bool:
        return bool(auto_jumps.taken_by(planned(case, steps, 1)).any())

    return choices[bisect_left(choices, x=True, key=is_tried)]


def a_step(case: dict[str, Any], seconds: float) -> tuple[float, str]:
    """Return what a run-step takes by vector instructions, in seconds, and what it was."""

    def take(count: int) -> tuple[float, Any]:
        return trained(planned(case, count, VECTOR), {AUTO_TAKES: "simd"})

    base = more = 100
    # So that no pilot is tried, which is slower (4 us a step and more).
    with mock.patch("dlnsweep.networks.layered.kind._LEAST_FLOPS", 1e30):
        while True:
            way = take(base + more)[1].kernel[0]
            taken = median(take(base + more)[0] - take(base)[0] for _ in range(3))
            if taken > seconds:
                return taken / more / VECTOR, way
            more *= 4 if taken > seconds / 30 else 20


def walked(plan: Plan, most: int) -> tuple[float, float, int, int]:
    """Return what a run takes until jumps are kept, or it would be trained by its steps.

    Returns:
        Processor seconds; those of compiling; gradients of its finer walks; how many are kept.
    """
    spent: list[int] = []
    told, kept = JumpProgram.told, plan.num_runs

    def noted(self: Any, carry: Any, *rest: Any) -> Any:
        spent.append(self.spent(carry))
        return told(self, carry, *rest)

    def reached(rows: Any, *_: Any) -> Any:
        nonlocal kept
        kept = plan.num_runs - len(rows["seed"])
        raise _Reached

    seconds = []
    with (
        mock.patch.object(JumpProgram, "told", noted),
        mock.patch.object(batch, "_train_steps", reached),
    ):
        # The first one compiles.
        for _ in range(2):
            spent.clear()
            began = time.process_time()
            with suppress(_Reached):
                trained(plan, {AUTO_JUMPS: most})
            seconds.append(time.process_time() - began)
    first, again = seconds
    return again / plan.num_runs, first - again, sum(spent) // plan.num_runs, kept


def rows(seconds: float, names: list[str]) -> Iterator[list[Any]]:
    """Return the rows of the table."""
    for name in names:
        case = CASES[name]
        border = least_steps(case)
        step, way = a_step(case, seconds)
        runs = [(steps, 0.02) for steps in (border // 10, border, 10 * border)]
        runs += [(border, UNFIT[name])] if name in UNFIT else []
        for steps, rate in runs:
            PROGRAMS.clear()
            plan = planned(case, steps, RUNS, rate)
            row, width = plan.row(0), plan.program_widths[0]
            most = auto_jumps.gradients_allowed(row, width)
            taken, compiling, gradients, kept = walked(plan, most or 10**9)
            yield [
                name, auto_jumps.outputs_of(row), rate, steps, "yes" if most else "no", way,
                1e6 * step, steps * step, compiling, taken, gradients, kept,
                steps * step / (taken + compiling),
            ]  # fmt: skip


def main() -> int:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5, help="that a turn should take")
    parser.add_argument("--cases", nargs="*", default=list(CASES))
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    table = Table(
        "Where auto tries time jumps: processor seconds a run, by its steps and by jumps",
        ["network", "outputs", "learning rate", "steps", "tried", "way of steps", "us a step",
         "by steps", "compiling", "walks", "gradients", "kept of 3", "ratio"],
    )  # fmt: skip
    for row in rows(arguments.seconds, arguments.cases):
        table.add(*row)
        print(row, flush=True)
        if arguments.csv:
            table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
