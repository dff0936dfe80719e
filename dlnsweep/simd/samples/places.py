"""Where the arrays of a step with samples in the lanes lie, run by run.

What has no samples lies as single numbers, row by row. Rows of samples are the last axis, padded to
whole vectors and blocks of these.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlnsweep.simd.entries import Refused
from dlnsweep.simd.equations import Step
from dlnsweep.simd.memory import Memory

# Vectors of a block, at most: with a row of a matrix they fill the registers.
_WIDEST = 8


def block_of(vectors: int) -> int:
    """Return how many vectors of samples a block has: few are left empty, and blocks are large."""
    if vectors <= _WIDEST:
        return vectors
    return min(range(4, _WIDEST + 1), key=lambda width: (-(-vectors // width) * width, -width))


class SamplePlaces:
    """Where the arguments and results of a step lie, run by run.

    Args:
        step: Of constants, state and number of the step it makes the state.
        constants: The number of its constants.
        axes: The axis of samples of those constants that have one, by their places.
        lanes: Samples of a vector.

    Attributes:
        samples: How many there are.
        vectors: How many vectors of them.
        row: Vectors from one row of samples to the next.
        block: Vectors of a block.
        own: The constants that are used.
        state: The state.
    """

    def __init__(self, step: Step, constants: int, axes: dict[int, int], lanes: int) -> None:
        variables, uses = step.inputs, step.uses()
        sizes = {variables[i].shape[axis] for i, axis in axes.items()}
        if len(sizes) != 1 or 0 in sizes:
            raise Refused("its arrays of samples are of several lengths")
        (self.samples,) = sizes
        vectors = -(-self.samples // lanes)
        self.lanes, self.block = lanes, block_of(vectors)
        self.blocks = -(-vectors // self.block)
        self.vectors = self.blocks * self.block
        # Rows at multiples of large powers of two would stand in each other's way in the caches.
        self.row = self.vectors | 1
        self.used = [v in uses for v in variables[:constants]]
        self.axes = axes
        kinds = []
        for i, variable in enumerate(variables[:constants]):
            shape = variable.shape
            if i in axes:
                shape = (*(n for k, n in enumerate(shape) if k != axes[i]), self.row * lanes)
            if self.used[i]:
                kinds.append((shape, variable.dtype))
        self.own = Memory.of(kinds, 1)
        self.state = Memory.of([(v.shape, v.dtype) for v in variables[constants:-1]], 1)

    def packed(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return the memory of the constants of some runs, given as arrays (runs, ...).

        What lies behind the last sample are copies of it.
        """
        given = []
        for i, array in enumerate(arrays):
            if not self.used[i]:
                continue
            one = np.asarray(array)
            if i in self.axes:
                one = np.moveaxis(one, self.axes[i] + 1, -1)
                places = np.minimum(np.arange(self.row * self.lanes), self.samples - 1)
                one = one[..., places]
            given.append(one)
        memory = self.own.empty(len(arrays[0]))
        self.own.pack(memory, given)
        return memory
