"""The frame of a figure: panels in rows, title and legend above them, small print below.

Everything is measured before it is placed: lines are broken where they would be cut off, and the
figure grows downwards so that the panels keep their size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.figures import looks
from dlnsweep.figures.canvas import DrawnFigure
from dlnsweep.figures.labels import (
    format_settings,
    format_value,
    setting_idle,
    setting_label,
    setting_name,
    setting_symbol,
    with_symbol,
)
from dlnsweep.figures.legends import put_legend
from dlnsweep.figures.lines import LINE_HEIGHT, break_x_labels, break_y_labels, broken_lines
from dlnsweep.figures.measure import renderer, text_width
from dlnsweep.figures.promised import promise_note
from dlnsweep.figures.statistics import (
    Results,
    Selection,
    is_ordered,
    levels,
    matches,
    setting_columns,
)
from dlnsweep.settings.figure_look import WIDTHS, Framed
from dlnsweep.settings.flow import FLOW
from dlnsweep.settings.training import OF_NETWORK, SWITCHES
from dlnsweep.spec.figures.wording import drawable, plain
from dlnsweep.theory.prescription import HOW, SETS

COLUMN_WIDTH, PAGE_WIDTH = 3.4, 6.9
# Of a setting that varies with another one, so many values are written out.
_MOST_LISTED = 8
# Settings that are words: the usual one, which goes without saying, and what to say after another.
_WORDS = {
    "network.activation": ("", " activation"),
    "training.optimizer": ("gradient_descent", ""),
    "training.loss": (OF_NETWORK, " loss"),
    "training.minibatch_order": ("replacement", " of minibatches"),
    "training.schedule": ("constant", " schedule"),
    "sweep.warm_start": ("", " as initial weights"),
}
MARGIN = 0.05
# A row of panels with its labels needs so much, in inches.
_LEAST_ROW = 1.2


def new_figure(
    keys: Framed, rows: int, columns: int, row_height: float = 2.2
) -> tuple[DrawnFigure, np.ndarray]:
    """Return an empty figure and its panels as a (rows, columns) array.

    `finish` sets the height, once it is known what stands above and below the panels.
    """
    wide = WIDTHS[keys.width] if keys.width else COLUMN_WIDTH if columns == 1 else PAGE_WIDTH
    width = keys.width_inches or wide
    figure = DrawnFigure(figsize=(width, rows * row_height), dpi=keys.dpi)
    figure.rc = dict(keys.rc)
    # Before there is a colour bar, which is laid out otherwise without it.
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=MARGIN, h_pad=MARGIN))
    figure.first_engine = figure.get_layout_engine()
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def finish(
    figure: Figure,
    keys: Framed,
    results: Results,
    selection: Selection,
    notes: Sequence[str],
    legend: tuple[str, Sequence[Line2D]] = ("", ()),
    left_out: str = "left out",
) -> None:
    """Put title, source, legend and small print round the panels.

    Args:
        figure: The figure with its panels drawn.
        keys: The figure's settings.
        results: Where name and source of the sweep are taken from.
        selection: The runs, which are counted below the figure.
        notes: Further sentences below, such as what the band is.
        legend: Its title and entries; no entries, no legend.
        left_out: What happened to diverged runs.
    """
    width = figure.get_figwidth() - 2 * MARGIN
    title = plain(results.name) if keys.title is None else drawable(keys.title)
    # The key first: it was looked at even where there is no title for the source to stand below.
    source = drawable(str(results.sweep.get("source") or "")) if keys.source and title else ""
    large, little = looks.title_size(), looks.small_size()
    black = str(matplotlib.rcParams["text.color"])
    above = [(line, large, black) for line in broken_lines(figure, [title], large, width)]
    above += [(line, little, looks.GREY) for line in broken_lines(figure, [source], little, width)]
    small = [
        constants(selection),
        [*notes, *promise_note(results, keys, selection), *counts(selection, left_out)],
    ]
    if isinstance(figure, DrawnFigure):
        figure.caption = "; ".join(", ".join(filter(None, chunks)) for chunks in small if chunks)
        figure.has_footer = keys.footer
    below = [
        (line, little, looks.GREY)
        for chunks, between in zip(small if keys.footer else (), (",  ", " · "), strict=False)
        for line in broken_lines(figure, chunks, little, width, between)
    ]
    broken = break_x_labels(figure)
    box = put_legend(figure, *legend, width, getattr(keys, "legend", None))
    legend_height = 0.0
    if box is not None:
        extent = box.get_window_extent(renderer(figure))
        legend_height = extent.height / figure.dpi
    header, footer = (sum(size for _, size, _ in lines) / 72 for lines in (above, below))
    header, footer = header * LINE_HEIGHT + MARGIN, footer * LINE_HEIGHT + 2 * MARGIN
    panels = figure.get_figheight() + broken
    height = keys.height_inches or panels + header + footer + legend_height
    spec = figure.axes[0].get_subplotspec()
    rows = spec.get_gridspec().nrows if spec else 1
    # Panels that collapse end in an error of the layout, or in nothing to be seen.
    height = max(height, rows * _LEAST_ROW + header + footer + legend_height)
    figure.set_figheight(height)
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    panels_height = height - header - footer - legend_height
    engine.set(rect=(0, footer / height, 1, panels_height / height))
    break_y_labels(figure, panels_height - broken)
    _stack(figure, above, height - MARGIN / 2, height)
    _stack(figure, below, footer - MARGIN, height)
    if box is not None:
        box.set_bbox_to_anchor((0.5, (height - header) / height), figure.transFigure)


def x_label(keys: Framed, usual: str) -> str:
    """Return what stands at the horizontal axis: what the file says, or the usual."""
    return usual if keys.x_label is None else drawable(keys.x_label)


def y_label(keys: Framed, observable: str, usual: str) -> str:
    """Return what stands at the vertical axis of an observable: what the file says, or the usual.

    A long usual one is broken between words and formula.
    """
    own = keys.y_label.get(observable) if isinstance(keys.y_label, dict) else keys.y_label
    return two_lines(usual) if own is None else drawable(own)


def two_lines(label: str) -> str:
    """Break a long label between words and formula, lest it be longer than its axis."""
    words, dollar, formula = label.partition(" $")
    return f"{words}\n${formula}" if dollar and len(label) > 30 else label


def constants(selection: Selection) -> list[str]:
    """Return the settings with one value in all runs that use them.

    Those with a symbol, and words of `_WORDS` that are not the usual ones. What [record] says is
    left out: it does not act on the runs. So are what is off, and a weight decay of 0 and a
    data-fit scale of 1 where the loss is not that of an inverse problem, which they are parts of.
    """
    shared = []
    silent = _parts_of_another_loss(selection) | {
        f"training.{key}": off for key, off in SWITCHES.items()
    }
    moving = (
        name for name in selection.varying if not _is_constant(name, levels(selection.runs, name))
    )
    symbols = Counter(setting_symbol(name)[0] for name in moving)
    for name in setting_columns(selection.runs):
        if name.startswith("record."):
            continue
        values = levels(selection.runs, name)
        if name in silent and silent[name] in values:
            continue
        if len(values) == 1 and values[0] is not None and values[0] == setting_idle(name):
            continue
        if _is_constant(name, values):
            somewhere = " where used" if None in values else ""
            said = with_symbol(name, _of_few_digits(values[0])) + somewhere
            shared.append((name, f"gradient flow, {said}" if name == f"training.{FLOW}" else said))
            symbols[setting_symbol(name)[0]] += 1
        elif name in _WORDS and len(values) == 1 and values[0] != _WORDS[name][0]:
            shared.append(("", f"{format_value(values[0])}{_WORDS[name][1]}"))
    # Of two settings with one symbol only words tell which is which; what a problem and a network
    # have in common is said once.
    told = (
        f"{setting_symbol(name)[1]} {said}"
        if name and symbols[setting_symbol(name)[0]] > 1
        else said
        for name, said in shared
    )
    return list(dict.fromkeys(told))


def _is_constant(name: str, values: Sequence[Any]) -> bool:
    """Return whether a setting with a symbol has one value in the runs that use it."""
    used = [value for value in values if value is not None]
    return len(used) == 1 and bool(setting_symbol(name)[0])


def _parts_of_another_loss(selection: Selection) -> dict[str, float]:
    kinds = set(selection.runs["problem.kind"]) if "problem.kind" in selection.runs else set()
    own = {PROBLEMS[kind].task for kind in kinds if kind in PROBLEMS}
    if "samples" in own or not own:
        return {}
    return {"training.weight_decay": 0.0, "training.data_fit_scale": 1.0}


def _of_few_digits(value: Any) -> str:
    """Return a value, with four digits if it needs more than those: 3.162e-4 for 10^-3.5."""
    exact = not isinstance(value, float) or float(f"{value:.4g}") == value
    return format_value(value) if exact else format_value(value, 4)


def not_shown(selection: Selection, *shown: str | None, points: str | None = None) -> list[str]:
    """Return notes on the settings that vary without being shown by place or colour.

    Medians run over those that vary where the shown ones do not. One that was zipped with a shown
    one varies with it: its values are named, for nothing else in the figure does. What a
    prescription sets follows from the others.

    Args:
        selection: The runs.
        shown: The settings that are shown.
        points: One that is shown, but whose values are each a run's own: nothing moves with it.
    """
    follows = SETS if _is_prescribed(selection) else ()
    known = (*shown, points, *follows, "seed")
    hidden = [
        name
        for name in selection.varying
        if name not in known and not _is_constant(name, levels(selection.runs, name))
    ]
    by = [name for name in shown if name is not None and name in selection.runs]
    over = hidden
    if by:
        groups = selection.runs.groupby(by, dropna=False)
        over = [name for name in hidden if not _one_each(groups[name])]
    zipped = [name for name in hidden if name not in over and not name.startswith("record.")]
    if {"problem.kind", "network.kind"} & {*selection.varying}:
        # What one kind alone has follows from the kind.
        zipped = [name for name in zipped if None not in levels(selection.runs, name)]
    pooled = ["pooled over " + ", ".join(map(setting_label, over))] if over else []
    return pooled + [_varies_with(selection, name, by) for name in zipped]


def _one_each(groups: Any) -> bool:
    return bool(groups.nunique(dropna=False).to_numpy().max() == 1)


def _varies_with(selection: Selection, name: str, by: Sequence[str]) -> str:
    """Return a setting's values in the order of the one that it varies with."""
    values = levels(selection.runs, name)
    for one in by:
        if not _one_each(selection.runs.groupby(one, dropna=False)[name]):
            continue
        places = levels(selection.runs, one)
        if len(places) <= _MOST_LISTED:
            here = (selection.runs.loc[matches(selection.runs, one, place)] for place in places)
            values = [levels(runs, name)[0] for runs in here]
            texts = ", ".join(format_settings(name, values))
            return f"{setting_name(name)} varies with {setting_name(one)}: {texts}"
        by = [one]
        break
    words = f"{setting_name(name)} varies with {' and '.join(map(setting_name, by))}"
    if not is_ordered(values) or None in values:
        return words
    return f"{words}: {' to '.join(format_settings(name, [values[0], values[-1]]))}"


def _is_prescribed(selection: Selection) -> bool:
    return HOW[0] in selection.runs and bool((selection.runs[HOW[0]] != "none").all())


def counts(selection: Selection, left_out: str = "left out") -> list[str]:
    """Return how many runs there are, and how many diverged or are not done yet."""
    rule = f"{selection.num_diverged} diverged{_divergence_rule(selection)}, {left_out}"
    parts = [rule] * bool(selection.num_diverged)
    if selection.num_stopped:
        parts.append(f"{selection.num_stopped} stopped early, held at the last value")
    if selection.num_pending:
        parts.append(f"{selection.num_pending} not done yet")
    total = f"{selection.num_runs} run" + "s" * (selection.num_runs != 1)
    if not selection.num_diverged:
        parts.insert(0, "none diverged")
    return [f"{total}: {parts[0]}", *parts[1:]]


def _divergence_rule(selection: Selection) -> str:
    """Return what a run's error had to exceed to count as diverged."""
    key = "training.divergence_factor"
    # Results of an earlier version have no such column.
    if key not in selection.runs:
        return ""
    least, most = map(float, selection.runs[key].agg(["min", "max"]))
    size = " to ".join(format_settings(key, [least] if least == most else [least, most]))
    return f" (error over {size} × its start)"


def set_ticks(axis: Axis, places: Sequence[float], texts: Sequence[str]) -> None:
    """Put words at an axis, aslant if they would collide."""
    axis.set_ticks(places, list(texts))
    figure = axis.get_figure(root=True)
    assert figure is not None
    widest = max(text_width(figure, text, looks.TEXT) for text in texts)
    # The position before the layout is near the one after it.
    inches = axis.axes.get_position().width * figure.get_figwidth()
    if isinstance(axis, XAxis) and widest * len(texts) > 0.9 * inches:
        for label in axis.get_ticklabels():
            label.set(rotation=25, ha="right", rotation_mode="anchor")


def hide(axes: Sequence[Axes]) -> None:
    """Blank the panels that have nothing to show."""
    for ax in axes:
        ax.set_axis_off()


def _stack(
    figure: Figure, lines: Sequence[tuple[str, float, str]], top: float, height: float
) -> None:
    x = MARGIN / figure.get_figwidth()
    for text, size, colour in lines:
        label = figure.text(x, top / height, text, fontsize=size, color=colour, va="top")
        label.set_in_layout(False)
        top -= size * LINE_HEIGHT / 72
