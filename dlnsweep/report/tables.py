"""Tables of a page: cells of text, each with what it is sorted by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnsweep.settings.sentences import printable

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 400
_LONGEST = 400


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        text: What stands in it.
        key: What its column is sorted by where that is a number, as text; else empty.
    """

    text: str
    key: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        caption: What it is.
        columns: Its heads, and whether each column is of numbers.
        rows: Its cells.
        left_out: How many rows more there are.
    """

    caption: str
    columns: list[tuple[str, bool]]
    rows: list[list[Cell]]
    left_out: int = 0


def table_of(frame: pd.DataFrame, caption: str, most: int = MOST_ROWS) -> Table:
    """Return a data frame as a table of at most so many rows."""
    shown = frame.head(most)
    columns, cells = [], []
    for name in shown.columns:
        values = shown[name].tolist()
        mine = [cell(value) for value in values]
        columns.append((str(name), any(each.key for each in mine)))
        cells.append(mine)
    rows = [list(row) for row in zip(*cells, strict=True)]
    return Table(caption, columns, rows, len(frame) - len(shown))


def cell(value: Any) -> Cell:
    """Return a value as a cell: numbers with four digits, nothing where there is none."""
    if isinstance(value, Cell):
        return value
    if isinstance(value, str | bool | np.bool_):
        return Cell(printable(str(value), _LONGEST))
    if value is None or not isinstance(value, int | float | np.number):
        missing = value is None or type(value).__name__ in ("NAType", "NaTType")
        return Cell("" if missing else printable(str(value), _LONGEST))
    if isinstance(value, int | np.integer):
        return Cell(str(value), str(value))
    number = float(value)
    if math.isnan(number):
        return Cell("")
    return Cell(short(number), repr(number))


def short(number: float) -> str:
    """Return a number with four digits: 0.0123, 1.5e-7, ∞."""
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    return f"{number:.4g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
