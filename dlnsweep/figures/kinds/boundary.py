"""The boundary along the axis that a sweep refines, against another setting, with an interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dlnsweep.analysis.boundaries import asked, boundaries_of, succeeded
from dlnsweep.analysis.transitions import fit_transitions
from dlnsweep.errors import SpecError
from dlnsweep.figures import layout, style
from dlnsweep.figures.labels import setting_label
from dlnsweep.figures.statistics import Results, Selection, levels
from dlnsweep.settings.figures import BoundaryFigure
from dlnsweep.settings.refine import Refine


def draw_boundary(results: Results, keys: BoundaryFigure, selection: Selection) -> Figure:
    """Draw one point for each boundary: the middle of the values between which it lies.

    Bars are the 95 % bootstrap interval over the seeds of the value at which half of the runs
    succeed, by logistic regression on all values that were tried.
    """
    refine, axes = asked(results.sweep, [*selection.runs.columns])
    runs: Any = selection.runs[selection.runs["status"] != "planned"]
    axes = [*axes, *_beside(runs, refine, axes, keys)]
    table = boundaries_of(runs, refine, axes)
    found: Any = table[np.isfinite(table["low"].to_numpy(dtype=float))]
    intervals = _intervals(runs, refine, axes)
    figure, panels = layout.new_figure(keys, 1, 1, row_height=2.8)
    ax = panels[0, 0]
    hues = levels(runs, keys.hue) if keys.hue else [None]
    colours = style.colours(hues) if keys.hue else [style.OKABE_ITO[0]]
    colour_of = dict(zip(hues, colours, strict=True))
    seen: list[Any] = []
    across: list[np.ndarray] = []
    heights: list[np.ndarray] = []
    barred = False
    for index, hue in enumerate(hues):
        own: Any = found[found[keys.hue] == hue] if keys.hue else found
        if not len(own):
            continue
        seen.append(hue)
        x = own[keys.x].to_numpy(dtype=float)
        y = _middle(own, refine)
        look = {**style.marker_style(index), "markevery": None, "linestyle": "none"}
        ends = [intervals.get(tuple(row)) for row in own[axes].itertuples(index=False)]
        bars = np.array([(np.nan, np.nan) if each is None else each for each in ends])
        there = np.isfinite(bars).all(axis=1)
        if there.any():
            # Of another estimate: it need not hold the point.
            ax.vlines(x[there], *bars[there].T, color=colour_of[hue], linewidth=0.8)
            heights.append(bars[there].ravel())
            barred = True
        ax.plot(x, y, color=colour_of[hue], **look)
        across.append(x)
        heights.append(y)
    x = np.concatenate([*across, np.array([], dtype=float)])
    style.set_x_scale(ax, style.is_log(keys.x_scale, x), x, keys.x)
    notes = list(style.cut_x(ax, (keys.x_min, keys.x_max)))
    log = keys.y_scale == "log" and all(each.min() > 0 for each in heights)
    notes += style.set_y_scale(ax, log, heights, [], (keys.y_min, keys.y_max))
    ax.set_xlabel(setting_label(keys.x))
    ax.set_ylabel(setting_label(refine.between))
    without = len(table) - len(found)
    small = [
        f"where {_success(refine)} in half of the seeds, to {100 * refine.tolerance:g} %",
        *(["bars: 95 % bootstrap interval over the seeds"] if barred else []),
        *layout.not_shown(selection, keys.x, keys.hue, points=refine.between),
        *([f"{without} combination{'s' * (without > 1)} without a boundary"] if without else []),
        *notes,
    ]
    legend = layout.legend_of(keys.hue, hues, colour_of, (), seen)
    for handle in legend[1]:
        handle.set_linestyle("none")
    layout.finish(figure, keys, results, selection, small, legend, "counted as failures")
    return figure


def _beside(runs: pd.DataFrame, refine: Refine, axes: list[str], keys: BoundaryFigure) -> list[str]:
    """Return the settings of the figure that are no axes, but follow from them.

    Raises:
        SpecError: If one moves along the axis that is refined.
    """
    names = [name for name in (keys.x, keys.hue) if name is not None and name not in axes]
    for name in names:
        groups: Any = runs.groupby(axes, dropna=False)[name] if axes else runs[[name]]
        if np.max(groups.nunique(dropna=False)) > 1:
            raise SpecError(
                f"figure: '{name}' moves along {refine.between}, which is refined; take another "
                "setting as x or hue."
            )
    return names


def _middle(table: pd.DataFrame, refine: Refine) -> np.ndarray:
    low, high = (table[name].to_numpy(dtype=float) for name in ("low", "high"))
    return np.sqrt(low * high) if refine.spacing == "log" else (low + high) / 2


def _intervals(runs: pd.DataFrame, refine: Refine, axes: list[str]) -> dict[Any, Any]:
    """Return the ends of the interval of each combination; none where x is not positive."""
    if not (runs[refine.between].to_numpy(dtype=float) > 0).all():
        return {}
    frame = runs.assign(succeeded=succeeded(runs, refine))
    fitted: Any = fit_transitions(frame, refine.between, axes).table
    ends = fitted[["low", "high"]].to_numpy(dtype=float)
    ends = np.where(ends > 0, ends, np.nan)
    return dict(zip(fitted[axes].itertuples(index=False, name=None), ends, strict=True))


def _success(refine: Refine) -> str:
    if not refine.success:
        return "training does not diverge"
    return " and ".join(f"{each.observable} < {each.below:g}" for each in refine.success)
