"""The base of all settings (which are the sweep file's keys), and how a field says what it is.

A setting is declared once, on its field: its type and range, its symbol, unit and meaning, and
whether it is *static* (a change compiles another program) or *traced* (a sweep over it never
recompiles).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator

from dlnsweep.settings.by_layer import is_by_layer, numbers_of

Role = Literal["static", "traced", "outside"]


@dataclass(frozen=True)
class Describe:
    """What a settings field is, attached to it by `Annotated`.

    Attributes:
        role: "static" (compiled in), "traced" (an input of the compiled program) or "outside"
            (never reaches a program, such as the name of a figure).
        text: One line that says what the setting means.
        symbol: The symbol of the papers, as plain text for tables and axis labels.
        unit: The unit of the value; empty for a pure number.
        axis: Whether a sweep file may give several values.
        zero: What figures write for 0, where that is no number of anything.
        idle: The value at which it does nothing; where all runs have it, captions leave it out.
    """

    role: Role
    text: str
    symbol: str = ""
    unit: str = ""
    axis: bool = True
    zero: str = ""
    idle: float | None = None


@dataclass(frozen=True)
class Constraint:
    """A condition on several settings together.

    Attributes:
        keys: Dotted keys, such as "problem.signal_dim".
        holds: Takes the values of these keys, in order.
        sentence: What to say where it does not hold; {0}, {1}, ... are the values. Or a function
            that makes it of them, for what must be looked up.
    """

    keys: tuple[str, ...]
    holds: Callable[..., bool]
    sentence: str | Callable[..., str]


@dataclass(frozen=True)
class UsedBy:
    """Says that a setting is read under some choices of another one of its section only.

    Elsewhere it must not be given; in runs of other choices it is blank.

    Attributes:
        chooser: The other setting, such as "optimizer".
        choices: Its values under which the setting is read.
        needed: Whether it must be given there: its default stands for nothing.
    """

    chooser: str
    choices: Sequence[str]
    needed: bool = False


@dataclass(frozen=True)
class Follows:
    """Says that a setting follows from others of its section where a sweep file leaves it out.

    Attributes:
        keys: The others.
        value: Takes their values, in order; returns what follows, or None where they are wrong by
            themselves, which a constraint says.
        exact: Whether another value is refused; else constraints say which are allowed.
    """

    keys: tuple[str, ...]
    value: Callable[..., Any]
    exact: bool = True


class Settings(BaseModel):
    """Frozen, strict settings: an unknown key or a value of another type is an error."""

    constraints: ClassVar[tuple[Constraint, ...]] = ()
    # Settings that some choices of another one read, by key.
    used_by: ClassVar[Mapping[str, UsedBy]] = {}
    # Settings that need not be given, by key; they are required fields otherwise.
    follows: ClassVar[Mapping[str, Follows]] = {}
    # How a sweep file's value becomes what identifies a run, by key, where that takes more than
    # validation: a file's name gets a digest of its content. ValueError says what is wrong, as the
    # end of a sentence.
    resolvers: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True,
        # A validator is made when it is first used: of fifty kinds a command reads a few.
        defer_build=True,
    )  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _read_whole_numbers(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        names = {field.alias or key: key for key, field in cls.model_fields.items()}
        return {
            key: with_integers(cls.model_fields[names[key]].annotation, value)
            if key in names
            else value
            for key, value in data.items()
        }


def with_integers(annotation: Any, value: Any) -> Any:
    """Return a value whose whole floats (1e4) are integers, where a field asks for integers."""
    types = _leaves(annotation)
    return _as_integers(value) if int in types and float not in types else value


def _as_integers(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_integers(item) for item in value]
    # Beyond 2^53 a float does not tell which integer was meant.
    whole = isinstance(value, float) and value.is_integer() and abs(value) <= 2**53
    return int(value) if whole else value


def _leaves(annotation: Any) -> set[Any]:
    """Return the types that an annotation is made of."""
    if get_origin(annotation) is Annotated:
        return _leaves(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return set()
    inner = get_args(annotation)
    return set().union(*map(_leaves, inner)) if inner else {annotation}


def description(settings: type[Settings], key: str) -> Describe | None:
    """Return the `Describe` of a field, or None if the field has none."""
    found: list[Any] = [m for m in settings.model_fields[key].metadata if isinstance(m, Describe)]
    return found[0] if found else None


def traced_numbers(settings: Settings) -> dict[str, Any]:
    """Return the traced numbers of some settings, by key; those one a layer as a tuple.

    A text of no numbers is left out: it is no argument of a program, and others are compiled.
    """
    found: dict[str, Any] = {}
    for key in type(settings).model_fields:
        if is_traced_float(type(settings), key):
            found[key] = float(getattr(settings, key))
        elif is_traced(type(settings), key) and getattr(settings, key):
            found[key] = numbers_of(getattr(settings, key))
    return found


def is_traced(settings: type[Settings], key: str) -> bool:
    """Return whether programs take a field as an argument; any other is static."""
    return is_traced_float(settings, key) or is_by_layer(settings.model_fields[key].metadata)


def is_traced_float(settings: type[Settings], key: str) -> bool:
    """Return whether a field is a float that programs take as an argument."""
    info = description(settings, key)
    is_float = settings.model_fields[key].annotation is float
    return is_float and info is not None and info.role == "traced"


def _outside(settings: type[Settings]) -> Iterator[str]:
    for key in settings.model_fields:
        info = description(settings, key)
        if info is not None and info.role == "outside":
            yield key


def static_text(settings: Settings, without: Iterable[str] = ()) -> str:
    """Return a text that is equal for settings which one compiled program can serve."""
    moving = {*traced_numbers(settings), *_outside(type(settings)), *without}
    fields = settings.model_dump(exclude=moving)
    return json.dumps(fields, sort_keys=True)


def with_numbers(settings: Settings, numbers: Mapping[str, Any]) -> Any:
    """Return the settings with other values, such as tracers, in some fields; unchecked."""
    fields = {key: getattr(settings, key) for key in type(settings).model_fields}
    return type(settings).model_construct(**(fields | dict(numbers)))
