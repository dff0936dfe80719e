"""Singular values: of thin matrices exactly, of products of large ones by Lanczos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float

from dlnsweep.numerics.lazy import jnp, lax
from dlnsweep.numerics.products import multiply

# Largest singular values of Gaussian matrices are found to some 1e-6 by so many steps, those of
# matrices with fewer rows or columns exactly.
LANCZOS_STEPS = 64


def extreme_values(matrix: Float[Array, "p q"]) -> Float[Array, " 2"]:
    """Return the smallest and the largest of the q singular values of a tall matrix.

    From the triangular factor, which keeps small values that a Gram matrix would lose. A matrix
    with fewer rows than columns has a singular value of zero.
    """
    values = jnp.linalg.svd(jnp.linalg.qr(matrix, mode="r"), compute_uv=False)
    smallest = values[-1] if matrix.shape[0] >= matrix.shape[1] else jnp.zeros_like(values[0])
    return jnp.stack([smallest, values[0]])


def largest_value(
    apply: Callable[[Float[Array, "q 1"]], Float[Array, "q 1"]], size: int, dtype: Any
) -> Float[Array, ""]:
    """Return the largest singular value of M from `apply`, v -> M^T M v.

    Lanczos with full reorthogonalisation from a fixed vector, at most LANCZOS_STEPS steps: a lower
    bound, and exact where the size is no larger than that.

    Args:
        apply: Takes and returns a column of length `size`.
        size: The number of columns of M.
        dtype: The precision.
    """
    steps = min(size, LANCZOS_STEPS)
    # Irrational phases: no structured matrix has this vector among its invariant subspaces.
    start = jnp.cos(jnp.arange(size, dtype=dtype) ** 2 * (2**0.5) + 1.0)
    # A remainder below this share of the operator is rounding: the space is complete.
    tiny = 100 * jnp.finfo(dtype).eps

    def step(k: Any, carry: Any) -> Any:
        basis, images, vector = carry
        basis = basis.at[k].set(vector)
        image = apply(vector[:, None])[:, 0]
        images = images.at[k].set(image)
        rest = image
        for _ in range(2):
            rest = rest - multiply(multiply(basis, rest), basis)
        length, scale = jnp.linalg.norm(rest), jnp.linalg.norm(image)
        kept = length > tiny * scale
        following = jnp.where(kept, rest / jnp.where(kept, length, 1.0), 0.0)
        return basis, images, following

    blank = jnp.zeros((steps, size), dtype)
    carry = (blank, blank, start / jnp.linalg.norm(start))
    basis, images, _ = lax.fori_loop(0, steps, step, carry)
    small = multiply(basis, images.T)
    finite = jnp.all(jnp.isfinite(small))
    small = jnp.where(finite, small, 0.0)
    largest = jnp.linalg.eigvalsh((small + small.T) / 2)[-1]
    return jnp.where(finite, jnp.sqrt(jnp.maximum(largest, 0.0)), jnp.nan)


def guarded(
    decompose: Callable[[Float[Array, "p q"]], Float[Array, "*k"]], matrix: Float[Array, "p q"]
) -> Float[Array, "*k"]:
    """Apply a decomposition to a finite matrix; of any other return NaN.

    A run that has diverged is still recorded; LAPACK would print complaints about its matrices.
    """
    finite = jnp.all(jnp.isfinite(matrix))
    return jnp.where(finite, decompose(jnp.where(finite, matrix, 0.0)), jnp.nan)


def operator_norm(matrix: Float[Array, "p q"]) -> Float[Array, ""]:
    """Return the largest singular value, from the smaller Gram matrix.

    A Gram matrix loses small singular values but not the largest one; the matrix is scaled to
    entries of at most 1 first, so that squares neither overflow nor underflow.
    """
    if 0 in matrix.shape:
        return jnp.zeros((), matrix.dtype)
    scale = jnp.max(jnp.abs(matrix))
    scaled = matrix / jnp.where(scale > 0, scale, 1.0)
    if matrix.shape[0] < matrix.shape[1]:
        scaled = scaled.T
    largest = guarded(jnp.linalg.eigvalsh, multiply(scaled.T, scaled))[-1]
    return scale * jnp.sqrt(jnp.maximum(largest, 0.0))
