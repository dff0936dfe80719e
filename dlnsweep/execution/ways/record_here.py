"""The record of the results folder that `run` goes on with by default, for those who tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlnsweep.errors import StoreError

if TYPE_CHECKING:
    from dlnsweep.plan.plan import Plan


def record_here(plan: Plan) -> Mapping[str, Any] | None:
    """Return what it says; None where none was begun."""
    folder = Path("results") / plan.sweep.name
    # Nothing else is imported where nothing is there.
    if not (folder / "sweep.json").is_file():
        return None
    from dlnsweep.store import Store

    try:
        return Store.open(folder).sweep["sweep"]
    except StoreError:
        # Whatever is wrong with it, `run` says it.
        return None
