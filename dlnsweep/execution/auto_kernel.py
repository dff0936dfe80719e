"""What `sweep.kernel = "auto"` takes in a results folder: settled when it is begun, and kept there.

Vector instructions are taken unasked where they can be compiled. Which kernel trains a run must
not change while a sweep is computed, nor where it is gone on with: so a folder remembers it, one
that has no word of it takes none, and where they are missing later that is an error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnsweep.contracts.network import AUTO_TAKES, network_of
from dlnsweep.errors import StoreError
from dlnsweep.simd.llvm import BEGUN, check_installed, is_usable
from dlnsweep.store import Store

if TYPE_CHECKING:
    from dlnsweep.plan.plan import Plan

# What a folder's record says of it.
_RECORD = "auto_takes"
# Runs of the widest vector.
_VECTOR = {"float64": 8, "float32": 16}


def of_new(plan: Plan) -> dict[str, str]:
    """Return what the record of a folder that is begun here now has of it."""
    if folder := plan.sweep.options.go_on_from:
        # Runs that go on have the bits of whole ones. If there is none, others say so.
        with contextlib.suppress(StoreError):
            return of_store(Store.open(folder))
        return {}
    taken = _fills_vectors(plan) and _has_use(plan) and is_usable()
    return {_RECORD: "simd"} if taken else {}


def of_store(store: Store) -> dict[str, str]:
    """Return what the record of a folder that was begun before has of it."""
    return _of_record(store.sweep["sweep"])


def settings_in(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a folder's record says of it, as settings of its runs."""
    return {AUTO_TAKES: "simd"} if _of_record(record) else {}


def least_runs(plan: Plan, taken: Mapping[str, str]) -> int:
    """Return how many runs a batch should have: those of a vector, for fewer take as long.

    Args:
        plan: The plan.
        taken: What the folder's record has of it.
    """
    by_vectors = taken or plan.sweep.options.kernel == "simd"
    return _VECTOR[plan.sweep.options.precision] if by_vectors else 1


def check_here(store: Store) -> None:
    """Refuse to go on with a folder whose kernel cannot be compiled here.

    Raises:
        RunError: If llvmlite is missing.
    """
    if of_store(store):
        check_installed(BEGUN)


def _of_record(record: Mapping[str, Any]) -> dict[str, str]:
    return {_RECORD: "simd"} if record.get(_RECORD) == "simd" else {}


def _has_use(plan: Plan) -> bool:
    """Tell whether runs of any program would be trained by vector instructions."""
    _, firsts = np.unique(plan.programs, return_index=True)
    rows = (plan.row(int(index)) | {AUTO_TAKES: "simd"} for index in firsts)
    return any(network_of(row).takes_vectors(row) for row in rows)


def _fills_vectors(plan: Plan) -> bool:
    """Tell whether runs that can be trained together are as many as a vector has, on average."""
    together = np.stack([plan.programs, plan.settings["training.num_steps"]])
    groups = np.unique(together, axis=1).shape[1]
    return plan.num_runs >= groups * _VECTOR[plan.sweep.options.precision]
