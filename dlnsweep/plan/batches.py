"""The batches in which runs are computed, cut by the settings alone, never by the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnsweep.plan.cost import RunCost
from dlnsweep.plan.plan import Plan
from dlnsweep.plan.programs import parts_of

# A batch is what a crash can lose and what progress is made of. A sweep is cut into enough batches
# to keep several cores busy to the end, each of this much work by the estimate.
_WANTED_BATCHES = 16
_BATCH_SECONDS = (2.0, 60.0)
# A folder of more files is slow to list and to read, and an object store asks a price for each: a
# sweep of more work than this many batches of a minute has longer ones.
_MOST_BATCHES = 4000
# Every batch of reduced runs may compile a program of its own, for the sizes that it finds.
_LEAST_REDUCED_SECONDS = 10.0
# Runs that share an operator share its reading, however long they take; more at a time gain less
# (`lanes.sharing_layout`) and leave fewer batches to spread.
_LEAST_SHARING = 4
# Of so many runs and bytes at most, that records stay small beside a machine's memory.
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


def make_batches(
    plan: Plan,
    rows: np.ndarray,
    first_number: int = 0,
    begin_at: np.ndarray | None = None,
    least: np.ndarray | None = None,
    told: Mapping[str, Any] | None = None,
) -> list[Batch]:
    """Cut some of a plan's runs into batches.

    Args:
        plan: The plan.
        rows: Rows of the run table that have no batch yet.
        first_number: The number of the first new batch.
        begin_at: The step that each run of the plan goes on from, if not all begin at step 0.
        least: How many runs a batch of each program should have at least, however long they take:
            fewer would take as long together. By default one.
        told: What the results folder's record says of its kernel, as settings.
    """
    if not len(rows):
        return []
    # Runs of a batch share their program and their record steps.
    begin = np.zeros(plan.num_runs, np.int64) if begin_at is None else begin_at
    parts = parts_of(plan.programs[rows], plan.settings["training.num_steps"][rows], begin[rows])
    groups = [(rows[part], plan.cost(int(rows[part[0]]), told)) for part in parts]
    work = sum(len(group) * cost.seconds for group, cost in groups)
    wanted = float(np.clip(work / _WANTED_BATCHES, *_BATCH_SECONDS))
    wanted = max(wanted, work / _MOST_BATCHES)
    batches: list[Batch] = []
    for group, cost in groups:
        program = plan.programs[group[0]]
        width, fewest = plan.program_widths[program], 1 if least is None else int(least[program])
        seconds = max(wanted, _LEAST_REDUCED_SECONDS) if cost.reduced else wanted
        # Runs that share what their seed draws have batches of their own seed.
        for part in parts_of(plan.settings["seed"][group] * cost.shares):
            pieces = -(-len(part) // _most_lanes(cost, seconds, fewest))
            for piece in np.array_split(group[part], pieces):
                batches.append(Batch(first_number + len(batches), piece, width))
    return batches


def _most_lanes(cost: RunCost, seconds: float, least: int) -> int:
    least = max(least, _LEAST_SHARING if cost.shares else 1)
    by_time = max(int(seconds / max(cost.seconds, 1e-9)), least)
    by_records = _BATCH_RECORD_BYTES // max(1, cost.record_bytes)
    return max(1, min(_MOST_LANES, by_time, by_records))
