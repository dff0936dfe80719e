"""`dlnsweep report`: one page of HTML about a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlnsweep.cli.files import Plugins, use
from dlnsweep.cli.results import Folder
from dlnsweep.machine.paths import user_path


def report(
    folder: Folder,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where it goes; <name of the sweep>.html here by default.",
            parser=user_path,
        ),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Write one page of HTML about a sweep: figures, tables, settings; needs no network."""
    use(plugin)
    from dlnsweep.report import write_report
    from dlnsweep.results import open_results

    results = open_results(folder)
    print(write_report(results, out), flush=True)
    # The page tells damaged receipts and shows the rest; the exit status has to say it, too.
    results.store.status()
