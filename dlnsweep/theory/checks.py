"""Whether a figure can draw the formulas that its `theory` names, as sentences. Without NumPy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from dlnsweep.settings.sentences import show
from dlnsweep.theory.curves import THEORY_CURVES


def check_theory(
    names: Sequence[str],
    across: str,
    observables: Sequence[str],
    settings: Mapping[str, Sequence[Any]],
    axes: Sequence[str] = (),
) -> Iterator[str]:
    """Yield the end of a sentence for each name that cannot be drawn, after "figure.".

    Args:
        names: What the figure asks for.
        across: What stands on its horizontal axis, as `FigureKind.axis` says.
        observables: Those that the figure draws.
        settings: The values that settings have; what is not known is not checked.
        axes: The settings on the axes of a heatmap.
    """
    for index, name in enumerate(names):
        place = f"theory[{index}] is {show(name)}"
        curve = THEORY_CURVES.get(name)
        if curve is None:
            close = get_close_matches(name, THEORY_CURVES, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            yield f"{place}; it must be one of {', '.join(THEORY_CURVES)}.{hint}"
        elif curve.setting and (across != "cells" or curve.setting not in axes):
            yield (
                f"{place}, a value of {curve.setting}: a line over the cells of kind = 'heatmap' "
                "with that as x or y."
            )
        elif across == "cells" and not curve.setting:
            beside = " or ".join(curve.observables)
            yield f"{place}, which stands beside {beside} in figures of other kinds."
        elif not curve.setting and not set(curve.observables) & set(observables):
            yield f"{place}, which stands beside {' or '.join(curve.observables)}; add it to y."
        elif curve.vertical and across != "step":
            yield f"{place}, which is a step; only kind = 'curves' has steps on its axis."
        elif curve.why_not(settings):
            yield f"{place}, which {curve.why_not(settings)}; no run of this sweep has that."
