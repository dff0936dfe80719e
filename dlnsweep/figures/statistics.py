"""From tables of runs and records to medians and bands; which runs enter them, and which not.

Diverged runs enter no median: they are counted. A run that was stopped early (`stop_when`) holds
its last recorded value afterwards: if it left the median instead, the median would be one of the
slow runs only and would seem to rise. At every step the median is over the runs that have it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from dlnsweep.analysis.bootstrap import median_interval
from dlnsweep.errors import SpecError, StoreError
from dlnsweep.settings.figure_keys import Band


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

    def runs(self, *, unused: bool = False) -> pd.DataFrame:
        """One row a planned run: `run_id`, settings, `status`, final values."""
        ...

    def curve_batches(self, observables: Sequence[str]) -> Iterator[pa.Table]:
        """Tables of `run_id`, `step` and the observables, as far as each has them."""
        ...


_AT_ONCE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Selection:
    """The runs of a figure: all of them, and those whose values may enter a median."""

    runs: pd.DataFrame
    used: pd.DataFrame
    num_runs: int
    num_diverged: int
    num_stopped: int
    num_pending: int

    @cached_property
    def diverged(self) -> pd.DataFrame:
        """The runs that diverged."""
        if not self.num_diverged:
            return self.runs.iloc[:0]
        return self.runs.loc[(self.runs["status"] == "diverged").to_numpy()]

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


def select(
    results: Results, where: Mapping[str, Any], known: pd.DataFrame | None = None
) -> Selection:
    """Return the runs that a figure is about.

    Args:
        results: The results of a sweep.
        where: The values of settings by which they are chosen.
        known: What `results.runs()` gives, if it has been read already.

    Raises:
        SpecError: `where` selects no run.
        StoreError: None of the runs is done yet.
    """
    runs = known if isinstance(known, pd.DataFrame) else results.runs(unused=True)
    if "run_id" in runs.columns:
        runs = runs.set_index("run_id")
    for name, wanted in where.items():
        kept = reduce(operator.or_, (matches(runs, name, value) for value in wanted))
        if not kept.any():
            there = ", ".join(str(level) for level in levels(runs, name))
            raise SpecError(f"figure.where selects no run: {name} is one of {there} here.")
        runs = runs.loc[kept]
    status = runs["status"].to_numpy(dtype=object)
    usable = (status == "finished") | (status == "stopped")
    # Of a million runs a copy is half a gigabyte.
    used = runs if usable.all() else runs.loc[usable]
    diverged = int((status == "diverged").sum())
    if len(used) + diverged == 0:
        raise StoreError(
            f"None of the {len(runs)} runs of '{results.name}' is done yet, so there is nothing "
            "to draw; carry on with `dlnsweep run`."
        )
    pending = len(runs) - len(used) - diverged
    return Selection(runs, used, len(runs), diverged, int((status == "stopped").sum()), pending)


def setting_columns(runs: pd.DataFrame) -> list[str]:
    """Return the columns that are settings: those with a dotted name, the seed, and the sweep."""
    return [name for name in runs.columns if "." in name or name in ("seed", "sweep")]


def levels(runs: pd.DataFrame, name: str) -> list[Any]:
    """Return a setting's values once each: numbers in order, words as they come, None last."""
    values = cast("list[Any]", pd.unique(column_of(runs, name)).tolist())
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
    column = column_of(runs, name)
    found = column.isna() if level is None else pd.Series(column == level)
    return found.to_numpy(dtype=bool, na_value=False)


def stops_early(results: Results) -> bool:
    """Return whether a condition ends runs before their steps are over."""
    return results.sweep["sweep"].get("shared", {}).get("training.stop_when") is not None


def noise_levels(results: Results) -> np.ndarray:
    """Return the levels of record.noise_levels, in the file's order."""
    levels = results.sweep["sweep"].get("shared", {}).get("record.noise_levels")
    if not isinstance(levels, list) or not all(isinstance(each, int | float) for each in levels):
        raise StoreError(
            "its sweep.json has no record.noise_levels, by which its noise was drawn: the results "
            "folder is damaged; restore it from a copy."
        )
    return np.array(levels, dtype=float)


def final_vectors(selection: Selection, observable: str) -> np.ndarray:
    """Return a vector observable after the last step, (runs, entries); NaN where not finite."""
    values = as_array(column_of(selection.used, f"final_{observable}"))
    return np.where(np.isfinite(values), values, np.nan)


def summarize(
    x: np.ndarray, table: np.ndarray, band: Band, quantiles: tuple[float, float]
) -> Summary:
    """Return median and band over axis 1 of `table`, without the NaNs.

    Points that no run has are left out. A standard deviation is the sample's (n - 1), drawn round
    the median; of one run there is none.
    """
    # Every point by itself, so a few at once: each step below makes copies of what it has.
    pieces = int(np.clip(table.nbytes // _AT_ONCE_BYTES, 1, max(1, len(x))))
    cuts = np.array_split(np.arange(len(x)), pieces)
    return joined([_summarize(x[cut], table[cut], band, quantiles) for cut in cuts])


def joined(parts: Sequence[Summary]) -> Summary:
    """Return summaries at points that follow each other as one."""
    present = [part for part in parts if len(part.x)] or list(parts[:1])

    def edge(edges: list[np.ndarray | None]) -> np.ndarray | None:
        found = [each for each in edges if each is not None]
        return _stacked(found) if found else None

    return Summary(
        np.concatenate([part.x for part in present]),
        _stacked([part.median for part in present]),
        edge([part.lower for part in present]),
        edge([part.upper for part in present]),
        np.concatenate([part.num_runs for part in present]),
    )


def _stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return rows below each other; vectors that are shorter get NaN behind."""
    width = max(part.shape[1:] for part in parts)
    if any(part.shape[1:] != width for part in parts):
        gaps = [width[0] - part.shape[1] for part in parts]
        parts = [
            np.pad(part, ((0, 0), (0, gap)), constant_values=np.nan)
            for part, gap in zip(parts, gaps, strict=True)
        ]
    return np.concatenate(parts)


def _summarize(
    x: np.ndarray, table: np.ndarray, band: Band, quantiles: tuple[float, float]
) -> Summary:
    if not len(x):
        return Summary(x, np.zeros((0, *table.shape[2:])), None, None, np.zeros(0, dtype=int))
    count = np.isfinite(table).sum(axis=1)
    whole = count.reshape(len(count), -1).max(axis=1, initial=0)
    x, table, count, whole = (each[whole > 0] for each in (x, table, count, whole))
    if not len(x):
        return Summary(x, np.zeros((0, *table.shape[2:])), None, None, whole)
    # Quantiles over an entry that no run has are NaN, which is what they should be.
    filled = np.where(count[:, None] > 0, table, 0.0)
    present = np.where(count > 0, 1.0, np.nan)
    # What looks for NaNs goes from point to point: ten times as long, for the same bits.
    gaps = bool((count < table.shape[1]).any())
    median = (np.nanmedian if gaps else np.median)(filled, axis=1) * present
    if band == "none":
        return Summary(x, median, None, None, whole)
    if band == "bootstrap":
        return Summary(x, median, *median_interval(table), whole)
    if band == "quantile":
        lower, upper = (np.nanquantile if gaps else np.quantile)(
            filled, quantiles, axis=1
        ) * present
        return Summary(x, median, lower, upper, whole)
    mean = np.nansum(filled, axis=1) / np.maximum(count, 1)
    squares = np.nansum((filled - mean[:, None]) ** 2, axis=1)
    deviation = np.sqrt(squares / np.where(count > 1, count - 1, np.nan)) * present
    return Summary(x, median, median - deviation, median + deviation, whole)


def column_of(frame: pd.DataFrame, name: str) -> pd.Series:
    """Return a column of a frame, as a type checker wants it."""
    return cast("pd.Series", frame[name])


def as_array(column: pd.Series) -> np.ndarray:
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
