"""`dlnsweep ls` and `dlnsweep diff`: what lies in results folders, and in what two differ."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dlnsweep.machine.paths import user_path

_DIFFERENT = 1


def ls(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Where to look; also in folders of it.", parser=user_path
        ),
    ] = Path("results"),
) -> None:
    """List the results folders below a folder: runs done, diverged, size, age.

    A folder that cannot be read is told in a sentence, and stops nothing.
    """
    from dlnsweep.execution.folders import Overview, overviews
    from dlnsweep.settings.sentences import printable, shorten

    def cells(each: Overview) -> list[str]:
        own = each.path.relative_to(folder) if each.path != folder else each.path
        runs = f"{each.done}/{each.planned}" if not each.problem else "-"
        diverged = str(each.diverged) if not each.problem else "-"
        age = _ago(each.age)
        return [printable(str(own)), each.state, runs, diverged, f"{shorten(each.size)}B", age]

    found = list(overviews(folder))
    if not found:
        print(f"{folder}: no results folders; `dlnsweep run FILE` makes one")
        return
    rows = [["sweep", "state", "runs", "diverged", "size", "changed"], *map(cells, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        texts = zip(row, widths, strict=True)
        aligned = (t.rjust(w) if place > 1 else t.ljust(w) for place, (t, w) in enumerate(texts))
        print("  ".join(aligned).rstrip())
    sys.stdout.flush()
    for each in found:
        if each.problem:
            print(f"dlnsweep: {each.problem}", file=sys.stderr)


def _ago(seconds: float) -> str:
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return f"{int(seconds)} s ago"


def diff(
    left: Annotated[
        str, typer.Argument(metavar="A", help="A sweep file, gallery:NAME, or a results folder.")
    ],
    right: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
) -> None:
    """Show in what two sweeps differ, each a sweep file or a results folder.

    Settings, axes, figures, numerics; and versions, where both have results. Names do not matter.
    Exit status 0 if there is no difference, 1 if there is one, 2 or 3 if one cannot be read.
    """
    from dlnsweep.execution.differences import differences, in_both, side

    one, other = side(left), side(right)
    found = list(differences(one, other))
    if not found:
        print(f"no difference: the same {len(one.run_ids)} runs")
        return
    common = in_both(one, other)
    print(f"--- {left}: {len(one.run_ids)} runs")
    print(f"+++ {right}: {len(other.run_ids)} runs, {common} of them in both")
    for each in found:
        print(f"- {each.what} = {each.left}")
        print(f"+ {each.what} = {each.right}")
    raise typer.Exit(_DIFFERENT)
