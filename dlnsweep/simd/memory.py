"""Where the numbers of the runs lie: for each group of lanes its entries, each a vector.

A leaf (one array a run) lies as its entries one after another, each with one number a lane. Truth
values take a byte. A leaf that all runs have in common can lie there once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ALIGNMENT = 64


def empty(size: int) -> np.ndarray:
    """Return as many bytes, zeros, from an aligned one on."""
    whole = np.zeros(size + ALIGNMENT, np.uint8)
    first = -whole.ctypes.data % ALIGNMENT
    return whole[first : first + size]


@dataclass(frozen=True)
class Leaf:
    """An array that each run has.

    Attributes:
        shape: Its shape in one run.
        dtype: The type of its numbers.
        offset: Bytes before it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int

    @property
    def size(self) -> int:
        """The number of its entries."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Memory:
    """Leaves one after another, each at a multiple of `ALIGNMENT` bytes.

    Attributes:
        leaves: The leaves.
        lanes: The numbers that each entry has.
        stride: Bytes of a group.
    """

    leaves: tuple[Leaf, ...]
    lanes: int
    stride: int

    @classmethod
    def of(cls, kinds: Sequence[tuple[tuple[int, ...], Any]], lanes: int) -> Memory:
        """Lay out leaves of these shapes and types."""
        leaves, offset = [], 0
        for shape, dtype in kinds:
            leaf = Leaf(tuple(shape), np.dtype(dtype), offset)
            leaves.append(leaf)
            used = leaf.size * lanes * leaf.dtype.itemsize
            offset += -(-used // ALIGNMENT) * ALIGNMENT
        return cls(tuple(leaves), lanes, offset)

    def empty(self, groups: int) -> np.ndarray:
        """Return memory for some groups, (groups, stride) bytes."""
        return empty(groups * self.stride).reshape(groups, self.stride)

    def _seen(self, buffer: np.ndarray, leaf: Leaf) -> np.ndarray:
        """Return a leaf in a buffer, (groups, entries, lanes)."""
        end = leaf.offset + leaf.size * self.lanes * leaf.dtype.itemsize
        part = buffer[:, leaf.offset : end].view(leaf.dtype)
        return part.reshape(len(buffer), leaf.size, self.lanes)

    def pack(self, buffer: np.ndarray, arrays: Sequence[np.ndarray]) -> None:
        """Write arrays of all runs, (runs, ...); lanes that are left are copies of the last run."""
        for leaf, array in zip(self.leaves, arrays, strict=True):
            runs = len(array)
            places = np.minimum(np.arange(len(buffer) * self.lanes), runs - 1)
            flat = np.asarray(array).reshape(runs, leaf.size)
            whole = flat if len(places) == runs else flat[places]
            groups = whole.reshape(len(buffer), self.lanes, leaf.size)
            self._seen(buffer, leaf)[...] = groups.transpose(0, 2, 1)

    def unpack(self, buffer: np.ndarray, runs: int) -> list[np.ndarray]:
        """Return the arrays of all runs, (runs, ...)."""
        found = []
        for leaf in self.leaves:
            seen = self._seen(buffer, leaf).transpose(0, 2, 1)
            flat = seen.reshape(len(buffer) * self.lanes, leaf.size)[:runs]
            found.append(np.ascontiguousarray(flat).reshape(runs, *leaf.shape))
        return found
