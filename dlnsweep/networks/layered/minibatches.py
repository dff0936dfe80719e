"""Minibatches on reduced samples: the exact stochastic gradient at the price of a small product.

With Y = U diag(S) V^T and X = X V V^T + E, a minibatch B of b of the n samples (drawn with
replacement, weight n / b) has the gradient of the loss's data fit with respect to the end-to-end
matrix

    (n/b) (W Y_B - X_B) Y_B^T = [Phi C - F] diag(S) U^T,
    Phi = (W Y - X) V,   C = (n/b) V_B^T V_B,   F = (n/b) E_B V_B,

with V_B the rows of V that belong to the minibatch. So a step of stochastic gradient descent is a
step of gradient descent with Phi C - F in place of Phi; their means are Phi, since V^T V = 1 and
E V = 0. (Derived.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

from dlnsweep.networks.layered.samples import Reduced, row_basis
from dlnsweep.numerics.lazy import jnp, lax
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.streams import threefry2x32


class Minibatches(NamedTuple):
    """What minibatches are drawn from.

    Attributes:
        rows: V.
        left_over: E^T, what of the signals no function of the measurements can fit linearly.
        key: The run's key for the purpose.
    """

    rows: Float[Array, "n r"]
    left_over: Float[Array, "n d"]
    key: Any


def minibatches_of(
    signals: Float[Array, "d n"], measurements: Float[Array, "m n"], reduced: Reduced, key: Any
) -> Minibatches:
    """Return what minibatches of some samples are drawn from.

    Args:
        signals: X.
        measurements: Y.
        reduced: The same, reduced.
        key: The run's key for the purpose.
    """
    rows = row_basis(measurements, reduced.inputs, reduced.range_basis)
    # What the signals have in directions that the measurements do not have is E's.
    return Minibatches(rows, (signals - multiply(reduced.targets, rows.T)).T, key)


def draw_samples(key: Any, step: Int[Array, ""], count: int, total: int) -> Int[Array, " count"]:
    """Return the samples of a step's minibatch: `count` of `total`, with replacement.

    Number i of step t depends on the key, i and t alone. (A sample is drawn more often than
    another by less than `total` in 2^32.)
    """
    wide = jnp.asarray(step, jnp.int64).astype(jnp.uint64)
    words = (wide >> 32).astype(jnp.uint32), wide.astype(jnp.uint32)
    places = jnp.arange(count, dtype=jnp.uint32)
    block = threefry2x32(threefry2x32(key, words), (places, jnp.zeros_like(places)))
    return ((block[0].astype(jnp.uint64) * total) >> 32).astype(jnp.int32)


def draw_in_epochs(key: Any, step: Int[Array, ""], count: int, total: int) -> Int[Array, " count"]:
    """Return the samples of a step's minibatch, each sample once an epoch of floor(n / b) steps.

    Each epoch has a permutation of its own, by sorting numbers of 63 bits (two are equal with a
    probability of n^2 / 2^64); its last n mod b samples are left out. It is made anew each step:
    that keeps the state of a run small, and takes about as long as to draw n numbers.
    """
    steps = total // count
    now = jnp.asarray(step, jnp.int64)
    epoch, place = now // steps, now % steps
    words = (epoch >> 32).astype(jnp.uint32), epoch.astype(jnp.uint32)
    places = jnp.arange(total, dtype=jnp.uint32)
    # Not the counters of `draw_samples`, whose second one is 0.
    block = threefry2x32(threefry2x32(key, words), (places, jnp.ones_like(places)))
    order = jnp.argsort((block[0].astype(jnp.int64) << 31) | (block[1] >> 1).astype(jnp.int64))
    return lax.dynamic_slice(order, (place * count,), (count,)).astype(jnp.int32)


def stochastic(
    minibatches: Minibatches, residual: Float[Array, "d r"], step: Int[Array, ""], size: int
) -> Float[Array, "d r"]:
    """Return Phi C - F, which stands in for the residual Phi in a stochastic step.

    Args:
        minibatches: What they are drawn from.
        residual: Phi.
        step: The number of the step.
        size: b, static.
    """
    total = minibatches.rows.shape[0]
    chosen = draw_samples(minibatches.key, step, size, total)
    rows = minibatches.rows[chosen]
    weight = total / size
    mixed = multiply(residual, multiply(rows.T, rows))
    return weight * (mixed - multiply(minibatches.left_over[chosen].T, rows))
