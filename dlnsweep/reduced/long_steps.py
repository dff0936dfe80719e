"""Steps along the flow of a chain of more stages than there are tables for.

They are made by the implicit method of `implicit.py`, whatever number of stages they would have;
where that does not converge, by two of half the length. Chains with very many outputs times samples
take the stages one after another, by the recurrence of the method.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnsweep.machine.stopping import end_if_wished
from dlnsweep.reduced.implicit import LARGEST, advanced
from dlnsweep.reduced.tableau import MOST_TABLED, recurrence


def long_step(chain: Any, length: float, stages: int) -> list[float]:
    """Make a step of so many stages; return ||Phi|| before it, or at some stages.

    Args:
        chain: The chain; see `chain.py`.
        length: The length of the step.
        stages: How many the stabilised method would have.
    """
    descent = chain.descent
    if descent.targets.size > LARGEST:
        return _recur(chain, length, stages)
    end_if_wished()
    before = float(np.linalg.norm(chain.activations()[-1] - descent.targets))
    if not np.isfinite(before):
        # What has diverged stays what it is, by no step and by no number of shorter ones.
        chain.residual_norm = before
        return [before]
    rates, fit = descent.speeds * descent.rates, descent.data_fit_scale
    made = advanced(chain.layers, length, rates, descent.weight_decay, fit)
    if made is not None:
        chain.go_to(*made)
        chain.residual_norm = before
        return [before]
    if stages <= 2 * MOST_TABLED:
        return _recur(chain, length, stages)
    # Stages go by the square root of the length.
    fewer = int(np.ceil(stages / np.sqrt(2)))
    return long_step(chain, length / 2, fewer) + long_step(chain, length / 2, fewer)


def _recur(chain: Any, length: float, stages: int) -> list[float]:
    """Make a step of `tableau.recurrence`, of any number of stages; return ||Phi|| at them."""
    w0, w1, values, b = recurrence(stages)
    start, norms = [*chain.corrections, chain.scales], list[float]()
    before, now = start, start
    first: list[np.ndarray] = []
    speeds = [*chain.descent.speeds, chain.descent.speeds]
    for j in range(1, stages + 1):
        end_if_wished()
        changes = [
            length * speed * change for speed, change in zip(speeds, chain.velocity(), strict=True)
        ]
        norms.append(chain.residual_norm)
        if j == 1:
            first = changes
            new = [y + b[1] * w1 * v for y, v in zip(start, first, strict=True)]
        else:
            mu, nu, rate = 2 * w0 * b[j] / b[j - 1], -b[j] / b[j - 2], 2 * w1 * b[j] / b[j - 1]
            last = (b[j - 1] * values[j - 1] - 1) * rate
            parts = zip(start, now, before, changes, first, strict=True)
            new = [
                (1 - mu - nu) * y0 + mu * y + nu * y2 + rate * v + last * v0
                for y0, y, y2, v, v0 in parts
            ]
        before, now = now, new
        chain.go_to(now[:-1], now[-1])
    return norms
