"""What of a figure's numbers cannot be drawn from the values that a sweep's settings have.

Imports neither matplotlib nor pandas, and NumPy only where recorded steps must be known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any

from dlnsweep.contracts.figure import FIGURES, FigureKind, kind_of
from dlnsweep.settings.figure_keys import is_number, shown_by
from dlnsweep.settings.figure_look import WIDTHS
from dlnsweep.settings.sections import RecordSettings
from dlnsweep.settings.sentences import show

Values = Mapping[str, Sequence[Any]]

# More panels nobody reads, and their figure is larger than its file may be.
MOST_PANELS = 64
# A panel with its labels needs so much, in inches.
LEAST_COLUMN = 1.5
# RGBA of these takes 400 MB, and a file is made of copies.
MOST_PIXELS = 100_000_000
# Of a sweep with more combinations than these a step that nobody records is found by drawing.
_MOST_SCHEDULES = 100
_ROW_INCHES, _AROUND_INCHES, _PAGE_INCHES, _BESIDE_INCHES = 2.2, 1.5, 6.9, 1.0


def check_values(figure: Any, values: Values) -> Iterator[str]:
    """Yield what cannot be drawn, as sentences without the figure's place.

    Args:
        figure: The figure's settings.
        values: The values of the settings in the runs that it draws, as far as they are known.
    """
    kind = kind_of(figure)
    yield from _steps(figure, kind, values)
    yield from _horizontal(figure, kind, values)
    yield from _until(figure, kind, values)
    yield from _size(figure, kind, values)
    yield from _panels_of_levels(figure, values)
    yield from kind.wrong_values(figure, values)


def _panels_of_levels(figure: Any, values: Values) -> Iterator[str]:
    known = values.get(getattr(figure, "panel_by", None) or "", ())
    for i, level in enumerate(getattr(figure, "levels", ())):
        if level.panel is not None and known and level.panel not in known:
            allowed = ", ".join(show(value) for value in known)
            yield (
                f"levels[{i}].panel is {show(level.panel)}, but {figure.panel_by} is one of "
                f"{allowed} here."
            )


def _steps(figure: Any, kind: FigureKind, values: Values) -> Iterator[str]:
    ends = values.get("training.num_steps")
    if not ends:
        return
    last = max(ends)
    at = getattr(figure, "at", None)
    if isinstance(at, int) and at > last:
        yield f"at is {at}, but the last step (training.num_steps) is {last}."
    elif isinstance(at, int):
        steps = _recorded(values)
        if steps and at not in steps:
            nearest = min(steps, key=lambda step: abs(step - at))
            yield (
                f"at is {at}, a step that no run records; the nearest one is {nearest} (or name "
                'it: record.spacing = "explicit", record.steps).'
            )
    x_min = getattr(figure, "x_min", None)
    if kind.axis(figure) == "step" and x_min is not None and x_min >= last:
        yield f"x_min is {x_min:g}, but the last step (training.num_steps) is {last}."


def _recorded(values: Values) -> set[int]:
    """Return every step that a run may record; none if it is not known."""
    keys = ("spacing", "count", "steps")
    lists = [values.get(f"record.{key}") for key in keys]
    ends = values["training.num_steps"]
    if any(each is None for each in lists) or len(ends) > _MOST_SCHEDULES:
        return set()
    from dlnsweep.contracts.schedule import record_steps

    found: set[int] = set()
    for chosen in islice(product(*(each or () for each in lists)), _MOST_SCHEDULES):
        record = RecordSettings(**dict(zip(keys, chosen, strict=True)))
        for end in ends:
            found.update(record_steps(record, end).tolist())
    return found


def _horizontal(figure: Any, kind: FigureKind, values: Values) -> Iterator[str]:
    """Yield what is wrong with limits, marks and scale of an axis of a setting or of noise."""
    across = kind.axis(figure)
    if across == "setting":
        name, found = figure.x, list(values.get(figure.x, ()))
        if kind.of_numbers and not all(map(is_number, found)):
            yield f"x is '{figure.x}', whose values are no numbers; use it as hue or panel_by."
            return
    elif across == "noise":
        name, found = "record.noise_levels", list(values.get("record.noise_levels", ([],))[0])
    else:
        return
    if not found:
        return
    limits = {key: getattr(figure, key) for key in ("x_min", "x_max")}
    if not all(map(is_number, found)):
        given = [key for key, value in limits.items() if value is not None]
        given += ["marks"] if getattr(figure, "marks", ()) else []
        given += ["x_scale"] if figure.x_scale != "auto" else []
        for key in given:
            yield f"{key} is given, but {name} has values that are no numbers: {found[0]!r}."
        return
    low, high = min(found), max(found)
    if figure.x_scale == "log" and low < 0:
        yield f"x_scale is 'log', but {name} is {low:g} in some runs; set x_scale = 'linear'."
    if limits["x_min"] is not None and limits["x_min"] > high:
        yield f"x_min is {limits['x_min']:g}, but the largest value of {name} is {high:g}."
    if limits["x_max"] is not None and limits["x_max"] < low:
        yield f"x_max is {limits['x_max']:g}, but the smallest value of {name} is {low:g}."


def _until(figure: Any, kind: FigureKind, values: Values) -> Iterator[str]:
    if getattr(figure, "band", "") != "until":
        return
    if not kind.has_intervals:
        with_them = " or ".join(f"'{each.name}'" for each in FIGURES.values() if each.has_intervals)
        yield f"band is 'until', which figures of kind {with_them} have; kind is '{kind.name}'."
        return
    if figure.at != "final":
        yield "band is 'until', whose intervals are of the runs' ends; leave `at` out."
    # A folder says so itself.
    until = values.get("sweep.until", ("unknown",))[0]
    if until is None:
        yield "band is 'until', but no intervals are asked for: add [sweep.until], or another band."
    elif until != "unknown" and (sentence := until.why_not_drawn(figure.y)):
        yield sentence


def _size(figure: Any, kind: FigureKind, values: Values) -> Iterator[str]:
    rows, columns, many = _shape(figure, kind, values)
    named = shown_by(figure, ("panel_by", "row_by", "column_by"))
    if many > MOST_PANELS:
        which = " and ".join(f"{key} is '{name}'" for key, name in named.items())
        makes = "makes" if len(named) == 1 else "make"
        yield (
            f"{which}, which {makes} {many} panels; {MOST_PANELS} "
            "at most: choose some by where, or take it as hue."
        )
        return
    given = figure.width_inches
    if getattr(figure, "width", None):
        given = WIDTHS[figure.width]
    # What stands at the right of all panels takes its width from theirs.
    legend = getattr(figure, "legend", None)
    beside = {"right": "a legend", "bar": "a colour bar"}.get(str(legend), "")
    beside = "a colour bar" if kind.name == "heatmap" else beside
    least = columns * LEAST_COLUMN + (_BESIDE_INCHES if beside else 0)
    if given is not None and given < least:
        key = "width_inches" if figure.width_inches else f"width = '{figure.width}'"
        yield (
            f"{key} is {given:g}, too narrow for "
            f"{'one panel' if columns == 1 else f'{columns} panels beside each other'}"
            f"{f' and {beside}' if beside else ''}; give {least:g} or more."
        )
    width = given or _PAGE_INCHES
    height = figure.height_inches or rows * _ROW_INCHES + _AROUND_INCHES
    pixels = width * height * figure.dpi**2
    if pixels > MOST_PIXELS:
        most = int((MOST_PIXELS / (width * height)) ** 0.5)
        yield (
            f"dpi is {figure.dpi}, which makes {pixels / 1e6:.0f} million pixels of {width:g} x "
            f"{height:g} in; {MOST_PIXELS // 10**6} million at most: set dpi = {most} or less "
            "(lines and text of a PDF or SVG have no pixels)."
        )


def _shape(figure: Any, kind: FigureKind, values: Values) -> tuple[int, int, int]:
    """Return how many rows and columns of panels there are, and how many panels."""

    def count(key: str) -> int:
        return len(values.get(getattr(figure, key, None) or "", (0,)))

    many = len(kind.drawn(figure)) or 1
    if getattr(figure, "row_by", None) or getattr(figure, "column_by", None):
        rows, columns = count("row_by"), count("column_by")
        if figure.column_by:
            rows *= many
        else:
            columns *= many
        return rows, columns, rows * columns
    places = count("panel_by")
    rows = places if many > 1 else -(-places // 4)
    columns = many if many > 1 else min(places, 4 if places != 5 else 3)
    return rows, columns, places * many
