"""`sweep.check_jumps`: at how many places of a run bursts of real steps are taken beside its jumps.

It is no setting of a run: with it a run has the numbers and the id that it has without. A folder's
record has what the sweep asked for last, and batches that are done are left as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnsweep.contracts.network import CHECK_JUMPS, LONGEST_BURST
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


def told(plan: Plan, tried: np.ndarray, reduced: np.ndarray) -> list[str]:
    """Return what is told of what it costs.

    Args:
        plan: The plan.
        tried: Of which runs "auto" tries time jumps.
        reduced: Which runs may jump where the reduced kernel trains them.
    """
    options, found = plan.sweep.options, []
    if not options.check_jumps:
        return []
    count = plan.num_runs if options.kernel == "jumps" else int(tried.sum())
    at = f"at up to {options.check_jumps} random places"
    if count:
        found.append(
            f"jumps of {_runs(count)} are checked: {at} of each walk real steps are taken beside "
            f"them, at most {LONGEST_BURST:,} at a place"
        )
    if count := int(reduced.sum()):
        found.append(
            f"where the reduced kernel trains {_runs(count)} by jumps, they are checked: {at} of "
            f"each run real steps are taken beside them, at most {LONGEST_BURST:,} at a place and "
            "those that come before records"
        )
    return found or [
        "sweep.check_jumps finds nothing to check: no jumps are tried for any of its runs "
        '(sweep.kernel = "jumps" asks for them)'
    ]


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
