"""How finely runs are walked: anew, and more finely, until the estimate is small enough."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlnsweep.engine.trained import Trained, joined

# What a jump may be wrong by, over the sweep's tolerance, one trial of a run after the other.
_RUNGS = (1e-2, 3e-4, 1e-5)
_FINEST = 1e-13


def tolerances(tolerance: float) -> list[float]:
    """Return what a jump may be wrong by, trial by trial, by the sweep's tolerance."""
    return [max(rung * tolerance, _FINEST) for rung in _RUNGS]


def train_jumping(
    count: int, tolerance: float, train: Callable[[list[int], float], Trained]
) -> Trained:
    """Train runs until their estimates keep the tolerance, at most as often as there are rungs.

    Args:
        count: How many runs there are.
        tolerance: The sweep's.
        train: Takes the places of some of them and what a jump may be wrong by.
    """
    taken, parts, order = list(range(count)), [], []
    rungs = tolerances(tolerance)
    for number, rung in enumerate(rungs):
        part = train(taken, rung)
        last = number == len(rungs) - 1
        kept = [k for k, e in enumerate(part.truncation_error) if last or not e > tolerance]
        if kept:
            parts.append(joined([part], np.array(kept)))
            order += [taken[k] for k in kept]
        taken = [index for k, index in enumerate(taken) if k not in set(kept)]
        if not taken:
            break
    return joined(parts, np.argsort(np.array(order)))
