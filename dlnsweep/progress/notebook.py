"""A cell of a notebook that says how far a sweep is, written anew in its place."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from html import escape
from typing import Any

from dlnsweep.settings.sentences import printable

# IPython's own function, and what it returns: a handle whose cell can be shown anew.
Display = Callable[..., Any]

_REFRESH_SECONDS = 0.25
_MOST_NOTES = 5
_LONGEST = 500


def notebook_display() -> Display | None:
    """Return what shows something in the cell that is running; None outside of a notebook."""
    # Only where it is loaded: a terminal need not wait for it.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display

    return display


class Cell:
    """A bar, a line and some notes in a notebook.

    Args:
        display: IPython's function of this name.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._handle: Any = None
        self._notes: list[str] = []
        self._last = 0.0

    def note(self, text: str) -> None:
        """Keep a note below the bar; of many the last."""
        self._notes = [*self._notes, text][-_MOST_NOTES:]

    def show(self, line: str, share: float, *, at_once: bool = False) -> None:
        """Show how far it is, but not more often than is seen.

        Args:
            line: In words.
            share: As a share.
            at_once: Even if something was shown just now.
        """
        now = time.monotonic()
        if self._handle is not None and not at_once and now - self._last < _REFRESH_SECONDS:
            return
        self._last = now
        content = {"text/plain": line, "text/html": self._html(line, share)}
        if self._handle is None:
            self._handle = self._display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def _html(self, line: str, share: float) -> str:
        notes = "".join(f'<div style="opacity:.65">{_text(note)}</div>' for note in self._notes)
        return (
            f'<div><progress max="100" value="{100 * share:.0f}" style="width:16em;'
            f'vertical-align:middle"></progress> &nbsp;{_text(line)}</div>{notes}'
        )


def _text(text: str) -> str:
    return escape(printable(text, _LONGEST))
