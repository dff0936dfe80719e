"""Each entry of a vector observable, above all the singular values, against the step."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from dlnsweep.figures import layout, looks
from dlnsweep.figures.kinds.curves import draw_summary, scale_steps
from dlnsweep.figures.legends import add_bar
from dlnsweep.figures.overlays import Overlay, draw_overlays
from dlnsweep.figures.panels import (
    Grid,
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
from dlnsweep.figures.records import Group, Records
from dlnsweep.figures.selected import of_selected_runs, overlays_of
from dlnsweep.figures.statistics import Results, Selection, Summary
from dlnsweep.figures.survivors import Shares, mark_curves
from dlnsweep.settings.figure_keys import shown_by
from dlnsweep.settings.figures import SpectrumFigure


@of_selected_runs
def draw_spectrum(results: Results, keys: SpectrumFigure, selection: Selection) -> Figure:
    """Draw one line for each entry; coloured by its place, or by the hue if there is one."""
    overlays = overlays_of(results, keys, selection)
    records = Records(results, selection)
    grid = make_grid(keys, selection, [keys.y])
    per_panel: list[list[Summary]] = []
    shares: list[list[Shares]] = []
    drawn: list[Overlay] = []
    num_entries = 0
    curves = [list(groups(keys, selection, grid, panel)) for panel in grid.panels]
    wanted = [Group(keys.y, curve.runs) for those in curves for curve in those]
    summaries = iter(records.summaries(wanted, keys.band, keys.quantiles))
    for panel, those in zip(grid.panels, curves, strict=True):
        shown = []
        shares.append([])
        for curve, summary in zip(those, summaries, strict=False):
            entries = [_entry(summary, place) for place in range(summary.median.shape[1])]
            entries = entries[: keys.num_values]
            num_entries = max(num_entries, len(entries))
            by_place = looks.colours(range(len(entries)), keys.colours if not keys.hue else None)
            for place, entry in enumerate(entries):
                # A marker on the first entry tells the hues apart; on all it would hide them.
                marked = curve_style(keys, curve)
                if place:
                    marked = {name: marked[name] for name in marked if name == "linestyle"}
                line = {"color": curve.colour if keys.hue else by_place[place], "linewidth": 1.0}
                drawn_line = draw_summary(panel.ax, entry, **line, **marked)
                grid.measured.append((curve, drawn_line))
                if place == 0:
                    # One number a curve's runs, not one an entry.
                    shares[-1].append(runs_of(selection, curve, drawn_line))
            shown += entries
        drawn += draw_overlays(panel.ax, overlays, keys.y, panel.where, (keys.hue, grid.colour_of))
        scale_steps(keys, panel, keys.x_scale == "log", records)
        per_panel.append(shown)
    if not keys.hue and num_entries > 1 and keys.legend != "none":
        _add_place_bar(grid, num_entries, keys)
    notes = [
        *band_note(keys, [summary for shown in per_panel for summary in shown]),
        *layout.not_shown(selection, *shown_by(keys).values()),
        *not_finite_note(records.num_not_finite),
        *left_out_note(records.num_left_out),
        *scale_y(keys, grid, per_panel, drawn),
        *mark_shares(grid, shares, mark_curves),
    ]
    make_room(keys, grid)
    legend, unseen = legend_of(keys, grid, drawn)
    layout.finish(grid.figure, keys, results, selection, [*notes, *unseen], legend)
    return grid.figure


def _entry(summary: Summary, place: int) -> Summary:
    """Return one entry of a vector's summary, without the steps at which no run has it."""
    median = summary.median[:, place]
    there = np.isfinite(median)
    lower, upper = (
        None if edge is None else edge[there, place] for edge in (summary.lower, summary.upper)
    )
    return Summary(summary.x[there], median[there], lower, upper, summary.num_runs[there])


def _add_place_bar(grid: Grid, count: int, keys: SpectrumFigure) -> None:
    axes = [panel.ax for panel in grid.panels]
    colours = looks.colours(range(count), keys.colours)
    texts = [str(place) for place in range(1, count + 1)]
    bar = add_bar(grid.figure, axes, colours, texts, "index $i$")
    bar.ax.invert_yaxis()
