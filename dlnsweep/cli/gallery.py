"""`dlnsweep gallery`: the sweeps that ship with the package."""

from __future__ import annotations

from typing import Annotated

import typer


def gallery(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Print this one; all are listed by default."),
    ] = None,
) -> None:
    """List the sweeps that ship with dlnsweep (run one: gallery:NAME), or print one."""
    from dlnsweep.settings.sentences import printable
    from dlnsweep.spec.file import read
    from dlnsweep.spec.gallery import PREFIX, find, names

    if name is not None:
        typer.echo(find(name).read_text(encoding="utf-8"), nl=False)
        return
    known = names()
    if not known:
        # Says why.
        find("")
    width = max(map(len, known))
    for each in known:
        source = printable(str(read(find(each)).get("source", "")), 200)
        typer.echo(f"{each:{width}}  {source}".rstrip())
    typer.echo(
        f"\nRun one: dlnsweep run {PREFIX}quickstart\n"
        "Read one, and change it: dlnsweep gallery quickstart > mine.toml"
    )
