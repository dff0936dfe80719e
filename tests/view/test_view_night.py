"""Plotly's figures on dark paper: every colour that is read against it, and none of cells."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

pytest.importorskip("dash", reason="needs Dash: pip install 'dlnsweep[view]'")

from dlnsweep.figures.night import INK_COLOUR, by_night
from dlnsweep.view.night import colour_by_night, turn

LINE: dict[str, Any] = {
    "type": "scatter",
    "line": {"color": "#440154", "width": 2},
    "marker": {"color": "#440154", "line": {"color": "#ffffff"}, "size": [1, 2]},
    "fillcolor": "rgba(68, 1, 84, 0.2)",
    "error_y": {"color": "#440154", "array": [0.1]},
}
LAYOUT: dict[str, Any] = {
    "font": {"size": 12},
    "xaxis": {"type": "log"},
    "yaxis2": {"type": "log"},
    "annotations": [{"text": "2/3", "font": {"size": 10, "color": "#000000"}}],
    "shapes": [{"line": {"color": "#999999"}}],
}


def test_all_colours_of_lines_are_turned_and_nothing_else() -> None:
    figure = {"data": [deepcopy(LINE)], "layout": deepcopy(LAYOUT)}
    turn(figure)
    dark = by_night("#440154")
    red, green, blue = (int(dark[i : i + 2], 16) for i in (1, 3, 5))
    assert figure["data"] == [
        {
            "type": "scatter",
            "line": {"color": dark, "width": 2},
            "marker": {"color": dark, "line": {"color": by_night("#ffffff")}, "size": [1, 2]},
            "fillcolor": f"rgba({red}, {green}, {blue}, 0.2)",
            "error_y": {"color": dark, "array": [0.1]},
        }
    ]
    layout: dict[str, Any] = figure["layout"]
    assert layout["font"] == {"size": 12, "color": INK_COLOUR}
    assert layout["xaxis"]["color"] == layout["yaxis2"]["color"] == INK_COLOUR
    assert layout["annotations"][0]["font"]["color"] == by_night("#000000")
    assert layout["shapes"][0]["line"]["color"] == by_night("#999999")


def test_cells_and_what_lies_on_them_stay_as_they_are() -> None:
    cells = {"type": "heatmap", "colorscale": [[0, "#440154"]], "colorbar": {"len": 1}}
    figure = {"data": [deepcopy(cells), deepcopy(LINE)], "layout": deepcopy(LAYOUT)}
    turn(figure)
    assert figure["data"][0]["colorscale"] == cells["colorscale"]
    assert figure["data"][0]["colorbar"] == {"len": 1, "tickfont": {"color": INK_COLOUR}}
    assert figure["data"][1] == LINE
    assert figure["layout"]["annotations"] == LAYOUT["annotations"]
    assert figure["layout"]["xaxis"]["color"] == INK_COLOUR


@pytest.mark.parametrize("colour", ["rgba(0,0,0,0)", "rgb(68, 1, 84)", "red", ""])
def test_other_spellings_of_colours(colour: str) -> None:
    found = colour_by_night(colour)
    assert found.partition("(")[0] == colour.partition("(")[0]
    assert (found == colour) == ("(" not in colour)
    # What is seen through stays so.
    assert found.count(",") == colour.count(",")
    assert found.rpartition(",")[2] == "0)" or "rgba" not in colour
