"""What curves, finals and spectra share: which panel and which colour a group of runs has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dlnsweep.contracts.network import NETWORKS, NetworkKind
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.figures import layout, style
from dlnsweep.figures.labels import format_settings, format_values, value_label, with_symbol
from dlnsweep.figures.measure import top_for_notes
from dlnsweep.figures.overlays import Overlay
from dlnsweep.figures.seen import is_seen, mark_isolated, seen_overlays, set_apart
from dlnsweep.figures.statistics import Selection, Summary, levels, matches
from dlnsweep.figures.survivors import Shares, num_diverged
from dlnsweep.settings.figures import (
    CurvesFigure,
    FinalFigure,
    NoiseFigure,
    ScatterFigure,
    SpectrumFigure,
)

Banded = CurvesFigure | FinalFigure | SpectrumFigure | NoiseFigure


@dataclass(frozen=True)
class Panel:
    """One set of axes: an observable, and the value of `panel_by` (None without).

    `lowest` says that no panel stands below, so that the horizontal axis needs its name.
    """

    ax: Axes
    observable: str
    level: Any
    runs: np.ndarray
    lowest: bool


@dataclass(frozen=True)
class Grid:
    """The panels of a figure, and the values of its hue with their colours.

    `measured` takes the lines that are drawn of each hue.
    """

    figure: Figure
    panels: list[Panel]
    hues: list[Any]
    colour_of: dict[Any, Any]
    measured: list[tuple[Any, Line2D]] = field(default_factory=list)


def make_grid(
    keys: Banded | ScatterFigure, selection: Selection, observables: Sequence[str]
) -> Grid:
    """Lay out one panel for each observable and each value of `panel_by`.

    Several observables stand beside each other, the values of `panel_by` below; with one
    observable the values of `panel_by` stand beside each other, four in a row at most.
    """
    used = selection.used
    places = levels(selection.runs, keys.panel_by) if keys.panel_by else [None]
    if len(observables) > 1:
        shape = (len(places), len(observables))
    else:
        columns = min(len(places), 4 if len(places) != 5 else 3)
        shape = (-(-len(places) // columns), columns)
    figure, axes = layout.new_figure(keys, *shape)
    flat = list(axes.ravel())
    cells = [(place, name) for place in places for name in observables]
    layout.hide(flat[len(cells) :])
    panels = []
    texts = format_settings(keys.panel_by, places) if keys.panel_by else format_values(places)
    titles = dict(zip(places, texts, strict=True))
    for ax, (place, name) in zip(flat, cells, strict=False):
        everything = np.ones(len(used), dtype=bool)
        runs = matches(used, keys.panel_by, place) if keys.panel_by else everything
        if keys.panel_by:
            ax.set_title(with_symbol(keys.panel_by, titles[place]))
        lowest = len(panels) + shape[1] >= len(cells)
        panels.append(Panel(ax, name, place, runs, lowest))
    _label_y(panels, shape, network_of(selection), getattr(keys, "at", None))
    hues = levels(selection.runs, keys.hue) if keys.hue else [None]
    colours = style.colours(hues) if keys.hue else [style.OKABE_ITO[0]]
    return Grid(figure, panels, hues, dict(zip(hues, colours, strict=True)))


def groups(
    keys: Banded | ScatterFigure, selection: Selection, grid: Grid, panel: Panel
) -> Iterator[Any]:
    """Yield index, hue value, colour and runs (a boolean array) of each curve of a panel."""
    for index, hue in enumerate(grid.hues):
        runs = panel.runs & matches(selection.used, keys.hue, hue) if keys.hue else panel.runs
        if runs.any():
            yield index, hue, grid.colour_of[hue], runs


def legend_of(
    keys: Banded | ScatterFigure, grid: Grid, overlays: Sequence[Overlay], told: Sequence[str] = ()
) -> tuple[tuple[str, list[Line2D]], list[str]]:
    """Return the legend (title and entries) of what can be seen, and notes on what cannot.

    Args:
        keys: The figure's settings.
        grid: The panels, whose scales and limits are set.
        overlays: The formulas drawn.
        told: Labels of formulas that another note speaks of.
    """
    set_apart([line for _, line in grid.measured])
    shown, notes = seen_overlays([panel.ax for panel in grid.panels], overlays, told)
    seen = [hue for hue in grid.hues if any(is_seen(a) for h, a in grid.measured if h is hue)]
    if keys.hue and len(seen) < len(grid.hues):
        gone = [hue for hue in grid.hues if hue not in seen]
        texts = format_settings(keys.hue, gone)
        more = f" and {len(gone) - 5} more" if len(gone) > 5 else ""
        notes.append(f"nothing to draw for {with_symbol(keys.hue, ', '.join(texts[:5]))}{more}")
    return layout.legend_of(keys.hue, grid.hues, grid.colour_of, shown, seen), notes


def runs_of(
    keys: Banded, selection: Selection, panel: Panel, hue: Any, runs: np.ndarray, line: Line2D
) -> Shares:
    """Return how many of a curve's runs are left."""
    left = int(runs.sum())
    gone = num_diverged(selection, {keys.panel_by: panel.level, keys.hue: hue})
    return Shares(line, np.array([left]), np.array([left + gone]))


def mark_shares(
    grid: Grid, per_panel: Sequence[list[Shares]], mark: Callable[[Axes, list[Shares]], list[str]]
) -> list[str]:
    """Mark in each panel of which points or curves runs are lost; return the notes."""
    notes: dict[str, None] = {}
    for panel, shares in zip(grid.panels, per_panel, strict=True):
        notes |= dict.fromkeys(mark(panel.ax, shares))
    return list(notes)


def band_note(keys: Banded, summaries: Sequence[Summary], what: str = "band") -> list[str]:
    """Return what line and band are, and over how many runs."""
    counts = np.concatenate([each.num_runs for each in summaries] or [np.zeros(0, dtype=int)])
    if not len(counts):
        return ["nothing to draw"]
    low, high = int(counts.min()), int(counts.max())
    if high == 1:
        return ["each point is one run"]
    number = str(high) if low == high else f"{low} to {high}"
    note = f"median of {number} runs"
    if keys.band == "std":
        return [f"{note}, {what}: ± one standard deviation"]
    if keys.band == "bootstrap":
        return [f"{note}, {what}: its 95 % bootstrap interval"]
    if keys.band == "until":
        return [f"{note}, {what}: the interval that was asked for"]
    if keys.band == "quantile":
        low_percent, high_percent = (f"{100 * each:g}" for each in keys.quantiles)
        return [f"{note}, {what}: {low_percent} % to {high_percent} %"]
    return [note]


def not_finite_note(runs: int) -> list[str]:
    """Return how many runs have values that cannot enter a median."""
    return [f"{runs} with values that are not finite, left out at those steps"] if runs else []


def curve_style(keys: Banded, index: int) -> dict[str, Any]:
    """Return the marker of a curve; none where there is no other to tell it from."""
    return style.marker_style(index) if keys.hue else {}


def scale_y(
    keys: Banded,
    grid: Grid,
    shown: Sequence[Sequence[Summary]],
    overlays: Sequence[Overlay] = (),
) -> list[str]:
    """Scale the vertical axes, all panels of an observable alike; return notes.

    Formulas stretch a logarithmic axis too, by a decade and a half at most on either side.
    """
    notes: dict[str, None] = {}
    for panel in grid.panels:
        summaries = [
            summary
            for each, summaries in zip(grid.panels, shown, strict=True)
            for summary in summaries
            if each.observable == panel.observable
        ]
        notes |= dict.fromkeys(style.cut_x(panel.ax, (keys.x_min, keys.x_max)))
        # What is cut off at the sides does not stretch the axis.
        left, right = panel.ax.get_xlim() if _cut(keys) else (-np.inf, np.inf)
        kept = [(each.x >= left) & (each.x <= right) for each in summaries]
        edges = [
            edge[there]
            for each, there in zip(summaries, kept, strict=True)
            for edge in (each.lower, each.upper)
            if edge is not None
        ]
        medians = [each.median[there] for each, there in zip(summaries, kept, strict=True)]
        formulas = [
            each.y[(each.x >= left) & (each.x <= right)]
            for each in overlays
            if each.observable == panel.observable and not each.vertical
        ]
        medians += _near(formulas, [*medians, *edges])
        log, told = style.is_log_axis(keys.y_scale, getattr(keys, "at", None), medians)
        notes |= dict.fromkeys(told)
        ends = keys.y_min, keys.y_max
        notes |= dict.fromkeys(style.set_y_scale(panel.ax, log, medians, edges, ends))
        mark_isolated(panel.ax)
    return list(notes)


def make_room(keys: Banded, grid: Grid) -> None:
    """Raise the vertical axes so far that what is noted at points stays within them.

    All panels of an observable alike; an end that was asked for stays.
    """
    if keys.y_max is not None:
        return
    for name in {panel.observable for panel in grid.panels}:
        axes = [panel.ax for panel in grid.panels if panel.observable == name]
        top = max(top_for_notes(ax) for ax in axes)
        for ax in axes:
            ax.set_ylim(ax.get_ylim()[0], top)


def _cut(keys: Banded) -> bool:
    return keys.x_min is not None or keys.x_max is not None


# By this factor a formula may stretch a logarithmic axis beyond the measurements.
_STRETCH = 30.0


def _near(formulas: Sequence[np.ndarray], measured: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the values of formulas that are not far from everything measured."""
    known = np.concatenate([np.ravel(each) for each in measured] or [np.zeros(0)])
    known = known[np.isfinite(known) & (known > 0)]
    if not len(known):
        return []
    low, high = known.min() / _STRETCH, known.max() * _STRETCH
    return [each[(each >= low) & (each <= high)] for each in formulas]


def network_of(selection: Selection) -> NetworkKind | None:
    """Return the kind of network, which all runs of a sweep share; None if it is not known."""
    runs = selection.runs
    if not {"problem.kind", "network.kind"} <= set(runs.columns):
        return None
    problem = PROBLEMS.get(str(runs["problem.kind"].iloc[0]))
    return NETWORKS.get((problem.task, str(runs["network.kind"].iloc[0]))) if problem else None


def _label_y(
    panels: Sequence[Panel], shape: tuple[int, int], network: NetworkKind | None, at: Any
) -> None:
    same = len({panel.observable for panel in panels}) == 1
    for index, panel in enumerate(panels):
        if not same or index % shape[1] == 0:
            panel.ax.set_ylabel(two_lines(value_label(panel.observable, network, at)))
        else:
            panel.ax.tick_params(axis="y", which="both", labelleft=False)


def two_lines(label: str) -> str:
    """Break a long label between words and formula, lest it be longer than its axis."""
    words, dollar, formula = label.partition(" $")
    return f"{words}\n${formula}" if dollar and len(label) > 30 else label
