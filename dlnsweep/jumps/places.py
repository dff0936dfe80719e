"""Where a walk is looked at: the states before some of its jumps, kept while it goes on.

A place is a step. What is kept of it is the walk before the first jump that ends beyond it; a jump
is kept for one place, so that two places in one jump are two jumps. A jump that holds a run which
has arrived is none of them: what it is wrong by does not grow with its length.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

from dlnsweep.jumps.flow import TERMS
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.streams import purpose_key, uniform

# No walk comes to this step.
NOWHERE = 2**62
NOT_YET = -1.0
# Between two records that are closer there is no jump, whatever one costs: see `Motion.least`.
CLOSE = 20 * TERMS


class Places(NamedTuple):
    """Places of a walk, and what has been kept of them.

    Attributes:
        steps: The places, ascending.
        lengths: How long the jump of each is; 0 where there is none yet.
        before: The walks before them, with a leading axis of places.
        found: What was found of each jump when the run had ended; `NOT_YET` until then.
    """

    steps: Int[Array, " k"]
    lengths: Int[Array, " k"]
    before: Any
    found: Float[Array, " k"]


def begun(count: int, walk: Any) -> Places:
    """Return so many places of a walk, which are nowhere yet."""
    before = jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape), leaf.dtype), walk)
    found = jnp.full(count, NOT_YET, jnp.float64)
    return Places(jnp.full(count, NOWHERE, jnp.int64), jnp.zeros(count, jnp.int64), before, found)


def passed(places: Places, before: Any, after: Any) -> Places:
    """Return the places when a walk has gone on, by real steps or by a jump.

    Args:
        places: The places.
        before: The walk before.
        after: The walk after.
    """
    length = after.now - before.now
    jumped = (after.jumps > before.jumps) & (after.holds == before.holds)
    due = jumped & (places.lengths == 0) & (places.steps < after.now)
    first = due & (jnp.cumsum(due) == 1)

    def kept(old: Array, new: Array) -> Array:
        return jnp.where(first.reshape(-1, *[1] * new.ndim), new, old)

    return places._replace(
        lengths=jnp.where(first, length, places.lengths),
        before=jax.tree.map(kept, places.before, before._replace(places=None)),
    )


def drawn(seed: int, steps: np.ndarray, count: int) -> np.ndarray:
    """Return random places of a run, ascending: by a stream of its own, of the purpose "jumps".

    With the gaps between recorded steps that can have a jump put together, each as long as the
    others, there is one place in each of `count` equal parts, uniform in it.

    Args:
        seed: The run's.
        steps: The recorded steps, ascending.
        count: How many.
    """
    gaps = np.diff(steps)
    wide = np.flatnonzero(gaps >= CLOSE)
    if not len(wide):
        return np.full(count, NOWHERE)
    at = (np.arange(count) + shares(seed, count)) * len(wide) / count
    gap = wide[np.floor(at).astype(np.int64)]
    return steps[gap] + np.floor(at % 1 * gaps[gap]).astype(np.int64)


def shares(seed: int, count: int) -> np.ndarray:
    """Return uniform numbers in (0, 1) of a run, by that stream."""
    return np.asarray(_shares(count)(np.int64(seed)))


@cache
def _shares(count: int) -> Callable[[np.int64], Array]:
    # Compiled as a whole: one by one its operations would take a second.
    return jax.jit(lambda seed: uniform(purpose_key(seed, "jumps"), count))


def placed(walks: Any, steps: np.ndarray) -> Any:
    """Return a run's two walks, (..., 2), with places of the first, the finer one.

    Args:
        walks: The walks.
        steps: The places.
    """
    own = np.zeros(walks.places.steps.shape, np.int64)
    own[..., 0, :], own[..., 1, :] = steps, NOWHERE
    return walks._replace(places=walks.places._replace(steps=own))
