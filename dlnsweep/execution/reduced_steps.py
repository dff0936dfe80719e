"""Whether long runs of the reduced kernel jump in a results folder, or take all their steps.

One that was begun before they did goes on step by step, as it was begun, and so does one whose runs
jumped by a method of second order ("by_trials"): a record of either is that of all steps to the
tolerance, and of what is kept of a run on its way nothing fits the other. See `reduced/jumps.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.network import ALL_STEPS

if TYPE_CHECKING:
    from dlnsweep.plan.plan import Plan

# What a folder's record says of it.
_RECORD, _WORD = "reduced_jumps", "third_order"
# The values of sweep.kernel by which the reduced kernel may train runs.
KERNELS = ("auto", "reduced")


def of_new(plan: Plan) -> dict[str, str]:
    """Return what the record of a folder that is begun now has of it."""
    return {_RECORD: _WORD} if plan.sweep.options.kernel in KERNELS else {}


def of_record(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a folder's record has of it."""
    return {_RECORD: _WORD} if record.get(_RECORD) == _WORD else {}


def settings_in(record: Mapping[str, Any]) -> dict[str, bool]:
    """Return what a folder's record says of it, as settings of its runs."""
    return {} if of_record(record) else {ALL_STEPS: True}
