"""What a folder plans to compute is what the sweep asks for: held together run by run.

A run is known by its id, a hash of its settings, and a worker trains what the folder's table says
of it. With a table that says something else another run would be trained under this one's id, or
one that no memory can hold.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa

from dlnsweep.errors import StoreError
from dlnsweep.plan.expansion import plain_value
from dlnsweep.plan.plan import Plan
from dlnsweep.plan.run_ids import default_text
from dlnsweep.settings.run_settings import ALWAYS
from dlnsweep.settings.sentences import show
from dlnsweep.settings.warm_start import WARM_START
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store, run_table
from dlnsweep.store.arrow_arrays import values_of
from dlnsweep.store.layout import RUNS
from dlnsweep.store.plan_files import check_intact
from dlnsweep.store.records import integers
from dlnsweep.theory import prescription

# How others were found, and where the weights lie whose content the id has.
_NO_PART_OF_THE_ID = (*prescription.HOW, WARM_START)
_WIDTH, _PADDED = "network.width", "padded_width"


def check_as_planned(store: Store, plan: Plan, numbers: Collection[int]) -> None:
    """Refuse a folder whose table of runs is not what the sweep plans.

    Of runs that the folder holds beside the sweep's, its receipt alone can tell.

    Args:
        store: The folder.
        plan: The sweep's runs.
        numbers: The batches that are to be computed.

    Raises:
        StoreError: If it was changed, or says other settings of a run.
    """
    if not numbers:
        return
    check_intact(store.files)
    order = np.argsort(plan.run_ids)
    ids, asked = plan.run_ids[order], np.fromiter(numbers, np.int64)
    widths = _widths(store, plan)
    for piece in run_table.pieces(store.files):
        todo = np.flatnonzero(np.isin(integers(piece["batch"]), asked))
        if not len(todo):
            continue
        rows = piece.take(pa.array(todo))
        run_ids = integers(rows["run_id"])
        place = np.minimum(np.searchsorted(ids, run_ids), len(ids) - 1)
        known = np.flatnonzero(ids[place] == run_ids)
        runs, found = order[place[known]], rows.take(pa.array(known))
        for name, column in plan.settings.items():
            # Settings that a later version added have the default that keeps what was done before.
            if name in found.column_names and name not in _NO_PART_OF_THE_ID:
                _check(store, plan.sweep, name, found, column, runs)
        if _PADDED in rows.column_names and not np.isin(integers(rows[_PADDED]), widths).all():
            raise StoreError(
                f"{store.files.path(RUNS)}: its column {_PADDED!r} holds no width of a run, "
                "so nothing is computed by it; restore it, or give another folder with --out DIR."
            )


def _widths(store: Store, plan: Plan) -> np.ndarray:
    """Return the widths to which arrays may be padded: those of the runs, and 1 without any."""
    found = [np.ones(1)]
    if _WIDTH in plan.settings:
        there = store.runs_table([_WIDTH])[_WIDTH] if _WIDTH in store.settings else None
        found += [np.unique(plan.settings[_WIDTH]), *([values_of(there)] if there else [])]
    return np.unique(np.concatenate(found))


def _check(
    store: Store, sweep: Sweep, name: str, rows: pa.Table, column: np.ndarray, runs: np.ndarray
) -> None:
    """Refuse rows of the table where a setting is not that of the runs whose ids they have."""
    here = column[runs]
    if column.dtype != object:
        there = values_of(rows[name])
        wrong = (here == here) & ~(there == here)
    elif column.strides == (0,) and rows[name].unique().to_pylist() == [_plain(column[0])]:
        # All of a million runs share a word.
        return
    else:
        there = rows[name].to_pylist()
        values = [_plain(value) for value in here.tolist()]
        wrong = np.array(
            [b not in (None, "") and a != b for a, b in zip(there, values, strict=True)]
        )
    default = default_text(sweep, name)
    for first in np.flatnonzero(wrong).tolist():
        if name not in ALWAYS and _plain(there[first]) is None and _text(here[first]) == default:
            # Planned by a version that had no such setting; then this one added runs.
            continue
        run_id = integers(rows["run_id"])[first]
        raise StoreError(
            f"{store.files.path(RUNS)}: says {name} = {show(there[first])} of run {run_id}, whose "
            f"id is of {show(here[first])}: it was changed after it was written, so nothing is "
            "computed by it; restore it, or give another folder with --out DIR."
        )


def _text(value: Any) -> str:
    return json.dumps(plain_value(value.item() if isinstance(value, np.generic) else value))


def _plain(value: Any) -> Any:
    """Return a value as a file's column holds it: no tuples, and nothing in place of NaN."""
    if isinstance(value, tuple | list):
        return [*map(_plain, value)]
    return None if isinstance(value, float) and np.isnan(value) else value
