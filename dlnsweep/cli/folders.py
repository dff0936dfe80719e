"""`dlnsweep ls` and `dlnsweep diff`: what lies in results folders, and in what two differ."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlnsweep.errors import Interrupted
from dlnsweep.machine.paths import user_path

if TYPE_CHECKING:
    from dlnsweep.execution.folders import Overview, Search

_DIFFERENT = 1
# Seconds until a search says where it is, and how many folders that it passes over it names.
_FIRST_WORD, _MOST_NAMED = 3.0, 6


def ls(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Where to look; also in folders of it.", parser=user_path
        ),
    ] = Path("results"),
) -> None:
    """List the results folders below a folder: runs done, diverged, size, age.

    A folder that cannot be read is told in a sentence, and stops nothing. Hidden folders, links and
    other file systems are not looked into. Ctrl-C lists what was found until then.
    """
    from dlnsweep.execution.folders import Search, overviews
    from dlnsweep.settings.sentences import printable, shorten

    def cells(each: Overview) -> list[str]:
        own = each.path.relative_to(folder) if each.path != folder else each.path
        runs = f"{each.done}/{each.planned}" if not each.problem else "-"
        diverged = str(each.diverged) if not each.problem else "-"
        age = _ago(each.age)
        return [printable(str(own)), each.state, runs, diverged, f"{shorten(each.size)}B", age]

    found: list[Overview] = []
    search, stopped = Search(_patience()), False
    try:
        # A list that grows, so that a Ctrl-C leaves what there is.
        found.extend(overviews(folder, search))
    except KeyboardInterrupt:
        stopped = True
    _list(found, cells)
    for each in found:
        if each.problem:
            print(f"dlnsweep: {each.problem}", file=sys.stderr)
    for text in _passed_over(search):
        print(f"dlnsweep: {text}", file=sys.stderr)
    if stopped:
        raise Interrupted(f"stopped: {search.num_folders} folders had been looked into.")
    if not found:
        print(f"{folder}: no results folders; `dlnsweep run FILE` makes one")


def _list(found: Sequence[Overview], cells: Callable[[Overview], list[str]]) -> None:
    if not found:
        return
    rows = [["sweep", "state", "runs", "diverged", "size", "changed"], *map(cells, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        texts = zip(row, widths, strict=True)
        aligned = (t.rjust(w) if place > 1 else t.ljust(w) for place, (t, w) in enumerate(texts))
        print("  ".join(aligned).rstrip())
    sys.stdout.flush()


def _patience() -> Callable[[Path], None]:
    """Return what says, after seconds and then more and more seldom, where a search is."""
    begun, next_at, looked_at = time.monotonic(), _FIRST_WORD, 0

    def look(place: Path) -> None:
        nonlocal next_at, looked_at
        looked_at += 1
        if time.monotonic() - begun >= next_at:
            from dlnsweep.settings.sentences import printable

            next_at *= 2
            where = printable(str(place), 120)
            print(
                f"dlnsweep: {looked_at} folders looked into, now {where}; Ctrl-C lists what was "
                "found until then",
                file=sys.stderr,
                flush=True,
            )

    return look


def _passed_over(search: Search) -> Iterator[str]:
    if search.elsewhere:
        from dlnsweep.settings.sentences import printable

        names = ", ".join(printable(str(path), 80) for path in search.elsewhere[:_MOST_NAMED])
        more = len(search.elsewhere) - _MOST_NAMED
        rest = f" and {more} more" if more > 0 else ""
        yield f"other file systems were not looked into: {names}{rest}; name one to list it"
    if search.given_up:
        yield (
            f"{search.num_folders} folders were looked into, and no more; name one that is nearer "
            "to the results"
        )


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
