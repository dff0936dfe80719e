"""The boundary along the axis that a sweep refines, against another setting, with an interval."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dlnsweep.analysis.boundaries import asked, boundaries_of, succeeded
from dlnsweep.analysis.half import fewest_tries
from dlnsweep.analysis.transitions import LEVEL, fit_transitions
from dlnsweep.errors import SpecError
from dlnsweep.figures import layout, legends, looks, style
from dlnsweep.figures.labels import setting_label, told_conditions
from dlnsweep.figures.selected import of_selected_runs
from dlnsweep.figures.statistics import Results, Selection, levels
from dlnsweep.settings.figure_keys import ends_of, shown_by
from dlnsweep.settings.figures import BoundaryFigure
from dlnsweep.settings.refine import Refine


@of_selected_runs
def draw_boundary(results: Results, keys: BoundaryFigure, selection: Selection) -> Figure:
    """Draw one point for each boundary: the middle of the values between which it lies.

    Bars are the 95 % interval over the seeds of the value at which half of the runs succeed, by
    sign tests at all values that were tried.
    """
    refine, axes = asked(results.sweep, [*selection.runs.columns])
    runs: Any = selection.runs[selection.runs["status"] != "planned"]
    axes = [*axes, *_beside(runs, refine, axes, keys)]
    table = boundaries_of(runs, refine, axes)
    found: Any = table[np.isfinite(table["low"].to_numpy(dtype=float))]
    intervals, too_few = _intervals(runs, refine, axes)
    figure, panels = layout.new_figure(keys, 1, 1, row_height=2.8)
    ax = panels[0, 0]
    hues = levels(runs, keys.hue) if keys.hue else [None]
    own = keys.colours[0] if isinstance(keys.colours, tuple) else looks.OKABE_ITO[0]
    colours = looks.colours(hues, keys.colours) if keys.hue else [own]
    colour_of = dict(zip(hues, colours, strict=True))
    kinds = levels(runs, keys.style_by) if keys.style_by else [None]
    seen: list[Any] = []
    styles: dict[Any, Any] = {}
    across: list[np.ndarray] = []
    heights: list[np.ndarray] = []
    barred = False
    for number, (hue, kind) in enumerate(product(hues, kinds)):
        own = _with(_with(found, keys.hue, hue), keys.style_by, kind)
        if not len(own):
            continue
        look = looks.marker_style(kinds.index(kind) if keys.style_by else number)
        look = {**look, "markevery": None, "linestyle": "none"}
        seen.append(hue)
        styles[kind] = look
        x = own[keys.x].to_numpy(dtype=float)
        y = _middle(own, refine)
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
    notes += style.set_y_scale(ax, log, heights, [], ends_of(keys, None))
    ax.set_xlabel(layout.x_label(keys, setting_label(keys.x)))
    ax.set_ylabel(layout.y_label(keys, refine.between, setting_label(refine.between)))
    without = len(table) - len(found)
    small = [
        f"where {_success(refine)} in half of the seeds, to {100 * refine.tolerance:g} %",
        *(["bars: 95 % interval over the seeds"] if barred else []),
        *([f"no interval of fewer than {fewest_tries(LEVEL)} seeds"] if too_few else []),
        *layout.not_shown(selection, keys.x, *shown_by(keys).values(), points=refine.between),
        *([f"{without} combination{'s' * (without > 1)} without a boundary"] if without else []),
        *notes,
    ]
    if legends.has_bar(keys, hues, seen):
        legends.add_hue_bar(figure, [ax], keys, hues, colour_of)
    told = list(styles.items()) if keys.style_by else []
    legend = legends.legend_of(keys, hues, colour_of, (), seen, told)
    for handle in legend[1]:
        handle.set_linestyle("none")
    layout.finish(figure, keys, results, selection, small, legend, "counted as failures")
    return figure


def _beside(runs: pd.DataFrame, refine: Refine, axes: list[str], keys: BoundaryFigure) -> list[str]:
    """Return the settings of the figure that are no axes, but follow from them.

    Raises:
        SpecError: If one moves along the axis that is refined.
    """
    names = [name for name in (keys.x, *shown_by(keys).values()) if name not in axes]
    for name in names:
        groups: Any = runs.groupby(axes, dropna=False)[name] if axes else runs[[name]]
        if np.max(groups.nunique(dropna=False)) > 1:
            raise SpecError(
                f"figure: '{name}' moves along {refine.between}, which is refined; take another "
                "setting as x or hue."
            )
    return names


def _with(table: Any, name: str | None, value: Any) -> Any:
    """Return the rows that have a value of a setting; all if none is named."""
    if name is None:
        return table
    return table[table[name].isna() if value is None else table[name] == value]


def _middle(table: pd.DataFrame, refine: Refine) -> np.ndarray:
    low, high = (table[name].to_numpy(dtype=float) for name in ("low", "high"))
    return np.sqrt(low * high) if refine.spacing == "log" else (low + high) / 2


def _intervals(runs: pd.DataFrame, refine: Refine, axes: list[str]) -> tuple[dict[Any, Any], int]:
    """Return the ends of each combination's interval, and how many have too few seeds for one.

    There are none where x is not positive.
    """
    if not (runs[refine.between].to_numpy(dtype=float) > 0).all():
        return {}, 0
    frame = runs.assign(succeeded=succeeded(runs, refine))
    found = fit_transitions(frame, refine.between, axes)
    fitted: Any = found.table
    ends = fitted[["low", "high"]].to_numpy(dtype=float)
    ends = np.where(ends > 0, ends, np.nan)
    rows = fitted[axes].itertuples(index=False, name=None)
    return dict(zip(rows, ends, strict=True)), found.too_few


def _success(refine: Refine) -> str:
    if not refine.success:
        return "training does not diverge"
    return told_conditions(refine.success)
