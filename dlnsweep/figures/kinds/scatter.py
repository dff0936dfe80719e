"""One observable against another, a point for each run."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from dlnsweep.figures import layout, style
from dlnsweep.figures.kinds.final import at_note, missing_note
from dlnsweep.figures.labels import observable_label
from dlnsweep.figures.panels import groups, legend_of, make_grid, network_of
from dlnsweep.figures.records import Records
from dlnsweep.figures.statistics import Results, Selection
from dlnsweep.settings.figures import ScatterFigure


def draw_scatter(results: Results, keys: ScatterFigure, selection: Selection) -> Figure:
    """Draw one panel for each observable of `y`: its value in each run against that of `x`."""
    records = Records(results, selection)
    grid = make_grid(keys, selection, keys.y)
    x = records.per_run(keys.x, keys.at)
    missing = 0
    notes: dict[str, None] = {}
    for panel in grid.panels:
        y = records.per_run(panel.observable, keys.at)
        drawn: list[np.ndarray] = []
        for index, hue, colour, runs in groups(keys, selection, grid, panel):
            there = runs & np.isfinite(x) & np.isfinite(y)
            missing = max(missing, int((runs & ~there).sum()))
            look = {**style.marker_style(index), "markevery": None, "linestyle": "none"}
            (points,) = panel.ax.plot(x[there], y[there], color=colour, alpha=0.8, **look)
            grid.measured.append((hue, points))
            drawn.append(there)
        shown = np.any(drawn, axis=0) if drawn else np.zeros(len(x), dtype=bool)
        style.set_x_scale(panel.ax, style.is_log(keys.x_scale, x[shown]), x[shown], keys.x)
        notes |= dict.fromkeys(style.cut_x(panel.ax, (keys.x_min, keys.x_max)))
        log, ends = keys.y_scale == "log", (keys.y_min, keys.y_max)
        notes |= dict.fromkeys(style.set_y_scale(panel.ax, log, [y[shown]], [], ends))
        if panel.lowest:
            panel.ax.set_xlabel(observable_label(keys.x, network_of(selection)))
    small = [
        "each point is one run",
        *at_note(keys.at),
        *layout.not_shown(selection, keys.hue, keys.panel_by),
        *missing_note(missing),
        *notes,
    ]
    (title, handles), unseen = legend_of(keys, grid, ())
    for handle in handles:
        handle.set_linestyle("none")
    layout.finish(grid.figure, keys, results, selection, [*small, *unseen], (title, handles))
    return grid.figure
