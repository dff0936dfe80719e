"""The kept tables, and the sweep files that they are of."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from kept.text import ROOT


@dataclass(frozen=True)
class Table:
    """Rows by name of column. A column may be named without its section."""

    path: str
    rows: Sequence[dict[str, Any]]

    def where(self, **only: Any) -> Table:
        """Return the rows with these values, a list standing for any of them."""
        kept = self.rows
        for name, wanted in only.items():
            allowed = wanted if isinstance(wanted, list | tuple) else [wanted]
            key = self._key(name)
            kept = [row for row in kept if row[key] in allowed]
        if not kept:
            raise LookupError(f"{self.path} has no row with {only}")
        return Table(self.path, kept)

    def column(self, name: str) -> list[Any]:
        """Return the values of a column, from top to bottom."""
        key = self._key(name)
        return [row[key] for row in self.rows]

    def one(self, name: str, **only: Any) -> Any:
        """Return the value of a column in the one row with these values."""
        found = self.where(**only).column(name)
        if len(found) != 1:
            raise LookupError(f"{self.path} has {len(found)} rows with {only}")
        return found[0]

    def by(self, key: str, name: str) -> dict[Any, Any]:
        """Return a column's values by those of another."""
        found = dict(zip(self.column(key), self.column(name), strict=True))
        if len(found) != len(self.rows):
            raise LookupError(f"{self.path} has a {key} twice")
        return found

    def median(self, name: str) -> float:
        """Return the median of a column."""
        return median(self.column(name))

    def _key(self, name: str) -> str:
        columns = list(self.rows[0])
        found = [c for c in columns if name in (c, c.split(".")[-1])]
        if len(found) != 1:
            raise LookupError(f"{self.path}: {name} is {found} of {columns}")
        return found[0]


def _value(cell: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell


def table(path: str, **only: Any) -> Table:
    """Return a table of results/kept, or its rows with these values."""
    with (ROOT / "results/kept" / path).open(encoding="utf-8", newline="") as file:
        # Benchmarks write what was measured, and on what, in lines that begin with #.
        lines = [line for line in file if not line.startswith("#")]
    rows = [{k: _value(v) for k, v in row.items()} for row in csv.DictReader(lines)]
    return Table(path, rows).where(**only)


def sweep(name: str) -> dict[str, Any]:
    """Return a sweep file as it stands."""
    return tomllib.loads((ROOT / "sweeps" / f"{name}.toml").read_text(encoding="utf-8"))
