"""A step of many runs as machine code, and calling it on their arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlnsweep.simd.entries import Refused
from dlnsweep.simd.equations import step_of
from dlnsweep.simd.memory import empty
from dlnsweep.simd.stepping import Stepping
from dlnsweep.simd.translate import MOST_OPERATIONS, Places, function


class Steps(Stepping):
    """A step as vector instructions, one run a lane.

    Args:
        jaxpr: The closed jaxpr of a step: of constants, state and number of the step (int64) it
            makes the state.
        constants: The number of its constants.
        active: Which leaf of the state says whether a run goes on.
        itemsize: Bytes of a number in the precision of training.
        shared: Which of the constants all runs have in common; by default none.
        lanes: Runs of a vector; by default what fills the processor's registers.
        most: The most operations that it may have.

    Attributes:
        primitives: What JAX calls them.
        memory_bytes: What a step needs beside constants and state.

    Raises:
        Refused: If the step cannot be translated.
    """

    def __init__(
        self,
        jaxpr: Any,
        constants: int,
        active: int,
        itemsize: int = 8,
        shared: Sequence[bool] | None = None,
        lanes: int | None = None,
        most: int = MOST_OPERATIONS,
    ) -> None:
        super().__init__(itemsize, lanes)
        common = [False] * constants if shared is None else shared
        step = step_of(jaxpr)
        if step.operations > most:
            raise Refused(f"its step has {step.operations:,} operations, more than {most:,}")
        self._places = Places(step, constants, common, self.lanes)
        self._memory = self._places.state
        self.operations = step.operations
        self.primitives = frozenset(equation.name for equation in step.equations)
        self.memory_bytes = function(self._module, step, self._places, active, itemsize)

    def constants(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the memory of the constants of some runs, given as arrays (runs, ...)."""
        places = self._places
        groups = -(-len(arrays[0]) // self.lanes)
        own = places.own.empty(groups)
        places.own.pack(own, [a for a, use in zip(arrays, places.alone, strict=True) if use])
        common = places.common.empty(1)
        chosen = [a[:1] for a, use in zip(arrays, places.shared, strict=True) if use]
        places.common.pack(common, chosen)
        return own, common

    def take(
        self, state: np.ndarray, constants: tuple[np.ndarray, np.ndarray], start: int, stop: int
    ) -> None:
        """Take the steps `start`, ..., `stop` - 1 of all runs, in their state's memory."""
        # Each call has memory of its own: several threads may be here.
        self._take((state, *constants, empty(self.memory_bytes)), start, stop)
