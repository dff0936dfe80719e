"""A stabilised Runge-Kutta method of third order: the stages of Chebyshev's, weighted.

Of the second-order Runge-Kutta-Chebyshev method (Sommeijer, Shampine, Verwer 1998, equations 2.1
to 2.6) stage j of s is near the flow at c_j of the step, and on y' = z y it is, with w = w0 + w1 z,

    P_j(z) = 1 - b_j T_j(w0) + b_j T_j(w),   b_j = T_j''(w0) / T_j'(w0)^2,   c_j = w1 b_j T_j'(w0).

The method takes the last one. Any sum of them with weights g_j has the same reach on the negative
axis, and is of third order where sum_j g_j P_j^(k)(0) = 1 for k = 0, ..., 3: since stages from the
second on are of second order themselves, no other condition is left (but for what the first stage
adds, a share of s^-4). Of all such weights these have the least sum of (g_j b_j)^2, which is the
mean square of the sum over the angle of w, so that what is fast is damped, by a half and more. The
reach is (1 + w0) / w1; w0 = 1 + 8 / s^2 makes it 0.375 s^2, where the method itself, hardly damped,
has 0.65 s^2.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

# s^2 (w0 - 1): with less, weighted stages would magnify some of what is fast.
DAMPING = 8.0
# The numbers of stages that there are, from and to; each is about so many times the one before.
_FEWEST, _MOST, _APART = 9, 421, 1.1


class Table(NamedTuple):
    """What is known of each number of stages.

    Attributes:
        counts: The numbers of stages; odd.
        reach: How far on the negative axis a step may be, as rate times length.
        weights: g_0, g_1, ..., zero beyond the last stage.
    """

    counts: Int[np.ndarray, " n"]
    reach: Float[np.ndarray, " n"]
    weights: Float[np.ndarray, "n most"]


@cache
def table() -> Table:
    """Return it."""
    counts = [_FEWEST]
    while counts[-1] < _MOST:
        counts.append(max(counts[-1] + 2, int(_APART * counts[-1]) // 2 * 2 + 1))
    weights, reach = np.zeros((len(counts), counts[-1] + 1)), np.zeros(len(counts))
    for row, count in enumerate(counts):
        weights[row, : count + 1], reach[row] = _weighted(count)
    return Table(np.array(counts), reach, weights)


def _weighted(count: int) -> tuple[Float[np.ndarray, " stages"], float]:
    """Return the weights of the stages 0, ..., s, and the reach."""
    w0 = 1 + DAMPING / count**2
    j, angle, square = np.arange(2.0, count + 1), np.arccosh(w0), w0**2 - 1
    # T_j and its derivatives at w0.
    value = np.cosh(j * angle)
    first = j * np.sinh(j * angle) / np.sqrt(square)
    second = (j**2 * value - w0 * first) / square
    third = ((j**2 - 1) * first - 3 * w0 * second) / square
    third[0] = 0.0
    w1 = first[-1] / second[-1]
    b = second / first**2
    derivatives = [np.ones_like(b), w1 * b * first, w1**2 * b * second, w1**3 * b * third]
    scaled = np.linalg.lstsq(np.array(derivatives) / b, np.ones(4), rcond=None)[0]
    return np.concatenate([np.zeros(2), scaled / b]), (1 + w0) / w1


def row_for(reach: Any, numpy: Any) -> Any:
    """Return the row of the table with the fewest stages that reach so far, or its last."""
    own = table().reach
    short = numpy.asarray(own)[:-1] < numpy.asarray(reach)[..., None]
    return numpy.sum(short, axis=-1)


def count_for(reach: Any, numpy: Any) -> Any:
    """Return how many stages those are."""
    return numpy.asarray(table().counts.astype(float))[row_for(reach, numpy)]


def farthest() -> float:
    """Return how far the most stages reach."""
    return float(table().reach[-1])
