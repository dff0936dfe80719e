"""Where a run has arrived: from there on nothing moves but what only decays.

With weight decay a run ends at a stationary point, and with the slowest decay rho = 1 - min eta_i
lambda what is left of its way there fades by rho a step or faster: if n steps have moved it by d,
it will still move by d rho^n / (1 - rho^n), which is less than d / t where n steps are t time
constants, rho^n = e^-t. A truncated chain follows no gradient, and may drift on for ever: what is
held is that by which it moves in a time constant. Without weight decay a run ends where the
residual is rounding, and what moves it is nothing then.

A saddle looks the same where what will leave it is less than what is looked at. Off a minimum whose
residual is held by weight decay, c ||Phi|| ~ lambda, a part of which both layers of two are small
grows by eta (c s - lambda) a step, s the largest singular value of Phi Y^T. So s is looked at, too.
Of L layers a part of which all are as small as epsilon grows by eta (c s epsilon^(L-2) - lambda) a
step: what is less than what is looked at decays where that is negative for the largest of those
epsilon, and what is more was seen to move. Where some of its layers are larger, these are held by
nothing and only decay, which was seen, too. Other saddles than these have a residual that moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlnsweep.reduced.chain import Descent, Matrix, padded

# What a run still moves in a time constant, over its size, where it has arrived. Records are right
# to 1e-9 and less.
LEFT = 1e-10
# So many time constants count at most: in more, what leaves a saddle would be seen too late.
_MOST_TIME = 3.0
# The residual may still change by this share of itself; where weights have arrived it is what long
# steps of a pilot have left of what is fast.
_STILL = 1e-4
# Below this share of the targets a residual is rounding.
_ROUNDING = 1e-13
# Movements are compared over this share of the slowest decay's time at least.
_LEAST_TIME = 0.3
# What holds the residual is lambda to this share.
_HELD = 1e-3


@dataclass(frozen=True)
class Place:
    """Where a run was.

    Attributes:
        time: After so many steps.
        corrections: D_1, ..., D_L.
        residual_norm: ||Phi||.
    """

    time: float
    corrections: Sequence[Matrix]
    residual_norm: float


def has_arrived(descent: Descent, before: Place, now: Place, residual: Matrix) -> bool:
    """Return whether a run moves no more.

    Args:
        descent: Its numbers.
        before: An earlier place.
        now: The present one.
        residual: Phi there, in coordinates of all outputs.
    """
    targets = float(np.linalg.norm(descent.targets))
    if not descent.weight_decay:
        return now.residual_norm <= _ROUNDING * targets
    slowest = float(np.min(descent.rates)) * descent.weight_decay / (1 - descent.momentum)
    passed = slowest * (now.time - before.time)
    if not passed >= _LEAST_TIME:
        return False
    change = abs(now.residual_norm - before.residual_norm)
    if not change <= _STILL * now.residual_norm + _ROUNDING * targets:
        return False
    pull = float(np.linalg.norm(descent.data_fit_scale * residual * descent.inputs, 2))
    size = np.sqrt(sum(float(np.sum(matrix**2)) for matrix in now.corrections))
    depth = len(now.corrections)
    seen = LEFT * min(passed, _MOST_TIME)
    growth = pull * (seen * size) ** (depth - 2) if depth > 1 else 0.0
    if not growth <= (1 + _HELD) * descent.weight_decay:
        return False
    return moved(before.corrections, now.corrections) <= seen


def moved(before: Sequence[Matrix], now: Sequence[Matrix]) -> float:
    """Return by what share of their size all corrections together have moved."""
    apart = [
        np.sum((new - padded(old, *new.shape)) ** 2) for old, new in zip(before, now, strict=True)
    ]
    size = sum(float(np.sum(new**2)) for new in now)
    return float(np.sqrt(sum(apart) / size)) if size else 0.0
