"""Which run of another sweep belongs to each run of a plan, by the settings that both have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dlnsweep.errors import SpecError
from dlnsweep.plan.plan import Plan
from dlnsweep.settings.sentences import did_you_mean, show
from dlnsweep.settings.warm_start import WARM_START
from dlnsweep.store.stored_plan import is_setting, listed, values_of

_KEY = WARM_START
_MOST_SHOWN = 3
LEAVE = f"or leave {_KEY} out to begin with drawn weights"
# What says nothing of how weights came about: when what was recorded, and what computed it.
_SILENT = ("record.", "sweep.")

Where = Mapping[str, tuple[Any, ...]]


class Matching:
    """The runs of a plan beside those of another folder.

    A run has the one there that has its seed and all its settings of [network], and, of whatever
    else varies there, its own value; `where` says of a setting which value there is meant instead.

    Args:
        plan: The plan.
        table: The runs of the other folder.
        where: Values, one each, of settings there.
        root: The other folder, for sentences.

    Raises:
        SpecError: If `where` selects no run there.
    """

    def __init__(self, plan: Plan, table: pa.Table, where: Where, root: Any) -> None:
        self._plan, self._root, self._where = plan, root, where
        names = [name for name in table.column_names if is_setting(name)]
        left = np.ones(table.num_rows, bool)
        for key, (value,) in where.items():
            left &= self._chosen(table, names, key, value)
        if not left.any():
            raise SpecError(
                f"{_KEY}.where selects no run of {root}; give values that meet in one of its runs."
            )
        self._rows = np.flatnonzero(left)
        self._table = table.take(pa.array(self._rows))
        self._there = {name: _texts(self._table[name].to_pylist()) for name in names}
        self._here = {
            key: _texts(column.tolist())
            for key, column in plan.settings.items()
            if key in names and key not in where and not key.startswith(_SILENT)
        }
        self._keys = [key for key in self._here if key == "seed" or key.startswith("network.")]
        self._keys += [
            key
            for key in self._here
            if key not in self._keys and len(set(self._there[key].tolist())) > 1
        ]

    @property
    def keys(self) -> tuple[str, ...]:
        """The settings, and the seed, by which a run has the one there."""
        return tuple(self._keys)

    def rows(self) -> np.ndarray:
        """Return for each run of the plan the row of the one there.

        Raises:
            SpecError: If a run has none, or several.
        """
        places: dict[tuple[str, ...], list[int]] = {}
        for place, values in enumerate(zip(*map(self._there.get, self._keys), strict=True)):
            places.setdefault(values, []).append(place)
        found = []
        for index, values in enumerate(zip(*map(self._here.get, self._keys), strict=True)):
            own = places.get(values, [])
            if not own:
                raise SpecError(self._why_none(index))
            if len(own) > 1:
                raise SpecError(self._why_several(index, own))
            found.append(own[0])
        self._found = np.array(found, np.int64)
        return self._rows[self._found]

    def differences(self) -> list[str]:
        """Return in which settings the runs differ from those there, after `rows`."""
        phrases = []
        for key, here in self._here.items():
            there = sorted(set(self._there[key][self._found].tolist()))
            own = sorted(set(here.tolist()))
            # What runs on one side do not use says nothing.
            if key not in self._keys and there != own and [""] not in (there, own):
                phrases.append(f"{key}, {_several(there)} there and {_several(own)} here")
        for key, (value,) in self._where.items():
            own = sorted(set(_texts(self._plan.settings.get(key, np.zeros(0)).tolist()).tolist()))
            if own and own != [_text(value)]:
                phrases.append(f"{key}, {_text(value)} there and {_several(own)} here")
        return phrases

    def _chosen(self, table: pa.Table, names: Sequence[str], key: str, value: Any) -> np.ndarray:
        if key not in names:
            raise SpecError(
                f"{_KEY}.where names {show(key)}, which is no setting of {self._root}"
                f"{did_you_mean(key, names)}"
            )
        same = _texts(table[key].to_pylist()) == _text(value)
        if not same.any():
            raise SpecError(
                f"{_KEY}.where asks for {key} = {show(value)}, of which {self._root} has no run; "
                f"its values there are {listed(values_of(table, key))}."
            )
        return same

    def _run(self, index: int) -> str:
        """Return how a run here is named: by what varies, and its seed."""
        row = self._plan.row(index)
        keys = [key for group in self._plan.sweep.axes for key in group]
        named = [f"{key} = {show(row[key])}" for key in [*keys, "seed"]]
        return f"the run with {', '.join(named)}"

    def _why_none(self, index: int) -> str:
        row = self._plan.row(index)
        wrong = [k for k in self._keys if self._here[k][index] not in set(self._there[k].tolist())]
        found = [
            f"{key} is {show(row[key])} here and {listed(values_of(self._table, key))} there"
            for key in wrong[:_MOST_SHOWN]
        ]
        why = "; ".join(found) or "each of its values is there, but in no run together"
        free = [key for key in wrong if not key.startswith("network.")]
        advice = "take a sweep of the same networks"
        if free and len(free) == len(wrong):
            advice = f"name the value to start from, {_KEY}.where = {{ {_quoted(free[0])} = ... }}"
        return (
            f"{_KEY}: {self._run(index)} has none to start from in {self._root}: {why}; {advice}, "
            f"{LEAVE}."
        )

    def _why_several(self, index: int, places: Sequence[int]) -> str:
        alike = self._table.take(pa.array(places))
        vary = [k for k, texts in self._there.items() if len(set(texts[places].tolist())) > 1]
        named = [f"{key} ({listed(values_of(alike, key))})" for key in vary[:_MOST_SHOWN]]
        which = _quoted(vary[0]) if vary else "a setting"
        return (
            f"{_KEY}: {self._run(index)} could start from {len(places)} runs of {self._root}, "
            f"which differ in {', '.join(named) or 'nothing that a table of runs tells'}; choose "
            f"one, {_KEY}.where = {{ {which} = ... }}."
        )


def _text(value: Any) -> str:
    """Return a value as a text that is equal where it is; of one that is not used, nothing."""
    if value is None or value == "" or value != value:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return str(int(value)) if value == int(value) else repr(float(value))
    return str(value)


def _texts(values: Sequence[Any]) -> np.ndarray:
    known = {value: _text(value) for value in dict.fromkeys(values)}
    return np.array([known[value] for value in values], object)


def _several(texts: Sequence[str]) -> str:
    shown = [text or "unset" for text in texts[:_MOST_SHOWN]]
    return " or ".join(shown) + (" or more" if len(texts) > _MOST_SHOWN else "")


def _quoted(key: str) -> str:
    return f'"{key}"' if "." in key else key
