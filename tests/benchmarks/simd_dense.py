"""Where vector instructions pay beside a kernel by hand: `python -m tests.benchmarks.simd_dense`.

Networks that have a dense kernel, trained by it and by its own steps as vector instructions, as
`sweep.kernel = "auto"` has them; float64. How they are timed says `steps_in_turns`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

from dlnsweep.contracts.network import AUTO_TAKES
from tests.benchmarks.steps_in_turns import Job, main, operations

# What a sweep asks for, and what its folder says.
KERNELS: dict[str, tuple[str, dict[str, str]]] = {
    "simd": ("auto", {AUTO_TAKES: "simd"}),
    "dense": ("dense", {}),
}


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
    "linear, depth 10, 5 x 5, rank 5": _linear(10, 5, 10),
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


def _job(case: str, name: str, steps: int, runs: int) -> dict[str, Any]:
    kernel, told = KERNELS[name]
    return {"document": document(case, kernel, steps, runs), "told": told}


def _cases() -> Iterator[tuple[str, int, dict[str, Job]]]:
    kernel, told = KERNELS["simd"]
    for case in CASES:
        count = operations(document(case, kernel, 1, 1), told)
        yield case, count, {name: partial(_job, case, name) for name in KERNELS}


if __name__ == "__main__":
    sys.exit(
        main(
            "vector instructions beside kernels by hand, float64, one core: microseconds of the "
            "process a run-step",
            _cases(), ("simd", "dense"), first=500, rounds=3, seconds=0.2,
        )
    )  # fmt: skip
