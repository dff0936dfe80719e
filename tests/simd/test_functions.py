"""The vector functions: to 2 units in the last place over their whole range, in both precisions."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from simd_samples import compiled

# NumPy's long double has 64 bits of 53: a reference to 2^-11 of a unit in the last place.
LONG = np.longdouble
INFINITY, NAN = np.inf, np.nan
SPECIAL = (
    0.0, -0.0, INFINITY, -INFINITY, NAN, 5e-324, -5e-324, 2.2250738585072014e-308, 1.0, -1.0, 0.5,
    2.0, 1.7976931348623157e308, -1.7976931348623157e308,
)  # fmt: skip
RANDOM = np.random.default_rng(20)


def spread(low: float, high: float, count: int = 2000) -> np.ndarray:
    """Return numbers whose logarithms are spread evenly."""
    return np.exp(RANDOM.uniform(np.log(low), np.log(high), count))


def both_signs(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, -values])


def units(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the distances in units of the last place of what is wanted."""
    with np.errstate(all="ignore"):
        rounded = wanted.astype(found.dtype)
        unit = np.spacing(np.abs(rounded)).astype(LONG)
        apart = np.abs(found.astype(LONG) - wanted) / unit
    same = (found == rounded) | (np.isnan(found) & np.isnan(rounded))
    finite = np.isfinite(found) & np.isfinite(rounded)
    return np.where(same, 0.0, np.where(finite, apart, INFINITY).astype(float))


def logistic(x: np.ndarray) -> np.ndarray:
    return np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x)))


near_one = 1 + both_signs(spread(1e-16, 0.1))
around_zero = both_signs(spread(1e-300, 1.0))
CASES: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "exp": (np.exp, [RANDOM.uniform(-746, 711, 4000), around_zero, [709.78, 709.8, -746]]),
    "expm1": (np.expm1, [RANDOM.uniform(-60, 711, 4000), RANDOM.uniform(-2, 2, 4000), around_zero]),
    # Its formula changes at 0.74 times (ln 2) / 2, and that further, again and again.
    "tanh": (np.tanh, [RANDOM.uniform(-25, 25, 4000), RANDOM.uniform(-1, 1, 4000), around_zero,
                       both_signs((0.74 + RANDOM.integers(0, 62, 4000)) * np.log(2) / 2 +
                       RANDOM.uniform(-1e-3, 1e-3, 4000)), 0.2565 + both_signs(spread(1e-16, 1e-4)),
                       RANDOM.uniform(0.25, 0.35, 40_000), RANDOM.uniform(18, 23, 4000)]),
    "logistic": (logistic, [RANDOM.uniform(-746, 50, 4000), RANDOM.uniform(-4, 4, 4000)]),
    # Beyond some 1e4 the long double of pi that NumPy's own reduction has is too short near zeros.
    "cos": (np.cos, [RANDOM.uniform(-7, 7, 4000), RANDOM.uniform(-2000, 2000, 4000), around_zero]),
    "sin": (np.sin, [RANDOM.uniform(-7, 7, 4000), RANDOM.uniform(-2000, 2000, 4000), around_zero]),
    "asin": (np.arcsin, [RANDOM.uniform(-1.01, 1.01, 4000), around_zero, 1 - spread(1e-16, 0.5)]),
    "acos": (np.arccos, [RANDOM.uniform(-1.01, 1.01, 4000), around_zero, 1 - spread(1e-16, 0.5),
                         spread(1e-16, 0.5) - 1]),
    "log": (np.log, [spread(5e-324, 1.7e308), RANDOM.uniform(0.3, 3, 4000), near_one]),
    "log1p": (np.log1p, [spread(5e-324, 1.7e308), RANDOM.uniform(-1, 3, 4000), around_zero / 1.01,
                         spread(1e-16, 0.5) - 1]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_function_is_right_to_two_units_everywhere(name: str):
    assert np.finfo(LONG).nmant >= 63
    reference, parts = CASES[name]
    # The long double of a large x has no logistic function by the formula above.
    special = [x for x in SPECIAL if name not in ("logistic", "cos", "sin") or not abs(x) > 1e300]
    x = np.concatenate([*parts, special])
    with np.errstate(all="ignore"):
        assert units(compiled(name)(x), reference(x.astype(LONG))).max() < 2
        single = x.astype(np.float32)
        wanted = reference(single.astype(LONG))
    assert units(compiled(name, np.float32)(single), wanted).max() < 2


def test_the_ends_of_exp_and_logistic():
    assert compiled("exp")(np.array([709.782712893384, 709.7827128933841, -745.14])).tolist() == [
        1.7976931348622732e308, INFINITY, 0.0,
    ]  # fmt: skip
    assert compiled("logistic")(np.array([INFINITY, -INFINITY, 1e308, -1e308])).tolist() == [
        1.0, 0.0, 1.0, 0.0,
    ]  # fmt: skip


def test_powers_are_right_to_two_units_everywhere():
    x = np.concatenate([spread(1e-3, 1e3), spread(5e-324, 1.7e308), RANDOM.uniform(0.5, 1.5, 2000)])
    y = np.concatenate([RANDOM.uniform(-100, 100, 2000), RANDOM.uniform(-1, 1, 2000),
                        RANDOM.uniform(-1000, 1000, 2000)])  # fmt: skip
    with np.errstate(all="ignore"):
        assert units(compiled("pow", count=2)(x, y), np.power(x.astype(LONG), y)).max() < 2
    # Adam's: 1 - beta^t.
    beta, steps = np.full(1000, 0.999), np.arange(1.0, 1e6, 1e3)
    wanted = np.power(beta.astype(LONG), steps)
    assert units(compiled("pow", count=2)(beta, steps), wanted).max() < 2


def test_powers_of_what_is_no_ordinary_number_are_those_of_c():
    bases = np.array([*SPECIAL, -0.5, -2.0, 3.0, -3.0])
    powers = np.array([0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, 2.5, INFINITY, -INFINITY,
                       NAN, 1e300, 1075.0, -1075.0])  # fmt: skip
    x, y = (each.ravel() for each in np.meshgrid(bases, powers))
    with np.errstate(all="ignore"):
        found, wanted = compiled("pow", count=2)(x, y), np.power(x.astype(LONG), y)
        assert units(found, wanted).max() < 2
        signs = np.isnan(found) | (np.signbit(found) == np.signbit(np.power(x, y)))
    assert signs.all()


def test_angles_are_right_to_two_units_everywhere():
    wide = both_signs(spread(1e-323, 1.7e308, 4000))
    # Beside the axes, the diagonals, and where the formula changes.
    close = RANDOM.uniform(-1, 1, 4000)
    y = np.concatenate([RANDOM.permutation(wide), close, close, 0.41421356237309503 * close])
    x = np.concatenate([wide, RANDOM.uniform(-1, 1, 4000), close * (1 + RANDOM.uniform(-1e-9, 1e-9,
                        4000)), close * (1 + RANDOM.uniform(-1e-9, 1e-9, 4000))])  # fmt: skip
    with np.errstate(all="ignore"):
        found = compiled("atan2", count=2)(y, x)
        assert units(found, np.arctan2(y.astype(LONG), x.astype(LONG))).max() < 2
        single = y.astype(np.float32), x.astype(np.float32)
        found = compiled("atan2", np.float32, count=2)(*single)
        assert units(found, np.arctan2(*(each.astype(LONG) for each in single))).max() < 2
        y, x = (each.ravel() for each in np.meshgrid(SPECIAL, SPECIAL))
        found = compiled("atan2", count=2)(y, x)
        assert units(found, np.arctan2(y.astype(LONG), x.astype(LONG))).max() < 2
        signs = np.isnan(found) | (np.signbit(found) == np.signbit(np.arctan2(y, x)))
    assert signs.all()


def complement(x: float) -> Decimal:
    """Return erfc x to 30 digits: the series up to 3, from there the continued fraction."""
    with localcontext() as context:
        context.prec = 60
        z, root_pi = (
            Decimal(x),
            Decimal("3.14159265358979323846264338327950288419716939937510").sqrt(),
        )
        if z <= 3:
            total, term, k = Decimal(0), z, 0
            while abs(term) > Decimal("1e-50") * max(abs(total), Decimal("1e-300")):
                total += term / (2 * k + 1)
                k += 1
                term *= -z * z / k
            return 1 - 2 * total / root_pi
        # (Abramowitz and Stegun 1964, 7.1.14)
        tail = z
        for k in range(300, 0, -1):
            tail = z + Decimal(k) / 2 / tail
        return (-z * z).exp() / root_pi / tail


def test_the_error_functions_are_right_to_two_units_everywhere():
    x = np.concatenate([
        RANDOM.uniform(-1.2, 1.2, 300), RANDOM.uniform(-6, 6, 300), RANDOM.uniform(6, 28, 150),
        [0.5, 1.0, -0.5, -1.0, 3.0, 27.2, 26.5, 1e-10, 1e-300, 5e-324],
    ])  # fmt: skip
    below = [complement(value) for value in x]
    digits = np.array([LONG(f"{value:.25e}") for value in below])
    assert units(compiled("erfc")(x), digits).max() < 2
    # 1 - erfc, with 30 digits left where it cancels; below 1e-9 it is 2 x / sqrt pi.
    small = LONG("1.12837916709551257389615890312154517")
    cut = np.array([
        small * LONG(v) if abs(v) < 1e-9 else LONG(f"{1 - d:.25e}")
        for v, d in zip(x, below, strict=True)
    ])  # fmt: skip
    assert units(compiled("erf")(x), cut).max() < 2
    ends = np.array([INFINITY, -INFINITY, NAN, -0.0, 30.0])
    np.testing.assert_array_equal(compiled("erf")(ends), [1, -1, NAN, -0.0, 1])
    np.testing.assert_array_equal(compiled("erfc")(ends), [0, 2, NAN, 1, 0])


def test_large_angles_are_reduced():
    # Near multiples of pi, where almost all of x cancels, and far out.
    for x in (22.0, 355.0, 1e5, 2.0**39 + 0.5, 710.0 * 11):
        with localcontext() as context:
            context.prec = 60
            wanted = LONG(f"{decimal_sine(Decimal(x)):.25e}")
        assert units(compiled("sin")(np.array([x])), np.array([wanted]))[0] < 2
    assert np.isnan(compiled("cos")(np.array([1e300, INFINITY, -INFINITY, NAN]))).all()


PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")


def decimal_sine(x: Decimal) -> Decimal:
    x = x - (x / PI / 2).to_integral_value() * 2 * PI
    total, term, k = Decimal(0), x, 1
    while abs(term) > Decimal("1e-45"):
        total += term
        term *= -x * x / (2 * k) / (2 * k + 1)
        k += 1
    return total


def test_the_inverse_of_erf_is_right_to_two_units_everywhere():
    tiny = np.exp2(-RANDOM.uniform(1, 53, 150))
    x = np.concatenate([RANDOM.uniform(-1, 1, 200), 1 - tiny, tiny - 1, tiny, [1e-300, 5e-324]])
    x = x[np.abs(x) < 1]
    found = compiled("erf_inv")(x)
    for value, y in zip(x.tolist(), found.tolist(), strict=True):
        with localcontext() as context:
            context.prec = 60
            # How far y is from the root, by the slope of erf: -2 / sqrt pi e^(-y^2).
            off = complement(abs(y)) - (1 - Decimal(abs(value)))
            slope = 2 / PI.sqrt() * (-(Decimal(y) ** 2)).exp()
            assert abs(off / slope) < 2 * Decimal(float(np.spacing(abs(y)))), value
    ends = compiled("erf_inv")(np.array([1.0, -1.0, 1.5, NAN]))
    np.testing.assert_array_equal(ends, [INFINITY, -INFINITY, NAN, NAN])
