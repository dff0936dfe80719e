"""The kept tables, and the sweep files that they are of."""

from __future__ import annotations

import tomllib
from typing import Any

import pandas as pd

from kept.text import ROOT


def table(path: str, **only: Any) -> pd.DataFrame:
    """Return a table of results/kept, or its rows with the given values.

    Names are columns without their section, or with __ for its dot.
    """
    rows = pd.read_csv(ROOT / "results/kept" / path)
    for name, value in only.items():
        rows = rows[rows[_column(rows, name)] == value]
    return rows


def value(path: str, column: str, **only: Any) -> float:
    """Return the one value of a column in the rows that are asked for."""
    rows = table(path, **only)
    if len(rows) != 1:
        raise LookupError(f"{path} has {len(rows)} rows with {only}")
    return rows[column].item()


def _column(rows: pd.DataFrame, name: str) -> str:
    found = [c for c in rows if c == name.replace("__", ".") or str(c).split(".")[-1] == name]
    if len(found) != 1:
        raise LookupError(f"{name} is {found} of {list(rows)}")
    return str(found[0])


def sweep(name: str) -> dict[str, Any]:
    """Return a sweep file as it stands."""
    return tomllib.loads((ROOT / "sweeps" / f"{name}.toml").read_text(encoding="utf-8"))
