"""Timing of peers on a noisy machine: in turns, several rounds, medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np


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
