"""A step of one run after another as machine code, samples in the lanes, and calling it."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlnsweep.simd.by_samples import SamplePlaces, function
from dlnsweep.simd.entries import Refused
from dlnsweep.simd.equations import step_of
from dlnsweep.simd.llvm import instruction_set
from dlnsweep.simd.machine import Machine, lanes_of, new_module
from dlnsweep.simd.memory import empty


class SampleSteps:
    """A step as vector instructions of samples, and their machine code once it is needed.

    Args:
        jaxpr: The closed jaxpr of a step: of constants, state and number of the step (int64) it
            makes the state.
        constants: The number of its constants.
        axes: The axis of samples of those constants that have one, by their places.
        active: Which leaf of the state says whether a run goes on.
        itemsize: Bytes of a number in the precision of training.
        lanes: Samples of a vector; by default what fills the processor's registers.

    Attributes:
        lanes: Samples of a vector.
        samples: Samples of a run.
        operations: Operations of a step, roughly.
        instruction_set: The name of the vector instructions.

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
        self.lanes = lanes or lanes_of(itemsize)
        step = step_of(jaxpr)
        if not axes:
            raise Refused("it has no samples")
        self._places = SamplePlaces(step, constants, dict(axes), self.lanes)
        self._module: Any = new_module("dlnsweep")
        self.operations, self.samples = step.operations, self._places.samples
        self._sizes = function(self._module, step, self._places, active, itemsize)
        self.instruction_set = instruction_set()
        self._train: Any = None

    def compile(self) -> None:
        """Make the machine code, unless it is there already; it takes about a second."""
        if self._train is not None:
            return
        self._machine, self._module = Machine(self._module), None
        kinds = [ctypes.c_void_p] * 4 + [ctypes.c_int64] * 3
        # ctypes lets other threads of Python go on while it runs.
        self._train = ctypes.CFUNCTYPE(None, *kinds)(self._machine.address("train"))

    def constants(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return the memory of the constants of some runs, given as arrays (runs, ...)."""
        return self._places.packed(arrays)

    def state(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return the memory of the state of some runs."""
        memory = self._places.state.empty(len(arrays[0]))
        self._places.state.pack(memory, arrays)
        return memory

    def arrays(self, state: np.ndarray, runs: int) -> list[np.ndarray]:
        """Return the state as arrays (runs, ...)."""
        return self._places.state.unpack(state, runs)

    def take(self, state: np.ndarray, constants: np.ndarray, start: int, stop: int) -> None:
        """Take the steps `start`, ..., `stop` - 1 of all runs, in their state's memory."""
        self.compile()
        # Each call has memory of its own: several threads may be here.
        pieces = (state, constants, *map(empty, self._sizes))
        self._train(*(piece.ctypes.data for piece in pieces), start, stop, len(state))
