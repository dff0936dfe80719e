"""Axes: several values of one setting, given as a list or as a range."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from dlnsweep.sentences import requirement, sentences, show
from dlnsweep.settings import Settings, description

_LONGEST_AXIS = 10_000_000


class Range(Settings):
    """A range: { from = 1e-6, to = 1e-1, count = 11, spacing = "log" }."""

    start: Annotated[float, Field(alias="from")]
    to: float
    count: Annotated[int, Field(ge=1, le=_LONGEST_AXIS)]
    spacing: Literal["linear", "log", "integer"] = "linear"


def range_values(wanted: Range) -> list[float] | list[int]:
    """Return the values of a range, both ends included.

    "log" spaces them by a constant factor, "linear" by a constant difference, and "integer"
    rounds the linear ones to integers, each once.
    """
    a, b, n = wanted.start, wanted.to, wanted.count
    if n == 1:
        values = [a]
    elif wanted.spacing == "log":
        low, high = math.log10(a), math.log10(b)
        # A power is exact at the ends and clean in between (1e-05, not 9.999999999999999e-06).
        values = [_clean(10 ** (low + (high - low) * i / (n - 1))) for i in range(n)]
        values[0], values[-1] = a, b
    else:
        values = [_clean(a + (b - a) * i / (n - 1)) for i in range(n)]
        values[0], values[-1] = a, b
    if wanted.spacing == "integer":
        return list(dict.fromkeys(round(v) for v in values))
    return values


def _clean(value: float) -> float:
    """Drop the last two decimal digits of a float, which are rounding noise of the spacing."""
    return float(f"{value:.14g}")


@lru_cache(maxsize=None)
def _adapter(settings: type[Settings], key: str) -> TypeAdapter[Any]:
    field = settings.model_fields[key]
    annotation: Any = field.annotation
    for item in field.metadata:
        annotation = Annotated[annotation, item]
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return TypeAdapter(annotation)
    return TypeAdapter(annotation, config=settings.model_config)


def read_values(
    settings: type[Settings], key: str, raw: Any, place: str
) -> tuple[tuple[Any, ...], bool, list[str]]:
    """Validate the value, list or range that a sweep file gives for one setting.

    Args:
        settings: The settings class of the section.
        key: The setting, which exists.
        raw: What the file holds.
        place: The dotted key, for messages.

    Returns:
        The values, whether the file gave several (an axis), and the mistakes as sentences.
    """
    info = description(settings, key)
    may_vary = info is None or info.axis
    if not may_vary:
        value, problems = _validate(settings, key, raw, place)
        return (value,), False, problems
    if isinstance(raw, dict):
        return _read_range(settings, key, raw, place)
    if not isinstance(raw, list):
        value, problems = _validate(settings, key, raw, place)
        return (value,), False, problems
    if not raw:
        return (), True, [f"{place} is an empty list; give at least one value, or leave it out."]
    values, problems = [], []
    for i, item in enumerate(raw):
        value, found = _validate(settings, key, item, f"{place}[{i}]")
        values.append(value)
        problems += found
    if not problems:
        seen: dict[Any, int] = {}
        for i, value in enumerate(values):
            if value in seen:
                problems.append(
                    f"{place}[{i}] is {show(value)}, as is {place}[{seen[value]}]; "
                    "give each value once."
                )
            seen.setdefault(value, i)
    return tuple(values), True, problems


def _read_range(
    settings: type[Settings], key: str, raw: dict[str, Any], place: str
) -> tuple[tuple[Any, ...], bool, list[str]]:
    try:
        wanted = Range.model_validate(raw)
    except ValidationError as error:
        return (), True, sentences(error, place, Range)
    if wanted.spacing == "log" and (wanted.start <= 0 or wanted.to <= 0):
        return (), True, [
            f"{place} is a range from {wanted.start:g} to {wanted.to:g} with spacing 'log'; "
            "both ends must be positive."
        ]
    values: list[Any] = list(range_values(wanted))
    if wanted.spacing != "integer" and all(float(v).is_integer() for v in values):
        # An integer setting may be given by an ordinary range that falls on integers.
        whole = [int(v) for v in values]
        if not _validate(settings, key, whole[0], place)[1]:
            values = whole
    if wanted.count > 1 and len(set(values)) != len(values):
        return (), True, [f"{place} is a range whose values coincide; lower its count."]
    problems: list[str] = []
    checked = []
    for i, value in enumerate(values):
        result, found = _validate(settings, key, value, f"{place}[{i}]")
        checked.append(result)
        problems += found
        if len(problems) >= 3:
            break
    return tuple(checked), True, problems


def _validate(
    settings: type[Settings], key: str, raw: Any, place: str
) -> tuple[Any, list[str]]:
    adapter = _adapter(settings, key)
    try:
        return adapter.validate_python(raw), []
    except ValidationError as error:
        inner = [e for e in error.errors() if e["loc"] and isinstance(e["loc"][0], str)]
        field = settings.model_fields[key].annotation
        nested = [a for a in (field, *getattr(field, "__args__", ())) if _is_settings(a)]
        if inner and nested and isinstance(raw, dict):
            return None, sentences(error, place, nested[0])
        item = dict(error.errors()[0])
        path = "".join(f"[{p}]" for p in item["loc"] if isinstance(p, int))
        return None, [f"{place}{path} is {show(item['input'])}; {requirement(item)}."]


def _is_settings(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, Settings)
