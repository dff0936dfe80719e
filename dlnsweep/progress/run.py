"""`dlnsweep.run`: a sweep is run, and how far it is is shown where it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from dlnsweep.errors import SpecError
from dlnsweep.execution import runner
from dlnsweep.execution.events import Event
from dlnsweep.execution.preparing import Prepared
from dlnsweep.progress.notebook import notebook_display
from dlnsweep.progress.reporting import reporting, tally_of
from dlnsweep.results import Results
from dlnsweep.settings.sentences import show
from dlnsweep.spec.sweep import Sweep


def run(
    sweep: str | Path | Mapping[str, Any] | Sweep,
    out: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    workers: int | None = None,
    shard: str | None = None,
    dask: str | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_seconds: float | None = None,
    wait_seconds: float | None = None,
    figures: bool = True,
    progress: bool | None = None,
) -> Results:
    """Run a sweep, and draw its figures; runs that are done already are not computed again.

    Args:
        sweep: A sweep file's path, a dictionary with the keys of a file, or a Sweep.
        out: The folder in which the results folder (named like the sweep) is made, or an address
            in an object store such as "s3://bucket/results"; "results" here by default.
        overrides: "KEY=VALUE" strings that replace settings of the file, as for `--set`.
        workers: Number of worker processes; one for each CPU core (or GPU) by default. 0 runs in
            this process, as problems and observables registered in it do by default (see
            plugins.py); XLA then splits large sums over the process's threads, so that numbers
            may differ from a worker's in the last bits.
        shard: "i/n": compute only the i-th of n equal shares of the batches; other processes, on
            any machine that sees the folder, compute the others.
        dask: The address of a Dask scheduler whose workers compute the batches, or "local".
        on_event: Called with what happens.
        should_stop: Asked often; when it says True, the run ends with `Interrupted`.
        checkpoint_seconds: Seconds between two checkpoints of an unfinished batch; 300 by default,
            `math.inf` for none.
        wait_seconds: Of a shard of a sweep with rounds ([sweep.refine], [sweep.until]), whose share
            of a round is done: it waits for the others' runs while any of them is at work, and so
            long after; 60 by default, 0 not to wait. If runs of the round are left then, it
            returns what there is, and the same call goes on once they are done.
        figures: Whether to draw the figures that the sweep asks for, once all its runs are done.
        progress: Whether to show how far it is: in a notebook below the cell, on a terminal as a
            line at its foot, elsewhere as lines on the standard error. By default in a notebook
            and on a terminal.

    Returns:
        The results, of all that is done.

    Raises:
        SpecError: If the sweep is wrong; nothing was started.
        StoreError: If the results folder cannot be used.
        RunError: If batches failed; all others are done.
        FigureError: If a figure cannot be drawn; all runs are done and kept.
        Interrupted: If asked to stop; all committed batches are kept, and how far others are.
        KeyboardInterrupt: After a Ctrl-C, likewise; a third one does not wait. SIGTERM and its
            like (see stopping.py) end the program after the same has been kept.
    """
    if progress is not None and not isinstance(progress, bool):
        raise SpecError(f"progress is {show(progress)}; it must be True, False or None.")
    shown = _is_watched() if progress is None else progress
    return runner.run(
        sweep,
        out,
        overrides=overrides,
        workers=workers,
        shard=shard,
        dask=dask,
        on_event=on_event,
        should_stop=should_stop,
        checkpoint_seconds=checkpoint_seconds,
        wait_seconds=wait_seconds,
        figures=figures,
        watch=_watch if shown else None,
    )


def _is_watched() -> bool:
    """Return whether somebody looks at what this process shows: in a notebook, on a terminal."""
    return notebook_display() is not None or bool(sys.stderr and sys.stderr.isatty())


def _watch(prepared: Prepared, sweep: Sweep) -> AbstractContextManager[Callable[[Event], None]]:
    return reporting(tally_of(prepared, sweep))
