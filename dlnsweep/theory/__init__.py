"""The papers' formulas, what they are about, and what they prescribe.

`dlnsweep.theory` has every name of `formulas.py`, imported when first used: NumPy takes its time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlnsweep.theory.formulas import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'dlnsweep.theory' has no attribute {name!r}")
    found = importlib.import_module("dlnsweep.theory.formulas")
    if not hasattr(found, name):
        raise AttributeError(f"module 'dlnsweep.theory' has no attribute {name!r}")
    return getattr(found, name)
