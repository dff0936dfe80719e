"""What a batch whose runs go on is given of the folder in which they began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from dlnsweep.contracts.schedule import record_steps
from dlnsweep.engine.begun import Begun
from dlnsweep.engine.journal import difference, origin_of
from dlnsweep.errors import StoreError
from dlnsweep.execution.origins import COLUMN, ROOT
from dlnsweep.execution.ways.auto_kernel import settings_in
from dlnsweep.numerics.runtime import LIBRARIES
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.sections import RecordSettings
from dlnsweep.store import Store
from dlnsweep.store.layout import batch_name
from dlnsweep.store.records import integers


class _Not(Exception):  # noqa: N818 - not an error: the batch begins at step 0
    """A batch cannot go on; the message says why."""


def begun_of(
    store: Store, columns: Mapping[str, np.ndarray], shared: Mapping[str, Any]
) -> tuple[Begun | None, str]:
    """Return where the runs of a batch stand, else why they begin at step 0 after all.

    The numbers are the same either way, but for last digits of what was recorded there in a batch
    of another number of runs, so that a folder that has vanished or is damaged costs time only.

    Args:
        store: The folder of the batch.
        columns: Its runs.
        shared: Their other settings.
    """
    root, ids = store.sweep["sweep"].get(ROOT), columns.get(COLUMN)
    if not isinstance(root, str) or ids is None or ids.dtype.kind != "i" or (ids < 0).any():
        return None, ""
    try:
        old = Store.open(root)
        if settings_in(old.sweep["sweep"]) != settings_in(store.sweep["sweep"]):
            raise _Not("another kernel trained them")
        return _begun(old, ids, columns, shared), ""
    except (_Not, StoreError) as error:
        return None, f"begins at step 0, not where it ended in {root}: {error}"


def _begun(
    old: Store, ids: np.ndarray, columns: Mapping[str, np.ndarray], shared: Mapping[str, Any]
) -> Begun:
    keys = ["run_id", "batch", "training.num_steps", "record.spacing", "record.count"]
    table = old.runs_table(keys)
    known = integers(table["run_id"])
    order = np.argsort(known)
    if not len(known):
        raise _Not("no run is there any more")
    places = order[np.minimum(np.searchsorted(known, ids, sorter=order), len(order) - 1)]
    if not np.array_equal(known[places], ids):
        raise _Not("a run is not there any more")
    totals = np.unique(integers(table["training.num_steps"])[places])
    if len(totals) > 1:
        raise _Not("its runs ended at several steps")
    row = RunSettings(
        {key: table[key][int(places[0])].as_py() for key in keys[3:]}
        | {"record.steps": old.sweep["sweep"].get("shared", {}).get("record.steps", [])}
    )
    steps = record_steps(row.section("record", RecordSettings), int(totals[0]))
    # As JAX has the keys of a dictionary.
    names = sorted(shared["record.observables"])
    records: dict[str, np.ndarray] = {}
    state: list[np.ndarray] = []
    batches = integers(table["batch"])[places]
    for number in np.unique(batches).tolist():
        if number not in old.done():
            raise _Not(f"batch {number} there is not done any more")
        _check_origin(old, number, columns, shared)
        lanes = np.flatnonzero(batches == number)
        _read_state(old, number, ids, lanes, state)
        _read_records(old, number, ids, lanes, names, steps, records)
    return Begun(steps, records, state)


def _check_origin(
    old: Store, number: int, columns: Mapping[str, np.ndarray], shared: Mapping[str, Any]
) -> None:
    """Refuse what another machine or version computed: the bits would be a mixture."""
    receipt = old.files.read_json(batch_name("receipts", number))
    parts = [receipt.get(name) for name in ("versions", "device", "surroundings")]
    versions, device, around = (part if isinstance(part, dict) else {} for part in parts)
    there = {
        "numerics version": old.sweep.get("numerics_version"),
        **{name: versions.get(name) for name in LIBRARIES},
        "platform": device.get("platform"),
        "device": device.get("kind"),
        **around,
        "code": receipt.get("code"),
    }
    here = origin_of(columns, shared, 0)
    del here["runs"]
    if reason := difference(there, here):
        raise _Not(reason)


def _read_state(
    old: Store, number: int, ids: np.ndarray, lanes: np.ndarray, state: list[np.ndarray]
) -> None:
    """Put the states of some runs of a batch there into their lanes."""
    groups = old.weights_of_batch(number)
    for lane in lanes.tolist():
        found = [(g, place) for g in groups if (place := g.place(int(ids[lane]))) is not None]
        leaves = found[0][0].state_of(found[0][1]) if found else []
        if not leaves:
            raise _Not(f"batch {number} there keeps no state to go on from")
        if not state:
            state += [np.zeros((len(ids), *leaf.shape), leaf.dtype) for leaf in leaves]
        if [(s.shape[1:], s.dtype) for s in state] != [(x.shape, x.dtype) for x in leaves]:
            raise _Not("its runs were computed in arrays of several sizes")
        for whole, leaf in zip(state, leaves, strict=True):
            whole[lane] = leaf


def _read_records(
    old: Store,
    number: int,
    ids: np.ndarray,
    lanes: np.ndarray,
    names: list[str],
    steps: np.ndarray,
    records: dict[str, np.ndarray],
) -> None:
    """Put what was recorded of some runs of a batch there into their lanes."""
    table = old.read_batch("curves", number, ["run_id", "step", *names])
    if missing := set(names) - set(table.column_names):
        raise _Not(f"batch {number} there did not record {min(missing)}")
    run_ids, recorded = integers(table["run_id"]), integers(table["step"])
    columns = {name: _values(table[name]) for name in names}
    for name, values in columns.items():
        blank = np.full((len(ids), len(steps), *values.shape[1:]), np.nan, values.dtype)
        if records.setdefault(name, blank).shape != blank.shape:
            raise _Not(f"{name} has several lengths there")
    for lane in lanes.tolist():
        rows = np.flatnonzero(run_ids == ids[lane])
        if not np.array_equal(recorded[rows], steps[: len(rows)]):
            raise _Not(f"batch {number} there was recorded at other steps")
        for name, values in columns.items():
            records[name][lane, : len(rows)] = values[rows]


def _values(column: pa.ChunkedArray) -> np.ndarray:
    """Return numbers, (rows,), or vectors, (rows, length), with their bits."""
    array = column.combine_chunks()
    if not pa.types.is_fixed_size_list(array.type):
        return array.to_numpy(zero_copy_only=False)
    return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), array.type.list_size)
