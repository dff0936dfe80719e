"""How fast an observable decays: its local rate, in units of the free decay of the first layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from dlnsweep.figures.labels import observable_label
from dlnsweep.figures.overlays import Overlay
from dlnsweep.figures.panels import Grid
from dlnsweep.figures.statistics import Selection, matches
from dlnsweep.theory.setup import Setup

# The slope is taken over this share of the recorded steps: between neighbours of a few hundred
# records, rounding and the reduced kernel's tolerance would show.
_WINDOW = 1 / 40


def rate_window(count: int) -> int:
    """Return over how many of `count` recorded steps a slope is taken."""
    return max(1, round(count * _WINDOW))


def decay_rates(
    steps: np.ndarray, values: np.ndarray, units: np.ndarray, window: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return -(ln y(t') - ln y(t)) / (t' - t) over `units`, at the middle of t and t'.

    Args:
        steps: Recorded steps, ascending.
        values: y, (steps, runs).
        units: What each run's rate is measured in, a step: -ln(1 - eta_1 lambda), by which
            ||W_1(t) P_perp|| decays whatever else happens.
        window: By how many steps t and t' are apart, in records; as `rate_window`
            gives it by default.

    Returns:
        The middles, and the rates (middles, runs); NaN where a value is not positive.
    """
    window = rate_window(len(steps)) if window is None else window
    first, last = steps[:-window].astype(float), steps[window:].astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.where(values > 0, values, np.nan))
        rates = -(logs[window:] - logs[:-window]) / (last - first)[:, None] / units
    return (first + last) / 2, rates


def first_layer_rates(runs: pd.DataFrame) -> np.ndarray:
    """Return -ln(1 - eta_1 lambda) of each run, a step."""
    rows = runs.to_dict("records")
    keeps = [Setup({str(k): v for k, v in row.items()}, np.nan).keeps[0] for row in rows]
    return -np.log(np.array(keeps))


def overlays_as_rates(overlays: Sequence[Overlay], selection: Selection) -> list[Overlay]:
    """Return the rates at which formulas decay, in the unit of the runs beside which they stand."""
    made = []
    for overlay in overlays:
        if overlay.vertical:
            made.append(overlay)
            continue
        chosen = np.ones(len(selection.used), dtype=bool)
        for name, level in overlay.where.items():
            chosen &= matches(selection.used, name, level)
        unit = np.median(first_layer_rates(selection.used.loc[chosen]))
        x, y = decay_rates(overlay.x, overlay.y[:, None], np.array([unit]))
        made.append(replace(overlay, x=x, y=y[:, 0]))
    return made


def label_rates(grid: Grid) -> None:
    """Name the vertical axes."""
    for panel in grid.panels:
        if panel.ax.get_ylabel():
            words = observable_label(panel.observable).partition(" $")[0]
            panel.ax.set_ylabel(
                f"decay rate of the {words}\n" + r"in units of $-\ln(1-\eta_1\lambda)$"
            )
