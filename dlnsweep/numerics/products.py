"""Products of matrices in their full precision."""

from __future__ import annotations

from jaxtyping import Array, Float

from dlnsweep.numerics.lazy import jnp, lax


def multiply(left: Float[Array, "*p q"], right: Float[Array, "q *r"]) -> Float[Array, "..."]:
    """Multiply matrices or vectors in their full precision (never TF32 on a GPU or bf16 on a TPU).

    Args:
        left: A matrix, a stack of such, or a vector.
        right: A matrix or a vector.
    """
    return jnp.matmul(left, right, precision=lax.Precision.HIGHEST)
