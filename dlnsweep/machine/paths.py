"""Paths as users give them: `~` is the home folder, once and everywhere."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

from dlnsweep.errors import SpecError, without_places


def user_path(given: Any, what: str = "the path") -> Path:
    """Return a path that a user gave, with `~` and `~user` as home folders.

    Args:
        given: Text, or a path.
        what: What it is, for messages.

    Raises:
        SpecError: If it is no path, or a home folder is not known.
    """
    try:
        text = os.fspath(given)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise SpecError(f"{what} is {_shown(given)}; it must be a path: a string or a Path.")
    if not text or "\0" in text:
        raise SpecError(f"{what} is {_shown(text)}; it must name a file or folder.")
    expanded = os.path.expanduser(text)  # noqa: PTH111 - Path drops the "./" of "./~"
    if expanded == text and text.startswith("~"):
        head = text.partition("/")[0]
        raise SpecError(
            f"{what} is {_shown(text)}, but no home folder is known for {_shown(head)}; write "
            f"./~... for a name that begins with ~."
        )
    if _is_too_long(expanded):
        raise SpecError(
            f"{what} is {_shown(text)}, which is longer than the system takes; shorten it."
        )
    return Path(expanded)


def is_special(path: Path) -> bool:
    """Tell whether a device, a pipe or the like stands there, which no file may replace."""
    try:
        found = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(found) and not stat.S_ISDIR(found)


def _is_too_long(path: str) -> bool:
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    except ValueError:
        # Not even a name for this system; told where it is used.
        return False
    return False


def absolute(given: Any, what: str = "the path") -> Path:
    """Return the same as `user_path`, absolute: it stays the same place whatever comes.

    Raises:
        SpecError: As `user_path`; or if it is not UTF-8, or the current folder is gone.
    """
    path = user_path(given, what)
    try:
        path = path.absolute()
        # Arrow and JSON know no other names.
        str(path).encode()
        return path
    except UnicodeEncodeError:
        raise SpecError(
            f"{what} is {_shown(str(path))}, which is not UTF-8; give it, or the folder above it "
            "that is not, another name."
        ) from None
    except FileNotFoundError:
        raise SpecError(
            f"{what} is {_shown(str(path))}, relative to a current folder that is gone; change "
            "into one that exists."
        ) from None


def _shown(value: Any) -> str:
    text = without_places(repr(value))
    text = text if len(text) <= 100 else text[:97] + "..."
    return "".join(c if c.isprintable() else "?" for c in text)
