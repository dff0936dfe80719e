"""`dlnsweep figure`: draw what is in results folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlnsweep.cli.files import Plugins, use
from dlnsweep.machine.paths import user_path


def figure(
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULTS...",
            help="A results folder, such as results/fig4; or s3://... Several in one figure are "
            "told apart by hue = 'sweep'.",
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="FILE",
            help="Take [figure] from this file instead: a sweep file, or [figure] alone.",
            parser=user_path,
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Replace a key of all figures, figure.title='Mine', or of one, figure.0.title; "
            "VALUE is TOML. May be repeated.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the files here; into RESULTS/figures by default, of several into figures.",
            parser=user_path,
        ),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Draw the figures of a results folder again, or of several folders together."""
    use(plugin)
    from dlnsweep.errors import DlnsweepError
    from dlnsweep.figures.folder import drawn_one_by_one, figures_of, raise_all, stored_figures
    from dlnsweep.results.joined import opened_together

    results = opened_together(folders)
    given = overrides or []
    figures = figures_of(file, given) if file else stored_figures(results, given)
    failures = []
    for found in drawn_one_by_one(results, figures, out):
        if isinstance(found, DlnsweepError):
            failures.append(found)
            continue
        for path in found:
            print(path)
    raise_all(failures)
