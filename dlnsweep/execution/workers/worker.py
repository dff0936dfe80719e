"""A worker process: `python -m dlnsweep.worker FOLDER` computes the batches that it is told to.

It reads one JSON object a line from its standard input ({"batch": 12}) and writes events, one a
line, to its standard output. It ends when its input ends; and between two segments, after it has
kept how far its batch is, when it is signalled or when whoever listens to it has died.
`execute_batch` is the one idempotent function that any executor may call.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.contracts import plugins
from dlnsweep.contracts.schedule import total_of
from dlnsweep.errors import DlnsweepError, Interrupted, RunError, StoreError
from dlnsweep.execution.events import NOT_BEGUN, Event
from dlnsweep.machine import console
from dlnsweep.machine.environment import check_same
from dlnsweep.machine.memory import out_of_memory
from dlnsweep.machine.places import claim
from dlnsweep.machine.stopping import POLITE, handled
from dlnsweep.settings.run_settings import ALWAYS, Columns, RunSettings, no_column

_REPORT_SECONDS = 0.2
_WHAT_COMPUTES = (
    "dlnsweep.builtins",
    "dlnsweep.engine.batch",
    "dlnsweep.execution.checkpoint",
    "dlnsweep.execution.going_on",
    "dlnsweep.execution.warm_start",
    "dlnsweep.store.records",
)


def execute_batch(
    root: str | Path,
    number: int,
    on_event: Callable[[Event], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_seconds: float | None = None,
) -> None:
    """Compute one batch of a results folder and commit it, unless it stands there already.

    Args:
        root: The folder.
        number: The batch.
        on_event: Called with what happens.
        should_stop: Asked after every segment.
        checkpoint_seconds: Seconds between two checkpoints; 300 by default.

    Raises:
        Interrupted: If `should_stop` said so; what is done stands in the batch's checkpoint.
        StoreError: If the folder cannot be read or written.
    """
    from dlnsweep.numerics.runtime import device_description, load_jax, surroundings, versions

    load_jax()
    from dlnsweep.contracts.network import BASES_BY_NUMPY, BY_VECTORS
    from dlnsweep.engine.batch import Progress
    from dlnsweep.execution.checkpoint import DEFAULT_SECONDS, Checkpoint
    from dlnsweep.execution.going_on import begun_of
    from dlnsweep.execution.kept_weights import weights_file
    from dlnsweep.execution.warm_start import given_of
    from dlnsweep.numerics.code import code_of_numbers
    from dlnsweep.simd.llvm import instruction_set, llvm_version
    from dlnsweep.store import Store
    from dlnsweep.store.description import environment_of
    from dlnsweep.store.records import curves_table, outcomes_table

    plugins.load()
    store = Store.open(root)
    around = surroundings()
    begun = environment_of(store.sweep, store.root).get("variables", {})
    check_same(store.root, begun, around["variables"])
    columns, shared, padded_width = _inputs(store, number)
    on_event(Event("begun", number, text=socket.gethostname()))
    checkpoint = Checkpoint(
        store.checkpoint(number),
        DEFAULT_SECONDS if checkpoint_seconds is None else checkpoint_seconds,
        lambda text: on_event(Event("note", number, text=text)),
    )
    if number in store.done():
        checkpoint.remove()
        steps = columns["training.num_steps"]
        on_event(Event("done", number, total_of(steps), len(steps)))
        return
    total = total_of(columns["training.num_steps"])
    told, waiting, last_report = 0, 0, time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal told, waiting, last_report
        if progress.resumed:
            told += progress.run_steps
            on_event(Event("resumed", number, progress.run_steps, diverged=progress.diverged))
            return
        waiting += progress.run_steps
        if time.monotonic() - last_report > _REPORT_SECONDS:
            on_event(Event("progress", number, waiting, diverged=progress.diverged))
            told, waiting, last_report = told + waiting, 0, time.monotonic()

    begun, refusal = begun_of(store, columns, shared)
    given = given_of(store, columns)
    try:
        trained = checkpoint.train(columns, shared, padded_width, report, should_stop, begun, given)
    except Interrupted:
        found = checkpoint.kept(told + waiting, total)
        on_event(Event("kept", number, waiting, text=found))
        raise
    except Exception as error:
        if ran_out := out_of_memory(error):
            raise RunError(ran_out) from error
        raise
    for text in filter(None, (refusal, *dict.fromkeys(begun.refusals if begun else ()))):
        on_event(Event("note", number, text=f"batch {number}: {text}"))
    run_ids = columns["run_id"]
    count = len(run_ids)
    last = np.maximum(trained.num_rows - 1, 0)
    diverged = trained.diverged_step >= 0
    # A run that diverged has no final value: its last finite record is not what it ended with.
    final = {
        name: np.where(
            _alike(diverged, values[:, 0]), np.nan, values[np.arange(count), last]
        ).astype(values.dtype)
        for name, values in trained.observables.items()
    }
    curves = curves_table(run_ids, trained.steps, trained.observables, trained.num_rows)
    last_step = np.where(diverged, trained.diverged_step, trained.steps[last])
    taken = total_of(last_step)
    outcomes = outcomes_table(
        run_ids,
        status=trained.status,
        diverged_step=trained.diverged_step,
        last_step=last_step,
        kernel=trained.kernel,
        kernel_reason=trained.kernel_reason,
        truncation_error=trained.truncation_error,
        burst_error=trained.burst_error,
        final=final,
    )
    device = device_description()
    by_vectors = not set(BY_VECTORS).isdisjoint(trained.kernel)
    by_vectors |= "reduced" in trained.kernel and not shared.get(BASES_BY_NUMPY)
    receipt = {
        "seconds": checkpoint.seconds,
        "compile_seconds": trained.compile_seconds,
        "training_seconds": trained.seconds,
        "run_steps": total,
        "run_steps_taken": taken,
        "device": {key: device[key] for key in ("platform", "kind")},
        "versions": versions() | (llvm_version() if by_vectors else {}),
        "surroundings": around,
        **({"instructions": instruction_set()} if by_vectors else {}),
        **({"code": code_of_numbers()} if store.keeps_weights else {}),
        **({"went_on_from_step": int(begun.steps[-1])} if begun and not begun.refusals else {}),
        **checkpoint.receipt(),
    }
    store.commit(number, curves, outcomes, receipt, weights_file(columns, shared, trained))
    checkpoint.remove()
    # Runs that ended early have no more steps to do.
    rest = total - told
    saved = min(rest, total - taken)
    on_event(Event("done", number, rest, count, int(np.sum(diverged)), saved))


def _alike(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    return mask.reshape(-1, *[1] * (values.ndim - 1))


def _inputs(store: Any, number: int) -> tuple[dict[str, np.ndarray], dict[str, Any], int]:
    """Return the runs' columns, the settings that are no column, and the padded width."""
    from dlnsweep.execution.origins import COLUMN
    from dlnsweep.execution.ways import auto_jumps, jump_checks, reduced_bases, reduced_steps
    from dlnsweep.execution.ways.auto_kernel import settings_in
    from dlnsweep.store.arrow_arrays import values_of

    table = store.runs_of_batch(number)
    columns = Columns()
    for name in table.column_names:
        columns[name] = values_of(table[name], -1 if name == COLUMN else np.nan)
    if missing := [name for name in ALWAYS if name not in columns]:
        raise no_column(missing[0])
    record = store.sweep["sweep"]
    if "shared" not in record:
        raise StoreError(
            f"{store.root}: its sweep.json is damaged ('sweep.shared' is missing); restore it from "
            "a copy, or move the folder away and run the sweep again."
        )
    shared = record["shared"] | settings_in(record) | reduced_steps.settings_in(record)
    shared |= jump_checks.settings_in(record) | reduced_bases.settings_in(record)
    width = int(columns["padded_width"][0])
    row = RunSettings.at(columns, 0, shared)
    return columns, shared | auto_jumps.settings_in(record, row, width), width


def main() -> int:
    """Serve batches until the standard input ends."""
    began = time.time()
    parser = argparse.ArgumentParser(prog="python -m dlnsweep.worker", description=__doc__)
    parser.add_argument("root", help="a results folder, or its address")
    parser.add_argument("--cores", default="", help="take the first that no other worker has")
    parser.add_argument("--checkpoint-seconds", type=float)
    parser.add_argument("--plugin", action="append", default=[], help="a file to load")
    arguments = parser.parse_args()
    console.secure()
    if arguments.cores and hasattr(os, "sched_setaffinity"):
        cores = arguments.cores.split(",")
        place = claim("core", cores)
        # Before JAX starts: XLA makes as many threads as it finds cores.
        os.sched_setaffinity(0, {int(place.name if place else cores[0])})
    voice = _Voice()
    with handled(lambda *_: voice.stop()):
        # A Dask worker of ours has them blocked, and we inherit that.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, POLITE)
        return _serve(arguments, voice, began)


class _Voice:
    """Tells events to the runner, and knows whether the batch shall end: nothing else stops it."""

    def __init__(self) -> None:
        # Only events may go to the pipe; whatever else prints goes to the terminal.
        self._pipe = os.dup(1)
        os.dup2(2, 1)
        self._runner = os.getppid()
        self._stopping = False

    def stop(self) -> None:
        self._stopping = True

    def should_stop(self) -> bool:
        # A runner that was killed: nobody would hear the end of the batch, and another runner may
        # begin it, from the checkpoint.
        return self._stopping or os.getppid() != self._runner

    def say(self, **fields: Any) -> None:
        rest = json.dumps(fields).encode() + b"\n"
        try:
            while rest:
                rest = rest[os.write(self._pipe, rest) :]
        except OSError:
            self.stop()

    def tell(self, event: Event) -> None:
        self.say(**vars(event))


def _serve(arguments: argparse.Namespace, voice: _Voice, began: float) -> int:
    from dlnsweep.numerics.executables import keeping_whole
    from dlnsweep.numerics.runtime import device_description

    try:
        for file in arguments.plugin:
            plugins.load_plugin(file)
        voice.say(kind="ready", text=device_description()["kind"])
    except DlnsweepError as error:
        voice.say(kind="unfit", text=str(error))
        return 1
    # Beside who still plans. This process has been started to use it, and for nothing else.
    for name in _WHAT_COMPUTES:
        importlib.import_module(name)
    gc.freeze()
    gc.enable()
    # What others bring stands in files that are not looked at.
    with nullcontext() if plugins.has_any() else keeping_whole(began):
        _work(arguments, voice)
    return 0


def _work(arguments: argparse.Namespace, voice: _Voice) -> None:
    for line in sys.stdin:
        number = int(json.loads(line)["batch"])
        if voice.should_stop():
            voice.say(kind="kept", batch=number, text=NOT_BEGUN)
            break
        try:
            execute_batch(
                arguments.root,
                number,
                voice.tell,
                voice.should_stop,
                arguments.checkpoint_seconds,
            )
        except Interrupted:
            break
        except StoreError as error:
            voice.say(kind="refused", text=str(error))
        except DlnsweepError as error:
            voice.say(kind="failed", batch=number, text=str(error))
        except Exception:
            voice.say(kind="failed", batch=number, text=traceback.format_exc())
        if voice.should_stop():
            break


if __name__ == "__main__":
    sys.exit(main())
