"""What the sweep files plan."""

from __future__ import annotations

from functools import cache

import numpy as np

from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.sweep import Sweep
from kept.text import ROOT


@cache
def planned(name: str) -> tuple[int, int, int]:
    """Return the number of runs of a sweep file, and their fewest and most steps."""
    plan = make_plan(Sweep.from_file(ROOT / "sweeps" / f"{name}.toml"))
    if "training.num_steps" in plan.shared:
        steps = np.array(plan.shared["training.num_steps"])
    else:
        steps = plan.settings["training.num_steps"]
    return plan.num_runs, int(np.min(steps)), int(np.max(steps))


def planned_all(*patterns: str) -> list[tuple[int, int, int]]:
    """Return that of every sweep file with such a name."""
    paths = {path.stem for pattern in patterns for path in (ROOT / "sweeps").glob(pattern)}
    return [planned(name) for name in sorted(paths)]
