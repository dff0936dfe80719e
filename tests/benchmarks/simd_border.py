"""Up to which step vector instructions pay: `python -m tests.benchmarks.simd_border`.

Networks of two layers and of three, by `sweep.kernel = "simd"` and by the generic way, float64 or
with `--float32` that; with `--samples` by "simd_samples" in place of the first, of more and larger
ones. How they are timed says `steps_in_turns`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

from tests.benchmarks.steps_in_turns import Job, main, operations

SAMPLES, PRECISION = "--samples" in sys.argv, "float32" if "--float32" in sys.argv else "float64"
KERNELS = ("simd_samples" if SAMPLES else "simd", "generic")
# Activation, inputs, width, samples, layers, optimizer.
CASES = (
    ("relu", 10, 16, 20, 2, "gradient_descent"),
    ("tanh", 5, 8, 10, 3, "adam"),
    ("relu", 10, 16, 40, 2, "gradient_descent"),
    ("tanh", 10, 16, 20, 3, "adam"),
    ("relu", 20, 32, 50, 2, "gradient_descent"),
    ("relu", 20, 32, 200, 2, "gradient_descent"),
)
LARGER = (
    ("gelu", 10, 16, 40, 2, "gradient_descent"),
    ("tanh", 10, 64, 20, 2, "gradient_descent"),
    ("tanh", 20, 64, 200, 2, "gradient_descent"),
    ("relu", 20, 64, 200, 3, "gradient_descent"),
    ("relu", 50, 200, 500, 2, "gradient_descent"),
    ("relu", 100, 512, 1000, 2, "gradient_descent"),
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
        "sweep": {"seeds": runs, "kernel": kernel, "precision": PRECISION},
    }  # fmt: skip


def _job(case: tuple[Any, ...], kernel: str, steps: int, runs: int) -> dict[str, Any]:
    return {"document": document(case, kernel, steps, runs)}


def _cases() -> Iterator[tuple[str, int, dict[str, Job]]]:
    for case in (*CASES, *LARGER) if SAMPLES else CASES:
        activation, inputs, width, samples, layers, optimizer = case
        name = f"{activation}, {layers} layers, d = {inputs}, k = {width}, n = {samples}"
        name += ", adam" * (optimizer == "adam")
        count = operations(document(case, KERNELS[0], 1, 1), {})
        yield name, count, {kernel: partial(_job, case, kernel) for kernel in KERNELS}


if __name__ == "__main__":
    sys.argv = [word for word in sys.argv if word not in ("--samples", "--float32")]
    sys.exit(
        main(
            f"where vector instructions pay, {PRECISION}, one core: microseconds of the process a "
            "run-step",
            _cases(), KERNELS, first=50, rounds=5, seconds=0.3,
        )
    )  # fmt: skip
