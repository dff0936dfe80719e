r"""The inverse of erf, of vectors of float64: to 2 units in the last place (1.15 were seen).

With w = -log(1 - x^2), erf^-1(x) / x is smooth in w up to 6.25, and in sqrt w beyond (Giles
2012, "Approximating the erfinv function", GPU Computing Gems, section 10.3, cuts there, too). The
polynomials interpolate in Chebyshev's points, 60 digits: to 1e-16 on [0, 6.25], and for sqrt w on
[2.5, 4] and on [4, 6.25], beyond which there is no float64 but 1.
"""

from __future__ import annotations

from dlnsweep.simd.functions.logarithms import log_in_two
from dlnsweep.simd.functions.wide import Wide, fast_two_sum, two_sum

_NEAR = (
    1.6536545626831027, 0.2401581824255883, -0.006033670871426909, -0.0007407025341544301,
    0.0001867342080200925, -1.3882523394637344e-05, -1.3654691764135042e-06, 4.234788178266526e-07,
    -2.907039074871087e-08, -4.112661266924503e-09, 1.051223070748762e-09, -5.4142609576164565e-11,
    -1.2978692479994892e-11, 2.6303859148085384e-12, -8.074665167507013e-14, -3.998852309540432e-14,
    6.525767922399858e-15, -4.417003393665373e-17, -1.226305743260548e-16, 1.5992591736199305e-17,
    6.396664855709971e-19, -3.7848217521105335e-19, 1.8739434875095462e-20, 4.357475280244854e-21,
    -3.3795536525485224e-22, -1.9123778045391186e-23,
)  # fmt: skip
_MIDDLE = (
    3.0838856104922208, 1.0052589676941655, 0.005370914553555033, -0.0037512085082247342,
    0.00249144209795696, -0.0016882755354488555, 0.0009532893415794137, -0.0003550378137852452,
    2.4031512865758357e-05, 6.828711739251955e-05, -4.732068066544697e-05, 1.2465028224217455e-05,
    2.93257845538535e-06, -3.985705945648173e-06, 1.4815977874022539e-06, -2.761716223816241e-08,
    -2.4549818963339823e-07, 1.3158663683192966e-07, -2.091453334773126e-08,
    -1.5305397964152548e-08, 7.680200479077053e-09,
)  # fmt: skip
_FAR = (
    4.9761913900163, 1.0102562759886626, -0.00021259950370243848, -0.00017993907258273095,
    6.469075784980005e-05, -1.6589895202454618e-05, 3.7475770105931528e-06, -7.962392093991709e-07,
    1.6935912259771184e-07, -4.155464276082123e-08, 1.446743952095764e-08, -6.975466768308583e-09,
    3.6670700126525677e-09, -1.7660454170113896e-09, 7.137860072704944e-10, -2.4899637870012457e-10,
    7.810938261198494e-11, -7.711110707471003e-12, -1.017023886820903e-11, 3.7200474843457825e-12,
)  # fmt: skip
_INFINITY = float("inf")
_NAN = float("nan")


def erf_inv(x: Wide) -> Wide:
    """Return y with erf y = x; infinite at -1 and 1, NaN beyond."""
    w, w_rest = _minus_log(x)
    root = w.square_root()
    root_rest = ((-root).times_plus(root, w) + w_rest) / (root * 2.0)
    from_middle, lost = two_sum(w, x.number(-3.125))
    near, near_rest = _in_two(from_middle, lost + w_rest, _NEAR)
    # These differences are exact.
    middle, middle_rest = _in_two(root - 3.25, root_rest, _MIDDLE)
    far, far_rest = _in_two(root - 5.125, root_rest, _FAR)
    is_near, is_middle = w.compare("<", 6.25), root.compare("<", 4.0)
    slope = near.where(is_near, middle.where(is_middle, far))
    rest = near_rest.where(is_near, middle_rest.where(is_middle, far_rest))
    found = x.times_plus(slope, x * rest)
    end = x.number(_INFINITY).signed_as(x)
    size = x.absolute()
    found = end.where(size.compare("==", 1.0), found)
    found = x.number(_NAN).where(size.compare(">", 1.0), found)
    return x.where(x.compare("!=", x), found)


def _minus_log(x: Wide) -> tuple[Wide, Wide]:
    """Return -log(1 - x^2) as a sum of two."""
    square = x * x
    lost = x.times_plus(x, -square)
    total, more = two_sum(x.number(1.0), -square)
    left, rest = fast_two_sum(total, more - lost)
    high, low = log_in_two(left)
    return -high, -(low + rest / left)


def _in_two(x: Wide, rest: Wide, coefficients: tuple[float, ...]) -> tuple[Wide, Wide]:
    """Return sum_k c_k (x + rest)^k as a sum of two numbers; far from 0 its last terms cancel.

    To first order in the rest, and with the slope of the chord from 0 for that at x.
    """
    first, second, *others = coefficients
    chord, chord_rest = _plus(second, x, x.horner(tuple(others)))
    total, more = _plus(first, x, chord)
    return total, more + x.times_plus(chord_rest, chord * rest)


def _plus(term: float, x: Wide, factor: Wide) -> tuple[Wide, Wide]:
    """Return term + x factor, and what that has rounded off."""
    product = x * factor
    lost = x.times_plus(factor, -product)
    total, more = two_sum(x.number(term), product)
    return total, more + lost
