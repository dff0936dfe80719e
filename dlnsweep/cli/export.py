"""`dlnsweep export`: results as one file for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dlnsweep.cli.results import Folder
from dlnsweep.machine.paths import user_path


class Table(StrEnum):
    """What can be exported."""

    curves = "curves"
    outcomes = "outcomes"
    runs = "runs"


def export(
    folder: Folder,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A new file; it ends with .csv or .parquet.", parser=user_path
        ),
    ],
    table: Annotated[
        Table | None,
        typer.Option(
            help="Which; by default the one that is a word of the file's name, else curves."
        ),
    ] = None,
    of: Annotated[
        list[str] | None,
        typer.Option(metavar="OBSERVABLE", help="Only this one of curves. May be repeated."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="Only runs with this setting; [1, 2] are several values."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file.")] = False,
) -> None:
    """Write curves, outcomes or runs to one CSV or Parquet file, vectors as columns.

    Curves have a row for each run and recorded step, outcomes for each run that is done, each with
    the settings that vary; runs have a row for each planned run with all its settings. It is
    written batch by batch, so that results may be larger than memory, and stands there whole or not
    at all.
    """
    from dlnsweep.cli.results import keys_of
    from dlnsweep.results import open_results
    from dlnsweep.results.exported import export as written
    from dlnsweep.results.exported import named_table
    from dlnsweep.spec.file import apply_overrides

    wanted = _dotted(apply_overrides({}, where or (), "--where"))
    which = table.value if table else named_table(file)
    rows, columns = written(open_results(folder), file, which, keys_of(of), wanted, force=force)
    print(f"{file}: {which}, {rows} rows, {columns} columns")


def _dotted(tables: dict[str, object], before: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in tables.items():
        found |= (
            _dotted(value, f"{before}{name}.")
            if isinstance(value, dict)
            else {f"{before}{name}": value}
        )
    return found
