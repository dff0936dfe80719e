"""From tables of runs and records to medians and bands; which runs enter them, and which not.

Diverged runs enter no median: they are counted. A run that was stopped early (`stop_when`) holds
its last recorded value afterwards: if it left the median instead, the median would be one of the
slow runs only and would seem to rise. At every step the median is over the runs that have it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd

from dlnsweep.bootstrap import median_interval
from dlnsweep.errors import SpecError, StoreError
from dlnsweep.figures.settings import Band


class Results(Protocol):
    """What a figure reads of a sweep's results."""

    @property
    def name(self) -> str:
        """The sweep's name."""
        ...

    @property
    def sweep(self) -> Mapping[str, Any]:
        """The resolved sweep; its "source" stands in the figure."""
        ...

    def runs(self) -> pd.DataFrame:
        """One row a planned run: `run_id`, settings, `status`, final values."""
        ...

    @property
    def curves(self) -> Callable[..., pd.DataFrame]:
        """`curves(observables=[...])`: `run_id`, `step` and the observables."""
        ...


@dataclass(frozen=True)
class Selection:
    """The runs of a figure: all of them, and those whose values may enter a median."""

    runs: pd.DataFrame
    used: pd.DataFrame
    num_runs: int
    num_diverged: int
    num_stopped: int
    num_pending: int

    @property
    def varying(self) -> list[str]:
        """Settings with several values among these runs."""
        return [name for name in setting_columns(self.runs) if len(levels(self.runs, name)) > 1]


@dataclass(frozen=True)
class Summary:
    """Median and band at increasing `x`; `num_runs` says how many runs each point has.

    For a vector observable `median`, `lower` and `upper` have one column an entry.
    """

    x: np.ndarray
    median: np.ndarray
    lower: np.ndarray | None
    upper: np.ndarray | None
    num_runs: np.ndarray


def select(results: Results, where: Mapping[str, Any]) -> Selection:
    """Return the runs that a figure is about.

    Raises:
        SpecError: `where` selects no run.
        StoreError: None of the runs is done yet.
    """
    runs = results.runs()
    if "run_id" in runs.columns:
        runs = runs.set_index("run_id")
    for name, wanted in where.items():
        kept = reduce(operator.or_, (matches(runs, name, value) for value in wanted))
        if not kept.any():
            there = ", ".join(str(level) for level in levels(runs, name))
            raise SpecError(f"figure.where selects no run: {name} is one of {there} here.")
        runs = runs.loc[kept]
    status = runs["status"].to_numpy(dtype=object)
    used = runs.loc[(status == "finished") | (status == "stopped")]
    diverged = int((status == "diverged").sum())
    if len(used) + diverged == 0:
        raise StoreError(
            f"None of the {len(runs)} runs of '{results.name}' is done yet, so there is nothing "
            "to draw; carry on with `dlnsweep run`."
        )
    pending = len(runs) - len(used) - diverged
    return Selection(runs, used, len(runs), diverged, int((status == "stopped").sum()), pending)


def setting_columns(runs: pd.DataFrame) -> list[str]:
    """Return the columns that are settings: those with a dotted name, and the seed."""
    return [name for name in runs.columns if "." in name or name == "seed"]


def levels(runs: pd.DataFrame, name: str) -> list[Any]:
    """Return a setting's values once each: numbers in order, words as they come, None last."""
    values = cast("list[Any]", pd.unique(_column(runs, name)).tolist())
    present = [value for value in values if not pd.isna(value)]
    if is_ordered(present):
        present.sort()
    return present + [None] * (len(present) < len(values))


def is_ordered(values: Sequence[Any]) -> bool:
    """Return whether all values (but None) are numbers, so that their order means something."""
    present = [value for value in values if value is not None]
    return bool(present) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in present
    )


def matches(runs: pd.DataFrame, name: str, level: Any) -> np.ndarray:
    """Return which runs have this value; None stands for a setting that a run does not use."""
    column = _column(runs, name)
    found = column.isna() if level is None else pd.Series(column == level)
    return found.to_numpy(dtype=bool, na_value=False)


class Records:
    """The recorded values of a selection's usable runs, ready to be cut into groups."""

    def __init__(self, results: Results, selection: Selection, observables: Sequence[str]) -> None:
        rows = results.curves(observables=list(observables))
        place = selection.used.index.get_indexer(pd.Index(rows["run_id"]))
        self.selection = selection
        self._rows = rows.loc[place >= 0]
        self._place = place[place >= 0]
        self._steps = _column(self._rows, "step").to_numpy()
        self._stopped = (selection.used["status"] == "stopped").to_numpy()
        self.steps = np.unique(self._steps)
        self._not_finite: set[int] = set()

    @property
    def num_not_finite(self) -> int:
        """How many of the runs looked at so far have values that are not finite numbers."""
        return len(self._not_finite)

    def values(self, observable: str, runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps, and an array (steps, runs) or (steps, runs, entries) of values.

        Args:
            observable: The column.
            runs: Which of the usable runs, as a boolean array.
        """
        kept = runs[self._place]
        steps, row = np.unique(self._steps[kept], return_inverse=True)
        members, lane = np.unique(self._place[kept], return_inverse=True)
        recorded = _as_array(_column(self._rows.loc[kept], observable))
        usable = np.isfinite(recorded.reshape(len(recorded), -1)).any(axis=1)
        self._not_finite.update(members[lane[~usable]].tolist())
        table = np.full((len(steps), len(members), *recorded.shape[1:]), np.nan)
        table[row, lane] = recorded
        has_row = np.zeros((len(steps), len(members)), dtype=bool)
        has_row[row, lane] = True
        for each in np.flatnonzero(self._stopped[members]):
            last = np.flatnonzero(has_row[:, each])[-1]
            table[last + 1 :, each] = table[last, each]
        # An infinite value of a run that did not diverge is no number to take a median of.
        table[~np.isfinite(table)] = np.nan
        return steps, table

    def curve(
        self, observable: str, runs: np.ndarray, band: Band, quantiles: tuple[float, float]
    ) -> Summary:
        """Return the median over the runs at each step that was recorded."""
        steps, table = self.values(observable, runs)
        return summarize(steps, table, band, quantiles)

    def per_run(self, observable: str, at: str | int) -> np.ndarray:
        """Return one number for each usable run, NaN where there is none.

        Args:
            observable: A scalar observable.
            at: "final", "min" over the recorded steps, or a step that was recorded.

        Raises:
            SpecError: No run has a record at the step.
        """
        used = self.selection.used
        if at == "final" and f"final_{observable}" in used:
            final = _column(used, f"final_{observable}").to_numpy(dtype=float, na_value=np.nan)
            return np.where(np.isfinite(final), final, np.nan)
        place, steps = self._place, self._steps
        if isinstance(at, int) and len(self.steps) and at not in self.steps:
            nearest = self.steps[np.abs(self.steps - at).argmin()]
            raise SpecError(
                f"figure.at is {at}, but no run has a record at that step; "
                f"the nearest recorded step is {nearest}."
            )
        value = _column(self._rows, observable).to_numpy(dtype=float, na_value=np.nan)
        out = np.full(len(used), np.nan)
        if at == "min":
            out[:] = np.inf
            np.fmin.at(out, place, value)
        else:
            last = np.full(len(used), -1)
            np.maximum.at(last, place, steps)
            # A run that was stopped before the step holds its last value.
            wanted = np.where(self._stopped, np.minimum(last, at), at) if at != "final" else last
            row = steps == wanted[place]
            out[place[row]] = value[row]
        return np.where(np.isfinite(out), out, np.nan)


def noise_levels(results: Results) -> np.ndarray:
    """Return the levels of record.noise_levels, in the file's order."""
    return np.array(results.sweep["sweep"]["shared"]["record.noise_levels"], dtype=float)


def final_vectors(selection: Selection, observable: str) -> np.ndarray:
    """Return a vector observable after the last step, (runs, entries); NaN where not finite."""
    values = _as_array(_column(selection.used, f"final_{observable}"))
    return np.where(np.isfinite(values), values, np.nan)


def median_curve(
    results: Results, selection: Selection, observable: str, runs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps and the median of an observable over some of the usable runs."""
    records = Records(results, selection, [observable])
    summary = records.curve(observable, runs, "none", (0.25, 0.75))
    return summary.x, summary.median


def summarize(
    x: np.ndarray, table: np.ndarray, band: Band, quantiles: tuple[float, float]
) -> Summary:
    """Return median and band over axis 1 of `table`, without the NaNs.

    Points that no run has are left out. A standard deviation is the sample's (n - 1), drawn round
    the median; of one run there is none.
    """
    count = np.isfinite(table).sum(axis=1)
    whole = count.reshape(len(count), -1).max(axis=1, initial=0)
    x, table, count, whole = (each[whole > 0] for each in (x, table, count, whole))
    if not len(x):
        return Summary(x, np.zeros((0, *table.shape[2:])), None, None, whole)
    # Quantiles over an entry that no run has are NaN, which is what they should be.
    filled = np.where(count[:, None] > 0, table, 0.0)
    present = np.where(count > 0, 1.0, np.nan)
    median = np.nanmedian(filled, axis=1) * present
    if band == "none":
        return Summary(x, median, None, None, whole)
    if band == "bootstrap":
        return Summary(x, median, *median_interval(table), whole)
    if band == "quantile":
        lower, upper = np.nanquantile(filled, quantiles, axis=1) * present
        return Summary(x, median, lower, upper, whole)
    mean = np.nansum(filled, axis=1) / np.maximum(count, 1)
    squares = np.nansum((filled - mean[:, None]) ** 2, axis=1)
    deviation = np.sqrt(squares / np.where(count > 1, count - 1, np.nan)) * present
    return Summary(x, median, median - deviation, median + deviation, whole)


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    return cast("pd.Series", frame[name])


def _as_array(column: pd.Series) -> np.ndarray:
    """Return numbers as (rows,) and vectors as (rows, entries), short ones filled with NaN."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=float, na_value=np.nan)
    vectors = [np.asarray(each, dtype=float) for each in column]
    if vectors and all(each.ndim == 0 for each in vectors):
        return np.array(vectors, dtype=float)
    width = max((each.size for each in vectors), default=0)
    if all(each.shape == (width,) for each in vectors):
        return np.stack(vectors)
    table = np.full((len(vectors), width), np.nan)
    for row, each in zip(table, vectors, strict=True):
        row[: each.size] = each
    return table
