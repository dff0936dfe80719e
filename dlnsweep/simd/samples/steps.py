"""A step of one run after another as machine code, samples in the lanes, and calling it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlnsweep.simd.entries import Refused
from dlnsweep.simd.equations import step_of
from dlnsweep.simd.memory import empty
from dlnsweep.simd.samples.translate import SamplePlaces, function
from dlnsweep.simd.stepping import Stepping


class SampleSteps(Stepping):
    """A step as vector instructions, samples of a run in the lanes.

    Args:
        jaxpr: The closed jaxpr of a step: of constants, state and number of the step (int64) it
            makes the state.
        constants: The number of its constants.
        axes: The axis of samples of those constants that have one, by their places.
        active: Which leaf of the state says whether a run goes on.
        itemsize: Bytes of a number in the precision of training.
        lanes: Samples of a vector; by default what fills the processor's registers.

    Attributes:
        samples: Samples of a run.

    Raises:
        Refused: If the step cannot be translated.
    """

    def __init__(
        self,
        jaxpr: Any,
        constants: int,
        axes: Mapping[int, int],
        active: int,
        itemsize: int = 8,
        lanes: int | None = None,
    ) -> None:
        super().__init__(itemsize, lanes)
        step = step_of(jaxpr)
        if not axes:
            raise Refused("it has no samples")
        self._places = SamplePlaces(step, constants, dict(axes), self.lanes)
        self._memory = self._places.state
        self.operations, self.samples = step.operations, self._places.samples
        self.primitives = frozenset(equation.name for equation in step.equations)
        self._sizes = function(self._module, step, self._places, active, itemsize)

    def constants(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return the memory of the constants of some runs, given as arrays (runs, ...)."""
        return self._places.packed(arrays)

    def take(self, state: np.ndarray, constants: np.ndarray, start: int, stop: int) -> None:
        """Take the steps `start`, ..., `stop` - 1 of all runs, in their state's memory."""
        # Each call has memory of its own: several threads may be here.
        self._take((state, constants, *map(empty, self._sizes)), start, stop)
