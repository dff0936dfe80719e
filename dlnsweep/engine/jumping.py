"""Reduced runs by jumps: two trials of each run, one finer than the other, until they agree.

What is recorded is the finer one, and by how much it differs from the one before, in the very
numbers that are recorded, is the estimate of what jumps are wrong by. Where that stays above its
share of the tolerance, or bursts of real steps contradict it, the run takes all its steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from dlnsweep.contracts.drawing import Sections
from dlnsweep.contracts.schedule import record_steps
from dlnsweep.engine.bursts import contradicted
from dlnsweep.engine.deviations import deviations_of
from dlnsweep.engine.trained import Trained, joined
from dlnsweep.reduced.jumping.jumps import Pace
from dlnsweep.reduced.jumping.pacing import SHARE, share_of_steps
from dlnsweep.reduced.lane import Lane
from dlnsweep.reduced.program import ReducedProgram
from dlnsweep.settings.run_settings import RunSettings

# What trains runs, by their places, at paces; without paces step by step. And whether any of them
# may be kept.
Train = Callable[[list[int], list[Pace] | None, bool], Trained]


def paces_of(program: ReducedProgram, row: RunSettings, lanes: Sequence[Lane]) -> list[list[Pace]]:
    """Return how far the jumps of each run go, trial by trial; see `pacing.paces`."""
    if not program.kernel.jumps:
        return [[] for _ in lanes]
    steps = record_steps(Sections.from_row(row).record, row["training.num_steps"])
    return [lane.paces(row["sweep.tolerance"], steps) for lane in lanes]


def jumping_share(program: ReducedProgram, row: RunSettings, lane: Lane) -> float:
    """Return about what a run takes, over what its steps take."""
    (paces,) = paces_of(program, row, [lane])
    if not paces:
        return 1.0
    steps = record_steps(Sections.from_row(row).record, row["training.num_steps"])
    return share_of_steps(paces, lane.descent, lane.path, steps)


def train_by_jumps(paces: Sequence[Sequence[Pace]], tolerance: float, train: Train) -> Trained:
    """Train runs, by jumps where that is right to a share of the tolerance.

    Args:
        paces: Those of each run, trial by trial; none where it shall take its steps.
        tolerance: The sweep's.
        train: Trains some of them.
    """
    parts, order = [], []
    left = [i for i, own in enumerate(paces) if own]
    before: dict[int, tuple[Trained, int]] = {}
    against: dict[int, float] = {}
    for trial in range(max(map(len, paces), default=0)):
        if not left:
            break
        part = train(left, [paces[i][trial] for i in left], trial > 0)
        errors = np.array(
            [
                _apart(*before[i], part, place) if i in before else np.inf
                for place, i in enumerate(left)
            ]
        )
        bursts = np.full(len(left), np.nan) if part.burst_error is None else part.burst_error
        against = {i: error for i, error in zip(left, bursts, strict=True) if error > tolerance}
        right = (errors <= SHARE * tolerance) & ~(bursts > tolerance)
        kept = np.flatnonzero(right)
        if len(kept):
            parts.append(joined([_estimated(part, errors)], kept))
            order += [left[k] for k in kept]
        before = {i: (part, place) for place, i in enumerate(left)}
        # A run that diverges does so by real steps.
        open_ = ~right & (part.diverged_step < 0)
        left = [left[k] for k in np.flatnonzero(open_)]
    stepwise = [i for i in range(len(paces)) if i not in set(order)]
    if stepwise:
        part = train(stepwise, None, True)
        told = [f"; no jumps: {contradicted(against[i])}" if i in against else "" for i in stepwise]
        reasons = [reason + more for reason, more in zip(part.kernel_reason, told, strict=True)]
        parts.append(replace(part, kernel_reason=reasons))
        order += stepwise
    return joined(parts, np.argsort(np.array(order)))


def _estimated(part: Trained, errors: np.ndarray) -> Trained:
    return replace(part, truncation_error=part.truncation_error + errors)


def _apart(before: Trained, place: int, part: Trained, now: int) -> float:
    """Return by how much the records of a run in two trials differ."""
    for name in ("num_rows", "stopped_step", "diverged_step"):
        if getattr(before, name)[place] != getattr(part, name)[now]:
            return np.inf
    if part.diverged_step[now] >= 0:
        return np.inf
    rows = int(part.num_rows[now])
    found = [
        float(np.max(deviations_of(name, before.observables[name][place, :rows], own[now, :rows])))
        for name, own in part.observables.items()
        if rows
    ]
    return max(found, default=0.0)
