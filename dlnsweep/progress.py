"""Progress on the standard error: a rich bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from dlnsweep.execution import Event

_PLAIN_SECONDS = 30.0
_RATE_SECONDS = 15.0


class Reporter(Protocol):
    """Takes events."""

    def __call__(self, event: Event) -> None: ...


class Tally:
    """Counts what events say.

    Args:
        runs: Runs of the whole sweep.
        runs_done: Those that were done before.
        run_steps: Run-steps still to do.
    """

    def __init__(self, runs: int, runs_done: int, run_steps: int) -> None:
        self.runs = runs
        self.runs_done = runs_done
        self.run_steps = run_steps
        self.steps_done = 0
        self.failed = 0
        self.workers = 0
        self._diverged: dict[int, int] = {}
        self._start: float | None = None
        self._recent: list[tuple[float, int]] = []

    @property
    def diverged(self) -> int:
        return sum(self._diverged.values())

    def add(self, event: Event) -> None:
        """Count an event."""
        now = time.monotonic()
        if event.kind == "ready":
            self.workers += 1
            return
        if event.kind == "failed":
            self.failed += 1
            return
        if self._start is None:
            self._start = now
        self.steps_done += event.run_steps
        self._diverged[event.batch] = max(event.diverged, self._diverged.get(event.batch, 0))
        if event.kind == "done":
            self.runs_done += event.runs
        self._recent.append((now, self.steps_done))
        while self._recent and now - self._recent[0][0] > _RATE_SECONDS:
            self._recent.pop(0)

    @property
    def rate(self) -> float:
        """Run-steps a second, over the last seconds."""
        if len(self._recent) < 2:
            return 0.0
        (t0, s0), (t1, s1) = self._recent[0], self._recent[-1]
        return (s1 - s0) / (t1 - t0) if t1 > t0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the rest will take at this rate; None while there is no rate."""
        rate = self.rate
        return (self.run_steps - self.steps_done) / rate if rate > 0 else None

    def line(self) -> str:
        """Return one line that says how far the sweep is."""
        parts = [f"{self.runs_done} of {self.runs} runs done"]
        if self.rate:
            parts.append(f"{shorten(self.rate)} run-steps/s")
        if self.seconds_left is not None and self.steps_done < self.run_steps:
            parts.append(f"{duration(self.seconds_left)} left")
        parts.append(f"{self.diverged} diverged")
        if self.failed:
            parts.append(f"{self.failed} batches failed")
        return ", ".join(parts)


def shorten(number: float) -> str:
    """Return a number with three digits and k, M or G."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.3g} {suffix}"
    return f"{number:.3g}"


def duration(seconds: float) -> str:
    """Return a time as people say it: 8 s, 3 min 20 s, 5 h 12 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@contextmanager
def reporting(tally: Tally, *, quiet: bool = False) -> Iterator[Reporter]:
    """Show progress while the block runs.

    Args:
        tally: What counts the events.
        quiet: Show nothing.
    """
    if quiet:
        yield tally.add
    elif sys.stderr.isatty():
        with _bar(tally) as reporter:
            yield reporter
    else:
        yield _Plain(tally)


class _Plain:
    """One line at every commit, and every 30 s; but not more than one a second."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.last = time.monotonic()

    def __call__(self, event: Event) -> None:
        self.tally.add(event)
        now = time.monotonic()
        finished = self.tally.runs_done >= self.tally.runs
        due = now - self.last >= (1.0 if event.kind == "done" else _PLAIN_SECONDS)
        if due or event.kind == "failed" or (event.kind == "done" and finished):
            self.last = now
            print(f"dlnsweep: {self.tally.line()}", file=sys.stderr, flush=True)


@contextmanager
def _bar(tally: Tally) -> Iterator[Reporter]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    progress: Any = Progress(
        SpinnerColumn(),
        BarColumn(bar_width=24),
        TextColumn("[progress.percentage]{task.percentage:>3.0f} %"),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=False,
    )
    with progress:
        task = progress.add_task("starting workers", total=max(1, tally.run_steps))

        def report(event: Event) -> None:
            tally.add(event)
            started = tally.steps_done or tally.runs_done
            text = tally.line() if started else f"compiling on {tally.workers} workers"
            progress.update(task, completed=tally.steps_done, description=text)

        yield report
        progress.update(task, description=tally.line())
