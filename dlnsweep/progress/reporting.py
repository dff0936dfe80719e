"""Progress: in a notebook there, as a bar on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dlnsweep.execution.events import Event
from dlnsweep.execution.preparing import Prepared
from dlnsweep.execution.ways import auto_jumps
from dlnsweep.machine.console import hurried
from dlnsweep.machine.stopping import AGAIN, AT_ONCE, FIRST, write_error
from dlnsweep.progress.notebook import Cell, Display, notebook_display
from dlnsweep.progress.terminal_line import TerminalLine
from dlnsweep.settings.sentences import duration, shorten
from dlnsweep.spec.sweep import Sweep

_PLAIN_SECONDS = 30.0
_LEAST_SECONDS = 5.0
# Of its planned steps a sweep has taken such a share before they tell how long the others take:
# the first ones lie between records of steps 1, 2, 3, ..., which take longer than they do.
_LEAST_SHARE = 1e-3
# Terminals that can only add lines: a bar would be shown when it has ended.
_DUMB = ("dumb", "unknown")
_MOST_SHOWN = 16


class Tally:
    """Counts what events say.

    Args:
        runs: Runs of the whole sweep.
        runs_done: Those that were done before.
        run_steps: Run-steps still to do.
        diverged: Diverged ones among the runs that were done before.
        may_stop: Whether runs may be stopped early, as the sweep asks.
        ended: Run-steps that the runs which were done before took, and those that were planned.
        by_runs: Whether steps are no measure of time, as where most of them are jumped over: what
            is left is told by the runs then.
    """

    def __init__(
        self,
        runs: int,
        runs_done: int,
        run_steps: int,
        diverged: int = 0,
        *,
        may_stop: bool = False,
        ended: tuple[int, int] = (0, 0),
        by_runs: bool = False,
    ) -> None:
        self.runs = runs
        self.by_runs = by_runs
        self._runs_before = runs_done
        self.runs_done = runs_done
        self.run_steps = run_steps
        self.steps_done = 0
        self.failed = 0
        self.workers = 0
        # How often it was asked to stop, and how far the batches are kept that were stopped.
        self.wishes = 0
        self.shows_wishes = False
        self.kept: dict[int, str] = {}
        self.may_stop = may_stop
        self._diverged = diverged
        # Run-steps of ended batches: taken and planned; and those that this process was spared.
        self._taken, self._planned = ended
        self._saved = 0
        # Run-steps and diverged runs of the batches that are being computed.
        self._open: dict[int, tuple[int, int]] = {}
        # The same of the first steps; how many batches have ended here.
        self._trained: tuple[float, int] | None = None
        self._ended = 0
        # When the first event came, with the run-steps done then; when the last one came.
        self._began: tuple[float, int] | None = None
        self._last = 0.0
        # Run-steps of batches that earlier processes have done: no part of the rate.
        self._resumed: dict[int, int] = {}

    @property
    def diverged(self) -> int:
        """Runs that diverged so far."""
        return self._diverged + sum(diverged for _, diverged in self._open.values())

    def add(self, event: Event) -> None:
        """Count an event."""
        if event.kind == "ready":
            self.workers += 1
        elif event.kind == "stopping":
            self.wishes = max(1, self.wishes)
        elif event.kind == "begun":
            self.kept.pop(event.batch, None)
        elif event.kind == "kept":
            self.kept[event.batch] = event.text
            self._advance(event)
        elif event.kind in ("failed", "retry"):
            self.failed += event.kind == "failed"
            self.workers -= event.kind == "retry"
            self.steps_done -= self._open.pop(event.batch, (0, 0))[0]
            self._resumed.pop(event.batch, None)
        elif event.kind in ("progress", "resumed", "done"):
            if event.kind == "resumed":
                self._resumed[event.batch] = self._resumed.get(event.batch, 0) + event.run_steps
            self._advance(event)
        self._last = time.monotonic()
        if self._trained is None and event.kind in ("progress", "done"):
            self._trained = (self._last, self.steps_done - sum(self._resumed.values()))
        if self._began is None:
            self._began = (self._last, self.steps_done - sum(self._resumed.values()))

    def _advance(self, event: Event) -> None:
        self.steps_done += event.run_steps
        steps, diverged = self._open.pop(event.batch, (0, 0))
        if event.kind == "done":
            self.runs_done += event.runs
            self._diverged += event.diverged
            self._saved += event.saved
            self._ended += 1
            self._planned += steps + event.run_steps
            self._taken += steps + event.run_steps - event.saved
        else:
            known = diverged if event.kind == "kept" else event.diverged
            self._open[event.batch] = (steps + event.run_steps, known)

    def wish(self, count: int) -> None:
        """Note a wish to stop, and answer it; called in a signal handler."""
        self.wishes = count
        if not self.shows_wishes:
            write_error(FIRST if count == 1 else AGAIN)

    def kept_sentences(self) -> list[str]:
        """Return how far each batch is kept that was stopped."""
        numbers = sorted(self.kept)
        found = [f"batch {number}: {self.kept[number]}" for number in numbers[:_MOST_SHOWN]]
        if len(numbers) > _MOST_SHOWN:
            found.append(f"and {len(numbers) - _MOST_SHOWN} more batches that were stopped")
        return found

    @property
    def has_begun(self) -> bool:
        """Whether training has begun, or was resumed."""
        return self.steps_done > 0 or self.failed > 0

    @property
    def rate(self) -> float:
        """Run-steps a second since the work began; those that ended runs were spared apart.

        Over all of it: where a run is prepared for minutes and trained in seconds, the last
        seconds say nothing about the rest.
        """
        if self._began is None or self._last <= self._began[0]:
            return 0.0
        steps = self.steps_done - self._began[1] - sum(self._resumed.values()) - self._saved
        return max(0.0, steps / (self._last - self._began[0]))

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the rest will take; None while nothing says how long.

        Of the planned steps the rest will take the share that ended batches took. Until a batch
        has ended, its start (compiling, drawing, a rehearsal) is no measure of the others: the
        steps count from the first ones on, once they have gone on for some seconds and are a share
        of all.
        """
        if self.by_runs:
            done = self.runs_done - self._runs_before
            if self._began is None or not done:
                return None
            return (self._last - self._began[0]) * (self.runs - self.runs_done) / done
        share = self._taken / self._planned if self._planned else 1.0
        left = share * (self.run_steps - self.steps_done)
        if self._ended:
            return left / self.rate if self.rate > 0 else None
        if self._trained is None or self._last - self._trained[0] < _LEAST_SECONDS:
            return None
        steps = self.steps_done - sum(self._resumed.values()) - self._trained[1]
        told = steps > 0 and steps >= _LEAST_SHARE * self.run_steps
        return left * (self._last - self._trained[0]) / steps if told else None

    @property
    def _is_bound(self) -> bool:
        """Whether the time left is rather more than it will be: not all that will help does yet."""
        return self._ended < max(1, self.workers) or (self.may_stop and not self._planned)

    def line(self, width: int | None = None) -> str:
        """Return one line that says how far the sweep is.

        Args:
            width: The most characters that it may have; what matters least is left out.
        """
        long = self._parts(f"{self.runs_done} of {self.runs} runs done", "run-steps/s")
        short = self._parts(f"{self.runs_done}/{self.runs} runs", "steps/s")
        without_rate = [part for part in short if not part.endswith("/s")]
        lines = [", ".join(parts) for parts in (long, short, without_rate)]
        if width is None:
            return lines[0]
        return next((line for line in lines if len(line) <= width), lines[-1][:width])

    def _parts(self, runs: str, unit: str) -> list[str]:
        parts = [runs]
        if self.rate and not self.by_runs:
            parts.append(f"{shorten(self.rate)} {unit}")
        if self.seconds_left is not None and self.steps_done < self.run_steps:
            # Before batches have ended nobody knows how early runs stop, and compiling counts.
            most = "at most " if self._is_bound else ""
            parts.append(f"{most}{duration(self.seconds_left)} left")
        parts.append(f"{self.diverged} diverged")
        if self.failed:
            parts.append(f"{self.failed} {'batch' if self.failed == 1 else 'batches'} failed")
        return parts


def tally_of(prepared: Prepared, sweep: Sweep) -> Tally:
    """Return what counts the events of a folder's work.

    Args:
        prepared: What is to be done.
        sweep: What is asked for.
    """
    before = prepared.store.status()
    return Tally(
        prepared.runs,
        prepared.runs_done,
        sum(prepared.todo.values()),
        before.diverged,
        may_stop=sweep.values["training.stop_when"][0] is not None,
        ended=(before.run_steps_taken, before.run_steps),
        by_runs=sweep.values["sweep.kernel"][0] == "jumps"
        or bool(auto_jumps.of_record(prepared.store.sweep["sweep"])),
    )


@contextmanager
def reporting(tally: Tally, *, quiet: bool = False) -> Iterator[Callable[[Event], None]]:
    """Show progress while the block runs.

    Args:
        tally: What counts the events.
        quiet: Show nothing.
    """
    shown = None if quiet else notebook_display()
    if shown is not None:
        with in_notebook(tally, shown) as report:
            yield report
        return
    with hurried(), _chosen(tally, quiet=quiet) as report:
        yield report


@contextmanager
def _chosen(tally: Tally, *, quiet: bool) -> Iterator[Callable[[Event], None]]:
    if quiet:
        yield tally.add
    elif sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in _DUMB:
        with _bar(tally) as report:
            yield report
    else:
        yield _Plain(tally)


@contextmanager
def in_notebook(tally: Tally, display: Display) -> Iterator[Callable[[Event], None]]:
    """Show progress in a cell of a notebook while the block runs."""
    cell = Cell(display)
    cell.show(tally.line(), 0.0)

    def report(event: Event) -> None:
        tally.add(event)
        if event.kind == "note":
            cell.note(event.text)
        cell.show(tally.line(), share_of(tally), at_once=event.kind == "failed")

    try:
        yield report
    finally:
        cell.show(tally.line(), share_of(tally), at_once=True)


def share_of(tally: Tally) -> float:
    """Return which share of the run-steps is done, or of the runs."""
    if tally.by_runs:
        return tally.runs_done / max(1, tally.runs)
    return min(1.0, tally.steps_done / max(1, tally.run_steps))


class _Plain:
    """One line at every commit, and every 30 s; but not more than one a second."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.last = time.monotonic()

    def __call__(self, event: Event) -> None:
        self.tally.add(event)
        if event.kind == "note":
            print(f"dlnsweep: {event.text}", file=sys.stderr, flush=True)
            return
        now = time.monotonic()
        finished = self.tally.runs_done >= self.tally.runs
        due = now - self.last >= (1.0 if event.kind == "done" else _PLAIN_SECONDS)
        if due or event.kind == "failed" or (event.kind == "done" and finished):
            self.last = now
            print(f"dlnsweep: {self.tally.line()}", file=sys.stderr, flush=True)


@contextmanager
def _bar(tally: Tally) -> Iterator[Callable[[Event], None]]:
    began = time.monotonic()

    def line(columns: int) -> str:
        return bar_line(tally, time.monotonic() - began, columns)

    with TerminalLine(sys.stderr, line) as shown:

        def report(event: Event) -> None:
            tally.add(event)
            if event.kind == "note":
                shown.print(f"dlnsweep: {event.text}")

        tally.shows_wishes = True
        try:
            yield report
        finally:
            # The last thing shown is how far it came.
            tally.wishes = 0


def bar_line(tally: Tally, seconds: float, columns: int) -> str:
    """Return the line of a terminal that says how far the sweep is.

    Args:
        tally: How far it is.
        seconds: Since the beginning.
        columns: The most that the line may take; a narrow one has no bar.
    """
    share = share_of(tally)
    width = _bar_width(columns)
    full = round(share * width)
    # A bar that moves where nothing else does: the seconds.
    bar = f"{'━' * full}{'─' * (width - full)} " if width else ""
    head = f"{bar}{100 * share:>3.0f} % "
    return head + _words(tally, seconds, max(10, columns - len(head)))


def _bar_width(columns: int) -> int:
    return 24 if columns >= 97 else 12 if columns >= 67 else 6 if columns >= 35 else 0


def _words(tally: Tally, seconds: float, room: int) -> str:
    if tally.wishes:
        again = "; Ctrl-C: ends at once" if tally.wishes >= AT_ONCE - 1 else ""
        return f"saving how far it is{again}"[:room]
    if tally.has_begun:
        return tally.line(room)
    if not tally.workers:
        return f"starting, {duration(seconds)}"[:room]
    workers = "1 worker" if tally.workers == 1 else f"{tally.workers} workers"
    return f"compiling on {workers}, {duration(seconds)}"[:room]
