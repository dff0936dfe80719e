"""The standard streams of a process of ours: what cannot be written never stops the computing.

A full disk, a reader that went away (`| head`), a stream that was closed (`2>&-`): what is said is
lost then, and no error comes of it, neither where it is said nor when Python ends.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import Any

# A reader that takes nothing for so long while runs are computed is not waited for again.
_PATIENCE_SECONDS = 2.0


class _Outlet(io.RawIOBase):
    """A descriptor that takes everything; what it could not write it drops, and remembers why.

    Attributes:
        refusal: The error number of the first failure; 0 if there was none.
        patient: Whether to wait for a slow reader, as for a pager.
    """

    def __init__(self, descriptor: int, *, closed: bool) -> None:
        self.refusal, self.patient = 0, True
        self._descriptor, self._closed, self._stuck = descriptor, closed, False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        try:
            if self._closed:
                raise OSError(errno.EBADF, "closed")
            while rest and self._is_free():
                with contextlib.suppress(BlockingIOError):
                    rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self.refusal = self.refusal or error.errno or errno.EIO
        return memoryview(data).nbytes

    def _is_free(self) -> bool:
        """Wait until something can be written; how long depends on patience."""
        wait = None if self.patient else 0 if self._stuck else 1000 * _PATIENCE_SECONDS
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        self._stuck = not poll.poll(wait)
        return not self._stuck


class _Text(io.TextIOWrapper):
    """A stream to which control characters do not get: names come from folders of strangers."""

    def write(self, text: str, /) -> int:
        super().write(harmless(text))
        return len(text)

    def steer(self, text: str) -> None:
        """Write what steers the terminal on purpose, as a bar does."""
        super().write(text)


def harmless(text: str) -> str:
    """Return a text with escapes for all that steers a terminal or turns its letters round."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


_outlets: dict[int, _Outlet] = {}
_only_reports: list[bool] = []


def only_reports() -> None:
    """Say that what goes to the standard output only reports what is done anyway."""
    _only_reports.append(True)


def secure() -> None:
    """Make the standard streams of this process safe to write to; once, at its beginning."""
    closed = {number for number in (0, 1, 2) if not _is_open(number)}
    for number in sorted(closed):
        # Else the next file that is opened gets the number, and with it what libraries print.
        null = os.open(os.devnull, os.O_RDWR)
        if null != number:
            os.dup2(null, number)
            os.close(null)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream: Any = getattr(sys, name)
        # One that somebody has replaced (a notebook, a test) is theirs.
        if stream is not None and stream is not getattr(sys, f"__{name}__"):
            continue
        with contextlib.suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
        outlet = _Outlet(number, closed=number in closed)
        _outlets[number] = outlet
        safe = _Text(
            io.BufferedWriter(outlet),
            encoding=getattr(stream, "encoding", None) or "utf-8",
            # A Greek letter that the terminal's encoding lacks is no reason to end, either.
            errors="backslashreplace",
            line_buffering=number == 2 or outlet.isatty(),
            write_through=bool(getattr(stream, "write_through", False)),
        )
        setattr(sys, name, safe)


def lost_output() -> str:
    """Return why the standard output was not written whole; empty if it was, or nobody minds."""
    outlet = _outlets.get(1)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    # A reader that has gone away has read what it wanted.
    if outlet is None or _only_reports or outlet.refusal in (0, errno.EPIPE):
        return ""
    return os.strerror(outlet.refusal)


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """For the time of the block do not wait for a reader that takes nothing (Ctrl-S, a full pipe).

    What is said meanwhile is progress, and the computing matters more.
    """
    outlet = _outlets.get(2)
    if outlet is None:
        yield
        return
    outlet.patient = False
    try:
        yield
    finally:
        outlet.patient = True


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
