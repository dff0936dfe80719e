"""Memory for what a step makes and reads again: pieces are given back and used anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnsweep.simd.arrays import Slot, View
from dlnsweep.simd.entries import Emitter
from dlnsweep.simd.llvm import ir
from dlnsweep.simd.memory import ALIGNMENT


class Workspace:
    """One piece of memory, and which parts of it are in use.

    Args:
        emit: What emits.
        base: Its address.
        itemsize: Bytes of a number in the precision of training; a truth value is as long.

    Attributes:
        size: How many bytes are needed.
    """

    def __init__(self, emit: Emitter, base: Any, itemsize: int) -> None:
        self._emit, self._base, self.size = emit, base, 0
        self._truth = np.dtype(f"i{itemsize}")
        self._free: list[tuple[int, int]] = []
        self._used: dict[Slot, tuple[int, int]] = {}

    def view(self, shape: tuple[int, ...], dtype: Any) -> View:
        """Return memory for an array."""
        dtype = np.dtype(dtype)
        stored = self._truth if dtype.kind == "b" else dtype
        wanted = int(np.prod(shape)) * self._emit.lanes * stored.itemsize
        wanted = -(-wanted // ALIGNMENT) * ALIGNMENT
        first = self._taken(wanted)
        number = ir.Constant(ir.IntType(64), first)
        address = self._emit.builder.gep(self._base, [number], source_etype=ir.IntType(8))
        slot = Slot(address, self._emit.lanes, stored)
        self._used[slot] = first, wanted
        return View.of(self._emit, slot, dtype, shape)

    def _taken(self, wanted: int) -> int:
        """Return where a free part begins: the first that is large enough."""
        for place, (first, size) in enumerate(self._free):
            if size >= wanted:
                self._free[place : place + 1] = [(first + wanted, size - wanted)]
                return first
        first = self.size
        if self._free and sum(self._free[-1]) == self.size:
            first = self._free.pop()[0]
        self.size = first + wanted
        return first

    def keep(self, slots: Any) -> None:
        """Give back what is not among these slots."""
        for slot in [slot for slot in self._used if slot not in slots]:
            self._free.append(self._used.pop(slot))
        merged: list[tuple[int, int]] = []
        for first, size in sorted(self._free):
            if merged and sum(merged[-1]) == first:
                merged[-1] = merged[-1][0], merged[-1][1] + size
            elif size:
                merged.append((first, size))
        self._free = merged
