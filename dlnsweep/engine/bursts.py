"""Bursts of real steps at random places of a run that jumps, beside its jumps there.

The estimate of a run is the difference of two walks, by which what is wrong with both of them alike
does not show. A burst asks gradient descent itself: from the state before a jump of H steps, h
steps are taken one by one, as many as it has but not fewer than `_SHORTEST` nor more than
`LONGEST_BURST`, and the walk goes there anew as if that step were recorded. What both differ by
there, in the recorded observables and in the parameters, is d.

To first order records are wrong by sum_i Phi_i d_i over the n jumps of the walk, where Phi_i is
what the run makes of it from there on. Where it neither magnifies nor forgets that is at most
sum_i d_i; and a velocity that is wrong by a constant factor moves a stretch by an error that is
proportional to its length. What holds a run that has arrived (`jumps/arrival.py`) is not looked at.
So k places that were looked at say

    burst_error = n / k  sum_i (H_i / h_i) d_i,

what records would be wrong by if the other jumps were as wrong as these. Beyond the tolerance and
the estimate it contradicts the walk: the run is walked anew, more finely, and where that stays
nothing is known of its numbers. Within them it says less than it seems. A run that forgets (what is
fast, what has settled) is wrong by less. One that magnifies, as it leaves a saddle, is wrong by
more, which the two walks see. Of n jumps of which a share p is wrong, k bursts miss all with a
probability of (1 - p)^k. And of a jump that is longer than a burst only the beginning was taken,
made anew by a shorter jump. Where single steps are so small that float64 swallows much of them, as
after some 10^15 of them, real steps are apart from the walk, which adds up many, by what they are
rounded by. That says nothing of jumps that are far longer: such places do not count as looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from dlnsweep.contracts.network import LONGEST_BURST
from dlnsweep.engine.descent import WHOLE, Passed, descend
from dlnsweep.engine.deviations import deviations_of
from dlnsweep.engine.jumps import COARSE, JumpProgram
from dlnsweep.engine.segments import Segments
from dlnsweep.engine.trained import Trained
from dlnsweep.jumps.places import NOT_YET, NOWHERE
from dlnsweep.numerics.compiled import STOPS_A_SEGMENT
from dlnsweep.numerics.lazy import jax

# Fewer steps than that need not hold a jump that ends as precisely as at a record; each output may
# ask for one (`Motion.least`).
_SHORTEST = 1_000
# A step is rounded by so much of a parameter at most.
_ROUNDED = 2.0**-53


def looked(
    program: JumpProgram, inputs: Any, carry: Any, trained: Trained, tolerance: float
) -> Iterator[Any]:
    """Look at the places of a run that has ended; yield its state after each of them.

    What was found is a part of the state, so that a run which is stopped here goes on from there.

    Args:
        program: The program of its batch, with places.
        inputs: Its inputs.
        carry: Its state.
        trained: Its records; without an estimate it is not looked at.
        tolerance: The sweep's.
    """
    if not np.isfinite(trained.truncation_error[0]):
        return
    walks = carry.state.walks
    lengths, found = (np.array(each) for each in (walks.places.lengths, walks.places.found))
    for place in np.flatnonzero((lengths > 0) & (found == NOT_YET)):
        found.flat[place] = _deviation(program, inputs, carry, int(place), trained, tolerance)
        walks = walks._replace(places=walks.places._replace(found=found.copy()))
        yield carry._replace(state=carry.state._replace(walks=walks))


def checked(carry: Any, trained: Trained, tolerance: float) -> Trained:
    """Return a run with what bursts of steps say of it; contradicted, it has no estimate.

    Args:
        carry: Its state, looked at.
        trained: Its records.
        tolerance: The sweep's.
    """
    walks, error = carry.state.walks, float(trained.truncation_error[0])
    if not np.isfinite(error):
        return replace(trained, burst_error=np.array([np.nan]))
    found = np.asarray(walks.places.found)[0, 0]
    found = found[found >= 0]
    told, whole = "no jump was checked", np.nan
    if len(found):
        whole = float(_jumps_of(carry) * np.mean(found))
        told = f"{len(found)} checked by bursts of steps: {whole:.1e}"
    return replace(
        trained,
        burst_error=np.array([whole]),
        truncation_error=np.array([np.inf if whole > max(tolerance, error) else error]),
        kernel_reason=[f"{reason}; {told}" for reason in trained.kernel_reason],
    )


def contradicted(error: float) -> str:
    """Return what is said of jumps that bursts of steps find to be wrong by so much."""
    return f"bursts of steps contradict them, by {error:.1e}"


def _deviation(
    program: JumpProgram, inputs: Any, carry: Any, place: int, trained: Trained, tolerance: float
) -> float:
    """Return what the jump of a place is wrong by; NaN where steps do not tell."""
    passed = _burst(program, inputs, carry, place)
    steps, jumps = (
        np.asarray(each)[0]
        for each in (passed.carry.state.walks.now, passed.carry.state.walks.jumps)
    )
    # Where the walk made anew takes all the steps there is nothing to compare.
    if jumps[0] == jumps[1]:
        return np.nan
    length = int(np.asarray(carry.state.walks.places.lengths)[0, 0, place])
    taken = int(steps[1]) - passed.segment.start
    wrong = _apart(passed, trained) * length / taken
    jumps_made = _jumps_of(carry)
    # What steps are rounded by stands for so much of the run's numbers, or for more where these
    # magnify it.
    hidden = max(length * _ROUNDED, wrong) * jumps_made
    return np.nan if hidden > tolerance and _rounding(passed, taken) else wrong


def _jumps_of(carry: Any) -> int:
    """Return how many jumps the finer walk has made on its way; what holds it is none of them."""
    walks = carry.state.walks
    return int(np.asarray(walks.jumps)[0, 0] - np.asarray(walks.holds)[0, 0])


def _rounding(passed: Passed, taken: int) -> bool:
    """Tell whether so many real steps may be apart from the walk by what each is rounded by."""
    size = sum(leaf[0].size for leaf in jax.tree.leaves(passed.carry.state.params))
    jumped, stepped = np.asarray(passed.carry.state.walks.point)[0, :, :size]
    apart = np.linalg.norm(jumped - stepped)
    return bool(apart <= taken * _ROUNDED * np.linalg.norm(stepped))


def _burst(program: JumpProgram, inputs: Any, carry: Any, place: int) -> Passed:
    """Go from a place to the end of its stretch: by jumps, and beside that by steps alone.

    The program is that of the run: its two walks are the finer one, begun anew at the place, and
    one for which no trial of a jump ever comes.
    """
    # By NumPy: JAX would compile each of these small operations, which takes seconds.
    carry = jax.tree.map(np.array, carry)
    state = carry.state
    before, length = jax.tree.map(
        lambda leaf: leaf[:, 0, place], (state.walks.places.before, state.walks.places.lengths)
    )
    start = int(before.now[0])
    stop = start + min(max(int(length[0]), _SHORTEST), LONGEST_BURST)
    both = jax.tree.map(lambda leaf: np.stack([leaf, leaf], 1), before)
    both.trial[:, 1] = NOWHERE
    none = jax.tree.map(np.zeros_like, state.walks.places)
    none.steps[:] = NOWHERE
    state.active[:], state.diverged_step[:] = True, -1
    begun = carry._replace(state=state._replace(walks=both._replace(places=none)))
    segments = Segments(np.array([stop]), STOPS_A_SEGMENT, program.grain)
    segments.go_to((0, start, start))
    *_, ended = descend(
        program.segment, inputs, begun, segments, 1, lambda _: WHOLE, program.arrived
    )
    return ended


def _apart(passed: Passed, trained: Trained) -> float:
    """Return by how much both ends of a stretch differ, as records of the run would."""
    rows, ends = int(trained.num_rows[0]), passed.records
    found = []
    for name, own in trained.observables.items():
        # What is rounding depends on the largest value of the run.
        jumped, stepped = (
            np.concatenate([own[0, :rows], ends[each + name][0]]) for each in ("", COARSE)
        )
        found.append(deviations_of(name, jumped, stepped, "jumps")[-1])
    state = passed.carry.state
    size = sum(leaf[0].size for leaf in jax.tree.leaves(state.params))
    # Momentum keeps the last displacement behind the parameters.
    jumped, stepped = np.asarray(state.walks.point)[0, :, None, :size]
    found.append(deviations_of("parameters", jumped, stepped, "generic")[-1])
    return float(max(found))
