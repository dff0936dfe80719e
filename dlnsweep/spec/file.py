"""Reading a sweep file: size caps, text, TOML, and `--set` overrides. Nothing is executed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlnsweep.errors import SpecError
from dlnsweep.settings.sentences import printable, show
from dlnsweep.spec import gallery
from dlnsweep.spec.figures.overrides import TAKEN_OUT, is_text, of_new_kinds, set_in_figures

LARGEST_FILE = 64 * 1024
LONGEST_LINE = 4 * 1024
_DEEPEST_NESTING = 8
_LONGEST_SHOWN = 80
# Characters that editors and web pages put in the place of a keyboard's.
_LOOKALIKES = {
    **dict.fromkeys("\u00a0\u202f\u2007", "a non-breaking space"),
    **dict.fromkeys("\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb", "a typographic quote"),
    **dict.fromkeys("\u2212\u2013\u2014", "a minus sign that is none of a keyboard's"),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", "an invisible character"),
}
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")
_WORD = re.compile(r"(?=.*[^\W\d])[\w~./][\w~./-]*")
_NUMBER = re.compile(r"([+-]?)(\d*)\.?(\d*)((?:[eE][+-]?\d+)?)")
_TOO_DEEP = f"tables or lists are nested deeper than {_DEEPEST_NESTING}; no setting needs that."


def read(path: Path) -> dict[str, Any]:
    """Read a sweep file into plain dictionaries and lists; `gallery:NAME` is one of the gallery.

    Raises:
        SpecError: If the file cannot be read, is too large, or is not UTF-8 or TOML.
    """
    file_of_it = gallery.find(str(path)) if gallery.is_name(path) else path
    try:
        with file_of_it.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        # A path with a NUL in it is a ValueError.
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SpecError(
            f"{printable(str(path))}: the sweep file cannot be read: {why}; name a TOML file."
        ) from None
    document = parse(content, str(path))
    if not document:
        raise SpecError(
            f"{printable(str(path))}: the file holds no settings; `dlnsweep init` writes a "
            "commented file to begin with."
        )
    return document


def parse(content: bytes, name: str) -> dict[str, Any]:
    """Parse the content of a sweep file; `name` stands in the messages.

    Raises:
        SpecError: If it is too large, or is not UTF-8 or TOML.
    """
    name = printable(name)
    if len(content) > LARGEST_FILE:
        raise SpecError(
            f"{name}: the file is larger than {LARGEST_FILE // 1024} KiB, the most that a sweep "
            "file may be; use ranges ({ from = ..., to = ..., count = ... }) for long axes."
        )
    for number, line in enumerate(content.split(b"\n"), 1):
        if len(line) > LONGEST_LINE:
            raise SpecError(
                f"{name}: line {number} has {len(line)} bytes; a line may have "
                f"{LONGEST_LINE // 1024} KiB at most; break the list over several lines."
            )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SpecError(
            f"{name}: line {line} holds the byte 0x{content[error.start]:02x}, which is not UTF-8; "
            "save the file as UTF-8."
        ) from None
    return _loads(text, name)


def _loads(text: str, name: str) -> dict[str, Any]:
    # Editors on Windows put a byte order mark first, which tomllib does not know.
    text = text.removeprefix("\ufeff")
    problem = ""
    document: dict[str, Any] = {}
    try:
        document = tomllib.loads(text)
    except RecursionError:
        problem = _TOO_DEEP
    except ValueError as error:
        # Python's own limit on the digits of an integer is a ValueError, but no TOMLDecodeError.
        problem = f"not TOML: {_first_line(error)}.{_lookalike(text, error)}"
    else:
        if _depth(document) > _DEEPEST_NESTING:
            problem = _TOO_DEEP
    if problem:
        raise SpecError(f"{name}: {problem}")
    return document


def _first_line(error: Exception) -> str:
    text = str(error).partition("\n")[0] or type(error).__name__
    return printable(text, 200).rstrip(".")


def _lookalike(text: str, error: Exception) -> str:
    """Return a sentence about a wrong character in the line of a mistake; empty if none is."""
    found = _PLACE.search(str(error))
    number = int(found[1]) if found and found[1] else len(text.splitlines())
    line = text.split("\n")[number - 1] if 0 < number <= text.count("\n") + 1 else ""
    for column, character in enumerate(line, 1):
        if character in _LOOKALIKES:
            return (
                f" line {number} holds {_named(character)} at column {column}: write what "
                "the keyboard writes."
            )
    return ""


def _named(character: str) -> str:
    return f"{_LOOKALIKES[character]} (U+{ord(character):04X})"


def _depth(value: Any) -> int:
    # A list of levels instead of recursion: a hostile file may be nested thousands deep.
    depth, level = 0, [value]
    while level:
        depth += 1
        children: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                children += item.values()
            elif isinstance(item, list):
                children += item
        level = children
    return depth


def apply_overrides(
    document: dict[str, Any], overrides: Sequence[str], option: str = "--set"
) -> dict[str, Any]:
    """Return the document with `KEY=VALUE` overrides applied.

    KEY is dotted ("training.num_steps"), VALUE is TOML; a bare word is taken as a string. Of
    figures, an empty VALUE takes the key out ("figure.hue="), as if it were not written; of words
    for readers (title, labels) it is the empty text.

    Args:
        document: The tables of a sweep file; they are not changed.
        overrides: What to replace.
        option: What messages call it.

    Raises:
        SpecError: If an override has no "=", a bad key or a bad value; all of them at once.
    """
    wrong = check_overrides(overrides)
    if wrong:
        raise SpecError(*wrong)
    result = {k: dict(v) if isinstance(v, dict) else v for k, v in document.items()}
    problems = []
    for override in overrides:
        try:
            _apply(result, override)
        except SpecError as error:
            problems.append(f"{option} {printable(override, _LONGEST_SHOWN)}: {error}")
    if problems:
        raise SpecError(*problems)
    if result.get("figure") is not None:
        result["figure"] = of_new_kinds(document.get("figure"), result["figure"])
    return result


def check_overrides(overrides: Any) -> list[str]:
    """Return what is wrong with overrides that are no list of strings."""
    found = list(overrides) if isinstance(overrides, list | tuple) else [None]
    if all(isinstance(each, str) for each in found):
        return []
    return [
        f"overrides is {show(overrides)}; it must be a list of strings 'KEY=VALUE', such as "
        "['training.num_steps=1000']."
    ]


def _apply(document: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if equals and parts[0] == "figure" and len(parts) > 1:
        words, text = is_text(parts[1:]), text.strip()
        empty = not text and not words
        value = TAKEN_OUT if empty else (_read_words if words else _read_value)(text)
        document["figure"] = set_in_figures(document.get("figure"), parts[1:], value)
        return
    if not equals or len(parts) > 3 or not all(p.isidentifier() for p in parts):
        raise SpecError("it must be KEY=VALUE, with a key such as training.num_steps.")
    value = _read_value(text.strip())
    if len(parts) == 1:
        document[parts[0]] = value
        return
    section = document.setdefault(parts[0], {})
    if not isinstance(section, dict):
        what = "a list of tables" if isinstance(section, list) else "no table"
        raise SpecError(f"{parts[0]} is {what} in the file; a key of it cannot be set.")
    if len(parts) == 2:
        section[parts[1]] = value
        return
    # Of a table in a section, such as sweep.refine.tolerance. The document is not ours to change.
    table = section.get(parts[1], {})
    if not isinstance(table, dict):
        raise SpecError(
            f"{'.'.join(parts[:2])} is no table in the file; a key of it cannot be set."
        )
    section[parts[1]] = {**table, parts[2]: value}


def _read_value(text: str) -> Any:
    if len(text) > LONGEST_LINE:
        raise SpecError(f"the value is longer than {LONGEST_LINE // 1024} KiB.")
    wrong = next((c for c in text if c in _LOOKALIKES), "")
    try:
        found = _loads(f"value = {text}", "the value")
    except SpecError as error:
        if _TOO_DEEP in str(error):
            raise
        if _is_word(text):
            return text
        if wrong:
            raise SpecError(
                f"the value holds {_named(wrong)}: write what the keyboard writes."
            ) from None
        raise SpecError(f"'{printable(text, _LONGEST_SHOWN)}' is not TOML{_advice(text)}") from None
    if len(found) > 1:
        raise SpecError("the value holds several lines; give one value.")
    return found["value"]


def _read_words(text: str) -> Any:
    """Return a value that may be words for readers: what is no TOML stands for itself."""
    try:
        return _read_value(text)
    except SpecError:
        if len(text) > LONGEST_LINE or not text.isprintable() or text.startswith(tuple("[{\"'")):
            raise
        return text


def _is_word(text: str) -> bool:
    """Tell whether a value without quotes can only be meant as a string."""
    number = re.fullmatch(r"[\d.eE_+-]+", text)
    return bool(_WORD.fullmatch(text)) and not number and text not in ("True", "False", "None")


def _advice(text: str) -> str:
    """Return what may have been meant by a value that is no TOML, as the end of a sentence."""
    items = [item.strip() for item in text.strip(", ").split(",")]
    numbers = [_number(item) for item in items]
    if text in ("True", "False"):
        return f"; did you mean {text.lower()}?"
    if text == "None":
        return "; leave the setting out for its default."
    if len(items) == 1 and numbers[0]:
        return f"; did you mean {numbers[0]}?"
    plain = [
        number or (repr(item) if _is_word(item) else "")
        for item, number in zip(items, numbers, strict=True)
    ]
    if len(items) > 1 and all(plain) and len(text) <= _LONGEST_SHOWN:
        return f"; did you mean [{', '.join(plain)}]?"
    return ". Give a number, true, a list [1, 2], a table { a = 1 }, or a string in quotes."


def _number(text: str) -> str:
    """Return a number as TOML writes it; empty for what is none."""
    found = _NUMBER.fullmatch(text)
    if not found or not (found[2] or found[3]):
        return ""
    sign, whole, part, power = found.groups()
    whole = whole.lstrip("0") or "0"
    return f"{sign}{whole}{'.' + (part or '0') if '.' in text else ''}{power}"
