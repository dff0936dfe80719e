"""What the store keeps of a plan, and whether two plans may share a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from dlnsweep.errors import StoreError
from dlnsweep.store.address import Location
from dlnsweep.store.among import among
from dlnsweep.store.records import settings_schema, settings_table

FORMAT = 1
# Rows of a row group of `runs.parquet`: what a worker reads at once to find its batch.
ROWS_AT_ONCE = 1 << 14
_SHOWN_SETTINGS = 3
# In what runs may differ from those that they go on from.
_MAY_GO_ON = {"training.num_steps", "record.spacing", "record.count"}
_SHOWN_VALUES = 4
# What is said where no setting differs.
SAME_VALUES = "the same values of every setting, but in other combinations"


@dataclass(frozen=True)
class StoredPlan:
    """The plan of a sweep as the store takes it.

    Attributes:
        name: The sweep's name.
        source: What it reproduces; may be empty.
        precision: "float32" or "float64".
        numerics_version: Raised whenever numbers can change.
        run_ids: One id a run, int64, all different.
        settings: One column a setting, by its dotted key; NaN and None stand for "not used".
        batch: The batch of each run.
        lane: The place of each run in its batch.
        record: Everything else of the resolved sweep, as a value for JSON.
        observables: What is recorded; two plans that record different things may not mix.
        placement: More integer columns that say how a run is computed but are no settings, such
            as the width to which its batch is padded; names without a dot.
    """

    name: str
    source: str
    precision: str
    numerics_version: int
    run_ids: np.ndarray
    settings: dict[str, np.ndarray]
    batch: np.ndarray
    lane: np.ndarray
    record: dict[str, Any] = field(default_factory=dict)
    observables: tuple[str, ...] = ()
    placement: dict[str, np.ndarray] = field(default_factory=dict)

    def runs_tables(self, rows_at_once: int = ROWS_AT_ONCE) -> Iterator[pa.Table]:
        """Yield the table of `runs.parquet` in pieces, so that a million runs need little memory.

        Its columns are keys, the seed, then every other setting; no runs are one empty piece.
        """
        types = settings_schema(self.settings)
        for first in range(0, max(1, len(self.run_ids)), rows_at_once):
            yield self._piece(slice(first, first + rows_at_once), types)

    def _piece(self, rows: slice, types: pa.Schema) -> pa.Table:
        seed_first = sorted(self.settings, key=lambda name: name != "seed")
        keys = {
            "run_id": pa.array(np.asarray(self.run_ids[rows], dtype=np.int64)),
            "batch": pa.array(np.asarray(self.batch[rows], dtype=np.int32)),
            "lane": pa.array(np.asarray(self.lane[rows], dtype=np.int32)),
        }
        placed = {name: np.asarray(c[rows], np.int64) for name, c in self.placement.items()}
        keys |= {name: pa.array(column) for name, column in placed.items()}
        settings = settings_table({name: self.settings[name][rows] for name in seed_first}, types)
        columns = keys | dict(zip(settings.column_names, settings.columns, strict=True))
        return pa.table(columns)

    def description(self, environment: dict[str, Any]) -> dict[str, Any]:
        """Return the content of `sweep.json`."""
        return {
            "format": FORMAT,
            "name": self.name,
            "source": self.source,
            "precision": self.precision,
            "numerics_version": self.numerics_version,
            "observables": list(self.observables),
            "sweep_sha256": self.record_sha256(),
            "environment": environment,
            "sweep": self.record,
        }

    def record_sha256(self) -> str:
        """Return the hash by which a changed record is noticed."""
        canonical = json.dumps(self.record, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


def is_setting(column: str) -> bool:
    """Tell whether a column of `runs.parquet` is a setting, by its dotted key."""
    return column == "seed" or "." in column


def check_compatible(
    root: Location,
    stored: dict[str, Any],
    run_ids: np.ndarray,
    runs: Callable[[], pa.Table],
    plan: StoredPlan,
) -> None:
    """Refuse a plan whose results must not mix with what a folder holds.

    Args:
        root: The folder.
        stored: Its `sweep.json`.
        run_ids: The ids of its runs.
        runs: Returns its `runs.parquet`, which is read only to say what differs.
        plan: The plan that asks to use it.

    Raises:
        StoreError: If precision, numerics version or observables differ, or if each of the two has
            runs that the other one has not.
    """
    for key, word, here in (
        ("precision", "precision", plan.precision),
        ("numerics_version", "numerics version", plan.numerics_version),
        ("observables", "observables", list(plan.observables)),
    ):
        there = stored.get(key)
        if there != here:
            raise StoreError(
                f"{root}: holds results of {word} {_shown(there)}, but this sweep asks for {word} "
                f"{_shown(here)}; a folder holds one {word} only; give another folder with "
                "--out DIR or give the sweep another name."
            )
    there, here = (record.get("code_versions", {}) for record in (stored["sweep"], plan.record))
    changed = [what for what in here if there.get(what, here[what]) != here[what]]
    if changed:
        raise StoreError(
            f"{root}: holds runs of another version of {changed[0]} (its source file has changed "
            "since, or the version that it declares); runs of different code must not mix: give "
            "another folder with --out DIR or give the sweep another name, and declare a version "
            "(version=...) where a change is none to the numbers."
        )
    if among(run_ids, plan.run_ids).all() or among(plan.run_ids, run_ids).all():
        return
    differences = differing_settings(runs(), settings_table(plan.settings))
    asked = [each["sweep"].get("warm_start") for each in (stored, {"sweep": plan.record})]
    if asked[0] and asked[1] and not differences:
        raise StoreError(
            f"{root}: holds runs that began with other weights than those that "
            "sweep.warm_start finds now: they have been computed anew since, or others are chosen; "
            "give another folder with --out DIR or give the sweep another name."
        )
    longer = bool(differences) and differences.keys() <= _MAY_GO_ON
    shown = "; ".join([*differences.values()][:_SHOWN_SETTINGS]) or SAME_VALUES
    kept = stored["sweep"].get("shared", {}).get("record.weights") == "final"
    advice = f'; to go on from its states there, also set sweep.go_on_from = "{root}"'
    raise StoreError(
        f"{root}: holds another sweep's results ({shown}); a "
        "folder takes the sweep that it holds, a part of it, or one with more runs; give another "
        f"folder with --out DIR or give the sweep another name{advice if longer and kept else ''}."
    )


def differing_settings(there: pa.Table, here: pa.Table) -> dict[str, str]:
    """Return a phrase for each setting whose values are not the same in two tables, by its key.

    Empty where the tables have the same values of every setting, but in other combinations.
    """
    phrases = {}
    for name in dict.fromkeys(there.column_names + here.column_names):
        if not is_setting(name):
            continue
        left, right = values_of(there, name), values_of(here, name)
        if left != right:
            phrases[name] = f"{name} is {listed(left)} there and {listed(right)} here"
    return phrases


def values_of(table: pa.Table, name: str) -> list[Any]:
    """Return the different values of a setting, sorted; None where it is not used."""
    if name not in table.column_names:
        return [None]
    values = table[name].unique().to_pylist()
    return sorted(values, key=lambda v: (v is None, str(type(v)), v if v is not None else 0))


def listed(values: Sequence[Any]) -> str:
    """Return values as they stand in a message: the first ones, and how many more there are."""
    shown = [_shown(value) for value in values[:_SHOWN_VALUES]]
    more = len(values) - len(shown)
    return f"[{', '.join(shown)}{f', ... {more} more' if more > 0 else ''}]"


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value)
