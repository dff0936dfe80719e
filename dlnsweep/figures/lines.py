"""Texts of a figure, broken into lines that fit: labels, title and small print."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from dlnsweep.figures.measure import text_width
from dlnsweep.spec.figures.wording import words_of_text

LINE_HEIGHT = 1.35
# What is left of a panel's share of the width beside its own vertical axis.
_PANEL_SHARE = 0.7
# A label beside a panel may stand beside the panel's own ticks and label below, too.
_LABEL_SHARE = 0.85


def break_x_labels(figure: Figure) -> float:
    """Break labels below the panels that are wider than these, lest the figure's edge cut them.

    Returns:
        The height of the lines that were added, in inches.
    """
    added: dict[int, float] = {}
    for ax in figure.axes:
        spec, label = ax.get_subplotspec(), ax.xaxis.label
        if spec is None or not label.get_text():
            continue
        room = _PANEL_SHARE * figure.get_figwidth() / spec.get_gridspec().ncols
        size = float(label.get_fontsize())
        lines = broken_lines(figure, [label.get_text()], size, room)
        if len(lines) > 1:
            label.set_text("\n".join(lines))
            row, more = spec.rowspan.start, (len(lines) - 1) * size * LINE_HEIGHT / 72
            added[row] = max(added.get(row, 0.0), more)
    return sum(added.values())


def break_y_labels(figure: Figure, height: float) -> None:
    """Break labels beside panels and colour bars that are longer than these are high.

    Args:
        figure: The figure.
        height: What all rows of panels have together, without the lines that were added below
            them, in inches.
    """
    for ax in figure.axes:
        spec, label = ax.get_subplotspec(), ax.yaxis.label
        room = _LABEL_SHARE * height / (spec.get_gridspec().nrows if spec else 1)
        size = float(label.get_fontsize())
        lines = label.get_text().split("\n")
        # A line is as wide as it is when it lies.
        broken = [each for line in lines for each in broken_lines(figure, [line], size, room)]
        if len(broken) > len(lines):
            label.set_text("\n".join(broken))


def broken_lines(
    figure: Figure, chunks: Sequence[str], size: float, width: float, between: str = " "
) -> list[str]:
    """Return the chunks joined to lines that fit the width (in inches)."""
    lines: list[str] = []
    for chunk in filter(None, chunks):
        joined = lines[-1] + between + chunk if lines else chunk
        if lines and text_width(figure, joined, size) <= width:
            lines[-1] = joined
        elif len(words := words_of_text(chunk)) > 1 and text_width(figure, chunk, size) > width:
            lines += broken_lines(figure, words, size, width)
        else:
            lines.append(chunk)
    return lines
