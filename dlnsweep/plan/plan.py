"""A sweep's runs with their ids, and the batches in which they are computed. No JAX.

Runs are grouped by what must be compiled (static settings), and each group is cut into batches,
both by the settings alone, never by the machine.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnsweep.contracts.network import network_of
from dlnsweep.plan.cost import RunCost, cost_of, worth_padding
from dlnsweep.settings.base import Settings, description
from dlnsweep.spec.sweep import Sweep
from dlnsweep.theory import prescription
from dlnsweep.version import NUMERICS_VERSION

# Settings that are no column of the run table: they are lists or tables, the same for all runs.
_NOT_COLUMNS = (
    "record.observables",
    "record.steps",
    "record.noise_levels",
    "training.stop_when",
)

_DEFAULT_KINDS = {"problem.kind": "subspace", "network.kind": "deep_linear"}

# A batch is what a crash can lose and what progress is made of. A sweep is cut into enough batches
# to keep several cores busy to the end, each of this much work by the estimate, and of at most
# so many runs and bytes that its records stay small beside a machine's memory.
_WANTED_BATCHES = 16
_BATCH_SECONDS = (2.0, 60.0)
# A folder of more files is slow to list and to read, and an object store asks a price for each: a
# sweep of more work than this many batches of a minute has longer ones.
_MOST_BATCHES = 4000
_LEAST_REDUCED_SECONDS = 10.0
# Runs that share an operator share its reading, however long they take; more at a time gain less
# (`layout.sharing_layout`) and leave fewer batches to spread.
_LEAST_SHARING = 4
_MOST_LANES = 4096
_BATCH_RECORD_BYTES = 256 * 1024**2
_HASHED_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Batch:
    """Runs that are compiled and executed together.

    Attributes:
        number: Its number, which names its files.
        runs: Rows of the run table, in the order of the lanes.
        padded_width: The width of its arrays; narrower networks are padded with zeros.
    """

    number: int
    runs: np.ndarray
    padded_width: int


@dataclass(frozen=True)
class Plan:
    """All runs of a sweep.

    Attributes:
        sweep: The sweep.
        run_ids: One int64 a run, all different.
        settings: A column for each setting, in file order, and "seed".
        programs: For each run, the number of the program that trains it.
        program_widths: The width of each program's arrays.
    """

    sweep: Sweep
    run_ids: np.ndarray
    settings: dict[str, np.ndarray]
    programs: np.ndarray
    program_widths: tuple[int, ...]

    @property
    def num_runs(self) -> int:
        """Number of runs, each counted once."""
        return len(self.run_ids)

    @property
    def num_programs(self) -> int:
        """Number of programs to compile."""
        return len(self.program_widths)

    @property
    def shared(self) -> dict[str, Any]:
        """The settings that are no column: the same for all runs, as JSON can hold them."""
        return {key: _plain(self.sweep.values[key][0]) for key in _NOT_COLUMNS}

    def row(self, index: int) -> dict[str, Any]:
        """Return the settings of one run, dotted, with those that are no column."""
        return _row(self.sweep, self.settings, index)

    def cost(self, index: int) -> RunCost:
        """Return the estimated cost of one run in its program."""
        return cost_of(self.row(index), self.program_widths[self.programs[index]])


def make_plan(sweep: Sweep) -> Plan:
    """Expand a sweep into its runs."""
    expansion = _expand(sweep)
    _prescribe(expansion)
    _blank_unused(sweep, expansion)
    ids = _run_ids(sweep, expansion)
    unique, first = np.unique(ids, return_index=True)
    if len(unique) < len(ids):
        # Crossing optimizers with a hyperparameter that some do not use repeats runs.
        keep = np.sort(first)
        ids = ids[keep]
        expansion = {key: setting.take(keep) for key, setting in expansion.items()}
    columns = {key: setting.column(len(ids)) for key, setting in expansion.items()}
    programs, widths = _group(sweep, expansion, columns)
    return Plan(sweep, ids, columns, programs, widths)


@dataclass(frozen=True)
class _Setting:
    """One setting of all runs: its distinct values, and which of them each run has.

    Attributes:
        values: The values.
        texts: The canonical text of each value, which is hashed.
        index: For each run the place of its value; None where all runs have the first.
    """

    values: np.ndarray
    texts: tuple[str, ...]
    index: np.ndarray | None

    def take(self, rows: np.ndarray) -> _Setting:
        index = None if self.index is None else self.index[rows]
        return _Setting(self.values, self.texts, index)

    def column(self, total: int) -> np.ndarray:
        # A view of one element takes no memory, however many runs share it.
        shared = self.index is None
        return np.broadcast_to(self.values[:1], total) if shared else self.values[self.index]


def _expand(sweep: Sweep) -> dict[str, _Setting]:
    """Cross the axes: the first setting of the file changes slowest, the seed fastest."""
    lengths = (*sweep.axis_lengths, len(sweep.seeds))
    total = math.prod(lengths)
    place = {key: i for i, group in enumerate(sweep.axes) for key in group}
    place["seed"] = len(sweep.axes)

    def index(key: str) -> np.ndarray | None:
        if key not in place or lengths[place[key]] == 1:
            return None
        inner = math.prod(lengths[place[key] + 1 :])
        once = np.repeat(np.arange(lengths[place[key]], dtype=np.int32), inner)
        return np.tile(once, total // len(once))

    settings = {
        key: _Setting(_array(values), tuple(json.dumps(_plain(v)) for v in values), index(key))
        for key, values in sweep.values.items()
        if key not in _NOT_COLUMNS
    }
    seeds = np.asarray(sweep.seeds, dtype=np.int64)
    settings["seed"] = _Setting(seeds, tuple(map(str, seeds.tolist())), index("seed"))
    return settings


def _array(values: Sequence[Any]) -> np.ndarray:
    for kind, dtype in ((bool, np.bool_), (int, np.int64), (float, np.float64)):
        if isinstance(values[0], kind):
            return np.array(values, dtype=dtype)
    return np.array(values, dtype=object)


def _prescribe(settings: dict[str, _Setting]) -> None:
    """Set what a prescription leaves open, and keep how it was found out of the runs' identity."""
    how, gamma = (settings[key] for key in prescription.HOW)
    settings[prescription.HOW[0]] = _Setting(how.values, ("null",), None)
    if how.values[0] == "none":
        settings[prescription.HOW[1]] = _Setting(np.array([np.nan]), ("null",), None)
        return
    settings[prescription.HOW[1]] = _Setting(
        gamma.values, ("null",) * len(gamma.values), gamma.index
    )
    reads = [settings[key] for key in prescription.READS]
    total = max((len(each.index) for each in reads if each.index is not None), default=1)
    places = np.stack([_index(each, total) for each in reads])
    distinct, index = np.unique(places, axis=1, return_inverse=True)
    found = [
        prescription.theorem_2_3(
            *(_scalar(s.values[i]) for s, i in zip(reads, column, strict=True))
        )
        for column in distinct.T
    ]
    for key, values in zip(prescription.SETS, zip(*found, strict=True), strict=True):
        texts = tuple(map(json.dumps, values))
        settings[key] = _Setting(_array(values), texts, index.ravel() if total > 1 else None)


def _index(setting: _Setting, total: int) -> np.ndarray:
    return np.zeros(total, dtype=np.int32) if setting.index is None else setting.index


def _blank_unused(sweep: Sweep, settings: dict[str, _Setting]) -> None:
    """Blank settings in the runs whose choice does not use them: NaN, and "" for a string."""
    for section, own in sweep.classes.items():
        for key, use in own.used_by.items():
            chooser = settings[f"{section}.{use.chooser}"]
            used = np.isin(chooser.values.astype(str), use.choices)
            dotted = f"{section}.{key}"
            settings[dotted] = _blanked(settings[dotted], chooser, used)


def _blanked(setting: _Setting, chooser: _Setting, used: np.ndarray) -> _Setting:
    """Return a setting, blank where the chooser's value is none of those that are `used`."""
    text = isinstance(setting.values[0], str)
    blank = np.array([""], dtype=object) if text else np.array([np.nan])
    if chooser.index is None:
        return setting if used[0] else _Setting(blank, ("null",), None)
    own = 0 if setting.index is None else setting.index
    index = np.where(used[chooser.index], own, np.int32(len(setting.values)))
    values = np.concatenate([setting.values, blank])
    return _Setting(values, (*setting.texts, "null"), index)


def _run_ids(sweep: Sweep, settings: Mapping[str, _Setting]) -> np.ndarray:
    """Hash each run's settings into an int64.

    The text that is hashed holds every setting that differs from its default, the seed and the
    numerics version: so a later version can add a setting, with a default that keeps what was
    done before, and old results keep their ids. Changing a default raises the numerics version.
    """
    constant = {"numerics_version": str(NUMERICS_VERSION)}
    for key in _NOT_COLUMNS:
        text = json.dumps(_plain(sweep.values[key][0]))
        if text != _default_text(sweep, key):
            constant[key] = text
    head = "".join(f"{key}={constant[key]}\n" for key in sorted(constant))
    varying: list[tuple[list[str], np.ndarray]] = []
    for key, setting in sorted(settings.items(), key=lambda item: item[0]):
        default = _default_text(sweep, key)
        # "null" is a hyperparameter that the run does not use: it says nothing of the run.
        silent = (default, "null")
        lines = ["" if text in silent else f"{key}={text}\n" for text in setting.texts]
        if setting.index is not None:
            varying.append((lines, setting.index))
        elif varying:
            last, index = varying[-1]
            varying[-1] = ([line + lines[0] for line in last], index)
        else:
            head += lines[0]
    base = hashlib.blake2b(head.encode(), digest_size=8)
    total = max((len(index) for _, index in varying), default=1)
    return np.concatenate(
        [
            _hashes(base, [(lines, index[i : i + _HASHED_AT_ONCE]) for lines, index in varying])
            for i in range(0, total, _HASHED_AT_ONCE)
        ]
    )


def _hashes(base: Any, varying: Sequence[tuple[list[str], np.ndarray]]) -> np.ndarray:
    """Return the hash of some runs: of what `base` has taken in, and of a line each setting."""
    columns = [map(lines.__getitem__, index.tolist()) for lines, index in varying]
    digests = []
    for fields in zip(*columns, strict=True) if columns else [()]:
        digest = base.copy()
        digest.update("".join(fields).encode())
        digests.append(digest.digest())
    # 63 bits: a positive number is easier to read, and to paste into a query.
    return (np.frombuffer(b"".join(digests), dtype=">u8") >> np.uint64(1)).astype(np.int64)


def _default_text(sweep: Sweep, dotted: str) -> str | None:
    if dotted in _DEFAULT_KINDS:
        # The default of every kind's own class, but only one can go without saying.
        return json.dumps(_DEFAULT_KINDS[dotted])
    section, _, key = dotted.partition(".")
    settings = sweep.classes.get(section)
    field = settings.model_fields.get(key) if settings else None
    if field is None or field.is_required():
        return None
    return json.dumps(_plain(field.get_default(call_default_factory=True)))


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, Settings) else value


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _group(
    sweep: Sweep, settings: Mapping[str, _Setting], columns: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Give every run the number of its program, and every program its padded width."""
    total = len(columns["seed"])
    codes = np.zeros(total, dtype=np.int64)
    for key, setting in settings.items():
        apart = key not in ("seed", "network.width") and _is_static(sweep, key)
        if apart and setting.index is not None:
            pairs = codes * len(setting.values) + _size_classes(sweep, key, setting)[setting.index]
            codes = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
    programs = np.empty(total, dtype=np.int64)
    widths: list[int] = []
    for rows in _parts(codes):
        for alike in _parts(_run_classes(sweep, columns, rows)):
            for bound, chosen in _pad(sweep, columns, rows[alike]):
                programs[chosen] = len(widths)
                widths.append(bound)
    return programs, tuple(widths)


def _run_classes(sweep: Sweep, columns: Mapping[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Return a number for each of some runs with the same static settings; see `NetworkKind`."""
    row, own = _row(sweep, columns, int(rows[0])), {k: v[rows] for k, v in columns.items()}
    return np.broadcast_to(network_of(row).run_class(row, own), len(rows)).astype(np.int64)


def _size_classes(sweep: Sweep, key: str, setting: _Setting) -> np.ndarray:
    """Return for each value of a static setting the number of its class; see `NetworkKind`."""
    kinds = {key: sweep.values[key][0] for key in _DEFAULT_KINDS}
    network = network_of(kinds)
    classes = [network.size_class(key, _scalar(value), sweep.values) for value in setting.values]
    numbers = {each: i for i, each in enumerate(dict.fromkeys(classes))}
    return np.array([numbers[each] for each in classes])


def _parts(*keys: np.ndarray) -> list[np.ndarray]:
    """Return the places of equal keys, by ascending first, second, ... key; each ascending."""
    order = np.lexsort(keys[::-1])
    changes = np.any([np.diff(key[order]) != 0 for key in keys], axis=0)
    return np.split(order, np.flatnonzero(changes) + 1)


def _is_static(sweep: Sweep, dotted: str) -> bool:
    section, _, key = dotted.partition(".")
    info = description(sweep.classes[section], key)
    return info is None or info.role == "static"


def _pad(
    sweep: Sweep, columns: Mapping[str, np.ndarray], rows: np.ndarray
) -> list[tuple[int, np.ndarray]]:
    """Group the widths of one program's runs: neighbours share arrays where that pays."""
    width = columns["network.width"][rows]
    distinct, counts = np.unique(width, return_counts=True)
    row = _row(sweep, columns, int(rows[0]))
    if len(distinct) == 1 or network_of(row).width_is_free(row):
        return [(int(distinct[-1]), rows)]
    bounds = worth_padding(row, distinct.tolist(), counts.tolist())
    edges = np.searchsorted(bounds, width)
    return [(bound, rows[edges == i]) for i, bound in enumerate(bounds)]


def _row(sweep: Sweep, columns: Mapping[str, np.ndarray], index: int) -> dict[str, Any]:
    row = {key: _scalar(column[index]) for key, column in columns.items()}
    return row | {key: _plain(sweep.values[key][0]) for key in _NOT_COLUMNS}


def make_batches(plan: Plan, rows: np.ndarray, first_number: int = 0) -> list[Batch]:
    """Cut some of a plan's runs into batches.

    Args:
        plan: The plan.
        rows: Rows of the run table that have no batch yet.
        first_number: The number of the first new batch.
    """
    if not len(rows):
        return []
    # Runs of a batch share their program and their record steps.
    parts = _parts(plan.programs[rows], plan.settings["training.num_steps"][rows])
    groups = [(rows[part], plan.cost(int(rows[part[0]]))) for part in parts]
    work = sum(len(group) * cost.seconds for group, cost in groups)
    wanted = float(np.clip(work / _WANTED_BATCHES, *_BATCH_SECONDS))
    wanted = max(wanted, work / _MOST_BATCHES)
    batches: list[Batch] = []
    for group, cost in groups:
        width = plan.program_widths[plan.programs[group[0]]]
        # Every batch of reduced runs may need a program of its own, for the sizes that it finds.
        seconds = max(wanted, _LEAST_REDUCED_SECONDS) if cost.reduced else wanted
        # Runs that share what their seed draws have batches of their own seed.
        for part in _parts(plan.settings["seed"][group] * cost.shares):
            pieces = -(-len(part) // _most_lanes(cost, seconds))
            for piece in np.array_split(group[part], pieces):
                batches.append(Batch(first_number + len(batches), piece, width))
    return batches


def _most_lanes(cost: RunCost, seconds: float) -> int:
    by_time = max(int(seconds / max(cost.seconds, 1e-9)), _LEAST_SHARING if cost.shares else 1)
    by_records = _BATCH_RECORD_BYTES // max(1, cost.record_bytes)
    return max(1, min(_MOST_LANES, by_time, by_records))
