"""One number a run (at the end, at a step, or the smallest) against a setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dlnsweep.figures import layout, style
from dlnsweep.figures.labels import format_settings, setting_label
from dlnsweep.figures.overlays import Overlay, dashed, draw_overlays
from dlnsweep.figures.panels import (
    Curve,
    Panel,
    band_note,
    groups,
    legend_of,
    make_grid,
    make_room,
    mark_shares,
    scale_y,
)
from dlnsweep.figures.promised import at_places, read_intervals
from dlnsweep.figures.records import Records
from dlnsweep.figures.selected import of_selected_runs, overlays_of
from dlnsweep.figures.statistics import (
    Results,
    Selection,
    Summary,
    as_array,
    column_of,
    is_ordered,
    levels,
    matches,
    stops_early,
    summarize,
)
from dlnsweep.figures.survivors import (
    NONE_LEFT,
    RAN_OUT,
    Shares,
    mark_lost,
    mark_points,
    mark_ran_out,
    most_ran_out,
    num_diverged,
)
from dlnsweep.settings.at import words
from dlnsweep.settings.figure_keys import shown_by
from dlnsweep.settings.figures import FinalFigure

# Of numbers points are shifted by so much of what those of words are.
_ASIDE = 0.4


@of_selected_runs
def draw_final(results: Results, keys: FinalFigure, selection: Selection) -> Figure:
    """Draw one panel for each observable: medians with error bars against the setting `x`."""
    overlays = overlays_of(results, keys, selection)
    records = Records(results, selection)
    promised = read_intervals(results, keys, selection) if keys.band == "until" else None
    grid = make_grid(keys, selection, keys.y)
    places = levels(selection.runs, keys.x)
    numeric = is_ordered(places) and None not in places
    ends = (min(places), max(places)) if numeric else (-0.5, len(places) - 0.5)
    overlays = [_divided(each, keys) for each in overlays]
    overlays = [*overlays, *_levels(keys, np.array(ends, dtype=float))]
    log = numeric and style.is_log(keys.x_scale, np.array(places, dtype=float))
    per_panel: list[list[Summary]] = []
    shares: list[list[Shares]] = []
    drawn: list[Overlay] = []
    missing, capped = 0, False
    lost: list[tuple[Any, np.ndarray, Curve]] = []
    for panel in grid.panels:
        value = records.per_run(panel.observable, keys.at)
        if panel.observable in keys.over_x:
            value = value / as_array(column_of(selection.used, keys.x))
        missing = max(missing, int(np.isnan(value).sum()))
        shown = []
        shares.append([])
        for curve in groups(keys, selection, grid, panel, lost=True):
            runs = curve.runs
            shift = _dodge(curve.number, grid.num_curves)
            if not numeric:
                x = np.arange(len(places)) + shift
            elif keys.dodge:
                x = _shifted(np.array(places, dtype=float), shift, log)
            else:
                x = np.array(places, dtype=float)
            members = [runs & matches(selection.used, keys.x, place) for place in places]
            gone = [num_diverged(selection, {**curve.where, keys.x: place}) for place in places]
            # A place without a run left has no point.
            tried = np.array([int(each.sum()) for each in members]) + gone
            empty = np.array([not each.any() for each in members]) & (tried > 0)
            if empty.any():
                lost.append((panel.ax, x[empty], curve))
            if not runs.any():
                continue
            if promised is None:
                summary = _summarize(x, value, members, keys)
            else:
                summary = at_places(promised, curve.where, keys.x, places)
                summary = replace(summary, x=x[summary.x])
            line = _draw_bars(panel, summary, curve, joined=numeric)
            grid.measured.append((curve, line))
            there = np.isin(x, summary.x)
            shares[-1].append(Shares(line, summary.num_runs, tried[there]))
            if panel.observable == "steps_taken" and stops_early(results):
                cut = np.array([most_ran_out(selection, runs) for runs in members])[there]
                capped |= mark_ran_out(panel.ax, line, cut)
            shown.append(summary)
        drawn += draw_overlays(
            panel.ax, overlays, panel.observable, panel.where, (keys.hue, grid.colour_of)
        )  # fmt: skip
        _scale_x(panel, keys, places, numeric)
        per_panel.append(shown)
    notes = [
        words(keys.at),
        *band_note(keys, [summary for shown in per_panel for summary in shown], "bars"),
        *layout.not_shown(selection, keys.x, *shown_by(keys).values()),
        *missing_note(missing),
        *(
            ["points beside each other: the same value"]
            if keys.dodge and numeric and grid.num_curves > 1
            else []
        ),
        *scale_y(keys, grid, per_panel, drawn),
        *mark_shares(grid, shares, mark_points),
        *([RAN_OUT] if capped else []),
        *([NONE_LEFT] if lost else []),
    ]
    make_room(keys, grid)
    for i, (ax, x, curve) in enumerate(lost):
        above = sum((np.isin(x, other) for on, other, _ in lost[:i] if on is ax), np.zeros(len(x)))
        grid.lost.append((curve, mark_lost(ax, x, curve.colour, above)))
    for panel in grid.panels:
        drawn += _draw_marks(panel, keys)
    if numeric:
        _share_x(grid.panels)
    legend, unseen = legend_of(keys, grid, drawn)
    layout.finish(grid.figure, keys, results, selection, [*notes, *unseen], legend)
    return grid.figure


def _share_x(panels: Sequence[Panel]) -> None:
    """Give all panels one range of x: one whose runs diverged at some values draws none there."""
    left, right = zip(*(panel.ax.get_xlim() for panel in panels), strict=True)
    for panel in panels:
        panel.ax.set_xlim(min(left), max(right))


def _levels(keys: FinalFigure, ends: np.ndarray) -> list[Overlay]:
    """Return the values of y to be marked, from one end of the horizontal axis to the other."""
    # After the patterns of the formulas and of the marks; one for all that have the same name.
    first = len(keys.theory) + len(keys.marks)
    names = list(dict.fromkeys(level.label for level in keys.levels))
    return [
        Overlay(
            level.y or keys.y[0], level.label, ends, np.full(2, level.at),
            {} if level.panel is None else {str(keys.panel_by): level.panel},
            pattern=first + names.index(level.label),
        )
        for level in keys.levels
    ]  # fmt: skip


def _draw_marks(panel: Panel, keys: FinalFigure) -> list[Overlay]:
    """Mark values of x over the whole height of a panel, whose axes are scaled already."""
    bottom, top = panel.ax.get_ylim()
    # After the formulas' own patterns.
    first = len(keys.theory)
    for pattern, mark in enumerate(keys.marks, first):
        look = {"color": "0.2", "label": mark.label, **dashed(pattern)}
        panel.ax.plot([mark.at, mark.at], [bottom, top], **look)
    panel.ax.set_ylim(bottom, top)
    return [
        Overlay(
            panel.observable, mark.label, np.array([mark.at]), np.array([np.nan]), pattern=pattern
        )
        for pattern, mark in enumerate(keys.marks, first)
    ]


def missing_note(missing: int) -> list[str]:
    """Return how many usable runs have no (finite) value."""
    return [f"{missing} without a value, left out"] if missing else []


def _summarize(
    x: np.ndarray, value: np.ndarray, members: Sequence[np.ndarray], keys: FinalFigure
) -> Summary:
    table = np.full((len(x), max(int(runs.sum()) for runs in members)), np.nan)
    for row, runs in zip(table, members, strict=True):
        row[: int(runs.sum())] = value[runs]
    return summarize(x, table, keys.band, keys.quantiles)


def _draw_bars(panel: Panel, summary: Summary, curve: Curve, joined: bool) -> Line2D:
    line = {**curve.look, "markevery": None, "color": curve.colour}
    if not joined:
        line["linestyle"] = "none"
    bars = None
    if summary.lower is not None and summary.upper is not None:
        bars = np.stack([summary.median - summary.lower, summary.upper - summary.median])
    drawn: Any = panel.ax.errorbar(
        summary.x, summary.median, yerr=bars, elinewidth=0.8, capsize=1.8, capthick=0.8, **line
    )
    return drawn[0]


def _dodge(index: int, count: int) -> float:
    """Return how far to shift a group of words sideways, so that error bars do not overlap."""
    return 0.0 if count < 2 else 0.5 * (index / (count - 1) - 0.5)


def _shifted(places: np.ndarray, shift: float, log: bool) -> np.ndarray:
    """Return where points stand that are shifted sideways, by a share of the least distance."""
    if len(places) < 2:
        return places
    if not log:
        return places + _ASIDE * shift * np.min(np.diff(places))
    # A zero stands at the left edge of a logarithmic axis, and stays there.
    positive = places[places > 0]
    apart = np.min(np.diff(np.log(positive))) if len(positive) > 1 else 0.0
    return places * np.exp(_ASIDE * shift * apart)


def _divided(overlay: Overlay, keys: FinalFigure) -> Overlay:
    if overlay.observable not in keys.over_x or overlay.vertical:
        return overlay
    return replace(overlay, y=overlay.y / overlay.x)


def _scale_x(panel: Panel, keys: FinalFigure, places: list[Any], numeric: bool) -> None:
    ax = panel.ax
    if numeric:
        values = np.array(places, dtype=float)
        style.set_x_scale(ax, style.is_log(keys.x_scale, values), values, keys.x)
    else:
        layout.set_ticks(ax.xaxis, range(len(places)), format_settings(keys.x, places))
        ax.set_xlim(-0.5, len(places) - 0.5)
    if panel.lowest:
        ax.set_xlabel(layout.x_label(keys, setting_label(keys.x)))
