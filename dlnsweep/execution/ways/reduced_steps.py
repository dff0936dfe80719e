"""Whether long runs of the reduced kernel jump in a results folder, or take all their steps.

One that was begun before they did goes on step by step, as it was begun, and so does one whose runs
jumped by a method of second order ("by_trials"): a record of either is that of all steps to the
tolerance, and of what is kept of a run on its way nothing fits the other. In a folder that was
begun before runs with momentum jumped ("third_order") those take all steps. See
`reduced/jumping/jumps.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.network import ALL_MOMENTUM_STEPS, ALL_STEPS

if TYPE_CHECKING:
    from dlnsweep.plan.plan import Plan

# What a folder's record says of it, now and before runs with momentum jumped.
_RECORD, _WORD, _PLAIN = "reduced_jumps", "with_momentum", "third_order"
# The values of sweep.kernel by which the reduced kernel may train runs.
KERNELS = ("auto", "reduced")


def of_new(plan: Plan) -> dict[str, str]:
    """Return what the record of a folder that is begun now has of it."""
    return {_RECORD: _WORD} if plan.sweep.options.kernel in KERNELS else {}


def of_record(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a folder's record has of it."""
    word = record.get(_RECORD)
    return {_RECORD: word} if word in (_WORD, _PLAIN) else {}


def settings_in(record: Mapping[str, Any]) -> dict[str, bool]:
    """Return what a folder's record says of it, as settings of its runs."""
    word = of_record(record).get(_RECORD)
    if word == _PLAIN:
        return {ALL_MOMENTUM_STEPS: True}
    return {} if word else {ALL_STEPS: True}
