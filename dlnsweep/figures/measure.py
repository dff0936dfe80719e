"""How large a text will be, asked before it is placed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

# What axes lose of their height when they are laid out, at most.
_SHRINK = 0.85
_CLEAR = 1.0


def renderer(figure: Figure) -> Any:
    """Return what measures a figure's texts."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    return canvas.get_renderer()


def text_width(figure: Figure, text: str, size: float) -> float:
    """Return how wide a line is, in inches."""
    probe = Text(0, 0, text, fontsize=size, figure=figure)
    return probe.get_window_extent(renderer(figure)).width / figure.dpi


def label_width(text: str, size: float) -> float:
    """Return how wide a label is, in inches, the same whatever a figure is written as."""
    return _label_width(text, size, tuple(matplotlib.rcParams["font.family"]))


@lru_cache(1024)
def _label_width(text: str, size: float, _: tuple[str, ...]) -> float:
    figure = Figure(figsize=(1, 1), dpi=300)
    FigureCanvasAgg(figure)
    return text_width(figure, text, size)


def top_for_notes(ax: Axes) -> float:
    """Return where a vertical axis has to end for the notes at its points to stay below its top."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    bottom, top = ax.get_ylim()
    scale = ax.yaxis.get_transform()
    low, high = scale.transform([bottom, top])
    height, needed = _SHRINK * ax.bbox.height, high
    for note in ax.texts:
        if not isinstance(note, Annotation) or not bottom <= note.xy[1] <= top:
            continue
        x, y = ax.transData.transform(note.xy)
        if not ax.bbox.x0 - 1 <= x <= ax.bbox.x1 + 1:
            continue
        above = note.get_window_extent(renderer(figure)).y1 - y + _CLEAR * figure.dpi / 72
        if 0 < above < height / 2:
            at = scale.transform([note.xy[1]])[0]
            needed = max(needed, low + (at - low) / (1 - above / height))
    return top if needed == high else float(scale.inverted().transform([needed])[0])
