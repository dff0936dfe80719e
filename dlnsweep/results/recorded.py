"""What the batches of a results folder have recorded: names, types, choices, outcomes, size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dlnsweep.errors import SpecError, StoreError
from dlnsweep.machine.memory import available_memory
from dlnsweep.results.tables import aligned, check_alike, concat, map_in_threads, size_of_curves
from dlnsweep.settings.sentences import nearest_key, show
from dlnsweep.settings.warm_start import COLUMNS
from dlnsweep.store import Store
from dlnsweep.store.records import FINAL, OUTCOMES_SCHEMA
from dlnsweep.store.run_table import column_names


class Recorded:
    """What stands in the files of the batches that are done.

    Attributes:
        store: The folder's store.
        path: The folder (or its address), for sentences.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.path = store.root
        self._footers: dict[int, tuple[pa.Schema, int]] = {}

    @property
    def starts(self) -> list[str]:
        """The columns of `runs.parquet` that say with whose weights runs begin, if it has them."""
        return [name for name in column_names(self.store.files) if name in COLUMNS[:2]]

    def no_such_step(self, at: int, batch: int) -> str:
        """Return what is said of a step at which no run has a record."""
        steps = np.unique(self.store.read_batch("curves", batch, ["step"])["step"].to_numpy())
        near = steps[np.argsort(np.abs(steps - at))[:1]].tolist()
        hint = f"there is one at step {near[0]}" if near else "no step was recorded at all"
        return f"{self.path}: at is {at}, but no run has a record at that step; {hint}."

    def observables(self, names: Sequence[str] | str | None) -> list[str]:
        """Return the observables that are asked for, all by default; refuse unrecorded ones."""
        known = list(self.types)
        if names is None:
            return known
        asked = listed(names, "observables")
        for name in asked:
            # While nothing is done, the sweep's own list is all there is to know.
            check_name(
                self.path, name, known or self.store.sweep["observables"], "recorded observable"
            )
        return asked

    def numbers(self, names: Sequence[str] | str | None) -> list[str]:
        """Return those asked for that are numbers, all by default; refuse vectors."""
        vectors = [name for name, kind in self.types.items() if pa.types.is_nested(kind)]
        if names is None:
            return [name for name in self.types if name not in vectors]
        asked = self.observables(names)
        for name in asked:
            if name in vectors:
                raise SpecError(
                    f"{self.path}: {name} is a vector, but a summary takes numbers; "
                    "use curves() for it."
                )
        return asked

    @property
    def types(self) -> dict[str, pa.DataType]:
        """The recorded observables and their types."""
        # Batches of other programs may record other observables; what is committed never changes.
        new = sorted(self.store.done() - self._footers.keys())
        footers = map_in_threads(lambda number: self.store.read_footer("curves", number), new)
        self._footers |= dict(zip(new, footers, strict=True))
        check_alike(self.path, "curves", [schema for schema, _ in self._footers.values()])
        return {
            field.name: field.type
            for number in sorted(self._footers)
            for field in self._footers[number][0]
            if field.name not in ("run_id", "step")
        }

    def chosen(self, table: pa.Table, where: Mapping[str, Any] | None) -> pa.Table:
        """Return the rows of a table of all runs that `where` chooses."""
        check_where(self.path, where)
        if not where:
            return table
        for key in where:
            check_name(self.path, key, ["run_id", *self.store.settings], "setting")
        asked_for = self.store.runs_table(list(where))
        chosen = np.ones(table.num_rows, dtype=bool)
        for key, wanted in where.items():
            values = values_of(wanted)
            column = asked_for[key].to_pandas()
            asked = [value for value in values if value is not None]
            chosen &= (column.isin(asked) | (column.isna() & (None in values))).to_numpy()
        return table.filter(pa.array(chosen))

    def reader(
        self, observables: list[str], run_ids: np.ndarray | None
    ) -> Callable[[int], pa.Table]:
        """Return what reads a batch's curves, of these runs only if any are given."""

        def read(number: int) -> pa.Table:
            table = self.store.read_batch("curves", number, ["run_id", "step", *observables])
            if run_ids is None:
                return table
            return table.filter(pa.array(np.isin(table["run_id"].to_numpy(), run_ids)))

        return read

    def check_fits(self, runs: pa.Table, batches: list[int], observables: list[str]) -> None:
        """Refuse a table of curves that would fill the memory."""
        known = self.types
        types = [known[name] for name in observables if name in known]
        rows, needed = size_of_curves(
            sum(self._footers[number][1] for number in batches),
            runs.num_rows / max(1, self._num_runs(batches)),
            types,
            len(runs.column_names) - 2,
        )
        free = available_memory()
        if needed > free:
            raise StoreError(
                f"{self.path}: curves() would make a table of {rows} rows, for which about "
                f"{needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free; ask for less "
                "with observables=[...], where={...} or settings=[], for medians with "
                "summary(by=...), or go through curve_batches(), which gives one batch after "
                "another."
            )

    def _num_runs(self, batches: list[int]) -> int:
        return int(np.isin(self.store.runs_table(["batch"])["batch"].to_numpy(), batches).sum())

    def done_batches(self, runs: pa.Table) -> list[int]:
        """Return the batches of these runs that are done."""
        planned = np.unique(runs["batch"].to_numpy()).tolist()
        return sorted(self.store.done().intersection(planned))

    def outcomes(self, runs: pa.Table, finals: list[str] | None = None) -> pa.Table:
        """Return the outcomes of runs in their order, null where there is none yet."""
        columns = None
        names = OUTCOMES_SCHEMA.names
        if finals is not None:
            names = ["run_id", "status"]
            columns = [*names, *(FINAL + name for name in finals)]
        tables = map_in_threads(
            lambda number: self.store.read_batch("outcomes", number, columns),
            self.done_batches(runs),
        )
        check_alike(self.path, "outcomes", [table.schema for table in tables])
        known = concat([OUTCOMES_SCHEMA.empty_table().select(names), *tables])
        return aligned(known, runs["run_id"].to_numpy())


def check_where(path: Any, where: Any) -> None:
    """Refuse what chooses no runs."""
    keyed = isinstance(where, Mapping) and all(isinstance(key, str) for key in where)
    if where is not None and not keyed:
        raise SpecError(
            f"{path}: where is {show(where)}; it must be a dictionary of settings and values, such "
            "as {'training.weight_decay': 0.1}."
        )


def values_of(wanted: Any) -> list[Any]:
    """Return the values of a setting that are asked for, of one or of several in any form."""
    if isinstance(wanted, np.ndarray):
        return np.ravel(wanted).tolist()
    several = isinstance(wanted, Iterable) and not isinstance(wanted, str | bytes | Mapping)
    return list(wanted) if several else [wanted]


def listed(value: Any, what: str) -> list[str]:
    """Return names that were given alone or as a list, each once."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple | set | np.ndarray | pd.Index | dict) or not all(
        isinstance(name, str) for name in names
    ):
        raise SpecError(f"{what} is {show(value)}; it must be a name, or a list of names.")
    return list(dict.fromkeys(names))


def check_name(path: Any, name: str, known: Sequence[str], kind: str) -> None:
    """Refuse a name that is none of the known ones, with the one that was meant."""
    if name in known:
        return
    near = nearest_key(name, known)
    hint = f"did you mean '{near}'?" if near else f"there are {', '.join(known) or 'none'}."
    raise SpecError(f"{path}: {show(name)} is no {kind} of this sweep; {hint}")
