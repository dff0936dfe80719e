"""Whether `sweep.json` and receipts are what a sweep wrote, before anybody relies on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from dlnsweep.errors import StoreError

_LONGEST = 10_000
# Beyond 2^62 steps of a million million runs.
_LARGEST = 1e31


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST


def _is_number(value: Any) -> bool:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return known and 0 <= value <= _LARGEST and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return _is_number(value) and isinstance(value, int)


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_record(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    shared, figures = value.get("shared", {}), value.get("figures", [])
    tables = isinstance(figures, list) and all(isinstance(each, dict) for each in figures)
    return isinstance(shared, dict) and tables


def _are_files(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(each, dict) and _is_text(each.get("sha256")) for each in value.values()
    )


def _are_hashes(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_are_texts, value.values()))


_SWEEP: dict[str, Callable[[Any], bool]] = {
    "name": _is_text,
    "source": _is_text,
    "precision": _is_text,
    "observables": _are_texts,
    "sweep_sha256": _is_text,
    "sweep": _is_record,
}
_RECEIPT: dict[str, Callable[[Any], bool]] = {
    "batch": _is_count,
    "seconds": _is_number,
    "run_steps": _is_count,
    "run_steps_taken": _is_count,
    "status": _are_counts,
    "files": _are_files,
}
_PLAN_RECEIPT: dict[str, Callable[[Any], bool]] = {"files": _are_hashes}


def check_sweep(value: Mapping[str, Any], path: Any) -> None:
    """Refuse the content of a `sweep.json` that no sweep wrote.

    Raises:
        StoreError: If something is missing, or is of another kind.
    """
    missing = [name for name in ("name", "observables", "sweep") if name not in value]
    wrong = missing or _wrong(value, _SWEEP)
    if wrong:
        found = f"its '{wrong[0]}' is {_found(value, wrong[0])}"
        record = value.get("sweep")
        if wrong[0] == "sweep" and isinstance(record, dict):
            found = _wrong_record(record)
        raise StoreError(
            f"{path}: is damaged ({found}); restore it from a copy, or move the folder away and "
            "run the sweep again."
        )


def environment_of(value: Mapping[str, Any], root: Any) -> dict[str, Any]:
    """Return what the content of a `sweep.json` says of where the sweep of a folder was begun.

    Who only looks at results can do without. A folder that an earlier version began has less of it.

    Raises:
        StoreError: If it is of another kind.
    """
    found = value.get("environment", {})
    parts = ("versions", "variables")
    if not isinstance(found, dict) or any(not isinstance(found.get(p, {}), dict) for p in parts):
        raise StoreError(
            f"{root}: its sweep.json is damaged (its 'environment' does not say where the sweep "
            "was begun); restore it from a copy, or move the folder away and run the sweep again."
        )
    return found


def _wrong_record(record: Mapping[str, Any]) -> str:
    """Return which part of the sweep's own record is wrong, and what it must be."""
    if not isinstance(record.get("shared", {}), dict):
        return f"its 'sweep.shared' is {_json_kind(record['shared'])}; it must be an object"
    figures = record["figures"]
    if not isinstance(figures, list):
        return f"its 'sweep.figures' is {_json_kind(figures)}; it must be a list of objects"
    place = next(i for i, each in enumerate(figures) if not isinstance(each, dict))
    return f"its 'sweep.figures[{place}]' is {_json_kind(figures[place])}; it must be an object"


def _json_kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true" if value else "false"
    names = {str: "a text", list: "a list", dict: "an object"}
    return names.get(type(value), "a number")


def check_receipt(value: Mapping[str, Any], path: Any) -> None:
    """Refuse the content of a batch's receipt that no commit wrote.

    Raises:
        StoreError: If something is of another kind.
    """
    if wrong := _wrong(value, _RECEIPT):
        raise StoreError(
            f"{path}: is damaged (its '{wrong[0]}' is {_found(value, wrong[0])}); `dlnsweep "
            "verify` tells all damage; remove this batch's files in curves, outcomes and receipts "
            "and run the sweep again."
        )


def is_receipt(value: Mapping[str, Any], *, of_plan: bool) -> bool:
    """Tell whether a receipt names the files that it is about, and nothing is of another kind."""
    known = _PLAN_RECEIPT if of_plan else _RECEIPT
    named = {} if of_plan else {"curves", "outcomes"}
    return not _wrong(value, known) and "files" in value and set(named) <= value["files"].keys()


def _wrong(value: Mapping[str, Any], known: Mapping[str, Callable[[Any], bool]]) -> list[str]:
    return [name for name, is_right in known.items() if name in value and not is_right(value[name])]


def _found(value: Mapping[str, Any], name: str) -> str:
    return f"a {type(value[name]).__name__} that it cannot be" if name in value else "missing"
