"""Tables of measurements, as plain text or Markdown."""

from __future__ import annotations

import csv
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

from dlnsweep.numerics.runtime import usable_cores, versions


@dataclass
class Table:
    """A table of measurements.

    Attributes:
        title: What was measured.
        columns: The headings.
        rows: The cells, as text or numbers.
        notes: Sentences below the table.
    """

    title: str
    columns: list[str]
    rows: list[list[str | float | int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: str | float | int) -> None:
        """Add a row."""
        assert len(cells) == len(self.columns)
        self.rows.append(list(cells))

    def keep_last(self, path: Path | None, measured_on: str) -> None:
        """Print the last row, and write all rows to a file if there is one: a stop loses none."""
        print(self.rows[-1], flush=True)
        if path:
            self.write_csv(path, measured_on)

    def text(self) -> str:
        """Return the table in aligned columns."""
        cells = [self.columns, *([written(c) for c in row] for row in self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.columns))]
        lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
        lines.insert(1, "-" * len(lines[0]))
        return "\n".join([self.title, *lines, *self.notes, ""])

    def markdown(self) -> str:
        """Return the table in Markdown."""
        rows = [self.columns, ["---:"] * len(self.columns)]
        rows += [[written(c) for c in row] for row in self.rows]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        notes = [f"\n{note}" for note in self.notes]
        return "\n".join([f"**{self.title}**\n", *lines, *notes, ""])

    def write_csv(self, path: Path, measured_on: str) -> None:
        """Write the table to a file; its first and last lines, marked by #, are words."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            file.writelines(f"# {line}\n" for line in (self.title, measured_on))
            writer.writerows([self.columns, *([written(c) for c in row] for row in self.rows)])
            file.writelines(f"# {note}\n" for note in self.notes)


def verdict(ratio: float, target: float) -> str:
    """Return whether a ratio reaches its target."""
    return f"{ratio:.2f}x (target {target:g}x{'' if ratio >= target else ', MISSED'})"


def machine() -> str:
    """Return a line that says what the numbers were measured on."""
    name = platform.processor() or platform.machine()
    try:
        with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as lines:
            models = [line.partition(":")[2].strip() for line in lines if "model name" in line]
        name = models[0] if models else name
    except OSError:
        pass
    found = versions()
    used = ", ".join(f"{k} {found[k]}" for k in ("python", "jax", "numpy"))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return f"{len(usable_cores())} cores of {name}; {used}; load average {load:.1f} at the start"


def written(value: str | float | int) -> str:
    """Return how tables write a number."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
