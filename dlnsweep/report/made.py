"""How results were made, as their receipts say: versions, machines, times."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dlnsweep.errors import StoreError
from dlnsweep.results import Results
from dlnsweep.settings.sentences import duration, printable
from dlnsweep.store.layout import batch_name

_MOST_RECEIPTS = 2000
_MOST_NOTES = 20
_LONGEST = 400


@dataclass(frozen=True)
class Fact:
    """Something that is so: what, and how it is."""

    what: str
    how: str


def made(results: Results) -> Iterator[Fact]:
    """Yield how the batches of a folder were made, each fact once with how often it was so."""
    sweep, environment = results.sweep, results.sweep.get("environment")
    record: dict[str, Any] = environment if isinstance(environment, dict) else {}
    numbers = sorted(results.store.done())
    receipts = [_receipt(results, number) for number in numbers[:_MOST_RECEIPTS]]
    yield from _first(sweep, record)
    for name, text in _counted(receipts):
        yield Fact(name, text)
    for what, key in (("compiling", "compile_seconds"), ("training", "training_seconds")):
        seconds = [_number(receipt.get(key)) for receipt in receipts]
        if any(seconds):
            yield Fact(f"time {what}", duration(sum(seconds)))
    dates = sorted(_text(receipt["created"]) for receipt in receipts if "created" in receipt)
    if dates:
        yield Fact("first batch", dates[0])
        yield Fact("last batch", dates[-1])
    if len(numbers) > _MOST_RECEIPTS:
        yield Fact("receipts", f"the first {_MOST_RECEIPTS} of {len(numbers)} batches are read")
    notes = Counter(_text(note) for receipt in receipts for note in _listed(receipt.get("notes")))
    for note, count in notes.most_common(_MOST_NOTES):
        yield Fact("note", note + (f" ({count} batches)" if count > 1 else ""))


def _first(sweep: dict[str, Any], environment: dict[str, Any]) -> Iterator[Fact]:
    yield Fact("precision", _text(sweep["precision"]))
    if "numerics_version" in sweep:
        yield Fact("numerics version", _text(sweep["numerics_version"]))
    yield Fact("sweep (sha256)", _text(sweep.get("sweep_sha256", "")))
    for key, value in environment.items():
        if key not in ("versions", "cpu", "variables") and value:
            yield Fact(_text(key), _text(value))


def _counted(receipts: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield versions, devices and machines; where batches differ, with how many have each."""
    found: dict[str, Counter[str]] = {}
    for receipt in receipts:
        surroundings = receipt.get("surroundings")
        around: dict[str, Any] = surroundings if isinstance(surroundings, dict) else {}
        mine = {
            "versions": receipt.get("versions"),
            "instructions": receipt.get("instructions"),
            "device": receipt.get("device"),
            **{key: around.get(key) for key in ("cpu", "threads", "variables")},
        }
        for key, value in mine.items():
            if value:
                found.setdefault(key, Counter())[_text(value)] += 1
    for key, counts in found.items():
        for text, count in counts.most_common(5):
            yield key, text if len(counts) == 1 else f"{text} ({count} batches)"


def _receipt(results: Results, number: int) -> dict[str, Any]:
    try:
        return results.store.files.read_json(batch_name("receipts", number))
    except StoreError:
        # `status` has told of it already, or another process just makes it anew.
        return {}


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_short(k)} {_short(v)}" for k, v in value.items())[:_LONGEST]
    return _short(value)


def _short(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else json.dumps(value)
    except RecursionError:
        # Nothing of ours stands in itself a thousand times.
        text = "…"
    return printable(text, _LONGEST)


def _number(value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and 0 <= value < 1e15 else 0.0


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
