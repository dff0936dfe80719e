r"""log, log1p and powers, of vectors of float64: to 2 units in the last place everywhere.

x = 2^k m with m between sqrt(1/2) and sqrt 2. With f = m - 1, s = f / (2 + f) and z = s^2

    log m = 2 artanh s = f - (f^2/2 - s (f^2/2 + z L(z))),    L(z) = 2/3 + 2 z/5 + 2 z^2/7 + ...

in which L is replaced by a polynomial that is nowhere on 0 <= z <= 0.0295 further from it than
2.1e-18 (by interpolation in Chebyshev's points, 60 digits).
"""

from __future__ import annotations

from typing import Any

from dlnsweep.simd.functions.exponentials import mantissa
from dlnsweep.simd.functions.wide import Wide, fast_two_sum, integer, two_sum

_LN2, _LN2_REST = float.fromhex("0x1.62e42fee00000p-1"), float.fromhex("0x1.a39ef35793c76p-33")
_L = (
    0.6666666666666666, 0.4000000000000088, 0.2857142857080323, 0.2222222239180047,
    0.18181795630884753, 0.15386240205813478, 0.13268759668560612, 0.13086767009948175,
)  # fmt: skip
# (artanh(s)/s - 1 - z/3 - z^2/5) / z^2 = 1/7 + z/9 + ...; to 1.3e-16 on the same interval.
_W = (
    0.142857142857143, 0.11111111111070332, 0.0909090911304029, 0.07692303194530649,
    0.06667101024572636, 0.05860905995273481, 0.05783180209405219,
)  # fmt: skip
_THIRD = 1 / 3
_THIRD_REST = float.fromhex("0x1.5555555555555p-56")
_ROOT_HALF = 0x3FE6A09E667F3BCD
_SMALLEST_NORMAL = 2.2250738585072014e-308
_INFINITY = float("inf")
_NAN = float("nan")


def _cut(x: Wide) -> tuple[Wide, Wide]:
    """Return k and m of a positive, normal x."""
    builder, bits = x.builder, x.bits()
    kind = bits.type
    # 1024 is added to k, so that no bits are negative.
    above = builder.sub(bits, integer(kind, _ROOT_HALF - (1024 << 52)))
    exponent = builder.lshr(above, integer(kind, 52))
    # The bits of 2^52 + k + 1024.
    raised = x.from_bits(builder.or_(exponent, integer(kind, 0x4330000000000000)))
    lowered = builder.sub(exponent, integer(kind, 1024))
    m = x.from_bits(builder.sub(bits, builder.shl(lowered, integer(kind, 52))))
    return raised - (2.0**52 + 1024.0), m


def _normal(x: Wide) -> tuple[Wide, Any]:
    """Return x, times 2^54 where it is below all normal numbers, and where that is."""
    small = x.compare("<", _SMALLEST_NORMAL)
    return (x * 2.0**54).where(small, x), small


def _special(x: Wide, found: Wide) -> Wide:
    """Return a logarithm of x, and of what has none or no finite one."""
    found = x.number(_NAN).where(x.compare("<", 0.0), found)
    found = x.number(-_INFINITY).where(x.compare("==", 0.0), found)
    found = x.where(x.compare("==", _INFINITY), found)
    return x.where(x.compare("!=", x), found)


def _sum(k: Wide, f: Wide, rest: Wide | float) -> Wide:
    """Return k ln 2 + log(1 + f) + rest."""
    s = f / (2.0 + f)
    z = s * s
    half = f * f * 0.5
    tail = k.times_plus(_LN2_REST, rest)
    inner = (half - s.times_plus(z.times_plus(z.horner(_L), half), tail)) - f
    return k.times_plus(_LN2, -inner)


def log(x: Wide) -> Wide:
    """Return the natural logarithm."""
    normal, small = _normal(x)
    k, m = _cut(normal)
    k = (k - 54.0).where(small, k)
    return _special(x, _sum(k, m - 1.0, 0.0))


def log1p(x: Wide) -> Wide:
    """Return log(1 + x), in which what 1 + x rounds off is taken along."""
    u, lost = two_sum(x.number(1.0), x)
    k, m = _cut(u)
    lost = lost * (-k.at_most(200.0)).power_of_two()
    near = m - 1.0
    f = near + lost
    rest = (near - f) + lost
    # d log = df / (1 + f), and 1 + f is (1 + f/2)^2 to some percent.
    inverse = 1.0 / (2.0 + f)
    found = _sum(k, f, rest * (inverse * inverse * 4.0))
    found = x.where(x.compare("==", 0.0), found)
    found = x.number(_NAN).where(x.compare("<", -1.0), found)
    found = x.number(-_INFINITY).where(x.compare("==", -1.0), found)
    found = x.where(x.compare("==", _INFINITY), found)
    return x.where(x.compare("!=", x), found)


def log_in_two(x: Wide) -> tuple[Wide, Wide]:
    """Return log x of a positive x as a sum of two, to about 2^-65 of it."""
    normal, small = _normal(x)
    k, m = _cut(normal)
    k = (k - 54.0).where(small, k)
    f = m - 1.0
    whole, rest = two_sum(x.number(2.0), f)
    inverse = 1.0 / whole
    s = f * inverse
    s_low = ((-s).times_plus(whole, f) - s * rest) * inverse
    z = s * s
    z_low = s.times_plus(s, -z) + 2.0 * s * s_low
    # z/3 + z^2/5 + ... = z v, of which v is a sum of two, and their product too.
    inner = z * z.times_plus(z.horner(_W), 0.2)
    v = inner + _THIRD
    v_low = ((_THIRD - v) + inner) + _THIRD_REST
    t = z * v
    t_low = z.times_plus(v, -t) + (z * v_low + z_low * v)
    twice, twice_low = s * 2.0, s_low * 2.0
    p = twice * t
    p_low = twice.times_plus(t, -p) + (twice * t_low + twice_low * t)
    high, low = fast_two_sum(twice, p)
    low = low + (p_low + twice_low)
    total, lost = fast_two_sum(k * _LN2, high)
    return fast_two_sum(total, lost + k.times_plus(_LN2_REST, low))


def power(x: Wide, y: Wide) -> Wide:
    """Return x^y; of a negative x for integers y alone, as C has it."""
    size = x.absolute()
    high, low = log_in_two(size)
    product = y * high
    rest = y.times_plus(high, -product) + y * low
    # What is beyond is infinite or zero, and has no rest.
    beyond = product.absolute().compare("<", 750.0)
    rest = rest.where(beyond, 0.0)
    n, one, more = mantissa(product.at_most(750.0).at_least(-760.0), rest)
    found = (one + more).scaled(n)
    # At 0 and infinity the logarithm is none.
    zero = x.number(0.0)
    grows = y.compare(">", 0.0)
    at_zero = zero.where(grows, _INFINITY)
    found = at_zero.where(size.compare("==", 0.0), found)
    found = x.number(1.0).where(size.compare("==", 1.0), found)
    whole, half = y.floor(), y * 0.5
    none = x.builder.and_(x.compare("<", 0.0), whole.compare("!=", y))
    found = x.number(_NAN).where(none, found)
    at_infinity = x.number(_INFINITY).where(grows, 0.0)
    found = at_infinity.where(size.compare("==", _INFINITY), found)
    odd = half.floor().compare("!=", half)
    is_integer = whole.compare("==", y)
    # Only what counts the sign of zero sees -0.
    negative = x.number(1.0).signed_as(x).compare("<", 0.0)
    flipped = (-found).where(x.builder.and_(odd, is_integer), found)
    found = flipped.where(negative, found)
    found = (x + y).where(x.compare("!=", x), found)
    found = (x + y).where(y.compare("!=", y), found)
    found = x.number(1.0).where(x.compare("==", 1.0), found)
    return x.number(1.0).where(y.compare("==", 0.0), found)
