"""How the figures look: fonts, colours, markers, and the ticks of logarithmic axes.

Fonts are those that matplotlib brings along, so that a figure is the same on every machine.
Numbers get the ordered colours of viridis (dark to light, never yellow on white), words those of
Okabe and Ito; markers repeat what the colours say, for grey print and colour-blind readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    ScalarFormatter,
)

from dlnsweep.errors import SpecError
from dlnsweep.figures.labels import format_value
from dlnsweep.figures.statistics import is_ordered

MARKERS = ("o", "s", "^", "D", "v", "p", "<", ">", "h", "d")
# Okabe and Ito's colours without the yellow, which is too light for a line on white.
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
UNUSED = "#7F7F7F"
SMALL, TEXT, TITLE = 6.5, 8.0, 9.0
# What labels such as 10^1 and 10^2 need from middle to middle, and a vertical axis for its own, in
# inches.
_ROOM, _BESIDE = 0.24, 0.35
GREY = "0.35"
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "dejavusans",
    "font.size": TEXT,
    "axes.labelsize": TEXT,
    "axes.titlesize": TEXT,
    "legend.fontsize": 7.5,
    "legend.title_fontsize": 7.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.size": 1.6,
    "ytick.minor.size": 1.6,
    "axes.grid": True,
    "axes.grid.which": "major",
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.6,
    "lines.markeredgewidth": 0.4,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "legend.columnspacing": 1.4,
    "hatch.linewidth": 0.5,
    "svg.hashsalt": "dlnsweep",
    "pdf.fonttype": 42,
    "text.usetex": False,
    "savefig.bbox": None,
    "axes.unicode_minus": True,
}


def styled() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn and saved, whatever the user's own style."""
    return matplotlib.style.context(["default", _STYLE])


def colours(levels: Sequence[Any]) -> list[Any]:
    """Return a colour for each value: ordered ones for numbers, distinct ones for words."""
    present = sum(level is not None for level in levels)
    if is_ordered(levels):
        ordered = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.84, max(present, 2)))
        chosen = [to_hex(each) for each in ordered[:present]]
    else:
        chosen = [OKABE_ITO[index % len(OKABE_ITO)] for index in range(present)]
    return chosen + [UNUSED] * (len(levels) - present)


def marker_style(index: int) -> dict[str, Any]:
    """Return the marker of the index-th curve; those of neighbours are staggered."""
    return {
        "marker": MARKERS[index % len(MARKERS)],
        "markevery": (0.03 + 0.035 * (index % 4), 0.14),
        "markeredgecolor": "white",
    }


def is_log(scale: str, values: np.ndarray) -> bool:
    """Return whether an axis is logarithmic, which "auto" leaves to its values."""
    if scale != "auto":
        return scale == "log"
    positive = values[values > 0]
    if not len(positive) or values.min() < 0:
        return False
    return bool(positive.max() > 10 * positive.min())


def set_x_scale(ax: Axes, log: bool, values: np.ndarray, name: str) -> None:
    """Scale the horizontal axis for the values (steps, or values of a setting) that it carries.

    Zero on a logarithmic axis (step 0, λ = 0) stands at the left end, labelled 0: from 0 to the
    smallest positive value the axis is linear, and no value lies between.

    Raises:
        SpecError: A logarithmic axis was asked for negative numbers.
    """
    values = np.unique(values)
    positive = values[values > 0]
    if log and len(values) and values[0] < 0:
        raise SpecError(
            f"figure.x_scale is 'log', but {name} is {values[0]:g} in some runs; "
            "set figure.x_scale = 'linear'."
        )
    if not log or len(positive) < 2:
        set_linear_ticks(ax.xaxis)
    elif values[0] == 0:
        _set_log_with_zero(ax, positive)
    else:
        ax.set_xscale("log")
        set_log_ticks(ax.xaxis, positive[0], positive[-1])


def set_y_scale(
    ax: Axes,
    log: bool,
    lines: Sequence[np.ndarray],
    edges: Sequence[np.ndarray],
    ends: tuple[float | None, float | None] = (None, None),
) -> list[str]:
    """Scale the vertical axis to medians (`lines`) and bands (`edges`).

    On a logarithmic axis an edge at or below zero is drawn down to the frame, and a lower edge far
    below all medians (which a standard deviation makes) does not stretch the axis.

    Returns:
        Notes on what a logarithmic axis cannot show.
    """
    drawn = np.concatenate([np.ravel(each) for each in lines] or [np.zeros(0)])
    band = np.concatenate([np.ravel(each) for each in edges] or [np.zeros(0)])
    drawn, band = drawn[np.isfinite(drawn)], band[np.isfinite(band)]
    positive = drawn[drawn > 0]
    if not log or not len(positive):
        set_linear_ticks(ax.yaxis)
        everything = np.concatenate([drawn, band])
        if len(everything):
            low, high = everything.min(), everything.max()
            margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
            ax.set_ylim(*_within((low - margin, high + margin), ends))
        return ["no positive value, hence a linear axis"] if log and len(drawn) else []
    low, high = positive.min(), positive.max()
    low = min([low, *band[band > low / 10]])
    high = max([high, *band])
    cuts, (lowest, highest) = [], ends
    if lowest is not None and low < lowest < high:
        low = lowest
        cuts.append(f"values below {format_value(low)} are not shown")
    if highest is not None and low < highest < high:
        high = highest
        cuts.append(f"values above {format_value(high)} are not shown")
    margin = max((high / low) ** 0.04, 1.08)
    ax.set_yscale("log", nonpositive="clip")
    ax.set_ylim(low / margin, high * margin)
    set_log_ticks(ax.yaxis, low / margin, high * margin)
    for line in ax.get_lines():
        # A vertical line's ends are shares of the axis' height.
        if line.get_transform().contains_branch_seperately(ax.transData)[1]:
            # Else a line would run straight down to where the logarithm of zero would be.
            y = np.asarray(line.get_ydata(), dtype=float)
            line.set_ydata(np.where(y > 0, y, np.nan))
    if cuts:
        return cuts
    return ["zeros are not on the logarithmic axis"] if np.any(drawn <= 0) else []


def cut_x(ax: Axes, ends: tuple[float | None, float | None]) -> list[str]:
    """Let the horizontal axis begin and end where it is told to; return what is cut off."""
    left, right = ax.get_xlim()
    if ends == (None, None):
        return []
    new = _within((left, right), ends)
    if ax.get_xscale() != "linear" and new[0] <= 0 < left:
        # A logarithmic axis without a zero at its left end has no place for one.
        new = left, new[1]
    ax.set_xlim(*new)
    cuts = [f"from {format_value(new[0])} on"] if new[0] > left else []
    return cuts + ([f"up to {format_value(new[1])}"] if new[1] < right else [])


def _within(
    limits: tuple[float, float], ends: tuple[float | None, float | None]
) -> tuple[float, float]:
    low, high = (was if end is None else end for was, end in zip(limits, ends, strict=True))
    # One end alone may lie beyond everything.
    return (low, high) if low < high else limits


def set_log_ticks(axis: Axis, low: float, high: float, most: int = 7) -> None:
    """Put ticks at powers of ten, fewer when there are many, at 1, 2, 5 when there are few."""
    decades = np.log10(high / low)
    if decades < 0.7:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axis.set_minor_locator(NullLocator())
    elif decades < 2:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 1.1 else (1, 3)))
        axis.set_minor_locator(LogLocator(subs=tuple(range(2, 10))))
    else:
        axis.set_major_locator(LogLocator(numticks=most))
        axis.set_minor_locator(LogLocator(subs=tuple(range(2, 10)) if decades < most else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, decades)))
    axis.set_minor_formatter(NullFormatter())


def _tick(value: float, decades: float) -> str:
    power = round(np.log10(value)) if value > 0 else 0
    if decades >= 2 and value > 0 and np.isclose(value, 10.0**power, rtol=1e-6):
        return f"$10^{{{power}}}$"
    return format_value(float(f"{value:.6g}"))


def set_linear_ticks(axis: Axis) -> None:
    """Put about five ticks, with a power of ten at the axis's end where numbers need one."""
    formatter = ScalarFormatter(useMathText=True, useOffset=False)
    formatter.set_powerlimits((-3, 5))
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(formatter)


def _set_log_with_zero(ax: Axes, positive: np.ndarray) -> None:
    first, last = float(positive[0]), float(positive[-1])
    decades = np.log10(last / first)
    # The position before the layout has no room yet for what stands at the vertical axis.
    canvas = ax.get_figure(root=True)
    assert canvas is not None
    inches = ax.get_position().width * canvas.get_figwidth() - _BESIDE
    room = _ROOM * decades / max(inches - _ROOM, 1e-3)
    linscale = max(0.4, 0.12 * decades, room if room < 1 else 0.0)
    ax.set_xscale("symlog", linthresh=first, linscale=linscale)
    powers = np.arange(np.ceil(np.log10(first) - 1e-9), np.floor(np.log10(last) + 1e-9) + 1)
    decade = max(inches, _ROOM) / (linscale + decades)
    stride = max(int(np.ceil(len(powers) / 6)), int(np.ceil(_ROOM / decade)))
    # Counted from the right; what is too near the 0 at the left end has no label.
    kept = powers[::-1][::stride][::-1]
    kept = kept[decade * (linscale + kept - np.log10(first)) >= _ROOM * (1 - 1e-9)]
    ax.xaxis.set_major_locator(FixedLocator([0.0, *10.0**kept]))
    minor = np.outer(10.0 ** np.arange(powers[0] - 1, powers[-1] + 1), np.arange(1, 10)).ravel()
    ax.xaxis.set_minor_locator(FixedLocator(minor[(minor >= first) & (minor <= last)]))
    ax.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: "0" if value == 0 else _tick(value, max(decades, 2)))
    )
    ax.xaxis.set_minor_formatter(NullFormatter())
