"""Ctrl-C and SIGTERM as a wish to stop at the next segment."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stoppable() -> Iterator[Any]:
    """Turn Ctrl-C and SIGTERM into a wish to stop; a second Ctrl-C stops at once."""
    wishes: list[int] = []

    def wish(number: int, _frame: Any) -> None:
        if wishes:
            raise KeyboardInterrupt
        wishes.append(number)

    before = {number: signal.signal(number, wish) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(wishes)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
