"""What a sweep file calls the values of a setting: a table of texts, by the values' spelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def own_name(names: Mapping[str, str], value: Any) -> str | None:
    """Return the name that a table has for a value; None if it has none.

    Args:
        names: The table: TOML's keys are strings, so "0.1", "1e-1", "balanced", "true", "none".
        value: The value.
    """
    return next((name for key, name in names.items() if is_spelling(key, value)), None)


def is_spelling(key: str, value: Any) -> bool:
    """Return whether a key spells a value: numbers by what they are, words letter by letter."""
    if value is None:
        return key == "none"
    if isinstance(value, bool):
        return key == str(value).lower()
    if isinstance(value, int | float):
        try:
            return float(key) == value
        except ValueError:
            return False
    return key == str(value)
