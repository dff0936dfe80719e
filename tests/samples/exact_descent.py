"""Gradient descent on layers that complete [[*, 1], [1, 0]], in sixty decimal digits.

It shares no code with the package: Python's decimal numbers, written out for 2 x 2 matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import NamedTuple

import numpy as np

Matrix = list[list[Decimal]]

_DIGITS = 60
# What is fast fades by a tenth a step or more, at the rates that are tried here.
_SETTLED = 40
_ONE: Matrix = [[Decimal(1), Decimal(0)], [Decimal(0), Decimal(1)]]


class Motion(NamedTuple):
    """Where a network is once its fast part has settled, and how it moves there.

    Attributes:
        entry: |w_11|.
        determinant: That of the product.
        loss: Half the sum of squares.
        entry_speed: What a step adds to the entry, as the flow through the iterates has it.
        determinant_speed: The same of the determinant.
    """

    entry: Decimal
    determinant: Decimal
    loss: Decimal
    entry_speed: Decimal
    determinant_speed: Decimal


def motion(layers: Sequence[np.ndarray], rate: float) -> Motion:
    """Return the motion of gradient descent from some weights.

    Args:
        layers: W_1, ..., W_L.
        rate: The learning rate.
    """
    with localcontext() as context:
        context.prec = _DIGITS
        now = [[[Decimal(float(x)) for x in row] for row in layer] for layer in layers]
        for _ in range(_SETTLED):
            now = _step(now, Decimal(rate))
        trail = [now]
        for _ in range(3):
            trail.append(_step(trail[-1], Decimal(rate)))
        a, b, c = _product(now)[0][1] - 1, _product(now)[1][0] - 1, _product(now)[1][1]
        return Motion(
            _entry(now),
            _determinant(now),
            (a * a + b * b + c * c) / 2,
            _speed(trail, _entry),
            _speed(trail, _determinant),
        )


def _times(a: Matrix, b: Matrix) -> Matrix:
    return [[sum(a[i][k] * b[k][j] for k in (0, 1)) for j in (0, 1)] for i in (0, 1)]  # type: ignore[misc]


def _turned(a: Matrix) -> Matrix:
    return [[a[0][0], a[1][0]], [a[0][1], a[1][1]]]


def _product(layers: Sequence[Matrix]) -> Matrix:
    found = _ONE
    for layer in layers:
        found = _times(layer, found)
    return found


def _step(layers: Sequence[Matrix], rate: Decimal) -> list[Matrix]:
    product = _product(layers)
    error = [[Decimal(0), product[0][1] - 1], [product[1][0] - 1, product[1][1]]]
    found = []
    for i, layer in enumerate(layers):
        above, below = _product(layers[i + 1 :]), _product(layers[:i])
        slope = _times(_times(_turned(above), error), _turned(below))
        found.append([[layer[r][c] - rate * slope[r][c] for c in (0, 1)] for r in (0, 1)])
    return found


def _entry(layers: Sequence[Matrix]) -> Decimal:
    return abs(_product(layers)[0][0])


def _determinant(layers: Sequence[Matrix]) -> Decimal:
    found = Decimal(1)
    for (a, b), (c, d) in layers:
        found *= a * d - b * c
    return found


def _speed(trail: Sequence[Sequence[Matrix]], of: Callable[[Sequence[Matrix]], Decimal]) -> Decimal:
    """Return Delta - Delta^2 / 2 + Delta^3 / 3 at the first of four iterates."""
    first = [b - a for a, b in pairwise([of(each) for each in trail])]
    second = [b - a for a, b in pairwise(first)]
    return first[0] - second[0] / 2 + (second[1] - second[0]) / 3
