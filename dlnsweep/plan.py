"""A sweep's runs with their ids, and the batches in which they are computed. No JAX.

Runs are grouped by what must be compiled apart (their static settings); each group is cut into
batches. Both depend on the settings alone, never on the machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnsweep.cost import RunCost, cost_of, worth_padding
from dlnsweep.sections import HYPERPARAMETERS, RecordSettings
from dlnsweep.settings import Settings
from dlnsweep.spec import Sweep, describe_setting
from dlnsweep.version import NUMERICS_VERSION

# Settings that are no column of the run table: they are lists or tables, the same for all runs.
_NOT_COLUMNS = ("record.observables", "record.steps", "training.stop_when")

# A batch is what a crash can lose and what progress is made of. A sweep is cut into enough batches
# to keep several cores busy to the end, each of this much work by the estimate, and of at most
# so many runs and bytes that its records stay small beside a machine's memory.
_WANTED_BATCHES = 16
_BATCH_SECONDS = (2.0, 60.0)
_MOST_LANES = 4096
_BATCH_RECORD_BYTES = 256 * 1024**2


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
        num_programs: Number of programs to compile.
    """

    sweep: Sweep
    run_ids: np.ndarray
    settings: dict[str, np.ndarray]
    programs: np.ndarray
    program_widths: tuple[int, ...]

    @property
    def num_runs(self) -> int:
        return len(self.run_ids)

    @property
    def num_programs(self) -> int:
        return len(self.program_widths)

    @property
    def shared(self) -> dict[str, Any]:
        """The settings that are no column: the same for all runs, as JSON can hold them."""
        return {key: _plain(self.sweep.values[key][0]) for key in _NOT_COLUMNS}

    def row(self, index: int) -> dict[str, Any]:
        """Return the settings of one run, dotted, with those that are no column."""
        row = {key: _scalar(column[index]) for key, column in self.settings.items()}
        return row | self.shared

    def cost(self, index: int) -> RunCost:
        """Return the estimated cost of one run in its program."""
        return cost_of(self.row(index), self.program_widths[self.programs[index]])


def make_plan(sweep: Sweep) -> Plan:
    """Expand a sweep into its runs."""
    columns, labels = _expand(sweep)
    _blank_unused(columns, labels)
    ids = _run_ids(sweep, columns, labels)
    unique, first = np.unique(ids, return_index=True)
    if len(unique) < len(ids):
        # Crossing optimizers with a hyperparameter that some do not use repeats runs.
        keep = np.sort(first)
        ids = ids[keep]
        columns = {key: column[keep] for key, column in columns.items()}
    programs, widths = _group(sweep, columns)
    return Plan(sweep, ids, columns, programs, widths)


def _expand(sweep: Sweep) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return each setting's column, and for each the canonical text of its entries."""
    lengths = (*sweep.axis_lengths, len(sweep.seeds))
    total = int(np.prod(lengths, dtype=np.int64))
    columns: dict[str, np.ndarray] = {}
    labels: dict[str, np.ndarray] = {}
    place = {key: i for i, group in enumerate(sweep.axes) for key in group}
    indices = np.unravel_index(np.arange(total), lengths)
    for key, values in sweep.values.items():
        if key in _NOT_COLUMNS:
            continue
        array = _column(values)
        texts = np.array([json.dumps(_plain(v)) for v in values], dtype=object)
        index = indices[place[key]] if key in place else np.zeros(total, np.int64)
        columns[key], labels[key] = array[index], texts[index]
    seeds = np.asarray(sweep.seeds, dtype=np.int64)
    columns["seed"] = seeds[indices[-1]]
    labels["seed"] = np.array([str(s) for s in seeds.tolist()], dtype=object)[indices[-1]]
    return columns, labels


def _column(values: Sequence[Any]) -> np.ndarray:
    first = values[0]
    if isinstance(first, bool):
        return np.array(values, dtype=bool)
    if isinstance(first, int):
        return np.array(values, dtype=np.int64)
    if isinstance(first, float):
        return np.array(values, dtype=np.float64)
    return np.array(values, dtype=object)


def _blank_unused(columns: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> None:
    """Set hyperparameters to NaN in the runs whose optimizer does not use them."""
    optimizer = columns["training.optimizer"]
    for key, users in HYPERPARAMETERS.items():
        unused = ~np.isin(optimizer.astype(str), users)
        dotted = f"training.{key}"
        columns[dotted] = np.where(unused, np.nan, columns[dotted])
        labels[dotted] = np.where(unused, "null", labels[dotted])


def _run_ids(
    sweep: Sweep, columns: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Hash each run's settings into an int64.

    The text that is hashed holds every setting that differs from its default, the seed and the
    numerics version: so a later version can add a setting, with a default that keeps what was
    done before, and old results keep their ids. Changing a default raises the numerics version.
    """
    parts: list[tuple[str, np.ndarray]] = []
    constant = {"numerics_version": str(NUMERICS_VERSION)}
    for key in _NOT_COLUMNS:
        text = json.dumps(_plain(sweep.values[key][0]))
        if text != _default_text(key):
            constant[key] = text
    for key, texts in labels.items():
        default = _default_text(key)
        if all(t == default for t in texts[:1]) and np.all(texts == default):
            continue
        parts.append((key, np.where(texts == default, "", f"{key}=" + texts + "\n")))
    head = "".join(f"{key}={constant[key]}\n" for key in sorted(constant))
    lines = [texts.tolist() for _, texts in sorted(parts)]
    ids = np.empty(len(labels["seed"]), dtype=np.int64)
    base = hashlib.blake2b(head.encode(), digest_size=8)
    for i, fields in enumerate(zip(*lines, strict=True)):
        digest = base.copy()
        digest.update("".join(fields).encode())
        # 63 bits: a positive number is easier to read, and to paste into a query.
        ids[i] = int.from_bytes(digest.digest(), "big") >> 1
    return ids


def _default_text(dotted: str) -> str | None:
    from dlnsweep.spec import setting_classes

    section, _, key = dotted.partition(".")
    for settings in setting_classes().get(section, ()):
        field = settings.model_fields.get(key)
        if field is not None and not field.is_required():
            return json.dumps(_plain(field.get_default(call_default_factory=True)))
    return None


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, Settings) else value


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _group(
    sweep: Sweep, columns: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Give every run the number of its program, and every program its padded width."""
    static = [
        key
        for key in columns
        if key not in ("seed", "network.width") and _is_static(key) and len(sweep.values[key]) > 1
    ]
    total = len(columns["seed"])
    codes = np.zeros(total, dtype=np.int64)
    for key in static:
        _, inverse = np.unique(columns[key].astype(str), return_inverse=True)
        codes = codes * (int(inverse.max()) + 1) + inverse
    _, codes = np.unique(codes, return_inverse=True)
    programs = np.empty(total, dtype=np.int64)
    widths: list[int] = []
    for code in range(int(codes.max()) + 1):
        rows = np.flatnonzero(codes == code)
        for bound, chosen in _pad(sweep, columns, rows):
            programs[chosen] = len(widths)
            widths.append(bound)
    return programs, tuple(widths)


def _is_static(dotted: str) -> bool:
    info = describe_setting(dotted)
    return info is None or info.role == "static"


def _pad(
    sweep: Sweep, columns: Mapping[str, np.ndarray], rows: np.ndarray
) -> list[tuple[int, np.ndarray]]:
    """Group the widths of one program's runs: neighbours share arrays where that pays."""
    width = columns["network.width"][rows]
    distinct = np.unique(width)
    if len(distinct) == 1:
        return [(int(distinct[0]), rows)]
    plan = Plan(sweep, np.zeros(0, np.int64), dict(columns), np.zeros(0, np.int64), ())
    counts = [int(np.sum(width == w)) for w in distinct]
    row = plan.row(int(rows[0]))
    bounds = worth_padding(row, [int(w) for w in distinct], counts)
    edges = np.searchsorted(bounds, width)
    return [(bound, rows[edges == i]) for i, bound in enumerate(bounds)]


def make_batches(plan: Plan, rows: np.ndarray, first_number: int = 0) -> list[Batch]:
    """Cut some of a plan's runs into batches.

    Args:
        plan: The plan.
        rows: Rows of the run table that have no batch yet.
        first_number: The number of the first new batch.
    """
    groups: list[tuple[int, np.ndarray, RunCost]] = []
    steps = plan.settings["training.num_steps"]
    for program in range(plan.num_programs):
        mine = rows[plan.programs[rows] == program]
        for count in np.unique(steps[mine]):
            # Runs of a batch share their record steps.
            group = mine[steps[mine] == count]
            groups.append((plan.program_widths[program], group, plan.cost(int(group[0]))))
    work = sum(len(group) * cost.seconds for _, group, cost in groups)
    seconds = float(np.clip(work / _WANTED_BATCHES, *_BATCH_SECONDS))
    batches: list[Batch] = []
    for width, group, cost in groups:
        pieces = -(-len(group) // _most_lanes(cost, seconds))
        for piece in np.array_split(group, pieces):
            batches.append(Batch(first_number + len(batches), piece, width))
    return batches


def _most_lanes(cost: RunCost, seconds: float) -> int:
    by_time = int(seconds / max(cost.seconds, 1e-9))
    by_records = _BATCH_RECORD_BYTES // max(1, cost.record_bytes)
    return max(1, min(_MOST_LANES, by_time, by_records))


def record_settings(row: Mapping[str, Any]) -> RecordSettings:
    """Return the [record] settings of a run's row."""
    fields = {k.partition(".")[2]: v for k, v in row.items() if k.startswith("record.")}
    return RecordSettings.model_validate(fields)
