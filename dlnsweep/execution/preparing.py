"""A sweep's plan is written into its results folder, and what is left to do is counted."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.contracts.network import BY_VECTORS, network_of
from dlnsweep.contracts.on_span import AUTO_KNOWS
from dlnsweep.contracts.schedule import total_of
from dlnsweep.errors import StoreError
from dlnsweep.execution.as_planned import check_as_planned
from dlnsweep.execution.origins import COLUMN, ROOT, Origins, origins_of, place_of
from dlnsweep.execution.shards import Shard
from dlnsweep.execution.trial import check_network
from dlnsweep.execution.warm_start import check_other_folder, plan_of, record_of, told
from dlnsweep.execution.ways import auto_jumps, jump_checks, reduced_bases, reduced_steps
from dlnsweep.execution.ways.auto_kernel import (
    check_here,
    least_runs,
    of_new,
    of_store,
    settings_in,
    told_here,
)
from dlnsweep.execution.weights_size import check_weights
from dlnsweep.machine.environment import check_same, cpu, of_this_process
from dlnsweep.numerics.runtime import LIBRARIES, accelerators, versions
from dlnsweep.plan.batches import Batch, make_batches
from dlnsweep.plan.fitting import need_of, rows_of
from dlnsweep.plan.plan import Plan
from dlnsweep.settings.until import Until
from dlnsweep.simd.llvm import asked, check_installed
from dlnsweep.spec.sweep import Sweep
from dlnsweep.spec.words import foreign_words
from dlnsweep.store import Store, StoredPlan
from dlnsweep.store.among import among
from dlnsweep.store.description import environment_of
from dlnsweep.store.layout import check_not_within
from dlnsweep.store.records import integers
from dlnsweep.version import NUMERICS_VERSION

IN_PROCESS = "in one process"


DASK = "dask "


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
        run_ids: The ids of the sweep's runs, in the order of its plan.
        elsewhere: Numbers of the batches of other shards that are not done, with their number of
            runs.
    """

    store: Store
    todo: dict[int, int]
    run_steps: int
    runs: int
    runs_done: int
    shard: Shard | None = None
    note: str = ""
    batch_bytes: int = 0
    elsewhere: dict[int, int] = field(default_factory=dict)
    run_ids: np.ndarray | None = None


def prepare(
    sweep: Sweep,
    root: str | Path,
    shard: Shard | None = None,
    *,
    how: str = "",
    check_workers: Callable[[], None] = lambda: None,
) -> Prepared:
    """Write the plan into the results folder, or add what is new to a folder that has one.

    Args:
        sweep: The sweep.
        root: The folder, or its address.
        shard: The share of the batches that is to be computed; all by default.
        how: What is to compute it; of `executor_for`.
        check_workers: Called before a folder is made; raises SpecError if they cannot compute it.

    Raises:
        SpecError: If a run cannot fit into this machine's memory, or kept weights on its disk.
        RunError: If a package is missing here that the kernel needs, or what it needs of a
            processor.
        StoreError: If the folder cannot be used.
    """
    plan, here, note = plan_of(sweep), environment(in_process=how == IN_PROCESS), ""
    check_other_folder(plan, root)
    store = Store.open(root) if Store.exists(root) else None
    if store is not None:
        known = store.sweep["sweep"].get("shared", {})
        plan = replace(plan, auto_as_before=AUTO_KNOWS not in known)
    check_network(plan)
    check_weights(plan, root)
    rows, created = np.arange(plan.num_runs), store is None
    elsewhere = how.startswith(DASK) or bool(accelerators())
    if sweep.options.kernel in BY_VECTORS and not how.startswith(DASK):
        check_installed(asked(sweep.options.kernel))
    if store is not None:
        if not elsewhere:
            check_here(store)
            reduced_bases.check_here(store)
        taken = _taken_in(store)
        whole = _with(taken, stored_plan(plan, rows, []))
        store.check_accepts(whole)
        check_same(store.root, _begun(store).get("variables", {}), here["variables"])
        note = _another_machine(store, here)
        if len(store.known_run_ids()) > plan.num_runs:
            # A part of what the folder holds, which stays what it is but for its figures.
            axes = {"axes": store.sweep["sweep"]["axes"]}
            whole = replace(whole, record=whole.record | axes)
        missing = store.missing_rows(plan.run_ids)
        # Runs that are planned know where they go on from, which need not be there any more.
        origins, lost = _origins_of_more(plan, store) if len(missing) else (None, "")
        note = "; ".join(filter(None, (note, lost)))
        new = stored_plan(plan, missing, _batches(plan, missing, origins, taken), origins)
        store.extend(replace(new, record=whole.record), here, whole)
    else:
        check_not_within(root)
        if not elsewhere:
            need_of(plan).check()
        origins = origins_of(plan)
        taken = {} if elsewhere else of_new(plan) | auto_jumps.of_new(plan)
        taken |= {} if elsewhere else reduced_bases.of_new(plan)
        taken |= reduced_steps.of_new(plan)
        batches = _batches(plan, rows, origins, taken)
        whole = _with(taken, stored_plan(plan, rows, batches, origins))
        check_workers()
        store = Store.create(root, whole, here)
        check_same(store.root, _begun(store).get("variables", {}), here["variables"])
        missing = store.missing_rows(plan.run_ids)
        if len(missing):
            # Another runner made the folder at the same moment, for a smaller sweep.
            taken = _taken_in(store)
            batches = _batches(plan, missing, origins, taken)
            more = _with(taken, stored_plan(plan, missing, batches, origins))
            store.extend(more, here, whole)
    if origins is not None and (origins.run_ids >= 0).any():
        note = "; ".join(filter(None, (note, origins.sentence)))
    if plan.starts is not None:
        note = "; ".join(filter(None, (note, *told(plan.starts))))
    if not elsewhere:
        note = "; ".join(filter(None, (note, told_here(sweep))))
    prepared = replace(remaining(store, shard, plan.run_ids), note=note, run_ids=plan.run_ids)
    if not created:
        check_as_planned(store, plan, prepared.todo)
    if elsewhere or not prepared.todo:
        return prepared
    first = [rows[0] for number, rows in store.batches() if number in prepared.todo]
    need = need_of(plan, rows_of(plan, store.known_run_ids()[first]))
    need.check()
    return replace(prepared, batch_bytes=need.call_bytes)


def _batches(
    plan: Plan, rows: np.ndarray, origins: Origins | None, taken: Mapping[str, str]
) -> list[Batch]:
    begin_at = None if origins is None else origins.steps
    least, told = least_runs(plan, taken), settings_in(taken)
    return make_batches(plan, rows, begin_at=begin_at, least=least, told=told)


def _taken_in(store: Store) -> dict[str, str]:
    record = store.sweep["sweep"]
    taken = of_store(store) | auto_jumps.of_record(record)
    return taken | reduced_steps.of_record(record) | reduced_bases.of_record(record)


def _with(taken: Mapping[str, str], plan: StoredPlan) -> StoredPlan:
    return replace(plan, record={**plan.record, **taken})


def _origins_of_more(plan: Plan, store: Store) -> tuple[Origins | None, str]:
    """Return where runs that are added to a folder go on from, and what is to be told.

    Rounds may add some long after the first ones went on: what has vanished since then costs them
    time alone.
    """
    try:
        return origins_of(plan), ""
    except StoreError as error:
        root = place_of(plan.sweep.options.go_on_from)
        if store.sweep["sweep"].get(ROOT) != root:
            raise
        nowhere = Origins(root, np.full(plan.num_runs, -1), np.zeros(plan.num_runs, np.int64))
        return nowhere, f"new runs begin at step 0: {error.__cause__ or error}"


def _begun(store: Store) -> dict[str, Any]:
    return environment_of(store.sweep, store.root)


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
    asked = np.ones(len(known), bool) if run_ids is None else among(known, run_ids)
    todo: dict[int, int] = {}
    elsewhere: dict[int, int] = {}
    run_steps = runs = runs_done = 0
    for number, rows in store.batches():
        if not asked[rows].any():
            continue
        if shard is not None and not shard.takes(number):
            if number not in done:
                elsewhere[number] = len(rows)
            continue
        count = total_of(steps[rows])
        run_steps, runs = run_steps + count, runs + len(rows)
        if number in done:
            runs_done += len(rows)
        else:
            todo[number] = count
    return Prepared(store, todo, run_steps, runs, runs_done, shard, elsewhere=elsewhere)


def _versions(plan: Plan) -> dict[str, dict[str, str]]:
    """Return what strangers' code is known by, of all that the sweep names."""
    network = network_of(plan.row(0))
    found = {what: version for what, (version, _) in foreign_words(plan.sweep).items()}
    if network.version:
        found[f"network.kind '{network.kind}'"] = network.version
    return {"code_versions": found} if found else {}


def stored_plan(
    plan: Plan, rows: np.ndarray, batches: Sequence[Batch], origins: Origins | None = None
) -> StoredPlan:
    """Return some of a plan's runs as the store takes them."""
    place = np.zeros(plan.num_runs, np.int64)
    lane = np.zeros(plan.num_runs, np.int64)
    padded = np.zeros(plan.num_runs, np.int64)
    for batch in batches:
        place[batch.runs] = batch.number
        lane[batch.runs] = np.arange(len(batch.runs))
        padded[batch.runs] = batch.padded_width
    sweep = plan.sweep
    refine, until = sweep.options.refine, sweep.options.until
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
            **_versions(plan),
            "axes": [list(group) for group in sweep.axes],
            "figures": [figure.model_dump(mode="json") for figure in sweep.figures],
            **({"refine": refine.model_dump(mode="json")} if refine is not None else {}),
            **({"until": _until(until, sweep.options.seeds)} if until is not None else {}),
            **({ROOT: place_of(folder)} if (folder := sweep.options.go_on_from) else {}),
            **record_of(plan),
            **jump_checks.of(plan),
        },
        observables=sweep.observables,
        placement={
            "padded_width": padded[rows],
            **({} if origins is None else {COLUMN: origins.run_ids[rows]}),
            **({} if plan.starts is None else _taken_all(plan.starts.placement, rows)),
        },
    )


def _until(until: Until, first: Any) -> dict[str, Any]:
    return {"asked": until.model_dump(mode="json"), "first": first}


def _taken_all(columns: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: column[rows] for name, column in columns.items()}


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
