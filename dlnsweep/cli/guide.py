"""`dlnsweep guide`: the guides that ship with the package, in the terminal."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib.resources import files
from typing import Annotated

import typer

from dlnsweep.errors import SpecError

# In the order in which a newcomer meets them; others follow by name.
_FIRST = ("sweep_files", "choosing", "cookbook", "commands", "results")


def guides() -> dict[str, str]:
    """Return the text of each guide by name."""
    found = {
        entry.name.removesuffix(".md"): entry.read_text(encoding="utf-8")
        for entry in files("dlnsweep").joinpath("guide").iterdir()
        if entry.name.endswith(".md")
    }
    last = len(_FIRST)
    places = {name: place for place, name in enumerate(_FIRST)}
    return {name: found[name] for name in sorted(found, key=lambda n: (places.get(n, last), n))}


def title(text: str) -> str:
    """Return what a guide is called: its first heading."""
    return text.partition("\n")[0].removeprefix("# ")


def guide(
    name: Annotated[
        str | None, typer.Argument(help="Which one; without it all are listed.")
    ] = None,
) -> None:
    """Show a guide in the terminal; without a name list them all."""
    found = guides()
    if name is None:
        width = max(map(len, found))
        for each, text in found.items():
            typer.echo(f"{each:{width}}  {title(text)}")
        typer.echo("\nShow one by: dlnsweep guide NAME")
        return
    name = name.removesuffix(".md")
    if name not in found:
        near = get_close_matches(name, found, 1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise SpecError(f"no guide is called {name!r}; there are {', '.join(found)}.{meant}")
    if not sys.stdout.isatty():
        # As it is written, for a file or a pager.
        typer.echo(found[name], nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(found[name], hyperlinks=False))
