"""The one error family of dlnsweep; each class carries the exit status of the command line."""

from __future__ import annotations

import re

# How Python writes an object that does not say what it is, and what else stands in memory.
_NAMELESS = re.compile(r"<([^<>]*) object at 0x[0-9a-f]+>")
_PLACE = re.compile(r" at 0x[0-9a-f]+")


def without_places(text: str) -> str:
    """Return what Python writes of a value without where it lies in memory: other at each run."""
    return _PLACE.sub("", _NAMELESS.sub(r"a value of type \1", text))


class DlnsweepError(Exception):
    """A mistake that the user can mend; its message is a complete sentence.

    Only the command line turns it into text and an exit status. Everything else that is raised
    is a bug, whose traceback `outermost` keeps in a file.
    """

    exit_status = 1


class SpecError(DlnsweepError):
    """A sweep file, a `--set` value or an argument is wrong; nothing has been started.

    Args:
        problems: One sentence a mistake, all mistakes of the file at once.
    """

    exit_status = 2

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreError(DlnsweepError):
    """A results folder cannot be used, read or written as asked."""

    exit_status = 3


class RunError(DlnsweepError):
    """Runs could not be carried out, such as when a worker process died."""

    exit_status = 4


class FigureError(DlnsweepError):
    """A figure could not be drawn; what it was to show is computed and kept."""

    exit_status = 6


class Interrupted(DlnsweepError):  # noqa: N818 - a wish, not a mistake
    """The user or the system asked to stop; everything committed is kept."""

    exit_status = 130
