"""Reduced runs whose steps are machine code of LLVM's (`compiled.py`), and whose records are XLA's.

XLA reads each of the chain's matrices at every step once more than it multiplies with them, to put
M_j and N_j together, and where they are too large for one function it dispatches each operation
besides. Here some steps are made before what they change is added up, so that it is read and
written once for all of them, and a product takes its rows at the speed of the processor.

Steps are added up at multiples of `block_for` after the last stop, and M_j and N_j are then made of
the D_j anew: what a run gets does not depend on where it was stopped.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from dlnsweep.numerics.compiled import STOPS_A_SEGMENT, with_whole_vectors
from dlnsweep.numerics.lazy import jax
from dlnsweep.reduced.compact_descent import Constants, State
from dlnsweep.reduced.compiled import Compiled
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
    """

    def __init__(self, constants: Constants) -> None:
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
        layers = Layers(
            inputs=own.data.inputs,
            targets=own.targets,
            forward=own.forward,
            mixed=mixed,
            backward=[np.zeros((outer[0], 0)), *own.backward],
            corrections=[np.zeros(shape) for shape in zip(outer, inner, strict=True)],
            scales=np.ones(len(outer)),
        )
        self._steps = Compiled(layers, self._block)

    def take(self, state: State, step: int, stop: int) -> State:
        """Return a run's state after the steps `step`, ..., `stop` - 1, as NumPy arrays."""
        if not state.active or step >= stop:
            return state
        steps, own = self._steps, cast(Any, state)
        steps.begin(own.corrections, own.scales)
        diverged = -1
        while step < stop and diverged < 0:
            count = min(self._block, stop - step)
            taken = steps.descend(euler(count), *self._numbers, self._limit)
            step += taken
            if taken < count:
                diverged = step
        made = tuple(np.array(d) for d in steps.corrections)
        state = state._replace(corrections=made, scales=steps.scales.copy())
        if diverged < 0:
            return state
        return state._replace(active=np.asarray(False), diverged_step=np.asarray(diverged))


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
        return self._segment(inputs, carry, states, stops, recorded)

    def _steps_of(self, inputs: Any) -> list[Descending]:
        """Return the steps of each lane."""
        if self._given_to[0] is not inputs:
            constants = jax.tree.map(np.asarray, inputs.constants)
            lanes = range(self.layout.lanes)
            own = [jax.tree.map(lambda leaf, lane=lane: leaf[lane], constants) for lane in lanes]
            self._given_to = inputs, [Descending(each) for each in own]
        return self._given_to[1]
