"""The settings of all runs of a sweep: its axes crossed, prescribed, blanked where unused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnsweep.contracts.network import REDUCED_INPUTS, find_network
from dlnsweep.contracts.on_span import AUTO_KNOWS
from dlnsweep.settings.base import Settings
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.spec.space import Derived
from dlnsweep.spec.sweep import Sweep
from dlnsweep.theory import prescription

# Settings that are no column of the run table: they are lists or tables, the same for all runs.
NOT_COLUMNS = (
    "record.observables",
    "record.steps",
    "record.noise_levels",
    "record.weights",
    "training.stop_when",
)


@dataclass(frozen=True)
class Setting:
    """One setting of all runs: its distinct values, and which of them each run has.

    Attributes:
        values: The values.
        texts: The canonical text of each value, which is hashed.
        index: For each run the place of its value; None where all runs have the first.
    """

    values: np.ndarray
    texts: tuple[str, ...]
    index: np.ndarray | None

    def take(self, rows: np.ndarray) -> Setting:
        """Return the setting of some of the runs."""
        index = None if self.index is None else self.index[rows]
        return Setting(self.values, self.texts, index)

    def column(self, total: int) -> np.ndarray:
        """Return the value of each of `total` runs."""
        # A view of one element takes no memory, however many runs share it.
        shared = self.index is None
        return np.broadcast_to(self.values[:1], total) if shared else self.values[self.index]


def expand(sweep: Sweep) -> dict[str, Setting]:
    """Cross the axes: the first setting of the file changes slowest, the seed fastest."""
    lengths = (*sweep.axis_lengths, len(sweep.seeds))
    total = math.prod(lengths)
    place = {key: i for i, group in enumerate(sweep.axes) for key in group}
    place["seed"] = len(sweep.axes)

    def index(key: str) -> np.ndarray | None:
        if key in sweep.derived:
            return _index_of(sweep.derived[key], place, lengths)
        if key not in place or lengths[place[key]] == 1:
            return None
        inner = math.prod(lengths[place[key] + 1 :])
        once = np.repeat(np.arange(lengths[place[key]], dtype=np.int32), inner)
        return np.tile(once, total // len(once))

    settings = {
        key: Setting(_array(values), tuple(json.dumps(plain_value(v)) for v in values), index(key))
        for key, values in sweep.values.items()
        if key not in NOT_COLUMNS
    }
    seeds = np.asarray(sweep.seeds, dtype=np.int64)
    settings["seed"] = Setting(seeds, tuple(map(str, seeds.tolist())), index("seed"))
    return settings


def _index_of(
    derived: Derived, place: Mapping[str, int], lengths: Sequence[int]
) -> np.ndarray | None:
    """Return for each run the place of a computed setting's value."""
    numbers = [place[key] for key in derived.axes]
    if not numbers:
        return None
    shape = [lengths[i] if i in numbers else 1 for i in range(len(lengths))]
    places = np.asarray(derived.places, dtype=np.int32).reshape(shape)
    return np.broadcast_to(places, lengths).ravel()


def _array(values: Sequence[Any]) -> np.ndarray:
    for kind, dtype in ((bool, np.bool_), (int, np.int64), (float, np.float64)):
        if isinstance(values[0], kind):
            return np.array(values, dtype=dtype)
    return np.array(values, dtype=object)


def prescribe(settings: dict[str, Setting]) -> None:
    """Set what a prescription leaves open, and keep how it was found out of the runs' identity."""
    how, gamma = (settings[key] for key in prescription.HOW)
    settings[prescription.HOW[0]] = Setting(how.values, ("null",), None)
    if how.values[0] == "none":
        settings[prescription.HOW[1]] = Setting(np.array([np.nan]), ("null",), None)
        return
    settings[prescription.HOW[1]] = Setting(
        gamma.values, ("null",) * len(gamma.values), gamma.index
    )
    reads = [settings[key] for key in prescription.READS]
    total = max((len(each.index) for each in reads if each.index is not None), default=1)
    places = np.stack([_index(each, total) for each in reads])
    distinct, index = np.unique(places, axis=1, return_inverse=True)
    found = [
        prescription.theorem_2_3(*(scalar(s.values[i]) for s, i in zip(reads, column, strict=True)))
        for column in distinct.T
    ]
    for key, values in zip(prescription.SETS, zip(*found, strict=True), strict=True):
        texts = tuple(map(json.dumps, values))
        settings[key] = Setting(_array(values), texts, index.ravel() if total > 1 else None)


def _index(setting: Setting, total: int) -> np.ndarray:
    return np.zeros(total, dtype=np.int32) if setting.index is None else setting.index


def blank_unused(sweep: Sweep, settings: dict[str, Setting]) -> None:
    """Blank settings in the runs whose choice does not use them.

    With NaN; strings with "", truth values with None.
    """
    for section, own in sweep.classes.items():
        for key, use in own.used_by.items():
            chooser = settings[f"{section}.{use.chooser}"]
            used = np.isin(chooser.values.astype(str), use.choices)
            dotted = f"{section}.{key}"
            settings[dotted] = _blanked(settings[dotted], chooser, used)


def _blanked(setting: Setting, chooser: Setting, used: np.ndarray) -> Setting:
    """Return a setting, blank where the chooser's value is none of those that are `used`."""
    first = setting.values[0]
    if isinstance(first, str):
        blank = np.array([""], dtype=object)
    else:
        # Beside NaN true and false would become numbers.
        blank = np.array([None if isinstance(first, bool | np.bool_) else np.nan])
    if chooser.index is None:
        return setting if used[0] else Setting(blank, ("null",), None)
    own = 0 if setting.index is None else setting.index
    index = np.where(used[chooser.index], own, np.int32(len(setting.values)))
    values = np.concatenate([setting.values, blank])
    return Setting(values, (*setting.texts, "null"), index)


def plain_value(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    return value.model_dump() if isinstance(value, Settings) else value


def scalar(value: Any) -> Any:
    """Return a number of NumPy's as one of Python's."""
    return value.item() if isinstance(value, np.generic) else value


def row_of(sweep: Sweep, columns: Mapping[str, np.ndarray], index: int) -> RunSettings:
    """Return the settings of one run, with those that are no column."""
    return RunSettings.at(columns, index, shared_of(sweep))


def shared_of(sweep: Sweep) -> dict[str, Any]:
    """Return what is no column, as JSON can hold it: some settings, and what "auto" knows."""
    shared = {key: plain_value(sweep.values[key][0]) for key in NOT_COLUMNS}
    problem, kind, kernel = (
        sweep.values[key][0] for key in ("problem.kind", "network.kind", "sweep.kernel")
    )
    if kernel == "auto" and find_network(problem, kind).on_span:
        shared[AUTO_KNOWS] = [REDUCED_INPUTS]
    return shared
