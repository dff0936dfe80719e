"""Runs of a plan, trained in this process without a folder; and that two ways end them alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnsweep.engine import batch
from dlnsweep.engine.trained import Trained
from dlnsweep.plan.plan import Plan


def train(plan: Plan, rows: Any = None, **options: Any) -> Trained:
    """Train some runs of a plan, all by default; they share a program."""
    rows = np.arange(plan.num_runs) if rows is None else np.asarray(rows)
    columns = {key: np.asarray(column)[rows] for key, column in plan.settings.items()}
    width = plan.program_widths[plan.programs[rows[0]]]
    return batch.train_batch(columns, plan.shared, width, **options)


def assert_end_alike(found: Trained, judge: Trained) -> None:
    """Check that runs diverge, stop and finish where those of another way do; some do each."""
    assert set(found.status) == {"diverged", "stopped", "finished"}
    for name in ("diverged_step", "stopped_step", "num_rows"):
        np.testing.assert_array_equal(getattr(found, name), getattr(judge, name))
