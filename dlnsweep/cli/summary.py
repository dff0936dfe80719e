"""`dlnsweep summary`: medians and quartiles, on a terminal or for a paper."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlnsweep.cli.results import keys_of
from dlnsweep.machine.paths import user_path

if TYPE_CHECKING:
    import pandas as pd

    from dlnsweep.results import Results
    from dlnsweep.results.joined import Joined


class Format(StrEnum):
    """What a summary can be written as."""

    text = "text"
    csv = "csv"
    latex = "latex"
    markdown = "markdown"
    json = "json"


def summary(
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULTS...",
            help="A results folder, such as results/fig4; or s3://... Several in one table are "
            "told apart by the column sweep.",
        ),
    ],
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help="Group by this setting; all that vary by default, of several folders sweep first.",
        ),
    ] = None,
    at: Annotated[
        str,
        typer.Option(
            metavar="WHEN",
            help="final, min (over the records), argmin (its step), minimise=NAME, or a step.",
        ),
    ] = "final",
    of: Annotated[
        list[str] | None,
        typer.Option(metavar="OBSERVABLE", help="Only this observable. May be repeated."),
    ] = None,
    pivot: Annotated[
        str, typer.Option(metavar="KEY", help="A column for each value of this setting.")
    ] = "",
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="csv and json have every digit; text, markdown and latex are to be read.",
        ),
    ] = Format.text,
    digits: Annotated[
        int,
        typer.Option(min=1, max=17, help="Significant digits of text, markdown and latex."),
    ] = 4,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the table to this file as well, with every digit.",
            parser=user_path,
        ),
    ] = None,
) -> None:
    """Show medians and quartiles over the seeds for each setting.

    Quartiles stand in brackets behind the median where they share a cell. Runs that diverged enter
    no statistic and are counted; so are those that are not done.

    Where rows are over the values of a refined axis, a line on the standard error says so.
    """
    from dlnsweep.results.csv_files import write_text
    from dlnsweep.results.joined import SWEEP, opened_together
    from dlnsweep.results.summary_table import summary_table
    from dlnsweep.results.written import exact

    keys = keys_of(by)
    results = opened_together(folders)
    table = summary_table(results, keys, at, keys_of(of), pivot)
    keys = [name for name in table.columns if name in ("seed", SWEEP) or "." in name]
    if csv is not None:
        write_text(exact(table, keys, pivot, "csv"), csv)
    if form in (Format.csv, Format.json):
        sys.stdout.write(exact(table, keys, pivot, form.value))
    else:
        sys.stdout.write(_to_read(results, table, keys, pivot, form, digits))
    for axis in _refined(results):
        if axis not in (*keys, pivot):
            print(
                f"note: {axis} is refined: rows are over its values, most of them close to the "
                "boundary",
                file=sys.stderr,
            )


def _refined(results: Results | Joined) -> list[str]:
    """Return the axes to which rounds have added values."""
    from dlnsweep.analysis.boundaries import refined_axis
    from dlnsweep.results.joined import Joined

    parts = results.parts.values() if isinstance(results, Joined) else [results]
    return list(dict.fromkeys(filter(None, (refined_axis(each.sweep) for each in parts))))


def _to_read(
    results: Results | Joined,
    table: pd.DataFrame,
    keys: list[str],
    pivot: str,
    form: Format,
    digits: int,
) -> str:
    from dlnsweep.results import written
    from dlnsweep.results.wide_tables import fitted, terminal_width

    if form is Format.latex:
        return _in_latex(results, table, keys, pivot, digits)
    plain = written.Style(lambda value: f"{value:.{digits}g}")
    if form is Format.markdown:
        return written.markdown(*written.readable(table, keys, pivot, plain))
    if not pivot:
        from dlnsweep.figures.folder import with_few_digits

        return fitted(with_few_digits(table, digits), keys, terminal_width()) + "\n"
    import pandas as pd

    head, rows = written.readable(table, keys, pivot, plain)
    if not rows:
        return "no run is done yet\n"
    told = ["observable", *keys]
    frame = pd.DataFrame(rows, columns=pd.Index(head))
    return fitted(frame, [name for name in head if name in told], terminal_width()) + "\n"


def _in_latex(
    results: Results | Joined, table: pd.DataFrame, keys: list[str], pivot: str, digits: int
) -> str:
    from dlnsweep.contracts.observable import OBSERVABLES
    from dlnsweep.figures.labels import network_among, observable_label, setting_label, words_of
    from dlnsweep.results import written

    first = _first_runs(results)
    network = network_among(first)

    def label(name: str) -> str:
        return observable_label(name, network) if name in OBSERVABLES else setting_label(name)

    with words_of(first):
        style = written.latex_style(label, digits)
        return written.latex(*written.readable(table, keys, pivot, style))


def _first_runs(results: Results | Joined) -> pd.DataFrame:
    """Return the kinds of a run of each sweep, by which symbols are chosen."""
    import pandas as pd

    from dlnsweep.results.joined import Joined

    parts = list(results.parts.values()) if isinstance(results, Joined) else [results]
    tables = []
    for part in parts:
        there = [key for key in ("problem.kind", "network.kind") if key in part.settings]
        tables.append(part.store.runs_table(there).slice(0, 1).to_pandas())
    return pd.concat(tables, ignore_index=True)
