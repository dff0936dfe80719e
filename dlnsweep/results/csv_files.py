"""Tables as CSV files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from dlnsweep.errors import SpecError

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table with every digit of its numbers.

    Raises:
        SpecError: If the file cannot be written.
    """
    # As a whole: a table that cannot be turned into text leaves no half of a file.
    write_text(csv_text(table), path)


def csv_text(table: pd.DataFrame) -> str:
    """Return a table as CSV, with every digit of its numbers."""
    return table.rename(columns=inert).map(inert).to_csv(index=False, lineterminator="\n")


def write_text(text: str, path: Path) -> None:
    """Write the text of a table to a file.

    Raises:
        SpecError: If the file cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        raise SpecError(
            f"{path}: the table cannot be written ({error.strerror or error}); name a file in a "
            "folder that you may write, on a disk with room."
        ) from None


def inert(value: Any) -> Any:
    """Return a text that spreadsheets do not take for a formula; what is no text as it is."""
    if not isinstance(value, str):
        return value
    inert = f"'{value}" if value.startswith(_FORMULA) else value
    # Unquoted, as pandas leaves it, this would begin a new row.
    return inert.replace("\r", "\\r")
