"""What stands beside rows of panels: which value each is for, clear of the ends of its curves."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.transforms import offset_copy

from dlnsweep.figures.measure import renderer

# From a panel to the text beside it, in points.
_APART = 4.0
# The share of its first width that a panel loses at most when it is laid out.
_NARROWER = 0.5


def name(ax: Axes, text: str) -> Text:
    """Write a row's name beside its last panel, and return it."""
    size = matplotlib.rcParams["axes.titlesize"]
    label = ax.text(1.0, 0.5, text, rotation=270, ha="left", va="center", fontsize=size)
    _put(label, _APART)
    return label


def clear(labels: Sequence[Text]) -> None:
    """Move the names of rows, all alike, past what is written at the ends of curves."""
    past = max(map(_past, labels), default=0.0)
    for label in labels:
        _put(label, _APART + past)


def _put(label: Text, points: float) -> None:
    """Put a name so many points beside its panel, whatever size that will have."""
    ax = label.axes
    assert ax is not None
    label.set_transform(offset_copy(ax.transAxes, ax.get_figure(root=True), points, units="points"))


def _past(label: Text) -> float:
    """Return how many points the other texts of a name's panel go beyond where it begins."""
    ax = label.axes
    assert ax is not None
    figure = ax.get_figure(root=True)
    assert figure is not None
    draw = renderer(figure)
    begins = label.get_window_extent(draw).x0
    ends = [begins]
    for text in ax.texts:
        if text is label or not isinstance(text, Annotation):
            continue
        # The layout is still to come: what is written beside a point stands nearer to the panel's
        # end when that gets narrower.
        to_end = ax.bbox.x1 - float(ax.transData.transform(text.xy)[0])
        ends.append(text.get_window_extent(draw).x1 + _NARROWER * max(0.0, to_end))
    return (max(ends) - begins) * 72 / figure.dpi
