"""What says which colour, marker or line is which: a legend, or a colour bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from dlnsweep.contracts.network import NetworkKind
from dlnsweep.figures import looks
from dlnsweep.figures.labels import format_settings, observable_label, setting_label
from dlnsweep.figures.measure import renderer
from dlnsweep.figures.overlays import Overlay, dashed
from dlnsweep.figures.statistics import is_ordered
from dlnsweep.settings.named import own_name
from dlnsweep.spec.figures.wording import drawable
from dlnsweep.theory.curves import THEORY_CURVES

# More entries of a legend than this nobody reads, and more of their colours nobody tells apart.
MOST_NAMED, _NAMED_OF_MANY = 24, 8
# So many numbers at most stand at a colour bar.
_MOST_AT_BAR = 8


def names_of(names: Mapping[str, str], setting: str, values: Sequence[Any]) -> list[str]:
    """Return what the legend calls the values of a setting: as the file says, or as usual."""
    usual = format_settings(setting, values)
    own = (own_name(names, value) for value in values)
    return [text if name is None else drawable(name) for name, text in zip(own, usual, strict=True)]


def named_overlays(
    keys: Any, overlays: Sequence[Overlay], network: NetworkKind | None
) -> list[Overlay]:
    """Return formulas, and observables beside others, with the names that a file has for them."""
    names = getattr(keys, "legend_names", {})
    own = {THEORY_CURVES[name].label: names.get(name) for name in getattr(keys, "theory", ())}
    others = getattr(keys, "beside", {}).values()
    own |= {observable_label(name, network): names.get(name) for name in others}
    return [
        replace(each, label=drawable(text)) if (text := own.get(each.label)) else each
        for each in overlays
    ]


def legend_of(
    keys: Any,
    hues: Sequence[Any],
    colour_of: Mapping[Any, Any],
    overlays: Sequence[Overlay],
    seen: Sequence[Any] = (),
    styles: Sequence[tuple[Any, Mapping[str, Any]]] = (),
) -> tuple[str, list[Line2D]]:
    """Return the legend's title and its entries: one a value of the hue, one an overlay.

    Of many numbers, whose colours are in their order, a few are named. Values of which nothing can
    be seen (only those of `seen` can) are not.

    Args:
        keys: The figure's settings.
        hues: The values of its hue.
        colour_of: Their colours.
        overlays: The formulas that can be seen.
        seen: The values of the hue that can be seen.
        styles: The values of `style_by` that can be seen, and what they look like.
    """
    handles, title = [], ""
    hue = keys.hue
    named = np.array([i for i, each in enumerate(hues) if each in seen], dtype=int)
    if has_bar(keys, hues, seen):
        # Of numbers; what does not use the setting is none.
        named = named[[hues[i] is None for i in named]]
    if hue is not None and len(named):
        title = setting_label(hue)
        if len(named) > MOST_NAMED and is_ordered(hues):
            those = np.linspace(0, len(named) - 1, _NAMED_OF_MANY).round().astype(int)
            title = f"{title} ({len(those)} of {len(hues)} values named)"
            named = named[those]
        texts = names_of(keys.legend_names, hue, [hues[i] for i in named])
        marker_of = (lambda _: {}) if styles else _whole_marker
        handles = [
            Line2D([], [], color=colour_of[hues[i]], label=text, **marker_of(int(i)))
            for i, text in zip(named, texts, strict=True)
        ]
    if styles:
        values = [value for value, _ in styles]
        texts = names_of(keys.legend_names, keys.style_by, values)
        if handles:
            title = f"{title}; {setting_label(keys.style_by)}"
        else:
            title = setting_label(keys.style_by)
        handles += [
            Line2D([], [], color="0.2", label=text, **{**look, "markevery": None})
            for text, (_, look) in zip(texts, styles, strict=True)
        ]
    patterns = {overlay.label: overlay.pattern for overlay in overlays}
    for label, pattern in patterns.items():
        handles.append(Line2D([], [], color="0.2", label=label, **dashed(pattern)))
    if keys.legend_title is not None:
        title = drawable(keys.legend_title)
    return title, handles


def has_bar(keys: Any, hues: Sequence[Any], seen: Sequence[Any]) -> bool:
    """Return whether a colour bar stands for the hue, in place of a legend's entries."""
    if keys.hue is None or not is_ordered(hues):
        return False
    many = sum(each in seen for each in hues) > MOST_NAMED
    return keys.legend == "bar" or (keys.legend is None and many)


def add_bar(
    figure: Figure, axes: Sequence[Axes], colours: Sequence[Any], texts: Sequence[str], label: str
) -> Any:
    """Put a bar of colours at the right of some panels, one field a value, some of them named."""
    count = len(colours)
    mappable = ScalarMappable(
        BoundaryNorm(np.arange(0.5, count + 1), count), ListedColormap(colours)
    )
    bar = figure.colorbar(mappable, ax=list(axes), aspect=30, pad=0.02)
    places = list(range(0, count, -(-count // _MOST_AT_BAR)))
    bar.set_ticks([place + 1 for place in places], labels=[texts[place] for place in places])
    bar.minorticks_off()
    bar.set_label(label)
    bar.outline.set_linewidth(0.4)  # pyright: ignore[reportCallIssue]
    return bar


def add_hue_bar(
    figure: Figure,
    axes: Sequence[Axes],
    keys: Any,
    hues: Sequence[Any],
    colour_of: Mapping[Any, Any],
) -> None:
    """Put a colour bar of the hue's numbers at the right of some panels."""
    numbers = [each for each in hues if each is not None]
    label = setting_label(keys.hue) if keys.legend_title is None else drawable(keys.legend_title)
    texts = names_of(keys.legend_names, keys.hue, numbers)
    add_bar(figure, axes, [colour_of[each] for each in numbers], texts, label)


def put_legend(
    figure: Figure, title: str, handles: Sequence[Line2D], width: float, place: Any
) -> Legend | None:
    """Put a legend where it is wanted; return it if room has to be made above the panels."""
    if not handles or place == "none":
        return None
    if place in (None, "above", "bar"):
        return _above(figure, title, handles, width)
    look: dict[str, Any] = {"handles": list(handles), "title": title or None}
    if place == "right":
        figure.legend(loc="outside right upper", borderaxespad=0, **look)
    else:
        figure.axes[0].legend(loc=place or "best", **look)
    return None


def _above(figure: Figure, title: str, handles: Sequence[Line2D], width: float) -> Legend:
    """Return the legend in as few rows as the figure's width allows."""
    for rows in range(1, len(handles) + 1):
        columns = -(-len(handles) // rows)
        box = figure.legend(
            handles=list(handles), title=title or None, ncols=columns, loc="upper center",
            borderaxespad=0, borderpad=0.2,
        )  # fmt: skip
        box.set_in_layout(False)
        wide = box.get_window_extent(renderer(figure)).width / figure.dpi
        if wide <= width or columns == 1:
            return box
        box.remove()
    raise AssertionError("a legend has entries")


def _whole_marker(index: int) -> dict[str, Any]:
    return {**looks.marker_style(index), "markevery": None}
