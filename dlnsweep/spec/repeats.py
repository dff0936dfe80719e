"""How many runs a sweep has: combinations that differ only in what they do not use are one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from dlnsweep.settings.base import Settings


def num_combinations(
    classes: Mapping[str, type[Settings]],
    values: Mapping[str, Sequence[Any]],
    axes: Sequence[tuple[str, ...]],
) -> int:
    """Return the number of different combinations of the axes' values.

    Args:
        classes: The settings class of each section.
        values: The values of each dotted setting.
        axes: The settings that vary; those in one tuple move together.
    """
    varying = {key for group in axes for key in group}
    used: dict[str, tuple[str, frozenset[str]]] = {}
    for section, settings in classes.items():
        for key, use in settings.used_by.items():
            dotted, chooser = f"{section}.{key}", f"{section}.{use.chooser}"
            if {dotted, chooser} <= varying:
                used[dotted] = chooser, frozenset(use.choices)
    mixed = {*used, *(chooser for chooser, _ in used.values())}
    together = [group for group in axes if mixed & set(group)]
    apart = [len(values[group[0]]) for group in axes if not mixed & set(group)]
    keys = [key for group in together for key in group]
    rows = itertools.product(
        *(list(zip(*(values[key] for key in group), strict=True)) for group in together)
    )
    found = set()
    for row in rows:
        run = dict(zip(keys, itertools.chain(*row), strict=True))
        found.add(
            tuple(
                None if key in used and run[used[key][0]] not in used[key][1] else value
                for key, value in run.items()
            )
        )
    return math.prod(apart) * len(found)
