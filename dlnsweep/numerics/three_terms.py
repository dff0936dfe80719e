"""The largest eigenvalue of a symmetric matrix, by products with it and three vectors.

Lanczos' recurrence (Paige 1972, J. Inst. Maths Applics 10, in the form that is stable): with v_1 of
length one, and v_0 = 0,

    u = A v_j - b_{j-1} v_{j-1},   a_j = v_j . u,   b_j v_{j+1} = u - a_j v_j,

which takes A to the tridiagonal matrix T of a on the diagonal and b beside it. If T s = theta s and
||s|| = 1, the vector y = sum_j s_j v_j has the residual ||A y - theta y|| = b_k |s_k|. No vector
is kept and none made orthogonal to those before the last two: rounding turns a new one towards
eigenvectors, but only once those are found to half of all digits, and an eigenvalue of T with a
small b_k |s_k| lies that near one of A's nevertheless (Paige 1980, Linear Algebra Appl. 34). What
this costs, another copy of an eigenvalue that has been found, comes after the largest is found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.numerics.lazy import jnp, lax
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.tridiagonal import largest_of_tridiagonal

# The residual that is asked for, over that which is allowed: two eigenvalues that are g apart have
# mixtures that are nearly all of the smaller, with a share r of the larger and a residual of g r.
# One within the tolerance could so hide that the largest lies beyond it.
_MARGIN = 0.01
# How much nearer a product brings the end, at most, as is supposed: when to look again.
_NEARER = 10.0
# Beyond so many products as a share of those that were taken.
_LATER = 16


class _Chain(NamedTuple):
    """What changes from product to product.

    Attributes:
        before: v_k.
        vector: v_{k+1}.
        diagonal: a_1, ..., a_k, then zeros; float64, as all numbers are.
        beside: b_1, ..., b_k, then zeros.
        products: k.
        length: b_k.
        known: The largest size of a Rayleigh quotient that has been seen.
        low: No eigenvalue of T that is its largest lies below this,
        high: nor above this: the largest end of one of Gershgorin's circles.
        value: The largest eigenvalue of T when last looked at.
        residual: Its b_k |s_k| then, over what was known of the matrix's size.
        due: At how many products it is looked at next.
    """

    before: Float[Array, " size"]
    vector: Float[Array, " size"]
    diagonal: Float[Array, " most"]
    beside: Float[Array, " most"]
    products: Int[Array, ""]
    length: Float[Array, ""]
    known: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]
    value: Float[Array, ""]
    residual: Float[Array, ""]
    due: Int[Array, ""]


def largest_eigenvalue(
    apply: Callable[[Float[Array, " size"]], Float[Array, " size"]],
    start: Float[Array, " size"],
    tolerance: float,
    most: int,
) -> Float[Array, ""]:
    """Return the algebraically largest eigenvalue of a symmetric matrix, in the start's precision.

    NaN where `most` products do not reach the tolerance, or the matrix is not finite.

    Args:
        apply: v -> A v.
        start: v_1, of length one, which must have a part along the eigenvector.
        tolerance: The residual that is allowed, over the largest eigenvalue's size.
        most: How many products are taken at most.
    """
    dtype, asked = start.dtype, _MARGIN * tolerance

    def extended(chain: _Chain, image: Array) -> _Chain:
        """Return the chain after one more product, of which the image is that in units."""
        k, vector = chain.products, chain.vector
        rest = image - chain.length.astype(dtype) * chain.before
        within = multiply(vector, rest)
        rest = rest - within * vector
        length = jnp.linalg.norm(rest)
        vector, before = rest / jnp.where(length > 0, length, 1.0), vector
        within, length = within.astype(jnp.float64), length.astype(jnp.float64)
        return chain._replace(
            before=before,
            vector=vector,
            diagonal=chain.diagonal.at[k].set(within),
            beside=chain.beside.at[k].set(length),
            products=k + 1,
            length=length,
            known=jnp.maximum(chain.known, jnp.abs(within)),
            low=jnp.maximum(chain.low, within),
            high=jnp.maximum(chain.high, within + chain.length + length),
        )

    def on(chain: _Chain) -> Bool[Array, ""]:
        """Return whether the next product comes before the next look."""
        # Nothing is left where the vectors fill a space that the matrix does not leave.
        left = chain.length > asked * chain.known
        return left & (chain.products < chain.due)

    def looked_at(chain: _Chain) -> _Chain:
        k = chain.products
        value, last = largest_of_tridiagonal(chain.diagonal, chain.beside, k, chain.low, chain.high)
        known = jnp.maximum(chain.known, jnp.abs(value))
        residual = chain.length * last / jnp.where(known > 0, known, 1.0)
        away = jnp.log(residual / asked) / jnp.log(_NEARER)
        wait = jnp.maximum(1, jnp.maximum(k // _LATER, away.astype(k.dtype)))
        return chain._replace(
            low=value,
            known=known,
            value=value,
            residual=residual,
            due=jnp.minimum(k + wait, most),
        )

    def further(chain: _Chain) -> _Chain:
        following = lax.while_loop(
            on, lambda chain: extended(chain, factor * apply(chain.vector)), chain
        )
        return looked_at(following)

    def unfinished(chain: _Chain) -> Bool[Array, ""]:
        return (chain.residual > asked) & (chain.products < most)

    image = apply(start)
    # In units of its size: squares of tiny numbers would underflow.
    unit = jnp.maximum(jnp.max(jnp.abs(image)), 4 * jnp.finfo(dtype).tiny)
    factor = 1 / unit
    none, zero = jnp.zeros(most, jnp.float64), jnp.zeros((), jnp.float64)
    begun = _Chain(
        before=jnp.zeros_like(start),
        vector=start,
        diagonal=none,
        beside=none,
        products=jnp.zeros((), jnp.int64),
        length=zero,
        known=zero,
        low=zero - jnp.inf,
        high=zero - jnp.inf,
        value=zero,
        residual=zero + jnp.inf,
        due=jnp.full((), min(_LATER, most), jnp.int64),
    )
    ended = lax.while_loop(unfinished, further, extended(begun, factor * image))
    found = jnp.where(ended.residual <= tolerance, ended.value, jnp.nan)
    return found.astype(dtype) * unit
