"""Axes: several values of one setting, given as a list or as a range."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import GenericAlias
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import Field, TypeAdapter, ValidationError

from dlnsweep.settings.base import Settings, description, with_integers
from dlnsweep.settings.sentences import findings, printable, sentences, show

_LONGEST_AXIS = 10_000_000
_MOST_REPORTED = 3
# Beyond it not every integer is a float, which is what ranges, samples and formulas go by.
LARGEST_WHOLE = 2**53
LIST_THEM = "list the values, with all their digits"


class Range(Settings):
    """A range: { from = 1e-6, to = 1e-1, count = 11, spacing = "log" }."""

    start: Annotated[float, Field(alias="from")]
    to: float
    count: Annotated[int, Field(ge=1, le=_LONGEST_AXIS)]
    spacing: Literal["linear", "log", "integer"] | None = None


class SeedRange(Settings):
    """Seeds from one to another, both included: { from = 10, to = 19 }."""

    start: Annotated[int, Field(alias="from", ge=0)]
    to: Annotated[int, Field(ge=0, le=2**63 - 1)]
    count: int | None = None


def range_values(wanted: Range) -> list[float] | list[int]:
    """Return the values of a range, both ends included.

    "log" spaces them by a constant factor, "linear" (or none) by a constant difference, and
    "integer" rounds the linear ones to integers, each once.
    """
    a, b, last = wanted.start, wanted.to, wanted.count - 1
    if last == 0:
        values = [a]
    elif wanted.spacing == "log":
        low, high = math.log10(a), math.log10(b)
        # A power is clean in between (1e-05, not 9.999999999999999e-06), the ends are exact.
        middle = [_clean(10 ** (low + (high - low) * i / last)) for i in range(1, last)]
        values = [a, *middle, b]
    else:
        middle = [(a * (last - i) + b * i) / last for i in range(1, last)]
        values = [a, *(v if v.is_integer() else _clean(v) for v in middle), b]
    if wanted.spacing == "integer":
        return list(dict.fromkeys(round(v) for v in values))
    return values


def _clean(value: float) -> float:
    """Drop the last two decimal digits of a float, which are rounding noise of the spacing."""
    return float(f"{value:.14g}")


def num_values(raw: Any) -> int:
    """Return how many values a list or range stands for, without making them.

    Whatever is neither, or is wrong, counts as one value.
    """
    if isinstance(raw, list):
        return max(1, len(raw))
    if not isinstance(raw, dict):
        return 1
    count, a, b = (with_integers(int, raw.get(key)) for key in ("count", "from", "to"))
    if not isinstance(count, int) or count < 1:
        return 1
    if raw.get("spacing") == "integer" and isinstance(a, int) and isinstance(b, int):
        # Integers that coincide count once.
        return min(count, abs(b - a) + 1)
    return count


def num_seeds(raw: Mapping[str, Any]) -> int:
    """Return how many seeds a range has, which may be more than `len` can say."""
    found, problems = read_seeds(raw, "")
    return 1 if problems else found.stop - found.start


def read_seeds(raw: Mapping[str, Any], place: str) -> tuple[range, list[str]]:
    """Return the seeds of a range, and its mistakes as sentences."""
    try:
        wanted = SeedRange.model_validate(dict(raw))
    except ValidationError as error:
        return range(1), sentences(error, place, SeedRange, "a range of seeds (from, to)")
    seeds = range(wanted.start, wanted.to + 1)
    between = wanted.to - wanted.start + 1
    if between < 1:
        return range(1), [f"{place} is a range from {wanted.start} to {wanted.to}; it has no seed."]
    if wanted.count not in (None, between):
        return range(1), [
            f"{place}.count is {show(wanted.count)}; from {wanted.start} to {wanted.to} there are "
            f"{show(between)} seeds: leave count out."
        ]
    return seeds, []


def resolve(
    resolver: Callable[[Any], Any], values: Sequence[Any], place: str
) -> tuple[tuple[Any, ...], list[str]]:
    """Return the resolved values of a setting, and what is wrong with them as sentences."""
    found, problems = [], []
    for value in values:
        try:
            found.append(resolver(value))
        except ValueError as error:
            problems.append(f"{place} is {show(value)}; {printable(str(error))}")
    return tuple(found), problems


@cache
def _adapter(settings: type[Settings], key: str, several: bool) -> TypeAdapter[Any]:
    field = settings.model_fields[key]
    annotation: Any = field.annotation
    for item in field.metadata:
        annotation = Annotated[annotation, item]
    if _is_settings(annotation):
        return TypeAdapter(annotation)
    wanted: Any = GenericAlias(list, (annotation,)) if several else annotation
    return TypeAdapter(wanted, config=settings.model_config)


def read_values(
    settings: type[Settings],
    key: str,
    raw: Any,
    place: str,
    *,
    expand: bool = True,
    distinct: bool = True,
) -> tuple[tuple[Any, ...], bool, list[str]]:
    """Validate the value, list or range that a sweep file gives for one setting.

    Args:
        settings: The settings class of the section.
        key: The setting, which exists.
        raw: What the file holds.
        place: The dotted key, for messages.
        expand: Whether to make all values of a range; else its ends only, to check it.
        distinct: Whether each value must be given once; in a zip only the tuples must.

    Returns:
        The values, whether the file gave several (an axis), and the mistakes as sentences.
    """
    info = description(settings, key)
    may_vary = info is None or info.axis
    if may_vary and isinstance(raw, dict):
        return _read_range(settings, key, raw, place, expand, distinct)
    if may_vary and isinstance(raw, list):
        return _read_list(settings, key, raw, place, distinct)
    several = isinstance(raw, list) or (isinstance(raw, dict) and "from" in raw)
    also = ", one value for all runs of the file" if several else ""
    value, problems = _validate(settings, key, raw, place, also)
    return (value,), False, problems


def read_setting(
    settings: type[Settings],
    key: str,
    raw: Any,
    place: str,
    *,
    expand: bool = True,
    distinct: bool = True,
) -> tuple[tuple[Any, ...], bool, list[str]]:
    """Validate what a sweep file gives for one setting, and resolve it; see `read_values`."""
    values, several, problems = read_values(
        settings, key, raw, place, expand=expand, distinct=distinct
    )
    if not problems and key in settings.resolvers:
        values, problems = resolve(settings.resolvers[key], values, place)
    return values, several, problems


def _read_list(
    settings: type[Settings], key: str, raw: list[Any], place: str, distinct: bool
) -> tuple[tuple[Any, ...], bool, list[str]]:
    if not raw:
        return (), True, [f"{place} is an empty list; give at least one value, or leave it out."]
    values, problems = _validate_all(settings, key, raw, place)
    seen: dict[Any, int] = {}
    twice = []
    for i, value in enumerate(values if distinct else ()):
        if value in seen:
            twice.append(
                f"{place}[{i}] is {show(value)}, as is {place}[{seen[value]}]; "
                "give each value once."
            )
        seen.setdefault(value, i)
    return values, True, [*problems, *_bounded(twice, place)]


def _bounded(problems: list[str], place: str) -> list[str]:
    """Return the first mistakes of a list of values, and how many others it has."""
    rest = len(problems) - _MOST_REPORTED
    return (
        [*problems[:_MOST_REPORTED], f"{place} has {rest} more such values."]
        if rest > 0
        else problems
    )


def _read_range(
    settings: type[Settings],
    key: str,
    raw: dict[str, Any],
    place: str,
    expand: bool,
    distinct: bool,
) -> tuple[tuple[Any, ...], bool, list[str]]:
    try:
        wanted = Range.model_validate(raw)
    except ValidationError as error:
        return (), True, sentences(error, place, Range, "a range")
    problem = _wrong_range(wanted)
    if problem:
        return (), True, [f"{place} is a range {problem}"]
    if not expand:
        wanted = wanted.model_copy(update={"count": min(wanted.count, 2)})
    values: list[Any] = list(range_values(wanted))
    if distinct and len(set(values)) != len(values):
        return (), True, [f"{place} is a range whose values coincide; lower its count."]
    if wants_integers(settings, key):
        # An integer setting may be given by an ordinary range that falls on integers.
        broken = next((v for v in values if not float(v).is_integer()), None)
        if broken is not None:
            return (
                (),
                True,
                [
                    f"{place} is a range with the value {broken!r}, which is not an integer; "
                    'choose another count, or spacing = "integer".'
                ],
            )
        if max(map(abs, values)) > LARGEST_WHOLE:
            return (
                (),
                True,
                [f"{place} is a range of integers; its ends may be 2^53 at most: {LIST_THEM}."],
            )
        values = [int(v) for v in values]
    checked, problems = _validate_all(settings, key, values, place)
    return checked, True, problems


def wants_integers(settings: type[Settings], key: str) -> bool:
    """Return whether a setting takes integers only."""
    try:
        _adapter(settings, key, False).validate_python(1.5)
    except ValidationError as error:
        return any(item["type"] in ("int_type", "int_from_float") for item in error.errors())
    return False


def _wrong_range(wanted: Range) -> str:
    """Return what is wrong with a range in itself, as the end of a sentence."""
    ends = f"from {wanted.start:g} to {wanted.to:g}"
    if wanted.spacing == "log" and (wanted.start <= 0 or wanted.to <= 0):
        return f"{ends} with spacing 'log'; both ends must be positive."
    if wanted.spacing == "integer" and not (wanted.start.is_integer() and wanted.to.is_integer()):
        return f"{ends} with spacing 'integer'; both ends must be integers."
    if math.isinf(max(abs(wanted.start), abs(wanted.to)) * wanted.count):
        return f"{ends} with count {wanted.count}; its ends are too large."
    if wanted.spacing is None and _spans_decades(wanted):
        return (
            f"{ends}, over two decades or more, without a spacing; say whether its values are a "
            'constant factor apart, spacing = "log", or a constant difference, spacing = "linear".'
        )
    if wanted.count == 1 and wanted.start != wanted.to:
        return f"{ends} with count 1; it must be 2 or more, to hold both ends."
    return ""


def _spans_decades(wanted: Range) -> bool:
    low, high = sorted((abs(wanted.start), abs(wanted.to)))
    return wanted.start * wanted.to > 0 and wanted.count > 2 and high >= 100 * low


def _validate_all(
    settings: type[Settings], key: str, raw: list[Any], place: str
) -> tuple[tuple[Any, ...], list[str]]:
    """Validate a list of values; only if one is wrong, each alone, for the sentences."""
    raw = with_integers(settings.model_fields[key].annotation, raw)
    try:
        values = _adapter(settings, key, True).validate_python(raw)
    except ValidationError:
        problems: list[str] = []
        for i, item in enumerate(raw):
            problems += _validate(settings, key, item, f"{place}[{i}]")[1]
        return (), _bounded(problems, place)
    return tuple(map(_without_sign_of_zero, values)), []


def _validate(
    settings: type[Settings], key: str, raw: Any, place: str, also: str = ""
) -> tuple[Any, list[str]]:
    raw = with_integers(settings.model_fields[key].annotation, raw)
    try:
        value = _adapter(settings, key, False).validate_python(raw)
    except ValidationError as error:
        field = settings.model_fields[key].annotation
        for nested in (field, *get_args(field)):
            if _is_settings(nested) and isinstance(raw, dict):
                return None, sentences(error, place, cast(type[Settings], nested))
        return None, findings(error, place, also)
    return _without_sign_of_zero(value), []


def _without_sign_of_zero(value: Any) -> Any:
    # -0.0 is 0.0 to every kernel, but would be another run to the hash.
    return 0.0 if isinstance(value, float) and value == 0 else value


def _is_settings(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, Settings)
