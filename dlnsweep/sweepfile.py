"""Reading a sweep file: size caps, text, TOML, and `--set` overrides. Nothing is executed."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlnsweep.errors import SpecError

LARGEST_FILE = 64 * 1024
LONGEST_LINE = 4 * 1024
_DEEPEST_NESTING = 8


def read(path: Path) -> dict[str, Any]:
    """Read a sweep file into plain dictionaries and lists.

    Raises:
        SpecError: If the file cannot be read, is too large, or is not UTF-8 or TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise SpecError(
            f"{path}: the sweep file cannot be read: {error.strerror}; name a TOML file."
        ) from None
    return parse(content, str(path))


def parse(content: bytes, name: str) -> dict[str, Any]:
    """Parse the content of a sweep file; `name` stands in the messages."""
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
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{name}: not TOML: {_first_line(error)}.") from None
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else _first_line(error)
        raise SpecError(f"{name}: not a usable TOML file: {what}.") from None
    if _depth(document) > _DEEPEST_NESTING:
        raise SpecError(f"{name}: tables or lists are nested deeper than {_DEEPEST_NESTING}.")
    return document


def _first_line(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    text = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return text[:200].rstrip(".")


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
        key, equals, text = override.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(p.isidentifier() for p in parts) or len(parts) > 2:
            problems.append(
                f"--set {_short(override)} is not KEY=VALUE with a key such as training.num_steps."
            )
            continue
        try:
            value = _loads(f"value = {text}", "--set")["value"]
        except SpecError as error:
            bare = text.strip()
            if not bare or not bare.replace("_", "").replace("-", "").isalnum():
                problems.append(f"--set {_short(override)}: the value is {error}")
                continue
            value = bare
        if len(parts) == 1:
            result[parts[0]] = value
        else:
            section = result.setdefault(parts[0], {})
            if not isinstance(section, dict):
                problems.append(f"--set {_short(override)}: {parts[0]} is not a table.")
                continue
            section[parts[1]] = value
    if problems:
        raise SpecError(*problems)
    return result


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
