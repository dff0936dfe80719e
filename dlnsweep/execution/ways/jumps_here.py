"""For which runs of a plan `run` tries jumps here: on this machine, in the folder that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dlnsweep.contracts.network import network_of
from dlnsweep.execution.ways import auto_jumps, jump_checks, reduced_steps
from dlnsweep.execution.ways.record_here import record_here
from dlnsweep.numerics.runtime import accelerators
from dlnsweep.reduced.jumping.may_jump import may_jump
from dlnsweep.settings.run_settings import RunSettings

if TYPE_CHECKING:
    from dlnsweep.plan.plan import Plan


def told(plan: Plan) -> list[str]:
    """Return what `check` and `plan` tell of jumps."""
    tried = by_auto(plan)
    # What time jumps do not hold for may come to the reduced kernel; most of it does not.
    rest = reduced(plan) & ~tried
    return [*auto_jumps.told(plan, tried), *jump_checks.told(plan, tried, rest)]


def by_auto(plan: Plan) -> np.ndarray:
    """Return for each run whether "auto" tries time jumps of it."""
    record = record_here(plan)
    none = accelerators() if record is None else not auto_jumps.of_record(record)
    return np.zeros(plan.num_runs, bool) if none else auto_jumps.taken_by(plan)


def reduced(plan: Plan) -> np.ndarray:
    """Return for each run whether it may jump where the reduced kernel trains it."""
    record = record_here(plan)
    begun = plan.sweep.options.kernel in reduced_steps.KERNELS
    begun &= record is None or bool(reduced_steps.of_record(record))
    if not begun or accelerators():
        return np.zeros(plan.num_runs, bool)
    kept = {} if record is None else reduced_steps.settings_in(record)

    def tells(row: RunSettings, width: int) -> bool:
        return may_jump(row | kept) and not network_of(row).why_full(row, width)

    return auto_jumps.each(plan, tells)
