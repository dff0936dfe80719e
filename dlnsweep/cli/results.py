"""The commands of the command line that look at results; `cli` has the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlnsweep.cli.files import Plugins, use
from dlnsweep.machine.paths import user_path


def keys_of(given: list[str] | None) -> list[str]:
    """Return settings of `--by`, which may be given apart or with commas."""
    parts = [part.strip() for text in given or () for part in text.split(",")]
    return list(dict.fromkeys(filter(None, parts)))


Folder = Annotated[
    str,
    typer.Argument(metavar="RESULTS", help="A results folder, such as results/fig4; or s3://..."),
]


Folders = Annotated[
    list[str],
    typer.Argument(
        metavar="RESULTS...",
        help="A results folder, such as results/fig4; or s3://... Several are joined: their runs "
        "are told apart by their settings, and by sweep.",
    ),
]

# Where a command's table goes, too.
TableFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the table to this file.", parser=user_path),
]


def claims(
    folders: Folders,
    by: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Tell runs apart by this setting.")
    ] = None,
    csv: TableFile = None,
    isometry: Annotated[
        float,
        typer.Option(
            help="Judge runs with |sigma(AR)^2 - 1| up to this, the paper's delta; inf: all."
        ),
    ] = 0.1,
    any_width: Annotated[
        bool,
        typer.Option("--any-width", help="Judge runs narrower than (70) or Lemma A.25, too."),
    ] = False,
    any_decay: Annotated[
        bool, typer.Option("--any-decay", help="Judge more weight decay than (29) allows, too.")
    ] = False,
    plugin: Plugins = None,
) -> None:
    """Test Theorem A.2 of arXiv:2502.15522 and its proof, statement by statement, run by run."""
    use(plugin)
    from dlnsweep.analysis.claims import Demands, claims_table, claims_text
    from dlnsweep.results.csv_files import write_csv
    from dlnsweep.results.joined import opened_together
    from dlnsweep.results.wide_tables import terminal_width

    table = claims_table(
        opened_together(folders), keys_of(by), Demands(isometry, any_width, any_decay)
    )
    if csv is not None:
        write_csv(table, csv)
    print(claims_text(table, terminal_width()))


def transition(
    folders: Folders,
    x: Annotated[str, typer.Option(metavar="KEY", help="The setting along which runs succeed.")],
    success: Annotated[
        list[str],
        typer.Option(
            metavar="CONDITION",
            help="Such as 'regression_error < 0.1', or 'finished'; all must hold.",
        ),
    ],
    by: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Tell runs apart by this setting.")
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the first table to this file.", parser=user_path),
    ] = None,
) -> None:
    """Fit the value of a setting at which half of the runs succeed, and its power law."""
    from dlnsweep.analysis.transitions import Condition, transitions, transitions_text
    from dlnsweep.results.csv_files import write_csv
    from dlnsweep.results.joined import opened_together
    from dlnsweep.results.wide_tables import terminal_width

    conditions = [Condition.read(text) for text in success]
    found = transitions(opened_together(folders), x, conditions, keys_of(by))
    if csv is not None:
        write_csv(found.table, csv)
    print(transitions_text(found, x, terminal_width()))


def boundary(
    folders: Folders,
    csv: TableFile = None,
) -> None:
    """Show the boundaries that a sweep with [sweep.refine] found."""
    from dlnsweep.analysis.boundaries import boundaries, boundaries_text, refined_setting
    from dlnsweep.results.csv_files import write_csv
    from dlnsweep.results.joined import opened_together
    from dlnsweep.results.wide_tables import terminal_width

    results = opened_together(folders)
    found = boundaries(results)
    if csv is not None:
        write_csv(found, csv)
    print(boundaries_text(found, refined_setting(results), terminal_width()))


def intervals(
    folders: Folders,
    csv: TableFile = None,
) -> None:
    """Show the intervals that a sweep with [sweep.until] asks for, and the seeds that they took."""
    from dlnsweep.analysis.intervals import asked_text, intervals_text
    from dlnsweep.analysis.intervals import intervals as table_of
    from dlnsweep.results.csv_files import write_csv
    from dlnsweep.results.joined import opened_together
    from dlnsweep.results.wide_tables import terminal_width

    results = opened_together(folders)
    found = table_of(results)
    if csv is not None:
        write_csv(found, csv)
    print(intervals_text(found, asked_text(results), terminal_width()))


def extrapolate(
    folders: Folders,
    setting: Annotated[
        str, typer.Option("--in", metavar="KEY", help="The setting that grows: network.width.")
    ],
    of: Annotated[
        list[str], typer.Option(metavar="OBSERVABLE", help="What is extrapolated; repeatable.")
    ],
    at_most: Annotated[
        float | None, typer.Option(metavar="VALUE", help="Leave larger values of it out.")
    ] = None,
    csv: TableFile = None,
) -> None:
    """Extrapolate means over the seeds to an infinite width, or another setting; with intervals."""
    from dlnsweep.analysis import limits
    from dlnsweep.results.csv_files import write_csv
    from dlnsweep.results.joined import opened_together
    from dlnsweep.results.wide_tables import terminal_width

    found = limits.extrapolate(opened_together(folders), setting, of, at_most)
    if csv is not None:
        write_csv(found, csv)
    print(limits.limits_text(found, setting, terminal_width()))
