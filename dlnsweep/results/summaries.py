"""Statistics over groups of runs, from records that need not fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from dlnsweep.results.chosen_records import Chosen
from dlnsweep.settings.at import Minimise

_QUANTILES = {"q25": 0.25, "q75": 0.75}


def reduce_curves(
    tables: Iterable[pa.Table],
    names: Sequence[str],
    at: str | int | Minimise,
    stopped: Sequence[Any] | np.ndarray = (),
) -> pd.DataFrame:
    """Return one row a run: its values at a step, or where they are least.

    Args:
        tables: The curves of each batch: run_id, step and observables, sorted by run. Only what
            is returned is kept of them.
        names: The observables, which are numbers; a batch may lack some.
        at: "min", "argmin", where another is least, or a step; runs without a record at that step
            have no row.
        stopped: The ids of runs that `stop_when` ended, which hold their last record at later
            steps, as in figures: else only slow runs would be left there. If no run has a record
            at the step, none holds one.
    """
    holding = pd.Index(stopped)
    recorded = False

    def rows_at(wanted: int, run_ids: Any, starts: Any, step: Any) -> np.ndarray:
        nonlocal recorded
        there = step == wanted
        recorded |= bool(there.any())
        last = np.append(starts, len(run_ids))[1:] - 1
        held = last[step[last] < wanted]
        there[held[holding.get_indexer(pd.Index(run_ids[held])) >= 0]] = True
        return np.flatnonzero(there)

    def reduce(table: pa.Table) -> pd.DataFrame:
        run_ids = table["run_id"].to_numpy()
        starts = np.flatnonzero(np.diff(run_ids, prepend=run_ids[:1] - 1))
        step = table["step"].to_numpy()
        rows = rows_at(at, run_ids, starts, step) if isinstance(at, int) else starts
        place = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(run_ids))))
        columns = {"run_id": run_ids[rows]}
        for name in names:
            if isinstance(at, int):
                columns[name] = _numbers(table, name)[rows]
            else:
                chosen = Chosen(name, at, len(starts))
                chosen.take(place, step, partial(_numbers, table))
                columns[name] = chosen.numbers()
        return pd.DataFrame(columns)

    nothing = pd.DataFrame({"run_id": np.empty(0, np.int64)} | {n: np.empty(0) for n in names})
    parts = [part for part in map(reduce, tables) if len(part)]
    if not parts or (isinstance(at, int) and not recorded):
        return nothing
    return pd.concat(parts, ignore_index=True)


def statistics(values: pd.DataFrame, by: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """Return counts of each group's runs, and statistics of those that ended well.

    Args:
        values: One row a planned run: the columns of `by`, status (missing: not done yet), and
            one column a name.
        by: The columns that make the groups; none for a single group of all.
        names: The observables.
    """
    groups = [values[key] for key in by] or [pd.Series(0, index=values.index, name="all")]
    status = values["status"]
    counts = {
        "num_runs": pd.Series(1, index=values.index),
        "num_diverged": (status == "diverged").astype(np.int64),
        "num_planned_missing": status.isna().astype(np.int64),
    }
    columns: dict[str, Any] = {
        name: count.groupby(groups, dropna=False).sum() for name, count in counts.items()
    }
    ended_well = (status.notna() & (status != "diverged")).to_numpy()
    for name in names:
        numbers = values[name].astype(np.float64)
        usable = numbers.where(ended_well & np.isfinite(numbers.to_numpy()))
        column = usable.groupby(groups, dropna=False)
        columns[f"{name}_count"] = column.count()
        columns[f"{name}_median"] = column.median()
        for label, quantile in _QUANTILES.items():
            columns[f"{name}_{label}"] = column.quantile(quantile)
        columns[f"{name}_std"] = column.std()
        columns[f"{name}_min"] = column.min()
        columns[f"{name}_max"] = column.max()
    return pd.DataFrame(columns).reset_index(drop=not by)


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return table[name].to_numpy().astype(np.float64, copy=False)
