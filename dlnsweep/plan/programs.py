"""Which runs share a program, by what must be compiled, and how wide its arrays are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dlnsweep.contracts.network import network_of, program_class
from dlnsweep.plan.cost import worth_padding
from dlnsweep.plan.expansion import Setting, row_of, scalar
from dlnsweep.plan.run_ids import DEFAULT_KINDS
from dlnsweep.settings.base import description, is_traced
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.spec.sweep import Sweep


def group_programs(
    sweep: Sweep, settings: Mapping[str, Setting], columns: Mapping[str, np.ndarray]
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
    for rows in parts_of(codes):
        for alike in parts_of(_run_classes(sweep, columns, rows)):
            for bound, chosen in _pad(sweep, columns, rows[alike]):
                programs[chosen] = len(widths)
                widths.append(bound)
    return programs, tuple(widths)


def _run_classes(sweep: Sweep, columns: Mapping[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Return a number for each of some runs with the same static settings; see `NetworkKind`."""
    row, own = row_of(sweep, columns, int(rows[0])), {k: v[rows] for k, v in columns.items()}
    return np.broadcast_to(program_class(row, own), len(rows)).astype(np.int64)


def _size_classes(sweep: Sweep, key: str, setting: Setting) -> np.ndarray:
    """Return for each value of a static setting the number of its class; see `NetworkKind`."""
    kinds = RunSettings({key: sweep.values[key][0] for key in DEFAULT_KINDS})
    network = network_of(kinds)
    classes = [network.size_class(key, scalar(value), sweep.values) for value in setting.values]
    numbers = {each: i for i, each in enumerate(dict.fromkeys(classes))}
    return np.array([numbers[each] for each in classes])


def _is_static(sweep: Sweep, dotted: str) -> bool:
    # Runs of a batch have one number of steps, which no program knows.
    if dotted == "training.num_steps":
        return False
    section, _, key = dotted.partition(".")
    info = description(sweep.classes[section], key)
    outside = info is not None and info.role == "outside"
    # What says that it is traced, but is no number, programs have as a constant.
    return not outside and not is_traced(sweep.classes[section], key)


def _pad(
    sweep: Sweep, columns: Mapping[str, np.ndarray], rows: np.ndarray
) -> list[tuple[int, np.ndarray]]:
    """Group the widths of one program's runs: neighbours share arrays where that pays.

    A network without a width has arrays of one size, called 1.
    """
    if "network.width" not in columns:
        return [(1, rows)]
    width = columns["network.width"][rows]
    distinct, counts = np.unique(width, return_counts=True)
    row = row_of(sweep, columns, int(rows[0]))
    if len(distinct) == 1 or network_of(row).width_is_free(row):
        return [(int(distinct[-1]), rows)]
    bounds = worth_padding(row, distinct.tolist(), counts.tolist())
    edges = np.searchsorted(bounds, width)
    return [(bound, rows[edges == i]) for i, bound in enumerate(bounds)]


def parts_of(*keys: np.ndarray) -> list[np.ndarray]:
    """Return the places of equal keys, by ascending first, second, ... key; each ascending."""
    order = np.lexsort(keys[::-1])
    changes = np.any([np.diff(key[order]) != 0 for key in keys], axis=0)
    return np.split(order, np.flatnonzero(changes) + 1)
