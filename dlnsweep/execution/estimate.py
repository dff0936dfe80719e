"""What a sweep will take: programs, memory, rows, bytes, and time from a measured probe. No JAX."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnsweep.contracts.plugins import plugin_files
from dlnsweep.contracts.schedule import total_of
from dlnsweep.errors import RunError
from dlnsweep.execution.ways.auto_kernel import of_here, settings_in
from dlnsweep.machine.environment import for_workers
from dlnsweep.numerics.runtime import accelerators, python_command
from dlnsweep.plan.batches import Batch
from dlnsweep.plan.cost import RunCost, record_length
from dlnsweep.plan.plan import Plan

# Parquet bytes a stored float64 and float32, as measured on sweeps like those under sweeps/.
_STORED_BYTES = {"float64": 6.5, "float32": 3.2}
_STORED_KEY_BYTES = 0.3
_MOST_PROBED = 6
# Runs of a program that are walked.
_MOST_WALKED = 4


@dataclass(frozen=True)
class Estimate:
    """What a plan asks for.

    Attributes:
        rows: Rows of curves.
        stored_bytes: Bytes of Parquet, roughly.
        run_steps: Steps over all runs.
        worker_bytes: Memory of one worker's largest batch: weights and records.
        longest_run: The costliest run.
    """

    rows: int
    stored_bytes: int
    run_steps: int
    worker_bytes: int
    longest_run: RunCost


def estimate(plan: Plan, batches: list[Batch]) -> Estimate:
    """Estimate a plan's rows, bytes and memory from its settings."""
    rows = stored = memory = 0
    longest: RunCost | None = None
    num_steps = plan.settings["training.num_steps"]
    known: dict[tuple[int, int], tuple[RunCost, int]] = {}
    for batch in batches:
        first, count = int(batch.runs[0]), len(batch.runs)
        alike = int(plan.programs[first]), int(num_steps[first])
        if alike not in known:
            known[alike] = plan.cost(first), record_length(plan.row(first))
        cost, values = known[alike]
        rows += count * cost.num_records
        a_value = _STORED_BYTES[plan.sweep.options.precision]
        stored += int(count * cost.num_records * (values * a_value + _STORED_KEY_BYTES))
        memory = max(memory, cost.call_bytes + count * cost.record_bytes)
        if longest is None or cost.seconds > longest.seconds:
            longest = cost
    assert longest is not None
    steps = sum(total_of(num_steps[batch.runs]) for batch in batches)
    return Estimate(rows, stored, steps, memory, longest)


@dataclass(frozen=True)
class Timing:
    """A time measured by a probe and carried over to the whole sweep.

    Attributes:
        seconds: Seconds on `workers` workers.
        compile_seconds: Seconds of compiling in it, on each worker.
        start_seconds: Seconds in it until a worker process has started.
        steps_a_second: Run-steps a second on all workers, with records that take many steps.
        probed: Number of programs measured; the others are scaled by their estimated cost.
        ways: By which ways these train, as outcomes name them.
    """

    seconds: float
    compile_seconds: float
    start_seconds: float
    steps_a_second: float
    probed: int
    ways: tuple[str, ...]


def probe(plan: Plan, batches: list[Batch], workers: int) -> Timing:
    """Measure the costliest programs for about a second each, in a process of its own.

    Raises:
        RunError: If the process failed.
    """
    work: dict[tuple[int, int], list[Batch]] = {}
    for batch in batches:
        work.setdefault((int(plan.programs[batch.runs[0]]), len(batch.runs)), []).append(batch)

    told = settings_in(of_here(plan))

    def weight(group: list[Batch]) -> float:
        return sum(len(b.runs) * plan.cost(int(b.runs[0]), told).seconds for b in group)

    groups = sorted(work.values(), key=weight, reverse=True)
    measured, starting = _measured([_request(plan, group[0]) for group in groups[:_MOST_PROBED]])
    seconds, estimated, steps = 0.0, 0.0, 0
    for group, result in zip(groups, measured, strict=False):
        taken = sum(_run_steps(plan, b) for b in group)
        seconds += taken * result["seconds_a_run_step"] + len(group) * result["start_seconds"]
        estimated += weight(group)
        steps += taken
        # Most observables cost a few steps a record.
        if each := result["seconds_a_record"]:
            seconds += each * sum(
                len(b.runs) * plan.cost(int(b.runs[0])).num_records for b in group
            )
    rest = sum(weight(group) for group in groups[len(measured) :])
    total_steps = steps + sum(_run_steps(plan, b) for g in groups[len(measured) :] for b in g)
    training = (seconds + (rest * seconds / estimated if estimated else 0.0)) / workers
    # Two groups of one program (the last batch of a row has fewer lanes) compile apart, too.
    compiling = sum(r["compile_seconds"] for r in measured) * len(groups) / len(measured)
    probed = {int(plan.programs[group[0].runs[0]]) for group in groups[: len(measured)]}
    whole = training + compiling + starting
    ways = tuple(dict.fromkeys(result["way"] for result in measured))
    pace = total_steps / max(training, 1e-9)
    return Timing(whole, compiling, starting, pace, len(probed), ways)


@dataclass(frozen=True)
class Walks:
    """Time jumps: what runs take, by some of each program that were walked for some seconds.

    Attributes:
        seconds: Seconds on `workers` workers.
        walking_seconds: Those of walking in it.
        compile_seconds: Seconds of compiling in it, on each worker.
        runs: How many runs were walked.
        walked: Of these together, the records that were reached.
        records: All of their records.
    """

    seconds: float
    walking_seconds: float
    compile_seconds: float
    runs: int
    walked: int
    records: int


def walk(plan: Plan, batches: list[Batch], workers: int) -> Walks:
    """Walk some runs of each program: how many steps a jump takes over is found on the way.

    Raises:
        RunError: If the process failed.
    """
    # Of runs that share padded arrays under "auto" each has those of its own width here.
    widths = plan.settings.get("network.width", np.ones(plan.num_runs))
    work: dict[tuple[int, int], list[np.ndarray]] = {}
    for batch in batches:
        width = np.nan_to_num(widths[batch.runs], nan=1).astype(int)
        for own in np.unique(width).tolist():
            place = int(plan.programs[batch.runs[0]]), own
            work.setdefault(place, []).append(batch.runs[width == own])
    groups = {place: np.concatenate(parts) for place, parts in work.items()}
    chosen = [
        Batch(0, _spread(plan, group), width)
        for (_, width), group in itertools.islice(groups.items(), _MOST_PROBED)
    ]
    measured, starting = _measured([_request(plan, batch, "jumps") for batch in chosen])
    runs = [len(group) for group in groups.values()]
    known = sum(n * r["seconds_a_run"] for n, r in zip(runs, measured, strict=False))
    # Programs that were not walked take as long as those that were.
    training = known * sum(runs) / sum(runs[: len(measured)]) / workers
    compiling = sum(r["compile_seconds"] for r in measured) * len(groups) / len(measured)
    walked, records = (sum(r[key] for r in measured) for key in ("walked", "records"))
    taken = sum(len(batch.runs) for batch in chosen)
    whole = training + compiling + starting
    return Walks(whole, training, compiling, taken, walked, records)


def _spread(plan: Plan, runs: np.ndarray) -> np.ndarray:
    """Return runs that stand for those of a program: by their steps, and by eta lambda."""
    names = ("learning_rate", "weight_decay")
    rate, decay = (np.asarray(plan.settings[f"training.{name}"], float)[runs] for name in names)
    totals = plan.settings["training.num_steps"][runs]
    count = min(_MOST_WALKED, len(runs))
    places = ((np.arange(count) + 0.5) * len(runs) / count).astype(int)
    return runs[np.lexsort((rate * decay, totals))[places]]


def _measured(requests: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], float]:
    """Return what a process of its own measured, and how long it took to start."""
    began = time.monotonic()
    done = subprocess.run(
        python_command("dlnsweep.probe", *plugin_files()),
        env=for_workers(os.environ, on_cpu=not accelerators()),
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RunError(f"the probe failed; --no-probe leaves it out.\n{done.stderr}")
    measured = [json.loads(line) for line in done.stdout.splitlines()]
    # What is left of the process's time is what a worker's start takes: Python, JAX, our code.
    starting = time.monotonic() - began - sum(result["spent_seconds"] for result in measured)
    return measured, max(0.0, starting)


def _run_steps(plan: Plan, batch: Batch) -> int:
    return total_of(plan.settings["training.num_steps"][batch.runs])


def _request(plan: Plan, batch: Batch, kernel: str = "") -> dict[str, Any]:
    def values(column: np.ndarray) -> list[Any]:
        return [None if v != v else v for v in column[batch.runs].tolist()]

    columns = {key: values(column) for key, column in plan.settings.items()}
    if kernel:
        columns["sweep.kernel"] = [kernel] * len(batch.runs)
    shared = plan.shared | settings_in(of_here(plan))
    return {"columns": columns, "shared": shared, "padded_width": batch.padded_width}
