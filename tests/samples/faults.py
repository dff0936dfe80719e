"""An operating system that fails, or ends the process, at any of its operations."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dlnsweep.store import files, system

WRITING = ("open", "mkdir", "write", "fsync", "replace")
REMOVING = ("unlink", "rmdir", "close")


class Killed(BaseException):
    """Stands for the death of the process: no clean-up code can act any more."""


class FaultyOs:
    """The `os` module, of which the n-th operation of writing and perhaps all later ones fail."""

    def __init__(self, number: int, failure: Callable[[], BaseException], lasting: bool) -> None:
        self.number, self.failure, self.lasting = number, failure, lasting
        self.count = 0
        self.opened: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        original: Any = getattr(os, name)
        if name not in WRITING and not (name in REMOVING and self.failure is Killed):
            return original

        def operation(*args, **kwargs):
            reading = name == "open" and reads_only(args[1])
            self.count += name in WRITING and not reading
            # A disk that is full can be read; the dead do not read.
            spared = reading and self.failure is not Killed
            over = self.count == self.number or (self.lasting and self.count > self.number)
            if over and not spared:
                raise self.failure()
            # A disk that keeps its power needs no synchronisation, which is slow.
            result: Any = None if name == "fsync" else original(*args, **kwargs)
            if name == "open":
                self.opened.add(result)
            if name == "close":
                self.opened.discard(args[0])
            return result

        return operation


def reads_only(flags: int) -> bool:
    return not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_DIRECTORY)


def full_disk() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def faults(
    number: int, failure: Callable[[], BaseException] = full_disk, lasting: bool = False
) -> Iterator[FaultyOs]:
    """Let the n-th operation fail in the block."""
    faulty = FaultyOs(number, failure, lasting)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(system, "os", faulty)
            patch.setattr(files, "os", faulty)
            yield faulty
    finally:
        if failure is Killed:
            # What the kernel does for a dead process, its locks included.
            for descriptor in faulty.opened:
                os.close(descriptor)


def count_operations(action: Callable[[], object]) -> int:
    with faults(-1) as faulty:
        action()
    assert faulty.count > 0
    return faulty.count
