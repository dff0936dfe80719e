"""Jumps that are passed over because the run has arrived: nothing moves but what only decays.

The pilot says from which step on that is so (`reduced/arrival.py`). A truncated chain, whose steps
follow the gradient of no loss, may drift on there, which the run of the network does not: by a
share of 1e-6 in each e-folding, and less in each later one, was seen at a tolerance of 1e-4. So it
is held where it is, if what it still moves by is no more than jumps may be wrong by: with the
slowest decay rho a jump of h steps which moves the D_i by m leaves them m / (1 - rho^h) to move.
Without weight decay the residual is rounding by then.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Array, Float, Int

from dlnsweep.numerics.lazy import jnp
from dlnsweep.reduced.jumping.flow import Chained, Layers


def passed_over(
    chain: Chained,
    before: Layers,
    made: Layers,
    length: Float[Array, ""],
    left: Int[Array, ""],
    may_move: Any,
) -> Int[Array, ""]:
    """Return how many of the jumps that are left are passed over: all or none.

    Args:
        chain: What gradients read.
        before: The D_i before a jump.
        made: The D_i after it.
        length: Its steps.
        left: How many as long ones are left.
        may_move: What is left to move, over the size of all, where the pilot had arrived before
            them; negative where it had not.
    """
    apart = sum(jnp.sum((new - old) ** 2) for old, new in zip(before, made, strict=True))
    size = sum(jnp.sum(new**2) for new in made)
    slowest = jnp.min(-chain.logs)
    lost = -jnp.expm1(-slowest * length)
    ends = (slowest <= 0) | (apart <= (may_move * lost) ** 2 * size)
    return jnp.where((may_move >= 0) & ends & (left > 0), left, jnp.zeros_like(left))
