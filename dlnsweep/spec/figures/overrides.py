"""`--set figure.KEY=VALUE`: a key of every figure of a file, or by a number of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlnsweep.errors import SpecError
from dlnsweep.settings.sentences import nearest_key, show_key

# Tables of settings and texts, whose keys may have dots and signs in them.
_TABLES = ("where", "rc", "legend_names", "y_label", "beside")
# In the place of a value: the key is as if it were not written.
TAKEN_OUT = object()
# Words for readers, whose quotes a shell has taken away.
_TEXTS = ("title", "x_label", "y_label", "value_label", "legend_title", "legend_names")


def is_text(parts: Sequence[str]) -> bool:
    """Tell whether a key of a figure, cut at its dots without "figure", holds words for readers."""
    return next((part for part in parts if not part.isdecimal()), "") in _TEXTS


def set_in_figures(raw: Any, parts: Sequence[str], value: Any) -> Any:
    """Return what stands under `figure` with a key replaced; what was given is not changed.

    Args:
        raw: A table, a list of tables, or None.
        parts: The key without "figure", cut at its dots: "title" of every figure, or "1" and
            "title" of the second one; behind where, rc and legend_names a key of those.
        value: The new value; `TAKEN_OUT` takes the key out, if it is there.

    Raises:
        SpecError: If there is no such figure, no such table in it, or no such key to take out.
    """
    tables = [{}] if raw is None else raw if isinstance(raw, list) else [raw]
    if not all(isinstance(table, dict) for table in tables):
        raise SpecError("figure is no table in the file; a key of it cannot be set.")
    chosen = range(len(tables))
    if parts[0].isdecimal():
        number, parts = int(parts[0][:9]), parts[1:]
        if number >= len(tables):
            last = len(tables) - 1
            there = (
                "the only one is figure.0" if not last else f"they are figure.0 to figure.{last}"
            )
            raise SpecError(f"there is no figure.{number}; {there}.")
        chosen = range(number, number + 1)
    if not parts or not parts[0].isidentifier() or (len(parts) > 1 and parts[0] not in _TABLES):
        raise SpecError(
            "it must be figure.KEY=VALUE, or figure.0.KEY=VALUE for the first of several figures; "
            f"keys of tables stand behind {', '.join(_TABLES)}."
        )
    if value is TAKEN_OUT:
        # A key with a slip in it would be taken out of nothing without a word.
        _check_known(parts[0], [tables[index] for index in chosen])
    made = [dict(table) for table in tables]
    for index in chosen:
        made[index] = _replaced(made[index], parts[0], ".".join(parts[1:]), value)
    return made if isinstance(raw, list) else made[0]


def _check_known(key: str, tables: Sequence[dict[str, Any]]) -> None:
    from dlnsweep.settings.figures import FIGURES

    known = {name for settings in FIGURES.values() for name in settings.model_fields}
    if key not in known.union(*tables):
        near = nearest_key(key, sorted(known))
        hint = f"did you mean figure.{near}?" if near else "`dlnsweep explain figure` lists them."
        raise SpecError(f"figure.{show_key(key)} is no key of a figure; {hint}")


def _replaced(table: dict[str, Any], key: str, inner: str, value: Any) -> dict[str, Any]:
    if not inner:
        return _with(table, key, value)
    old = table.get(key) or {}
    if not isinstance(old, dict):
        raise SpecError(
            f"figure.{show_key(key)} is no table in the file; a key of it cannot be set."
        )
    return {**table, key: _with(old, inner, value)}


def _with(table: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    rest = {name: old for name, old in table.items() if name != key}
    return rest if value is TAKEN_OUT else {**table, key: value}
