"""Reading a sweep file: size caps, text, TOML, and `--set` overrides. Nothing is executed."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlnsweep.errors import SpecError
from dlnsweep.sentences import printable

LARGEST_FILE = 64 * 1024
LONGEST_LINE = 4 * 1024
_DEEPEST_NESTING = 8
_LONGEST_SHOWN = 80
_TOO_DEEP = f"tables or lists are nested deeper than {_DEEPEST_NESTING}; no setting needs that."


def read(path: Path) -> dict[str, Any]:
    """Read a sweep file into plain dictionaries and lists.

    Raises:
        SpecError: If the file cannot be read, is too large, or is not UTF-8 or TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        # A path with a NUL in it is a ValueError.
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SpecError(
            f"{printable(str(path))}: the sweep file cannot be read: {why}; name a TOML file."
        ) from None
    return parse(content, str(path))


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
        problem = f"not TOML: {_first_line(error)}."
    else:
        if _depth(document) > _DEEPEST_NESTING:
            problem = _TOO_DEEP
    if problem:
        raise SpecError(f"{name}: {problem}")
    return document


def _first_line(error: Exception) -> str:
    text = str(error).partition("\n")[0] or type(error).__name__
    return printable(text, 200).rstrip(".")


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


def apply_overrides(document: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return the document with `KEY=VALUE` overrides applied.

    KEY is dotted ("training.num_steps"), VALUE is TOML; a bare word is taken as a string.

    Raises:
        SpecError: If an override has no "=", a bad key or a bad value; all of them at once.
    """
    result = {k: dict(v) if isinstance(v, dict) else v for k, v in document.items()}
    problems = []
    for override in overrides:
        try:
            _apply(result, override)
        except SpecError as error:
            problems.append(f"--set {printable(override, _LONGEST_SHOWN)}: {error}")
    if problems:
        raise SpecError(*problems)
    return result


def _apply(document: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or len(parts) > 2 or not all(p.isidentifier() for p in parts):
        raise SpecError("it must be KEY=VALUE, with a key such as training.num_steps.")
    value = _read_value(text.strip())
    if len(parts) == 1:
        document[parts[0]] = value
        return
    section = document.setdefault(parts[0], {})
    if not isinstance(section, dict):
        what = "a list of tables" if isinstance(section, list) else "no table"
        raise SpecError(f"{parts[0]} is {what} in the file; a key of it cannot be set.")
    section[parts[1]] = value


def _read_value(text: str) -> Any:
    if len(text) > LONGEST_LINE:
        raise SpecError(f"the value is longer than {LONGEST_LINE // 1024} KiB.")
    try:
        found = _loads(f"value = {text}", "the value")
    except SpecError as error:
        if text and text.replace("_", "").replace("-", "").isalnum():
            return text
        raise SpecError(
            f"{error} Give a number, true, a list [1, 2], a table {{ a = 1 }}, or a string in "
            "quotes."
        ) from None
    if len(found) > 1:
        raise SpecError("the value holds several lines; give one value.")
    return found["value"]
