"""What finds the bases of reduced runs in a results folder: LLVM's machine code, or NumPy.

They round otherwise, and what a run's bases leave out may differ by a direction. So a folder keeps
what it was begun with, as it keeps its kernel (`auto_kernel.py`): one that has no word of it has
its bases from NumPy, and where LLVM is missing later that is an error. By the first of its words
all steps are XLA's, by the second those are machine code for which it pays (`reduced/stepped.py`),
by the third later ones of these have smaller bases where that pays (`reduced/later.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnsweep.contracts.network import BASES_BY_NUMPY, STEPS_BY_XLA, WHOLE_BASES, network_of
from dlnsweep.errors import RunError, StoreError
from dlnsweep.simd.llvm import check_installed, is_usable, why_not_here
from dlnsweep.store import Store

if TYPE_CHECKING:
    from dlnsweep.plan.plan import Plan

# What a folder's record says of it.
_RECORD, _BASES, _STEPS, _LATER = "reduced_bases", "llvm", "llvm_steps", "llvm_later"
_BEGUN = (
    "its folder was begun where LLVM's machine code finds the bases of reduced runs, which needs "
    "llvmlite",
    "compute it in another folder",
)


def of_new(plan: Plan) -> dict[str, str]:
    """Return what the record of a folder that is begun here now has of it."""
    if folder := plan.sweep.options.go_on_from:
        # Runs that go on have the bits of whole ones. If there is none, others say so.
        with contextlib.suppress(StoreError):
            taken = of_record(Store.open(folder).sweep["sweep"])
            return taken if taken and is_usable() else {}
        return {}
    programs, firsts = np.unique(plan.programs, return_index=True)
    for program, first in zip(programs.tolist(), firsts.tolist(), strict=True):
        row = plan.row(first)
        if not network_of(row).why_full(row, plan.program_widths[program]):
            return {_RECORD: _LATER} if is_usable() else {}
    return {}


def of_record(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a folder's record has of it."""
    word = record.get(_RECORD)
    return {_RECORD: word} if word in (_BASES, _STEPS, _LATER) else {}


def settings_in(record: Mapping[str, Any]) -> dict[str, bool]:
    """Return what a folder's record says of it, as settings of its runs."""
    word = of_record(record).get(_RECORD)
    found = {} if word else {BASES_BY_NUMPY: True}
    if word != _LATER:
        found |= {WHOLE_BASES: True}
    return found if word in (_STEPS, _LATER) else found | {STEPS_BY_XLA: True}


def check_here(store: Store) -> None:
    """Refuse to go on with a folder whose bases cannot be found here as they were.

    Raises:
        RunError: If llvmlite is missing, or the processor lacks what its code needs.
    """
    if not of_record(store.sweep["sweep"]):
        return
    check_installed(_BEGUN)
    if why := why_not_here():
        raise RunError(
            f"{store.root}: was begun where LLVM's machine code finds the bases of reduced runs, "
            f"and {why}: what is left would round otherwise. Go on where there is one, or compute "
            "it in another folder."
        )
