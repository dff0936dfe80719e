"""One observable against another, a point for each run."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from dlnsweep.figures import layout, style
from dlnsweep.figures.final import at_note, missing_note
from dlnsweep.figures.labels import observable_label
from dlnsweep.figures.panels import groups, make_grid, network_of
from dlnsweep.figures.records import Records
from dlnsweep.figures.settings import ScatterFigure
from dlnsweep.figures.statistics import Results, Selection


def draw_scatter(results: Results, keys: ScatterFigure, selection: Selection) -> Figure:
    """Draw one panel for each observable of `y`: its value in each run against that of `x`."""
    records = Records(results, selection)
    grid = make_grid(keys, selection, keys.y)
    x = records.per_run(keys.x, keys.at)
    missing = 0
    for panel in grid.panels:
        y = records.per_run(panel.observable, keys.at)
        drawn: list[np.ndarray] = []
        for index, _, colour, runs in groups(keys, selection, grid, panel):
            there = runs & np.isfinite(x) & np.isfinite(y)
            missing = max(missing, int((runs & ~there).sum()))
            look = {**style.marker_style(index), "markevery": None, "linestyle": "none"}
            panel.ax.plot(x[there], y[there], color=colour, alpha=0.8, **look)
            drawn.append(there)
        shown = np.any(drawn, axis=0) if drawn else np.zeros(len(x), dtype=bool)
        style.set_x_scale(panel.ax, style.is_log(keys.x_scale, x[shown]), x[shown], keys.x)
        style.set_y_scale(panel.ax, keys.y_scale == "log", [y[shown]], [])
        if panel.lowest:
            panel.ax.set_xlabel(observable_label(keys.x, network_of(selection)))
    notes = [
        "each point is one run",
        *at_note(keys.at),
        *layout.pooled(selection, keys.hue, keys.panel_by),
        *missing_note(missing),
    ]
    title, handles = layout.legend_of(keys.hue, grid.hues, grid.colour_of, ())
    for handle in handles:
        handle.set_linestyle("none")
    layout.finish(grid.figure, keys, results, selection, notes, (title, handles))
    return grid.figure
