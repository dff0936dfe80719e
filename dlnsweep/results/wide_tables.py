"""Tables for a terminal: none is wider than it, no word is broken."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import pandas as pd

# Nobody reads along a line through a pipe that is not told how wide it is.
_ENDLESS = 10**6


def terminal_width() -> int:
    """Return the columns of the terminal, or of COLUMNS; endless where there is neither."""
    if os.environ.get("COLUMNS", "").isdecimal() or sys.stdout.isatty():
        return max(20, shutil.get_terminal_size().columns)
    return _ENDLESS


def fitted(table: pd.DataFrame, keys: Sequence[str], width: int, **options: Any) -> str:
    """Return a table as text of at most some columns.

    Where it is wider, its columns are set below each other in blocks, each with the keys; and one
    value a line where not even one column has room beside the keys.

    Args:
        table: The table.
        keys: The columns that say what a row is.
        width: The most columns of the terminal.
        **options: As for `DataFrame.to_string`.
    """
    whole = table.to_string(index=False, **options)
    if _widest(whole) <= width:
        return whole
    heads = [key for key in keys if key in table.columns]
    blocks: list[str] = []
    block: list[str] = []
    for name in [name for name in table.columns if name not in heads]:
        if block and _widest(_text(table, [*heads, *block, name], options)) > width:
            blocks.append(_text(table, [*heads, *block], options))
            block = []
        block.append(name)
    blocks.append(_text(table, [*heads, *block], options))
    if max(map(_widest, blocks)) <= width:
        return "\n\n".join(blocks)
    return _below_each_other(table, options)


def _text(table: pd.DataFrame, names: list[str], options: dict[str, Any]) -> str:
    return table[names].to_string(index=False, **options)


def _below_each_other(table: pd.DataFrame, options: dict[str, Any]) -> str:
    columns = {n: table[[n]].to_string(index=False, header=False, **options) for n in table.columns}
    cells = {name: [line.strip() for line in text.split("\n")] for name, text in columns.items()}
    rows = ["\n".join(f"{n}: {cells[n][i]}" for n in table.columns) for i in range(len(table))]
    return "\n\n".join(rows)


def _widest(text: str) -> int:
    return max(map(len, text.split("\n")))
