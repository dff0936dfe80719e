"""[sweep.refine] in a sweep file: what is wrong with it, and the same sweep with more values.

A round is the sweep of the rounds before it with more values of one axis, other ones in each
combination of the other axes. It is written as blocks, and read as any sweep.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.settings.refine import Refine
from dlnsweep.settings.sentences import did_you_mean, show

Row = tuple[Any, ...]
_AXES_OF_SWEEP = ("zip", "block", "samples", "sample_seed", "sampler")


def check_refine(
    values: Mapping[str, Sequence[Any]],
    varying: Collection[str],
    known: Sequence[str],
    others: Mapping[str, str],
) -> Iterator[str]:
    """Check what [sweep.refine] says.

    Args:
        values: The values of the settings that are right.
        varying: The settings with several values.
        known: All settings.
        others: For settings that cannot be refined, what they are.
    """
    refine: Refine | None = values.get("sweep.refine", (None,))[0]
    if refine is None:
        return
    key, place = refine.between, "sweep.refine.between"
    if key not in known:
        yield f"{place} is {show(key)}, which is not a setting{did_you_mean(key, known)}"
    elif key in others:
        yield f"{place} is {show(key)}, {others[key]}; it must be an axis with values of its own."
    elif key in values and key not in varying:
        yield (
            f"{place} is {show(key)}, which has one value; give it those between which the "
            "boundary lies, such as { from = 1e-3, to = 10, count = 9 }."
        )
    elif key in values and refine.spacing == "log" and min(values[key]) <= 0:
        yield (
            f"{place} is {show(key)}, which has the value {show(min(values[key]))}; "
            'set sweep.refine.spacing = "linear", or take positive values only.'
        )
    names = values.get("record.observables", ((),))[0] or ()
    scalars = [name for name in names if name in OBSERVABLES and OBSERVABLES[name].size is None]
    for each in refine.success:
        if each.observable not in scalars:
            yield (
                f"sweep.refine.success names {show(each.observable)}; it must be a recorded "
                f"scalar observable: {', '.join(scalars) or 'none is recorded'}."
            )


def most_values(values: Sequence[float], refine: Refine) -> int:
    """Return how many values the rounds try at most for a boundary between two neighbours.

    Args:
        values: Those of the file.
        refine: How finely it is asked for.
    """
    known = sorted({*values})
    whole = all(isinstance(value, int) for value in known)
    needed = 0
    for low, high in itertools.pairwise(known):
        rounds = 0
        while rounds < refine.max_rounds and _width(low, high, rounds, refine) > refine.tolerance:
            rounds += 1
        tried = rounds * refine.points
        # Between two integers there are no more.
        needed = max(needed, min(tried, int(high - low) - 1) if whole else tried)
    return needed


def _width(low: float, high: float, rounds: int, refine: Refine) -> float:
    """Return the relative width of a bracket within two values after so many rounds, at most."""
    parts = float(refine.points + 1) ** rounds
    if refine.spacing == "log":
        return -math.expm1(-math.log(high / low) / parts)
    piece = (high - low) / parts
    # The one that is nearest to zero has the smallest numbers.
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return piece / (nearest + piece)


def as_blocks(
    document: Mapping[str, Any], keys: Sequence[str], rows: Sequence[Row], between: str
) -> dict[str, Any]:
    """Return a sweep file's document with its axes written out as blocks.

    Args:
        document: The document.
        keys: The settings that vary.
        rows: A value of each of them in every combination.
        between: The one whose values are listed in a block for each combination of the others.
    """
    found = copy.deepcopy(dict(document))
    options = {k: v for k, v in found.get("sweep", {}).items() if k not in _AXES_OF_SWEEP}
    place = keys.index(between)
    together: dict[Row, list[Any]] = {}
    for row in rows:
        together.setdefault((*row[:place], *row[place + 1 :]), []).append(row[place])
    others = [key for key in keys if key != between]
    for key in keys:
        section, _, name = key.partition(".")
        found.get(section, {}).pop(name, None)
    options["block"] = [
        {**dict(zip(others, combination, strict=True)), between: sorted(set(values))}
        for combination, values in together.items()
    ]
    return found | {"sweep": options}
