"""What curves, finals and spectra share: which panel and which colour a group of runs has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from dlnsweep.analysis.bootstrap import LEVEL, most_often
from dlnsweep.contracts.network import NetworkKind
from dlnsweep.figures import layout, legends, looks, rows, style
from dlnsweep.figures.labels import (
    format_settings,
    network_among,
    over_label,
    value_label,
    with_symbol,
)
from dlnsweep.figures.measure import top_for_notes
from dlnsweep.figures.overlays import Overlay
from dlnsweep.figures.seen import is_seen, mark_isolated, seen_overlays, set_apart
from dlnsweep.figures.statistics import Selection, Summary, levels, matches
from dlnsweep.figures.survivors import Shares, num_diverged
from dlnsweep.settings.figure_keys import Banded, Panelled, ends_of, panel_settings


@dataclass(frozen=True)
class Panel:
    """One set of axes: an observable, and the values of the settings that panels stand for.

    `lowest` says that no panel stands below, so that the horizontal axis needs its name.
    """

    ax: Axes
    observable: str
    where: Mapping[str, Any]
    runs: np.ndarray
    lowest: bool


@dataclass(frozen=True)
class Curve:
    """The runs of a panel with one colour and one kind of line.

    Attributes:
        number: Its place among all combinations of `hue` and `style_by`.
        hue: The value of the hue; None without.
        style: The value of `style_by`; None without.
        colour: Its colour.
        look: Its marker, and its dashes if those stand for something.
        where: The values of the settings that it stands for, those of its panel among them.
        runs: Which of the usable runs, as a boolean array.
    """

    number: int
    hue: Any
    style: Any
    colour: Any
    look: Mapping[str, Any]
    where: Mapping[str, Any]
    runs: np.ndarray


@dataclass(frozen=True)
class Grid:
    """The panels of a figure, and the values of its hue with their colours.

    `measured` takes the lines that are drawn of each curve, `lost` the crosses where none of its
    runs is left. `styles` are the values of `style_by` with what they look like, `beside` the
    texts beside rows.
    """

    figure: Figure
    panels: list[Panel]
    hues: list[Any]
    colour_of: dict[Any, Any]
    styles: list[tuple[Any, Mapping[str, Any]]]
    beside: list[Text]
    measured: list[tuple[Curve, Line2D]] = field(default_factory=list)
    lost: list[tuple[Curve, Line2D]] = field(default_factory=list)

    @property
    def num_curves(self) -> int:
        """How many combinations of colour and kind of line there are."""
        return len(self.hues) * max(1, len(self.styles))


def make_grid(keys: Panelled, selection: Selection, observables: Sequence[str]) -> Grid:
    """Lay out one panel for each observable and each value of the settings of panels.

    With `panel_by` several observables stand beside each other, its values below; with one
    observable its values stand beside each other, four in a row at most. Of `row_by` and
    `column_by` each value has a row or column; several observables take the place of the other.
    """
    used = selection.used
    rows, columns = (_levels(selection, name) for name in (keys.row_by, keys.column_by))
    if keys.row_by or keys.column_by:
        across = [(None, name) for name in observables] if not keys.column_by else None
        down = [(None, name) for name in observables] if across is None else None
        if len(observables) == 1:
            across, down = [(place, observables[0]) for place in columns], None
        cells = [
            ({keys.row_by: row, keys.column_by: column}, name)
            for row, first in (down or [(row, None) for row in rows])
            for column, second in (across or [(column, None) for column in columns])
            for name in [first or second]
        ]
        shape = (len(down or rows), len(across or columns))
    else:
        places = _levels(selection, keys.panel_by)
        cells = [({keys.panel_by: place}, name) for place in places for name in observables]
        shape = (len(places), len(observables))
        if len(observables) == 1:
            count = min(len(places), 4 if len(places) != 5 else 3)
            shape = (-(-len(places) // count), count)
    figure, axes = layout.new_figure(keys, *shape)
    flat = list(axes.ravel())
    layout.hide(flat[len(cells) :])
    panels = []
    for ax, (levels_here, name) in zip(flat, cells, strict=False):
        where = {key: value for key, value in levels_here.items() if key is not None}
        runs = np.ones(len(used), dtype=bool)
        for key, value in where.items():
            runs &= matches(used, key, value)
        lowest = len(panels) + shape[1] >= len(cells)
        panels.append(Panel(ax, str(name), where, runs, lowest))
    beside = _title_panels(keys, selection, panels, shape)
    _label_y(keys, panels, shape, network_among(selection.runs))
    hues = _levels(selection, keys.hue)
    colours = looks.colours(hues, keys.colours) if keys.hue else [_only_colour(keys)]
    styles = _levels(selection, keys.style_by) if keys.style_by else []
    # Dashes stand for formulas where there are any.
    plain = any(getattr(keys, key, ()) for key in ("theory", "beside", "marks", "levels"))
    drawn: list[tuple[Any, Mapping[str, Any]]] = [
        (each, looks.line_style(i, plain)) for i, each in enumerate(styles)
    ]
    colour_of = dict(zip(hues, colours, strict=True))
    figure.grid = Grid(figure, panels, hues, colour_of, drawn, beside)
    return figure.grid


def _levels(selection: Selection, name: str | None) -> list[Any]:
    return levels(selection.runs, name) if name else [None]


def _only_colour(keys: Panelled) -> str:
    return keys.colours[0] if isinstance(keys.colours, tuple) else looks.OKABE_ITO[0]


def _title_panels(
    keys: Panelled, selection: Selection, panels: Sequence[Panel], shape: tuple[int, int]
) -> list[Text]:
    """Say above the panels which they are, and beside rows, whose texts are returned."""
    beside: list[Text] = []
    texts: dict[tuple[str, Any], str] = {}
    for name in panel_settings(keys):
        values = levels(selection.runs, name)
        texts |= {
            (name, value): with_symbol(name, text)
            for value, text in zip(values, format_settings(name, values), strict=True)
        }
    lettered = keys.letters
    if lettered is None:
        lettered = len(panels) > 1 and bool(keys.row_by or keys.column_by)
    for index, panel in enumerate(panels):
        titles = {key: texts[key, value] for key, value in panel.where.items()}
        if keys.panel_by:
            panel.ax.set_title(titles[keys.panel_by])
        if keys.column_by and index < shape[1]:
            panel.ax.set_title(titles[keys.column_by])
        if keys.row_by and index % shape[1] == shape[1] - 1:
            beside.append(rows.name(panel.ax, titles[keys.row_by]))
        if lettered:
            letter = f"{'abcdefghijklmnopqrstuvwxyz'[index % 26]}" * (1 + index // 26)
            panel.ax.set_title(f"({letter})", loc="left", fontweight="bold")
    return beside


def groups(
    keys: Panelled, selection: Selection, grid: Grid, panel: Panel, lost: bool = False
) -> Iterator[Curve]:
    """Yield each curve of a panel that has runs; with `lost` those whose runs all diverged, too."""
    used = selection.used
    for number, (hue, kind) in enumerate(product(grid.hues, grid.styles or [(None, {})])):
        where, runs = dict(panel.where), panel.runs
        if keys.hue:
            where[keys.hue] = hue
            runs = runs & matches(used, keys.hue, hue)
        if keys.style_by:
            where[keys.style_by] = kind[0]
            runs = runs & matches(used, keys.style_by, kind[0])
        if runs.any() or (lost and num_diverged(selection, where)):
            look = kind[1] if keys.style_by else looks.marker_style(number)
            yield Curve(number, hue, kind[0], grid.colour_of[hue], look, where, runs)


def legend_of(
    keys: Panelled, grid: Grid, overlays: Sequence[Overlay], told: Sequence[str] = ()
) -> tuple[tuple[str, list[Line2D]], list[str]]:
    """Return the legend (title and entries) of what can be seen, and notes on what cannot.

    A colour bar, where one stands for the hue, is put beside the panels.

    Args:
        keys: The figure's settings.
        grid: The panels, whose scales and limits are set.
        overlays: The formulas drawn.
        told: Labels of formulas that another note speaks of.
    """
    axes = [panel.ax for panel in grid.panels]
    set_apart([line for _, line in grid.measured])
    shown, notes = seen_overlays(axes, overlays, told)
    lines = [(curve, line) for curve, line in grid.measured if is_seen(line)]
    # A cross has its curve's colour, but the same shape whatever its style.
    coloured = [*lines, *((curve, line) for curve, line in grid.lost if is_seen(line))]
    seen = [hue for hue in grid.hues if any(curve.hue is hue for curve, _ in coloured)]
    styles = [each for each in grid.styles if any(curve.style is each[0] for curve, _ in lines)]
    gone = {keys.hue: [hue for hue in grid.hues if hue not in seen]} if keys.hue else {}
    if keys.style_by:
        gone[keys.style_by] = [each for each, _ in grid.styles if each not in dict(styles)]
    for name, values in gone.items():
        if name and values:
            texts = format_settings(name, values)
            more = f" and {len(values) - 5} more" if len(values) > 5 else ""
            notes.append(f"nothing to draw for {with_symbol(name, ', '.join(texts[:5]))}{more}")
    if legends.has_bar(keys, grid.hues, seen) and keys.legend != "none":
        legends.add_hue_bar(grid.figure, axes, keys, grid.hues, grid.colour_of)
    entries = legends.legend_of(keys, grid.hues, grid.colour_of, shown, seen, styles)
    return entries, notes


def runs_of(selection: Selection, curve: Curve, line: Line2D) -> Shares:
    """Return how many of a curve's runs are left."""
    left = int(curve.runs.sum())
    gone = num_diverged(selection, curve.where)
    return Shares(line, np.array([left]), np.array([left + gone]))


def mark_shares(
    grid: Grid, per_panel: Sequence[list[Shares]], mark: Callable[[Axes, list[Shares]], list[str]]
) -> list[str]:
    """Mark in each panel of which points or curves runs are lost; return the notes."""
    notes: dict[str, None] = {}
    for panel, shares in zip(grid.panels, per_panel, strict=True):
        notes |= dict.fromkeys(mark(panel.ax, shares))
    rows.clear(grid.beside)
    return list(notes)


def band_note(keys: Banded, summaries: Sequence[Summary], what: str = "band") -> list[str]:
    """Return what line and band are, and over how many runs."""
    counts = np.concatenate([each.num_runs for each in summaries] or [np.zeros(0, dtype=int)])
    if not len(counts):
        return ["nothing to draw"]
    low, high = int(counts.min()), int(counts.max())
    if high == 1:
        return [f"each {'line' if what == 'band' else 'point'} is one run"]
    number = str(high) if low == high else f"{low} to {high}"
    note = f"median of {number} runs"
    if keys.band == "std":
        return [f"{note}, {what}: ± one standard deviation"]
    if keys.band == "bootstrap":
        note = f"{note}, {what}: its {100 * LEVEL:g} % bootstrap interval"
        if (most := most_often(low)) < LEVEL:
            # Three runs span the median in three of four cases, whatever is made of them.
            runs = "run" if low == 1 else "runs"
            note += f" (of {low} {runs} it holds the truth in {100 * most:.3g} % at most)"
        return [note]
    if keys.band == "until":
        return [f"{note}, {what}: the interval that was asked for"]
    if keys.band == "quantile":
        low_percent, high_percent = (f"{100 * each:g}" for each in keys.quantiles)
        return [f"{note}, {what}: {low_percent} % to {high_percent} %"]
    return [note]


def not_finite_note(runs: int) -> list[str]:
    """Return how many runs have values that cannot enter a median."""
    return [f"{runs} with values that are not finite, left out at those steps"] if runs else []


def left_out_note(steps: int) -> list[str]:
    """Return that there are steps at which curves would have been of some of their runs only."""
    return ["steps that only some runs of a curve recorded: left out"] if steps else []


def curve_style(keys: Panelled, curve: Curve) -> dict[str, Any]:
    """Return the marker and dashes of a curve; none where there is no other to tell it from."""
    return dict(curve.look) if keys.hue or keys.style_by else {}


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
        ends = ends_of(keys, panel.observable)
        notes |= dict.fromkeys(style.set_y_scale(panel.ax, log, medians, edges, ends))
        mark_isolated(panel.ax)
    return list(notes)


def make_room(keys: Banded, grid: Grid) -> None:
    """Raise the vertical axes so far that what is noted at points stays within them.

    All panels of an observable alike; an end that was asked for stays.
    """
    for name in {panel.observable for panel in grid.panels}:
        if ends_of(keys, name)[1] is not None:
            continue
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


def _label_y(
    keys: Panelled, panels: Sequence[Panel], shape: tuple[int, int], network: NetworkKind | None
) -> None:
    for index, panel in enumerate(panels):
        if index % shape[1] == 0 or panels[index - 1].observable != panel.observable:
            usual = value_label(panel.observable, network, getattr(keys, "at", None))
            if panel.observable in getattr(keys, "over_x", ()):
                usual = over_label(usual, getattr(keys, "x", ""))
            panel.ax.set_ylabel(layout.y_label(keys, panel.observable, usual))
        else:
            panel.ax.tick_params(axis="y", which="both", labelleft=False)
