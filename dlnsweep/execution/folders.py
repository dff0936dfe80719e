"""All results folders below a folder, and how far each of them is."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dlnsweep.errors import DlnsweepError, SpecError
from dlnsweep.execution.heartbeat import runners
from dlnsweep.settings.sentences import printable
from dlnsweep.store import Store
from dlnsweep.store.layout import SWEEP

# Deeper than anybody files results; and far more folders than an answer shall wait for.
_DEEPEST = 8
_MOST_FOLDERS = 100_000


@dataclass(frozen=True)
class Overview:
    """A results folder at a glance.

    Attributes:
        path: The folder.
        state: "done", "running", "unfinished" or "damaged".
        planned: Planned runs.
        done: Runs that are done.
        diverged: Those of them that diverged.
        size: Bytes of its files.
        age: Seconds since one of them was last changed.
        problem: A sentence on what is wrong with it; empty if nothing is.
    """

    path: Path
    state: str
    planned: int
    done: int
    diverged: int
    size: int
    age: float
    problem: str = ""


@dataclass
class Search:
    """How far a search for results folders is, and what it passes over.

    Attributes:
        on_folder: Called with each folder that is looked into.
        num_folders: Folders looked into.
        elsewhere: Folders that are other file systems, such as /proc, which are passed over.
        given_up: Whether there were more folders than are looked into.
    """

    on_folder: Callable[[Path], None] = lambda _: None
    num_folders: int = 0
    elsewhere: list[Path] = field(default_factory=list)
    given_up: bool = False


def overviews(folder: Path, search: Search | None = None) -> Iterator[Overview]:
    """Yield each results folder in or below a folder, by name; what is wrong with one stops none.

    Links are not followed, nothing hidden is looked into, nor are other file systems.

    Args:
        folder: Where to look.
        search: Is told what the search does.

    Raises:
        SpecError: If the folder cannot be read.
    """
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise SpecError(
            f"{folder}: no results can be looked for there ({error.strerror or error}); name a "
            "folder, such as results."
        ) from None
    for path in _found(folder, search or Search()):
        yield overview(path)


def overview(path: Path) -> Overview:
    """Return how far a results folder is."""
    size, changed = _extent(path)
    age = max(0.0, time.time() - changed)
    try:
        store = Store.open(path)
        alive = any(runner.is_alive for runner in runners(store))
        status = store.status()
    except (DlnsweepError, OSError) as error:
        told = printable(str(error).partition("\n")[0], 400)
        return Overview(path, "damaged", 0, 0, 0, size, age, told)
    finished = status.done == status.planned
    state = "done" if finished else "running" if alive else "unfinished"
    return Overview(path, state, status.planned, status.done, status.diverged, size, age)


def _found(folder: Path, search: Search) -> Iterator[Path]:
    system = _system(folder)
    todo = [(folder, 0)]
    while todo:
        if search.num_folders >= _MOST_FOLDERS:
            search.given_up = True
            return
        place, depth = todo.pop()
        own = _system(place)
        if own is None:
            # It went away, or is somebody else's.
            continue
        if own != system:
            search.elsewhere.append(place)
            continue
        search.num_folders += 1
        search.on_folder(place)
        try:
            with os.scandir(place) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        if any(entry.name == SWEEP for entry in found):
            yield place
        elif depth < _DEEPEST:
            below = [e.name for e in found if e.is_dir(follow_symlinks=False) and e.name[0] != "."]
            todo += [(place / name, depth + 1) for name in reversed(below)]


def _system(path: Path) -> int | None:
    """Return the file system of a folder; of the first, which may be a link, where it leads."""
    try:
        return path.stat().st_dev
    except OSError:
        return None


def _extent(path: Path) -> tuple[int, float]:
    """Return the bytes of a folder's files, and when one of them was last changed."""
    size, changed = 0, 0.0
    for place, _, names in os.walk(path):
        for name in names:
            try:
                found = os.lstat(os.path.join(place, name))  # noqa: PTH118 - ten thousand of them
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                size, changed = size + found.st_size, max(changed, found.st_mtime)
    return size, changed
