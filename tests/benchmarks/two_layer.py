"""A grid of two-layer ReLU networks beside NumPy: `python -m tests.benchmarks.two_layer`.

`sweeps/two_layer.toml`: 4 624 networks (width 50, n = 1000, 100 inputs, float64) of 10^6 steps. A
1/1000 sample of the steps is timed on some networks of the grid: ours is `train_batch` in a process
a core, the difference of two lengths, so that drawing, which 10^6 steps pay once, is told apart;
the peer is NumPy in a process pool, a process a core with one thread of linear algebra each,
training one network after another in buffers that it allocates once.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.numerics.runtime import usable_cores
from tests.benchmarks.pinned import Pinned
from tests.benchmarks.tables import Table, machine, verdict
from tests.benchmarks.timing import in_turns

WIDTH, SAMPLES, INPUTS = 50, 1000, 100
NETWORKS, STEPS_OF_THE_GRID = 4624, 1_000_000
_RATE = 0.01
_SHORT = 100
_FILE = Path(__file__).parents[2] / "sweeps" / "two_layer.toml"


def document(steps: int, networks: int, core: int) -> dict[str, Any]:
    """Return a share of the grid: some relative scales, a seed for each core."""
    found = tomllib.loads(_FILE.read_text())
    del found["figure"]  # it is of the whole grid
    found["training"]["num_steps"] = steps
    found["network"]["product_init_scale"] = 0.1
    scales = np.geomspace(0.25, 4.0, 17)[:: max(1, 17 // networks)][:networks]
    found["network"]["relative_init_scale"] = scales.tolist()
    found["sweep"] |= {"seeds": [core]}
    return found


def numpy_loop(seed: int, steps: int) -> float:
    """Train one network as one would in NumPy; return the seconds of its steps."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(INPUTS, SAMPLES)) / math.sqrt(SAMPLES)
    targets = rng.normal(size=SAMPLES) / math.sqrt(SAMPLES)
    first = rng.normal(size=(WIDTH, INPUTS)) / math.sqrt(INPUTS)
    last = rng.normal(size=WIDTH) / math.sqrt(WIDTH)
    transposed = np.ascontiguousarray(inputs.T)
    before, gated = np.empty((WIDTH, SAMPLES)), np.empty((WIDTH, SAMPLES))
    gradient = np.empty_like(first)
    began = time.perf_counter()
    for _ in range(steps):
        np.matmul(first, inputs, out=before)
        active = before > 0
        np.maximum(before, 0.0, out=before)
        residual = last @ before - targets
        np.multiply(last[:, None], residual, out=gated)
        gated *= active
        np.matmul(gated, transposed, out=gradient)
        last -= _RATE * (before @ residual)
        first -= _RATE * gradient
    return time.perf_counter() - began


def _begin(cores: Any) -> None:
    """Pin a process of the pool to a core of its own."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cores.get()})


def step_flops() -> int:
    """Return the floating-point operations of a step: two products with all inputs, and the rest.

    Forward W_1 Y and backward G Y^T, 2 k m n each; w_2 H, H r and w_2 r^T, 2 k n, 2 k n and k n.
    """
    return 4 * WIDTH * INPUTS * SAMPLES + 5 * WIDTH * SAMPLES


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="for trying the script, not numbers")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    steps, networks, rounds = (50, 2, 1) if arguments.quick else (1000, 4, 7)
    where = machine()
    print(where, flush=True)
    cores = usable_cores()
    # Before the pool's processes import NumPy.
    os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    context = multiprocessing.get_context("spawn")
    places = context.Queue()
    for core in cores:
        places.put(core)
    with Pinned(cores) as processes, context.Pool(len(cores), _begin, (places,)) as pool:
        peak = min(one["answer"] for one in processes.call("peak", [{}] * len(cores)))
        work = len(cores) * networks * steps
        drawing = []

        def train(length: int) -> float:
            jobs = [{"document": document(length, networks, core)} for core in range(len(cores))]
            return max(one["answer"]["training"] for one in processes.call("train", jobs))

        def ours() -> float:
            short = train(_SHORT)
            seconds = (train(_SHORT + steps) - short) / work
            drawing.append(short / networks - _SHORT * len(cores) * seconds)
            return seconds

        def theirs() -> float:
            tasks = [(seed, steps) for seed in range(len(cores) * networks)]
            return sum(pool.starmap(numpy_loop, tasks, chunksize=networks)) / len(cores) / work

        found = in_turns({"ours": ours, "NumPy pool": theirs}, rounds)
    table = Table(
        f"Two-layer ReLU networks, {WIDTH} wide, n = {SAMPLES}, {INPUTS} inputs, float64, "
        f"{len(cores)} cores: microseconds a run-step",
        [
            "who",
            "microseconds",
            "beside ours",
            "Gflop/s a core",
            "of the peak",
            "days for the grid",
        ],
    )
    for name, seconds in found.items():
        rate = step_flops() / seconds / len(cores)
        days = seconds * NETWORKS * STEPS_OF_THE_GRID / 86400
        table.add(
            name, 1e6 * seconds, seconds / found["ours"], rate / 1e9, rate / peak, f"{days:.1f}"
        )
    table.notes.append(
        f"Peak: {peak / 1e9:.0f} Gflop/s, a float64 product of 512x512 matrices on one core while "
        f"the others do the same. Drawing and recording: {np.median(drawing):.2f} s a run of ours, "
        "once. NumPy / ours "
        f"{verdict(found['NumPy pool'] / found['ours'], 1.0)}."
    )
    print(table.markdown() if arguments.markdown else table.text())
    if arguments.csv:
        table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
