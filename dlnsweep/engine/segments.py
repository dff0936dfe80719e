"""The segments in which a run is trained."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Segment:
    """A piece of training that one call of the compiled program carries out.

    Attributes:
        start: Its first step.
        stops: Steps to train to, one after another; padded with the last one.
        recorded: Which of them are recorded.
    """

    start: int
    stops: np.ndarray
    recorded: np.ndarray

    @property
    def end(self) -> int:
        """The step that it ends at."""
        return int(self.stops[-1])


class Segments:
    """Cuts a run's steps into segments of about a given number of steps.

    A gap between two recorded steps is cut only at multiples of `grain` steps after the earlier
    one, where the kernel folds its delayed updates anyway: so results do not depend on where the
    cuts fall, which measured times decide.

    Args:
        steps: The recorded steps, ascending.
        length: Stops a segment, the static length of the compiled program's loop.
        grain: The program's `grain`.
        everywhere: Whether there is a stop at every multiple of `grain`, for a kernel that begins
            anew at each stop and rounds differently if it does not.
        ends: Recorded steps at which a segment ends, for what is looked at there.
    """

    def __init__(
        self,
        steps: np.ndarray,
        length: int,
        grain: int,
        *,
        everywhere: bool = False,
        ends: Collection[int] = (),
    ) -> None:
        self._steps = steps
        self._length = length
        self._grain = grain
        self._everywhere = everywhere
        self._ends = frozenset(ends)
        self._next = 0
        self._step = 0
        self._last_recorded = 0

    @property
    def finished(self) -> bool:
        """Whether the last recorded step has been reached."""
        return self._next == len(self._steps)

    @property
    def position(self) -> tuple[int, int, int]:
        """Where it stands: recorded steps passed, the step, and the last recorded one."""
        return self._next, self._step, self._last_recorded

    def go_to(self, position: tuple[int, int, int]) -> None:
        """Go to where another one of the same steps stood."""
        self._next, self._step, self._last_recorded = position

    def _next_multiple(self) -> int:
        since = (self._step - self._last_recorded) // self._grain
        return self._last_recorded + (since + 1) * self._grain

    def take(self, budget: int) -> Segment:
        """Return the next segment, of about `budget` steps and at least one stop."""
        start = self._step
        stops: list[int] = []
        recorded: list[bool] = []
        while len(stops) < self._length and not self.finished:
            record = int(self._steps[self._next])
            target = min(record, self._next_multiple()) if self._everywhere else record
            allowed = start + max(budget, self._grain)
            if target > allowed:
                if self._everywhere:
                    break
                offset = (allowed - self._last_recorded) // self._grain * self._grain
                cut = self._last_recorded + offset
                if cut > self._step:
                    stops.append(cut)
                    recorded.append(False)
                    self._step = cut
                break
            stops.append(target)
            recorded.append(target == record)
            self._step = target
            if target == record:
                self._last_recorded = target
                self._next += 1
                if target in self._ends:
                    break
        padding = self._length - len(stops)
        return Segment(
            start,
            np.array(stops + [self._step] * padding, dtype=np.int64),
            np.array(recorded + [False] * padding, dtype=bool),
        )
