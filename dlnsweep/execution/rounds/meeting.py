"""Shards of a sweep with rounds meet after each: the next one follows from all runs of it.

They meet in the results folder alone. A shard whose share of a round is done waits while others are
at work, and ends where nobody is; the same command goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dlnsweep.errors import Interrupted
from dlnsweep.execution.heartbeat import runners
from dlnsweep.execution.preparing import Prepared

# A runner that was just begun, or that plans a round, gives no sign of life yet.
WAIT_SECONDS = 60.0
# Between two looks, the first ones after a moment: many rounds take less than a second.
_SHORTEST_SECONDS = 0.1
_LONGEST_SECONDS = 5.0
_STOP_SECONDS = 0.1


def met(
    prepared: Prepared,
    wait_seconds: float | None,
    tell: Callable[[str], None],
    should_stop: Callable[[], bool],
) -> bool:
    """Wait for the runs of a round that other shards compute.

    Args:
        prepared: The round, of which this shard has done its share.
        wait_seconds: For so long with nobody at work and no batch done; 60 by default, 0 to look
            once.
        tell: Told in a sentence that it waits.
        should_stop: Asked often.

    Returns:
        Whether all runs of the round are done.

    Raises:
        Interrupted: If asked to stop.
    """
    patience = WAIT_SECONDS if wait_seconds is None else wait_seconds
    store, left = prepared.store, set(prepared.elsewhere)
    pause, heard, told = _SHORTEST_SECONDS, time.monotonic(), False
    while left:
        before, left = len(left), left - store.done()
        if not left:
            break
        if patience <= 0:
            return False
        if len(left) < before or any(runner.is_alive for runner in runners(store)):
            heard = time.monotonic()
        elif time.monotonic() - heard >= patience:
            return False
        if not told:
            runs = sum(prepared.elsewhere[number] for number in left)
            tell(f"waiting for {runs} runs of this round, which other shards compute")
            told = True
        _sleep(pause, should_stop)
        pause = min(2 * pause, _LONGEST_SECONDS)
    return True


def _sleep(seconds: float, should_stop: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if should_stop():
            raise Interrupted(
                "stopped while waiting for runs of other shards; the same command goes on."
            )
        time.sleep(min(left, _STOP_SECONDS))
