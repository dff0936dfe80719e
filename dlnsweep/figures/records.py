"""The recorded values of a figure's runs, read batch by batch: they need not fit into memory.

Medians are exact: a table (steps, runs) holds every value of some steps at once. Where all steps
of all runs would be too large, the files are read several times, for some steps each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa

from dlnsweep.errors import SpecError
from dlnsweep.figures.statistics import (
    Results,
    Selection,
    Summary,
    as_array,
    column_of,
    joined,
    summarize,
)
from dlnsweep.results.chosen_records import Chosen, needed
from dlnsweep.settings.at import Minimise
from dlnsweep.settings.figure_keys import Band

# The tables of the steps that are read together take no more than this.
_TABLE_BYTES = 512 * 2**20


Transform = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Group:
    """One curve of a figure.

    Attributes:
        observable: What is drawn.
        runs: Which of the usable runs, as a boolean array; two groups are the same runs, or share
            none.
        transform: Makes steps, values (steps, runs) and the window into points and values;
            nothing by default.
        window: How many steps after a point its transform looks at, by the number of steps.
    """

    observable: str
    runs: np.ndarray
    transform: Transform | None = None
    window: Callable[[int], int] = lambda _: 0


class Records:
    """The recorded values of a selection's usable runs.

    Args:
        results: The results of a sweep.
        selection: Its runs that the figure is about.
    """

    def __init__(self, results: Results, selection: Selection) -> None:
        self.selection = selection
        self._results = results
        self._index = pd.Index(selection.used.index)
        self._stopped = (selection.used["status"] == "stopped").to_numpy()
        self._not_finite = np.zeros(len(self._index), dtype=bool)
        self.num_left_out = 0

    @property
    def num_not_finite(self) -> int:
        """How many of the runs looked at so far have values that are not finite numbers."""
        return int(self._not_finite.sum())

    @property
    def steps(self) -> np.ndarray:
        """All steps at which a usable run has a record."""
        return self._ends[0]

    def summaries(
        self, groups: Sequence[Group], band: Band, quantiles: tuple[float, float]
    ) -> list[Summary]:
        """Return the median and band of each group at the steps that its runs recorded.

        Runs of a group may have recorded other steps than its others (`training.num_steps` varies,
        say). Medians over now these and now those would zigzag: a step is left out if at a later
        one there are more runs. `num_left_out` counts those steps.
        """
        of_run = self._numbered(groups)
        steps, ends, steps_of, counts_of = self._survey(of_run)
        self._ends = steps, ends
        for number, (there, counts) in enumerate(zip(steps_of, counts_of, strict=True)):
            stopped = np.sort(ends[self._stopped & (of_run == number)])
            # A stopped run holds its last value.
            present = counts + np.searchsorted(stopped, there)
            kept = present >= np.maximum.accumulate(present[::-1])[::-1]
            steps_of[number] = there[kept]
            self.num_left_out += int((~kept).sum())
        numbers = [int(of_run[np.argmax(group.runs)]) for group in groups]
        # What was not stopped early holds nothing.
        last = np.where(self._stopped, ends, np.iinfo(np.int64).max)
        tables = [
            _Table(group, number, steps_of[number], last)
            for group, number in zip(groups, numbers, strict=True)
        ]
        observables = list(dict.fromkeys(group.observable for group in groups))
        parts: list[list[Summary]] = [[] for _ in groups]
        for block in self._blocks(tables):
            for table in tables:
                table.begin(block)
            for rows in self._rows(observables):
                group_of = of_run[rows.place]
                there = np.bincount(group_of[group_of >= 0], minlength=len(steps_of)) > 0
                for table in tables:
                    if there[table.number]:
                        table.take(rows, group_of == table.number, self._not_finite)
            for table, summaries in zip(tables, parts, strict=True):
                summaries.append(summarize(*table.end(), band, quantiles))
        return [joined(summaries) for summaries in parts]

    def per_run(self, observable: str, at: str | int | Minimise) -> np.ndarray:
        """Return one number for each usable run, NaN where there is none.

        Args:
            observable: A scalar observable.
            at: "final", "min" over the recorded steps, "argmin" (the step of that), where another
                observable is least, or a step that was recorded.

        Raises:
            SpecError: No run has a record at the step.
        """
        used = self.selection.used
        if at == "final" and f"final_{observable}" in used:
            final = column_of(used, f"final_{observable}").to_numpy(dtype=float, na_value=np.nan)
            return np.where(np.isfinite(final), final, np.nan)
        if isinstance(at, int) and len(self.steps) and at not in self.steps:
            nearest = self.steps[np.abs(self.steps - at).argmin()]
            raise SpecError(
                f"figure.at is {at}, but no run has a record at that step; "
                f"the nearest recorded step is {nearest}."
            )
        out = np.full(len(used), np.nan)
        last = self._last_steps
        # A run that was stopped before the step holds its last value.
        wanted = np.where(self._stopped, np.minimum(last, at), at) if isinstance(at, int) else last
        chosen = Chosen(observable, at, len(used))
        for rows in self._rows(needed([observable], at)):
            if at in ("min", "argmin") or isinstance(at, Minimise):
                chosen.take(rows.place, rows.step, rows.values)
                out = chosen.numbers()
            else:
                there = rows.step == wanted[rows.place]
                out[rows.place[there]] = rows.values(observable)[there]
        return np.where(np.isfinite(out), out, np.nan)

    def there(self, at: str | int | Minimise) -> np.ndarray:
        """Return for each usable run whether it has what `per_run` reads, finite or not."""
        if not isinstance(at, int):
            return np.ones(len(self._index), dtype=bool)
        found = self._stopped.copy()
        for rows in self._rows([]):
            found[rows.place[rows.step == at]] = True
        return found

    @cached_property
    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all steps, and the last step of each run (-1 without any)."""
        return self._survey(np.full(len(self._index), -1))[:2]

    @property
    def _last_steps(self) -> np.ndarray:
        return self._ends[1]

    def _numbered(self, groups: Sequence[Group]) -> np.ndarray:
        """Return for each run the number of its group, -1 for none."""
        of_run = np.full(len(self._index), -1)
        different = {group.runs.tobytes(): group.runs for group in groups}
        for number, runs in enumerate(different.values()):
            assert np.all(of_run[runs] == -1), "groups of a figure share runs"
            of_run[runs] = number
        return of_run

    def _survey(
        self, of_run: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], list[np.ndarray]]:
        """Return all steps, the last one of each run, each group's steps, and its runs at those."""
        steps = np.empty(0, np.int64)
        last = np.full(len(self._index), -1)
        of_group = [steps] * (of_run.max(initial=-1) + 1)
        counts_of = [steps] * len(of_group)
        for rows in self._rows([]):
            # Few steps among many rows: to hash them takes a tenth of sorting them.
            coded = pa.array(rows.step).dictionary_encode()
            here = coded.dictionary.to_numpy()
            order = np.argsort(here)
            index = np.argsort(order)[coded.indices.to_numpy()]
            here = here[order]
            steps = np.union1d(steps, here)
            np.maximum.at(last, rows.place, rows.step)
            group = of_run[rows.place]
            cell = group[group >= 0] * len(here) + index[group >= 0]
            size = len(of_group) * len(here)
            counts = np.bincount(cell, minlength=size).reshape(len(of_group), len(here))
            for number in np.flatnonzero(counts.any(axis=1)):
                present = counts[number] > 0
                known, of_known = of_group[number], counts_of[number]
                both = np.union1d(known, here[present])
                summed = np.zeros(len(both), np.int64)
                summed[np.searchsorted(both, known)] += of_known
                summed[np.searchsorted(both, here[present])] += counts[number][present]
                of_group[number], counts_of[number] = both, summed
        return steps, last, of_group, counts_of

    def _blocks(self, tables: Sequence[_Table]) -> list[np.ndarray]:
        """Cut the steps into runs of neighbours whose tables fit into memory together."""
        widths = {name: self._width(name) for name in {t.observable for t in tables}}
        size = np.zeros(len(self.steps))
        for table in tables:
            share = 8 * table.num_runs * widths[table.observable]
            size[np.searchsorted(self.steps, table.steps)] += share
        number = (np.cumsum(size) / _TABLE_BYTES).astype(int)
        return np.split(self.steps, np.flatnonzero(np.diff(number)) + 1)

    def _width(self, observable: str) -> int:
        for table in self._results.curve_batches([observable]):
            if observable in table.column_names and len(table):
                return len(np.atleast_1d(as_array(table[observable].slice(0, 1).to_pandas())[0]))
        return 1

    def _rows(self, observables: Sequence[str]) -> Iterator[_Rows]:
        for table in self._results.curve_batches(list(observables)):
            run_id = table["run_id"].to_numpy()
            starts = np.flatnonzero(np.diff(run_id, prepend=run_id[:1] - 1))
            # Rows of a run stand together, so few ids need to be looked up.
            counts = np.diff(np.append(starts, len(run_id)))
            place = np.repeat(self._index.get_indexer(pd.Index(run_id[starts])), counts)
            kept = None
            if np.any(place < 0):
                kept = place >= 0
                table, place = table.filter(pa.array(kept)), place[kept]
            yield _Rows(table, place, table["step"].to_numpy())


def starts_of(results: Results, observables: Sequence[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """Return all recorded steps, and the values of each run at step 0, by run_id."""
    steps = np.empty(0, np.int64)
    starts = [pd.DataFrame({"run_id": []} | {name: [] for name in observables})]
    for table in results.curve_batches(observables):
        step = table["step"].to_numpy()
        steps = np.union1d(steps, pa.array(step).unique().to_numpy())
        starts.append(table.filter(pa.array(step == 0)).drop_columns("step").to_pandas())
    found = pd.concat([part for part in starts if len(part)] or starts[:1], ignore_index=True)
    return steps, found.reindex(columns=["run_id", *observables]).set_index("run_id")


@dataclass(frozen=True)
class _Rows:
    """Rows of curves: the table, and for each row the place of its run and its step."""

    table: pa.Table
    place: np.ndarray
    step: np.ndarray

    def values(self, observable: str) -> np.ndarray:
        """Return numbers as (rows,) and vectors as (rows, entries)."""
        if observable not in self.table.column_names:
            return np.full(len(self.place), np.nan)
        column = self.table[observable]
        if pa.types.is_fixed_size_list(column.type) and not column.null_count:
            flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
            return flat.astype(float, copy=False).reshape(len(column), column.type.list_size)
        return as_array(column.to_pandas())


class _Table:
    """The values of one group at the steps of a block: (steps, runs) or (steps, runs, entries)."""

    def __init__(
        self, group: Group, number: int, steps: np.ndarray, last_steps: np.ndarray
    ) -> None:
        self.number, self.steps = number, steps
        self.observable, self.num_runs = group.observable, int(group.runs.sum())
        self._transform = group.transform
        self._window = group.window(len(steps))
        self._lane = np.cumsum(group.runs) - 1
        # A stopped run holds its last value, which may lie in an earlier block.
        self._last = last_steps[group.runs]
        self._held = np.full(self.num_runs, np.nan)

    def begin(self, block: np.ndarray) -> None:
        """Make room for the steps of a block, and for those after it that a point looks at."""
        first, end = np.searchsorted(self.steps, [block[0], block[-1] + 1])
        self._here = self.steps[first : end + self._window]
        # A run may have stopped at a step that is left out.
        self._range = block[0], max([block[-1], *self._here[-1:]])
        self._values = np.full((len(self._here), self.num_runs), np.nan)

    def take(self, rows: _Rows, mine: np.ndarray, not_finite: np.ndarray) -> None:
        """Take the rows of this group that are of the block."""
        mine = mine & (rows.step >= self._range[0]) & (rows.step <= self._range[1])
        if not mine.any():
            return
        recorded = rows.values(self.observable)[mine]
        place, step = rows.place[mine], rows.step[mine]
        usable = np.isfinite(recorded.reshape(len(recorded), -1)).any(axis=1)
        not_finite[place[~usable]] = True
        recorded = self._fitted(recorded)
        lane = self._lane[place]
        ends = step == self._last[lane]
        self._held[lane[ends]] = recorded[ends]
        drawn = np.isin(step, self._here)
        self._values[np.searchsorted(self._here, step[drawn]), lane[drawn]] = recorded[drawn]

    def end(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the points of the block, and their values."""
        table = self._values
        late = self._here[:, None] > self._last
        if late.any():
            table[late] = np.broadcast_to(self._held, table.shape)[late]
        # An infinite value of a run that did not diverge is no number to take a median of.
        table[~np.isfinite(table)] = np.nan
        if self._transform is None:
            return self._here, table
        return self._transform(self._here, table, self._window)

    def _fitted(self, recorded: np.ndarray) -> np.ndarray:
        """Return vectors as long as the table's, which is made longer where needed."""
        if recorded.ndim == 1 and self._values.ndim == 2:
            return recorded
        entries = self._values.shape[-1] if self._values.ndim == 3 else 0
        width = max(entries, recorded.shape[1] if recorded.ndim == 2 else 1)
        if entries < width:
            self._values = _widened(self._values, 2, width)
        if self._held.shape[1:] != (width,):
            self._held = _widened(self._held, 1, width)
        return _widened(recorded, 1, width)


def _widened(values: np.ndarray, lead: int, width: int) -> np.ndarray:
    """Return vectors with NaN behind their entries; the entries stand after `lead` axes."""
    out = np.full((*values.shape[:lead], width), np.nan)
    if values.ndim > lead:
        out[..., : values.shape[-1]] = values
    return out
