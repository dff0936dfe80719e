"""`dlnsweep view`: a local page for looking around in results."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated

import typer

from dlnsweep.cli.files import Plugins, use


def view(
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULTS...",
            help="Results folders, or a folder of such, as results.",
        ),
    ],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where to listen; any free port by default.")
    ] = 0,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    plugin: Plugins = None,
) -> None:
    """Look around in results: a page on this machine, until Ctrl-C (extra: dlnsweep[view])."""
    use(plugin)
    from dlnsweep.view.serve import Server

    server = Server(folders, port)
    print(server.address, flush=True)
    print("dlnsweep: the page is for this machine and this address; Ctrl-C ends it.",
          file=sys.stderr, flush=True)  # fmt: skip
    if browser:
        import webbrowser

        webbrowser.open(server.address)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    print("dlnsweep: the page has ended.", file=sys.stderr)
