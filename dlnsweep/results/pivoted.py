"""A summary with the values of one setting beside each other: rows times columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

QUARTILES = ("_median", "_q25", "_q75")
_COUNTS = ("num_runs", "num_diverged", "num_planned_missing")


def observables_of(table: pd.DataFrame) -> list[str]:
    """Return the observables whose medians a summary table has."""
    return [name.removesuffix("_median") for name in table.columns if name.endswith("_median")]


def pivoted(
    table: pd.DataFrame, keys: Sequence[str], pivot: str, heading: Callable[[Any], str]
) -> pd.DataFrame:
    """Return a summary as one row a statistic and group, one column a value of a setting.

    Args:
        table: As `summary_table` returns it.
        keys: The settings that it is grouped by.
        pivot: One of them, whose values become columns.
        heading: What stands over the column of a value.

    Returns:
        Columns observable, statistic (median, q25, q75), the other settings, then the values; last
        come the counts of runs, with an empty observable. A combination that has no runs is empty.
    """
    rest = [key for key in keys if key != pivot]
    statistics = [
        (name, end.removeprefix("_"), name + end)
        for name in observables_of(table)
        for end in QUARTILES
    ]
    statistics += [("", name, name) for name in _COUNTS]
    cells = cells_of(table, rest, pivot)
    rows = []
    for observable, statistic, column in statistics:
        for group, found in cells.groups.items():
            values = [found[v][column] if v in found else None for v in cells.values]
            rows.append([observable, statistic, *group, *values])
    names = ["observable", "statistic", *rest, *map(heading, cells.values)]
    return pd.DataFrame(rows, columns=pd.Index(names))


class Cells:
    """The rows of a summary table by the values of some settings and of one more.

    Attributes:
        values: The distinct values of the one, in their order.
        groups: For each combination of the others, the row of each value.
    """

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.groups: dict[tuple[Any, ...], dict[Any, dict[str, Any]]] = {}


def cells_of(table: pd.DataFrame, rest: Sequence[str], pivot: str) -> Cells:
    """Return the rows of a table by the values of some settings, and of one beside them."""
    cells = Cells()
    for row in table.to_dict("records"):
        # What is not used is None once: NaN is not even equal to itself.
        group = tuple(known(row[key]) for key in rest)
        cells.groups.setdefault(group, {})[known(row[pivot])] = row
    found = {value for group in cells.groups.values() for value in group}
    # Of a group that lacks some, the first ones may come last in the table.
    cells.values = sorted(found, key=lambda v: (v is None, isinstance(v, str), v))
    return cells


def known(value: Any) -> Any:
    """Return a value as Python has it; None for what is missing."""
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
