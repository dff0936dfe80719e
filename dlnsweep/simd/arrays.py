"""Arrays of a step in loops: a function of an entry's indices, or a place in memory.

What is computed entry by entry is carried out where it is read, so that chains of such operations
become one loop. What a place in memory is seen as (transposed, cut, repeated) is NumPy's to say: a
`View` has an array of bytes, one an entry, of which only the strides are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnsweep.simd.entries import Emitter, Entry
from dlnsweep.simd.indices import ZERO, Index
from dlnsweep.simd.llvm import ir
from dlnsweep.simd.memory import ALIGNMENT

Place = tuple[Index, ...]
Memo = dict[Any, Entry]


@dataclass(frozen=True, eq=False)
class Slot:
    """A piece of memory.

    Attributes:
        base: Its address.
        lanes: The numbers of an entry: those of a vector, or one that all runs have in common.
        stored: The type of a number there; of truth values integers, not zero where they hold.
    """

    base: Any
    lanes: int
    stored: np.dtype

    @property
    def entry_bytes(self) -> int:
        """Bytes of an entry."""
        return self.lanes * self.stored.itemsize


class Array:
    """An array that is computed where it is read.

    Args:
        shape: Its shape.
        dtype: The type of its numbers.
        entry: Returns the entry at some indices, and may look up others in a memo of the arrays'
            entries that have been emitted at this point.
        parts: The arrays that it is made of.
        cost: The operations of an entry beside those of its parts.
        moved: Whether an entry is made of others than those at its own indices.

    Attributes:
        cost: The operations of an entry.
        reads: The memory that it is read from.
        elsewhere: That of it which is read at other indices.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: Any,
        entry: Callable[[Memo, Place], Entry],
        parts: Iterable[Array] = (),
        cost: int = 0,
        moved: bool = False,
    ) -> None:
        self.shape, self.dtype, self._entry = tuple(shape), np.dtype(dtype), entry
        parts = list(parts)
        self.cost = cost + sum(part.cost for part in parts)
        self.reads: frozenset[Slot] = frozenset().union(*(part.reads for part in parts))
        away = (part.reads if moved else part.elsewhere for part in parts)
        self.elsewhere: frozenset[Slot] = frozenset().union(*away)

    @property
    def size(self) -> int:
        """The number of its entries."""
        return math.prod(self.shape)

    def at(self, memo: Memo, place: Place) -> Entry:
        """Return the entry at some indices."""
        key = self, place
        if key not in memo:
            memo[key] = self._entry(memo, place)
        return memo[key]


class View(Array):
    """An array in memory.

    Args:
        emit: What emits.
        slot: The memory.
        dtype: The type of its numbers.
        seen: The entries as an array of bytes, a view of `whole`.
        whole: All entries of the slot, likewise.
        moved: Whether entries stand at others' places, counted row by row.
        start: How many entries further all of it lies.
    """

    def __init__(
        self,
        emit: Emitter,
        slot: Slot,
        dtype: Any,
        seen: Any,
        whole: Any,
        moved: bool = False,
        start: Index = ZERO,
    ) -> None:
        super().__init__(seen.shape, dtype, self._load)
        self.reads = frozenset([slot])
        self.elsewhere = self.reads if moved else frozenset()
        self._emit, self.slot, self._seen, self._whole = emit, slot, seen, whole
        self._start = start

    @classmethod
    def of(cls, emit: Emitter, slot: Slot, dtype: Any, shape: tuple[int, ...]) -> View:
        """Return the whole of a slot as an array, row by row."""
        whole = np.empty(math.prod(shape), np.uint8)
        return cls(emit, slot, dtype, whole.reshape(shape), whole)

    def moved(self, function: Callable[[Any], Any]) -> View | None:
        """Return what a function of NumPy's makes of it, unless that cannot be seen so."""
        seen = function(self._seen)
        if not np.may_share_memory(seen, self._whole):
            return None
        first = seen.ctypes.data == self._whole.ctypes.data
        in_order = first and seen.size == self._whole.size and seen.flags.c_contiguous
        moved = not in_order
        return View(self._emit, self.slot, self.dtype, seen, self._whole, moved, self._start)

    def read_by(self, emit: Emitter) -> View:
        """Return the same for what emits vectors of other lanes; it lies in single numbers."""
        assert self.slot.lanes == 1
        return View(emit, self.slot, self.dtype, self._seen, self._whole, True, self._start)

    def further(self, start: Index, function: Callable[[Any], Any]) -> View:
        """Return what a function of NumPy's cuts out of it, so many entries further."""
        seen, start = function(self._seen), self._start + start
        return View(self._emit, self.slot, self.dtype, seen, self._whole, True, start)

    @property
    def is_contiguous(self) -> bool:
        """Whether entries that follow each other on the last axis do so in memory."""
        return not self.shape or self._seen.strides[-1] == 1

    def address(self, place: Place) -> Any:
        """Return where an entry lies."""
        first = self._seen.ctypes.data - self._whole.ctypes.data
        offset = self._start + first
        for index, stride in zip(place, self._seen.strides, strict=True):
            offset = offset + index * stride
        offset = offset * self.slot.entry_bytes
        builder, byte, address = self._emit.builder, ir.IntType(8), self.slot.base
        by_counters = offset.value(builder, constant=False)
        if by_counters is not None:
            address = builder.gep(address, [by_counters], source_etype=byte)
        number = ir.Constant(ir.IntType(64), offset.constant)
        return builder.gep(address, [number], source_etype=byte)

    def _load(self, _: Memo, place: Place) -> Entry:
        emit, stored = self._emit, self.slot.stored
        whole = self.slot.lanes > 1 or emit.along
        kind = emit.kind(stored) if whole else emit.element(stored)
        value = emit.builder.load(self.address(place), typ=kind)
        value.align = math.gcd(self.slot.entry_bytes, ALIGNMENT)
        if not whole:
            value = emit.splat(value)
        return emit.convert(value, stored, self.dtype)

    def of_runs(self, place: Place, chosen: Mapping[int, Any]) -> Entry:
        """Return the entries at indices that each run has of its own on some axes.

        Args:
            place: The indices on the other axes; on these what is added.
            chosen: Vectors of int64 by axis, all within it.
        """
        emit, slot, builder = self._emit, self.slot, self._emit.builder
        element = emit.element(slot.stored)
        found = ir.Constant(emit.kind(slot.stored), ir.Undefined)
        for lane, address in enumerate(self._addresses(place, chosen)):
            value = builder.load(address, typ=element)
            value.align = slot.stored.itemsize
            found = builder.insert_element(found, value, ir.Constant(ir.IntType(32), lane))
        return emit.convert(found, slot.stored, self.dtype)

    def store_of_runs(self, place: Place, chosen: Mapping[int, Any], entry: Entry) -> None:
        """Write entries there, as `of_runs` reads them."""
        value, builder = self._stored(entry), self._emit.builder
        for lane, address in enumerate(self._addresses(place, chosen)):
            one = builder.extract_element(value, ir.Constant(ir.IntType(32), lane))
            builder.store(one, address).align = self.slot.stored.itemsize

    def _addresses(self, place: Place, chosen: Mapping[int, Any]) -> list[Any]:
        """Return where the number of each run lies."""
        emit, slot, builder = self._emit, self.slot, self._emit.builder
        kind, byte, base = ir.IntType(64), ir.IntType(8), self.address(place)
        found = []
        for lane in range(emit.lanes):
            number = ir.Constant(ir.IntType(32), lane)
            offset = ir.Constant(kind, lane * slot.stored.itemsize if slot.lanes > 1 else 0)
            for axis, indices in chosen.items():
                stride = ir.Constant(kind, self._seen.strides[axis] * slot.entry_bytes)
                part = builder.mul(builder.extract_element(indices, number), stride)
                offset = builder.add(offset, part)
            found.append(builder.gep(base, [offset], source_etype=byte))
        return found

    def _stored(self, entry: Entry) -> Any:
        """Return an entry as a vector of what lies in memory."""
        value = self._emit.vector(entry, self.dtype)
        if self.dtype.kind != "b":
            return value
        wide = self._emit.kind(self.slot.stored)
        extended = (
            self._emit.builder.sext if self.slot.stored.itemsize > 1 else (self._emit.builder.zext)
        )
        return extended(value, wide)

    def store(self, place: Place, entry: Entry) -> None:
        """Write an entry."""
        emit, value = self._emit, self._stored(entry)
        if self.dtype.kind == "f" and getattr(value, "opname", "") == "select":
            # Else it becomes a masked store, for which some processors take ten times as long.
            value = emit.call("llvm.arithmetic.fence", self.dtype, value)
        emit.builder.store(value, self.address(place)).align = math.gcd(
            self.slot.entry_bytes, ALIGNMENT
        )
