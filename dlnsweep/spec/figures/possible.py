"""What of a figure's numbers cannot be drawn from the values that a sweep's settings have.

Imports neither matplotlib nor pandas, and NumPy only where recorded steps must be known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any

from dlnsweep.settings.figure_keys import shown_by
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
_ROW_INCHES, _AROUND_INCHES, _PAGE_INCHES = 2.2, 1.5, 6.9


def check_values(figure: Any, values: Values) -> Iterator[str]:
    """Yield what cannot be drawn, as sentences without the figure's place.

    Args:
        figure: The figure's settings.
        values: The values of the settings in the runs that it draws, as far as they are known.
    """
    yield from _steps(figure, values)
    yield from _horizontal(figure, values)
    yield from _until(figure, values)
    yield from _size(figure, values)
    yield from _panels_of_levels(figure, values)
    if figure.kind == "heatmap" and figure.transition:
        for key in ("x", "y"):
            found = values.get(getattr(figure, key), ())
            if not all(_is_number(each) and each > 0 for each in found):
                yield (
                    f"transition needs positive numbers on both axes; {key} is "
                    f"'{getattr(figure, key)}'."
                )
    if figure.kind == "noise" and figure.amplification:
        levels = values.get("record.noise_levels", ([1.0],))[0]
        if levels and not any(levels):
            yield "amplification divides by the noise, but record.noise_levels has 0 only."


def _panels_of_levels(figure: Any, values: Values) -> Iterator[str]:
    known = values.get(getattr(figure, "panel_by", None) or "", ())
    for i, level in enumerate(getattr(figure, "levels", ())):
        if level.panel is not None and known and level.panel not in known:
            allowed = ", ".join(show(value) for value in known)
            yield (
                f"levels[{i}].panel is {show(level.panel)}, but {figure.panel_by} is one of "
                f"{allowed} here."
            )


def _steps(figure: Any, values: Values) -> Iterator[str]:
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
    if figure.kind in ("curves", "spectrum") and x_min is not None and x_min >= last:
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


def _horizontal(figure: Any, values: Values) -> Iterator[str]:
    """Yield what is wrong with limits, marks and scale of an axis of a setting or of noise."""
    if figure.kind == "boundary":
        yield from _boundary(figure, values)
    of_setting = figure.kind == "boundary" or (figure.kind == "scatter" and figure.x_is_setting)
    if of_setting and not all(map(_is_number, values.get(figure.x, ()))):
        yield f"x is '{figure.x}', whose values are no numbers; use it as hue or panel_by."
        return
    if figure.kind == "scatter" and of_setting and figure.partial_dependence:
        count = len({*values.get(figure.x, ())})
        if figure.bins is not None and 0 < count <= figure.bins:
            yield (
                f"partial_dependence has {figure.bins} bins along '{figure.x}', which has {count} "
                "values; give fewer bins, or kind = 'final', which has each value's median."
            )
    if figure.kind == "final" or of_setting:
        name, found = figure.x, list(values.get(figure.x, ()))
    elif figure.kind == "noise":
        name, found = "record.noise_levels", list(values.get("record.noise_levels", ([],))[0])
    else:
        return
    if not found:
        return
    limits = {key: getattr(figure, key) for key in ("x_min", "x_max")}
    if not all(map(_is_number, found)):
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


def _boundary(figure: Any, values: Values) -> Iterator[str]:
    # A folder says so itself.
    refine = values.get("sweep.refine", ("unknown",))[0]
    if refine is None:
        yield "kind is 'boundary', but nothing is refined: add [sweep.refine], or use 'heatmap'."
    elif refine != "unknown" and refine.between in (figure.x, figure.hue):
        key = "x" if refine.between == figure.x else "hue"
        yield f"{key} is '{refine.between}', which is refined and stands on the vertical axis."


def _until(figure: Any, values: Values) -> Iterator[str]:
    if getattr(figure, "band", "") != "until":
        return
    if figure.kind != "final":
        yield f"band is 'until', which figures of kind 'final' have; kind is '{figure.kind}'."
        return
    if figure.at != "final":
        yield "band is 'until', whose intervals are of the runs' ends; leave `at` out."
    # A folder says so itself.
    until = values.get("sweep.until", ("unknown",))[0]
    if until is None:
        yield "band is 'until', but no intervals are asked for: add [sweep.until], or another band."
    elif until != "unknown" and (sentence := until.why_not_drawn(figure.y)):
        yield sentence


def _size(figure: Any, values: Values) -> Iterator[str]:
    rows, columns, many = _shape(figure, values)
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
    if given is not None and given < columns * LEAST_COLUMN:
        key = "width_inches" if figure.width_inches else f"width = '{figure.width}'"
        yield (
            f"{key} is {given:g}, too narrow for {columns} panels beside each "
            f"other; give {columns * LEAST_COLUMN:g} or more."
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


def _shape(figure: Any, values: Values) -> tuple[int, int, int]:
    """Return how many rows and columns of panels there are, and how many panels."""

    def count(key: str) -> int:
        return len(values.get(getattr(figure, key, None) or "", (0,)))

    drawn = getattr(figure, "y", ())
    of_several = figure.kind in ("curves", "final", "scatter", "noise")
    many = len(drawn) if of_several else 1
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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
