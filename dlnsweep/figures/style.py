"""The scales of axes and their ticks, above all of logarithmic ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.ticker import (
    FixedLocator,
    Formatter,
    FuncFormatter,
    Locator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    ScalarFormatter,
)

from dlnsweep.errors import SpecError
from dlnsweep.figures.labels import format_value, plain_ends
from dlnsweep.figures.looks import tick_size
from dlnsweep.figures.measure import label_width

# What labels such as 10^1 and 10^2 need from middle to middle, how far labels stay from each other,
# and what a vertical axis needs for its own, in inches.
_ROOM, _CLEAR, _BESIDE = 0.24, 0.055, 0.35


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


def is_log_axis(scale: str, at: Any, values: Sequence[np.ndarray]) -> tuple[bool, list[str]]:
    """Return whether a vertical axis is logarithmic, and a note if it is not but was to be.

    Args:
        scale: "log" or "linear".
        at: Which record of a run is drawn: the step where a value is least may be 0.
        values: What is drawn.
    """
    if scale == "log" and at == "argmin" and any((each == 0).any() for each in values):
        return False, ["step 0 among them, hence a linear axis"]
    return scale == "log", []


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
        everything, unused = np.concatenate([drawn, band]), []
        if len(everything):
            low, high = everything.min(), everything.max()
            margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
            limits = low - margin, high + margin
            ax.set_ylim(*_within(limits, ends))
            unused = _unused("y", limits, ends)
        return ["no positive value, hence a linear axis"] * bool(log and len(drawn)) + unused
    low, high = positive.min(), positive.max()
    low = min([low, *band[band > low / 10]])
    high = max([high, *band])
    cuts, (lowest, highest) = [], ends
    margin = max((high / low) ** 0.04, 1.08)
    bottom, top = _within((low / margin, high * margin), ends)
    unused = _unused("y", (low / margin, high * margin), ends)
    if lowest is not None and bottom == lowest > low:
        cuts.append(f"values below {format_value(bottom)} are not shown")
    if highest is not None and top == highest < high:
        cuts.append(f"values above {format_value(top)} are not shown")
    ax.set_yscale("log", nonpositive="clip")
    ax.set_ylim(bottom, top)
    set_log_ticks(ax.yaxis, bottom, top)
    for line in ax.get_lines():
        # A vertical line's ends are shares of the axis' height.
        if line.get_transform().contains_branch_seperately(ax.transData)[1]:
            # Else a line would run straight down to where the logarithm of zero would be.
            y = np.asarray(line.get_ydata(), dtype=float)
            line.set_ydata(np.where(y > 0, y, np.nan))
    if not cuts and np.any(drawn <= 0):
        less = np.any(drawn < 0)
        what = "values of zero and less" if less else "zeros"
        cuts = [f"{what} are not on the logarithmic axis"]
    return cuts + unused


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
    cuts = [f"drawn from {format_value(new[0])} on"] if new[0] > left else []
    cuts += [f"drawn up to {format_value(new[1])}"] if new[1] < right else []
    return cuts + _unused("x", (left, right), ends)


def _within(
    limits: tuple[float, float], ends: tuple[float | None, float | None]
) -> tuple[float, float]:
    low, high = (was if end is None else end for was, end in zip(limits, ends, strict=True))
    # One end alone may lie beyond everything.
    return (low, high) if low < high else limits


def _unused(
    axis: str, limits: tuple[float, float], ends: tuple[float | None, float | None]
) -> list[str]:
    """Return what is said of an end that lies beyond all that is drawn; `_within` leaves it out."""
    low, high = (was if end is None else end for was, end in zip(limits, ends, strict=True))
    # Of two ends the first is below the second, or the figure has been refused.
    if low < high or ends == (None, None):
        return []
    key, end, where = ("min", ends[0], "above") if ends[1] is None else ("max", ends[1], "below")
    return [f"{axis}_{key} = {format_value(end)} is not used: nothing is drawn {where} it"]


def set_log_ticks(axis: Axis, low: float, high: float, most: int = 7) -> None:
    """Put ticks at powers of ten, fewer when there are many, at 1, 2, 5 when there are few."""
    decades = np.log10(high / low)
    choices: list[Locator]
    if decades < 0.7:
        choices = [MaxNLocator(count, steps=[1, 2, 5, 10]) for count in (5, 4, 3, 2)]
        axis.set_minor_locator(NullLocator())
    elif decades < 2:
        subs: list[tuple[int, ...]] = [(1, 2, 5)] if decades < 1.1 else []
        choices = [LogLocator(subs=each) for each in (*subs, (1, 3), (1,))]
        axis.set_minor_locator(LogLocator(subs=tuple(range(2, 10))))
    else:
        choices = [LogLocator(numticks=count) for count in range(most, 1, -1)]
        axis.set_minor_locator(LogLocator(subs=tuple(range(2, 10)) if decades < most else (1,)))
    ends = plain_ends([low, high])
    _set_fitting(axis, choices, FuncFormatter(lambda value, _: _tick(value, decades, ends)))
    axis.set_minor_formatter(NullFormatter())


def _set_fitting(axis: Axis, choices: Sequence[Locator], formatter: Formatter) -> None:
    """Put ticks where the first of some locators has them whose labels stand clear of each other.

    Labels of a vertical axis always do.
    """
    wide = isinstance(axis, XAxis)
    axis.set_major_locator(_Fitting(choices, formatter) if wide else choices[0])
    axis.set_major_formatter(formatter)


class _Fitting(Locator):
    """The first of some locators whose labels fit, asked when the axis is as wide as it is."""

    def __init__(self, choices: Sequence[Locator], formatter: Formatter) -> None:
        self._choices = choices
        self._formatter = formatter

    def set_axis(self, axis: Any) -> None:
        super().set_axis(axis)
        for each in self._choices:
            each.set_axis(axis)

    def __call__(self) -> Any:
        return self.tick_values(*cast("Axis", self.axis).get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> Any:
        low, high = sorted((vmin, vmax))
        ticks = np.zeros(0)
        for each in self._choices:
            ticks = np.asarray(each.tick_values(vmin, vmax), dtype=float)
            ticks = ticks[(ticks >= low) & (ticks <= high)]
            if self._fits(ticks, low, high):
                return ticks
        strides = range(2, len(ticks) + 1)
        return next((t for n in strides if self._fits(t := ticks[::n], low, high)), ticks)

    def _fits(self, ticks: np.ndarray, low: float, high: float) -> bool:
        axis = cast("Axis", self.axis)
        places = axis.get_transform().transform(np.array([low, high, *ticks]))
        figure = axis.get_figure(root=True)
        assert figure is not None
        inches = axis.axes.bbox.width / figure.dpi
        middles = (places[2:] - places[0]) / (places[1] - places[0]) * inches
        texts = self._formatter.format_ticks(list(ticks))
        widths = [label_width(text, tick_size()) for text in texts]
        ends = middles + np.array(widths) / 2
        begins = middles - np.array(widths) / 2
        return bool(np.all(begins[1:] - ends[:-1] >= _CLEAR))


def _tick(value: float, decades: float, ends: tuple[float, float] | None = None) -> str:
    power = round(np.log10(value)) if value > 0 else 0
    if decades >= 2 and value > 0 and np.isclose(value, 10.0**power, rtol=1e-6):
        return f"$10^{{{power}}}$"
    return format_value(float(f"{value:.6g}"), ends=ends)


def set_linear_ticks(axis: Axis) -> None:
    """Put about five ticks, with a power of ten at the axis's end where numbers need one."""
    formatter = ScalarFormatter(useMathText=True, useOffset=False)
    formatter.set_powerlimits((-3, 5))
    axis.set_minor_locator(NullLocator())
    choices = [MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]) for count in (5, 4, 3, 2)]
    _set_fitting(axis, choices, formatter)


def _set_log_with_zero(ax: Axes, positive: np.ndarray) -> None:
    first, last = float(positive[0]), float(positive[-1])
    decades = np.log10(last / first)
    # The position before the layout has no room yet for what stands at the vertical axis.
    canvas = ax.get_figure(root=True)
    assert canvas is not None
    inches = ax.get_position().width * canvas.get_figwidth() - _BESIDE
    powers = np.arange(np.ceil(np.log10(first) - 1e-9), np.floor(np.log10(last) + 1e-9) + 1)
    # Those of negative powers are wider.
    texts = [_tick(10.0**power, max(decades, 2)) for power in powers]
    widths = [label_width(text, tick_size()) for text in texts]
    room = max([_ROOM, *(width + _CLEAR for width in widths)])
    beside = room * decades / max(inches - room, 1e-3)
    linscale = max(0.4, 0.12 * decades, beside if beside < 1 else 0.0)
    ax.set_xscale("symlog", linthresh=first, linscale=linscale)
    formatter = FuncFormatter(lambda value, _: "0" if value == 0 else _tick(value, max(decades, 2)))
    if not len(powers):
        # All within a decade, such as steps 24 to 40: their ends are labelled, if there is room.
        ends = [FixedLocator([0.0, *each]) for each in ([first, last], [last])]
        ax.xaxis.set_minor_locator(NullLocator())
        _set_fitting(ax.xaxis, ends, formatter)
        return
    decade = max(inches, room) / (linscale + decades)
    stride = max(int(np.ceil(len(powers) / 6)), int(np.ceil(room / decade)))
    # Counted from the right; what is too near the 0 at the left end has no label.
    kept = powers[::-1][::stride][::-1]
    kept = kept[decade * (linscale + kept - np.log10(first)) >= room * (1 - 1e-9)]
    ax.xaxis.set_major_locator(FixedLocator([0.0, *10.0**kept]))
    minor = np.outer(10.0 ** np.arange(powers[0] - 1, powers[-1] + 1), np.arange(1, 10)).ravel()
    ax.xaxis.set_minor_locator(FixedLocator(minor[(minor >= first) & (minor <= last)]))
    ax.xaxis.set_major_formatter(formatter)
    ax.xaxis.set_minor_formatter(NullFormatter())
