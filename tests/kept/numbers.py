"""Numbers as the texts print them, and what a printed number allows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite

_RAISED = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
_LOWERED = str.maketrans(_RAISED + "−", "-0123456789-")
# 13.86, 1 497 (thousands apart), 3e-4, 9.1·10⁻⁴, 10⁻³.
NUMBER = (
    rf"[-−]?(?:10[{_RAISED}]+"
    rf"|(?:\d{{1,3}}(?: \d{{3}})+(?!\d)|\d+)(?:\.\d+)?(?:e[-−+]?\d+|·10[{_RAISED}]+)?)"
)
# Kept tables hold four significant digits or more.
TABLE_ROUNDING = 5e-4
# What "some" and "about" may be beside the number.
ABOUT = 0.2


@dataclass(frozen=True)
class Printed:
    """A number of a text: its value, and half a unit of its last digit."""

    value: float
    half: float


def read(printed: str) -> Printed:
    """Return what a printed number says."""
    plain = printed.replace(" ", "")
    if re.fullmatch(rf"[-−]?10[{_RAISED}]+", plain):
        sign = -1.0 if plain[0] in "-−" else 1.0
        power = int(plain.lstrip("-−")[2:].translate(_LOWERED))
        return Printed(sign * 10.0**power, 0.5 * 10.0**power)
    mantissa, _, power = plain.translate(_LOWERED).replace("·10", "e").partition("e")
    digits = len(mantissa.partition(".")[2])
    scale = int(power or 0)
    return Printed(float(mantissa + f"e{scale}"), 0.5 * 10.0 ** (scale - digits))


@dataclass(frozen=True)
class AtMost:
    """A printed number that nothing of the table exceeds: "within 2 %", "below 3e-6"."""

    value: float


@dataclass(frozen=True)
class AtLeast:
    """A printed number that everything of the table reaches: "at least 20"."""

    value: float


@dataclass(frozen=True)
class About:
    """A number printed after "some" or "about": right within a fifth."""

    value: float


Value = float | int | AtMost | AtLeast | About


def fits(printed: str, value: Value) -> bool:
    """Return whether a printed number is the value of the table, rounded to its own digits."""
    said = read(printed)
    if isinstance(value, AtMost):
        return value.value <= said.value
    if isinstance(value, AtLeast):
        return value.value >= said.value
    if isinstance(value, About):
        return abs(said.value - value.value) <= ABOUT * abs(value.value)
    if not isfinite(value):
        return False
    if isinstance(value, int) and said.half == 0.5:
        return said.value == value
    # Just above half a unit: the printed number may have been rounded from more digits.
    return abs(said.value - value) <= said.half * (1 + 1e-9) + TABLE_ROUNDING * abs(value)
