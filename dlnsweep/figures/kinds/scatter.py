"""One observable against another, or against a setting: a point for each run."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from dlnsweep.figures import binned, layout, style
from dlnsweep.figures.kinds.final import missing_note
from dlnsweep.figures.labels import network_among, setting_label, value_label
from dlnsweep.figures.panels import groups, legend_of, make_grid
from dlnsweep.figures.records import Records
from dlnsweep.figures.selected import of_selected_runs
from dlnsweep.figures.statistics import Results, Selection, column_of
from dlnsweep.settings.at import words
from dlnsweep.settings.figure_keys import ends_of, shown_by
from dlnsweep.settings.figures import ScatterFigure


@of_selected_runs
def draw_scatter(results: Results, keys: ScatterFigure, selection: Selection) -> Figure:
    """Draw one panel for each observable of `y`: its value in each run against that of `x`."""
    records = Records(results, selection)
    grid = make_grid(keys, selection, keys.y)
    label = value_label(keys.x, network_among(selection.runs), keys.at)
    if keys.x_is_setting:
        label = setting_label(keys.x)
        x = column_of(selection.used, keys.x).to_numpy(dtype=float, na_value=np.nan)
    else:
        x = records.per_run(keys.x, keys.at)
    missing, some = 0, False
    notes: dict[str, None] = {}
    values = {name: records.per_run(name, keys.at) for name in keys.y}
    # What is not positive has no geometric mean.
    geometric = keys.y_scale == "log" and not any((y <= 0).any() for y in values.values())
    for panel in grid.panels:
        y = values[panel.observable]
        drawn: list[np.ndarray] = []
        for curve in groups(keys, selection, grid, panel):
            runs, colour = curve.runs, curve.colour
            there = runs & np.isfinite(x) & np.isfinite(y)
            missing = max(missing, int((runs & ~there).sum()))
            look = {
                "alpha": 0.8,
                **curve.look,
                "markevery": None,
                "linestyle": "none",
            }
            if keys.bins is not None and there.any():
                # Behind the median, which is drawn in the same colour.
                look["alpha"] = 0.35
                if keys.partial_dependence:
                    told = binned.draw_dependence(
                        panel.ax, selection, there, keys.x, y[there], keys.bins, colour,
                        geometric=geometric,
                    )  # fmt: skip
                    notes |= dict.fromkeys(told)
                else:
                    binned.draw_medians(panel.ax, x[there], y[there], keys.bins, colour)
            (points,) = panel.ax.plot(x[there], y[there], color=colour, **look)
            grid.measured.append((curve, points))
            drawn.append(there)
        shown = np.any(drawn, axis=0) if drawn else np.zeros(len(x), dtype=bool)
        some |= bool(shown.any())
        style.set_x_scale(panel.ax, style.is_log(keys.x_scale, x[shown]), x[shown], keys.x)
        notes |= dict.fromkeys(style.cut_x(panel.ax, (keys.x_min, keys.x_max)))
        log, told = style.is_log_axis(keys.y_scale, keys.at, [y[shown]])
        notes |= dict.fromkeys(told)
        ends = ends_of(keys, panel.observable)
        notes |= dict.fromkeys(style.set_y_scale(panel.ax, log, [y[shown]], [], ends))
        if panel.lowest:
            panel.ax.set_xlabel(layout.x_label(keys, label))
    small = [
        "each point is one run" if some else "nothing to draw",
        *binned.words(keys.bins, dependence=keys.partial_dependence, geometric=geometric),
        words(keys.at),
        *layout.not_shown(
            selection,
            *shown_by(keys).values(),
            points=keys.x if keys.x_is_setting else None,
        ),
        *missing_note(missing),
        *notes,
    ]
    (title, handles), unseen = legend_of(keys, grid, ())
    for handle in handles:
        if handle.get_marker() not in (None, "None"):
            handle.set_linestyle("none")
    layout.finish(grid.figure, keys, results, selection, [*small, *unseen], (title, handles))
    return grid.figure
