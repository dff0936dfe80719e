"""Adafactor: second moments of a matrix by those of its rows and columns, steps of its own scale.

With G the gradient of a matrix W (p, q), R(0) = C(0) = 0, t = 1, 2, ... and RMS(A) the root of the
mean of the squares of A's entries (Shazeer and Stern 2018, arXiv:1804.04235, Algorithms 4 and 5,
decay of section 7.2; means in place of their sums, which is the same V):

    b(t) = 1 - t^-c
    R(t) = b R(t-1) + (1 - b) mean over columns of G^2 + eps     (p,)
    C(t) = b C(t-1) + (1 - b) mean over rows of G^2 + eps        (q,)
    V(t) = R C^T / mean(R)
    U(t) = G / sqrt(V),        direction(t) = U / max(1, RMS(U) / d) max(least, RMS(W))

What has fewer than two dimensions of the given size keeps V itself, b V + (1 - b) (G^2 + eps), as
in optax; of arrays with more than two it is the two longest that are factored, as there. All are
the shapes of one run's parameters. Where steps are absolute there is no last factor.

It is not optax's because that takes powers of t in float32, whatever the parameters are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dlnsweep.numerics.lazy import jax, jnp, optax

if TYPE_CHECKING:
    from jaxtyping import Array, Int
    from optax import GradientTransformation


class AdafactorState(NamedTuple):
    """The state of `scale_by_adafactor`.

    Attributes:
        steps: Steps taken.
        moments: A pair for each leaf, with the axes that they lack kept as of length 1: R and C;
            of what is not factored V and a zero that nothing reads.
    """

    steps: Int[Array, ""]
    moments: Any


def factored_axes(shape: tuple[int, ...], least: int) -> tuple[int, int] | None:
    """Return the two longest axes, the longest last; None if one is shorter than `least`."""
    if len(shape) < 2:
        return None
    # Of equal ones the first is the shorter one.
    *_, shorter, longest = sorted(range(len(shape)), key=lambda axis: (shape[axis], axis))
    return None if shape[shorter] < least else (shorter, longest)


def scale_by_adafactor(
    decay: Any, epsilon: Any, clipping: Any, least_scale: Any, *, relative: bool, factored_from: int
) -> GradientTransformation:
    """Return the direction at the head of this file.

    Args:
        decay: c in (0, 1].
        epsilon: eps > 0.
        clipping: d > 0.
        least_scale: The least RMS(W), > 0.
        relative: Whether the last factor is there.
        factored_from: The least length of both axes of what is factored.
    """

    def begun(leaf: Any) -> Any:
        axes = factored_axes(leaf.shape, factored_from)
        if axes is None:
            return jnp.zeros_like(leaf), jnp.zeros((), leaf.dtype)
        shapes = ([1 if axis == gone else n for axis, n in enumerate(leaf.shape)] for gone in axes)
        columns, rows = (jnp.zeros(shape, leaf.dtype) for shape in shapes)
        return rows, columns

    def init(params: Any) -> Any:
        moments = [begun(leaf) for leaf in jax.tree.leaves(params)]
        return AdafactorState(jnp.zeros((), jnp.int32), moments)

    def root_mean_square(array: Any) -> Any:
        return jnp.sqrt(jnp.mean(array**2))

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        steps: Any = optax.safe_increment(state.steps)

        def moved(gradient: Any, moments: Any, own: Any) -> tuple[Any, Any]:
            kept = 1 - steps.astype(gradient.dtype) ** -decay
            squares = gradient**2 + epsilon

            def average(last: Any, now: Any) -> Any:
                return kept * last + (1 - kept) * now

            axes = factored_axes(gradient.shape, factored_from)
            if axes is None:
                moments = average(moments[0], squares), moments[1]
                found = gradient / jnp.sqrt(moments[0])
            else:
                shorter, longest = axes
                rows, columns = moments
                rows = average(rows, jnp.mean(squares, axis=longest, keepdims=True))
                columns = average(columns, jnp.mean(squares, axis=shorter, keepdims=True))
                moments = rows, columns
                share = rows / jnp.mean(rows, axis=shorter, keepdims=True)
                # Root by root: a product of both may underflow in float32.
                found = gradient / jnp.sqrt(share) / jnp.sqrt(columns)
            found = found / jnp.maximum(1, root_mean_square(found) / clipping)
            if relative:
                found = found * jnp.maximum(least_scale, root_mean_square(own))
            return found, moments

        leaves, tree = jax.tree.flatten(updates)
        made = list(map(moved, leaves, state.moments, jax.tree.leaves(params)))
        found = jax.tree.unflatten(tree, [each for each, _ in made])
        return found, AdafactorState(steps, [moments for _, moments in made])

    return optax.GradientTransformation(init, update)
