"""In what two sweeps differ, each given as a sweep file or as a results folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dlnsweep.contracts.keys import setting_classes
from dlnsweep.contracts.on_span import as_given
from dlnsweep.execution.preparing import stored_plan
from dlnsweep.execution.warm_start import plan_of
from dlnsweep.settings.sentences import printable
from dlnsweep.spec.gallery import is_name
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store
from dlnsweep.store.records import settings_table
from dlnsweep.store.stored_plan import is_setting, listed, values_of

_LONGEST = 300
# What else two sweeps ask for: of [sweep], and of code that is not ours.
_RECORDS = ("refine", "until", "warm_start", "code_versions")


@dataclass(frozen=True)
class Side:
    """One of two sweeps.

    Attributes:
        name: The file or folder.
        run_ids: The ids of its runs.
        settings: One column a setting.
        record: The rest of the resolved sweep, as in `sweep.json`.
        facts: Its numerics version.
        origin: Versions and CPU; empty for a file, which has none.
    """

    name: str
    run_ids: np.ndarray
    settings: pa.Table
    record: Mapping[str, Any]
    facts: Mapping[str, Any]
    origin: Mapping[str, str]


@dataclass(frozen=True)
class Difference:
    """What one thing is in one sweep and in the other, each as text."""

    what: str
    left: str
    right: str


def side(place: str) -> Side:
    """Return a sweep file, or the sweep of a results folder, to be compared.

    Raises:
        SpecError: If it is a file, or of the gallery, and wrong.
        StoreError: If it is a folder, and not that of a sweep.
    """
    if "://" not in place and (is_name(Path(place)) or not Path(place).is_dir()):
        return _of_file(Path(place))
    store = Store.open(place)
    found = store.sweep
    names = [name for name in store.settings if is_setting(name)]
    environment = found.get("environment")
    environment = environment if isinstance(environment, dict) else {}
    versions = environment.get("versions")
    versions = versions if isinstance(versions, dict) else {}
    origin = {str(name): printable(str(value), _LONGEST) for name, value in versions.items()}
    if "cpu" in environment:
        origin["cpu"] = printable(str(environment["cpu"]), _LONGEST)
    facts = {name: found.get(name) for name in ("numerics_version",)}
    table = store.runs_table(names)
    return Side(place, store.known_run_ids(), table, found["sweep"], facts, origin)


def _of_file(path: Path) -> Side:
    plan = plan_of(Sweep.from_file(path))
    stored = stored_plan(plan, np.arange(plan.num_runs), [])
    facts = {
        "numerics_version": stored.numerics_version,
    }
    # As JSON gives it back, in which a tuple is a list.
    record = json.loads(json.dumps(stored.record))
    return Side(str(path), stored.run_ids, settings_table(stored.settings), record, facts, {})


def in_both(left: Side, right: Side) -> int:
    """Return how many runs are the same in both."""
    return int(np.isin(left.run_ids, right.run_ids).sum())


def differences(left: Side, right: Side) -> Iterator[Difference]:
    """Yield in what two sweeps differ; their names do not matter.

    First settings, then axes and the rest of [sweep] and [figure], then numerics; last versions
    and the kind of CPU where both have results.
    """
    common = in_both(left, right)
    if not common == len(left.run_ids) == len(right.run_ids):
        found = list(_settings(left, right))
        # The ids of all runs change with the numerics version.
        if not found and left.facts == right.facts:
            found = [Difference("combinations of the same values", *_only(left, right, common))]
        yield from found
    yield from _figures(left.record.get("figures"), right.record.get("figures"))
    for name in ("axes", *_RECORDS):
        yield from _if_other(name, left.record.get(name), right.record.get(name))
    for name in left.facts:
        yield from _if_other(name.replace("_", " "), left.facts[name], right.facts[name])
    if left.origin and right.origin:
        for name in dict.fromkeys([*left.origin, *right.origin]):
            yield from _if_other(name, left.origin.get(name), right.origin.get(name))


def _settings(left: Side, right: Side) -> Iterator[Difference]:
    tables = left.settings, right.settings
    for name in dict.fromkeys(tables[0].column_names + tables[1].column_names):
        held = [values_of(table, name) for table in tables if name in table.column_names]
        if len(held) < len(tables):
            # A folder of an earlier version lacks what it did not know; its runs have the default.
            same = held[0] in ([None], [_default(name)])
        else:
            same = held[0] == held[1]
        if not same:
            yield Difference(name, *_apart(*(values_of(table, name) for table in tables)))
    shared = [as_given(side.record.get("shared", {})) for side in (left, right)]
    for name in dict.fromkeys([*shared[0], *shared[1]]):
        yield from _if_other(name, shared[0].get(name), shared[1].get(name))


def _default(name: str) -> Any:
    section, _, key = name.partition(".")
    for settings in setting_classes().get(section, ()):
        if key in settings.model_fields:
            return settings.model_fields[key].default
    return None


def _apart(one: list[Any], other: list[Any]) -> tuple[str, str]:
    """Return two lists of values so that their difference is seen, however long they are."""
    texts = _listed(one), _listed(other)
    if not any("..." in text for text in texts):
        return texts
    return _with_own(one, other), _with_own(other, one)


def _with_own(values: list[Any], others: list[Any]) -> str:
    if "..." not in (text := _listed(values)):
        return text
    own = [value for value in values if value not in others]
    return f"{len(values)} values" + (f", of which {_listed(own)} here alone" if own else "")


def _listed(values: list[Any]) -> str:
    text = listed(values)
    return printable(text[1:-1] if len(values) == 1 else text, _LONGEST)


def _figures(one: Any, other: Any) -> Iterator[Difference]:
    """Yield in which keys of which figures two sweeps differ."""
    one, other = one or [], other or []
    if len(one) != len(other):
        yield Difference("number of figures", str(len(one)), str(len(other)))
        return
    for place, (left, right) in enumerate(zip(one, other, strict=True)):
        # What an earlier version did not know is null in a later one's by default.
        for key in dict.fromkeys([*left, *right]):
            yield from _if_other(f"figure[{place}].{key}", left.get(key), right.get(key))


def _only(left: Side, right: Side, common: int) -> tuple[str, str]:
    counts = (len(side.run_ids) - common for side in (left, right))
    one, other = (f"{count} runs that are only here" for count in counts)
    return one, other


def _if_other(what: str, one: Any, other: Any) -> Iterator[Difference]:
    if one != other:
        yield Difference(printable(what, 100), _shown(one), _shown(other))


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return printable(value if isinstance(value, str) else json.dumps(value), _LONGEST)
