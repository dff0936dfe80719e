"""The combinations of settings that a sweep has: axes crossed, and what is computed from them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Derived:
    """How the values of a computed setting are spread over the axes that it moves with.

    Attributes:
        text: The formula, as the file has it.
        reads: The settings that it names.
        axes: The axes that it moves with, by their first keys, in the order of all axes.
        places: For each combination of places on these axes, the last axis fastest, the place of
            the setting's value among its distinct ones.
    """

    text: str
    reads: tuple[str, ...]
    axes: tuple[str, ...]
    places: tuple[int, ...]


@dataclass(frozen=True)
class Space:
    """Axes, as a sweep file has them.

    Attributes:
        values: The values of each dotted setting, as far as they are right by themselves.
        axes: The settings that vary; those in one tuple move together.
        derived: Those that are computed: they are on no axis, and may have several values.
    """

    values: Mapping[str, Sequence[Any]]
    axes: Sequence[tuple[str, ...]] = ()
    derived: Mapping[str, Derived] = field(default_factory=dict)

    def axes_of(self, keys: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """Return the axes with which any of some settings moves, in the order of all axes."""
        moving = {first for key in keys if key in self.derived for first in self.derived[key].axes}
        return tuple(g for g in self.axes if g[0] in moving or set(g) & set(keys))

    def length(self, axis: Sequence[str]) -> int:
        """Return how many places an axis has."""
        # Where lists that move together differ in length, a sentence says so.
        return min(len(self.values[key]) for key in axis)

    def rows(self, keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Yield the values of some settings in each combination of the axes they move with.

        The last axis is fastest.
        """
        axes = self.axes_of(keys)
        number = {key: i for i, axis in enumerate(axes) for key in axis}
        lengths = [self.length(axis) for axis in axes]
        columns = []
        for key in keys:
            own = self.derived.get(key)
            if own is not None:
                numbers = [number[first] for first in own.axes]
                columns.append((self.values[key], numbers, own.places))
            else:
                numbers = [number[key]] if key in number else []
                columns.append((self.values[key], numbers, None))
        for at in itertools.product(*map(range, lengths)):
            row = []
            for values, numbers, places in columns:
                index = 0
                for i in numbers:
                    index = index * lengths[i] + at[i]
                row.append(values[index if places is None else places[index]])
            yield tuple(row)
