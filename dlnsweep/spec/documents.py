"""A sweep given in Python: what stands for a list, a number or a table, as a file would hold it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dlnsweep.errors import SpecError
from dlnsweep.settings.sentences import show, show_key

_LONGEST = 10_000_000
_DEEPEST = 16


def plain(value: Any, place: str = "", depth: int = 0) -> Any:
    """Return a value with tuples, ranges and arrays as lists, and their scalars as numbers.

    Args:
        value: Any value; what a file could not hold otherwise is returned as it is.
        place: Its dotted key, for messages.
        depth: How deep it lies.

    Raises:
        SpecError: If it is longer than any axis may be or nested deeper than any setting, or a
            key is no string.
    """
    if depth > _DEEPEST and isinstance(value, Mapping | list | tuple):
        raise SpecError(
            f"{show_key(place)} is nested deeper than {_DEEPEST}; no setting needs that."
        )
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                inside = f" of {place}" if place else ""
                raise SpecError(f"the key {show(key)}{inside} must be a string.")
        return {k: plain(v, f"{place}.{k}".strip("."), depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | range):
        _check_length(len(value), place)
        return [plain(item, place, depth + 1) for item in value]
    if hasattr(value, "tolist"):
        # NumPy's arrays and scalars, and all that are like them.
        _check_length(int(getattr(value, "size", 1)), place)
        return value.tolist()
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _check_length(length: int, place: str) -> None:
    if length > _LONGEST:
        raise SpecError(f"{show_key(place)} has {length} values; at most {_LONGEST} are allowed.")
