r"""exp and what is made of it, of vectors of float64: to 2 units in the last place everywhere.

x is cut into n ln 2 + r with an integer n and |r| <= (ln 2) / 2; then

    e^x = 2^n (1 + r + e),    e = r^2 (1/2! + r/3! + ... + r^11/13!),

whose first term left out, r^14/14!, is below 5e-18. Sums that cancel keep what they round off.
"""

from __future__ import annotations

import math

from dlnsweep.simd.functions.wide import MAGIC, Wide, fast_two_sum, two_sum

# ln 2 as a number of 40 bits, whose products with n are exact, and the rest.
_LN2, _LN2_REST = float.fromhex("0x1.62e42fefa2000p-1"), float.fromhex("0x1.9ef35793c7673p-41")
_LOG2_E = float.fromhex("0x1.71547652b82fep+0")
_TERMS = tuple(1 / math.factorial(k) for k in range(2, 14))
# P of tanh t = t + t^3 P(t^2): it interpolates in Chebyshev's points of t^2 up to 0.2565^2, 70
# digits, to 2.2e-17 of tanh t.
_TANH = (
    -0.333333333333333, 0.13333333333281125, -0.053968253841110585, 0.02186947690893542,
    -0.008862728123078992, 0.0035807161294399183, -0.0013273344003001384,
)  # fmt: skip
# Beyond these e^x is infinite, and zero.
_LARGEST, _SMALLEST = 710.0, -750.0


def parts(x: Wide, low: Wide | None = None) -> tuple[Wide, Wide, Wide]:
    """Return n, r and e of x, or of x + low with a low below 1e-10; see above."""
    n = x.times_plus(_LOG2_E, MAGIC) - MAGIC
    high = n.times_plus(-_LN2, x)
    r = n.times_plus(-_LN2_REST, high)
    rest = n.times_plus(-_LN2_REST, high - r)
    if low is not None:
        r, more = two_sum(r, low)
        rest = rest + more
    return n, r, (r * r).times_plus(r.polynomial(_TERMS), rest.times_plus(r, rest))


def exp(x: Wide) -> Wide:
    """Return e^x."""
    n, high, low = mantissa(x.at_most(_LARGEST).at_least(_SMALLEST))
    return (high + low).scaled(n)


def mantissa(x: Wide, low: Wide | None = None) -> tuple[Wide, Wide, Wide]:
    """Return n, h and l with e^x = 2^n (h + l), h between 0.7 and 1.5, l far smaller."""
    n, r, e = parts(x, low)
    high, rest = fast_two_sum(x.number(1.0), r)
    return n, *fast_two_sum(high, rest + e)


def _minus_one(x: Wide) -> tuple[Wide, Wide]:
    """Return e^x - 1 as a sum of two, for x <= 709."""
    n, r, e = parts(x)
    scale = n.power_of_two()
    high, rest = fast_two_sum(scale - 1.0, scale * r)
    return fast_two_sum(high, scale.times_plus(e, rest))


def expm1(x: Wide) -> Wide:
    """Return e^x - 1."""
    high, low = _minus_one(x.at_most(700.0).at_least(-100.0))
    # Above 100 nothing is left of the 1; -0 stays what it is.
    found = exp(x).where(x.compare(">", 100.0), high + low)
    return x.where(x.compare("==", 0.0), found)


def tanh(x: Wide) -> Wide:
    """Return tanh x.

    With |x| = m (ln 2) / 2 + t, sigma = 2^-m, w = 1 - sigma and tau = tanh t = t + t^3 P(t^2) it
    is, with the sign of x,

        tanh |x| = w + sigma ((2 + w) tau - w) / (2 - w + w tau),

    which is tau where m is 0, up to tanh x = 1/4 and a little more. Beyond that what is rounded in
    the quotient counts once at most: to first order all roundings together are below 1.8 units in
    the last place.
    """
    size = x.absolute().at_most(22.0)
    # The nearest integer, but for t between -0.26 (ln 2) / 2 and 0.74 of it.
    whole = size.times_plus(2 * _LOG2_E, -0.24) + MAGIC
    # What m (ln 2) / 2 is wrong by is less than half a unit.
    t = (whole - MAGIC).times_plus(-math.log(2) / 2, size)
    square = t * t
    tau = (t * square).times_plus(square.horner(_TANH), t)
    sigma = whole.lowest_as_power(-1)
    w = 1.0 - sigma
    quotient = (w + 2.0).times_plus(tau, -w) / w.times_plus(tau, 2.0 - w)
    return sigma.times_plus(quotient, w).signed_as(x)


def logistic(x: Wide) -> Wide:
    """Return 1 / (1 + e^-x), as e^x / (1 + e^x) where x is negative."""
    n, high, low = mantissa((-x.absolute()).at_least(_SMALLEST))
    high, low = high.scaled(n), low.scaled(n)
    whole, rest = fast_two_sum(x.number(1.0), high)
    negative = x.compare("<", 0.0)
    above, below = high.where(negative, 1.0), low.where(negative, 0.0)
    return quotient(above, below, whole, rest + low)


def quotient(high: Wide, low: Wide, whole: Wide, rest: Wide) -> Wide:
    """Return (high + low) / (whole + rest), of sums of a number and a far smaller one."""
    inverse = 1.0 / whole
    first = high * inverse
    remainder = (-first).times_plus(whole, high) + (low - first * rest)
    return remainder.times_plus(inverse, first)
