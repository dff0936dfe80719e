"""Up to which step vector instructions pay: `python -m tests.benchmarks.simd_border`.

Networks of two layers and of three, by `sweep.kernel = "simd"` and by the generic way in turns, in
a process on one core, as a worker is: float64, a vector of runs, and eight vectors. Steps
alone are timed, as the difference of two lengths, by the time of the process on its core: what
other programs take of it does not count.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

from dlnsweep.numerics.runtime import usable_cores
from tests.benchmarks.pinned import Pinned
from tests.benchmarks.tables import Table, machine
from tests.benchmarks.timing import in_turns

_SHORT = 20
KERNELS = ("simd", "generic")
RUNS = (8, 64)
# Activation, inputs, width, samples, layers, optimizer.
CASES = (
    ("relu", 10, 16, 20, 2, "gradient_descent"),
    ("tanh", 5, 8, 10, 3, "adam"),
    ("relu", 10, 16, 40, 2, "gradient_descent"),
    ("tanh", 10, 16, 20, 3, "adam"),
    ("relu", 20, 32, 50, 2, "gradient_descent"),
    ("relu", 20, 32, 200, 2, "gradient_descent"),
)


def document(case: tuple[Any, ...], kernel: str, steps: int, runs: int) -> dict[str, Any]:
    """Return a sweep of some runs of a network."""
    activation, inputs, width, samples, layers, optimizer = case
    return {
        "name": "border",
        "problem": {"kind": "teacher", "signal_dim": 1, "measurement_dim": inputs,
                    "num_samples": samples},
        "network": {"kind": "mlp", "depth": layers, "width": width, "activation": activation},
        "training": {"learning_rate": 1e-3, "num_steps": steps, "optimizer": optimizer},
        "record": {"observables": ["loss"], "count": 2},
        "sweep": {"seeds": runs, "kernel": kernel},
    }  # fmt: skip


def operations(case: tuple[Any, ...]) -> int:
    """Return the operations of a step, as outcomes have them."""
    from dlnsweep.engine.batch import train_batch
    from tests.benchmarks.ours import plan_of

    plan = plan_of(document(case, "simd", 1, 1))
    trained = train_batch(plan.settings, plan.shared, plan.program_widths[0])
    assert trained.kernel == ["simd"], trained.kernel_reason
    return int(trained.kernel_reason[0].rpartition(", ")[2].split()[0].replace(",", ""))


def measured(
    process: Pinned, case: tuple[Any, ...], runs: int, rounds: int, seconds: float
) -> dict[str, float]:
    """Return the seconds a run-step of each kernel."""

    def take(kernel: str, steps: int) -> float:
        (one,) = process.call("train", [{"document": document(case, kernel, steps, runs)}])
        return one["answer"]["core"]

    def length(kernel: str) -> int:
        steps = 50
        while True:
            # The first call of a process compiles.
            take(kernel, _SHORT)
            taken = take(kernel, _SHORT + steps) - take(kernel, _SHORT)
            if taken > seconds / 2:
                return steps
            steps *= 2 if taken > seconds / 8 else 5

    def a_run_step(kernel: str, steps: int) -> float:
        return (take(kernel, _SHORT + steps) - take(kernel, _SHORT)) / steps / runs

    return in_turns({k: partial(a_run_step, k, length(k)) for k in KERNELS}, rounds)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="for trying the script, not numbers")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    rounds, seconds = (1, 0.05) if arguments.quick else (5, 0.3)
    where = machine()
    print(where, flush=True)
    table = Table(
        "where vector instructions pay, float64, one core: microseconds of the process a run-step",
        ["step", "operations", "runs", *KERNELS, "generic / simd"],
    )
    core = usable_cores()[-1]
    with Pinned([core]) as process:
        for case in CASES:
            activation, inputs, width, samples, layers, optimizer = case
            name = f"{activation}, {layers} layers, d = {inputs}, k = {width}, n = {samples}"
            name += ", adam" * (optimizer == "adam")
            count = operations(case)
            for runs in RUNS:
                found = measured(process, case, runs, rounds, seconds)
                table.add(
                    name, count, runs, *(1e6 * found[k] for k in KERNELS),
                    found["generic"] / found["simd"],
                )  # fmt: skip
                if arguments.csv:
                    table.write_csv(arguments.csv, where)
    print(table.markdown() if arguments.markdown else table.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
