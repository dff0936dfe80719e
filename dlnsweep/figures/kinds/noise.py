"""The test errors at the end of training against the noise on the test measurements."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from dlnsweep.figures import layout, style
from dlnsweep.figures.kinds.curves import curve_style, draw_summary
from dlnsweep.figures.labels import network_among, observable_label, setting_label
from dlnsweep.figures.overlays import Overlay, draw_overlays
from dlnsweep.figures.panels import (
    band_note,
    groups,
    legend_of,
    make_grid,
    make_room,
    mark_shares,
    runs_of,
    scale_y,
)
from dlnsweep.figures.selected import of_selected_runs, overlays_of
from dlnsweep.figures.statistics import (
    Results,
    Selection,
    Summary,
    final_vectors,
    noise_levels,
    summarize,
)
from dlnsweep.figures.survivors import Shares, mark_curves
from dlnsweep.settings.figure_keys import shown_by
from dlnsweep.settings.figures import NoiseFigure


@of_selected_runs
def draw_noise(results: Results, keys: NoiseFigure, selection: Selection) -> Figure:
    """Draw one panel for each observable, one curve over the noise levels for each hue."""
    overlays = overlays_of(results, keys, selection)
    levels = noise_levels(results)
    grid = make_grid(keys, selection, keys.y)
    # A level of zero amplifies nothing.
    shown_levels = levels > 0 if keys.amplification else levels >= 0
    order = np.flatnonzero(shown_levels)[np.argsort(levels[shown_levels])]
    x = levels[order]
    divisor = x if keys.amplification else np.ones_like(x)
    per_panel: list[list[Summary]] = []
    shares: list[list[Shares]] = []
    drawn: list[Overlay] = []
    for panel in grid.panels:
        values = final_vectors(selection, panel.observable)[:, order] / divisor
        shown = []
        shares.append([])
        for curve in groups(keys, selection, grid, panel):
            summary = summarize(x, values[curve.runs].T, keys.band, keys.quantiles)
            look = curve_style(keys, curve) | {"markevery": None}
            line = draw_summary(panel.ax, summary, color=curve.colour, **look)
            grid.measured.append((curve, line))
            shares[-1].append(runs_of(selection, curve, line))
            shown.append(summary)
        drawn += draw_overlays(
            panel.ax, overlays, panel.observable, panel.where, (keys.hue, grid.colour_of)
        )  # fmt: skip
        style.set_x_scale(panel.ax, keys.x_scale == "log", x, "record.noise_levels")
        if panel.lowest:
            panel.ax.set_xlabel(layout.x_label(keys, setting_label("record.test_noise")))
        if keys.amplification and panel.ax.get_ylabel():
            label = observable_label(panel.observable, network_among(selection.runs))
            panel.ax.set_ylabel(layout.y_label(keys, panel.observable, f"{label} $/\\,σ$"))
        per_panel.append(shown)
    notes = [
        "at the end",
        *band_note(keys, [summary for shown in per_panel for summary in shown]),
        *layout.not_shown(selection, *shown_by(keys).values()),
        *scale_y(keys, grid, per_panel, drawn),
        *mark_shares(grid, shares, mark_curves),
    ]
    make_room(keys, grid)
    legend, unseen = legend_of(keys, grid, drawn)
    layout.finish(grid.figure, keys, results, selection, [*notes, *unseen], legend)
    return grid.figure
