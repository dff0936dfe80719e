"""The fast part of a flow, and how it is carried along exactly.

With R the learning rates of the entries, D their decays, o the outputs, l(o) the loss with Hessian
S in them and J the Jacobian of o, a step moves y = R^{-1/2} x by f, whose Jacobian is

    -(R D + M^T M + ...),    M = S^{1/2} J R^{1/2}    (K, N),

the Gauss-Newton part; left out is what is proportional to the residual, and slow. M^T M has the
non-zero eigenvalues of the tangent kernel M M^T, which is small: with M M^T u = a u, the rows
v = u^T M / a^{1/2} are orthonormal and M^T M = sum a v v^T. On their span the flow decays at
log-rates (`flow.logarithm`) of a + <v, R D v>, beside it at those of R D. For a length k of time

    Phi(k) g = V^T k / (1 + k fast) V g + Pi k phi(k slow) Pi g,    phi(z) = (1 - e^{-z}) / z,

with Pi = 1 - V^T V, is what a velocity g adds to y within k as its fast part fades: a linearly
implicit Euler step on the span, which extrapolation makes exact where k is long beside 1 / a (an
exponential one loses its order there), and an exponential step off it. So what has a decay and no
gradient, such as the weights off the subspace of the measurements, is exact to rounding however
long the step, and relative to itself.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Array, Float

from dlnsweep.jumps.flow import Vector, logarithm
from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.products import multiply

# Eigenvalues of the tangent kernel below this share of the largest are rounding.
_RANK = 1e-12


class Fast(NamedTuple):
    """The fast part at a point.

    Attributes:
        rows: V, orthonormal; zero where the tangent kernel has no rank.
        rates: What a step takes away along each row, a + <v, R D v>.
        fast: The rate of decay along each row.
        slow: That of each entry off their span.
    """

    rows: Float[Array, "K N"]
    rates: Float[Array, " K"]
    fast: Float[Array, " K"]
    slow: Vector


def fast_part(
    derivatives: Float[Array, "K N"], decays: Vector, weights: Float[Array, " p"]
) -> Fast:
    """Return the fast part.

    Args:
        derivatives: M.
        decays: The diagonal of R D.
        weights: See `flow.weights_of`.
    """
    values, vectors = jnp.linalg.eigh(multiply(derivatives, derivatives.T))
    known = values > _RANK * values[-1]
    roots = jnp.where(known, jnp.sqrt(jnp.where(known, values, 1.0)), jnp.inf)
    rows = multiply(vectors.T, derivatives) / roots[:, None]
    rates = jnp.where(known, values, 0.0) + multiply(rows**2, decays)
    return Fast(rows, rates, logarithm(rates, weights), logarithm(decays, weights))


def carried(fast: Fast, length: Float[Array, ""], velocity: Vector) -> Vector:
    """Return Phi(k) g.

    Args:
        fast: The fast part.
        length: k.
        velocity: g, in y.
    """
    return carried_within(fast, length, velocity) + carried_beside(fast, length, velocity)


def carried_within(fast: Fast, length: Float[Array, ""], velocity: Vector) -> Vector:
    """Return the part of Phi(k) g on the span; see `carried`."""
    along = multiply(fast.rows, velocity)
    return multiply(along * length / (1 + length * fast.fast), fast.rows)


def carried_beside(fast: Fast, length: Float[Array, ""], velocity: Vector) -> Vector:
    """Return the part of Phi(k) g off the span; see `carried`."""
    along = multiply(fast.rows, velocity)
    aside = (velocity - multiply(along, fast.rows)) * phi(fast.slow, length)
    # What the diagonal puts back into the span would be fast there.
    return aside - multiply(multiply(fast.rows, aside), fast.rows)


def phi(rate: Float[Array, "..."], length: Float[Array, ""]) -> Float[Array, "..."]:
    """Return (1 - e^{-k a}) / a."""
    product = rate * length
    safe = jnp.where(product > 0, product, 1.0)
    return length * jnp.where(product > 0, -jnp.expm1(-safe) / safe, 1.0)
