"""Ctrl-C and its like as a wish to stop, granted at the next segment or step of a pilot."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from dlnsweep.errors import Interrupted

# What terminals, users and schedulers send before they kill: SIGUSR1, SIGUSR2 and SIGXCPU are
# early warnings of SLURM and its like, SIGHUP is a terminal that was closed.
POLITE = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU),
)
# So many wishes, the last of them a Ctrl-C, end at once.
AT_ONCE = 3
# Seconds in which a run that is being prepared may be finished, or all of that is lost.
PATIENCE = 10.0
FIRST = "stopping: every batch keeps how far it is"
AGAIN = "still saving how far each batch is; a third Ctrl-C ends at once, without"


@contextmanager
def handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Have a handler get every polite signal for the time of the block.

    A signal that was ignored when this process was started (`nohup`) stays so; but not Ctrl-C,
    which shells ignore for what they start in the background, nor SIGTERM. Signals reach the main
    thread only: in another one nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}
    for number in POLITE:
        now = signal.getsignal(number)
        # None: set by something other than Python, whose matter it is.
        spared = now == signal.SIG_IGN and number not in (signal.SIGINT, signal.SIGTERM)
        if now is not None and not spared:
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def stoppable(on_wish: Callable[[int], None] = lambda _: None) -> Iterator[Any]:
    """Turn polite signals into a wish to stop.

    A second one changes nothing, so that whoever signals twice (a scheduler, a shell that is
    closed) loses nothing; from the third on a Ctrl-C is a KeyboardInterrupt.

    Args:
        on_wish: Called in the signal handler, with how many wishes there were.

    Yields:
        A function that tells whether there was a wish.
    """
    wishes: list[int] = []

    def wish(number: int, _frame: Any) -> None:
        wishes.append(number)
        if len(wishes) >= AT_ONCE and number == signal.SIGINT:
            raise KeyboardInterrupt
        on_wish(len(wishes))

    with handled(wish):
        yield lambda: bool(wishes)


@contextmanager
def delayed(should_stop: Callable[[], bool]) -> Iterator[Callable[[], bool]]:
    """Have the signals that would end a Python program do so after what is running is kept.

    Only those that nobody handles: what the program itself does on a signal is its own matter.

    Yields:
        What to ask in the place of `should_stop`.
    """
    wishes: list[int] = []

    def wish(number: int, _frame: Any) -> None:
        wishes.append(number)
        if len(wishes) >= AT_ONCE and number == signal.SIGINT:
            raise KeyboardInterrupt
        if len(wishes) > 1:
            write_error(AGAIN)

    free = (signal.SIG_DFL, signal.default_int_handler)
    main = threading.current_thread() is threading.main_thread()
    ours = [n for n in POLITE if signal.getsignal(n) in free] if main else []
    before = {number: signal.signal(number, wish) for number in ours}
    try:
        yield lambda: bool(wishes) or should_stop()
    except Interrupted:
        if not wishes:
            raise
    finally:
        for number, old in before.items():
            signal.signal(number, old)
    if wishes:
        if wishes[0] != signal.SIGINT:
            os.kill(os.getpid(), wishes[0])
        raise KeyboardInterrupt


_asked: ContextVar[Callable[[], bool]] = ContextVar("_asked", default=lambda: False)


@contextmanager
def asking(should_stop: Callable[[], bool], seconds: float = PATIENCE) -> Iterator[None]:
    """Have `end_if_wished` ask this, wherever it is called inside: deep in long arithmetic.

    Args:
        should_stop: Tells whether there is a wish.
        seconds: So long after a wish what is going on may come to its own end, of which more is
            kept.
    """
    since: list[float] = []

    def overdue() -> bool:
        if should_stop() and not since:
            since.append(time.monotonic())
        return bool(since) and time.monotonic() - since[0] >= seconds

    token = _asked.set(overdue)
    try:
        yield
    finally:
        _asked.reset(token)


def end_if_wished() -> None:
    """End what is going on, where that was wished some time ago; see `asking`.

    Raises:
        Interrupted: If it was.
    """
    if _asked.get()():
        raise Interrupted("stopped")


def write_error(sentence: str) -> None:
    """Write to the standard error from a signal handler, where `print` is not safe."""
    # Where it was closed at the start, its number may have been given to any file since.
    if sys.__stderr__ is None:
        return
    free = select.poll()
    free.register(2, select.POLLOUT)
    with suppress(OSError):
        # Nor does a reader that takes nothing hold up the signal.
        if free.poll(0):
            os.write(2, f"dlnsweep: {sentence}\n".encode())
