"""Benchmarks of whole sweeps, start-up and writing included; run by `tests.benchmarks.engine`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import dlnsweep
from dlnsweep.numerics.runtime import usable_cores
from dlnsweep.spec.sweep import Sweep
from tests.benchmarks.ours import sweep_document
from tests.benchmarks.pinned import Pinned
from tests.benchmarks.tables import Table
from tests.benchmarks.timing import timed


def tiny_runs(quick: bool) -> Table:
    """Many tiny runs: overhead a run, and opening their records."""
    runs = 4_000 if quick else 100_000
    table = Table(
        f"{runs} runs, d=8, m=4, s=2, d_w=16, L=2, 100 steps, 20 log-spaced records, float64",
        ["what", "value", "target"],
    )
    document = sweep_document(
        name="tiny", depth=2, width=16, steps=100, precision="float64", seeds=runs, count=20,
        signal_dim=8, measurement_dim=4, subspace_dim=2, num_samples=16,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="dlnsweep-benchmark-") as folder:
        with Pinned(usable_cores()[:1]) as core:
            arguments = {"document": document, "folder": f"{folder}/one"}
            one = core.call("run_here", [arguments])[0]["answer"]
        began = time.perf_counter()
        results = dlnsweep.run(Sweep.from_dict(document), f"{folder}/all")
        wall = time.perf_counter() - began
        receipts = [
            json.loads(path.read_text())
            for path in Path(folder, "all", "tiny", "receipts").glob("batch-*.json")
        ]
        opening = [
            timed(lambda: dlnsweep.open_results(f"{folder}/all/tiny").curves()) for _ in range(3)
        ]
        rows = len(results.curves())
    overhead = one["seconds"] - one["compiled"]
    training = sum(r["training_seconds"] for r in receipts) / len(usable_cores())
    table.add("one core: compiled calls, ms a run", 1e3 * one["compiled"] / runs, "")
    table.add("one core: overhead, ms a run", 1e3 * overhead / runs, _under(overhead / runs, 2e-4))
    table.add("  of it compiling, ms a run", 1e3 * one["compiling"] / runs, "")
    table.add(f"{len(usable_cores())} workers: wall, s", wall, "")
    table.add("  overhead: wall less training a worker, ms a run", 1e3 * (wall - training) / runs,
              _under((wall - training) / runs, 2e-4))  # fmt: skip
    table.add(f"curves() of {rows} rows, s", float(np.median(opening)), _under(opening[1], 5.0))
    return table


def scaling(quick: bool) -> Table:
    """The same sweeps by one worker process and by one a core, start-up and writing included."""
    rounds = 1 if quick else 3
    cores = usable_cores()
    count = len(cores)
    table = Table(
        f"The same sweep by 1 and by {count} worker processes, float64, medians of {rounds}",
        ["sweep", "batches", "1 worker, s", f"{count} workers, s", "ratio",
         "ratio of training alone", "target"],
    )  # fmt: skip
    target = 0.9 * count
    for name, settings in _SCALING.items():
        document = sweep_document(name="scaling", precision="float64", **settings)
        if quick:
            document["training"]["num_steps"] = settings["steps"] // 50
        seconds: dict[int, list[float]] = {1: [], count: []}
        training: dict[int, list[float]] = {1: [], count: []}
        batches = 0
        # One more at first: the programs are compiled then, and come from the cache later.
        for turn in range(rounds + 1):
            for workers in seconds:
                with tempfile.TemporaryDirectory(prefix="dlnsweep-benchmark-") as folder:
                    began = time.perf_counter()
                    dlnsweep.run(Sweep.from_dict(document), folder, workers=workers)
                    ended = time.perf_counter() - began
                    receipts = [
                        json.loads(path.read_text())
                        for path in Path(folder, "scaling", "receipts").glob("batch-*.json")
                    ]
                if turn:
                    seconds[workers].append(ended)
                    share = sum(r["training_seconds"] for r in receipts) / workers
                    training[workers].append(share)
                batches = len(receipts)
        one, all_cores = (float(np.median(seconds[workers])) for workers in seconds)
        alone = float(np.median(training[1]) / np.median(training[count]))
        ratio = one / all_cores
        met = "" if ratio >= target else ", MISSED"
        table.add(name, batches, one, all_cores, ratio, alone, f"{target:.1f}{met}")
    one_reads, all_read = _reading(cores[:1]), _reading(cores)
    table.notes.append(
        f"NumPy processes that read 1000 x 1000 float64 matrices, one on each of "
        f"{count} cores, do {all_read / one_reads:.2f} times the work of one."
    )
    table.notes.append(
        "Each run starts its worker processes anew (about 1.5 s, beside each other); programs come "
        "from the cache. Training alone is what batches would take if they were spread evenly."
    )
    return table


def _reading(cores: list[int]) -> float:
    """Return the bytes a second that one process on each core reads, together."""
    # A matrix of the largest sweep, 8 MB: beyond a core's own caches.
    size = {"size": 1000, "precision": "float64"}
    with Pinned(cores) as processes:
        found = [processes.call("bandwidths", [size] * len(cores)) for _ in range(3)]
    return float(np.median([sum(a["answer"][0] for a in answers) for answers in found]))


def first_step(quick: bool) -> Table:
    """From the start of a process to the end of the first segment that a worker trains."""
    rounds = 2 if quick else 7
    table = Table(
        f"`dlnsweep.run` of sweeps/quickstart.toml in a new process and a new folder, "
        f"{rounds} times, programs from the cache",
        ["until", "median, s", "least, s", "most, s"],
    )
    script = (
        "import sys, time, dlnsweep\n"
        "began, seen = float(sys.argv[3]), {}\n"
        "def note(event):\n"
        "    seen.setdefault(event.kind, time.time() - began)\n"
        "dlnsweep.run(sys.argv[1], sys.argv[2], on_event=note)\n"
        "print(seen['ready'], min(seen.get('progress', 1e9), seen['done']))\n"
    )
    times: list[list[float]] = []
    # One more at first, which compiles.
    for _ in range(rounds + 1):
        with tempfile.TemporaryDirectory(prefix="dlnsweep-benchmark-") as folder:
            command = [sys.executable, "-c", script, "sweeps/quickstart.toml", folder]
            out = subprocess.run(
                [*command, str(time.time())], capture_output=True, text=True, check=True
            )
            times.append([float(word) for word in out.stdout.split()])
    for name, values in zip(
        ("a worker has started", "the first segment is trained"),
        np.array(times[1:]).T,
        strict=True,
    ):
        table.add(name, float(np.median(values)), float(values.min()), float(values.max()))
    return table


# Several batches, so that they can be spread: the engine's large and small cases.
_SCALING: dict[str, dict[str, Any]] = {
    "dense, d_w=1000, L=3": {"depth": 3, "width": 1000, "steps": 1000, "seeds": 16},
    "dense, d_w=100, L=3": {"depth": 3, "width": 100, "steps": 10_000, "seeds": 256},
    "dense, d_w=16, L=2": {"depth": 2, "width": 16, "steps": 5_000, "seeds": 4096},
}


def _under(value: float, target: float) -> str:
    return f"under {target:g} s{'' if value < target else ', MISSED'}"
