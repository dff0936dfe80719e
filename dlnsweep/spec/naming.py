"""The name of a sweep and what it is about, as its file gives them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dlnsweep.settings.sentences import show

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LONGEST_TEXT = 500


def name_and_source(document: Mapping[str, Any]) -> tuple[str | None, str, list[str]]:
    """Return the name and the source that a file gives, and what is wrong with them as sentences.

    Args:
        document: The sweep file.
    """
    name, problems = _text(document, "name", required=True)
    if name is not None and not _NAME.fullmatch(name):
        problems.append(
            f"name is {show(name)}; it must be letters, digits, '.', '_' and '-', "
            "100 at most, and begin with a letter or digit (it names the results folder)."
        )
    source, more = _text(document, "source", required=False)
    return name, source or "", [*problems, *more]


def _text(document: Mapping[str, Any], key: str, *, required: bool) -> tuple[str | None, list[str]]:
    value = document.get(key)
    if value is None:
        return None, [f"{key} is missing; it has no default."] if required else []
    if not isinstance(value, str) or not value.isprintable() or len(value) > _LONGEST_TEXT:
        return None, [
            f"{key} is {show(value)}; it must be a string, a line of at most {_LONGEST_TEXT} "
            "characters."
        ]
    return value, []
