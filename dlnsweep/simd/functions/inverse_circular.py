r"""asin, acos and atan2, of vectors of float64: to 2 units in the last place.

With A and T polynomials that interpolate in Chebyshev's points, 60 digits, to 1.6e-17 and 5e-20,

    asin x = x + x z A(z),  z = x^2 <= 1/4;     asin x = pi/2 - 2 asin sqrt((1 - x)/2) beyond
    atan q = q + q z T(z),  z = q^2 <= tan^2(pi/8);     atan q = pi/4 + atan((q - 1)/(q + 1)) beyond

and atan2(y, x) from the quotient q <= 1 of the smaller of |y| and |x| over the larger one. What a
square root, a quotient and a constant round off is carried along.
"""

from __future__ import annotations

from typing import Any

from dlnsweep.simd.functions.wide import Wide, fast_two_sum, two_sum

_A = (
    0.16666666666666669, 0.07499999999998425, 0.04464285714637338, 0.030381944137085216,
    0.022372173002005596, 0.017352391265909227, 0.013971235301124539, 0.011478952690257387,
    0.010324318288744113, 0.00545087818772055, 0.017419357964884856, -0.014881409392818066,
    0.02877844261259304,
)  # fmt: skip
_T = (
    -0.3333333333333333, 0.19999999999999993, -0.14285714285711518, 0.11111111110754596,
    -0.09090909067001965, 0.07692306735718386, -0.06666642013802823, 0.058819251621305094,
    -0.052580406718134826, 0.0471938939438005, -0.041044134902075015, 0.03063517636855608,
    -0.013917695219310572,
)  # fmt: skip
_HALF_PI, _HALF_PI_REST = 1.5707963267948966, 6.123233995736766e-17
_TAN_PI_8 = 0.41421356237309503
# Beyond these, sums overflow, and what a quotient rounds off underflows.
_LARGE, _SMALL = 1e300, 1e-250


def asin(x: Wide) -> Wide:
    """Return asin x; NaN beyond -1 and 1."""
    size = x.absolute()
    near = size.times_plus(_series(size * size, _A), size)
    high, low = _far(size)
    rest = _HALF_PI_REST - 2.0 * low
    top, more = fast_two_sum(x.number(_HALF_PI), -2.0 * high)
    far = top + (more + rest)
    return near.where(size.compare("<=", 0.5), far).signed_as(x)


def acos(x: Wide) -> Wide:
    """Return acos x; NaN beyond -1 and 1."""
    size = x.absolute()
    product = x * _series(x * x, _A)
    top, more = fast_two_sum(x.number(_HALF_PI), -x)
    near = top + (more + (_HALF_PI_REST - product))
    high, low = _far(size)
    above = 2.0 * (high + low)
    top, more = fast_two_sum(x.number(2 * _HALF_PI), -2.0 * high)
    below = top + (more + (2 * _HALF_PI_REST - 2.0 * low))
    far = below.where(x.compare("<", 0.0), above)
    return near.where(size.compare("<=", 0.5), far)


def _series(square: Wide, coefficients: tuple[float, ...]) -> Wide:
    """Return z P(z)."""
    return square * square.horner(coefficients)


def _far(size: Wide) -> tuple[Wide, Wide]:
    """Return asin sqrt((1 - |x|)/2), of |x| above 1/2, as a sum of two numbers."""
    square = (1.0 - size) * 0.5
    root = square.square_root()
    # The root of a number that is not rounded, to first order; of 0 there is none.
    rest = -root.times_plus(root, -square) / (root + root)
    rest = rest.where(root.compare(">", 0.0), 0.0)
    return root, root.times_plus(_series(square, _A), rest)


def atan2(y: Wide, x: Wide) -> Wide:
    """Return the angle of (x, y), from -pi to pi; that of zeros and infinities as C has it."""
    above, right = y.absolute(), x.absolute()
    steep = above.compare(">", right)
    large, small = above.where(steep, right), right.where(steep, above)
    for mask, factor in (
        (large.compare(">", _LARGE), 2.0**-20),
        (large.compare("<", _SMALL), 2.0**200),
    ):
        large, small = ((each * factor).where(mask, each) for each in (large, small))
    # Of two infinities, and of two zeros, there is no quotient.
    infinite = small.compare("==", float("inf"))
    large, small = (each.number(1.0).where(infinite, each) for each in (large, small))
    large = large.number(1.0).where(large.compare("==", 0.0), large)
    high, low = _arctangent(small, large)
    # Mirrored at the diagonal, and at the vertical axis.
    high, low = _less(_HALF_PI, _HALF_PI_REST, high, low, steep)
    left = x.number(1.0).signed_as(x).compare("<", 0.0)
    high, low = _less(2 * _HALF_PI, 2 * _HALF_PI_REST, high, low, left)
    found = (high + low).signed_as(y)
    for each in (x, y):
        found = each.where(each.compare("!=", each), found)
    return found


def _less(constant: float, rest: float, high: Wide, low: Wide, mask: Any) -> tuple[Wide, Wide]:
    """Return a constant less a number where a mask is set; both are sums of two."""
    top, more = fast_two_sum(high.number(constant), -high)
    return top.where(mask, high), (more + (rest - low)).where(mask, low)


def _arctangent(small: Wide, large: Wide) -> tuple[Wide, Wide]:
    """Return atan(small / large) of 0 <= small <= large, as a sum of two numbers."""
    beyond = small.compare(">", large * _TAN_PI_8)
    difference, below = two_sum(small, -large)
    total, over = two_sum(small, large)
    top = difference.where(beyond, small)
    bottom = total.where(beyond, large)
    quotient = top / bottom
    rest = -quotient.times_plus(bottom, -top)
    # What the sums have rounded off.
    lost = below - quotient * over
    rest = (rest + lost.where(beyond, 0.0)) / bottom
    square = quotient * quotient
    low = quotient.times_plus(_series(square, _T), rest * (1.0 - square))
    low = low.where(large.compare("<", float("inf")), 0.0)
    quotient = quotient.where(large.compare("<", float("inf")), 0.0)
    first, more = fast_two_sum(quotient.number(_HALF_PI / 2), quotient)
    return (
        first.where(beyond, quotient),
        (more + (low + _HALF_PI_REST / 2)).where(beyond, low),
    )
