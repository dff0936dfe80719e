"""Settings that a sweep file gives by formulas: read, and computed in every combination."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dlnsweep.contracts.keys import may_vary
from dlnsweep.settings.base import Settings
from dlnsweep.settings.sentences import did_you_mean, printable, show
from dlnsweep.spec.axes import LARGEST_WHOLE, LIST_THEM, read_values, wants_integers
from dlnsweep.spec.formulas import Formula, FormulaError, parse
from dlnsweep.spec.space import Derived, Space


def is_formula(raw: Any) -> bool:
    """Return whether what a file holds for a setting is meant as a formula."""
    return isinstance(raw, dict) and "formula" in raw


def read_formula(
    settings: type[Settings], key: str, raw: Mapping[str, Any], place: str
) -> tuple[Formula | None, list[str]]:
    """Return the formula of a setting, or what is wrong with it as sentences."""
    others = [printable(name, 60) for name in raw if name != "formula"]
    if others:
        return None, [
            f"{place} is a formula, which has no other key; leave {', '.join(others)} out."
        ]
    if not may_vary(settings, key):
        return None, [f"{place} is a formula; it must be one value for all runs of the file."]
    if not is_number(settings, key):
        return None, [f"{place} is a formula, which yields a number; that is not what it takes."]
    try:
        return parse(raw["formula"]), []
    except FormulaError as error:
        return None, [f"{place}: the formula {show(raw['formula'])} {error}."]


def is_number(settings: type[Settings], key: str) -> bool:
    """Return whether a setting is a number."""
    return wants_integers(settings, key) or settings.model_fields[key].annotation is float


def check_reads(
    formulas: Mapping[str, Formula], known: Mapping[str, bool], prescribed: Collection[str]
) -> dict[str, list[str]]:
    """Return what is wrong with the settings that formulas name: sentences by the formulas' keys.

    Args:
        formulas: The formula of each dotted setting.
        known: For each dotted setting whether it is a number.
        prescribed: Settings that a prescription sets.
    """
    numbers = [key for key, number in known.items() if number]
    wrong: dict[str, list[str]] = {}
    for dotted, formula in formulas.items():
        found: list[str] = []
        start = f"{dotted}: the formula {show(formula.text)} names"
        for name in formula.reads:
            if name not in known:
                hint = did_you_mean(name, numbers)
                found.append(f"{start} '{printable(name, 60)}', which is not a setting{hint}")
            elif not known[name]:
                found.append(f"{start} {name}, which is no number.")
            elif name in prescribed:
                found.append(f"{start} {name}, which training.prescription sets.")
        if found:
            wrong[dotted] = found
    for circle in _circles(formulas):
        path = " -> ".join((*circle, circle[0]))
        sentence = f"{circle[0]}: formulas refer to each other in a circle, {path}."
        wrong.setdefault(circle[0], []).append(sentence)
    return wrong


def _circles(formulas: Mapping[str, Formula]) -> list[tuple[str, ...]]:
    """Return the circles of formulas that read each other, each from the setting first met."""
    found: list[tuple[str, ...]] = []
    done: set[str] = set()

    def follow(dotted: str, path: tuple[str, ...]) -> None:
        if dotted in path:
            found.append(path[path.index(dotted) :])
        elif dotted not in done:
            for name in formulas[dotted].reads:
                if name in formulas:
                    follow(name, (*path, dotted))
            done.add(dotted)

    for dotted in formulas:
        follow(dotted, ())
    return found


def derive(
    formula: Formula, settings: type[Settings], dotted: str, space: Space
) -> tuple[tuple[Any, ...], Derived | None, list[str]]:
    """Compute a setting by its formula in every combination of the axes that it moves with.

    Args:
        formula: The formula; the space has the values of all that it reads.
        settings: The settings class of the section.
        dotted: The setting.
        space: The axes.

    Returns:
        The distinct values, how they are spread, and the first mistake as a sentence.
    """
    key = dotted.partition(".")[2]
    whole = wants_integers(settings, key)
    column: list[Any] = []
    for row in space.rows(formula.reads):
        here = dict(zip(formula.reads, row, strict=True))
        try:
            value: Any = formula.value(here)
        except FormulaError as error:
            return (), None, [_sentence(dotted, formula, here, str(error))]
        if whole and not value.is_integer():
            end = f"is {value:g}, which is not an integer; wrap it in round, floor or ceil"
            return (), None, [_sentence(dotted, formula, here, end)]
        if whole and abs(value) > LARGEST_WHOLE:
            end = f"is {value:g}, which as an integer may be 2^53 at most; {LIST_THEM}"
            return (), None, [_sentence(dotted, formula, here, end)]
        # Zero has no sign: it would be another run to the hash.
        column.append(int(value) if whole else value or 0.0)
    # Read as if the file gave them: the same ranges, the same runs.
    if read_values(settings, key, column, dotted, distinct=False)[2]:
        for row, value in zip(space.rows(formula.reads), column, strict=True):
            if problems := read_values(settings, key, value, dotted)[2]:
                here = dict(zip(formula.reads, row, strict=True))
                end = problems[0].removeprefix(f"{dotted} ").rstrip(".")
                return (), None, [_sentence(dotted, formula, here, end)]
    return *spread(column, formula.reads, space, formula.text), []


def spread(
    column: Sequence[Any], reads: Sequence[str], space: Space, text: str = ""
) -> tuple[tuple[Any, ...], Derived]:
    """Return the distinct values of a computed setting, and how they are spread.

    Args:
        column: Its value in each row that the space has of what it reads.
        reads: What it reads.
        space: The axes.
        text: Its formula, if it has one.
    """
    place = {value: i for i, value in enumerate(dict.fromkeys(column))}
    axes = tuple(axis[0] for axis in space.axes_of(reads))
    return tuple(place), Derived(text, tuple(reads), axes, tuple(place[each] for each in column))


def _sentence(dotted: str, formula: Formula, row: Mapping[str, Any], end: str) -> str:
    at = ", ".join(f"{name} = {show(value)}" for name, value in row.items())
    where = f" ({at})" if at else ""
    return f"{dotted}: the formula {show(formula.text)}{where} {end}."


def shown_values(values: Sequence[Any], most: int = 6) -> str:
    """Return the values of a setting as a line of text: all of a few, else the ends."""
    values = list(dict.fromkeys(values))
    if len(values) <= most:
        return ", ".join(map(_shown, values))
    many = f"{len(values)} values"
    if any(isinstance(value, str | bool) for value in values):
        return many
    return f"{_shown(min(values))} to {_shown(max(values))} ({many})"


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else show(value)
