"""One number a run from its records: the least, the step where it is least, or where another is.

Of several least records the first step counts. A run whose least value is not finite has no number;
one that is not a number is never the least.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlnsweep.errors import SpecError
from dlnsweep.settings.at import Minimise, read_at
from dlnsweep.settings.sentences import show

Numbers = NDArray[np.float64]
Integers = NDArray[np.int64]


def taken_at(path: Any, at: Any) -> int | str | Minimise:
    """Return which record of each run a summary takes.

    Raises:
        SpecError: If `at` does not say.
    """
    try:
        return read_at(dict(at) if isinstance(at, Mapping) else at)
    except ValueError as error:
        raise SpecError(f"{path}: at is {show(at)}; {error}.") from None


def needed(names: Sequence[str], at: int | str | Minimise) -> list[str]:
    """Return the observables that must be read for some of them."""
    more = [at.minimise] if isinstance(at, Minimise) else []
    return list(dict.fromkeys([*names, *more]))


class Chosen:
    """The number of each run, from records that come in pieces and in any order.

    Args:
        name: The observable.
        at: "min" (its least value), "argmin" (the step of that), or the observable where whose
            value is least it is taken.
        count: The number of runs.
    """

    def __init__(self, name: str, at: str | int | Minimise, count: int) -> None:
        self._name, self._at = name, at
        self._least = np.full(count, np.nan if at == "min" else np.inf)
        self._step = np.full(count, np.iinfo(np.int64).max)
        self._taken = np.full(count, np.nan)

    def take(self, run: Integers, step: Integers, column: Callable[[str], Numbers]) -> None:
        """Take some records.

        Args:
            run: The number of each record's run.
            step: Its step.
            column: The values of an observable at each record.
        """
        values = column(self._name)
        if self._at == "min":
            # fmin passes over NaN.
            np.fmin.at(self._least, run, values)
            return
        by = column(self._at.minimise) if isinstance(self._at, Minimise) else values
        known = np.flatnonzero(~np.isnan(by))
        order = known[np.lexsort((step[known], by[known], run[known]))]
        first = order[np.flatnonzero(np.diff(run[order], prepend=-1))]
        own = run[first]
        earlier = (by[first] == self._least[own]) & (step[first] < self._step[own])
        better = (by[first] < self._least[own]) | earlier
        first, own = first[better], own[better]
        self._least[own], self._step[own] = by[first], step[first]
        self._taken[own] = (step if self._at == "argmin" else values)[first]

    def numbers(self) -> Numbers:
        """Return the number of each run; NaN where there is none."""
        if self._at == "min":
            return self._least
        return np.where(np.isfinite(self._least), self._taken, np.nan)
