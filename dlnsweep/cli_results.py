"""The commands of the command line that look at results; `cli` has the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path, typer.Argument(metavar="RESULTS", help="A results folder, such as results/fig4.")
]


def summary(
    folder: Folder,
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Group by this setting; all that vary by default."),
    ] = None,
    at: Annotated[
        str, typer.Option(metavar="WHEN", help="final, min (over the records), or a step.")
    ] = "final",
    csv: Annotated[Path | None, typer.Option(help="Write the table to this file as well.")] = None,
) -> None:
    """Show medians and quartiles over the seeds for each setting."""
    from dlnsweep.drawing import summary_table

    table = summary_table(folder, by, at)
    print(table.to_string(index=False))
    if csv is not None:
        table.to_csv(csv, index=False)


def claims(
    folder: Folder,
    by: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Tell runs apart by this setting.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table to this file.")] = None,
    isometry: Annotated[
        float,
        typer.Option(help="Judge runs with |sigma(AR)^2 - 1| below this (where it is recorded)."),
    ] = 1.0,
    any_width: Annotated[
        bool, typer.Option("--any-width", help="Judge runs narrower than (70), too.")
    ] = False,
) -> None:
    """Test Theorem 2.3 of arXiv:2502.15522, statement by statement, run by run."""
    from dlnsweep.claims import Demands, claims_table, claims_text

    table = claims_table(folder, by or [], Demands(isometry, any_width))
    print(claims_text(table))
    if csv is not None:
        table.to_csv(csv, index=False)


def transition(
    folder: Folder,
    x: Annotated[str, typer.Option(metavar="KEY", help="The setting along which runs succeed.")],
    success: Annotated[
        list[str],
        typer.Option(metavar="CONDITION", help="Such as 'regression_error < 0.1'; all must hold."),
    ],
    by: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Tell runs apart by this setting.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the first table to this file.")] = None,
) -> None:
    """Fit the value of a setting at which half of the runs succeed, and its power law."""
    from dlnsweep.transitions import Condition, transitions, transitions_text

    found = transitions(folder, x, [Condition.read(text) for text in success], by or [])
    print(transitions_text(found, x))
    if csv is not None:
        found.table.to_csv(csv, index=False)


def figure(
    folder: Folder,
    file: Annotated[
        Path | None, typer.Option("--file", help="Take [figure] from this sweep file instead.")
    ] = None,
) -> None:
    """Draw the figures of a results folder again."""
    from dlnsweep.drawing import draw_figures
    from dlnsweep.spec import Sweep

    for path in draw_figures(folder, Sweep.from_file(file).figures if file else None):
        print(path)
