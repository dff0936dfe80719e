"""Reduced runs whose steps are machine code of LLVM's (`compiled.py`), and whose records are XLA's.

XLA reads each of the chain's matrices at every step once more than it multiplies with them, to put
M_j and N_j together, and where they are too large for one function it dispatches each operation
besides. Here some steps are made before what they change is added up, so that it is read and
written once for all of them, and a product takes its rows at the speed of the processor.

Steps are added up at multiples of `block_for` after the last stop, and M_j and N_j are then made of
the D_j anew: what a run gets does not depend on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from dlnsweep.numerics.compiled import STOPS_A_SEGMENT, with_whole_vectors
from dlnsweep.numerics.lazy import jax
from dlnsweep.reduced.compact_descent import Constants, State
from dlnsweep.reduced.compiled import Compiled
from dlnsweep.reduced.jumping.jumps import Pace
from dlnsweep.reduced.lane import Lane
from dlnsweep.reduced.later import Later, narrowed, widened
from dlnsweep.reduced.layers import Layers
from dlnsweep.reduced.program import ReducedProgram
from dlnsweep.reduced.reduction import Sizes
from dlnsweep.reduced.tableau import euler
from dlnsweep.simd.llvm import is_usable

# Where a step has fewer floating-point operations XLA's one function takes no longer.
_LEAST_FLOPS = 5e5
# So many rows are kept before they are added up: fewer, and matrices are written more often, more,
# and products with what is kept take longer. 8 to 16 steps of 4 and of 8 samples were alike to a
# tenth.
_ROWS = 64
# A stop costs as much as some steps: there are so many times fewer than XLA's program has.
_RARER = 4


def pays(sizes: Sizes, rank: int) -> bool:
    """Return whether machine code takes less for steps of these sizes, where there is LLVM."""
    return sizes.step_flops(rank) >= _LEAST_FLOPS and is_usable()


def block_for(rank: int) -> int:
    """Return how many steps are added up together: a power of two."""
    return int(2 ** np.clip(np.round(np.log2(_ROWS / rank)), 2, 4))


class Descending:
    """The steps of one run.

    Args:
        constants: What it is given, as NumPy arrays.
        later: The bases of its later steps; by default all have the same.
    """

    def __init__(self, constants: Constants, later: Later | None = None) -> None:
        own: Any = constants
        self._block = block_for(len(own.data.inputs))
        self._limit = float(own.limit)
        self._numbers = own.rates, own.rates * own.weight_decay, float(own.data_fit_scale)
        sizes = [a.shape[0] for a in own.forward[:-1]]
        outer = [*(n.shape[1] for n in own.backward), len(own.targets)]
        inner = [len(own.data.inputs), *sizes]
        mixed = []
        for diagonal, n, m in zip(own.mixed, sizes, outer, strict=False):
            mixed.append(np.zeros((n, m)))
            np.fill_diagonal(mixed[-1], diagonal)
        self._layers = Layers(
            inputs=own.data.inputs,
            targets=own.targets,
            forward=own.forward,
            mixed=mixed,
            backward=[np.zeros((outer[0], 0)), *own.backward],
            corrections=[np.zeros(shape) for shape in zip(outer, inner, strict=True)],
            scales=np.ones(len(outer)),
        )
        self._steps = Compiled(self._layers, self._block)
        self._later = later and later.padded(sizes, outer)
        self._later_steps: Compiled | None = None

    def take(self, state: State, step: int, stop: int) -> State:
        """Return a run's state after the steps `step`, ..., `stop` - 1, as NumPy arrays."""
        begins = int(self._later.begins) if self._later else stop
        if state.active and step < min(begins, stop):
            own = cast(Any, state)
            self._steps.begin(own.corrections, own.scales)
            first = min(begins, stop)
            diverged = self._descended(self._steps, step, first)
            made = tuple(np.array(d) for d in self._steps.corrections)
            state = _put(state, made, self._steps.scales.copy(), diverged)
            step = first
        if state.active and step < stop:
            state = self._taken_later(state, step, stop)
        return state

    def _taken_later(self, state: State, step: int, stop: int) -> State:
        own = cast(Any, state)
        later = cast(Later, self._later)
        begun = replace(self._layers, corrections=own.corrections, scales=own.scales)
        layers = narrowed(begun, later)
        if self._later_steps is None:
            self._later_steps = Compiled(layers, self._block)
        steps = self._later_steps
        steps.begin_anew(layers)
        diverged = self._descended(steps, step, stop)
        made = tuple(widened(later, own.corrections, steps.corrections, steps.scales))
        return _put(state, made, own.scales * steps.scales, diverged)

    def _descended(self, steps: Compiled, step: int, stop: int) -> int:
        """Take steps; return where the run has diverged, or -1."""
        while step < stop:
            count = min(self._block, stop - step)
            taken = steps.descend(euler(count), *self._numbers, self._limit)
            step += taken
            if taken < count:
                return step
        return -1


def _put(state: State, corrections: tuple[Any, ...], scales: Any, diverged: int) -> State:
    state = state._replace(corrections=corrections, scales=scales)
    if diverged < 0:
        return state
    return state._replace(active=np.asarray(False), diverged_step=np.asarray(diverged))


def _for_xla(inputs: Any) -> Any:
    """Return what XLA's programs take of a run's inputs."""
    return inputs._replace(constants=inputs.constants._replace(later=None))


class SteppedProgram(ReducedProgram):
    """The program of reduced runs with these steps."""

    _given_to: tuple[Any, list[Descending]] = None, []

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.grain = max(_RARER * self.grain, block_for(len(arguments[1][0].start.data.inputs)))

    def _compiled_segment(self, inputs: Any, carry: Any) -> Any:
        states = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                (leaf.shape[0], STOPS_A_SEGMENT, *leaf.shape[1:]), leaf.dtype
            ),
            carry.state,
        )
        stops = np.zeros(STOPS_A_SEGMENT, np.int64)
        records = jax.jit(self.layout.batch(self.kernel.records, 3))
        return with_whole_vectors(records.lower(inputs, carry, states, stops, stops.astype(bool)))

    def segment(
        self, inputs: Any, carry: Any, start: int, stops: np.ndarray, recorded: np.ndarray
    ) -> tuple[Any, dict[str, Any]]:
        """Train all lanes; see `Kernel.segment`.

        All steps are taken before the first record is made; see `Kernel.records`.
        """
        state = jax.tree.map(np.asarray, carry.state)
        lanes = []
        for lane, steps in enumerate(self._steps_of(inputs)):
            now, own = int(start), jax.tree.map(lambda leaf, lane=lane: leaf[lane], state)
            passed = []
            for stop in stops.tolist():
                own, now = steps.take(own, now, stop), stop
                passed.append(own)
            lanes.append(jax.tree.map(lambda *each: np.stack(each), *passed))
        states = jax.tree.map(lambda *each: np.stack(each), *lanes)
        return self._segment(_for_xla(inputs), carry, states, stops, recorded)

    def start(self, lanes: Sequence[Lane], paces: Sequence[Pace] | None = None) -> tuple[Any, Any]:
        """Return the inputs and the state at step 0; see `ReducedProgram.start`.

        The inputs have the bases of later steps, lane by lane, in their own sizes.
        """
        inputs, carry = super().start(lanes, paces)
        own = [lane.prepared.later for lane in lanes]
        later = tuple(own[min(k, len(own) - 1)] for k in range(self.layout.lanes))
        return inputs._replace(constants=inputs.constants._replace(later=later)), carry

    def residual_norms(self, inputs: Any, carry: Any) -> np.ndarray:
        """Return ||Phi|| of every lane now."""
        return super().residual_norms(_for_xla(inputs), carry)

    def _steps_of(self, inputs: Any) -> list[Descending]:
        """Return the steps of each lane."""
        if self._given_to[0] is not inputs:
            constants = jax.tree.map(np.asarray, _for_xla(inputs).constants)
            lanes = range(self.layout.lanes)
            own = [jax.tree.map(lambda leaf, lane=lane: leaf[lane], constants) for lane in lanes]
            later = inputs.constants.later
            self._given_to = inputs, [Descending(*each) for each in zip(own, later, strict=True)]
        return self._given_to[1]
