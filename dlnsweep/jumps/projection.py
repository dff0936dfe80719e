"""Symmetric systems, projected by Lanczos' method: their solution, and their least eigenvalue."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.jumps.flow import Vector
from dlnsweep.numerics.lazy import jnp, lax
from dlnsweep.numerics.products import multiply

# A vector of which no more is left, over the largest eigenvalue seen, is rounding: there is no
# further direction.
_NOTHING = 1e-8

Map = Callable[[Vector], Vector]


class Projected(NamedTuple):
    """A symmetric system A x = b with a preconditioner P in the span of P b, P A P b, ...

    Attributes:
        solution: x of the projected system.
        left: The size of the residual over that of b, as (r^T P r)^{1/2}.
        least: The least eigenvalue of the projected P A, which is not below that of P A.
        along: Its vector v, with v^T P^{-1} v = 1.
        dual: P^{-1} v.
    """

    solution: Vector
    left: Float[Array, ""]
    least: Float[Array, ""]
    along: Vector
    dual: Vector


def projected(product: Map, precondition: Map, right: Vector, rows: int) -> Projected:
    """Project a symmetric system by Lanczos' method (Golub and Van Loan, Matrix Computations, 10).

    With v_j the vectors of the basis and q_j = P^{-1} v_j, v_i^T q_j = 1 where i = j and else 0,

        b_{j+1} q_{j+1} = A v_j - a_j q_j - b_j q_{j-1},    a_j = v_j^T A v_j,

    each made orthogonal to all before it: rounding would bring back those that were found first.

    Args:
        product: Multiplies by A.
        precondition: Multiplies by P, positive definite.
        right: b.
        rows: How many products with A may be taken.
    """

    def unfinished(state: tuple[Array, ...]) -> Bool[Array, ""]:
        return (state[0] < rows) & state[1]

    def turned(duals: Array, k: Int[Array, ""]) -> tuple[Vector, Float[Array, ""]]:
        vector = precondition(duals[k])
        return vector, jnp.sqrt(jnp.maximum(jnp.sum(vector * duals[k]), 0.0))

    def once(state: tuple[Array, ...]) -> tuple[Array, ...]:
        k, _, basis, duals, own, beside = state
        vector, size = turned(duals, k)
        more = size > jnp.where(k == 0, 0.0, _NOTHING * jnp.max(jnp.abs(own)))
        safe = jnp.where(size > 0, size, 1.0)
        basis, duals = basis.at[k].set(vector / safe), duals.at[k].multiply(1 / safe)
        image = product(basis[k])
        own = own.at[k].set(jnp.where(more, jnp.sum(basis[k] * image), 0.0))
        for _ in range(2):
            image = image - multiply(multiply(basis, image), duals)
        duals, beside = duals.at[k + 1].set(image), beside.at[k].set(size)
        return jnp.where(more, k + 1, k), more, basis, duals, own, beside

    # What is in the state is computed once: of a right-hand side that is rounding XLA may else make
    # one vector to be multiplied and another to be kept.
    norm = jnp.linalg.norm(right)
    none = jnp.zeros((rows + 1, right.size), right.dtype)
    start = (
        jnp.zeros((), jnp.int64),
        jnp.ones((), bool),
        none,
        none.at[0].set(right / jnp.where(norm > 0, norm, 1.0)),
        jnp.zeros(rows, right.dtype),
        jnp.zeros(rows + 1, right.dtype),
    )
    k, _, basis, duals, own, beside = lax.while_loop(unfinished, once, start)
    known = jnp.arange(rows) < k
    coupled = jnp.where(known[1:], beside[1:-1], 0.0)
    # Rows beyond the last have an eigenvalue that is not the least.
    matrix = jnp.diag(jnp.where(known, own, jnp.max(jnp.abs(own)) + 1.0))
    values, vectors = jnp.linalg.eigh(matrix + jnp.diag(coupled, 1) + jnp.diag(coupled, -1))
    safe_values = jnp.where(values == 0, 1.0, values)
    entries = multiply(vectors, beside[0] * vectors[0] / safe_values)
    following = jnp.where(k < rows, beside[k], turned(duals, k)[1])
    residual = following * jnp.abs(entries[jnp.maximum(k - 1, 0)])
    combined = multiply(jnp.stack([norm * entries, vectors[:, 0]]), basis[:-1])
    dual = multiply(vectors[:, 0], duals[:-1])
    left = residual / jnp.where(beside[0] > 0, beside[0], 1.0)
    return Projected(combined[0], left, values[0], combined[1], dual)
