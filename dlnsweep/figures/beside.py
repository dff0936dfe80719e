"""An observable drawn dashed beside another: what a run itself says of a bound."""

from __future__ import annotations

import itertools

import numpy as np

from dlnsweep.figures.labels import network_among, observable_label
from dlnsweep.figures.overlays import Overlay
from dlnsweep.figures.records import Group, Records
from dlnsweep.figures.statistics import Results, Selection, levels, matches
from dlnsweep.settings.figure_keys import shown_by
from dlnsweep.settings.figures import CurvesFigure


def beside_overlays(results: Results, keys: CurvesFigure, selection: Selection) -> list[Overlay]:
    """Return the curves that `beside` names: medians over the runs of each panel and colour."""
    if not keys.beside:
        return []
    parts = _parts(keys, selection)
    found = []
    for pattern, (observable, other) in enumerate(keys.beside.items()):
        groups = [Group(other, runs) for _, runs in parts]
        medians = Records(results, selection).summaries(groups, "none", (0.25, 0.75))
        label = observable_label(other, network_among(selection.runs))
        found += [
            Overlay(observable, label, median.x, median.median, where, pattern=pattern)
            for (where, _), median in zip(parts, medians, strict=True)
        ]
    return found


def _parts(keys: CurvesFigure, selection: Selection) -> list[tuple[dict, np.ndarray]]:
    """Return the settings and the runs of each panel and colour that has runs."""
    used, parts = selection.used, []
    names = list(shown_by(keys).values())
    for values in itertools.product(*(levels(used, name) for name in names)):
        where = dict(zip(names, values, strict=True))
        runs = np.ones(len(used), dtype=bool)
        for name, value in where.items():
            runs &= matches(used, name, value)
        if runs.any():
            parts.append((where, runs))
    return parts
