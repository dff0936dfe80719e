"""One line of a terminal, written anew in its place, whatever the terminal's width becomes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from dlnsweep.machine.console import harmless

_REFRESH_SECONDS = 0.2
# The last columns stay free: there the terminal writes ^C, and no line ends at its edge.
_FREE = 3
# Row by row: some terminals keep what "clear all below" clears from their first row on.
_TO_LINE_START, _CLEAR, _UP = "\r", "\x1b[2K", "\x1b[A"


class TerminalLine:
    """A context in which a line is shown, and shown anew several times a second.

    Args:
        stream: The terminal.
        text: Gives the line for a number of columns; what is longer is cut.
    """

    def __init__(self, stream: Any, text: Callable[[int], str]) -> None:
        self._stream, self._text = stream, text
        self._shown = ""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._refresh, daemon=True)

    def __enter__(self) -> TerminalLine:
        self.draw()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self.draw()
        self._write("\n")

    def draw(self) -> None:
        """Write the line anew."""
        with self._lock:
            columns = self._columns()
            line = harmless(self._text(columns - _FREE))[: max(1, columns - _FREE)]
            self._write(self._back(columns) + line)
            self._shown = line

    def print(self, text: str) -> None:
        """Write lines that stay, above this one."""
        with self._lock:
            self._write(f"{self._back(self._columns())}{harmless(text)}\n")
            self._shown = ""
        self.draw()

    def _back(self, columns: int) -> str:
        # A terminal that has become narrower has broken what it shows over several rows.
        rows = max(0, len(self._shown) - 1) // columns
        return _TO_LINE_START + _CLEAR + (_UP + _CLEAR) * rows

    def _columns(self) -> int:
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError, AttributeError):
            columns = 0
        # Some terminals say 0 for "not known".
        return max(_FREE + 1, columns or 80)

    def _refresh(self) -> None:
        while not self._ended.wait(_REFRESH_SECONDS):
            self.draw()

    def _write(self, text: str) -> None:
        try:
            # Our own streams let nobody else steer the terminal.
            getattr(self._stream, "steer", self._stream.write)(text)
            self._stream.flush()
        except (OSError, ValueError):
            # A terminal that has gone away is no reason to stop computing.
            self._ended.set()
