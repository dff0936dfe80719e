"""Training the runs of one batch on this process's device: arrays in, arrays out, no files."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnsweep.errors import Interrupted
from dlnsweep.program import STOPS_A_SEGMENT, Program
from dlnsweep.runtime import device_description, numerics
from dlnsweep.schedule import Segments, record_steps

# A segment should take about this long: progress, and stopping, wait for its end.
_SEGMENT_SECONDS = 1.0
_FIRST_SEGMENT_STEPS = 64
# Kept compiled programs; a sweep rarely has more, and each holds some memory.
_MOST_PROGRAMS = 32


@dataclass(frozen=True)
class Progress:
    """How far a batch is: run-steps done since the last report, and diverged runs so far."""

    run_steps: int
    diverged: int


@dataclass(frozen=True)
class Trained:
    """The records of a batch, one row a run.

    Attributes:
        steps: The recorded steps.
        observables: (runs, steps) or (runs, steps, length) arrays by name.
        num_rows: How many leading steps of each run are valid.
        diverged_step: First step whose squared error is not finite, or -1.
        stopped_step: The step at which `stop_when` was met, or -1.
        compile_seconds: Seconds that compiling took; 0 where the program was at hand.
        seconds: Seconds of training, drawing and recording.
    """

    steps: np.ndarray
    observables: dict[str, np.ndarray]
    num_rows: np.ndarray
    diverged_step: np.ndarray
    stopped_step: np.ndarray
    compile_seconds: float
    seconds: float

    @property
    def status(self) -> list[str]:
        """How each run ended, as the word that is stored."""
        return [
            "diverged" if d >= 0 else "stopped" if s >= 0 else "finished"
            for d, s in zip(self.diverged_step, self.stopped_step, strict=True)
        ]


_PROGRAMS: dict[str, Program] = {}


def program_for(row: Mapping[str, Any], padded_width: int, lanes: int) -> Program:
    """Return the program for a batch, compiled once in this process."""
    device = device_description()
    key = Program.key(row, padded_width, lanes, device)
    if key not in _PROGRAMS:
        if len(_PROGRAMS) >= _MOST_PROGRAMS:
            _PROGRAMS.pop(next(iter(_PROGRAMS)))
        _PROGRAMS[key] = Program(row, padded_width, lanes, device)
    return _PROGRAMS[key]


def train_batch(
    rows: Mapping[str, np.ndarray],
    shared: Mapping[str, Any],
    padded_width: int,
    on_progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train the runs of one batch.

    Args:
        rows: A column for each setting, one entry a run; static settings are the same in all.
        shared: The settings that are no column.
        padded_width: The width of the arrays.
        on_progress: Called after every segment.
        should_stop: Asked after every segment.

    Raises:
        Interrupted: If `should_stop` said so; nothing of the batch is kept.
    """
    with numerics():
        return _train_batch(rows, shared, padded_width, on_progress, should_stop)


def _train_batch(
    rows: Mapping[str, np.ndarray],
    shared: Mapping[str, Any],
    padded_width: int,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> Trained:
    count = len(rows["seed"])
    row = {k: v[0].item() if isinstance(v[0], np.generic) else v[0] for k, v in rows.items()}
    row |= shared
    began = time.perf_counter()
    program = program_for(row, padded_width, count)
    compiled = time.perf_counter()
    steps = record_steps(program.sections.record, row["training.num_steps"])
    parts = []
    diverged = 0
    for first in range(0, count, program.layout.lanes):
        piece = slice(first, min(count, first + program.layout.lanes))
        chunk = {key: column[piece] for key, column in rows.items()}
        part = _train_lanes(program, chunk, steps, diverged, on_progress, should_stop)
        diverged += int(np.sum(part.diverged_step >= 0))
        parts.append(part)

    def joined(values: list[np.ndarray]) -> np.ndarray:
        return values[0] if len(values) == 1 else np.concatenate(values)

    return Trained(
        steps=steps,
        observables={
            name: joined([p.observables[name] for p in parts]) for name in parts[0].observables
        },
        num_rows=joined([p.num_rows for p in parts]),
        diverged_step=joined([p.diverged_step for p in parts]),
        stopped_step=joined([p.stopped_step for p in parts]),
        compile_seconds=compiled - began,
        seconds=time.perf_counter() - compiled,
    )


def _train_lanes(
    program: Program,
    rows: Mapping[str, np.ndarray],
    steps: np.ndarray,
    diverged_before: int,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> Trained:
    """Train as many runs as one call of the program takes."""
    count = len(rows["seed"])
    inputs, carry = program.start(program.arguments(rows))
    segments = Segments(steps, STOPS_A_SEGMENT, program.delay)
    records: list[dict[str, np.ndarray]] = []
    reached = 0
    budget = _FIRST_SEGMENT_STEPS
    active = np.ones(count, bool)
    while not segments.finished and np.any(active):
        segment = segments.take(budget)
        began = time.perf_counter()
        carry, values = program.segment(
            inputs, carry, segment.start, segment.stops, segment.recorded
        )
        kept = np.flatnonzero(segment.recorded)
        records.append({k: np.asarray(v)[:count, kept] for k, v in values.items()})
        reached += len(kept)
        active = np.asarray(carry.state.active)[:count]
        diverged_step = np.asarray(carry.state.diverged_step)[:count]
        elapsed = time.perf_counter() - began
        done = segment.end - segment.start
        budget = _next_budget(budget, done, elapsed)
        on_progress(Progress(done * count, diverged_before + int(np.sum(diverged_step >= 0))))
        if should_stop():
            raise Interrupted("stopped")
    stopped_step = np.asarray(carry.stopped_step)[:count]
    diverged_step = np.asarray(carry.state.diverged_step)[:count]
    before_divergence = np.searchsorted(steps, diverged_step, side="left")
    until_stop = np.searchsorted(steps, stopped_step, side="right")
    num_rows = np.where(
        diverged_step >= 0, before_divergence, np.where(stopped_step >= 0, until_stop, len(steps))
    )
    return Trained(
        steps=steps,
        observables={k: _filled([r[k] for r in records], len(steps)) for k in records[0]},
        num_rows=np.minimum(num_rows, reached),
        diverged_step=diverged_step,
        stopped_step=stopped_step,
        compile_seconds=0.0,
        seconds=0.0,
    )


def _next_budget(budget: int, done: int, elapsed: float) -> int:
    """Return the number of steps for the next segment, at most 8 times the last one's."""
    if done <= 0:
        return budget
    wanted = int(done * _SEGMENT_SECONDS / max(elapsed, 1e-6))
    return max(1, min(wanted, 8 * max(budget, done)))


def _filled(parts: list[np.ndarray], length: int) -> np.ndarray:
    """Join a run's records; steps that were never reached (all runs had ended) are NaN."""
    values = np.concatenate(parts, axis=1)
    missing = length - values.shape[1]
    if not missing:
        return values
    blank = np.full((values.shape[0], missing, *values.shape[2:]), np.nan, values.dtype)
    return np.concatenate([values, blank], axis=1)
