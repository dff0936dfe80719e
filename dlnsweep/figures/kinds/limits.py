"""Lines over a heatmap's cells: the value of one axis that a formula gives for each of the other.

Cells stand at equal distances whatever their values are, so a line is a stair: it stands still in
the cells of one value, between the two columns (or rows) whose values it lies between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from dlnsweep.errors import SpecError
from dlnsweep.figures import looks
from dlnsweep.figures.overlays import dashed
from dlnsweep.figures.statistics import Selection
from dlnsweep.figures.theory import over_cells
from dlnsweep.settings.figures import HeatmapFigure
from dlnsweep.theory.curves import THEORY_CURVES


def draw_limits(
    ax: Axes, keys: HeatmapFigure, selection: Selection, columns: list, rows: list
) -> tuple[list[Line2D], list[str]]:
    """Draw what `theory` names over the cells; return the legend's entries, and notes.

    Raises:
        SpecError: If a formula is for none of the runs, or its setting has words on its axis.
    """
    handles, notes = [], []
    settings = {THEORY_CURVES[name].label: THEORY_CURVES[name].setting for name in keys.theory}
    for pattern, (label, pairs) in enumerate(over_cells(keys, selection).items()):
        upright = settings[label] == keys.x
        own, other = (columns, rows) if upright else (rows, columns)
        found = dict(pairs)
        places = _places(settings[label], own, np.array([found[value] for value in other]))
        along = np.repeat(np.arange(len(other)), 2) + np.tile([-0.5, 0.5], len(other))
        stair = np.repeat(places, 2)
        look = {"color": "black", **dashed(pattern), "linewidth": 1.3}
        line = (stair, along) if upright else (along, stair)
        ax.plot(*line, path_effects=[looks.halo(3.2)], **look)
        handles.append(Line2D([], [], label=label, **look))
        outside = int(np.sum(~np.isfinite(places)))
        if outside:
            what = "row" if upright else "column"
            notes.append(f"{label}: outside or none in {outside} {what}{'s' * (outside > 1)}")
    return handles, notes


def _places(name: str, values: Sequence[Any], limits: np.ndarray) -> np.ndarray:
    """Return where values of a setting lie among those of the cells; NaN beyond these."""
    if not all(isinstance(value, int | float) for value in values):
        raise SpecError(f"figure.theory is of {name}, which must have numbers on its axis.")
    ends = np.asarray(values, dtype=float)
    scale = np.log if np.all(ends > 0) else np.asarray
    inside = np.isfinite(limits) & (limits >= ends[0]) & (limits <= ends[-1])
    safe = np.where(inside, limits, ends[0])
    return np.where(inside, np.interp(scale(safe), scale(ends), np.arange(len(ends))), np.nan)
