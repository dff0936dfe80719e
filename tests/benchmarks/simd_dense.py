"""Where vector instructions pay beside a kernel by hand: `python -m tests.benchmarks.simd_dense`.

Networks that have a dense kernel, trained by it and by its own steps as vector instructions, as
`sweep.kernel = "auto"` has them: in turns, in a process on one core, as a worker is; float64, a
vector of runs, and eight vectors. Steps alone are timed, as the difference of two lengths, by the
time of the process on its core: what other programs take of it does not count.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

from dlnsweep.contracts.network import AUTO_TAKES
from dlnsweep.numerics.runtime import usable_cores
from tests.benchmarks.pinned import Pinned
from tests.benchmarks.tables import Table, machine
from tests.benchmarks.timing import in_turns

_SHORT = 20
# What a sweep asks for, and what its folder says.
KERNELS: dict[str, tuple[str, dict[str, str]]] = {
    "simd": ("auto", {AUTO_TAKES: "simd"}),
    "dense": ("dense", {}),
}
RUNS = (8, 64)


def _linear(depth: int, size: int, samples: int, **more: Any) -> dict[str, Any]:
    """Return layers of size x size on samples of full rank."""
    return {
        "problem": {"kind": "teacher", "signal_dim": size, "measurement_dim": size,
                    "num_samples": samples},
        "network": {"kind": "deep_linear", "depth": depth, "width": size},
        **more,
    }  # fmt: skip


def _subspace(depth: int, size: int) -> dict[str, Any]:
    """Return the same on samples of rank one."""
    return {
        "problem": {"kind": "subspace", "signal_dim": size, "measurement_dim": size,
                    "subspace_dim": 1, "num_samples": size},
        "network": {"kind": "deep_linear", "depth": depth, "width": size},
    }  # fmt: skip


def _completion(depth: int, size: int) -> dict[str, Any]:
    return {
        "problem": {"kind": "matrix_completion", "num_rows": size, "num_columns": size,
                    "rank": 1, "num_observed": size * size // 2 + 1},
        "network": {"kind": "deep_linear", "depth": depth, "width": size},
    }  # fmt: skip


_ADAM = {"training": {"optimizer": "adam"}}
CASES: dict[str, dict[str, Any]] = {
    "linear, depth 3, 16 x 16, rank 16": _linear(3, 16, 32),
    "linear, depth 3, 10 x 10, rank 10": _linear(3, 10, 20),
    "linear, depth 3, 24 x 24, rank 4": _linear(3, 24, 4),
    "completion, depth 3, 16 x 16": _completion(3, 16),
    "linear, depth 3, 5 x 5, rank 1": _subspace(3, 5),
    "linear, depth 10, 5 x 5, rank 1": _subspace(10, 5),
    "completion, depth 2, 2 x 2": _completion(2, 2),
    "linear, depth 3, 5 x 5, rank 5": _linear(3, 5, 10),
    "linear, depth 3, 5 x 5, rank 5, adam": _linear(3, 5, 10, **_ADAM),
    "one ReLU, depth 3, 5 x 5, n = 10": {
        **_linear(3, 5, 10),
        "network": {"kind": "linear_then_relu", "depth": 3, "width": 5},
    },
}


def document(case: str, kernel: str, steps: int, runs: int) -> dict[str, Any]:
    """Return a sweep of some runs of a network."""
    chosen = CASES[case]
    return {
        "name": "dense",
        "problem": chosen["problem"],
        "network": chosen["network"],
        "training": {"learning_rate": 1e-3, "num_steps": steps, **chosen.get("training", {})},
        "record": {"observables": ["loss"], "count": 2},
        "sweep": {"seeds": runs, "kernel": kernel},
    }


def operations(case: str) -> int:
    """Return the operations of a step, as outcomes have them."""
    from dlnsweep.engine.batch import train_batch
    from tests.benchmarks.ours import plan_of

    kernel, told = KERNELS["simd"]
    plan = plan_of(document(case, kernel, 1, 1))
    trained = train_batch(plan.settings, plan.shared | told, plan.program_widths[0])
    assert trained.kernel == ["simd"], trained.kernel_reason
    return int(trained.kernel_reason[0].rpartition(", ")[2].split()[0].replace(",", ""))


def measured(
    process: Pinned, case: str, runs: int, rounds: int, seconds: float
) -> dict[str, float]:
    """Return the seconds a run-step of each kernel."""

    def take(name: str, steps: int) -> float:
        kernel, told = KERNELS[name]
        job = {"document": document(case, kernel, steps, runs), "told": told}
        (one,) = process.call("train", [job])
        return one["answer"]["core"]

    def length(name: str) -> int:
        steps = 500
        while True:
            # The first call of a process compiles.
            take(name, _SHORT)
            taken = take(name, _SHORT + steps) - take(name, _SHORT)
            if taken > seconds / 2:
                return steps
            steps *= 2 if taken > seconds / 8 else 5

    def a_run_step(name: str, steps: int) -> float:
        return (take(name, _SHORT + steps) - take(name, _SHORT)) / steps / runs

    return in_turns({k: partial(a_run_step, k, length(k)) for k in KERNELS}, rounds)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="for trying the script, not numbers")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    rounds, seconds = (1, 0.05) if arguments.quick else (3, 0.2)
    where = machine()
    print(where, flush=True)
    table = Table(
        "vector instructions beside kernels by hand, float64, one core: microseconds of the "
        "process a run-step",
        ["step", "operations", "runs", *KERNELS, "dense / simd"],
    )
    core = usable_cores()[-1]
    with Pinned([core]) as process:
        for case in CASES:
            count = operations(case)
            for runs in RUNS:
                found = measured(process, case, runs, rounds, seconds)
                table.add(
                    case, count, runs, *(1e6 * found[k] for k in KERNELS),
                    found["dense"] / found["simd"],
                )  # fmt: skip
                if arguments.csv:
                    table.write_csv(arguments.csv, where)
    print(table.markdown() if arguments.markdown else table.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
