"""What counts as a run that has diverged: one rule for all ways of descent.

A run has diverged at the first step at which ||Phi||, the norm of what training makes small, is
not finite or exceeds F max(||Phi(0)||, ||X||): F times the larger of its value at step 0 and of
the zero network's. F is `training.divergence_factor`. The second term is for runs that begin near
a solution, where a multiple of the start would be no blow-up at all.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Array, Float

from dlnsweep.numerics.lazy import jnp
from dlnsweep.settings.sizes import SIZES


def squared_limit(
    first: Any, zero: Any, factor: Any, dtype: Any, xp: Any = jnp, inputs: Any = 1.0
) -> Float[Array, ""]:
    """Return the largest squared error of a run that has not diverged; finite.

    What exceeds it, infinity and NaN included, fails `squared <= limit`. NaN, which everything
    fails, where the data are of a size whose squares the precision cannot hold: such a run ends at
    step 0, before it has recorded anything.

    Args:
        first: ||Phi(0)||^2.
        zero: ||X||^2, the squared error of the zero network.
        factor: F.
        dtype: The precision of training, in which the squares are compared.
        xp: NumPy, or JAX's.
        inputs: The size of what the network is given, if it is given anything.
    """
    # The limit is made in float64: its own square may be beyond the precision of training.
    larger = xp.maximum(xp.asarray(first, xp.float64), xp.asarray(zero, xp.float64))
    root = xp.asarray(factor, xp.float64) * xp.sqrt(larger)
    largest = float(xp.finfo(dtype).max)
    # A start that is not finite has diverged at step 0, whatever the limit.
    fits = root < largest**0.5
    limit = xp.where(fits, xp.where(fits, root, 0.0) ** 2, largest)
    least, most = SIZES[xp.dtype(dtype).name]
    sizes = xp.stack([xp.sqrt(xp.asarray(zero, xp.float64)), xp.asarray(inputs, xp.float64)])
    fit = xp.all((sizes >= least) & (sizes <= most))
    return xp.where(fit, limit, xp.nan).astype(dtype)
