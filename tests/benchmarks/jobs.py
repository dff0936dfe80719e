"""What pinned processes are asked to do: the engine's own calls, on one core."""

from __future__ import annotations

import shutil
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.numerics.runtime import numerics
from tests.benchmarks.ours import Direct, SweepRow, matrix_products, plan_of, random_networks
from tests.benchmarks.timing import read_bandwidth, update_bandwidth


def train(
    document: dict[str, Any], plugin: str = "", told: dict[str, Any] | None = None
) -> dict[str, float]:
    """Train a whole sweep with `train_batch`, as a worker does; return its seconds.

    `core` is the time of this process on its core. `told` is what a folder's record says of it.
    """
    from dlnsweep.contracts.plugins import load_plugin
    from dlnsweep.engine.batch import train_batch

    if plugin:
        load_plugin(plugin)
    plan = plan_of(document)
    began = time.process_time()
    trained = train_batch(plan.settings, plan.shared | (told or {}), plan.program_widths[0])
    core = time.process_time() - began
    assert np.all(trained.diverged_step < 0)
    return {"training": trained.seconds, "compiling": trained.compile_seconds, "core": core}


def peak() -> float:
    """Return the float64 operations a second of a large product on this core."""
    size = 512
    matrix = np.ones((size, size))
    best = np.inf
    for _ in range(20):
        began = time.perf_counter()
        np.matmul(matrix, matrix)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


# The dense kernel takes minutes for more.
_TRUTH_STEPS = 20_000


def reduced_parts(document: dict[str, Any], truth: bool) -> dict[str, Any]:
    """Return what a sweep's first run is made of under the reduced kernel.

    Seconds of drawing and of finding the bases (compiling left out), seconds a step, sizes, the
    estimate, and with `truth` the error found beside the dense kernel.
    """
    from dlnsweep.engine import batch
    from dlnsweep.engine.programs import PROGRAMS
    from dlnsweep.numerics.runtime import numerics

    plan = plan_of(document)
    width = int(plan.settings["network.width"][0])
    row = plan.row(0) | plan.shared
    with numerics():
        draw = PROGRAMS.draw(row, width)
        lane = draw.lane(row)
        began = time.perf_counter()
        draw.draw(row)
        drawing = time.perf_counter() - began
        began = time.perf_counter()
        lane = draw.lane(row, lane.prepared.thresholds)
        pilot = time.perf_counter() - began - drawing
        program = PROGRAMS.reduced(row, draw, [lane])
        inputs, carry = program.start([lane])
        steps, stops = 2000, np.full(16, 2000, np.int64)
        best = np.inf
        for _ in range(8):
            began = time.perf_counter()
            carry, _ = program.segment(inputs, carry, 0, stops, np.zeros(16, bool))
            np.asarray(carry.stopped_step)
            best = min(best, time.perf_counter() - began)
    error = None
    if truth:
        one = {key: column[:1] for key, column in plan.settings.items()}
        one["training.num_steps"] = np.minimum(one["training.num_steps"], _TRUTH_STEPS)
        reduced = batch.train_batch(one, plan.shared, width)
        one["sweep.kernel"] = np.array(["dense"])
        dense = batch.train_batch(one, plan.shared, width)
        error = max(
            float(np.max(np.abs(reduced.observables[name] / dense.observables[name] - 1)))
            for name in dense.observables
        )
    sizes = lane.prepared.sizes
    return {
        "drawing": drawing,
        "pilot": pilot,
        "step": best / steps,
        "flops": sizes.step_flops(draw.drawing.rank),
        "forward": sizes.forward,
        "backward": sizes.backward,
        "estimate": lane.prepared.estimate,
        "error": error,
    }


_ROWS: dict[str, SweepRow] = {}


def step_row(document: dict[str, Any], steps: int) -> float:
    """Return the seconds a step of a sweep's first run."""
    with numerics():
        key = repr(document)
        if key not in _ROWS:
            _ROWS.clear()
            _ROWS[key] = SweepRow(document)
            _ROWS[key].advance(steps)
        began = time.perf_counter()
        _ROWS[key].advance(steps)
        lanes = _ROWS[key].program.layout.lanes
        return (time.perf_counter() - began) / steps / lanes


@lru_cache(maxsize=1)
def _products(size: int, depth: int, lanes: int) -> Direct:
    weights, target, identity = matrix_products(size, depth, lanes)
    return Direct(weights, target, identity, size)


def products(size: int, depth: int, lanes: int, steps: int) -> None:
    """Train `lanes` products of square matrices."""
    with numerics():
        _products(size, depth, lanes).advance(steps)


def direct_step(
    dims: list[int],
    rank: int,
    precision: str,
    delay: int,
    vectorized: int,
    steps: int,
    rounds: int,
) -> float:
    """Return the seconds a step and run of the dense kernel: the best of some rounds."""
    from dlnsweep.numerics.lanes import Layout

    with numerics():
        weights, signals, measurements = random_networks(tuple(dims), rank, precision, vectorized)
        direct = Direct(
            weights,
            signals,
            measurements,
            rank,
            delay=delay,
            layout=Layout(vectorized),
            learning_rate=1e-3,
        )
        direct.advance(steps)
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            direct.advance(steps)
            times.append(time.perf_counter() - began)
    return min(times) / steps / vectorized


def execute(document: dict[str, Any]) -> float:
    """Train a sweep of one batch and commit it, as a worker does; return the seconds of both."""
    from dlnsweep.execution.preparing import prepare
    from dlnsweep.execution.workers.worker import execute_batch
    from dlnsweep.spec.sweep import Sweep

    folder = Path(tempfile.mkdtemp(prefix="dlnsweep-benchmark-"))
    try:
        prepared = prepare(Sweep.from_dict(document), folder / "results")
        began = time.perf_counter()
        for number in prepared.todo:
            execute_batch(prepared.store.root, number)
        return time.perf_counter() - began
    finally:
        shutil.rmtree(folder)


def run_here(document: dict[str, Any], folder: str) -> dict[str, float]:
    """Run a sweep in this process; return its seconds, those in compiled calls, and compiling."""
    import dlnsweep
    from dlnsweep.engine.program import Program
    from dlnsweep.numerics.lazy import jax
    from dlnsweep.spec.sweep import Sweep

    spent = {"compiled": 0.0, "compiling": 0.0}

    def counted(name: str, key: str) -> Any:
        original = getattr(Program, name)

        def call(*arguments: Any) -> Any:
            began = time.perf_counter()
            result = jax.block_until_ready(original(*arguments))
            spent[key] += time.perf_counter() - began
            return result

        return original, call

    counting = {"start": "compiled", "segment": "compiled", "_compile": "compiling"}
    originals = {}
    for name, key in counting.items():
        originals[name], call = counted(name, key)
        setattr(Program, name, call)
    try:
        began = time.perf_counter()
        dlnsweep.run(Sweep.from_dict(document), folder, workers=0)
        return {"seconds": time.perf_counter() - began, **spent}
    finally:
        for name, original in originals.items():
            setattr(Program, name, original)


def bandwidths(size: int, precision: str) -> list[float]:
    """Return the bandwidths of reading, and of reading and writing, of this process's cores."""
    return [read_bandwidth(size, precision), update_bandwidth(size, precision)]
