"""What of a figure's looks cannot be honoured: labels, legend, colours, kinds of lines, panels.

Imports neither matplotlib nor pandas, unless a figure has settings of Matplotlib's, or colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlnsweep.contracts.figure import FigureKind, kind_of
from dlnsweep.settings.figure_keys import panel_settings, shown_by
from dlnsweep.settings.figure_look import Framed
from dlnsweep.settings.named import is_spelling
from dlnsweep.settings.sentences import show, show_key
from dlnsweep.spec.figures.styles import wrong_colours, wrong_settings
from dlnsweep.spec.figures.wording import why_not

Values = Mapping[str, Sequence[Any]]

# More kinds of lines and markers nobody tells apart.
MOST_STYLES = 6


def check_controls(figure: Any, values: Values) -> Iterator[str]:
    """Yield what cannot be honoured, as sentences without the figure's place.

    Args:
        figure: The figure's settings, of any kind.
        values: The values of the settings in the runs that it draws, as far as they are known.
    """
    yield from wrong_settings(figure.rc)
    if not isinstance(figure, Framed):
        return
    kind = kind_of(figure)
    yield from wrong_colours(figure.colours)
    if figure.width is not None and figure.width_inches is not None:
        yield (
            f"width is '{figure.width}' and width_inches is {figure.width_inches:g}; give one of "
            "them."
        )
    yield from _labels(figure, kind)
    yield from _panels(figure, kind)
    yield from _colours(figure, kind, values)
    yield from _styles(figure, values)
    yield from _legend(figure, values)


def _labels(figure: Any, kind: FigureKind) -> Iterator[str]:
    texts = {"x_label": figure.x_label}
    texts |= {key: getattr(figure, key, None) for key in ("value_label", "legend_title")}
    observables = list(kind.drawn(figure))
    if isinstance(figure.y_label, dict):
        for name, text in figure.y_label.items():
            texts[f"y_label.{show_key(name)}"] = text
            if not observables:
                yield f"y_label is a table, but kind = '{kind.name}' has one label; give a text."
                break
            if name not in observables:
                yield f"y_label names {show(name)}, which is not drawn; y is {observables}."
    else:
        texts["y_label"] = figure.y_label
        if figure.y_label and len(observables) > 1:
            yield (
                f"y_label is one text, but y has {len(observables)} observables; give a table, "
                f'such as {{ {observables[0]} = "..." }}.'
            )
    names = getattr(figure, "legend_names", {})
    texts |= {f"legend_names.{show_key(name)}": text for name, text in names.items()}
    for key, text in texts.items():
        if text and (reason := why_not(text)):
            yield f"{key} is {show(text)}; {reason}"
    for key, text in names.items():
        if not text.strip() or text.startswith("_"):
            yield (
                f"legend_names.{key} is {show(text)}; a legend does not show names that are empty "
                "or begin so."
            )


def _panels(figure: Any, kind: FigureKind) -> Iterator[str]:
    names = shown_by(figure, ("row_by", "column_by"))
    if names and getattr(figure, "panel_by", None):
        yield f"panel_by is given beside {' and '.join(names)}; use row_by and column_by alone."
    many = len(kind.drawn(figure)) > 1
    if len(names) == 2 and many:
        yield (
            f"row_by and column_by are given, but y has {len(figure.y)} observables, which need "
            "the rows or the columns; leave one of them out, or draw a figure each."
        )
    # How many panels a kind has that is not described, only its drawing knows.
    several = panel_settings(figure) or many or not kind.described
    if getattr(figure, "letters", None) and not several:
        yield "letters is true, but there is one panel only; leave it out."


def _colours(figure: Any, kind: FigureKind, values: Values) -> Iterator[str]:
    if figure.colours is None or kind.axis(figure) == "cells":
        if isinstance(figure.colours, tuple) and len(figure.colours) < 2:
            yield "colours has one colour; give two or more, or the name of a colour map."
        return
    if not figure.hue:
        if kind.entries == "vector":
            # They are of its entries.
            return
        if isinstance(figure.colours, str) or len(figure.colours) > 1:
            yield "colours is given, but no hue; set hue, or give one colour: colours = ['black']."
        return
    present = [each for each in values.get(figure.hue, ()) if each is not None]
    if not isinstance(figure.colours, str) and len(figure.colours) < len(present):
        yield (
            f"colours has {len(figure.colours)} colours, but {figure.hue} has {len(present)} "
            "values; give as many, or the name of a colour map, such as 'viridis'."
        )


def _styles(figure: Any, values: Values) -> Iterator[str]:
    name = getattr(figure, "style_by", None)
    found = values.get(name or "", ())
    if len(found) > MOST_STYLES:
        yield (
            f"style_by is '{name}', which has {len(found)} values; {MOST_STYLES} kinds of lines "
            "can be told apart: choose some by where, or take it as hue."
        )


def _legend(figure: Any, values: Values) -> Iterator[str]:
    names = getattr(figure, "legend_names", {})
    place = getattr(figure, "legend", None)
    hue = getattr(figure, "hue", None)
    found = [each for each in values.get(hue or "", ()) if each is not None]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in found)
    if place == "bar" and not hue:
        yield "legend is 'bar', which stands for the numbers of a hue; set hue."
    elif place == "bar" and not numbers:
        yield f"legend is 'bar', but {hue} has values that are no numbers; leave it out."
    shown = list(shown_by(figure, ("hue", "style_by")).values())
    if any(name not in values for name in shown):
        return
    formulas = [*getattr(figure, "theory", ()), *getattr(figure, "beside", {}).values()]
    known = [value for name in shown for value in values[name]]
    for key in names:
        if key not in formulas and not any(is_spelling(key, value) for value in known):
            listed = [show("none" if value is None else value) for value in known] + formulas
            more = ", ..." if len(listed) > 12 else ""
            there = ", ".join(listed[:12]) + more if listed else "nothing: set hue or style_by"
            yield f"legend_names names {show(key)}; what the legend names is {there}."
