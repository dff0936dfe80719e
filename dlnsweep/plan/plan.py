"""A sweep's runs, with their ids and the programs that train them. No JAX."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dlnsweep.contracts.on_span import AUTO_KNOWS
from dlnsweep.plan.cost import RunCost, cost_of
from dlnsweep.plan.expansion import (
    NOT_COLUMNS,
    Setting,
    blank_unused,
    expand,
    plain_value,
    prescribe,
    shared_of,
)
from dlnsweep.plan.programs import group_programs
from dlnsweep.plan.run_ids import run_ids
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.spec.sweep import Sweep


@dataclass(frozen=True)
class Plan:
    """All runs of a sweep.

    Attributes:
        sweep: The sweep.
        run_ids: One int64 a run, all different.
        settings: A column for each setting, in file order, and "seed".
        programs: For each run, the number of the program that trains it.
        program_widths: The width of each program's arrays.
        starts: Which weights the runs begin with, if they are another sweep's; see `starts.py`.
        auto_as_before: Whether it goes on in a folder that was begun when "auto" knew fewer ways.
    """

    sweep: Sweep
    run_ids: np.ndarray
    settings: dict[str, np.ndarray]
    programs: np.ndarray
    program_widths: tuple[int, ...]
    starts: Any = None
    auto_as_before: bool = False

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
        found = shared_of(self.sweep)
        if self.auto_as_before:
            found.pop(AUTO_KNOWS, None)
        return found

    def row(self, index: int) -> RunSettings:
        """Return the settings of one run, dotted, with those that are no column."""
        return RunSettings.at(self.settings, index, self.shared)

    def cost(self, index: int, told: Mapping[str, Any] | None = None) -> RunCost:
        """Return the estimated cost of one run in its program.

        Args:
            index: Its row in the run table.
            told: What the results folder's record says of its kernel, as settings.
        """
        row = self.row(index) | (told or {})
        return cost_of(row, self.program_widths[self.programs[index]])


def _expanded(sweep: Sweep) -> tuple[dict[str, Setting], np.ndarray]:
    expansion = expand(sweep)
    prescribe(expansion)
    blank_unused(sweep, expansion)
    return expansion, run_ids(sweep, expansion)


def expanded_ids(sweep: Sweep) -> np.ndarray:
    """Return the run of each combination of a sweep's axes and seeds, the seed fastest.

    Combinations that differ only in what they do not use are one run.
    """
    ids = _expanded(sweep)[1]
    return np.broadcast_to(ids, math.prod(sweep.axis_lengths) * len(sweep.seeds))


def _each_once(sweep: Sweep) -> tuple[dict[str, Setting], np.ndarray]:
    expansion, ids = _expanded(sweep)
    if sweep.seed_counts:
        count = len(sweep.seeds)
        mine = np.arange(count) < np.array(sweep.seed_counts)[:, None]
        keep = np.flatnonzero(mine.ravel())
        ids = ids[keep]
        expansion = {key: setting.take(keep) for key, setting in expansion.items()}
    unique, first = np.unique(ids, return_index=True)
    if len(unique) < len(ids):
        # Crossing optimizers with a hyperparameter that some do not use repeats runs.
        keep = np.sort(first)
        ids = ids[keep]
        expansion = {key: setting.take(keep) for key, setting in expansion.items()}
    return expansion, ids


def ids_with(sweep: Sweep, changes: Mapping[str, Any]) -> np.ndarray:
    """Return the id that each run of a sweep's plan would have with other values of some settings.

    Args:
        sweep: The sweep.
        changes: One value for each of these settings.
    """
    expansion, ids = _each_once(sweep)
    changed = replace(sweep, values={**sweep.values, **{k: (v,) for k, v in changes.items()}})
    one = {
        key: Setting(np.array([value]), (json.dumps(plain_value(value)),), None)
        for key, value in changes.items()
        if key not in NOT_COLUMNS
    }
    return np.broadcast_to(run_ids(changed, expansion | one), len(ids))


def make_plan(sweep: Sweep) -> Plan:
    """Expand a sweep into its runs."""
    expansion, ids = _each_once(sweep)
    columns = {key: setting.column(len(ids)) for key, setting in expansion.items()}
    programs, widths = group_programs(sweep, expansion, columns)
    return Plan(sweep, ids, columns, programs, widths)
