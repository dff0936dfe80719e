"""A number over two settings: a median over the seeds, or how often the runs succeed.

The values of both settings stand at equal distances, whatever they are. In a frequency of success
a run that diverged, or whose value is not finite, counts as a failure (analysis/success.py); in a
median both are left out. A cell without a value is hatched.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dlnsweep.analysis.logistic import fit_power_law, logistic_half
from dlnsweep.analysis.success import succeeded
from dlnsweep.errors import SpecError
from dlnsweep.figures import layout, looks, style
from dlnsweep.figures.kinds.final import missing_note
from dlnsweep.figures.kinds.limits import draw_limits
from dlnsweep.figures.labels import (
    format_value,
    format_values,
    math_symbol,
    network_among,
    setting_label,
    setting_symbol,
    told_conditions,
    value_label,
)
from dlnsweep.figures.measure import text_width
from dlnsweep.figures.records import Records
from dlnsweep.figures.selected import of_selected_runs
from dlnsweep.figures.statistics import Results, Selection, levels, matches
from dlnsweep.figures.survivors import share
from dlnsweep.settings.at import words
from dlnsweep.settings.figures import HeatmapFigure
from dlnsweep.spec.figures.wording import drawable

MOST_ANNOTATED = 80


@of_selected_runs
def draw_heatmap(results: Results, keys: HeatmapFigure, selection: Selection) -> Figure:
    """Draw one cell for each pair of values of the settings `x` and `y`."""
    columns, rows = levels(selection.runs, keys.x), levels(selection.runs, keys.y)
    value, used, overflowed = _value_of_runs(results, keys, selection)
    diverged = (selection.runs["status"] == "diverged").to_numpy()
    in_column = [matches(selection.runs, keys.x, each) for each in columns]
    in_row = [matches(selection.runs, keys.y, each) for each in rows]
    frequency = keys.success is not None
    cells = np.full((len(rows), len(columns)), np.nan)
    number, lost, tried = (np.zeros(cells.shape, dtype=int) for _ in range(3))
    for i, row in enumerate(in_row):
        for j, column in enumerate(in_column):
            here = row & column
            lost[i, j] = np.count_nonzero(here & diverged)
            tried[i, j] = np.count_nonzero(here & (used | diverged))
            found = value[here & used]
            found = found[np.isfinite(found)]
            number[i, j] = len(found)
            if len(found):
                cells[i, j] = found.mean() if frequency else np.median(found)
    height = float(np.clip(0.24 * len(rows) + 1.0, 1.9, 4.0))
    figure, axes = layout.new_figure(keys, 1, 1, height)
    norm = _norm(keys, cells)
    shares = np.where(lost > 0, tried - lost, -1), tried
    told = _draw_cells(figure, axes[0, 0], keys, cells, norm, _value_label(keys, selection), shares)
    _label_axes(axes[0, 0], keys, columns, rows)
    law = draw_transition(axes[0, 0], keys, columns, rows, cells, number)
    limits, beyond = draw_limits(axes[0, 0], keys, selection, columns, rows)
    missing = int((used & ~np.isfinite(value)).sum())
    notes = [*_notes(keys, number), *law, *beyond, words(keys.at), *missing_note(missing)]
    if overflowed:
        notes.append(f"{overflowed} whose value is not finite, counted as failures")
    if isinstance(norm, LogNorm) and np.any(cells <= 0):
        notes.append("zero in the darkest colour")
    if told:
        notes.append("; ".join(told))
    notes += layout.not_shown(selection, keys.x, keys.y)
    left_out = "counted as failures" if frequency else "left out"
    layout.finish(figure, keys, results, selection, notes, ("", limits), left_out)
    return figure


def _value_of_runs(
    results: Results, keys: HeatmapFigure, selection: Selection
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return a number for each selected run, which runs count, and how many fail by no number.

    The number is 1 or 0 for a frequency, and NaN where the run has no record at the step.
    """
    records = Records(results, selection)
    usable = selection.runs["status"].isin(["finished", "stopped"]).to_numpy()

    def of_runs(observable: str) -> np.ndarray:
        value = np.full(len(usable), np.nan)
        value[usable] = records.per_run(observable, keys.at)
        return value

    if keys.success is None:
        return of_runs(keys.value), usable, 0
    values = {each.observable: of_runs(each.observable) for each in keys.success}
    there = np.zeros(len(usable), dtype=bool)
    # "finished" is asked of a run's end, whatever was recorded before.
    there[usable] = records.there(keys.at) if values else True
    passed = succeeded(selection.runs["status"], keys.success, values.__getitem__).astype(float)
    overflowed = there & ~np.all([np.isfinite(value) for value in values.values()], axis=0)
    diverged = (selection.runs["status"] == "diverged").to_numpy()
    value = np.where(there | diverged, passed, np.nan)
    return value, usable | diverged, int(overflowed.sum())


def _norm(keys: HeatmapFigure, cells: np.ndarray) -> Normalize:
    norm = _norm_of(keys, cells)
    low, high = keys.value_min, keys.value_max
    norm.vmin = norm.vmin if low is None else low
    norm.vmax = norm.vmax if high is None else high
    if norm.vmin is None or norm.vmax is None or norm.vmin >= norm.vmax:
        raise SpecError(
            f"figure.value_min and value_max leave colours from {norm.vmin:g} to {norm.vmax:g}; "
            "the first must be smaller than the second."
        )
    if isinstance(norm, LogNorm) and norm.vmin <= 0:
        raise SpecError(
            f"figure.value_min is {norm.vmin:g}, which a logarithmic scale of colours does not "
            "have; leave it out, or set value_scale = 'linear'."
        )
    return norm


def _norm_of(keys: HeatmapFigure, cells: np.ndarray) -> Normalize:
    there = cells[np.isfinite(cells)]
    if keys.success is not None or not len(there):
        return Normalize(0.0, 1.0)
    if style.is_log(keys.value_scale, there) and np.any(there > 0):
        low, high = float(there[there > 0].min()), float(there.max())
        # Clipping draws zeros in the darkest colour; a note says so.
        norm = LogNorm(low, high) if high > low else LogNorm(low / 2, high * 2)
        norm.clip = True
        return norm
    low, high = float(there.min()), float(there.max())
    return Normalize(low, high) if high > low else Normalize(low - 0.5, high + 0.5)


def _draw_cells(
    figure: Figure,
    ax: Axes,
    keys: HeatmapFigure,
    cells: np.ndarray,
    norm: Normalize,
    label: str,
    shares: tuple[np.ndarray, np.ndarray],
) -> list[str]:
    """Draw the cells; return what marks them where runs diverged."""
    colours = looks.colour_map(keys.colours)
    ax.grid(visible=False)
    ax.spines[["top", "right"]].set_visible(True)
    for i, j in np.argwhere(~np.isfinite(cells)):
        corner = (float(j) - 0.5, float(i) - 0.5)
        ax.add_patch(
            Rectangle(corner, 1, 1, facecolor="white", edgecolor="0.6", hatch="////", linewidth=0)
        )
    coloured = np.maximum(cells, norm.vmin or 0.0)
    edges = [np.arange(size + 1) - 0.5 for size in cells.shape]
    # Thousands of cells belong into a PDF as pixels; their edges are exact either way.
    ax.pcolormesh(
        edges[1], edges[0], np.ma.masked_invalid(coloured), cmap=colours, norm=norm,
        rasterized=cells.size > 2000,
    )  # fmt: skip
    left, tried = shares
    few = np.argwhere((left >= 0) & (2 * left < tried) & np.isfinite(cells))
    for i, j in few:
        corner = (float(j) - 0.5, float(i) - 0.5)
        ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="0.6", hatch="...", linewidth=0))
    annotated = _annotate(figure, ax, keys, cells, colours(norm(coloured)), shares)
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=ax, aspect=25, pad=0.02)
    bar.set_label(label)
    if isinstance(norm, LogNorm):
        style.set_log_ticks(bar.ax.yaxis, float(norm.vmin or 1), float(norm.vmax or 1), most=5)
    else:
        style.set_linear_ticks(bar.ax.yaxis)
    bar.outline.set_linewidth(0.4)  # pyright: ignore[reportCallIssue]
    there = np.isfinite(cells)
    shown = annotated and np.any((left >= 0) & there)
    told = ["k/n: only k of the n runs are left"] if shown else []
    if np.any((left >= 0) & ~there):
        told.append("hatched: none" + ("" if told else " of the runs is left"))
    if len(few):
        told.append("dotted: fewer than half" + ("" if told else " of the runs are left"))
    return told


def _annotate(
    figure: Figure,
    ax: Axes,
    keys: HeatmapFigure,
    cells: np.ndarray,
    colours: np.ndarray,
    shares: tuple[np.ndarray, np.ndarray],
) -> bool:
    """Print the numbers into the cells, unless they would not fit (or were not wanted).

    Returns:
        Whether it did.
    """
    left, tried = shares
    texts = {
        place: format_value(float(f"{value:.2g}"))
        + (f"\n{share(int(left[place]), int(tried[place]))}" if left[place] >= 0 else "")
        for place, value in np.ndenumerate(cells)
        if np.isfinite(value)
    }
    if keys.annotate is None:
        room = 0.65 * figure.get_figwidth() / cells.shape[1]
        wide = (text_width(figure, text, looks.small_size()) for text in set(texts.values()))
        if cells.size > MOST_ANNOTATED or max(wide, default=0.0) > 0.95 * room:
            return False
    elif not keys.annotate:
        return False
    luminance = colours[..., :3] @ np.array([0.299, 0.587, 0.114])
    for (i, j), text in texts.items():
        ax.text(
            j, i, text, ha="center", va="center", fontsize=looks.small_size(),
            color="white" if luminance[i, j] < 0.55 else "black",
        )  # fmt: skip
    return True


def _value_label(keys: HeatmapFigure, selection: Selection) -> str:
    if keys.value_label is not None:
        return drawable(keys.value_label)
    if keys.success is not None:
        return "frequency of success"
    return layout.two_lines(value_label(keys.value, network_among(selection.runs), keys.at))


def _notes(keys: HeatmapFigure, number: np.ndarray) -> list[str]:
    low, high = int(number.min()), int(number.max())
    runs = f"{high} runs" if low == high else f"{low} to {high} runs"
    if keys.success is None:
        return ["one run a cell" if low == high == 1 else f"median of {runs} a cell"]
    if not keys.success:
        return ["success: the run did not diverge", f"{runs} a cell"]
    return [f"success: {told_conditions(keys.success)}", f"{runs} a cell"]


def draw_transition(
    ax: Axes,
    keys: HeatmapFigure,
    columns: list,
    rows: list,
    cells: np.ndarray,
    number: np.ndarray,
) -> list[str]:
    """Mark where half of the runs of each row succeed, and draw its power law; say what it is."""
    if not keys.transition:
        return []
    x, y = (np.asarray(values, dtype=float) for values in (columns, rows))
    if not (np.all(x > 0) and np.all(y > 0)):
        raise SpecError("figure.transition needs positive numbers on both axes.")
    wins = np.nan_to_num(cells) * number
    halves = np.full(len(rows), np.inf)
    for row in range(len(rows)):
        tried = number[row] > 0
        if tried.sum() > 1:
            fitted = logistic_half(
                np.log(x[tried]), wins[row : row + 1, tried], number[[row]][:, tried]
            )
            halves[row] = fitted[0]
    inside = np.isfinite(halves) & (halves > 0)
    if inside.sum() < 2:
        return ["no transition inside"]
    places = np.arange(len(columns))
    at = np.interp(np.log(halves[inside]), np.log(x), places)
    ax.plot(at, np.flatnonzero(inside), "o", color="white", markeredgecolor="black", markersize=3)
    level, exponent = fit_power_law(y[inside], halves[inside])
    law = np.exp(level) * y**exponent
    shown = (law >= x[0]) & (law <= x[-1])
    along = np.interp(np.log(law[shown]), np.log(x), places)
    ax.plot(along, np.flatnonzero(shown), "--", color="black", path_effects=[looks.halo(3.2)])
    # A line has two points at least.
    where = "dashed" if shown.sum() > 1 else "not within the axes"
    wide, high = (
        math_symbol(setting_symbol(name)[0] or letter).strip("$")
        for name, letter in ((keys.x, "x"), (keys.y, "y"))
    )
    law = f"${wide} = {np.exp(level):.3g}\\,{high}^{{{exponent:.2f}}}$"
    return [f"dots: half succeed; {where}: {law}"]


def _label_axes(ax: Axes, keys: HeatmapFigure, columns: list, rows: list) -> None:
    sides = ((ax.xaxis, keys.x, columns, 8), (ax.yaxis, keys.y, rows, 16))
    for axis, name, values, most in sides:
        stride = -(-len(values) // most)
        places = list(range(0, len(values), stride))
        layout.set_ticks(axis, places, [format_values(values)[place] for place in places])
        axis.set_tick_params(length=2)
        usual = setting_label(name)
        own = layout.x_label(keys, usual) if axis is ax.xaxis else layout.y_label(keys, name, usual)
        axis.set_label_text(own)
