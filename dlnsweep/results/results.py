"""The pandas face of a results folder: runs(), curves() and summary()."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike

from dlnsweep.errors import SpecError
from dlnsweep.results import summaries
from dlnsweep.results.card import results_card
from dlnsweep.results.chosen_records import needed, taken_at
from dlnsweep.results.drawing import Drawing
from dlnsweep.results.recorded import Recorded, check_name, listed
from dlnsweep.results.run import Run
from dlnsweep.results.tables import (
    aligned,
    concat,
    expanded,
    is_blank,
    map_in_threads,
    no_curves,
    stream,
    to_pandas,
)
from dlnsweep.results.weights import KeptWeights, check_run
from dlnsweep.settings.sentences import show
from dlnsweep.store import Store
from dlnsweep.store.records import FINAL

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

    def __init__(self, store: Store, only: Mapping[str, Any] | None = None) -> None:
        self.store = store
        self.path = store.root
        self._recorded = Recorded(store)
        # What chooses the runs that runs(), curves() and figures are of.
        self._only = dict(only or {})

    def __repr__(self) -> str:
        return f"Results({str(self.path)!r})"

    def _repr_html_(self) -> str:
        return results_card(self.store, self.varying)

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
            Columns run_id and the settings; starts_from and starts_from_step, the run and the step
            of another folder whose weights one began with, if it did; status ("finished",
            "diverged", "stopped", or "planned" while its batch is not done), diverged_step,
            last_step, kernel, kernel_reason, truncation_error, and final_<observable>.

        Raises:
            SpecError: If `where` names no setting, or `unused` is neither true nor false.
            StoreError: If a file is damaged.
        """
        if not isinstance(unused, bool | np.bool_):
            raise SpecError(f"{self.path}: unused is {show(unused)}; it must be True or False.")
        table = self.store.runs_table(["run_id", "batch", *self.settings, *self._recorded.starts])
        chosen = self._chosen(table, where)
        runs = chosen.drop_columns("batch")
        if not unused:
            runs = runs.drop_columns([n for n in self.settings if is_blank(runs[n])])
        outcomes = self._recorded.outcomes(chosen)
        for name in outcomes.column_names[1:]:
            column = outcomes[name]
            runs = runs.append_column(
                name, column.fill_null(PLANNED) if name == "status" else column
            )
        return to_pandas(runs)

    def _chosen(self, table: pa.Table, where: Mapping[str, Any] | None) -> pa.Table:
        both = self._only if where is None else where
        both = {**where, **self._only} if isinstance(where, Mapping) else both
        return self._recorded.chosen(table, both)

    def run(self, run_id: int) -> Run:
        """Return one run: its settings, how it ended, its curves, and a figure of them.

        Args:
            run_id: The run, as `runs()` has it.

        Raises:
            SpecError: If there is no such run.
            StoreError: If a file is damaged.
        """
        check_run(self.store, run_id)
        alone = Results(self.store, {"run_id": int(run_id)})
        return Run(alone, alone.runs().to_dict("records")[0], self.varying)

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
        names = self._recorded.observables(observables)
        if not isinstance(vectors, str) or vectors not in ("arrays", "columns"):
            raise SpecError(
                f"{self.path}: vectors is {show(vectors)}; it must be 'arrays' or 'columns'."
            )
        settings = ["seed", *self.varying] if settings is None else listed(settings, "settings")
        for name in settings:
            check_name(self.path, name, self.settings, "setting")
        table = self.store.runs_table(["run_id", "batch", *dict.fromkeys(settings)])
        chosen = self._chosen(table, where)
        batches = self._recorded.done_batches(chosen)
        self._recorded.check_fits(chosen, batches, names)
        read = self._recorded.reader(
            names, None if where is None and not self._only else chosen["run_id"].to_numpy()
        )
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
        names = self._recorded.observables(observables)
        chosen = self._chosen(self.store.runs_table(["run_id", "batch"]), where)
        read = self._recorded.reader(
            names, None if where is None and not self._only else chosen["run_id"].to_numpy()
        )
        for _, table in stream(read, self._recorded.done_batches(chosen)):
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

    def predictions(self, inputs: ArrayLike, run_id: int, step: int | None = None) -> np.ndarray:
        """Return what a run's network makes of inputs, by the weights that are kept of it.

        Args:
            inputs: (m, k), an input of the network a column.
            run_id: The run, as `runs()` has it.
            step: The step of the weights; the last of which any are kept by default.

        Returns:
            (d, k), in float64 whatever the precision of training.

        Raises:
            SpecError: If none are kept, there is no such run, it has none of that step, or it is of
                no network on such inputs.
            StoreError: If the file is damaged or does not fit into memory.
        """
        from dlnsweep.results.predictions import Predictor, inputs_of
        from dlnsweep.settings.run_settings import RunSettings

        given = inputs_of(inputs)
        weights = self.weights(run_id, step)
        (row,) = self._chosen(self.store.runs_table(), {"run_id": run_id}).to_pylist()
        return Predictor(RunSettings(row)).outputs(weights, given)

    def prediction_variance(
        self,
        inputs: ArrayLike,
        by: str | Sequence[str] | None = None,
        step: int | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return how far the networks of several seeds differ on the same inputs.

        With f_1, ..., f_S the networks of a group's runs, f their mean and y_1, ..., y_k the
        inputs, 1/k sum_j 1/(S - 1) sum_s ||f_s(y_j) - f(y_j)||^2. A run's seed draws its data and
        its weights; of the rows of a file (problem from_file with split = "first") all seeds have
        the same, and the variance is that over initial weights and what training draws.

        Args:
            inputs: (m, k), an input of the networks a column.
            by: The settings whose values make the groups; all that vary by default.
            step: The step of the weights, at which a run that `stop_when` ended before has its
                last ones; the last of which any are kept by default.
            where: A value, or several, for each setting by which to choose runs.

        Returns:
            One row a group: num_runs, its planned runs; num_diverged and num_planned_missing (not
            done yet) of them enter nothing; prediction_variance; standard_error, the jackknife's
            over the runs; mean_square, 1/k sum_j ||f(y_j)||^2 less the share of the variance in it.

        Raises:
            SpecError: If none are kept, a name is none of this sweep's, no weights are of that
                step, or networks are not of such inputs.
            StoreError: If a file is damaged or the outputs would fill the memory.
        """
        from dlnsweep.results.prediction_variance import prediction_variance
        from dlnsweep.results.predictions import inputs_of

        keys = self.varying if by is None else listed(by, "by")
        for key in keys:
            check_name(self.path, key, self.settings, "setting")
        given, runs = inputs_of(inputs), self.runs(where, unused=True)
        return prediction_variance(self.store, self._kept, runs, given, keys, step)

    @cached_property
    def _kept(self) -> KeptWeights:
        return KeptWeights(self.store)

    def summary(
        self,
        by: str | Sequence[str] | None = None,
        observable: str | Sequence[str] | None = None,
        at: str | int | Mapping[str, str] = "final",
    ) -> pd.DataFrame:
        """Return statistics over the runs of each group; diverged runs are counted, not mixed in.

        Every statistic is exact, however many runs there are: one number a run and observable is
        held in memory (about 50 bytes a run and 8 more for each observable), from which they are
        taken; the records themselves are read one batch after another and need not fit.

        Args:
            by: The settings whose values make the groups; all that vary by default (one group of
                all runs where only the seed does).
            observable: Names of numbers (not vectors); all by default.
            at: "final" (after the last step), "min" (the smallest recorded value), "argmin" (the
                step of that), {"minimise": name} (where that observable is least), or a step, at
                which a run that `stop_when` ended before holds its last value.

        Returns:
            One row a group. `num_runs` counts its planned runs; `num_diverged` and
            `num_planned_missing` (not done yet) those of them that enter no statistic. For each
            observable: <name>_count (finite values that enter), _median, _q25, _q75, _std (of a
            sample, so none for one value), _min and _max.

        Raises:
            SpecError: If a name is none of this sweep's, or `at` is no recorded step.
            StoreError: If a file is damaged.
        """
        keys = self.varying if by is None else listed(by, "by")
        for key in keys:
            check_name(self.path, key, self.settings, "setting")
        when = taken_at(self.path, at)
        names = self._recorded.numbers(observable)
        self._recorded.numbers(needed([], when))
        table = self._chosen(self.store.runs_table(["run_id", "batch", *keys]), None)
        outcomes = to_pandas(self._recorded.outcomes(table, names if when == "final" else []))
        values = to_pandas(table.select(keys)).assign(status=outcomes["status"])
        if when == "final":
            finals = outcomes.reindex(columns=[FINAL + name for name in names])
            values[names] = finals.to_numpy()
        else:
            curves = self.curve_batches(needed(names, when))
            status: Any = outcomes["status"]
            stopped = table["run_id"].to_numpy()[(status == "stopped").to_numpy(dtype=bool)]
            reduced = summaries.reduce_curves(curves, names, when, stopped)
            batches = self._recorded.done_batches(table)
            if isinstance(when, int) and batches and reduced.empty:
                raise SpecError(self._recorded.no_such_step(when, batches[0]))
            by_run = reduced.set_index("run_id").reindex(table["run_id"].to_numpy())
            values[names] = by_run[names].to_numpy()
        return summaries.statistics(values, keys, names)
