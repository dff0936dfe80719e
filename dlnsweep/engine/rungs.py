"""How finely runs are walked: anew, and more finely, until the estimate is small enough.

From trial to trial jumps may be wrong by thirty times less, and so is a run whose errors they make.
An estimate that does not shrink is made of rounding that the run magnifies: what two walks differ
by is then a draw, as is what one of them is wrong by, and one draw says little of another (of a
normal distribution it is less than a third of the other in one case of five). So where the last
trial, too, misses the tolerance, the estimate is the largest one since it first did not shrink.
Where two trials have the same estimate, to a hundredth, what they differ by was made before the
first jump, by the same real steps: one draw, which is not held against another, and so is infinite.
(One of 6e-6 was of a run wrong by 2e-5.)

Such runs may end anywhere: of one that leaves the edge of stability all walks were within 4e-4 of
each other, and steps in another order of additions 0.13 away. So an estimate that stays above 1e-4
and the tolerance says nothing, and is infinite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from dlnsweep.engine.bursts import contradicted
from dlnsweep.engine.trained import Trained, joined

# What a jump may be wrong by, over the sweep's tolerance, one trial of a run after the other.
_RUNGS = (1e-2, 3e-4, 1e-5)
_FINEST = 1e-13
# An estimate that shrinks by less from trial to trial does not follow the tolerance.
_SHRINKS = 3.0
# Two that are as near to each other are the same draw; of two draws one in a hundred is, by chance.
_SAME = 0.01
# Of a run that misses the tolerance nothing is known beyond.
_KNOWN = 1e-4
# What is said of a run whose walk has taken as many gradients as it may: a finer one takes more.
GAVE_UP = "gave up"


def tolerances(tolerance: float) -> list[float]:
    """Return what a jump may be wrong by, trial by trial, by the sweep's tolerance."""
    return [max(rung * tolerance, _FINEST) for rung in _RUNGS]


def why_not_kept(trained: Trained, run: int, tolerance: float, most: int) -> str:
    """Return why a run's jumps are not kept where it can be trained step by step; else nothing.

    Args:
        trained: Runs by jumps.
        run: The place of one of them.
        tolerance: The sweep's.
        most: How many gradients its walk could take.
    """
    error = float(trained.truncation_error[run])
    if trained.kernel_reason[run] == GAVE_UP:
        return f"a walk takes more than {most:,} gradients"
    if trained.status[run] == "diverged":
        return "it diverges"
    if not np.isfinite(error):
        bursts = np.nan if trained.burst_error is None else trained.burst_error[run]
        if bursts > tolerance:
            return contradicted(bursts)
        return "their estimate is infinite"
    return "" if error <= tolerance else f"their estimate is {error:.1e}"


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
    found: list[list[float]] = [[] for _ in taken]
    rungs = tolerances(tolerance)
    for number, rung in enumerate(rungs):
        part = train(taken, rung)
        for index, estimate in zip(taken, part.truncation_error, strict=True):
            found[index].append(float(estimate))
        last = number == len(rungs) - 1
        done = [last or why == GAVE_UP for why in part.kernel_reason]
        known = zip(part.truncation_error, done, strict=True)
        kept = [k for k, (error, is_done) in enumerate(known) if is_done or not error > tolerance]
        if kept:
            of_all = [_of_all(found[taken[k]], tolerance, rungs) for k in kept]
            some = joined([part], np.array(kept))
            parts.append(replace(some, truncation_error=np.array(of_all)))
            order += [taken[k] for k in kept]
        taken = [index for k, index in enumerate(taken) if k not in set(kept)]
        if not taken:
            break
    return joined(parts, np.argsort(np.array(order)))


def _of_all(estimates: Sequence[float], tolerance: float, rungs: Sequence[float]) -> float:
    """Return the estimate of the last trial of a run, by those of all and what jumps might do."""
    last = estimates[-1]
    if not last > tolerance:
        return last
    trials = zip(pairwise(estimates), pairwise(rungs), strict=False)
    # The finest trials may be alike because no finer one was asked for.
    for (before, after), (coarser, finer) in trials:
        if finer < coarser and np.isclose(before, after, rtol=_SAME, atol=0.0):
            return np.inf
    for number, (before, after) in enumerate(pairwise(estimates)):
        if not (np.isfinite(after) and _SHRINKS * after <= before):
            last = max(estimates[number:])
            break
    return last if last <= _KNOWN else np.inf
