"""The plateau of a soft committee machine on infinitely many Gaussian inputs, in float64.

A student of K neurons with readouts 1 and a teacher of M orthonormal ones with readouts 1 (see
`networks/population`). Before its neurons specialise, gradient descent comes near the point where
all of them are one and the same,

    w_k = beta sum_m v_m,    beta the minimiser of the error there,

which is stationary by symmetry: differences among neurons grow there by 1 + eta gamma a step,
-gamma being the least eigenvalue of the Hessian. The entries of a start in d dimensions differ by
some 1/sqrt(d) along the teacher, so that a plateau takes ln(d) / (2 ln(1 + eta gamma)) steps and a
number of them that does not depend on d (derived; that plateaus grow as ln d is in Saad and Solla
1995, Phys. Rev. E 52, 4225, for eta -> 0, whose text was not at hand). Differences beyond the
teacher's span are neutral to first order: from O(1) they fall as t^(-1/2) (measured), and slow the
escape by what is of the order ln(t), so that the measured slope nears this one as 1/t from above.

For erf and K = M the point is theirs: |w_k|^2 = w_k . w_l = 1/(2K - 1), w_k . v_m =
1/sqrt(K (2K - 1)), with the error (K/pi) (pi/6 - K arcsin(1/(2K))).

ReLU students of the teacher's own size M >= 6 have minima that are none of the loss's least (Safran
and Shamir 2018, arXiv:1712.08968). One is known by its symmetry (derived): M - 1 neurons stand for
a teacher's each and are alike, and the last points away from the teacher that is left over. W is
then known by five numbers, however large M is,

    W_ii = a,  W_ij = b,  W_iM = c,  W_Mi = d,  W_MM = e        (i, j < M)

where a stationary point of the loss is one of the loss in all of W. For M = 5 it is a saddle (by
the least eigenvalue of its Hessian, as that it is a minimum for M = 6: tests).
"""

from __future__ import annotations

from functools import lru_cache
from math import pi
from typing import cast

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq, minimize

from dlnsweep.errors import SpecError

# Half the distance of the points of a central difference. ReLU's gradient has a term of second
# order in the difference of two neurons, which adds some 1e-7 of the curvature; others 1e-12.
_STEP = 1e-6
# Errors below it are none: rounding of numbers of size 1.
_NO_ERROR = 1e-12
# Of ReLU neurons: where the point with one of them away is a minimum from.
LEAST_SPURIOUS = 6


def moments(
    activation: str,
    uu: Float[np.ndarray, "..."],
    vv: Float[np.ndarray, "..."],
    uv: Float[np.ndarray, "..."],
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return E s(u.x) s(v.x) over x ~ N(0, I), and a, b with a u + b v its gradient in u.

    Args:
        activation: "erf" (of z / sqrt 2), "relu" or "quadratic".
        uu: |u|^2, positive.
        vv: |v|^2, positive.
        uv: u.v.

    Raises:
        SpecError: If the moments of the activation are not known here.
    """
    if activation == "erf":
        wide = (1 + uu) * (1 + vv)
        slope = 2 / pi / np.sqrt(wide - uv**2)
        return 2 / pi * np.arcsin(uv / np.sqrt(wide)), -slope * uv / (1 + uu), slope
    if activation == "quadratic":
        return uu * vv + 2 * uv**2, 2 * vv, 4 * uv
    if activation == "relu":
        height = np.sqrt(np.maximum(uu * vv - uv**2, 0))
        angle = np.arctan2(height, uv)
        value = (height + (pi - angle) * uv) / (2 * pi)
        return value, height / uu / (2 * pi), (pi - angle) / (2 * pi)
    raise SpecError(
        f"the plateau of activation {activation!r} is not known; it is of erf, relu, quadratic."
    )


def _error_and_gradient(
    activation: str, neurons: Float[np.ndarray, "K r"], teachers: int
) -> tuple[float, Float[np.ndarray, "K r"]]:
    """Return (1/2) E (sum_k s(w_k.x) - sum_m s(v_m.x))^2 and its gradient in W."""
    count = len(neurons)
    both = np.concatenate([neurons, np.eye(teachers, neurons.shape[1])])
    signs = np.concatenate([np.ones(count), -np.ones(teachers)])
    products = both @ both.T
    squares = np.diagonal(products)
    value, own, other = moments(activation, squares[:, None], squares[None, :], products)
    gradient = ((own @ signs)[:, None] * both + (other * signs) @ both)[:count]
    return float(0.5 * signs @ value @ signs), gradient


def _symmetric(neurons: int, teachers: int, size: float) -> Float[np.ndarray, "K r"]:
    """Return W of w_k = size sum_m v_m, with a coordinate beyond the teacher."""
    found = np.zeros((neurons, teachers + 1))
    found[:, :teachers] = size
    return found


@lru_cache(maxsize=256)
def symmetric_size(activation: str, neurons: int, teachers: int) -> float:
    """Return beta.

    Args:
        activation: "erf" (of z / sqrt 2), "relu" or "quadratic".
        neurons: K.
        teachers: M.

    Raises:
        SpecError: If the moments of the activation are not known here.
    """

    def slope(size: float) -> float:
        return float(
            np.sum(
                _error_and_gradient(activation, _symmetric(neurons, teachers, size), teachers)[1]
            )
        )

    # Longer ones than the teachers' sum would be worse than its neurons each.
    return float(cast("float", brentq(slope, 1e-6, 2.0, xtol=1e-15)))


def plateau_error(activation: str, neurons: int, teachers: int) -> float:
    """Return the generalization error at the symmetric point; see the head of this module.

    Args:
        activation: "erf" (of z / sqrt 2), "relu" or "quadratic".
        neurons: K.
        teachers: M.

    Raises:
        SpecError: If the moments of the activation are not known here.
    """
    size = symmetric_size(activation, neurons, teachers)
    return _error_and_gradient(activation, _symmetric(neurons, teachers, size), teachers)[0]


def escape_rate(activation: str, neurons: int, teachers: int) -> float:
    """Return gamma, minus the least eigenvalue of the Hessian at the symmetric point.

    It is found by central differences of the gradient, in the coordinates along the teacher and
    one beyond it, which stands for all others; relative error some 1e-7.

    Args:
        activation: "erf" (of z / sqrt 2), "relu" or "quadratic".
        neurons: K.
        teachers: M.

    Raises:
        SpecError: If the moments of the activation are not known here.
    """
    at = _symmetric(neurons, teachers, symmetric_size(activation, neurons, teachers))
    columns = []
    for place in range(at.size):
        moved = np.zeros(at.size)
        moved[place] = _STEP
        moved = moved.reshape(at.shape)
        ends = (_error_and_gradient(activation, at + way * moved, teachers)[1] for way in (1, -1))
        ahead, back = (end.ravel() for end in ends)
        columns.append((ahead - back) / (2 * _STEP))
    hessian = np.array(columns)
    return -float(np.linalg.eigvalsh((hessian + hessian.T) / 2)[0])


def plateau_slope(activation: str, neurons: int, teachers: int, learning_rate: float) -> float:
    """Return by how many steps a plateau is longer for e times the dimension.

    1 / (2 ln(1 + eta gamma)), gamma the `escape_rate`; NaN where neurons that are one and the same
    have no error to escape from (ReLU and quadratic ones of one teacher).

    Args:
        activation: "erf" (of z / sqrt 2), "relu" or "quadratic".
        neurons: K.
        teachers: M.
        learning_rate: eta.

    Raises:
        SpecError: If the moments of the activation are not known here.
    """
    if plateau_error(activation, neurons, teachers) < _NO_ERROR:
        return float("nan")
    rate = escape_rate(activation, neurons, teachers)
    return float(1 / (2 * np.log1p(learning_rate * rate)))


def _one_away(numbers: Float[np.ndarray, " 5"], size: int) -> Float[np.ndarray, "M M"]:
    """Return the W of a, b, c, d, e; see the head of this module."""
    diagonal, beside, over, back, last = numbers
    found = np.full((size, size), beside)
    np.fill_diagonal(found, diagonal)
    found[:-1, -1], found[-1, :-1], found[-1, -1] = over, back, last
    return found


@lru_cache(maxsize=256)
def spurious_student(size: int, least: int = LEAST_SPURIOUS) -> tuple[tuple[float, ...], ...]:
    """Return W of the minimum with one ReLU neuron away from its teacher, row by row.

    Args:
        size: M, of student and teacher.
        least: From which M on the point is asked for; below 6 it is a saddle.

    Raises:
        SpecError: If M is below `least`.
    """
    if size < least:
        raise SpecError(f"a ReLU student of {size} neurons has no such minimum; it needs {least}.")

    def reduced(numbers: Float[np.ndarray, " 5"]) -> tuple[float, Float[np.ndarray, " 5"]]:
        value, slope = _error_and_gradient("relu", _one_away(numbers, size), size)
        inner, ends = slope[:-1, :-1], np.trace(slope[:-1, :-1])
        parts = [ends, inner.sum() - ends, slope[:-1, -1].sum(), slope[-1, :-1].sum()]
        return value, np.array([*parts, slope[-1, -1]])

    # Near the limit of many neurons, found for 6 to 20 of them.
    start = np.array([1.0, -1 / size**2, 1.8 / size, 1.25 / size, -0.65])
    found = minimize(reduced, start, jac=True, method="BFGS", options={"gtol": 1e-10})
    return tuple(map(tuple, _one_away(found.x, size).tolist()))


def spurious_error(size: int) -> float:
    """Return the generalization error of `spurious_student`, of M neurons.

    Raises:
        SpecError: If M is below 6.
    """
    return _error_and_gradient("relu", np.array(spurious_student(size)), size)[0]
