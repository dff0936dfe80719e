"""The only room that knows plan, kernel and store: from a sweep to its results folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlnsweep.contracts import plugins
from dlnsweep.errors import Interrupted, RunError, SpecError, StoreError
from dlnsweep.execution.events import Event
from dlnsweep.execution.failures import keeping, listed
from dlnsweep.execution.heartbeat import beating
from dlnsweep.execution.preparing import DASK, IN_PROCESS, Prepared, prepare
from dlnsweep.execution.rounds.meeting import met
from dlnsweep.execution.rounds.sequence import Computed, has_rounds, rounds
from dlnsweep.execution.shards import Shard
from dlnsweep.execution.workers.local import LocalExecutor
from dlnsweep.machine.stopping import delayed
from dlnsweep.spec.calls import check_call, read_sweep
from dlnsweep.spec.sweep import Sweep
from dlnsweep.spec.words import foreign_words
from dlnsweep.store import results_folder

if TYPE_CHECKING:
    from dlnsweep.results import Results

DEFAULT_OUT = Path("results")
Execute = Callable[
    [Path, Sequence[int], Callable[[Event], None], Callable[[], bool], int], dict[int, str]
]
Watch = Callable[[Prepared, Sweep], AbstractContextManager[Callable[[Event], None]]]


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
    watch: Watch | None = None,
) -> Results:
    """Run a sweep: what is returned, raised and meant is said at `dlnsweep.run` (progress/run.py).

    In place of its `progress` stands `watch`, which shows how far the work on a folder is: given
    what is to be done and the sweep, it returns a context in which it is told what happens.
    """
    check_call(
        overrides, workers, shard, dask, on_event, should_stop, checkpoint_seconds, wait_seconds
    )
    share = Shard.read(shard) if shard is not None else None
    sweep = read_sweep(sweep, overrides)
    network_kind = sweep.values["network.kind"][0]
    homes = {what: home for what, (_, home) in foreign_words(sweep).items()}
    unknown = plugins.only_here(sweep.problem_kind, network_kind, sweep.observables, homes)
    if unknown and (workers or dask is not None):
        asked = f"workers is {workers}" if workers else f"dask is {dask!r}"
        raise SpecError(
            f"{asked}, but worker processes do not know {', '.join(unknown)}, which this process "
            "has registered: take workers=0, name its file (load_plugin, or --plugin), or let an "
            f"entry point of a package name the module (group {plugins.GROUP})."
        )
    if unknown:
        workers = 0
    execute, how = executor_for(workers, dask, checkpoint_seconds)
    root = results_folder(DEFAULT_OUT if out is None else out, sweep.name)
    by_rounds = has_rounds(sweep)
    ready = check_of_workers(execute, should_stop)

    def say(text: str) -> None:
        on_event(Event("note", text=text))

    def compute(sweep: Sweep) -> Computed:
        prepared = prepare(sweep, root, share, how=how, check_workers=ready)
        watched = watch(prepared, sweep) if watch and prepared.todo else nullcontext(on_event)
        with delayed(should_stop) as wished:
            with watched as seen:

                def tell(event: Event) -> None:
                    seen(event)
                    if seen is not on_event:
                        on_event(event)

                work(prepared, execute, how, on_event=tell, should_stop=wished)
            whole = not by_rounds or met(prepared, wait_seconds, say, wished)
        return Computed(prepared.store, whole, prepared.run_ids)

    with begun_ahead(execute, root):
        done = rounds(sweep, compute, say)
    # Reading and drawing wait for pandas and matplotlib, which the command line may not need.
    from dlnsweep.figures.folder import draw_if_done
    from dlnsweep.results import open_results

    results = open_results(done.store.root)
    if figures and sweep.figures and done.whole:
        for note in sweep.figure_notes:
            on_event(Event("note", text=note))
        draw_if_done(results)
    return results


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
    with beating(prepared.store, how) as beat, keeping(prepared.store) as keep:

        def tell(event: Event) -> None:
            beat(event)
            keep(event)
            on_event(event)

        failures = execute(root, numbers, tell, should_stop, prepared.batch_bytes)
    if failures:
        raise RunError(
            f"{root}: {len(failures)} of {len(numbers)} batches failed; the others are done. Run "
            "the same command again to retry.\n" + "\n".join(listed(failures))
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
        from dlnsweep.execution.workers.dask import DaskExecutor

        return DaskExecutor(dask, workers, checkpoint_seconds), f"{DASK}{dask}"
    if workers == 0:
        here = partial(_work_here, checkpoint_seconds=checkpoint_seconds)
        return here, IN_PROCESS
    local = LocalExecutor(workers, checkpoint_seconds)
    count = local.num_workers
    return local, "1 worker" if count == 1 else f"{count} workers"


def check_of_workers(
    execute: Execute, should_stop: Callable[[], bool] = lambda: False
) -> Callable[[], None]:
    """Return what is to be called before a folder is made; see `LocalExecutor.check_plugins`."""
    if isinstance(execute, LocalExecutor):
        return lambda: execute.check_plugins(should_stop)
    return lambda: None


def begun_ahead(execute: Execute, root: str | Path) -> AbstractContextManager[None]:
    """Have a worker process start while the runs of a new folder are planned.

    Args:
        execute: What computes batches; of `executor_for`.
        root: The results folder. One that is there may hold all runs already.
    """
    if isinstance(execute, LocalExecutor) and isinstance(root, Path) and not root.exists():
        return execute.begun(root)
    return nullcontext()


def _work_here(
    root: str | Path,
    numbers: Sequence[int],
    on_event: Callable[[Event], None],
    should_stop: Callable[[], bool],
    batch_bytes: int = 0,  # noqa: ARG001 - there is one process
    *,
    checkpoint_seconds: float | None,
) -> dict[int, str]:
    from dlnsweep.execution.workers.worker import execute_batch

    for number in numbers:
        if should_stop():
            raise Interrupted("stopped")
        execute_batch(root, number, on_event, should_stop, checkpoint_seconds)
    return {}
