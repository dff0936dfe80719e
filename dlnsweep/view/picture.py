"""One figure of a sweep as Plotly's: drawn as `dlnsweep figure` draws it, then read back."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnsweep.contracts import plugins
from dlnsweep.errors import DlnsweepError, FigureError
from dlnsweep.figures.draw import draw
from dlnsweep.figures.folder import read_figures
from dlnsweep.machine.backend import load_matplotlib
from dlnsweep.settings.sentences import printable
from dlnsweep.view.words import plain_words, words

# Matplotlib's settings, and much else of it, are one a process.
_DRAWING = threading.Lock()
_ROW, _TOP, _BOTTOM = 330, 34, 60


@dataclass(frozen=True)
class Entry:
    """An entry of a legend: its words, its colour, and the pixels on and off of a dashed line."""

    words: str
    colour: str
    dashes: tuple[float, ...]


@dataclass(frozen=True)
class Picture:
    """A figure for the page.

    Attributes:
        figure: What Plotly draws: data and layout.
        notes: The small print, as plain text.
        legend: The title of the legend, and its entries.
    """

    figure: dict[str, Any]
    notes: str
    legend: tuple[str, list[Entry]]


def picture(results: Any, table: Mapping[str, Any], *, single: bool = False) -> Picture:
    """Return a figure of a sweep as the page shows it.

    Args:
        results: The results.
        table: The table of a `[figure]`.
        single: Whether to draw some runs beside the statistics.

    Raises:
        SpecError: The table asks for what the sweep did not record or vary.
        StoreError: No run is done yet, or a file is damaged.
        FigureError: It cannot be drawn for another reason.
    """
    plugins.load()
    (settings,) = read_figures(dict(table), "")
    with _DRAWING:
        try:
            drawn = draw(results, settings)
            return _read(results, settings, drawn, single)
        except DlnsweepError:
            raise
        # As where figures are drawn into files: a stranger's drawing may raise anything, and so
        # may what a damaged file holds.
        except Exception as error:
            raise FigureError(
                f"{results.path}: this figure cannot be drawn ({type(error).__name__}: "
                f"{printable(str(error), 200)}); change it, or try `dlnsweep figure`, and "
                "`dlnsweep verify` if the folder may be damaged."
            ) from error


def _read(results: Any, settings: Any, drawn: Any, single: bool) -> Picture:
    load_matplotlib()
    from matplotlib.collections import LineCollection, PolyCollection, QuadMesh

    from dlnsweep.figures.labels import words_of
    from dlnsweep.view import artists
    from dlnsweep.view.runs import Hover

    axes = [ax for ax in drawn.axes if ax.get_subplotspec() is not None and ax.axison]
    axes = [ax for ax in axes if ax.get_label() != "<colorbar>"]
    hover = Hover(results, settings, drawn)
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"annotations": [], "shapes": []}
    notes: list[str] = []
    with words_of(hover.selection.runs):
        for number, ax in enumerate(axes, 1):
            panel = artists.Panel(ax, number)
            bars, parts = artists.error_bars(ax)
            for each in ax.collections:
                if each in parts:
                    continue
                if isinstance(each, QuadMesh):
                    trace, cells = artists.mesh_trace(panel, each)
                    data.append({**trace, **hover.cells(cells)})
                elif isinstance(each, PolyCollection):
                    data += artists.band_traces(panel, each)
                elif isinstance(each, LineCollection):
                    data += artists.segment_traces(panel, each)
            if single:
                own, told = hover.single(panel)
                data += own
                notes += [note for note in told if note not in notes]
            for line in ax.get_lines():
                if line not in parts:
                    most = artists.MOST_POINTS if hover.are_runs(line) else None
                    count = len(line.get_xdata())
                    if most is not None and count > most:
                        note = f"{most:,} of {count:,} points shown"
                        notes += [note] * (note not in notes)
                    trace = artists.line_trace(panel, line, bars.get(line), most)
                    data.append({**trace, **hover.line(panel, line, most)})
            layout["annotations"] += artists.notes_at_points(panel)
            layout["shapes"] += artists.patch_shapes(panel)
            layout |= _axes(panel)
            layout["annotations"] += _title(panel)
    rows = _arrange(layout, axes)
    layout |= {
        "height": rows * _ROW + _TOP + _BOTTOM,
        "margin": {"l": 70, "r": 20, "t": _TOP, "b": _BOTTOM},
        "hovermode": "closest",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12},
        "hoverlabel": {"align": "left", "font": {"size": 12}},
        # A change of colours keeps what was zoomed into; another kind of figure does not.
        "uirevision": str(settings.kind),
    }
    small = _small_print(drawn)
    told = " · ".join(filter(None, [*notes, small]))
    return Picture({"data": data, "layout": layout}, told, _legend(drawn))


def _axes(panel: Any) -> dict[str, Any]:
    found = {}
    for which in ("x", "y"):
        axis = panel.ax.xaxis if which == "x" else panel.ax.yaxis
        low, high = axis.get_view_interval()
        scale = axis.get_scale()
        label = axis.get_label_text()
        keys: dict[str, Any] = {
            "title": {"text": "<br>".join(map(words, label.split("\n"))), "font": {"size": 13},
                      "standoff": 8},
            "zeroline": False, "ticks": "outside", "ticklen": 4, "automargin": True,
            "showline": True, "gridwidth": 1,
        }  # fmt: skip
        ticks = [(at, words(text.get_text())) for at, text in
                 zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=False)]  # fmt: skip
        fixed = type(axis.get_major_formatter()).__name__ in ("FixedFormatter", "FuncFormatter")
        if scale == "log":
            ends = np.log10([low, high])
            keys |= {"type": "log", "range": ends.tolist(), "exponentformat": "power"}
            if abs(ends[1] - ends[0]) > 2:
                keys["dtick"] = dtick(ends.tolist())
        else:
            ends = panel.moved(which)([low, high])
            keys |= {"type": "linear", "range": ends.tolist()}
            if scale != "linear" or fixed:
                places = panel.moved(which)([at for at, _ in ticks])
                keys |= {"tickvals": places.tolist(), "ticktext": [text for _, text in ticks]}
        found[panel.keys[which]] = keys
    return found


def _title(panel: Any) -> list[dict[str, Any]]:
    text = words(panel.ax.get_title()) or words(panel.ax.get_title(loc="left"))
    if not text:
        return []
    return [
        {
            "text": text,
            "xref": f"{panel.axes['xaxis']} domain",
            "yref": f"{panel.axes['yaxis']} domain",
            "x": 0.5,
            "y": 1.02,
            "yanchor": "bottom",
            "showarrow": False,
            "font": {"size": 13},
        }
    ]


def _arrange(layout: dict[str, Any], axes: Sequence[Any]) -> int:
    """Give each panel its place; return how many rows there are."""
    specs = [ax.get_subplotspec() for ax in axes]
    places = [(spec.rowspan.start, spec.colspan.start) for spec in specs]
    rows = 1 + max((row for row, _ in places), default=0)
    columns = 1 + max((column for _, column in places), default=0)
    gap_x, gap_y = 0.11 if columns > 1 else 0.0, 0.13 if rows > 1 else 0.0
    wide = (1 - gap_x * (columns - 1)) / columns
    high = (1 - gap_y * (rows - 1)) / rows
    for number, (row, column) in enumerate(places, 1):
        tail = "" if number == 1 else str(number)
        left, top = column * (wide + gap_x), 1 - row * (high + gap_y)
        layout[f"xaxis{tail}"] |= {"domain": [left, min(1.0, left + wide)], "anchor": f"y{tail}"}
        layout[f"yaxis{tail}"] |= {"domain": [max(0.0, top - high), top], "anchor": f"x{tail}"}
    return rows


def dtick(ends: Sequence[float]) -> int:
    """Return how many decades lie between the ticks of a logarithmic axis."""
    return max(1, round(abs(ends[1] - ends[0]) / 8))


def stack(layout: dict[str, Any]) -> None:
    """Put the panels below each other, as a phone has room for them."""
    tails = [key.removeprefix("xaxis") for key in layout if key.startswith("xaxis")]
    count = len(tails)
    gap = 0.3 / count if count > 1 else 0.0
    high = (1 - gap * (count - 1)) / count
    for number, tail in enumerate(tails):
        top = 1 - number * (high + gap)
        layout[f"xaxis{tail}"]["domain"] = [0.0, 1.0]
        layout[f"yaxis{tail}"]["domain"] = [max(0.0, top - high), top]
    layout["height"] = count * _ROW + _TOP + _BOTTOM


def _legend(drawn: Any) -> tuple[str, list[Entry]]:
    """Return the title of the legend, and its entries."""
    from matplotlib.colors import to_hex

    from dlnsweep.view.artists import dashes_of

    entries, title = [], ""
    for box in drawn.legends:
        title = title or plain_words(box.get_title().get_text())
        for handle, text in zip(box.legend_handles, box.get_texts(), strict=False):
            if hasattr(handle, "is_dashed"):
                colour = to_hex(handle.get_color())
                entries.append(Entry(plain_words(text.get_text()), colour, dashes_of(handle)))
    return title, entries


def _small_print(drawn: Any) -> str:
    """Return the small print of a figure, whether it stands below it or not."""
    caption = getattr(drawn, "caption", "")
    if not caption:
        below = [text for text in drawn.texts if text.get_position()[1] < 0.5]
        caption = " · ".join(text.get_text() for text in below)
    return plain_words(caption)


def sentence(error: DlnsweepError) -> str:
    """Return what an error says, as one line of plain text a mistake."""
    return "\n".join(printable(line, 600) for line in str(error).split("\n")[:10])
