r"""cos and sin, of vectors of float64: to 2 units in the last place up to 2^40; NaN beyond.

x is cut into n pi / 2 + r with an integer n and |r| <= pi / 4, pi being a sum of three numbers and
r of two; of r they are Taylor's polynomials, whose first terms left out, r^19/19! and r^18/18!, are
below 1e-17 of them (Cody and Waite 1980, "Software manual for the elementary functions").
"""

from __future__ import annotations

import math
from typing import Any

from dlnsweep.simd.functions.wide import MAGIC, Wide, fast_two_sum, integer, two_sum

# pi / 2 as a sum of three numbers of 53 bits.
_PIECES = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33)
_TWO_OVER_PI = 0.6366197723675814
_SIN = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(1, 9))
_COS = tuple((-1) ** k / math.factorial(2 * k) for k in range(2, 9))
_LARGEST = 2.0**40


def cos(x: Wide) -> Wide:
    """Return cos x."""
    return _of_quadrant(x, 1)


def sin(x: Wide) -> Wide:
    """Return sin x."""
    found = _of_quadrant(x, 0)
    # Zeros keep their sign.
    return x.where(x.compare("==", 0.0), found)


def _of_quadrant(x: Wide, first: int) -> Wide:
    """Return sin(x + first pi / 2)."""
    n = x.times_plus(_TWO_OVER_PI, MAGIC) - MAGIC
    r, low = x, x.number(0.0)
    for piece in _PIECES:
        product = n * piece
        rest = n.times_plus(piece, -product)
        r, more = two_sum(r, -product)
        low = low + (more - rest)
    r, low = fast_two_sum(r, low)
    square = r * r
    sine = r + (r * square).times_plus(square.horner(_SIN), low * (1.0 - square * 0.5))
    half = square * 0.5
    near = 1.0 - half
    rest = ((1.0 - near) - half) + (square * square).times_plus(square.horner(_COS), -(r * low))
    cosine = near + rest
    shifted = n + MAGIC
    builder, bits = x.builder, shifted.bits()
    place = builder.add(bits, integer(bits.type, first))
    found = cosine.where(_has_bit(builder, place, 1), sine)
    found = (-found).where(_has_bit(builder, place, 2), found)
    # Of infinity and NaN the comparison does not hold.
    return found.where(x.absolute().compare("<=", _LARGEST), float("nan"))


def _has_bit(builder: Any, bits: Any, bit: int) -> Any:
    """Return a mask of which integers have a bit."""
    zero = integer(bits.type, 0)
    return builder.icmp_signed("!=", builder.and_(bits, integer(bits.type, bit)), zero)
