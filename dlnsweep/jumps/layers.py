"""The fast part of a deep linear network of many outputs, by products of matrices alone.

With outputs o = W_L ... W_1 Y, whose squared error counts c, and rates eta_i of the layers, M of
`fast.py` takes a change G_i of the layers, over eta_i^{1/2}, to

    M G = sum_i w_i^{1/2} P_i G_i Q_i,   w_i = c eta_i,   P_i = W_{L:i+1},   Q_i = W_{i-1:1} Y,

and the tangent kernel M M^T is a sum of Kronecker products: X -> sum_i w_i A_i X B_i with
A_i = P_i P_i^T and B_i = Q_i^T Q_i (Arora, Cohen, Hazan 2018, arXiv:1802.06509, have it of balanced
layers). It has as many rows as there are outputs, d n, too many to decompose; a product with it
takes less than a gradient. In the eigenvectors U of A_1 and V of B_L its first and last term are
diagonal, and the others nearly so where layers are nearly balanced, as after small starts. There

    D = a / log(a),   a[p, q] = sum_i w_i (U^T A_i U)[p, p] (V^T B_i V)[q, q],

makes the fast part M^T D^{-1} M decay as F does (`flow.logarithm`); what D leaves to be wanted is
slow or a small part of what is fast, since M is the true one. With the decays r_i of the layers and
b_i = (1 - e^{-k log(r_i)}) / log(r_i), the time in which they forget, at most k,

    Phi(k) G = b (G - M^T (D + M b M^T)^{-1} M b G):

what no output depends on decays exactly, as in `fast.py`, and the rest by a linearly implicit step.
The system is solved by conjugate gradients that are preconditioned by its diagonal, D + sum b_i w_i
(A_i)[p, p] (B_i)[q, q]: what is left of G along a fast direction is 1 / (k a) of it, as a
difference, so the residual becomes as small as rounding lets it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float

from dlnsweep.jumps.fast import phi
from dlnsweep.jumps.flow import State, Vector, logarithm
from dlnsweep.jumps.rules import GradientDescent
from dlnsweep.numerics.lazy import jnp, lax
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.vectors import flat

Matrices = tuple[Float[Array, "..."], ...]
# The residual, over its first one, and the most iterations that are taken for it.
_RESIDUAL, _ITERATIONS = 1e-15, 100


class Layers(NamedTuple):
    """M at a point.

    Attributes:
        left: P_i; the last is 1.
        right: Q_i; the first is Y.
        weights: w_i.
    """

    left: tuple[Any, ...]
    right: tuple[Any, ...]
    weights: Float[Array, " L"]


class Turned(NamedTuple):
    """The fast part at a point.

    Attributes:
        layers: M, with U^T P_i and Q_i V in place of P_i and Q_i.
        above, below: U^T A_i U and V^T B_i V; of those that are diagonal the diagonals.
        weakened: D.
        rates: a, and what the largest decay adds to it.
        slow: log(r_i).
    """

    layers: Layers
    above: Matrices
    below: Matrices
    weakened: Float[Array, "d n"]
    rates: Float[Array, "d n"]
    slow: Float[Array, " L"]


def layers_of(
    weights: Matrices, inputs: Float[Array, "m n"], factors: Float[Array, " L"]
) -> Layers:
    """Return M.

    Args:
        weights: W_1, ..., W_L.
        inputs: Y.
        factors: w_i.
    """
    right, left = [inputs], [jnp.eye(weights[-1].shape[0], dtype=inputs.dtype)]
    for weight in weights[:-1]:
        right.append(multiply(weight, right[-1]))
    for weight in reversed(weights[1:]):
        left.append(multiply(left[-1], weight))
    return Layers(tuple(reversed(left)), tuple(right), factors)


def forward(layers: Layers, change: Matrices) -> Float[Array, "d n"]:
    """Return M G."""
    total: Any = 0.0
    roots = jnp.sqrt(layers.weights)
    for w, left, g, right in zip(roots, layers.left, change, layers.right, strict=True):
        total = total + w * multiply(multiply(left, g), right)
    return total


def backward(layers: Layers, outputs: Float[Array, "d n"]) -> Matrices:
    """Return M^T X."""
    parts = zip(jnp.sqrt(layers.weights), layers.left, layers.right, strict=True)
    return tuple(w * multiply(multiply(p.T, outputs), q.T) for w, p, q in parts)


def turned(layers: Layers, decays: Float[Array, " L"], weights: Float[Array, " p"]) -> Turned:
    """Return the fast part.

    Args:
        layers: M.
        decays: r_i.
        weights: See `flow.weights_of`.
    """
    turn_left, turn_right = _eigenvectors(layers.left[0]), _eigenvectors(layers.right[-1].T)
    lefts = tuple(multiply(turn_left.T, left) for left in layers.left)
    rights = tuple(multiply(right, turn_right) for right in layers.right)
    above = [multiply(left, left.T) for left in lefts]
    below = [multiply(right.T, right) for right in rights]
    above[0], below[-1] = jnp.diag(above[0]), jnp.diag(below[-1])
    rates = _diagonal(layers.weights, above, below)
    safe = jnp.where(rates > 0, rates, 1.0)
    weakened = jnp.where(rates > 0, rates / logarithm(safe, weights), 1.0)
    own = Layers(lefts, rights, layers.weights)
    slow = logarithm(decays, weights)
    return Turned(own, tuple(above), tuple(below), weakened, rates + jnp.max(decays), slow)


def carried(fast: Turned, length: Float[Array, ""], velocity: Matrices) -> Matrices:
    """Return Phi(k) G; see the head of this module.

    Args:
        fast: The fast part.
        length: k.
        velocity: G, in y.
    """
    times = phi(fast.slow, length)
    change = tuple(b * g for b, g in zip(times, velocity, strict=True))
    weights = times * fast.layers.weights
    diagonal = fast.weakened + _diagonal(weights, fast.above, fast.below)

    def system(x: Float[Array, "d n"]) -> Float[Array, "d n"]:
        total = fast.weakened * x
        for w, above, below in zip(weights, fast.above, fast.below, strict=True):
            part = above[:, None] * x if above.ndim == 1 else multiply(above, x)
            total = total + w * (part * below if below.ndim == 1 else multiply(part, below))
        return total

    solved = _conjugate_gradients(system, diagonal, forward(fast.layers, change))
    back = backward(fast.layers, solved)
    return tuple(c - b * g for b, c, g in zip(times, change, back, strict=True))


def _eigenvectors(left: Float[Array, "d q"]) -> Float[Array, "d d"]:
    """Return those of P P^T."""
    return jnp.linalg.eigh(multiply(left, left.T))[1]


def _diagonal(
    weights: Float[Array, " L"], above: Sequence[Any], below: Sequence[Any]
) -> Float[Array, "d n"]:
    """Return sum w_i (A_i)[p, p] (B_i)[q, q]."""
    lefts, rights = (
        jnp.stack([each if each.ndim == 1 else jnp.diag(each) for each in matrices])
        for matrices in (above, below)
    )
    return multiply((weights[:, None] * lefts).T, rights)


def _conjugate_gradients(
    system: Callable[[Float[Array, "d n"]], Float[Array, "d n"]],
    diagonal: Float[Array, "d n"],
    right: Float[Array, "d n"],
) -> Float[Array, "d n"]:
    """Return the solution of a positive definite system, preconditioned by a diagonal."""

    def unfinished(state: tuple[Any, ...]) -> Bool[Array, ""]:
        number, _, _, _, size = state
        return (number < _ITERATIONS) & (size > _RESIDUAL**2 * first)

    def once(state: tuple[Any, ...]) -> tuple[Any, ...]:
        number, solution, residual, direction, size = state
        image = system(direction)
        step = size / jnp.sum(direction * image)
        solution, residual = solution + step * direction, residual - step * image
        after = jnp.sum(residual**2 / diagonal)
        direction = residual / diagonal + after / size * direction
        return number + 1, solution, residual, direction, after

    first = jnp.sum(right**2 / diagonal)
    start = jnp.zeros((), jnp.int64), jnp.zeros_like(right), right, right / diagonal, first
    return lax.while_loop(unfinished, once, start)[1]


@dataclass(frozen=True)
class LayeredDescent(GradientDescent):
    """Gradient descent on the layers W_1, ..., W_L, whose fast part is found by products.

    Attributes:
        shapes: Of W_1, ..., W_L.
    """

    shapes: tuple[tuple[int, int], ...]
    follows = False

    def matrices(self, vector: Vector) -> Matrices:
        """Return a vector's entries as matrices."""
        found, start = [], 0
        for rows, columns in self.shapes:
            found.append(vector[start : start + rows * columns].reshape(rows, columns))
            start += rows * columns
        return tuple(found)

    def along(self, derivatives: Layers, difference: Vector) -> Float[Array, " K"]:
        """Return M times a difference of y."""
        return forward(derivatives, self.matrices(difference)).reshape(-1)

    def fast_part(self, derivatives: Layers, decays: Vector, weights: Float[Array, " p"]) -> Turned:
        """Return the fast part; decays are the same in all entries of a layer."""
        own = jnp.stack([matrix[0, 0] for matrix in self.matrices(decays)])
        return turned(derivatives, own, weights)

    def carrier(self, fast: Turned, length: Float[Array, ""]) -> Callable[[State], State]:
        """Return Phi(k), as a function of a velocity of y."""

        def carry(velocity: State) -> State:
            return flat(carried(fast, length, self.matrices(velocity)))

        return carry

    def steepest(self, fast: Turned) -> Vector:
        """Return the direction along which a step takes away most, about."""
        largest = jnp.where(fast.rates == jnp.max(fast.rates), 1.0, 0.0)
        found = flat(backward(fast.layers, largest))
        norm = jnp.linalg.norm(found)
        return found / jnp.where(norm > 0, norm, 1.0)
