"""The place where theory meets measurement: a curve to be drawn beside the measured ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Overlay:
    """A curve from a formula, drawn dashed and named in the legend.

    Attributes:
        observable: The observable in whose panels it is drawn.
        label: What it is, such as "rate of Theorem 2.3".
        x: Steps, or values of the setting on the horizontal axis.
        y: The formula's values, in the unit of the observable.
        where: The settings that it was evaluated for: it is drawn only in the panels of such
            runs, and in the colour of such curves (dark grey if it names no hue).
        vertical: Whether it is a vertical line at the one value of `x`.
        pattern: Which pattern of dashes it has, so that formulas can be told apart.
    """

    observable: str
    label: str
    x: np.ndarray
    y: np.ndarray
    where: Mapping[str, Any] = field(default_factory=dict)
    vertical: bool = False
    pattern: int = 0


_PATTERNS = ((4, 1.6), (1, 1.3), (6, 1.3, 1, 1.3), (2.2, 1.3))


def dashed(pattern: int = 0) -> dict[str, Any]:
    """Return how a formula's line looks."""
    dashes = _PATTERNS[pattern % len(_PATTERNS)]
    return {"linestyle": (0, dashes), "linewidth": 1.0, "zorder": 3}


def draw_overlays(
    ax: Axes,
    overlays: Sequence[Overlay],
    observable: str,
    panel: Mapping[str, Any],
    hue: tuple[str | None, Mapping[Any, Any]],
) -> list[Overlay]:
    """Draw the overlays that belong to one panel and return them.

    Args:
        ax: The panel.
        overlays: All overlays of the figure.
        observable: The observable of the panel.
        panel: The settings that the panels stand for, and their values here.
        hue: The setting that the colours stand for, and the colour of each value.
    """
    drawn = []
    for overlay in overlays:
        if overlay.observable != observable or any(
            overlay.where.get(name, value) != value for name, value in panel.items()
        ):
            continue
        name, colour_of = hue
        colour = colour_of.get(overlay.where.get(str(name)), "0.2")
        line = {"color": colour, "label": overlay.label, **dashed(overlay.pattern)}
        if overlay.vertical:
            ax.axvline(overlay.x[0], **line)
        else:
            ax.plot(overlay.x, overlay.y, **line)
        drawn.append(overlay)
    return drawn
