"""The largest eigenvalues of a symmetric matrix that is known by its products with vectors.

Lanczos' method in the form with thick restarts (Wu and Simon 2000, SIAM J. Matrix Anal. Appl. 22),
with as many start vectors as eigenvalues are asked for, one product after another (Ruhe 1979, Math.
Comp. 33): so eigenvalues that come several times are found as often. Every new vector is made
orthogonal to those before it, to which alone a product is coupled but for rounding and restarts,
and then to all that are kept, a second time only where that took much off; what the matrix makes of
each is kept beside it, so that Ritz pairs and their residuals ||A v - theta v|| are those of the
products themselves. One eigenvalue alone needs none of that on a CPU: three_terms.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.three_terms import largest_eigenvalue

# Vectors that are kept beyond those asked for at a restart, and products from one to the next.
_SPARE = 6
_PRODUCTS = 12
# How much of a vector must be left when it is made orthogonal, or it is once more: what rounding
# leaves of the others is then at most twice that of numbers of its size.
_LEFT = 0.5
# The most products of one call, about: leading eigenvalues of training take 20 to 200.
MOST_PRODUCTS = 2000
# The largest residual beside the largest Ritz value's size, by the precision: an eigenvalue lies
# within that distance of each value that is returned.
TOLERANCES = {"float64": 1e-10, "float32": 1e-4}


class _Search(NamedTuple):
    """What changes from restart to restart.

    Attributes:
        basis: Orthonormal vectors as rows, then those that wait for their product; zeros where
            there is none.
        images: What the matrix makes of them.
        values: The largest Ritz values, in descending order.
        residual: The largest of their residuals, beside the largest Ritz value's size.
        products: How many products have been taken.
    """

    basis: Float[Array, "M size"]
    images: Float[Array, "rows size"]
    values: Float[Array, " count"]
    residual: Float[Array, ""]
    products: Int[Array, ""]


def generic_vectors(count: int, size: int) -> Float[Array, "count size"]:
    """Return fixed vectors with entries cos(sqrt(2) (k + 1) i^2 + k + 1), float64.

    Irrational phases: no permutation or change of signs leaves one of them what it is, so none is
    orthogonal to an eigenvector by symmetry.
    """
    place = jnp.arange(size, dtype=jnp.float64) ** 2
    number = jnp.arange(1, count + 1, dtype=jnp.float64)[:, None]
    return jnp.cos((2**0.5) * number * place + number)


def largest_eigenvalues(
    apply: Callable[[Float[Array, " size"]], Float[Array, " size"]],
    size: int,
    count: int,
    dtype: Any,
    support: Bool[Array, " size"] | None = None,
) -> Float[Array, " count"]:
    """Return the algebraically largest eigenvalues of a symmetric matrix, in descending order.

    An eigenvalue lies within `TOLERANCES` times the largest size of a Ritz value of each. NaN where
    `MOST_PRODUCTS` products do not reach that, where the matrix is not finite, and beyond the
    number of its rows.

    Args:
        apply: v -> A v.
        size: The number of rows of A.
        count: How many.
        dtype: The precision.
        support: The rows that A has; the others, which must be zero, do not count. None: all.
    """
    tolerance = TOLERANCES[jnp.dtype(dtype).name]
    starts = generic_vectors(count, size).astype(dtype)
    if support is not None:
        starts = jnp.where(support, starts, 0.0)
    starts = starts / jnp.linalg.norm(starts, axis=1, keepdims=True)
    # Its tridiagonal matrix is worked on number by number, for each of which a GPU starts anew.
    if count == 1 and jax.default_backend() == "cpu":
        return largest_eigenvalue(apply, starts[0], tolerance, MOST_PRODUCTS)[None]
    spare = count + _SPARE
    rows = spare + min(_PRODUCTS + 2 * count, size)

    def orthonormal(basis: Array, vector: Array, before: Array | None = None) -> Array:
        """Return the direction of a vector off the basis; zeros if it lies in that."""
        # Squares of tiny numbers would underflow.
        largest = jnp.max(jnp.abs(vector))
        vector = vector / jnp.where(largest > 0, largest, 1.0)
        if before is not None:
            vector = vector - multiply(before.T, multiply(before, vector))

        def unit(vector: Array) -> tuple[Array, Array]:
            length = jnp.linalg.norm(vector)
            return vector / jnp.where(length > 0, length, 1.0), length

        def once_more(found: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            vector, _, times = found
            # This way round is what a batch of lanes multiplies fast.
            return *unit(vector - multiply(basis.T, multiply(basis, vector))), times + 1

        def much_taken_off(found: tuple[Array, Array, Array]) -> Bool[Array, ""]:
            return (found[1] <= _LEFT) & (found[2] < 2)

        begun = unit(vector)[0], jnp.zeros((), dtype), jnp.zeros((), jnp.int32)
        vector, length, _ = lax.while_loop(much_taken_off, once_more, begun)
        # What is left the second time is small only if the first left nothing but rounding.
        return jnp.where(length > _LEFT, vector, 0.0)

    def begin(k: Any, basis: Array) -> Array:
        return basis.at[spare + k].set(orthonormal(basis, starts[k]))

    def extend(j: Any, found: tuple[Array, Array]) -> tuple[Array, Array]:
        basis, images = found
        image = apply(basis[j])
        before = lax.dynamic_slice_in_dim(basis, j - count, 2 * count)
        following = orthonormal(basis, image, before)
        return basis.at[j + count].set(following), images.at[j].set(image)

    def restart(search: _Search) -> _Search:
        basis, images = lax.fori_loop(spare, rows, extend, (search.basis, search.images))
        known = jnp.sum(basis[:rows] ** 2, axis=1) > 0.5
        small = multiply(basis[:rows], images.T)
        finite = jnp.all(jnp.isfinite(small))
        small = jnp.where(finite, (small + small.T) / 2, 0.0)
        # Below all eigenvalues: rows without a vector come last.
        below = 4 * jnp.sum(jnp.abs(small))
        below = jnp.where(below > 0, below, 1.0)
        small = small - jnp.diag(jnp.where(known, 0.0, below))
        values, vectors = jnp.linalg.eigh(small)
        values, chosen = values[::-1], vectors[:, ::-1][:, :spare].T
        ritz, made = multiply(chosen, basis[:rows]), multiply(chosen, images)
        there = values > -below / 2
        scale = jnp.max(jnp.where(there, jnp.abs(values), 0.0))
        scale = jnp.where(scale > 0, scale, 1.0)
        off = (made[:count] - values[:count, None] * ritz[:count]) / scale
        off = jnp.where(there[:count], jnp.linalg.norm(off, axis=1), 0.0)
        found = jnp.where(finite & there[:count], values[:count], jnp.nan)
        blank = jnp.zeros((rows - spare, size), dtype)
        return _Search(
            jnp.concatenate([ritz, basis[rows:], blank]),
            jnp.concatenate([made, blank]),
            found,
            jnp.where(finite, jnp.max(off), 0.0),
            search.products + rows - spare,
        )

    def unfinished(search: _Search) -> Bool[Array, ""]:
        return (search.residual > tolerance) & (search.products < MOST_PRODUCTS)

    basis = lax.fori_loop(0, count, begin, jnp.zeros((rows + count, size), dtype))
    first = _Search(
        basis,
        jnp.zeros((rows, size), dtype),
        jnp.zeros(count, dtype),
        jnp.full((), jnp.inf, dtype),
        jnp.zeros((), jnp.int64),
    )
    ended = lax.while_loop(unfinished, restart, first)
    return jnp.where(ended.residual <= tolerance, ended.values, jnp.nan)
