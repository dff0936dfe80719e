"""The rounds of a sweep that looks for a boundary: each is the sweep before it, and more values."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dlnsweep.analysis.boundary import Bracket, brackets, values_between
from dlnsweep.analysis.success import succeeded
from dlnsweep.errors import SpecError
from dlnsweep.execution.rounds.looks import Look
from dlnsweep.execution.warm_start import expanded_ids_of
from dlnsweep.results import Results
from dlnsweep.results.recorded import Recorded
from dlnsweep.settings.refine import Refine
from dlnsweep.spec.refine import Row, as_blocks
from dlnsweep.spec.space import Space
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store.among import among
from dlnsweep.store.records import FINAL


@dataclass(frozen=True)
class Found:
    """What the runs so far say of the boundaries.

    Attributes:
        keys: The settings that vary, but for the one that is refined.
        shares: For each combination of their values, the share of success at each value.
    """

    keys: tuple[str, ...]
    shares: dict[Row, dict[float, float]]

    def brackets(self) -> Iterator[tuple[Row, Bracket]]:
        """Yield each boundary with the combination that it is in."""
        for combination, shares in self.shares.items():
            yield from ((combination, bracket) for bracket in brackets(shares))

    def untried(self, refine: Refine) -> list[Row]:
        """Return the combinations and values that narrow the boundaries; none if all are known."""
        whole = all(isinstance(v, int) for shares in self.shares.values() for v in shares)
        points, spacing, tolerance = refine.points, refine.spacing, refine.tolerance
        return [
            (*row, value)
            for row, bracket in self.brackets()
            for value in values_between(bracket, points, spacing, tolerance, whole=whole)
        ]


def found_of(sweep: Sweep, results: Results, planned: np.ndarray | None = None) -> Found:
    """Return what is known of a sweep's boundaries.

    Args:
        sweep: A round's sweep.
        results: Its results; only runs of this sweep are looked at.
        planned: The ids of its runs, in the order of its plan, where they are known.

    Raises:
        SpecError: If runs of it are not done.
    """
    refine = _refine(sweep)
    keys = tuple(itertools.chain.from_iterable(sweep.axes))
    rows = list(Space(sweep.values, sweep.axes, sweep.derived).rows(keys))
    # With as many runs as combinations each is a run of its own.
    if planned is None or len(planned) != len(rows) * len(sweep.seeds):
        planned = expanded_ids_of(sweep)
    done, passed = _ended(results, refine)
    if missing := int((~among(planned, done)).sum()):
        raise SpecError(f"{missing} runs of the boundary's sweep are not done.")
    own = passed[np.searchsorted(done, planned)].reshape(len(rows), len(sweep.seeds))
    place = keys.index(refine.between)
    shares: dict[Row, dict[float, float]] = {}
    for row, share in zip(rows, own.mean(axis=1).tolist(), strict=True):
        combination = (*row[:place], *row[place + 1 :])
        shares.setdefault(combination, {})[row[place]] = share
    return Found(tuple(key for key in keys if key != refine.between), shares)


def _ended(results: Results, refine: Refine) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of the runs that are done, in ascending order, and which of them succeeded."""
    store = results.store
    finals = list(dict.fromkeys(each.observable for each in refine.success))
    ended = Recorded(store).outcomes(store.runs_table(["run_id", "batch"]), finals)
    ended = ended.filter(ended["status"].is_valid()).sort_by("run_id")
    status = ended["status"].to_numpy()
    passed = succeeded(status, refine.success, lambda name: ended[FINAL + name].to_numpy())
    return ended["run_id"].to_numpy(), passed


def next_round(sweep: Sweep, found: Found) -> Sweep | None:
    """Return the sweep of the next round.

    None where every boundary is known, or where it would have more runs than sweep.max_runs.
    """
    refine = _refine(sweep)
    keys = (*found.keys, refine.between)
    rows = [(*row, value) for row, shares in found.shares.items() for value in shares]
    more = found.untried(refine)
    if not more or (len(rows) + len(more)) * len(sweep.seeds) > sweep.options.max_runs:
        return None
    return Sweep.from_dict(as_blocks(sweep.document, keys, [*rows, *more], refine.between))


def look(sweep: Sweep, results: Results, number: int, planned: np.ndarray | None = None) -> Look:
    """Look at the boundaries after a round.

    Args:
        sweep: The sweep of the round.
        results: Its results.
        number: The number of the round that would follow, from 1.
        planned: The ids of its runs, in the order of its plan, where they are known.
    """
    refine, found = _refine(sweep), found_of(sweep, results, planned)
    following = next_round(sweep, found) if number <= refine.max_rounds else None
    ended = "" if following is not None else _why_ended(found, refine, number)
    return Look(f"{told(found, refine)}{ended}", following, refine.max_rounds)


def _why_ended(found: Found, refine: Refine, number: int) -> str:
    """Return what ends the rounds before all boundaries are known; empty where they are."""
    if not found.untried(refine):
        return ""
    ends = "max_rounds" if number > refine.max_rounds else "sweep.max_runs"
    return f"; {ends} ends the rounds"


def told(found: Found, refine: Refine) -> str:
    """Return how well the boundaries are known, as a part of a sentence."""
    widths = [bracket.width() for _, bracket in found.brackets()]
    without = sum(not brackets(shares) for shares in found.shares.values())
    lacking = f", none in {without} of {len(found.shares)} combinations" if without else ""
    if not widths:
        return f"no boundary of {refine.between}{lacking}"
    count = "1 boundary" if len(widths) == 1 else f"{len(widths)} boundaries"
    return f"{count} of {refine.between}, known to {100 * max(widths):.2g} %{lacking}"


def _refine(sweep: Sweep) -> Refine:
    assert sweep.options.refine is not None
    return sweep.options.refine
