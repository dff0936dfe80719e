"""The largest eigenvalue of a symmetric tridiagonal matrix, and how its vector ends.

With diagonal a_1, ..., a_k and b_1, ..., b_{k-1} beside it, the pivots of x - T from the last row
to the first are

    e_k = x - a_k,   e_j = x - a_j - b_j^2 / e_{j+1}.

As many of them are negative as eigenvalues lie above x (Sylvester's law). Where e_1 is zero, x is
an eigenvalue, with the vector s_{j+1} / s_j = b_j / e_{j+1}; and the slope of e_1 is ||s||^2 /
s_1^2. So x is found by Newton steps of e_1 between bounds that the signs of the pivots move, halved
where a step does not shrink. In that direction, from small entries at the end to large ones, the
vector's last entry keeps its digits however small it is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.numerics.lazy import jnp, lax

# What an eigenvalue is found to, over the rounding of numbers of the matrix's size.
_ROUNDINGS = 4
# The smallest pivot over the matrix's size: far below rounding; its inverse's powers are finite.
_SMALLEST = 1e-20
# Halvings come down to rounding in 55, and Newton steps at most as often between them.
_MOST_TIMES = 120


class _Bounds(NamedTuple):
    """What changes from one try to the next.

    Attributes:
        low: A number below the eigenvalue, or it.
        high: One above.
        next: What is tried next.
        moved: How far that lies from the last.
        last: |s_k| / ||s|| at the last that was tried.
        times: How many were.
    """

    low: Float[Array, ""]
    high: Float[Array, ""]
    next: Float[Array, ""]
    moved: Float[Array, ""]
    last: Float[Array, ""]
    times: Int[Array, ""]


def largest_of_tridiagonal(
    diagonal: Float[Array, " most"],
    beside: Float[Array, " most"],
    size: Int[Array, ""],
    low: Float[Array, ""],
    high: Float[Array, ""],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return the largest eigenvalue of a tridiagonal matrix, and |s_k| / ||s|| of its vector s.

    The value is found to a few roundings of numbers as large as the matrix, by some ten products
    of as many numbers as it has rows; where several eigenvalues are so near, the vector is that of
    a value among them.

    Args:
        diagonal: a_1, ..., a_k, and more, which do not count; float64.
        beside: b_1, ..., b_{k-1}, not negative, and more.
        size: k.
        low: No larger than the eigenvalue; it is tried first.
        high: No smaller.
    """
    extent = jnp.maximum(jnp.abs(low), jnp.abs(high))
    extent = jnp.where(extent > 0, extent, 1.0)
    near = _ROUNDINGS * jnp.finfo(diagonal.dtype).eps * extent

    def pivots(x: Array) -> tuple[Array, Array, Array, Bool[Array, ""]]:
        """Return e_1, its slope, s_k / s_1 and whether all pivots are positive."""

        def before(j: Any, found: tuple[Array, ...]) -> tuple[Array, ...]:
            pivot, slope, ratio, positive = found
            row = size - 2 - j
            pivot = jnp.where(jnp.abs(pivot) < _SMALLEST * extent, _SMALLEST * extent, pivot)
            entry = beside[row] / pivot
            return (
                x - diagonal[row] - beside[row] * entry,
                1 + entry * entry * slope,
                ratio * entry,
                positive & (pivot > 0),
            )

        one = jnp.ones((), diagonal.dtype)
        begun = x - diagonal[size - 1], one, one, jnp.asarray(True)
        pivot, slope, ratio, positive = lax.fori_loop(0, size - 1, before, begun)
        return pivot, slope, ratio, positive & (pivot > 0)

    def narrower(bounds: _Bounds) -> _Bounds:
        x = bounds.next
        pivot, slope, ratio, positive = pivots(x)
        low = jnp.where(positive, bounds.low, jnp.maximum(bounds.low, x))
        high = jnp.where(positive, jnp.minimum(bounds.high, x), bounds.high)
        step = -pivot / slope
        # A step within rounding goes so far that the other bound comes near, too.
        step = jnp.where(jnp.abs(step) < near, jnp.where(positive, -near, near), step)
        inside = (x + step > low) & (x + step < high)
        # Near a pole of e_1 steps are small and grow.
        shrinks = jnp.abs(step) <= bounds.moved / 2
        half = (low + high) / 2
        follows = jnp.where(inside & shrinks, x + step, half)
        moved = jnp.where(inside & shrinks, jnp.abs(step), (high - low) / 2)
        last = jnp.abs(ratio) / jnp.sqrt(slope)
        return _Bounds(low, high, follows, moved, last, bounds.times + 1)

    def wide(bounds: _Bounds) -> Bool[Array, ""]:
        tried = bounds.times > 0
        return ~tried | ((bounds.high - bounds.low > 2 * near) & (bounds.times < _MOST_TIMES))

    begun = _Bounds(low, high, low, high - low, jnp.zeros_like(low), jnp.zeros((), jnp.int32))
    ended = lax.while_loop(wide, narrower, begun)
    return (ended.low + ended.high) / 2, ended.last
