"""Timing of peers on a noisy machine: in turns, several rounds, medians."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from dlnsweep.numerics.runtime import usable_cores


def timed(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def in_turns(peers: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Measure peers one after another, `rounds` times; return the median of each.

    Each is called once before, for compilation and first touches of memory. Noise from other
    programs then meets all peers alike.

    Args:
        peers: Functions that return a measured time.
        rounds: Number of rounds.
    """
    for measure in peers.values():
        measure()
    found: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, measure in peers.items():
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}


def steps_for(take: Callable[[int], float], seconds: float, begun: int, fewest: int = 20) -> int:
    """Return how many steps beyond a few take about so many seconds, and `fewest` at least.

    Args:
        take: From a number of steps to its seconds.
        seconds: What is wanted.
        begun: Steps that each call takes besides.
        fewest: What is tried first.
    """
    steps = fewest
    while True:
        # The first call of a length may compile.
        take(begun + steps)
        taken = take(begun + steps)
        if taken > seconds / 5:
            return max(fewest, int(steps * seconds / taken))
        steps *= 4


def busiest(call: Callable[[], object]) -> float:
    """Return the seconds on a core of the thread of this process that has most of a call.

    What the call would take at least by the clock, were no other program on the machine; where
    threads are not told apart (outside Linux), the seconds of all threads over the cores.
    """
    before, began = _threads(), time.process_time()
    call()
    after, seconds = _threads(), time.process_time() - began
    if not after:
        return seconds / len(usable_cores())
    return max(taken - before.get(name, 0) for name, taken in after.items()) / 1e9


def _threads() -> dict[str, int]:
    """Return the nanoseconds on a core of each thread of this process."""
    found = {}
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError):
            found[path.parent.name] = int(path.read_text().split()[0])
    return found


def read_bandwidth(size: int, precision: str, seconds: float = 0.3) -> float:
    """Return the bytes a second at which a matrix-vector product reads a size x size matrix.

    NumPy's BLAS uses every core that the process may use.
    """
    matrix, vector = np.ones((size, size), precision), np.ones(size, precision)
    return matrix.nbytes / _best(lambda: matrix @ vector, seconds)


def update_bandwidth(size: int, precision: str, seconds: float = 0.3) -> float:
    """Return the bytes a second, read and written, of scaling such a matrix in place."""
    matrix = np.ones((size, size), precision)
    return 2 * matrix.nbytes / _best(lambda: np.multiply(matrix, 1.0, out=matrix), seconds)


def _best(call: Callable[[], object], seconds: float) -> float:
    """Return the median time of a call in the best of five stretches."""
    best, end = float("inf"), time.perf_counter() + seconds
    for _ in range(5):
        times = [timed(call)]
        while sum(times) < seconds / 5:
            times.append(timed(call))
        best = min(best, statistics.median(times))
        if time.perf_counter() > 3 * seconds + end:
            break
    return best
