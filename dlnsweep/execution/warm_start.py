"""With which weights of another folder the runs of a sweep begin, found and read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnsweep.contracts.network import network_of
from dlnsweep.errors import SpecError, StoreError
from dlnsweep.execution.matching import LEAVE, Matching
from dlnsweep.execution.origins import place_of
from dlnsweep.plan.plan import Plan, expanded_ids, make_plan
from dlnsweep.plan.starts import Starts, hashed, with_starts
from dlnsweep.settings.sentences import printable, show
from dlnsweep.settings.warm_start import COLUMNS, WARM_START, WarmStart
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store
from dlnsweep.store.records import integers

if TYPE_CHECKING:
    from dlnsweep.results.weights import KeptWeights

# What `sweep.json` has of it.
RECORD = "warm_start"
_KEY = WARM_START
_MOST_SHOWN = 3


def plan_of(sweep: Sweep) -> Plan:
    """Return the runs of a sweep, with the weights that they begin with if these are given.

    Raises:
        SpecError: If runs have none there, or several, or such as do not fit.
        StoreError: If the other folder cannot be read.
    """
    plan, warm = make_plan(sweep), sweep.options.warm_start
    return plan if warm is None else with_starts(plan, _starts_of(plan, warm))


def expanded_ids_of(sweep: Sweep) -> np.ndarray:
    """Return what `expanded_ids` does, of runs that may begin with given weights.

    Raises:
        SpecError: As `plan_of`.
        StoreError: As `plan_of`.
    """
    ids, warm = expanded_ids(sweep), sweep.options.warm_start
    if warm is None:
        return ids
    plain = make_plan(sweep)
    order = np.argsort(plain.run_ids)
    begun = with_starts(plain, _starts_of(plain, warm))
    return begun.run_ids[order[np.searchsorted(plain.run_ids[order], ids)]]


def record_of(plan: Plan) -> dict[str, Any]:
    """Return what a results folder remembers of where its runs' weights are from."""
    if plan.starts is None:
        return {}
    starts: Starts = plan.starts
    return {
        RECORD: {
            "from": place_of(starts.asked),
            "where": starts.where,
            "step": starts.step,
            "differs_in": list(starts.others),
        }
    }


def told(starts: Starts) -> list[str]:
    """Return what is told of it, as lines of text."""
    steps = sorted(set(starts.steps.tolist()))
    shown = ", ".join(map(str, steps[:_MOST_SHOWN])) + (", ..." * (len(steps) > _MOST_SHOWN))
    what, count = "step" if len(steps) == 1 else "steps", len(set(starts.run_ids.tolist()))
    total = len(starts.run_ids)
    theirs = "a run" if count == 1 else f"{count} runs"
    lines = [
        f"{total} {'run begins' if total == 1 else 'runs begin'} with the weights of {theirs} of "
        f"{starts.root}, {what} {shown}"
    ]
    if starts.others:
        more = len(starts.others) - _MOST_SHOWN
        rest = f"; and {more} more" if more > 0 else ""
        lines.append(f"which differ in: {'; '.join(starts.others[:_MOST_SHOWN])}{rest}")
    return lines


def check_other_folder(plan: Plan, root: str | Path) -> None:
    """Refuse runs that would begin with weights of their own folder.

    Raises:
        SpecError: If they would.
    """
    if plan.starts is None:
        return
    here, there = place_of(str(root)), place_of(plan.starts.asked)
    if _real(here) == _real(there):
        raise SpecError(
            f"{_KEY}: {plan.starts.asked} is this sweep's own results folder; give the sweep "
            "another name, or another folder with --out DIR."
        )


def _real(place: str) -> str:
    return place if "://" in place else str(Path(place).resolve())


def _starts_of(plan: Plan, warm: WarmStart) -> Starts:
    folder = warm.folder
    store = _open(folder)
    if not store.keeps_weights:
        raise SpecError(
            f"{_KEY}: {store.root} keeps no weights; give a folder of a sweep with "
            f'record.weights = "final", {LEAVE}.'
        )
    for program in np.unique(plan.programs):
        _check_way(plan, int(np.flatnonzero(plan.programs == program)[0]))
    table = store.runs_table()
    matching = Matching(plan, table, warm.where, store.root)
    refine = plan.sweep.options.refine
    if refine is not None and refine.between in matching.keys:
        raise SpecError(
            f"{_KEY}: rounds of sweep.refine add values of {refine.between}, which varies in "
            f"{store.root}, too; name the one to start from, {_KEY}.where = "
            f'{{ "{refine.between}" = ... }}, {LEAVE}.'
        )
    rows = matching.rows()
    ids, batches = (integers(table[name])[rows] for name in ("run_id", "batch"))
    done = np.isin(batches, list(store.done()))
    if not done.all():
        missing = len(set(ids[~done].tolist()))
        raise SpecError(
            f"{_KEY}: {store.root} has {missing} of the runs to start from not done yet, run "
            f"{ids[~done][0]} the first; run that sweep again to finish it."
        )
    # Results are pandas' world, which a worker without such runs need not load.
    from dlnsweep.results.weights import KeptWeights

    kept, found = KeptWeights(store), {}
    fits = {program: _Fit(plan, program) for program in np.unique(plan.programs).tolist()}
    # Batch by batch: the last one that was read stays in memory.
    for index in np.lexsort([ids, batches]).tolist():
        source = int(ids[index])
        if source not in found:
            found[source] = _read(kept, source, warm.step)
    # Of runs of a program the sizes differ by the width alone.
    widths = plan.settings.get("network.width", np.zeros(plan.num_runs)).tolist()
    checked = set()
    for index, (source, width) in enumerate(zip(ids.tolist(), widths, strict=True)):
        program, forms = int(plan.programs[index]), found[source][2]
        if (alike := (program, width, *forms.items())) not in checked:
            fits[program].check(index, source, forms, store.root)
            checked.add(alike)
    steps, contents = (np.array([found[i][k] for i in ids.tolist()], np.int64) for k in (0, 1))
    where = {key: value for key, (value,) in warm.where.items()}
    return Starts(
        store.root, folder, ids, steps, contents, where, warm.step, tuple(matching.differences())
    )


def _open(folder: str) -> Store:
    try:
        return Store.open(folder)
    except StoreError as error:
        raise StoreError(
            f"{_KEY}: {error} Without those weights it is not known which runs are asked for: "
            f"bring the folder back, {LEAVE}."
        ) from error


def _read(
    kept: KeptWeights, run_id: int, step: int | None
) -> tuple[int, int, dict[str, tuple[Any, ...]]]:
    """Return the step of a run's weights, the hash of their content, and their forms by name."""
    try:
        at, arrays = kept.at(run_id, step)
    except SpecError as error:
        raise SpecError(*(f"{_KEY}: {text}" for text in error.problems)) from None
    wrong = [name for name, array in arrays.items() if not np.all(np.isfinite(array))]
    if wrong:
        raise SpecError(
            f"{_KEY}: run {run_id} has kept {wrong[0]} with numbers that are not finite; there is "
            "nothing to train from."
        )
    forms = {name: (array.dtype, array.shape) for name, array in arrays.items()}
    return at, content_of(arrays), forms


def content_of(arrays: Mapping[str, np.ndarray]) -> int:
    """Return a hash of some weights: of their names, types, shapes and bytes."""
    parts: list[bytes] = []
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        parts += [f"{name} {array.dtype.str} {array.shape}\n".encode(), array.tobytes()]
    return hashed(*parts)


class _Fit:
    """What the weights of the runs of a program must be.

    Args:
        plan: The plan.
        program: The program's number.
    """

    def __init__(self, plan: Plan, program: int) -> None:
        # JAX, which folders that cannot be used do without.
        from dlnsweep.contracts.drawing import drawing_of
        from dlnsweep.engine.given import weight_tree
        from dlnsweep.numerics.runtime import numerics

        self._plan = plan
        index = int(np.flatnonzero(plan.programs == program)[0])
        # Runs with given weights may be trained by another way.
        row = plan.row(index) | {_KEY: "given"}
        self._network = network_of(row)
        with numerics():
            drawing = drawing_of(row, plan.program_widths[program])
            self._shapes = weight_tree(drawing).shapes

    def check(
        self, index: int, source: int, forms: Mapping[str, tuple[Any, ...]], root: Any
    ) -> None:
        """Refuse weights of another network."""
        row = self._plan.row(index)
        dtype = np.dtype(row["sweep.precision"])
        wanted = {
            name: (dtype, self._network.weight_shape(name, row) or shape)
            for name, shape in self._shapes.items()
        }
        if wanted == dict(forms):
            return
        name = next(n for n in [*wanted, *forms] if wanted.get(n) != forms.get(n))
        there, here = (_said(each.get(name)) for each in (forms, wanted))
        raise SpecError(
            f"{_KEY}: the weights of run {source} of {root} do not fit the run with seed "
            f"{row['seed']} here: {printable(name)} is {there} there and {here} here; take a sweep "
            f"of the same network and sizes, {LEAVE}."
        )


def _said(form: tuple[Any, ...] | None) -> str:
    return "missing" if form is None else f"{form[0]} {list(form[1])}"


def _check_way(plan: Plan, index: int) -> None:
    """Refuse a network, or a way to train it, that draws what it starts from."""
    from dlnsweep.contracts.drawing import drawing_of

    row = plan.row(index) | {_KEY: "given"}
    drawing = drawing_of(row, int(plan.program_widths[plan.programs[index]]))
    if drawing.takes_weights:
        return
    raise SpecError(
        f"{_KEY}: network.kind = {show(row['network.kind'])} starts from weights that its seed "
        f"draws, to which what it trains and records refers; leave {_KEY} out."
    )


def given_of(store: Store, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """Return the initial weights of a batch's runs, by name; None where they are drawn.

    Args:
        store: The folder of the batch.
        columns: Its runs.

    Raises:
        StoreError: If they are not there any more, or not those that the runs were planned with.
    """
    record = store.sweep["sweep"].get(RECORD)
    if WARM_START not in columns and record is None:
        return None
    known = isinstance(record, dict) and isinstance(record.get("from"), str)
    whole = all(name in columns and columns[name].dtype.kind == "i" for name in COLUMNS)
    if not (known and whole and WARM_START in columns):
        raise StoreError(
            f"{store.root}: does not say any more with which weights its runs begin: it is "
            "damaged; restore it, or move it away and run the sweep again."
        )
    return read_given(record["from"], *(columns[name] for name in COLUMNS))


def read_given(
    folder: str, run_ids: np.ndarray, steps: np.ndarray, contents: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the weights that runs begin with, by name, (runs, ...), zero beyond their own arrays.

    Args:
        folder: The folder that has them.
        run_ids: The runs there.
        steps: The steps of their weights.
        contents: The hashes of these.

    Raises:
        StoreError: If they are not there any more, or others.
    """
    store = Store.open(folder)
    from dlnsweep.results.weights import KeptWeights

    kept, found = KeptWeights(store), []
    for run_id, step, content in zip(
        run_ids.tolist(), steps.tolist(), contents.tolist(), strict=True
    ):
        try:
            _, arrays = kept.at(run_id, step)
        except SpecError as error:
            raise StoreError(
                f"{store.root}: has the weights no more with which a run begins ({error}); "
                "restore that folder, or run this sweep again under another name."
            ) from None
        if content_of(arrays) != content:
            raise StoreError(
                f"{store.root}: the weights of run {run_id} have changed since this sweep was "
                "planned; restore that folder, or run this sweep again under another name."
            )
        found.append(arrays)
    names = list(found[0])
    if any(list(arrays) != names for arrays in found):
        raise StoreError(f"{store.root}: runs have weights of several kinds of network.")
    whole = {}
    for name in names:
        shapes = {arrays[name].ndim for arrays in found}
        if len(shapes) > 1:
            raise StoreError(f"{store.root}: {printable(name)} has several dimensions in its runs.")
        room = np.max([arrays[name].shape for arrays in found], axis=0, initial=0)
        whole[name] = np.zeros((len(found), *map(int, room)), found[0][name].dtype)
        for place, arrays in enumerate(found):
            whole[name][(place, *map(slice, arrays[name].shape))] = arrays[name]
    return whole
