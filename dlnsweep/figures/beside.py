"""An observable drawn dashed beside another: what a run itself says of a bound."""

from __future__ import annotations

import numpy as np

from dlnsweep.figures.labels import observable_label
from dlnsweep.figures.overlays import Overlay
from dlnsweep.figures.settings import CurvesFigure
from dlnsweep.figures.statistics import Results, Selection, levels, matches, median_curve


def beside_overlays(results: Results, keys: CurvesFigure, selection: Selection) -> list[Overlay]:
    """Return the curves that `beside` names: medians over the runs of each panel and colour."""
    found = []
    used = selection.used
    for pattern, (observable, other) in enumerate(keys.beside.items()):
        panels = levels(used, keys.panel_by) if keys.panel_by else [None]
        hues = levels(used, keys.hue) if keys.hue else [None]
        for panel in panels:
            for hue in hues:
                where = {keys.panel_by: panel, keys.hue: hue}
                where = {name: value for name, value in where.items() if name is not None}
                runs = np.ones(len(used), dtype=bool)
                for name, value in where.items():
                    runs &= matches(used, name, value)
                if not runs.any():
                    continue
                steps, median = median_curve(results, selection, other, runs)
                label = observable_label(other)
                found.append(Overlay(observable, label, steps, median, where, pattern=pattern))
    return found
