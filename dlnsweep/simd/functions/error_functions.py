r"""erf and erfc, of vectors of float64: to 2 units in the last place everywhere.

Up to 1, erf x = x P(x^2). Above 1/2, with q = (x - 4) / (x + 4),

    erfc x = e^(-x^2) Q(q) / (1 + 2 x),

x^2 being kept as a sum of two (Shepherd and Laframboise 1981, Mathematics of Computation 36,
eq. (3.1), use the same map of the half-line). P and Q interpolate in Chebyshev's points, 60 digits:
P to 1.3e-19 on [0, 1], Q to 3.5e-18 for x between 1/2 and 27.5, above which erfc is zero.
"""

from __future__ import annotations

from dlnsweep.simd.functions.exponentials import mantissa, quotient
from dlnsweep.simd.functions.wide import Wide, fast_two_sum, two_sum

_P = (
    1.1283791670955126, -0.3761263890318375, 0.11283791670954879, -0.026866170645076792,
    0.0052239776248180145, -0.000854832698083379, 0.0001205533111164271, -1.4925595266831182e-05,
    1.6461000484121368e-06, -1.6350312701054695e-07, 1.4659775274047436e-08,
    -1.1372848856791674e-09, 5.957176147748911e-11,
)  # fmt: skip
_Q = (
    1.2329951186255526, -0.13962111684056253, 0.015379652102619127, 0.06809705425469505,
    -0.10103906603626016, 0.09373283499827546, -0.0663303658134497, 0.03716751553844642,
    -0.01619773404021866, 0.005031969972671415, -0.00075777343482625, -0.00019925669365832713,
    0.0001506224355538403, -2.4399065923152382e-05, -1.122457422226363e-05, 5.708855199403216e-06,
    2.9930534208115295e-07, -8.228929299321569e-07, 6.724741028727314e-08, 1.0597059762801646e-07,
    -1.2307439672359532e-08, -1.0584315800092537e-08,
)  # fmt: skip
# 2 / sqrt pi, less its nearest float64.
_FIRST_REST = 1.533545961316588e-17
_HIGHEST = 27.5


def erf(x: Wide) -> Wide:
    """Return (2 / sqrt pi) int_0^x exp(-s^2) ds."""
    near = x.times_plus(_P[0], _rest(x))
    size = x.absolute()
    n, high, low = _complement(size)
    far = (1.0 - (high + low).scaled(n)).signed_as(x)
    return far.where(size.compare(">", 1.0), near)


def erfc(x: Wide) -> Wide:
    """Return 1 - erf x."""
    size = x.absolute()
    n, high, low = _complement(size)
    scaled = (high + low).scaled(n)
    near = (-x).times_plus(_P[0], 1.0) - _rest(x)
    far = (2.0 - scaled).where(x.compare("<", 0.0), scaled)
    return far.where(size.compare(">", 0.5), near)


def _rest(x: Wide) -> Wide:
    """Return erf x - c x with c the first coefficient, for |x| <= 1."""
    square = x * x
    return x * square.times_plus(square.horner(_P[1:]), _FIRST_REST)


def _complement(size: Wide) -> tuple[Wide, Wide, Wide]:
    """Return n, h and l with erfc x = 2^n (h + l), for x >= 1/2."""
    x = size.at_most(_HIGHEST).at_least(0.5)
    square = x * x
    n, e, e_low = mantissa(-square, -x.times_plus(x, -square))
    q = (x - 4.0) / (x + 4.0)
    p, p_low = fast_two_sum(x.number(_Q[0]), q * q.horner(_Q[1:]))
    high = e * p
    low = e.times_plus(p, -high) + (e * p_low + e_low * p)
    whole, rest = two_sum(x.number(1.0), x * 2.0)
    found = quotient(high, low, whole, rest)
    return n, found, x.number(0.0)
