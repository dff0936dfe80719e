"""The host loop: a compiled program is called for segment after segment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnsweep.engine.segments import Segment, Segments

# A segment should take about this long: progress, and stopping, wait for its end.
_SEGMENT_SECONDS = 1.0
_FIRST_SEGMENT_STEPS = 64
# However long: for who reports nothing in between.
WHOLE = 2**60


@dataclass(frozen=True)
class Passed:
    """What one call of a program has done.

    Attributes:
        segment: What it was called for.
        carry: All that changes during a run, after the call. It is given away to the next one, so
            it is to be read before.
        records: The observables, (runs, recorded steps, ...) by name.
        diverged_step: First step at which each run had diverged, or -1.
        seconds: How long it took.
        arrived: Whether it came to the segment's end; else the next call is for the same segment,
            and there are no records.
    """

    segment: Segment
    carry: Any
    records: dict[str, np.ndarray]
    diverged_step: np.ndarray
    seconds: float
    arrived: bool = True

    @property
    def steps(self) -> int:
        """How many steps its segment has."""
        return self.segment.end - self.segment.start


def descend(
    call: Callable[..., tuple[Any, dict[str, Any]]],
    inputs: Any,
    carry: Any,
    segments: Segments,
    count: int,
    budget: Callable[[Passed | None], int],
    arrived: Callable[[Any, int], bool] | None = None,
) -> Iterator[Passed]:
    """Train runs to the last recorded step, or until none of them is active.

    Args:
        call: `Program.segment`, or what takes and returns the same. The state of one run may be
            without the axis of lanes; its records are not.
        inputs: The runs' inputs.
        carry: Their state where `segments` stand.
        segments: The segments.
        count: How many of the lanes are runs.
        budget: Takes what was done last, None at first; returns how many steps to take next.
        arrived: Takes the state and a segment's end; returns whether a call came to it, of programs
            that rest on their way. By default all do.
    """
    passed = None
    while not segments.finished and np.any(_of_lanes(carry.state.active)[:count]):
        position = segments.position
        segment = segments.take(budget(passed))
        began = time.perf_counter()
        carry, values = call(inputs, carry, segment.start, segment.stops, segment.recorded)
        there = arrived is None or arrived(carry, segment.end)
        chosen = np.flatnonzero(segment.recorded & there)
        records = {name: np.asarray(value)[:count, chosen] for name, value in values.items()}
        diverged_step = _of_lanes(carry.state.diverged_step)[:count]
        seconds = time.perf_counter() - began
        passed = Passed(segment, carry, records, diverged_step, seconds, there)
        if not there:
            segments.go_to(position)
        yield passed


def _of_lanes(values: Any) -> np.ndarray:
    return np.atleast_1d(np.asarray(values))


class TimedBudget:
    """Segments of about a second each, the first ones short; a `budget` of `descend`."""

    def __init__(self) -> None:
        self._steps = _FIRST_SEGMENT_STEPS

    def __call__(self, passed: Passed | None) -> int:
        """Return the number of steps for the next segment, at most 32 times the last one's."""
        if passed is not None and passed.arrived and passed.steps > 0:
            wanted = int(passed.steps * _SEGMENT_SECONDS / max(passed.seconds, 1e-6))
            self._steps = max(1, min(wanted, 32 * max(self._steps, passed.steps)))
        return self._steps


def valid_rows(
    steps: np.ndarray, diverged_step: np.ndarray, stopped_step: np.ndarray
) -> np.ndarray:
    """Return how many leading records of each run are of training.

    A run that diverged has those before its diverged step, one that was stopped has that of the
    step at which it was.

    Args:
        steps: The recorded steps, ascending.
        diverged_step: First step at which each run had diverged, or -1.
        stopped_step: The step at which it was stopped, or -1.
    """
    before_divergence = np.searchsorted(steps, diverged_step, side="left")
    until_stop = np.searchsorted(steps, stopped_step, side="right")
    return np.where(
        diverged_step >= 0, before_divergence, np.where(stopped_step >= 0, until_stop, len(steps))
    )
