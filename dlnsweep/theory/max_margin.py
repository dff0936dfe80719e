"""The largest margin of separable data, certified, and how fast gradient descent nears it.

With z_i = x_i y_i, labels x_i = 1 or -1, the hard-margin support vector machine through 0 is

    gamma = max over ||u|| = 1 of min_i u . z_i  =  min of ||z|| over z in conv{z_1, ..., z_n},

and the minimiser z* = sum_i a_i z_i gives u* = z* / gamma. z* is found by Wolfe's method (1976,
Math. Programming 11), which ends after finitely many steps. Every z of the hull certifies itself:

    min_i z . z_i / ||z||  <=  gamma  <=  ||z||                         (weak duality; derived).

On losses with the tail exp(-margin), linear predictors beta of gradient descent tend to the
direction u* (Soudry et al. 2018, arXiv:1710.10345, Theorem 3), so slowly that

    (1 - margin(beta) / gamma) gamma ||beta||  ->  K = max_i log a_i - sum_i a_i log a_i,

i over the support vectors (derived from that theorem's Theorem 4: late gradients are multiples of
z*, so that exp(-beta . z_i) = s a_i with one s for all support vectors. Then min_i beta . z_i =
-log s - max log a_i, and beta . z* = -log s - sum a_i log a_i is gamma ||beta|| up to what is of
second order). With a constant learning rate gamma ||beta|| grows as log t: the gap falls as
K / log t.

Of a deep linear network beta = A W_1 (arXiv:1810.02032), where the row A of the other layers'
product grows as ||beta||^(1 - 1/L): what W_1 begins with beyond the span of the support vectors
stays, is multiplied by A, and turns beta by an angle of the order ||beta||^(-1/L). It adds to the
gap half of its square, of the order ||beta||^(-2/L) (derived): as much as K / ||beta|| for L = 2,
and more for larger L, unless the support vectors span all directions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dlnsweep.errors import SpecError

# A weight of the hull's point below this is 0, and so is what a new point would gain, both beside
# numbers of size 1: both are sums of some ten products, each rounded at 1e-16.
_ZERO = 1e-13


class MaxMargin(NamedTuple):
    """What was found, and how good it is at least.

    Attributes:
        direction: u, of norm 1.
        margin: min_i u . z_i, which no direction exceeds by more than the gap.
        gap: (||z|| - margin) / ||z||.
        weights: a (n,), not negative, of sum 1; positive for support vectors.
    """

    direction: Float[np.ndarray, " m"]
    margin: float
    gap: float
    weights: Float[np.ndarray, " n"]


def max_margin(inputs: Float[np.ndarray, "m n"], labels: Float[np.ndarray, " n"]) -> MaxMargin:
    """Find the hyperplane through 0 that is farthest from all samples.

    Args:
        inputs: Y, one sample a column.
        labels: 1 and -1.

    Raises:
        SpecError: If no hyperplane through 0 separates the samples, up to rounding.
    """
    points = (np.asarray(inputs, np.float64) * np.asarray(labels, np.float64)).T
    scale = float(np.max(np.linalg.norm(points, axis=1)))
    weights = _least_of_hull(points / scale)
    nearest = weights @ points
    length = float(np.linalg.norm(nearest))
    if length <= np.sqrt(_ZERO) * scale:
        raise SpecError(
            "max_margin: no hyperplane through 0 separates the samples; their labels' signs times "
            "the inputs have 0 in their convex hull."
        )
    direction = nearest / length
    margin = float(np.min(points @ direction))
    return MaxMargin(direction, margin, (length - margin) / length, weights)


def _least_of_hull(points: Float[np.ndarray, "n m"]) -> Float[np.ndarray, " n"]:
    """Return the weights of the point of least norm in the hull of points of norm 1 at most."""
    weights, least = np.zeros(len(points)), np.inf
    found = weights.copy()
    found[np.argmin(np.sum(points**2, axis=1))] = 1.0
    # What rounding alone would go on with has no smaller norm.
    while (size := float(np.sum((found @ points) ** 2))) < least:
        weights, least = found, size
        along = points @ (weights @ points)
        best = int(np.argmin(along))
        if along[best] >= least - _ZERO or weights[best] > 0:
            break
        found = _with(points, weights, best)
    return weights


def _with(
    points: Float[np.ndarray, "n m"], weights: Float[np.ndarray, " n"], new: int
) -> Float[np.ndarray, " n"]:
    """Return the weights after one more point has been let in, and others have left."""
    own = np.append(weights[weights > 0], 0.0)
    chosen = np.append(np.flatnonzero(weights), new)
    while True:
        affine = _least_of_plane(points[chosen])
        if np.all(affine > _ZERO):
            made = np.zeros(len(points))
            made[chosen] = affine
            return made
        # As far towards it as no weight becomes negative; the first to become 0 leaves.
        falling = np.flatnonzero(affine <= _ZERO)
        reach = own[falling] / np.maximum(own[falling] - affine[falling], _ZERO)
        first = int(np.argmin(reach))
        own = np.maximum(own + reach[first] * (affine - own), 0.0)
        own, chosen = np.delete(own, falling[first]), np.delete(chosen, falling[first])


def _least_of_plane(points: Float[np.ndarray, "k m"]) -> Float[np.ndarray, " k"]:
    """Return the weights, of sum 1, of the point of least norm in the points' affine hull."""
    count = len(points)
    first, rest = points[0], points[1:] - points[0]
    steps = np.linalg.lstsq(rest.T, -first)[0] if count > 1 else np.zeros(0)
    return np.concatenate([[1 - np.sum(steps)], steps])


def margin_rate(weights: Float[np.ndarray, " n"]) -> float:
    """Return K: a linear predictor's relative gap times gamma ||beta|| tends to it; see above.

    Args:
        weights: a, as `max_margin` finds them.
    """
    own = weights[weights > 0]
    return float(np.max(np.log(own)) - own @ np.log(own))


def largest_normalized_margin(depth: int, margin: float) -> float:
    """Return the largest min_i x_i f(y_i) / ||theta||^L of a deep linear network of one output.

    gamma / L^(L/2): layers of product beta have ||theta||^2 >= L ||beta||^(2/L), by the inequality
    of the means, and balanced ones reach it.

    Args:
        depth: L.
        margin: gamma.
    """
    return margin / depth ** (depth / 2)
