"""The artists of a figure as Plotly's traces: what Matplotlib was handed, number by number.

The page computes no statistics of its own. It draws what `dlnsweep figure` would, and reads from
that figure the medians, the bands, the formulas and the marks of few survivors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection, QuadMesh
from matplotlib.colors import LogNorm, to_hex, to_rgba
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation

from dlnsweep.view.words import words

# Matplotlib's markers by Plotly's names.
_SYMBOLS = {
    "o": "circle", "s": "square", "^": "triangle-up", "v": "triangle-down", "D": "diamond",
    "d": "diamond-tall", "P": "cross", "X": "x", "*": "star", "<": "triangle-left",
    ">": "triangle-right", "p": "pentagon", "h": "hexagon", "x": "x-thin-open",
    "+": "cross-thin-open",
}  # fmt: skip
_MARKERS_A_CURVE = 7
# Of a scatter more points than these are slow in a browser; the figure draws all.
MOST_POINTS = 5000

Moved = Callable[[Any], np.ndarray]


class Panel:
    """One set of axes on its way to Plotly.

    Args:
        ax: The axes.
        number: Its number, from 1.
    """

    def __init__(self, ax: Axes, number: int) -> None:
        self.ax = ax
        tail = "" if number == 1 else str(number)
        self.axes = {"xaxis": f"x{tail}", "yaxis": f"y{tail}"}
        self.keys = {"x": f"xaxis{tail}", "y": f"yaxis{tail}"}

    def moved(self, which: str) -> Moved:
        """Return what takes values to where Plotly's axis has them."""
        axis = self.ax.xaxis if which == "x" else self.ax.yaxis
        if axis.get_scale() in ("linear", "log"):
            return lambda values: np.asarray(values, dtype=float)
        # Plotly knows no axis that is linear near 0 and logarithmic beyond.
        transform = axis.get_transform()
        return lambda values: np.asarray(transform.transform(np.asarray(values, float)), float)

    def trace(self, x: Any, y: Any, **more: Any) -> dict[str, Any]:
        """Return a trace of points in this panel."""
        return {
            "type": "scatter",
            "x": listed(self.moved("x")(x)),
            "y": listed(self.moved("y")(y)),
            "showlegend": False,
            **self.axes,
            **more,
        }


def listed(values: Any) -> list[float | None]:
    """Return numbers for JSON, which has none that are not finite."""
    array = np.asarray(values, dtype=float).ravel()
    if np.isfinite(array).all():
        return cast("list[float | None]", array.tolist())
    return [value if np.isfinite(value) else None for value in array.tolist()]


def error_bars(ax: Axes) -> tuple[dict[Line2D, np.ndarray], set[Any]]:
    """Return the ends (lower, upper) of the bars of each line, and what they are drawn by."""
    bars: dict[Line2D, np.ndarray] = {}
    parts: set[Any] = set()
    for container in ax.containers:
        if not isinstance(container, ErrorbarContainer) or container[0] is None:
            continue
        line, caps, collections = container
        parts |= {*caps, *collections}
        for collection in collections:
            segments = [np.asarray(s) for s in collection.get_segments()]
            bars[line] = np.array([[s[0, 1], s[-1, 1]] if len(s) else [np.nan] * 2
                                   for s in segments])  # fmt: skip
    return bars, parts


def line_trace(
    panel: Panel, line: Line2D, bars: np.ndarray | None = None, most: int | None = None
) -> dict[str, Any]:
    """Return a line, or points, as a trace; `most` points at most."""
    x, y = (np.asarray(each, dtype=float) for each in line.get_data())
    if line.get_transform() != panel.ax.transData:
        # From one end of the axes to the other, as of axvline.
        y = np.array(panel.ax.get_ylim()) if len(y) == 2 else y
    if most is not None and len(x) > most:
        kept = np.unique(np.linspace(0, len(x) - 1, most).round().astype(int))
        x, y, bars = x[kept], y[kept], None
    colour = to_hex(line.get_color())
    joined = str(line.get_linestyle()).lower() not in ("none", "", " ")
    symbol = _SYMBOLS.get(str(line.get_marker()))
    if symbol is None and not joined:
        symbol = "circle"
    more: dict[str, Any] = {
        "mode": "+".join(["lines"] * joined + ["markers"] * (symbol is not None)),
        "line": {"color": colour, "width": 1.2 * line.get_linewidth(), "dash": _dash(line)},
        "opacity": float(line.get_alpha() or 1.0),
    }
    if symbol is not None:
        hollow = _is_white(line.get_markerfacecolor())
        edge = line.get_markeredgecolor()
        own = to_hex(line.get_color() if _is_white(edge) or not hollow else edge)
        more["marker"] = {
            "symbol": symbol.removesuffix("-open") + "-open" if hollow else symbol,
            "color": own,
            "size": _sizes(line, len(x)),
            "line": {"width": 1.2 if hollow else 0, "color": own},
        }
    if bars is not None and len(bars) == len(y):
        up, down = (np.maximum(each, 0.0) for each in (bars[:, 1] - y, y - bars[:, 0]))
        more["error_y"] = {
            "type": "data", "symmetric": False, "array": listed(up), "arrayminus": listed(down),
            "thickness": 1, "width": 2, "color": colour,
        }  # fmt: skip
    return panel.trace(x, y, **more)


def band_traces(panel: Panel, band: PolyCollection) -> list[dict[str, Any]]:
    """Return a band as the outlines of its pieces."""
    faces = np.asarray(band.get_facecolor())
    red, green, blue, alpha = (float(each) for each in faces[0]) if len(faces) else (0, 0, 0, 0)
    bottom = panel.ax.get_ylim()[0]
    log = panel.ax.get_yscale() == "log"
    traces = []
    for path in band.get_paths():
        x, y = np.asarray(path.vertices).T
        # A logarithmic axis has no place for 0; the band goes on below its lower end.
        y = np.maximum(y, bottom / 10) if log else y
        fill = f"rgba({round(255 * red)},{round(255 * green)},{round(255 * blue)},{alpha:g})"
        traces.append(
            panel.trace(
                x,
                y,
                mode="lines",
                fill="toself",
                fillcolor=fill,
                line={"width": 0},
                hoverinfo="skip",
            )
        )
    return traces


def segment_traces(panel: Panel, collection: LineCollection) -> list[dict[str, Any]]:
    """Return separate pieces of lines as one trace with gaps."""
    colours = np.asarray(collection.get_colors())
    x: list[float] = []
    y: list[float] = []
    for segment in collection.get_segments():
        points = np.asarray(segment, dtype=float)
        x += [*points[:, 0].tolist(), np.nan]
        y += [*points[:, 1].tolist(), np.nan]
    colour = to_hex(colours[0]) if len(colours) else "#444444"
    return [panel.trace(x, y, mode="lines", line={"color": colour, "width": 1}, hoverinfo="skip")]


def mesh_trace(panel: Panel, mesh: QuadMesh) -> tuple[dict[str, Any], np.ndarray]:
    """Return a heatmap and its values (rows, columns), NaN where a cell has none."""
    array = mesh.get_array()
    edges = np.asarray(mesh.get_coordinates(), dtype=float)
    shape = edges.shape[0] - 1, edges.shape[1] - 1
    cells = np.ma.filled(np.ma.asarray(array, dtype=float), np.nan).reshape(shape)
    log = isinstance(mesh.norm, LogNorm)
    ends: Any = mesh.norm.vmin, mesh.norm.vmax
    low, high = float(ends[0] or 0.0), float(ends[1] or 1.0)
    bar: dict[str, Any] = {"thickness": 12, "outlinewidth": 0}
    z = cells
    if log:
        z = np.log10(np.clip(cells, low, high))
        low, high = np.log10(low), np.log10(high)
        powers = np.arange(np.ceil(low), np.floor(high) + 1)
        if len(powers) > 1:
            powers = powers[:: max(1, len(powers) // 6)]
            bar |= {
                "tickvals": powers.tolist(), "ticktext": [f"10<sup>{p:g}</sup>" for p in powers]
            }  # fmt: skip
        else:
            places = np.linspace(low, high, 3)
            bar |= {"tickvals": places.tolist(), "ticktext": [f"{10**p:.3g}" for p in places]}
    steps = np.linspace(0, 1, 17)
    scale = [[float(s), to_hex(mesh.get_cmap()(float(s)))] for s in steps]
    trace = {
        "type": "heatmap", "z": [listed(row) for row in z], "zmin": low, "zmax": high,
        "colorscale": scale, "colorbar": bar, "xgap": 1, "ygap": 1,
        **panel.axes,
    }  # fmt: skip
    return trace, cells


def patch_shapes(panel: Panel) -> list[dict[str, Any]]:
    """Return the cells that are marked: empty ones, and those with few runs left."""
    shapes = []
    for patch in panel.ax.patches:
        if not isinstance(patch, Rectangle):
            continue
        x, y = patch.get_xy()
        dotted = "." in str(patch.get_hatch() or "")
        shapes.append(
            {
                "type": "rect",
                "xref": panel.axes["xaxis"],
                "yref": panel.axes["yaxis"],
                "x0": x + 0.08,
                "x1": x + patch.get_width() - 0.08,
                "y0": y + 0.08,
                "y1": y + patch.get_height() - 0.08,
                "line": {"color": "#ffffff" if dotted else "#999999", "width": 1, "dash": "dot"},
            }
        )
    return shapes


def notes_at_points(panel: Panel) -> list[dict[str, Any]]:
    """Return the texts that stand at points: runs left, numbers in cells, arrows."""
    found = []
    for text in panel.ax.texts:
        if text.get_transform() not in (panel.ax.transData, None) and not isinstance(
            text, Annotation
        ):
            continue
        x, y = text.xy if isinstance(text, Annotation) else text.get_position()
        across, up = text.get_position() if isinstance(text, Annotation) else (0, 0)
        place = {}
        for which, value in (("x", x), ("y", y)):
            scale = panel.ax.get_xscale() if which == "x" else panel.ax.get_yscale()
            (at,) = panel.moved(which)([value])
            place[which] = float(np.log10(at)) if scale == "log" and at > 0 else float(at)
        if not all(np.isfinite(each) for each in place.values()):
            continue
        found.append(
            {
                **place,
                "xref": panel.axes["xaxis"],
                "yref": panel.axes["yaxis"],
                "text": "<br>".join(map(words, text.get_text().split("\n"))),
                "showarrow": False,
                "xshift": 3 * float(across),
                "yshift": 2.5 * float(up),
                "font": {"size": 10, "color": to_hex(text.get_color())},
                "captureevents": False,
            }
        )
    return found


def dashes_of(line: Line2D) -> tuple[float, ...]:
    """Return the pixels on and off, by turns, of a dashed line; none of a solid one."""
    offset_and_dashes: Any = getattr(line, "_unscaled_dash_pattern", (0, None))
    width = max(line.get_linewidth(), 0.5)
    return tuple(1.5 * width * float(each) for each in offset_and_dashes[1] or ())


def _dash(line: Line2D) -> str:
    return ",".join(f"{each:.3g}px" for each in dashes_of(line)) or "solid"


def _is_white(colour: Any) -> bool:
    return isinstance(colour, str) and colour != "none" and to_rgba(colour)[:3] == (1.0, 1.0, 1.0)


def _sizes(line: Line2D, count: int) -> Any:
    size = 1.7 * float(line.get_markersize())
    if line.get_markevery() is None or count <= _MARKERS_A_CURVE:
        return size
    every: Any = line.get_markevery()
    start = float(every[0]) if isinstance(every, tuple) else 0.0
    first = int(start * count) if start < 1 else int(start)
    stride = max(1, count // _MARKERS_A_CURVE)
    return [size if i % stride == first % stride else 0 for i in range(count)]
