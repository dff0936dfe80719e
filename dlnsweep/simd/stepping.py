"""Machine code that takes steps of runs in memory, once it is needed: what both layouts share."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from dlnsweep.simd.llvm import instruction_set
from dlnsweep.simd.machine import Machine, lanes_of, new_module
from dlnsweep.simd.memory import Memory

# Functions that take as long here as many other operations.
_ERRORS = frozenset({"erf", "erfc"})


class Stepping:
    """Steps as vector instructions, and their machine code once it is needed.

    Args:
        itemsize: Bytes of a number in the precision of training.
        lanes: Numbers of a vector; by default what fills the processor's registers.

    Attributes:
        lanes: Numbers of a vector.
        itemsize: Bytes of a number in the precision of training.
        operations: Operations of a step, roughly.
        primitives: What JAX calls them.
        instruction_set: The name of the vector instructions.
    """

    operations: int
    primitives: frozenset[str]
    # Where the state of the runs lies.
    _memory: Memory

    def __init__(self, itemsize: int, lanes: int | None) -> None:
        self.itemsize, self.lanes = itemsize, lanes or lanes_of(itemsize)
        self._module: Any = new_module("dlnsweep")
        self.instruction_set = instruction_set()
        self._train: Any = None

    @property
    def has_error_function(self) -> bool:
        """Whether a step has erf, which takes as long here as many other operations."""
        return not _ERRORS.isdisjoint(self.primitives)

    def compile(self) -> None:
        """Make the machine code, unless it is there already; it takes about a second."""
        if self._train is not None:
            return
        self._machine, self._module = Machine(self._module), None
        kinds = [ctypes.c_void_p] * 4 + [ctypes.c_int64] * 3
        # ctypes lets other threads of Python go on while it runs.
        self._train = ctypes.CFUNCTYPE(None, *kinds)(self._machine.address("train"))

    def state(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return the memory of the state of some runs, given as arrays (runs, ...)."""
        memory = self._memory.empty(-(-len(arrays[0]) // self._memory.lanes))
        self._memory.pack(memory, arrays)
        return memory

    def arrays(self, state: np.ndarray, runs: int) -> list[np.ndarray]:
        """Return the state as arrays (runs, ...)."""
        return self._memory.unpack(state, runs)

    def _take(self, pieces: Sequence[np.ndarray], start: int, stop: int) -> None:
        """Take steps of all runs in these pieces of memory, the first of which is their state."""
        self.compile()
        self._train(*(piece.ctypes.data for piece in pieces), start, stop, len(pieces[0]))
