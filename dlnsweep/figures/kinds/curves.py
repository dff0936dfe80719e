"""Observables against the step: the median over the seeds with a band."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dlnsweep.figures import layout, style
from dlnsweep.figures.overlays import Overlay, draw_overlays
from dlnsweep.figures.panels import (
    Panel,
    band_note,
    curve_style,
    groups,
    left_out_note,
    legend_of,
    make_grid,
    make_room,
    mark_shares,
    not_finite_note,
    runs_of,
    scale_y,
)
from dlnsweep.figures.rates import (
    decay_rates,
    first_layer_rates,
    label_rates,
    overlays_as_rates,
    rate_window,
)
from dlnsweep.figures.records import Group, Records
from dlnsweep.figures.selected import of_selected_runs, overlays_of
from dlnsweep.figures.statistics import Results, Selection, Summary
from dlnsweep.figures.survivors import Shares, mark_curves
from dlnsweep.figures.theory import beyond_note
from dlnsweep.settings.figure_keys import shown_by
from dlnsweep.settings.figure_look import Framed
from dlnsweep.settings.figures import CurvesFigure


@of_selected_runs
def draw_curves(results: Results, keys: CurvesFigure, selection: Selection) -> Figure:
    """Draw one panel for each observable, one curve for each value of the hue."""
    overlays = overlays_of(results, keys, selection)
    records = Records(results, selection)
    grid = make_grid(keys, selection, keys.y)
    as_rates = keys.quantity == "decay_rate"
    if as_rates:
        overlays = overlays_as_rates(overlays, selection)
        label_rates(grid)
    per_panel: list[list[Summary]] = []
    shares: list[list[Shares]] = []
    drawn: list[Overlay] = []
    curves = [list(groups(keys, selection, grid, panel)) for panel in grid.panels]
    wanted = [
        _group(panel.observable, curve.runs, selection, as_rates)
        for panel, those in zip(grid.panels, curves, strict=True)
        for curve in those
    ]
    summaries = iter(records.summaries(wanted, keys.band, keys.quantiles))
    for panel, those in zip(grid.panels, curves, strict=True):
        shown = []
        shares.append([])
        for curve, summary in zip(those, summaries, strict=False):
            line = draw_summary(panel.ax, summary, color=curve.colour, **curve_style(keys, curve))
            grid.measured.append((curve, line))
            shares[-1].append(runs_of(selection, curve, line))
            shown.append(summary)
        drawn += draw_overlays(
            panel.ax, overlays, panel.observable, panel.where, (keys.hue, grid.colour_of)
        )  # fmt: skip
        scale_steps(keys, panel, keys.x_scale == "log", records)
        per_panel.append(shown)
    beyond, told = beyond_note(drawn, float(records.steps.max(initial=0)))
    notes = [
        *band_note(keys, [summary for shown in per_panel for summary in shown]),
        *layout.not_shown(selection, *shown_by(keys).values()),
        *not_finite_note(records.num_not_finite),
        *left_out_note(records.num_left_out),
        *scale_y(keys, grid, per_panel, drawn),
        *mark_shares(grid, shares, mark_curves),
        *beyond,
    ]
    make_room(keys, grid)
    legend, unseen = legend_of(keys, grid, drawn, told)
    layout.finish(grid.figure, keys, results, selection, [*notes, *unseen], legend)
    return grid.figure


def _group(observable: str, runs: np.ndarray, selection: Selection, as_rates: bool) -> Group:
    if not as_rates:
        return Group(observable, runs)
    units = first_layer_rates(selection.used.loc[runs])
    return Group(
        observable, runs, lambda x, table, window: decay_rates(x, table, units, window), rate_window
    )


def draw_summary(ax: Axes, summary: Summary, **line: Any) -> Line2D:
    """Draw a median as a line and its band behind it; return the line."""
    if summary.lower is not None and summary.upper is not None:
        ax.fill_between(
            summary.x, summary.lower, summary.upper, color=line["color"], alpha=0.2, linewidth=0
        )
    return ax.plot(summary.x, summary.median, **line)[0]


def scale_steps(keys: Framed, panel: Panel, log: bool, records: Records) -> None:
    """Scale and name a horizontal axis of steps."""
    ax = panel.ax
    style.set_x_scale(ax, log, records.steps, "step")
    if len(records.steps) > 1:
        ax.set_xlim(records.steps[0], records.steps[-1])
    if panel.lowest:
        ax.set_xlabel(layout.x_label(keys, "step $t$"))
