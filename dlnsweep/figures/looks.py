"""How the figures look: fonts, colours, markers and kinds of lines.

Fonts are those that matplotlib brings along, so that a figure is the same on every machine, unless
a file asks for others. Numbers get the ordered colours of viridis (dark to light, never yellow on
white), words those of Okabe and Ito; markers repeat what the colours say, for grey print and
colour-blind readers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.patheffects import withStroke

from dlnsweep.errors import SpecError
from dlnsweep.figures.statistics import is_ordered

MARKERS = ("o", "s", "^", "D", "v", "p", "<", ">", "h", "d")
# Okabe and Ito's colours without the yellow, which is too light for a line on white.
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
UNUSED = "#7F7F7F"
SMALL, TEXT, TITLE = 6.5, 8.0, 9.0
GREY = "0.35"
_DASHES: tuple[Any, ...] = ("-", (0, (3.2, 1.3)), (0, (1.2, 1.2)), (0, (6, 1.3, 1, 1.3)))
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


_SIZES = ("axes.labelsize", "axes.titlesize", "legend.fontsize", "legend.title_fontsize",
          "xtick.labelsize", "ytick.labelsize")  # fmt: skip


def styled(rc: Mapping[str, Any] | None = None) -> AbstractContextManager[None]:
    """Return the context in which figures are drawn and saved, whatever the user's own style.

    Args:
        rc: Settings of Matplotlib that the figure has for itself. A font size without others is
            that of labels; all others follow.
    """
    own = dict(rc or {})
    base = dict(_STYLE)
    if "font.size" in own:
        factor = FontProperties(size=own["font.size"]).get_size_in_points() / TEXT
        base |= {key: factor * base[key] for key in _SIZES}
    return matplotlib.style.context(["default", base, own])


def small_size() -> float:
    """Return the size of small print, in points."""
    return SMALL / TEXT * float(matplotlib.rcParams["font.size"])


def title_size() -> float:
    """Return the size of a figure's title, in points."""
    return TITLE / TEXT * float(matplotlib.rcParams["font.size"])


def tick_size() -> float:
    """Return the size of the numbers at an axis, in points."""
    return float(FontProperties(size=matplotlib.rcParams["xtick.labelsize"]).get_size_in_points())


def halo(width: float) -> withStroke:
    """Return the white edge of what lies over lines or colours that must not swallow it."""
    return withStroke(linewidth=width, foreground="white")


def colours(levels: Sequence[Any], wanted: str | Sequence[str] | None = None) -> list[Any]:
    """Return a colour for each value: ordered ones for numbers, distinct ones for words.

    Args:
        levels: The values; None is one that runs do not use.
        wanted: The name of a colour map, or colours, at least as many as there are values.

    Raises:
        SpecError: There are fewer colours.
    """
    present = sum(level is not None for level in levels)
    if isinstance(wanted, str):
        places = np.linspace(0.0, 1.0, max(present, 2))
        chosen = [to_hex(each) for each in matplotlib.colormaps[wanted](places)][:present]
    elif wanted is not None:
        if len(wanted) < present:
            raise SpecError(
                f"figure.colours has {len(wanted)} colours, but there are {present} values to be "
                "told apart; give as many, or the name of a colour map, such as 'viridis'."
            )
        chosen = [to_hex(each) for each in wanted[:present]]
    elif is_ordered(levels):
        ordered = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.84, max(present, 2)))
        chosen = [to_hex(each) for each in ordered[:present]]
    else:
        chosen = [OKABE_ITO[index % len(OKABE_ITO)] for index in range(present)]
    return chosen + [UNUSED] * (len(levels) - present)


def told_from(colour: Any) -> str:
    """Return a shade that is seen on a line of a colour: darker, on a dark one lighter.

    Args:
        colour: As matplotlib takes it.
    """
    rgb = np.array(to_rgb(colour))
    luminance = float(rgb**2.2 @ [0.2126, 0.7152, 0.0722])
    red, green, blue = 0.4 * rgb if luminance > 0.1 else 1 - 0.4 * (1 - rgb)
    return to_hex((red, green, blue))


def marker_style(index: int) -> dict[str, Any]:
    """Return the marker of the index-th curve; those of neighbours are staggered."""
    return {
        "marker": MARKERS[index % len(MARKERS)],
        "markevery": (0.03 + 0.035 * (index % 4), 0.14),
        "markeredgecolor": "white",
    }


def line_style(index: int, plain: bool) -> dict[str, Any]:
    """Return what tells the index-th value of `style_by` apart: its marker, and its dashes.

    Args:
        index: Which value.
        plain: Whether lines stay whole, as dashes stand for something else.
    """
    look = marker_style(index)
    return look if plain else {**look, "linestyle": _DASHES[index % len(_DASHES)]}


def colour_map(wanted: str | Sequence[str] | None) -> Any:
    """Return a colour map by its name, or between colours; viridis if none is wanted."""
    if wanted is None or isinstance(wanted, str):
        return matplotlib.colormaps[wanted or "viridis"]
    return LinearSegmentedColormap.from_list("own", list(wanted))
