"""How many runs are left at a point, where some of them diverged: its median is of those alone.

What so few runs say must not look like what all of them say: such points are hollow, such curves
have hollow markers (and are pale where fewer than half of the runs are left), with the runs left
over all that are done beside them. Nor must a median of steps taken that half of the runs used up
look like one that they needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from dlnsweep.figures import looks
from dlnsweep.figures.measure import renderer
from dlnsweep.figures.statistics import Selection, matches

# More numbers than these in one panel nobody reads; then those stand with fewer than half left.
MOST_NAMED = 24
SIZE = 5.5
SENTENCE = "hollow or k/n: only k of the n runs are left"
CROWDED = "k/n left out where it would cover another"
RAN_OUT = "↑: half of the runs or more were not there yet when their steps were over"
NONE_LEFT = "×: none of the runs is left"
# Where a text may stand beside its point, in points to the right and up: the first that is free.
_BESIDE = ((3, 3), (3, -3), (-3, 3), (-3, -3))
# The same of a curve's end, where texts of several curves that end alike stand above each other:
# 7/45 upon 32/45 would be read as 7/455.
_BEHIND = ((3, -2), (3, 5), (3, -9), (3, 12), (3, -16))
_MARKER = 4.0
# From one cross to the next below it, as a share of the height of the axes.
_APART = 0.05
_HOLLOW: dict[str, Any] = {"markerfacecolor": "white", "markeredgewidth": 0.9}


@dataclass(frozen=True)
class Shares:
    """Runs left and all runs at each of a line's points."""

    line: Line2D
    left: np.ndarray
    total: np.ndarray


def num_diverged(selection: Selection, where: Mapping[str, Any]) -> int:
    """Return how many diverged runs have these values of settings."""
    runs = selection.diverged
    found = np.ones(len(runs), dtype=bool)
    for name, value in where.items():
        found &= matches(runs, name, value)
    return int(found.sum())


def share(left: int, total: int) -> str:
    """Return the share as it stands in figures: 3/10."""
    return f"{left}/{total}"


def mark_curves(ax: Axes, curves: list[Shares]) -> list[str]:
    """Mark curves whose runs diverged in part; return the note that says how.

    Args:
        ax: The axes, scaled and cut already.
        curves: One number of runs each.
    """
    marked = crowded = False
    taken: list[Bbox] = []
    for curve in curves:
        left, total = int(curve.left[0]), int(curve.total[0])
        x, y = (np.asarray(each, dtype=float) for each in curve.line.get_data())
        there = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        if left == total or not len(there):
            continue
        colour = curve.line.get_color()
        curve.line.set(**_HOLLOW, markeredgecolor=colour)
        if 2 * left < total:
            curve.line.set_alpha(0.5)
        x_max = ax.get_xlim()[1]
        inside = there[x[there] <= x_max]
        end = (float(x[inside[-1]]), float(y[inside[-1]])) if len(inside) else (np.nan, np.nan)
        low, high = sorted(ax.get_ylim())
        if low <= end[1] <= high:
            crowded |= not _name_apart(ax, end, share(left, total), colour, taken, _BEHIND)
        marked = True
    return [*([SENTENCE] if marked else []), *([CROWDED] if crowded else [])]


def mark_points(ax: Axes, lines: list[Shares]) -> list[str]:
    """Mark points whose runs diverged in part; return the note that says how."""
    wanted = [(each, i) for each in lines for i in np.flatnonzero(each.left < each.total)]
    if not wanted:
        return []
    named = wanted
    if len(wanted) > MOST_NAMED:
        named = [(each, i) for each, i in wanted if 2 * each.left[i] < each.total[i]]
    for each in lines:
        lost = each.left < each.total
        x, y = (np.asarray(v, dtype=float)[lost] for v in each.line.get_data())
        if len(x):
            colour, marker = each.line.get_color(), each.line.get_marker()
            look = {**_HOLLOW, "markeredgecolor": colour, "zorder": 3, "linestyle": "none"}
            ax.plot(x, y, marker=marker, color=colour, **look)
    points = np.concatenate([np.asarray(each.line.get_xydata(), dtype=float) for each in lines])
    taken = _boxes(ax, points[np.isfinite(points).all(1)])
    crowded = False
    for each, i in named:
        x, y = (np.asarray(v, dtype=float)[i] for v in each.line.get_data())
        text = share(int(each.left[i]), int(each.total[i]))
        if np.isfinite(y):
            crowded |= not _name_apart(ax, (x, y), text, each.line.get_color(), taken)
    some = "" if len(named) == len(wanted) else " (named where fewer than half are)"
    return [f"{SENTENCE}{some}", *([CROWDED] if crowded else [])]


def _boxes(ax: Axes, points: np.ndarray) -> list[Bbox]:
    """Return what markers cover, in pixels."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    half = _MARKER / 2 * figure.dpi / 72
    return [Bbox([at - half, at + half]) for at in ax.transData.transform(points)]


def _name_apart(
    ax: Axes,
    at: tuple[float, float],
    text: str,
    colour: Any,
    taken: list[Bbox],
    places: tuple[tuple[int, int], ...] = _BESIDE,
) -> bool:
    """Write a text beside a point where it covers no other, and no point.

    Args:
        ax: The axes, scaled already.
        at: The point.
        text: Its text.
        colour: The text's.
        taken: What must not be covered; the text joins it.
        places: How far it may stand from the point, in points to the right and up.

    Returns:
        Whether there was a place.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    # At the end of a curve they stand on a line each, beside points above or below it.
    level = places is _BEHIND
    for across, up in places:
        note = ax.annotate(
            text, at, (across, up), textcoords="offset points", fontsize=SIZE, color=colour,
            ha="left" if across > 0 else "right", zorder=4,
            va="baseline" if up > 0 or level else "top",
            path_effects=[looks.halo(1.5)],
        )  # fmt: skip
        box = note.get_window_extent(renderer(figure))
        inside = box.x0 >= ax.bbox.x0 and box.y0 >= ax.bbox.y0
        if inside and not any(box.overlaps(other) for other in taken):
            taken.append(box)
            return True
        note.remove()
    return False


def mark_lost(ax: Axes, x: np.ndarray, colour: Any, above: np.ndarray) -> Line2D:
    """Put a cross at the top of the axes where all runs diverged: else nothing tells they ran.

    Args:
        ax: The axes.
        x: The places.
        colour: The colour of the curve whose runs are gone.
        above: How many crosses of other curves stand at each place already: this one stands below.
    """
    heights = np.maximum(0.97 - _APART * above, 0.03)
    (line,) = ax.plot(
        x, heights, marker="x", markersize=4, markeredgewidth=1.0, color=colour, linestyle="none",
        transform=ax.get_xaxis_transform(), zorder=4,
    )  # fmt: skip
    return line


def most_ran_out(selection: Selection, runs: np.ndarray) -> bool:
    """Return whether half of some runs or more used all their steps.

    Args:
        selection: Whose runs a condition would have stopped early.
        runs: Which of the usable runs, as a boolean array.
    """
    status = selection.used["status"].to_numpy()
    return 2 * int((status[runs] == "finished").sum()) >= int(runs.sum()) > 0


def mark_ran_out(ax: Axes, line: Line2D, cut: np.ndarray) -> bool:
    """Put an arrow over those points of a line; return whether there were any."""
    x, y = (np.asarray(each, dtype=float)[cut] for each in line.get_data())
    for place in zip(x, y, strict=True):
        ax.annotate(
            "↑", place, (0, 3), textcoords="offset points", ha="center", va="bottom",
            fontsize=2 * SIZE, color=line.get_color(),
        )  # fmt: skip
    return bool(cut.any())
