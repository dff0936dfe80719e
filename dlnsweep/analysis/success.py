"""Which runs succeeded: one rule, for heatmaps, `transition`, [sweep.refine] and [sweep.until]."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
import pandas as pd


class Asked(Protocol):
    """A condition on a run's value: an observable, and what it must be below."""

    @property
    def observable(self) -> str:
        """What decides."""
        ...

    @property
    def below(self) -> float:
        """What it must be below."""
        ...


def succeeded(status: Any, success: Iterable[Asked], value_of: Callable[[str], Any]) -> np.ndarray:
    """Return for each run whether it did not diverge and meets all conditions.

    A run whose value is not a finite number does not meet a condition on it: nothing below a
    value has been reached, whatever made the number overflow.

    Args:
        status: The status of each run; all are done.
        success: The conditions; none of a run that must not diverge, no more.
        value_of: Returns the values of an observable, one a run; not called if all diverged.
    """
    passed = np.asarray(status != "diverged", dtype=bool)
    if not passed.any():
        # Of no runs there are no final values.
        return passed
    for each in success:
        value = np.asarray(value_of(each.observable), dtype=float)
        passed = passed & np.where(np.isfinite(value), value < each.below, False)
    return passed


def succeeded_in_the_end(runs: pd.DataFrame, success: Iterable[Asked]) -> np.ndarray:
    """Return `succeeded` by the final values.

    Args:
        runs: Of `Results.runs`, without those that are only planned.
        success: The conditions.
    """
    return succeeded(runs["status"], success, lambda name: runs[f"final_{name}"])
