"""Bursts of real steps at random places of a reduced run that jumps, beside its jumps there.

What `bursts.py` says of walks holds of these runs, whose two trials are made by the same code: what
both have wrong alike does not show. Of the gaps between two records that a run has jumped over some
are chosen at random, and in each a place. The program that has trained the run goes there from the
record before, and then over m steps more, by as long jumps as it made there, and on by s real steps
until what is fast has faded, as before a record; beside that by real steps alone. Nothing is
compiled for it. There the recorded observables differ by e. As many real steps s later both differ
by d, in the observables, and in all that steps change, the D_i and c_i together. So n jumps of H
steps at k places say

    burst_error = max(max_i e_i,  n / k  sum_i (H_i / m_i) d_i).

What is fast is forgotten before the next record, so that e is not added up: it is most of what
right runs are wrong by, and many times that would contradict them. What stays is added up. Real
steps are those of the same chain: what its bases leave out is the rehearsal's to find.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dlnsweep.contracts.network import LONGEST_BURST
from dlnsweep.engine.deviations import deviations_of
from dlnsweep.engine.trained import Trained
from dlnsweep.jumps.places import CLOSE, NOT_YET, shares
from dlnsweep.numerics.compiled import STOPS_A_SEGMENT
from dlnsweep.numerics.lazy import jax
from dlnsweep.reduced.jumping.jumps import STEP_BY_STEP, Pace

# As in `bursts.py`.
_SHORTEST = 1_000
# So many gaps are looked at for each that is wanted, since some are taken step by step.
_TRIES = 16
# A record in float32 is known to a quarter of this.
_ROUNDED = 2.0**-22
# In place of `NOT_YET`: where a run stands is in such a gap.
_WITHIN = -2.0


@dataclass(frozen=True)
class _Stretch:
    """A gap between two records.

    Attributes:
        leaves: The arrays of the run's state at its beginning.
        numbers: How many steps of it were jumped over, in how many jumps, and of its place
            (H / m) d, which is `NOT_YET` until it is looked at, and e. While the gap lasts, what
            the run had jumped over at its beginning, and `_WITHIN`.
    """

    leaves: list[np.ndarray]
    numbers: np.ndarray


class ReducedBursts:
    """Keeps states of one run while it is trained, and looks at its jumps when it has ended.

    Args:
        seed: The run's. Its places depend on it and on where the run jumps, on nothing else.
        steps: The recorded steps.
        count: How many places are wanted.
    """

    def __init__(self, seed: int, steps: np.ndarray, count: int) -> None:
        self._steps, self._count = steps, count
        gaps = np.diff(steps)
        chance, self._within = shares(seed, 2 * len(gaps)).reshape(2, -1)
        order = [gap for gap in np.argsort(chance).tolist() if gaps[gap] >= CLOSE]
        # In this order those are taken that the run jumps over.
        self._ranks = {gap: rank for rank, gap in enumerate(order[: _TRIES * count])}
        self._stretches: dict[int, _Stretch] = {}

    @property
    def ends(self) -> list[int]:
        """The recorded steps at which a segment must end, so that the state can be kept."""
        return [int(self._steps[record]) for gap in self._ranks for record in (gap, gap + 1)]

    def look(self, carry: Any, step: int) -> None:
        """Keep the state if a gap begins here, and how one was passed that ends here."""
        record = int(np.searchsorted(self._steps, step))
        before = self._stretches.pop(record - 1, None)
        if before is not None:
            jumped = _counts(carry) - before.numbers[:2]
            if jumped[1] > 0:
                numbers = np.array([*jumped, NOT_YET, 0.0])
                self._stretches[record - 1] = replace(before, numbers=numbers)
                kept = sorted(self._stretches, key=self._ranks.__getitem__)
                self._stretches = {gap: self._stretches[gap] for gap in kept[: self._count]}
        if record in self._ranks:
            leaves = [np.array(leaf) for leaf in jax.tree.leaves(carry)]
            self._stretches[record] = _Stretch(leaves, np.array([*_counts(carry), _WITHIN, 0.0]))

    def values(self) -> dict[str, np.ndarray]:
        """Return what a process that goes on needs."""
        found = {}
        for gap, stretch in self._stretches.items():
            arrays = [stretch.numbers, *stretch.leaves]
            found |= {f"{gap} {number}": array for number, array in enumerate(arrays)}
        return found

    def go_on(self, values: Mapping[str, np.ndarray]) -> None:
        """Take what an earlier process has kept of the same run."""
        arrays: dict[int, list[np.ndarray]] = {}
        for name, array in values.items():
            arrays.setdefault(int(name.partition(" ")[0]), []).append(array)
        self._stretches = {gap: _Stretch(own[1:], own[0]) for gap, own in arrays.items()}

    def looked(self, program: Any, inputs: Any, carry: Any, trained: Trained) -> Iterator[None]:
        """Look at the places of a run that has ended; stop for a moment after each.

        Args:
            program: The program of its batch.
            inputs: Its inputs.
            carry: Its state.
            trained: Its records; a run that has diverged is not looked at.
        """
        if trained.diverged_step[0] >= 0:
            self._stretches = {}
        for gap, stretch in sorted(self._stretches.items()):
            if stretch.numbers[2] != NOT_YET:
                continue
            found = self._found(program, inputs, carry, gap, trained)
            numbers = np.array([*stretch.numbers[:2], *found])
            self._stretches[gap] = replace(stretch, numbers=numbers)
            yield

    def checked(self, carry: Any, trained: Trained) -> Trained:
        """Return a run with what bursts of steps say of it.

        Args:
            carry: Its state.
            trained: Its records, looked at.
        """
        found = [stretch.numbers[2:] for stretch in self._stretches.values()]
        found = np.array([each for each in found if each[0] >= 0])
        told, whole = "no jump was checked", np.nan
        if len(found):
            added = _counts(carry)[1] * np.mean(found[:, 0])
            whole = float(max(added, np.max(found[:, 1])))
            told = f"{len(found)} checked by bursts of steps: {whole:.1e}"
        return replace(
            trained,
            burst_error=np.array([whole]),
            kernel_reason=[f"{reason}; {told}" for reason in trained.kernel_reason],
        )

    def _found(
        self, program: Any, inputs: Any, carry: Any, gap: int, trained: Trained
    ) -> tuple[float, float]:
        """Return (H / m) d and e of a gap's place; NaN where no jump is made there anew."""
        stretch = self._stretches[gap]
        jumped, jumps = stretch.numbers[:2]
        length = jumped / jumps
        first, last = (int(step) for step in self._steps[gap : gap + 2])
        place = first + int(self._within[gap] * jumped)
        # Jumps are divided into so many: as many of them are as long as the run's.
        parts = float(np.asarray(inputs.constants.pace.parts)[0])
        ahead = int(np.clip(parts * length, _SHORTEST, LONGEST_BURST))
        fading = last - first - int(jumped)
        ends = [place + ahead + fading, place + ahead + 2 * fading]
        begun = jax.tree.unflatten(jax.tree.structure(carry), stretch.leaves)
        there, _ = _gone(program, inputs, begun, first, [place])
        by_jumps = _gone(program, inputs, there, place, ends)
        beyond = (_counts(by_jumps[0]) - _counts(there))[0]
        if not beyond:
            return np.nan, np.nan
        still = Pace(*(np.array([number]) for number in STEP_BY_STEP))
        stepwise = inputs._replace(constants=inputs.constants._replace(pace=still))
        by_steps = _gone(program, stepwise, there, place, ends)
        now, later = _recorded_apart(by_jumps[1], by_steps[1], trained)
        later = max(later, _apart(by_jumps[0], by_steps[0]))
        return float(later * length / beyond), float(now)


def _counts(carry: Any) -> np.ndarray:
    """Return how many steps a run has jumped over, and in how many jumps."""
    return np.array(carry.state.counts)[0]


def _gone(
    program: Any, inputs: Any, carry: Any, start: int, stops: list[int]
) -> tuple[Any, dict[str, np.ndarray]]:
    """Return the state at the last of some later steps, and what is recorded at each."""
    # Copies: the state is given away.
    carry = jax.tree.map(np.array, carry)
    padded = np.full(STOPS_A_SEGMENT, stops[-1])
    padded[: len(stops)] = stops
    recorded = np.arange(STOPS_A_SEGMENT) < len(stops)
    carry, found = program.segment(inputs, carry, start, padded, recorded)
    return carry, {name: np.asarray(values)[0, : len(stops)] for name, values in found.items()}


def _recorded_apart(
    by_jumps: dict[str, np.ndarray], by_steps: dict[str, np.ndarray], trained: Trained
) -> np.ndarray:
    """Return by how much two walks differ at each of their ends, as records of the run would."""
    rows = int(trained.num_rows[0])
    found = []
    for name, own in trained.observables.items():
        # What is rounding depends on the largest value of the run.
        jumped, stepped = (np.concatenate([own[0, :rows], x[name]]) for x in (by_jumps, by_steps))
        apart = deviations_of(name, jumped, stepped)[rows:]
        known = (own.dtype != np.float32) | (apart > _ROUNDED)
        found.append(np.where(known, apart, 0.0))
    return np.max(found, axis=0)


def _apart(by_jumps: Any, by_steps: Any) -> float:
    """Return by how much two states differ in what steps change."""
    jumped, stepped = (
        np.concatenate([np.ravel(x) for x in (*carry.state.corrections, carry.state.scales)])[None]
        for carry in (by_jumps, by_steps)
    )
    return float(deviations_of("parameters", jumped, stepped, "generic")[0])
