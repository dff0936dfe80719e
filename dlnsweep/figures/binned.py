"""What is drawn over the points of a scatter figure, in bins along a setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from dlnsweep.analysis.partial_dependence import TooFewPointsError, partial_dependence
from dlnsweep.errors import SpecError
from dlnsweep.figures.labels import setting_label
from dlnsweep.figures.statistics import Selection, column_of


def draw_medians(ax: Axes, x: np.ndarray, y: np.ndarray, bins: int, colour: str) -> None:
    """Draw the median of y, and its quartiles as a band, in bins of equally many points."""
    order = np.argsort(x, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    middle = np.array([np.median(x[part]) for part in parts])
    low, median, high = np.array([np.quantile(y[part], (0.25, 0.5, 0.75)) for part in parts]).T
    _draw(ax, middle, (low, median, high), colour)


def draw_dependence(
    ax: Axes,
    selection: Selection,
    runs: np.ndarray,
    name: str,
    y: np.ndarray,
    bins: int,
    colour: str,
    *,
    geometric: bool,
) -> list[str]:
    """Draw the partial dependence of y on a setting, and its interval as a band.

    Args:
        ax: Where.
        selection: The runs of the figure.
        runs: Which of those that are used, (used,).
        name: The setting.
        y: A number of each of these runs, finite.
        bins: How many bins.
        colour: Of line and band.
        geometric: Whether means are.

    Returns:
        Notes on what could not be averaged as is said.

    Raises:
        SpecError: If there are too few sampled points for so many bins.
    """
    chosen: Any = selection.used.loc[runs]
    others = {
        key: column_of(chosen, key)
        for key in selection.varying
        if key not in (name, "seed") and column_of(chosen, key).nunique(dropna=False) > 1
    }
    x = column_of(chosen, name).to_numpy(dtype=float)
    try:
        found = partial_dependence(np.log10(y) if geometric else y, x, others, bins)
    except TooFewPointsError as error:
        raise SpecError(
            f"figure.bins is {bins}, but partial_dependence has {error} to estimate; give fewer "
            "bins, more sampled points, or leave one of them out."
        ) from None
    ends = (found.low, found.mean, found.high)
    _draw(ax, found.x, tuple(10**end for end in ends) if geometric else ends, colour)
    together = ", ".join(map(setting_label, found.inseparable))
    return [f"not averaged out, as they move with others: {together}"] if together else []


def _draw(ax: Axes, x: np.ndarray, ends: Sequence[np.ndarray], colour: str) -> None:
    low, middle, high = ends
    ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(x, middle, color=colour, linewidth=1.5, zorder=3)


def words(bins: int | None, *, dependence: bool, geometric: bool) -> list[str]:
    """Return what line and band are; nothing without bins."""
    if bins is None:
        return []
    if not dependence:
        return [f"line: median in {bins} bins of equally many runs; band: quartiles"]
    mean = "geometric mean" if geometric else "mean"
    return [
        f"line: partial dependence in {bins} bins, the {mean} over what the other settings take",
        "band: its 95 % interval over sampled points",
    ]
