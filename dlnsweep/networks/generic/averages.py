"""The exponential moving average of the weights, which is recorded in their place.

    average(0) = theta(0),    average(t + 1) = beta average(t) + (1 - beta) theta(t + 1)

with `training.ema_decay` beta. Training does not see it. In float32 what a sum rounds off is kept
beside it (`compensated.py`): with beta near 1 each change is a small share of the average.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Array, Float

from dlnsweep.numerics.compensated import add_all, nothing_lost
from dlnsweep.numerics.lazy import jax


class Average(NamedTuple):
    """An average of parameters.

    Attributes:
        params: The average, of the structure of the parameters that are trained.
        lost: What has been rounded off it so far, leaf by leaf; empty in float64.
    """

    params: Any
    lost: Any


def begun(params: Any) -> Average:
    """Return the average at step 0."""
    return Average(params, nothing_lost(tuple(jax.tree.leaves(params))))


def moved(average: Average, params: Any, decay: Float[Array, ""]) -> Average:
    """Return the average after a step.

    Args:
        average: The average before it.
        params: The parameters after it.
        decay: beta, float64.
    """
    share = 1 - decay
    changes = jax.tree.map(lambda p, a: share.astype(p.dtype) * (p - a), params, average.params)
    return Average(*add_all(average.params, average.lost, changes))
