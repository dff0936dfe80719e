"""A figure of Plotly's on dark paper: its colours by night, where they are read against paper."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from dlnsweep.figures.night import INK_COLOUR, by_night

_NAMED = re.compile(r"#[0-9a-f]{6}")
_MIXED = re.compile(r"rgba?\((\d+), ?(\d+), ?(\d+)(.*)\)")
_COLOURS = ("color", "fillcolor")


def turn(figure: dict[str, Any]) -> None:
    """Give a figure its colours on dark paper.

    Where there are cells, which are read beside their bar, what lies on them keeps its colours.

    Args:
        figure: Its data and layout, which are changed.
    """
    layout = figure["layout"]
    layout["font"] = {**layout.get("font", {}), "color": INK_COLOUR}
    for key, axis in layout.items():
        if key.startswith(("xaxis", "yaxis")):
            axis["color"] = INK_COLOUR
    data = figure["data"]
    for trace in data:
        if trace.get("type") == "heatmap":
            bar = trace.get("colorbar", {})
            bar["tickfont"] = {**bar.get("tickfont", {}), "color": INK_COLOUR}
            return
    _turn([*data, *layout.get("annotations", ()), *layout.get("shapes", ())])


def colour_by_night(colour: str) -> str:
    """Return what a colour, as Plotly writes it, is on dark paper; as it is if it is no such."""
    if _NAMED.fullmatch(colour):
        return by_night(colour)
    if mixed := _MIXED.fullmatch(colour):
        red, green, blue = (int(mixed[i]) for i in (1, 2, 3))
        turned = by_night(f"#{red:02x}{green:02x}{blue:02x}")
        parts = ", ".join(str(int(turned[i : i + 2], 16)) for i in (1, 3, 5))
        return f"{colour.partition('(')[0]}({parts}{mixed[4]})"
    return colour


def _turn(found: Iterable[Any]) -> None:
    for each in found:
        if not isinstance(each, dict):
            continue
        for key in _COLOURS:
            if isinstance(each.get(key), str):
                each[key] = colour_by_night(each[key])
        _turn(value for value in each.values() if isinstance(value, dict))
