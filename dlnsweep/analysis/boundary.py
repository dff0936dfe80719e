"""Boundaries along an axis: between which neighbouring values runs begin or cease to succeed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Logarithms differ in the last digits from machine to machine, and a run is told by its numbers.
_DIGITS = 12


@dataclass(frozen=True)
class Bracket:
    """Two neighbouring values, of which one succeeds and the other does not.

    Attributes:
        low: The smaller value.
        high: The larger one.
        rises: Whether it is the larger one that succeeds.
    """

    low: float
    high: float
    rises: bool

    def width(self) -> float:
        """Return the distance of the ends over the larger of their sizes."""
        return (self.high - self.low) / max(abs(self.low), abs(self.high))


def brackets(shares: Mapping[float, float]) -> list[Bracket]:
    """Return every boundary along an axis, in ascending order.

    Args:
        shares: For each value of the axis the share of its runs that succeed; half is enough.
    """
    values = sorted(shares)
    passes = [shares[value] >= 0.5 for value in values]
    return [
        Bracket(values[i], values[i + 1], passes[i + 1])
        for i in range(len(values) - 1)
        if passes[i] != passes[i + 1]
    ]


def values_between(
    bracket: Bracket, points: int, spacing: str, tolerance: float, *, whole: bool
) -> list[Any]:
    """Return the values that the next round tries in a bracket; none where it is narrow enough.

    Args:
        bracket: The boundary as far as it is known.
        points: How many values, at equal distances.
        spacing: "log" or "linear": what is equal, their ratios or their differences.
        tolerance: The relative width at which a boundary is known.
        whole: Whether the axis is one of integers.
    """
    low, high = bracket.low, bracket.high
    if bracket.width() <= tolerance:
        return []
    parts = [(i + 1) / (points + 1) for i in range(points)]
    if spacing == "log":
        found = [math.exp((1 - t) * math.log(low) + t * math.log(high)) for t in parts]
    else:
        found = [(1 - t) * low + t * high for t in parts]
    if whole:
        return sorted({round(value) for value in found} - {low, high})
    return sorted({float(f"{value:.{_DIGITS}g}") for value in found} - {low, high})
