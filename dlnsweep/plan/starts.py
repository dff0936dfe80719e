"""With which weights of another sweep the runs of a plan begin: a part of what they are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dlnsweep.plan.plan import Plan
from dlnsweep.settings.warm_start import COLUMNS, WARM_START


@dataclass(frozen=True)
class Starts:
    """The weights that the runs of a plan begin with.

    Attributes:
        root: The folder that has them.
        asked: The folder as the sweep file names it.
        run_ids: For each run of the plan the id of the one there, int64.
        steps: The steps there of which the weights are, int64.
        contents: Hashes of the weights, int64.
        where: Of which values of settings the runs there are, where that was asked.
        step: The step that was asked for.
        others: In which settings the runs there differ from those here, one phrase each.
    """

    root: Any
    asked: str
    run_ids: np.ndarray
    steps: np.ndarray
    contents: np.ndarray
    where: dict[str, Any] = field(default_factory=dict)
    step: int | None = None
    others: tuple[str, ...] = ()

    @property
    def placement(self) -> dict[str, np.ndarray]:
        """The columns that say so in `runs.parquet`."""
        return dict(zip(COLUMNS, (self.run_ids, self.steps, self.contents), strict=True))


def with_starts(plan: Plan, starts: Starts) -> Plan:
    """Return a plan whose runs begin with given weights: other runs, by their content."""
    settings = {
        **plan.settings,
        WARM_START: np.broadcast_to(np.array([starts.asked], object), plan.num_runs),
    }
    pairs = zip(plan.run_ids.tolist(), starts.contents.tolist(), strict=True)
    ids = np.array([hashed(f"{run} begins with {content}".encode()) for run, content in pairs])
    return replace(plan, run_ids=ids.astype(np.int64), settings=settings, starts=starts)


def hashed(*parts: bytes) -> int:
    """Return a hash of 63 bits, as a run's id is one."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return int.from_bytes(digest.digest(), "big") >> 1
