"""How far the jumps of a reduced run go, trial by trial, and whether they pay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from dlnsweep.reduced.chain import SETTLED, Descent, settling_steps
from dlnsweep.reduced.jumping.gaps import divided
from dlnsweep.reduced.jumping.jumps import LEAST_A_STAGE, RISE, STEEPEST, Pace
from dlnsweep.reduced.jumping.may_jump import may_go_far
from dlnsweep.reduced.jumping.slow import Slow, fading, shortest_of, slow_of, tail_of
from dlnsweep.reduced.reduction import Rehearsal

# The share of the sweep's tolerance that jumps may be wrong by; the truncation has the rest.
SHARE = 0.25
# Records are wrong by about this times the cube of a jump's decay: 0.015 to 0.05 was seen.
_ERROR = 0.1
# Into how many each jump of the first trial is divided, one trial after the other; what is compared
# are neighbours. Jumps of half the length at most were the same ones where records are close, and
# two trials agreed on what is wrong: by 0.003 where 0.001 was allowed and 0.0002 estimated.
_PARTS = (1.0, 2.0, 5.0)
_LONGEST = 0.1
# A stride is this many times the decay of a jump, and no jump begins before so many steps.
_STRIDE, _FIRST = 1.0, 500
# The flow's three terms leave out a quarter of the third power of a rate a in each e-folding. What
# has not faded after t steps, beside a residual that is some decades less by then, fades at up to
# 13 / t: a jump begins where that is less than what is allowed (after 500 steps 6e-5 was seen,
# after 1000 8e-6).
_UNSETTLED = 13.0**4 / 4
# With momentum b the terms k U' and m U'' leave out k / 12 of that power and less, of Nesterov's
# 1.5 / (1 - b) of it: so many times what plain steps leave out, over b / (1 - b).
_BY_MOMENTUM = 6.0
# Real steps before a record fade what is fast by a share of what may be wrong, whose logarithm is
# this times that: jumps have left little. In each later trial more, over 1 / a.
_FADED, _MORE_SETTLING = 1 / 3, 2.0
# With momentum twice that: the last jumps are longer, and what fades more slowly than what
# oscillates has as many real steps of its own.
_SETTLING_BY_MOMENTUM = 2.0
# A run that has arrived may have so much of what jumps may be wrong by left to move.
_STILL = 0.5
# The last of three trials has no longer jumps where weights hardly move.
_ARRIVED = (1.0, 1.0, 0.0)
# What decays freely is followed exactly; what weight decay forces is wrong by a share of the square
# of its rate, for some ten e-foldings.
_LEFT_OUT = 10.0 / 3
# A stage multiplies with what was added since the jump began besides: 1 to 1.6 times a step.
_STAGE = 1.5
# Two trials shall take at most this share of what the steps take.
_MOST = 0.5


def paces(
    descent: Descent, rehearsal: Rehearsal, tolerance: float, steps: Sequence[int] | np.ndarray
) -> list[Pace]:
    """Return how far jumps go, trial by trial; nothing where real steps are as cheap.

    Args:
        descent: The run's numbers.
        rehearsal: Its path.
        tolerance: The sweep's.
        steps: The recorded steps.
    """
    decay, unit = float(np.max(-_slow(descent).logs)), 1 / (1 - descent.momentum)
    allowed = SHARE * tolerance
    settled = _settled(descent, rehearsal)
    if not np.isfinite(settled) or not _LEFT_OUT * (unit * decay) ** 2 <= allowed:
        return []
    unsettled = _UNSETTLED * (1 + _BY_MOMENTUM * (unit - 1))
    longest = min(_LONGEST, float(np.cbrt(allowed / _ERROR)))
    found = []
    for trial, parts in enumerate(_PARTS):
        first = max(settled, (1 + trial) * max(_FIRST * unit, np.cbrt(unsettled / allowed)))
        settling = -_FADED * np.log(allowed) + trial * _MORE_SETTLING
        settling *= _SETTLING_BY_MOMENTUM if descent.momentum else 1.0
        numbers = (first, _STRIDE * longest, longest, _ARRIVED[trial], settling, parts)
        numbers = (*numbers, rehearsal.arrived, _STILL * allowed)
        found.append(Pace(*map(np.float64, numbers)))
    return found if share_of_steps(found, descent, rehearsal, steps) < _MOST else []


def _slow(descent: Descent) -> Slow:
    decays = descent.rates * descent.weight_decay
    return slow_of(decays, descent.momentum, np, nesterov=descent.nesterov)


def _settled(descent: Descent, rehearsal: Rehearsal) -> float:
    """Return the step from which on no part is too steep, and what has alternated has faded.

    Not a moment between two that are too steep: what a jump passes over there could grow.
    """
    steep = np.flatnonzero(rehearsal.stiffness >= STEEPEST * descent.stable_below)
    left = int(steep[-1]) + 1 if len(steep) else 0
    if left == len(rehearsal.times):
        return np.inf
    stiffness = float(np.max(rehearsal.stiffness[left:]))
    fades = settling_steps(stiffness)
    if descent.momentum:
        # What is less steep than this does not oscillate.
        swings = (1 - np.sqrt(descent.momentum)) ** 2
        fades = np.log(SETTLED) / np.log1p(-_fading(descent, max(stiffness, swings)))
    return max(rehearsal.exact, float(np.ceil(rehearsal.times[left] + fades)))


def _fading(descent: Descent, stiffness: Any) -> Any:
    return fading(stiffness, descent.momentum, np, nesterov=descent.nesterov)


def share_of_steps(
    paces: Sequence[Pace],
    descent: Descent,
    rehearsal: Rehearsal,
    steps: Sequence[int] | np.ndarray,
) -> float:
    """Return what two trials take, over what all steps take.

    Args:
        paces: Those of the trials; without any all steps are taken.
        descent: The run's numbers.
        rehearsal: Its path.
        steps: The recorded steps.
    """
    if not paces:
        return 1.0
    ends = np.asarray(steps, dtype=float)
    stiffness = np.interp(ends, rehearsal.times[1:], rehearsal.stiffness[1:])
    arrived = rehearsal.arrived
    return sum(_cost(pace, descent, stiffness, ends, arrived) for pace in paces[:2]) / ends[-1]


def _cost(
    pace: Pace,
    descent: Descent,
    stiffness: Float[np.ndarray, " n"],
    steps: Float[np.ndarray, " n"],
    arrived: float,
) -> float:
    """Return what a run takes, in steps."""
    slow, shortest = _slow(descent), 0.0
    decay = float(np.max(-slow.logs))
    begun, gaps = steps[:-1], np.diff(steps)
    rises = stiffness[1:] > RISE * stiffness[:-1]
    stiffness = stiffness[:-1]
    fades = _fading(descent, stiffness)
    settling = np.minimum(gaps, pace.settling / fades)
    # A gap that begins before jumps do is taken step by step, however long it is.
    left = np.where(begun >= pace.first, gaps - settling, 0.0)
    # As if weights always moved.
    longest = np.minimum(pace.stride * np.maximum(begun, 1.0), pace.decay / max(decay, 1e-300))
    rate = tail = stiffness * np.min(slow.speeds)
    if descent.momentum:
        tail, shortest = tail_of(fades, pace.parts), shortest_of(slow, np)
    # Once nothing moves one jump says so, and those after it are passed over.
    moving = np.where(begun >= arrived, np.minimum(left, longest), left)
    far = may_go_far(int(steps[-1]), descent.targets.size)
    division = divided(moving, longest, rate, tail, decay, pace.parts, np, far=far)
    jumps = _STAGE * division.stages
    pays = (left > LEAST_A_STAGE * division.stages) & (division.shortest > shortest)
    jumping = np.where(pays, jumps + np.where(rises, left, 0.0), left)
    return float(np.sum(gaps - left + jumping))
