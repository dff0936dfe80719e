"""`sweep.check_jumps`: at how many places of a run bursts of real steps are taken beside its jumps.

It is no setting of a run: with it a run has the numbers and the id that it has without. A folder's
record has what the sweep asked for last, and batches that are done are left as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.network import CHECK_JUMPS, LONGEST_BURST
from dlnsweep.execution import auto_jumps
from dlnsweep.settings.sections import MOST_PLACES

if TYPE_CHECKING:
    from dlnsweep.plan.plan import Plan

# What a folder's record has of it.
_RECORD = "check_jumps"


def of(plan: Plan) -> dict[str, int]:
    """Return what the record of a plan's folder has of it; nothing where nothing is asked for."""
    count = plan.sweep.options.check_jumps
    return {_RECORD: count} if count else {}


def settings_in(record: Mapping[str, Any]) -> dict[str, int]:
    """Return what a folder's record says of it, as settings of its runs."""
    count = record.get(_RECORD)
    return {CHECK_JUMPS: count} if isinstance(count, int) and 0 < count <= MOST_PLACES else {}


def of_run(plan: Plan) -> dict[str, int]:
    """Return it as settings of a plan's runs."""
    return settings_in(of(plan))


def told(plan: Plan) -> list[str]:
    """Return what is told of what it costs."""
    options = plan.sweep.options
    if not options.check_jumps:
        return []
    count = plan.num_runs if options.kernel == "jumps" else int(auto_jumps.taken_by(plan).sum())
    if not count:
        return [
            "sweep.check_jumps finds nothing to check: time jumps are tried for none of its runs "
            '(sweep.kernel = "jumps" asks for them)'
        ]
    runs = "1 run" if count == 1 else f"{count} runs"
    return [
        f"jumps of {runs} are checked: at up to {options.check_jumps} random places of each walk "
        f"real steps are taken beside them, at most {LONGEST_BURST:,} at a place"
    ]
