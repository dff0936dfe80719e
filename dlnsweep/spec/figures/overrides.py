"""`--set figure.KEY=VALUE`: a key of every figure of a file, or by a number of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlnsweep.contracts.figure import FIGURES, FigureKind, default_kind
from dlnsweep.errors import SpecError
from dlnsweep.settings.sentences import nearest_key, show, show_key

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


def of_new_kinds(before: Any, after: Any) -> Any:
    """Return figures whose kind was set, with the observable of y where the new kind has it.

    Curves and their like have observables in y. A heatmap has one, in value, and the setting of its
    rows in y; a spectrum has one in y.

    Args:
        before: What stood under `figure`: a table, a list of tables, or None.
        after: The same with keys set.

    Raises:
        SpecError: If there were several observables, of which nothing says which is meant.
    """
    if not isinstance(after, list):
        return _of_new_kind(before, after, "figure")
    olds = before if isinstance(before, list) else [before]
    return [
        _of_new_kind(old, new, f"figure.{index}")
        for index, (old, new) in enumerate(zip(olds, after, strict=False))
    ]


def _of_new_kind(before: Any, after: Any, place: str) -> Any:
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return after
    old, new = _known(before.get("kind", default_kind())), _known(after.get("kind"))
    if old is None or new is None or not old.several_in or not new.one_in:
        return after
    several, key = old.several_in, new.one_in
    drawn = before.get(several)
    names = drawn if isinstance(drawn, list) else [drawn]
    if not all(isinstance(name, str) for name in names):
        return after
    kept = {name: value for name, value in after.items() if name != several or value != drawn}
    if key in kept:
        return kept
    if len(names) != 1:
        rows = several in new.setting_keys
        more = f", and the setting of its rows as {place}.{several}" if rows else ""
        raise SpecError(
            f"{place}.{several} is {show(drawn)}, and a figure of kind '{new.name}' shows one "
            "observable: say which, such as "
            f"--set {place}.{key}={names[0] if names else 'loss'}{more}."
        )
    return {**kept, key: names[0]}


def _known(kind: Any) -> FigureKind | None:
    return FIGURES.get(kind) if isinstance(kind, str) else None


def _check_known(key: str, tables: Sequence[dict[str, Any]]) -> None:
    known = {name for kind in FIGURES.values() for name in kind.settings.model_fields}
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
