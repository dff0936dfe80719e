"""What `sweep.kernel = "auto"` takes in a results folder: settled when it is begun, and kept there.

Vector instructions are taken unasked where they can be compiled. Which kernel trains a run must
not change while a sweep is computed, nor where it is gone on with: so a folder remembers it, one
that has no word of it takes none, and where they are missing later that is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dlnsweep.contracts.network import AUTO_TAKES, network_of
from dlnsweep.simd.llvm import BEGUN, check_installed, is_usable
from dlnsweep.store import Store, StoredPlan

if TYPE_CHECKING:
    from dlnsweep.plan.plan import Plan

# What a folder's record says of it.
_RECORD = "auto_takes"
_SIMD = {_RECORD: "simd"}
# Fewer runs leave most of a vector's lanes empty.
_LEAST_RUNS = 8


def begun_with(whole: StoredPlan, plan: Plan) -> StoredPlan:
    """Return a sweep as the record of a folder that is begun here now has it."""
    return replace(whole, record=whole.record | _record_of_new(plan))


def kept(whole: StoredPlan, store: Store) -> StoredPlan:
    """Return a sweep as the record of a folder that was begun before has it.

    Args:
        whole: The sweep, with all its runs or with what is new.
        store: The folder.
    """
    return replace(whole, record=whole.record | _record_in(store.sweep["sweep"]))


def would_take(plan: Plan) -> dict[str, str]:
    """Return the settings of a plan's runs in a folder that would be begun here now."""
    return settings_in(_record_of_new(plan))


def _record_of_new(plan: Plan) -> dict[str, str]:
    if folder := plan.sweep.options.go_on_from:
        # Runs that go on have the bits of whole ones.
        return _record_in(Store.open(folder).sweep["sweep"])
    row = plan.row(0) | {AUTO_TAKES: "simd"}
    if not network_of(row).takes_vectors(row) or plan.num_runs < _LEAST_RUNS:
        return {}
    return _SIMD if is_usable() else {}


def _record_in(record: Mapping[str, Any]) -> dict[str, str]:
    return _SIMD if record.get(_RECORD) == "simd" else {}


def settings_in(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a folder's record says of it, as settings of its runs."""
    return {AUTO_TAKES: "simd"} if _record_in(record) else {}


def check_here(store: Store) -> None:
    """Refuse to go on with a folder whose kernel cannot be compiled here.

    Raises:
        RunError: If llvmlite is missing.
    """
    if _record_in(store.sweep["sweep"]):
        check_installed(BEGUN)
