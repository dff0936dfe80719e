"""The pandas face of a results folder: runs(), curves() and summary()."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dlnsweep.errors import SpecError, StoreError
from dlnsweep.machine.memory import available_memory
from dlnsweep.results import summaries
from dlnsweep.results.chosen_records import needed, taken_at
from dlnsweep.results.drawing import Drawing
from dlnsweep.results.tables import (
    aligned,
    check_alike,
    concat,
    expanded,
    is_blank,
    map_in_threads,
    no_curves,
    size_of_curves,
    stream,
    to_pandas,
)
from dlnsweep.results.weights import KeptWeights
from dlnsweep.settings.sentences import nearest_key, show
from dlnsweep.store import Store
from dlnsweep.store.records import FINAL, OUTCOMES_SCHEMA

PLANNED = "planned"


def open_results(path: str | Path) -> Results:
    """Open a results folder, whether its sweep is complete or still running.

    Args:
        path: The folder, such as "results/fig4_weight_decay", or its address in an object store,
            such as "s3://bucket/results/fig4_weight_decay".

    Raises:
        StoreError: If it is not a results folder.
    """
    return Results(Store.open(path))


class Results(Drawing):
    """What a sweep has given so far.

    Each call looks anew for what is done, so a running sweep may be watched.

    Attributes:
        path: The folder (or its address).
        store: Its store.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.path = store.root
        self._footers: dict[int, tuple[pa.Schema, int]] = {}

    def __repr__(self) -> str:
        return f"Results({str(self.path)!r})"

    @property
    def name(self) -> str:
        """The name of the sweep."""
        return str(self.sweep["name"])

    @property
    def sweep(self) -> dict[str, Any]:
        """The content of `sweep.json`."""
        return self.store.sweep

    @property
    def settings(self) -> list[str]:
        """The dotted keys of all settings, "seed" among them."""
        return self.store.settings

    @cached_property
    def varying(self) -> list[str]:
        """The settings that differ between runs, without the seed."""
        keys = [key for key in self.settings if key != "seed"]
        # One column after another: all of a million runs' would fill a laptop's memory.
        return [key for key in keys if len(self.store.runs_table([key])[key].unique()) > 1]

    def runs(self, where: Mapping[str, Any] | None = None, *, unused: bool = False) -> pd.DataFrame:
        """Return one row a planned run: its settings, and how it ended.

        Args:
            where: A value, or several, for each setting by which to choose runs.
            unused: Whether to have also the settings that none of these runs uses, such as the
                momentum of gradient descent; their columns are empty.

        Returns:
            Columns run_id and the settings; status ("finished", "diverged", "stopped", or
            "planned" while its batch is not done), diverged_step, last_step, kernel,
            kernel_reason, truncation_error, and final_<observable>.

        Raises:
            SpecError: If `where` names no setting.
            StoreError: If a file is damaged.
        """
        chosen = self._chosen(self.store.runs_table(["run_id", "batch", *self.settings]), where)
        runs = chosen.drop_columns("batch")
        if not unused:
            runs = runs.drop_columns([n for n in self.settings if is_blank(runs[n])])
        outcomes = self._outcomes(chosen)
        for name in outcomes.column_names[1:]:
            column = outcomes[name]
            runs = runs.append_column(
                name, column.fill_null(PLANNED) if name == "status" else column
            )
        return to_pandas(runs)

    def curves(
        self,
        observables: Sequence[str] | str | None = None,
        where: Mapping[str, Any] | None = None,
        settings: Sequence[str] | None = None,
        vectors: str = "arrays",
    ) -> pd.DataFrame:
        """Return one row a run and recorded step, of the runs that are done.

        Args:
            observables: Names of what to read; all by default.
            where: A value, or several, for each setting by which to choose runs.
            settings: The settings to put beside each row; seed and those that vary by default.
            vectors: "arrays" gives a vector as one column of arrays, which take long for millions
                of rows and cannot be read from a CSV file; "columns" gives a column of numbers
                for each entry, singular_values_1, singular_values_2, ... (empty where a run has
                fewer), which `to_csv` writes with every digit.

        Returns:
            Columns run_id, step, the observables and the settings; sorted by batch, run and step.

        Raises:
            SpecError: If something is asked for by a name that there is not.
            StoreError: If a file is damaged, or the table would not fit into memory;
                `curve_batches` gives it in pieces.
        """
        names = self._observables(observables)
        if vectors not in ("arrays", "columns"):
            raise SpecError(
                f"{self.path}: vectors is {show(vectors)}; it must be 'arrays' or 'columns'."
            )
        settings = ["seed", *self.varying] if settings is None else _names(settings, "settings")
        for name in settings:
            _check_name(self.path, name, self.settings, "setting")
        table = self.store.runs_table(["run_id", "batch", *dict.fromkeys(settings)])
        chosen = self._chosen(table, where)
        batches = self._done_batches(chosen)
        self._check_fits(chosen, batches, names)
        read = self._reader(names, None if where is None else chosen["run_id"].to_numpy())
        tables = map_in_threads(read, batches)
        curves = concat(tables) if tables else no_curves(names)
        beside = aligned(chosen.drop_columns("batch"), curves["run_id"].to_numpy())
        for name in beside.column_names[1:]:
            curves = curves.append_column(name, beside[name])
        return to_pandas(expanded(curves) if vectors == "columns" else curves)

    def curve_batches(
        self,
        observables: Sequence[str] | str | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> Iterator[pa.Table]:
        """Yield the curves of one batch after another, for results that do not fit into memory.

        Args:
            observables: Names of what to read; all by default.
            where: A value, or several, for each setting by which to choose runs.

        Yields:
            Arrow tables (`.to_pandas()` makes frames of them): run_id, step and the observables
            (a column is missing where a batch did not record it), sorted by run and step.

        Raises:
            SpecError: If something is asked for by a name that there is not.
            StoreError: If a file is damaged.
        """
        names = self._observables(observables)
        chosen = self._chosen(self.store.runs_table(["run_id", "batch"]), where)
        read = self._reader(names, None if where is None else chosen["run_id"].to_numpy())
        for _, table in stream(read, self._done_batches(chosen)):
            yield table

    def weights(self, run_id: int, step: int | None = None) -> dict[str, np.ndarray]:
        """Return the weights that are kept of a run (record.weights), in the precision of training.

        Args:
            run_id: The run, as `runs()` has it.
            step: The step that they are of; the last one of which any are kept by default.

        Returns:
            Arrays by name. A deep linear network has "weights[0]", ..., "weights[L - 1]", the
            matrices W_1 (d_1, m), ..., W_L (d, d_{L-1}); any other network the names of the pytree
            of its parameters, such as "weights[0]" and "biases[0]". end_to_end has "matrix" beside
            them; deep_prior has "hidden", z = W u (k,), and where V is trained "output_change", the
            C (m, k) of V = V(0) + A^T C, as W and V are not formed; committee has "neurons" in the
            coordinates of the span that it moves in, along the teacher first.

        Raises:
            SpecError: If none are kept, there is no such run, or it has none of that step.
            StoreError: If the file is damaged or does not fit into memory.
        """
        return self._kept.weights(run_id, step)

    @cached_property
    def _kept(self) -> KeptWeights:
        return KeptWeights(self.store)

    def summary(
        self,
        by: str | Sequence[str],
        observable: str | Sequence[str] | None = None,
        at: str | int | Mapping[str, str] = "final",
    ) -> pd.DataFrame:
        """Return statistics over the runs of each group; diverged runs are counted, not mixed in.

        Every statistic is exact, however many runs there are: one number a run and observable is
        held in memory (about 50 bytes a run and 8 more for each observable), from which they are
        taken; the records themselves are read one batch after another and need not fit.

        Args:
            by: The settings whose values make the groups.
            observable: Names of numbers (not vectors); all by default.
            at: "final" (after the last step), "min" (the smallest recorded value), "argmin" (the
                step of that), {"minimise": name} (where that observable is least), or a step.

        Returns:
            One row a group. `num_runs` counts its planned runs; `num_diverged` and
            `num_planned_missing` (not done yet) those of them that enter no statistic. For each
            observable: <name>_count (finite values that enter), _median, _q25, _q75, _std (of a
            sample, so none for one value), _min and _max.

        Raises:
            SpecError: If a name is none of this sweep's, or `at` is no recorded step.
            StoreError: If a file is damaged.
        """
        keys = _names(by, "by")
        for key in keys:
            _check_name(self.path, key, self.settings, "setting")
        when = taken_at(self.path, at)
        names = self._numbers(observable)
        self._numbers(needed([], when))
        table = self.store.runs_table(["run_id", "batch", *keys])
        outcomes = to_pandas(self._outcomes(table, names if when == "final" else []))
        values = to_pandas(table.select(keys)).assign(status=outcomes["status"])
        if when == "final":
            finals = outcomes.reindex(columns=[FINAL + name for name in names])
            values[names] = finals.to_numpy()
        else:
            reduced = summaries.reduce_curves(self.curve_batches(needed(names, when)), names, when)
            batches = self._done_batches(table)
            if isinstance(when, int) and batches and reduced.empty:
                raise SpecError(self._no_such_step(when, batches[0]))
            by_run = reduced.set_index("run_id").reindex(table["run_id"].to_numpy())
            values[names] = by_run[names].to_numpy()
        return summaries.statistics(values, keys, names)

    def _no_such_step(self, at: int, batch: int) -> str:
        steps = np.unique(self.store.read_batch("curves", batch, ["step"])["step"].to_numpy())
        near = steps[np.argsort(np.abs(steps - at))[:1]].tolist()
        hint = f"there is one at step {near[0]}" if near else "no step was recorded at all"
        return f"{self.path}: at is {at}, but no run has a record at that step; {hint}."

    def _observables(self, names: Sequence[str] | str | None) -> list[str]:
        known = list(self._types)
        if names is None:
            return known
        asked = _names(names, "observables")
        for name in asked:
            # While nothing is done, the sweep's own list is all there is to know.
            _check_name(self.path, name, known or self.sweep["observables"], "recorded observable")
        return asked

    def _numbers(self, names: Sequence[str] | str | None) -> list[str]:
        vectors = [name for name, kind in self._types.items() if pa.types.is_nested(kind)]
        if names is None:
            return [name for name in self._types if name not in vectors]
        asked = self._observables(names)
        for name in asked:
            if name in vectors:
                raise SpecError(
                    f"{self.path}: {name} is a vector, but a summary takes numbers; "
                    "use curves() for it."
                )
        return asked

    @property
    def _types(self) -> dict[str, pa.DataType]:
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

    def _chosen(self, table: pa.Table, where: Mapping[str, Any] | None) -> pa.Table:
        """Return the rows of a table of all runs that `where` chooses."""
        if where is not None and not isinstance(where, Mapping):
            raise SpecError(
                f"{self.path}: where is {show(where)}; it must be a dictionary of settings and "
                "values, such as {'training.weight_decay': 0.1}."
            )
        if not where:
            return table
        for key in where:
            _check_name(self.path, key, ["run_id", *self.settings], "setting")
        asked_for = self.store.runs_table(list(where))
        chosen = np.ones(table.num_rows, dtype=bool)
        for key, wanted in where.items():
            values = wanted if isinstance(wanted, (list, tuple, set, np.ndarray)) else [wanted]
            column = asked_for[key].to_pandas()
            asked = [value for value in values if value is not None]
            chosen &= (column.isin(asked) | (column.isna() & (None in list(values)))).to_numpy()
        return table.filter(pa.array(chosen))

    def _reader(
        self, observables: list[str], run_ids: np.ndarray | None
    ) -> Callable[[int], pa.Table]:
        """Return what reads a batch's curves, of these runs only if any are given."""

        def read(number: int) -> pa.Table:
            table = self.store.read_batch("curves", number, ["run_id", "step", *observables])
            if run_ids is None:
                return table
            return table.filter(pa.array(np.isin(table["run_id"].to_numpy(), run_ids)))

        return read

    def _check_fits(self, runs: pa.Table, batches: list[int], observables: list[str]) -> None:
        """Refuse a table of curves that would fill the memory."""
        known = self._types
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

    def _done_batches(self, runs: pa.Table) -> list[int]:
        planned = np.unique(runs["batch"].to_numpy()).tolist()
        return sorted(self.store.done().intersection(planned))

    def _outcomes(self, runs: pa.Table, finals: list[str] | None = None) -> pa.Table:
        """Return the outcomes of runs in their order, null where there is none yet."""
        columns = None
        names = OUTCOMES_SCHEMA.names
        if finals is not None:
            names = ["run_id", "status"]
            columns = [*names, *(FINAL + name for name in finals)]
        tables = map_in_threads(
            lambda number: self.store.read_batch("outcomes", number, columns),
            self._done_batches(runs),
        )
        check_alike(self.path, "outcomes", [table.schema for table in tables])
        known = concat([OUTCOMES_SCHEMA.empty_table().select(names), *tables])
        return aligned(known, runs["run_id"].to_numpy())


def _names(value: Any, what: str) -> list[str]:
    """Return names that were given alone or as a list, each once."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple | set | np.ndarray | pd.Index | dict) or not all(
        isinstance(name, str) for name in names
    ):
        raise SpecError(f"{what} is {show(value)}; it must be a name, or a list of names.")
    return list(dict.fromkeys(names))


def _check_name(path: Any, name: str, known: Sequence[str], kind: str) -> None:
    if name in known:
        return
    near = nearest_key(name, known)
    hint = f"did you mean '{near}'?" if near else f"there are {', '.join(known) or 'none'}."
    raise SpecError(f"{path}: {show(name)} is no {kind} of this sweep; {hint}")
