"""The only room that knows plan, kernel and store: from a sweep to its results folder."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.contracts import plugins
from dlnsweep.errors import Interrupted, RunError, SpecError, StoreError
from dlnsweep.execution.events import Event
from dlnsweep.execution.heartbeat import beating
from dlnsweep.execution.local import LocalExecutor
from dlnsweep.execution.shards import Shard
from dlnsweep.figures.folder import draw_if_done
from dlnsweep.machine.environment import check_same, cpu, of_this_process
from dlnsweep.machine.stopping import delayed
from dlnsweep.numerics.runtime import LIBRARIES, accelerators, versions
from dlnsweep.plan.batches import Batch, make_batches
from dlnsweep.plan.fitting import need_of, rows_of
from dlnsweep.plan.plan import Plan, make_plan
from dlnsweep.results import Results, open_results
from dlnsweep.spec.calls import check_call, read_sweep
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store, StoredPlan, results_folder
from dlnsweep.store.records import integers
from dlnsweep.version import NUMERICS_VERSION

DEFAULT_OUT = Path("results")
Execute = Callable[
    [Path, Sequence[int], Callable[[Event], None], Callable[[], bool], int], dict[int, str]
]
_MOST_REASONS = 5
IN_PROCESS = "in one process"
_DASK = "dask "


@dataclass(frozen=True)
class Prepared:
    """A results folder that holds the plan, ready to be worked on.

    Attributes:
        store: The folder.
        todo: Numbers of the batches that are not done, with their number of run-steps.
        run_steps: Run-steps of the whole sweep, or of the shard.
        runs: Runs of the whole sweep, or of the shard.
        runs_done: Those of them that are done.
        shard: The share of the batches that is to be computed; None for all.
        note: What the user should know before it begins; may be empty.
        batch_bytes: What a worker of this machine needs for a batch, beside itself.
    """

    store: Store
    todo: dict[int, int]
    run_steps: int
    runs: int
    runs_done: int
    shard: Shard | None = None
    note: str = ""
    batch_bytes: int = 0


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
    figures: bool = True,
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
        figures: Whether to draw the figures that the sweep asks for, once all its runs are done.

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
    check_call(overrides, workers, shard, dask, on_event, should_stop, checkpoint_seconds)
    share = Shard.read(shard) if shard is not None else None
    sweep = read_sweep(sweep, overrides)
    unknown = plugins.only_here(sweep.problem_kind, sweep.observables)
    if unknown and (workers or dask is not None):
        asked = f"workers is {workers}" if workers else f"dask is {dask!r}"
        raise SpecError(
            f"{asked}, but worker processes do not know {', '.join(unknown)}, which this process "
            "has registered: take workers=0, or let an entry point of a package name the module "
            f"(group {plugins.GROUP})."
        )
    if unknown:
        workers = 0
    execute, how = executor_for(workers, dask, checkpoint_seconds)
    root = results_folder(DEFAULT_OUT if out is None else out, sweep.name)
    prepared = prepare(sweep, root, share, how=how)
    with delayed(should_stop) as wished:
        work(prepared, execute, how, on_event=on_event, should_stop=wished)
    results = open_results(prepared.store.root)
    if figures and sweep.figures:
        for note in sweep.figure_notes:
            on_event(Event("note", text=note))
        draw_if_done(results)
    return results


def prepare(
    sweep: Sweep, root: str | Path, shard: Shard | None = None, *, how: str = ""
) -> Prepared:
    """Write the plan into the results folder, or add what is new to a folder that has one.

    Args:
        sweep: The sweep.
        root: The folder, or its address.
        shard: The share of the batches that is to be computed; all by default.
        how: What is to compute it; of `executor_for`.

    Raises:
        SpecError: If a run cannot fit into this machine's memory.
        StoreError: If the folder cannot be used.
    """
    plan, here, note = make_plan(sweep), environment(in_process=how == IN_PROCESS), ""
    rows = np.arange(plan.num_runs)
    elsewhere = how.startswith(_DASK) or bool(accelerators())
    if Store.exists(root):
        store = Store.open(root)
        whole = _stored(plan, rows, [])
        store.check_accepts(whole)
        check_same(store.root, _begun(store).get("variables", {}), here["variables"])
        note = _another_machine(store, here)
        if len(store.known_run_ids()) > plan.num_runs:
            # A part of what the folder holds, which stays what it is but for its figures.
            axes = {"axes": store.sweep["sweep"]["axes"]}
            whole = replace(whole, record=whole.record | axes)
        missing = store.missing_rows(plan.run_ids)
        new = _stored(plan, missing, make_batches(plan, missing))
        store.extend(replace(new, record=whole.record), here, whole)
    else:
        if not elsewhere:
            need_of(plan).check()
        whole = _stored(plan, rows, make_batches(plan, rows))
        store = Store.create(root, whole, here)
        check_same(store.root, _begun(store).get("variables", {}), here["variables"])
        missing = store.missing_rows(plan.run_ids)
        if len(missing):
            # Another runner made the folder at the same moment, for a smaller sweep.
            store.extend(_stored(plan, missing, make_batches(plan, missing)), here, whole)
    prepared = replace(remaining(store, shard, plan.run_ids), note=note)
    if elsewhere or not prepared.todo:
        return prepared
    first = [rows[0] for number, rows in store.batches() if number in prepared.todo]
    need = need_of(plan, rows_of(plan, store.known_run_ids()[first]))
    need.check()
    return replace(prepared, batch_bytes=need.call_bytes)


def _begun(store: Store) -> dict[str, Any]:
    return store.sweep.get("environment", {})


def _another_machine(store: Store, here: dict[str, Any]) -> str:
    """Return a sentence if a folder's results are of other versions or of another kind of CPU."""
    there = _begun(store)
    old, new = there.get("versions", {}), here["versions"]
    found = [
        f"{name} {old[name]} there and {new[name]} here"
        for name in LIBRARIES
        if old.get(name, new[name]) != new[name]
    ]
    if there.get("cpu", here["cpu"]) != here["cpu"]:
        found.append(f"a CPU of the kind {there['cpu']} there and {here['cpu']} here")
    if not found or not store.done():
        return ""
    return (
        f"{store.root}: was begun with {'; '.join(found)}. What is computed now may differ in its "
        "last digits from the same runs there; the receipts say which batch was computed where."
    )


def remaining(
    store: Store, shard: Shard | None = None, run_ids: np.ndarray | None = None
) -> Prepared:
    """Return what is left to do in a results folder.

    Args:
        store: The folder.
        shard: Count only this share of its batches.
        run_ids: Count only batches with one of these runs.
    """
    steps = integers(store.runs_table(["training.num_steps"])["training.num_steps"])
    done = store.done()
    known = store.known_run_ids()
    asked = np.ones(len(known), bool) if run_ids is None else np.isin(known, run_ids)
    todo: dict[int, int] = {}
    run_steps = runs = runs_done = 0
    for number, rows in store.batches():
        if not asked[rows].any() or (shard is not None and not shard.takes(number)):
            continue
        count = int(steps[rows].sum())
        run_steps, runs = run_steps + count, runs + len(rows)
        if number in done:
            runs_done += len(rows)
        else:
            todo[number] = count
    return Prepared(store, todo, run_steps, runs, runs_done, shard)


def work(
    prepared: Prepared,
    execute: Execute,
    how: str,
    *,
    on_event: Callable[[Event], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Compute every batch that is not done, and say in the folder that we are at it.

    Args:
        prepared: What is to be done.
        execute: What computes batches; of `executor_for`.
        how: What it is called.
        on_event: Called with what happens.
        should_stop: Asked often.

    Raises:
        RunError: If batches failed.
        StoreError: If other processes cannot reach the results.
    """
    if not prepared.todo:
        return
    root, numbers = prepared.store.root, list(prepared.todo)
    if str(root).startswith("memory://") and how != IN_PROCESS:
        raise StoreError(
            f"{root}: what stands at memory:// is seen by one process only, but {how} would write "
            "to it; call dlnsweep.run with workers=0, or name a folder or an object store."
        )
    if prepared.shard is not None:
        how = f"shard {prepared.shard}, {how}"
    if prepared.note:
        on_event(Event("note", text=prepared.note))
    with beating(prepared.store, how) as beat:

        def tell(event: Event) -> None:
            beat(event)
            on_event(event)

        failures = execute(root, numbers, tell, should_stop, prepared.batch_bytes)
    if failures:
        raise RunError(
            f"{root}: {len(failures)} of {len(numbers)} batches failed; the others are done. Run "
            f"the same command again to retry.\n{_listed(failures)}"
        )


def executor_for(
    workers: int | None = None, dask: str | None = None, checkpoint_seconds: float | None = None
) -> tuple[Execute, str]:
    """Return what computes batches, and what it is called.

    Args:
        workers: Number of worker processes; one a core or GPU by default; 0 for this process.
        dask: The address of a Dask scheduler, or "local".
        checkpoint_seconds: Seconds between two checkpoints of an unfinished batch.

    Raises:
        SpecError: If Dask is asked for but not installed, or with a number of workers.
    """
    if dask is not None:
        from dlnsweep.execution.dask import DaskExecutor

        return DaskExecutor(dask, workers, checkpoint_seconds).execute, f"{_DASK}{dask}"
    if workers == 0:
        here = partial(_work_here, checkpoint_seconds=checkpoint_seconds)
        return here, IN_PROCESS
    local = LocalExecutor(workers, checkpoint_seconds)
    count = local.num_workers
    return local.execute, "1 worker" if count == 1 else f"{count} workers"


def _listed(failures: dict[int, str]) -> str:
    """Return the reasons of failures; one bug often makes many of them."""
    batches: dict[str, list[int]] = {}
    for number, text in sorted(failures.items()):
        batches.setdefault(text.rstrip(), []).append(number)
    lines = []
    for text, numbers in list(batches.items())[:_MOST_REASONS]:
        named = ", ".join(map(str, numbers[:_MOST_REASONS]))
        more = f" and {len(numbers) - _MOST_REASONS} more" if len(numbers) > _MOST_REASONS else ""
        lines.append(f"batch {named}{more}: {text}")
    if len(batches) > _MOST_REASONS:
        lines.append(f"and {len(batches) - _MOST_REASONS} other reasons")
    return "\n".join(lines)


def _work_here(
    root: str | Path,
    numbers: Sequence[int],
    on_event: Callable[[Event], None],
    should_stop: Callable[[], bool],
    batch_bytes: int = 0,  # noqa: ARG001 - there is one process
    *,
    checkpoint_seconds: float | None,
) -> dict[int, str]:
    from dlnsweep.execution.worker import execute_batch

    for number in numbers:
        if should_stop():
            raise Interrupted("stopped")
        execute_batch(root, number, on_event, should_stop, checkpoint_seconds)
    return {}


def _stored(plan: Plan, rows: np.ndarray, batches: Sequence[Batch]) -> StoredPlan:
    """Return some of a plan's runs as the store takes them."""
    place = np.zeros(plan.num_runs, np.int64)
    lane = np.zeros(plan.num_runs, np.int64)
    padded = np.zeros(plan.num_runs, np.int64)
    for batch in batches:
        place[batch.runs] = batch.number
        lane[batch.runs] = np.arange(len(batch.runs))
        padded[batch.runs] = batch.padded_width
    sweep = plan.sweep
    return StoredPlan(
        name=sweep.name,
        source=sweep.source,
        precision=sweep.options.precision,
        numerics_version=NUMERICS_VERSION,
        run_ids=plan.run_ids[rows],
        settings={key: _taken(column, rows) for key, column in plan.settings.items()},
        batch=place[rows],
        lane=lane[rows],
        record={
            "shared": plan.shared,
            "axes": [list(group) for group in sweep.axes],
            "figures": [figure.model_dump(mode="json") for figure in sweep.figures],
        },
        observables=sweep.observables,
        placement={"padded_width": padded[rows]},
    )


def _taken(column: np.ndarray, rows: np.ndarray) -> np.ndarray:
    # A value that all runs share is a view of one element, and stays one.
    shared = column.strides == (0,)
    return np.broadcast_to(column[:1], len(rows)) if shared else column[rows]


def environment(*, in_process: bool = False) -> dict[str, Any]:
    """Describe what the results came from.

    Versions, the kind of CPU, the variables that change numbers (worker processes have none), and
    the git commit of the folder we are in.
    """
    found: dict[str, Any] = {
        "versions": versions(),
        "cpu": cpu(),
        "variables": of_this_process() if in_process else {},
    }
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
        if commit.returncode == 0:
            found["git_commit"] = commit.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        pass
    return found
