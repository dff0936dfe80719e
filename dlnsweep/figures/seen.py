"""What of a figure's lines can be seen: a legend names nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from dlnsweep.figures.looks import told_from
from dlnsweep.figures.overlays import Overlay

# A formula that is nearer to a curve than this, in points, on so much of its way lies on it.
_NEAR, _ON = 0.5, 0.9


def is_seen(line: Line2D) -> bool:
    """Return whether a part of a line, or a marker, lies within its axes."""
    ax = line.axes
    if ax is None or not line.get_visible():
        return False
    # Else limits that are still to be found out would not be.
    ax.get_xlim(), ax.get_ylim()
    # Cleaned alone a path would be transformed by the affine part only.
    path = line.get_transform().transform_path(line.get_path())
    path = path.cleaned(remove_nans=True, simplify=False)
    if line.get_linestyle() not in ("None", "none", "") and path.intersects_bbox(ax.bbox, False):
        return True
    if line.get_marker() in (None, "None", "none", ""):
        return False
    points = line.get_transform().transform(np.asarray(line.get_xydata(), dtype=float))
    every = line.get_markevery()
    if isinstance(every, list):
        points = points[every]
    points = points[np.isfinite(points).all(axis=1)]
    box = ax.bbox
    # A marker on the frame is seen, whatever rounding says.
    low, high = np.array([box.x0, box.y0]) - 0.5, np.array([box.x1, box.y1]) + 0.5
    return bool(np.any(np.all((points >= low) & (points <= high), axis=1)))


def mark_isolated(ax: Axes) -> None:
    """Give a marker to points without a neighbour, which a line alone does not show.

    Values that the axes cannot show are NaN by then. Formulas, which have a label, get a dash.
    """
    for line in ax.get_lines():
        x, y = (np.asarray(each, dtype=float) for each in line.get_data())
        there = np.isfinite(x) & np.isfinite(y)
        if not there.any():
            # Matplotlib looks for the first of the points that it is to space markers from.
            line.set_markevery(None)
        beside = np.zeros(len(there), dtype=bool)
        beside[1:] |= there[:-1]
        beside[:-1] |= there[1:]
        alone = np.flatnonzero(there & ~beside).tolist()
        if not alone or line.get_linestyle() in ("None", "none", ""):
            continue
        if line.get_marker() in (None, "None", "none", ""):
            is_formula = not str(line.get_label()).startswith("_")
            line.set(marker="_" if is_formula else "o", markevery=alone)
        elif line.get_markevery() is not None:
            regular = range(0, len(there), max(1, len(there) // 7))
            line.set_markevery(sorted({*alone, *regular}))


def set_apart(curves: Sequence[Line2D]) -> None:
    """Give formulas that lie on the curve whose colour they have another shade of it.

    Args:
        curves: What was measured, in axes whose scales and limits are set.
    """
    for curve in curves:
        for line in curve.axes.get_lines() if curve.axes else []:
            is_formula = not str(line.get_label()).startswith("_")
            if is_formula and line.get_color() == curve.get_color() and _lies_on(line, curve):
                line.set_color(told_from(curve.get_color()))


def _lies_on(line: Line2D, curve: Line2D) -> bool:
    """Return whether a line runs along a curve nearly all of its way."""
    ax = curve.axes
    figure = ax.get_figure(root=True) if ax else None
    if ax is None or figure is None:
        return False
    ax.get_xlim(), ax.get_ylim()
    ways = []
    for each in (line, curve):
        points = each.get_transform().transform(np.asarray(each.get_xydata(), dtype=float))
        ways.append(points[np.isfinite(points).all(axis=1)])
    if any(len(points) < 2 for points in ways):
        return False
    begin = max(ax.bbox.x0, *(points[0, 0] for points in ways))
    end = min(ax.bbox.x1, *(points[-1, 0] for points in ways))
    if begin >= end:
        return False
    along = np.linspace(begin, end, 200)
    heights = [np.interp(along, *points.T) for points in ways]
    near = np.abs(heights[0] - heights[1]) < _NEAR * figure.dpi / 72
    return bool(near.mean() >= _ON)


def seen_overlays(
    axes: Sequence[Axes], overlays: Sequence[Overlay], told: Sequence[str] = ()
) -> tuple[list[Overlay], list[str]]:
    """Return the overlays that can be seen in one of the axes, and a note on the others.

    Args:
        axes: The panels, whose scales and limits are set.
        overlays: What was drawn into them.
        told: Labels that another note speaks of.
    """
    seen = {line.get_label() for ax in axes for line in ax.get_lines() if is_seen(line)}
    shown = [overlay for overlay in overlays if overlay.label in seen]
    hidden = {each.label for each in overlays} - {each.label for each in shown} - {*told}
    order = dict.fromkeys(each.label for each in overlays if each.label in hidden)
    return shown, [f"not within the axes: {', '.join(order)}"] if order else []
