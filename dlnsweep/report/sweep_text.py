"""The sweep as a file again: a folder keeps settings, not the text that they were written in."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dlnsweep.contracts.figure import FIGURES
from dlnsweep.contracts.on_span import as_given
from dlnsweep.results import Results
from dlnsweep.settings.warm_start import WARM_START

_MOST_VALUES = 60
_LONGEST = 100_000
# Deeper than any setting of ours; what a folder says may be anything.
_DEEPEST = 8
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
# Whose values are no product of lists: their runs are in runs.parquet alone.
_NO_PRODUCT = ("samples", "blocks", "block", "refine", "until", "go_on_from")


@dataclass(frozen=True)
class SweepText:
    """A sweep as TOML.

    Attributes:
        text: The file.
        whole: Whether it gives the same runs; if not, comments in it say what it does not say.
    """

    text: str
    whole: bool


def sweep_text(results: Results) -> SweepText:
    """Return a folder's sweep as a sweep file, with every setting that its runs use."""
    record, varying = results.sweep["sweep"], results.varying
    axes = _axes(record.get("axes"), varying)
    drawn = [name for name in _NO_PRODUCT if record.get(name)]
    values = {key: _values(results, key) for key in results.settings if key != "seed"}
    grouped = {key: axis for axis in axes for key in axis}
    lists = {axis: _moving_together(results, axis) for axis in axes}
    seeds = _values(results, "seed")
    product = math.prod(len(rows) for rows in lists.values()) * max(1, len(seeds))
    whole = (
        not drawn
        and product == results.store.runs_table(["run_id"]).num_rows
        and all(len(rows) <= _MOST_VALUES for rows in lists.values())
        and all(value is not None for rows in lists.values() for row in rows for value in row)
    )
    given = as_given(record.get("shared", {}))
    shared = {key: value for key, value in given.items() if value not in (None, [], "", {})}
    sections: dict[str, list[str]] = {}
    for key in [*values, *(key for key in shared if key not in values)]:
        section, _, name = key.partition(".")
        if not name:
            continue
        lines = sections.setdefault(section, [])
        if key in grouped:
            axis = grouped[key]
            found = [row[axis.index(key)] for row in lists[axis]]
            lines.append(_axis(name, found, whole))
        elif key == WARM_START and key in values:
            lines.append(f"{_key(name)} = {_toml(_warm(record.get('warm_start'), values[key][0]))}")
        elif key in values and values[key] not in ([], [None], [""]):
            lines.append(f"{_key(name)} = {_toml(values[key][0])}")
        elif key in shared:
            lines.append(f"{_key(name)} = {_toml(shared[key])}")
    own = sections.setdefault("sweep", [])
    own.append(f"seeds = {_seeds(seeds)}")
    zips = [list(axis) for axis in axes if len(axis) > 1]
    own += [f"zip = {_toml(zips)}"] if zips and whole else []
    head = [f"name = {_toml(results.name)}"]
    head += [f"source = {_toml(results.sweep['source'])}"] if results.sweep.get("source") else []
    if not whole:
        told = f"by [sweep] {', '.join(drawn)}" if drawn else "in a way that lists do not give"
        head.insert(0, f"# These values were chosen {told}; runs.parquet has those of each run.")
    parts = ["\n".join(head)]
    parts += [f"[{_key(section)}]\n" + "\n".join(lines) for section, lines in sections.items()]
    parts += [_figure(table) for table in record.get("figures", [])]
    text = "\n\n".join(parts) + "\n"
    if len(text) > _LONGEST:
        return SweepText(text[:_LONGEST] + "\n# and so on: more than a page can show\n", False)
    return SweepText(text, whole)


def _warm(record: Any, folder: Any) -> Any:
    """Return what the file said of given weights: a folder, or a table of more."""
    asked = record if isinstance(record, dict) else {}
    more = {key: asked[key] for key in ("where", "step") if asked.get(key) not in (None, {})}
    return {"from": folder, **more} if more else folder


def _axes(stored: Any, varying: list[str]) -> list[tuple[str, ...]]:
    """Return the axes that the record names, as far as they vary, and what else does."""
    named = [
        tuple(key for key in axis if key in varying)
        for axis in (stored if isinstance(stored, list) else [])
        if isinstance(axis, list)
    ]
    found = [axis for axis in named if axis]
    rest = [key for key in varying if not any(key in axis for axis in found)]
    return [*found, *((key,) for key in rest)]


def _values(results: Results, key: str) -> list[Any]:
    return _distinct(results.store.runs_table([key])[key])


def _distinct(column: pa.ChunkedArray) -> list[Any]:
    return column.unique().to_pylist()


def _moving_together(results: Results, axis: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Return the combinations of settings that move together, in the order of the runs."""
    if len(axis) == 1:
        return [(value,) for value in _values(results, axis[0])]
    frame = results.store.runs_table(list(axis)).group_by(list(axis), use_threads=False)
    rows = frame.aggregate([]).to_pylist()
    return [tuple(row[key] for key in axis) for row in rows]


def _axis(name: str, values: list[Any], whole: bool) -> str:
    if whole:
        return f"{_key(name)} = {_toml(values)}"
    shown = [value for value in values if value is not None][:3]
    more = f", ... ({len(values)} values)" if len(values) > len(shown) else ""
    return f"# {_key(name)} = {', '.join(map(_toml, shown))}{more}"


def _seeds(seeds: list[Any]) -> str:
    found = sorted(each for each in seeds if each is not None)
    if found == list(range(len(found))):
        return str(len(found))
    more = "" if len(found) <= _MOST_VALUES else f" # and {len(found) - _MOST_VALUES} more"
    return _toml(found[:_MOST_VALUES]) + more


def _figure(table: Mapping[str, Any]) -> str:
    """Return a figure's table with what differs from what it is by default."""
    kind = table.get("kind")
    found = FIGURES[kind] if isinstance(kind, str) and kind in FIGURES else None
    fields = found.settings.model_fields if found else {}

    def lines() -> Iterator[str]:
        for key, value in table.items():
            default = fields[key].get_default(call_default_factory=True) if key in fields else None
            listed = list(default) if isinstance(default, tuple) else default
            if key == "kind" or (value is not None and value != listed):
                yield f"{_key(key)} = {_toml(value)}"

    return "[[figure]]\n" + "\n".join(lines())


def _key(name: str) -> str:
    return name if name and set(name) <= _PLAIN else json.dumps(name, ensure_ascii=True)


def _toml(value: Any, depth: int = 0) -> str:
    """Return a value as TOML; control characters are escaped."""
    if depth > _DEEPEST:
        return '"…"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for what is no character on its own.
        plain = all(c.isprintable() for c in value)
        return json.dumps(value, ensure_ascii=not plain)
    if isinstance(value, int | np.integer):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(each, depth + 1) for each in value) + "]"
    if isinstance(value, Mapping):
        return (
            "{ "
            + ", ".join(f"{_key(str(k))} = {_toml(v, depth + 1)}" for k, v in value.items())
            + " }"
        )
    return json.dumps(str(value))
