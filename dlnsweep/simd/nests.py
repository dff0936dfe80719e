"""Loops over the entries of arrays: what is written to memory, and sums."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from dlnsweep.simd.arrays import Array, Memo, Place, View
from dlnsweep.simd.entries import Emitter
from dlnsweep.simd.indices import ZERO, Index, loop, strides
from dlnsweep.simd.llvm import registers

# Loops of fewer operations are straight-line code.
UNROLLED = 128
# Entries that are computed together: their operations wait for each other less. Of long ones the
# numbers under way fill 16 registers by two, and 32 by four.
_AT_ONCE = 4
_LONG = 20
# Sums under way at any time.
_SUMS = 8


def over(
    builder: Any,
    shape: Sequence[int],
    width: int,
    body: Callable[[list[Place]], None],
    unrolled: bool = False,
) -> None:
    """Emit loops over all indices of a shape, some of the last axis at a time.

    Args:
        builder: LLVM's builder.
        shape: The shape.
        width: How many at a time.
        body: Emits what is done at some indices.
        unrolled: Whether it is emitted for each of them.
    """
    last = max((i for i, size in enumerate(shape) if size > 1), default=len(shape) - 1)

    def axis(number: int, place: Place) -> None:
        if number == last:
            rest = (ZERO,) * (len(shape) - last - 1)

            def some(first: Index, count: int, _: Any) -> list[Any]:
                body([(*place, first + i, *rest) for i in range(count)])
                return []

            size = shape[number]
            # A short axis is one piece.
            strides(
                builder, size, size if size <= width + width // 2 else width, some, (), unrolled
            )
            return

        def one(index: Index, _: Any) -> list[Any]:
            axis(number + 1, (*place, index))
            return []

        loop(builder, shape[number], one, (), unrolled)

    if shape:
        axis(0, ())
    else:
        body([()])


def write(emit: Emitter, array: Array, target: View) -> None:
    """Emit loops that write an array into memory."""

    def body(places: list[Place]) -> None:
        memo: Memo = {}
        block = emit.builder.block
        ends, entries = [len(block.instructions)], []
        for place in places:
            entries.append(array.at(memo, place))
            ends.append(len(block.instructions))
        if array.cost >= _LONG and emit.builder.block is block:
            _interleave(block, ends)
        for place, entry in zip(places, entries, strict=True):
            target.store(place, entry)

    at_once = _AT_ONCE if array.cost < _LONG else registers() // 8
    over(emit.builder, array.shape, at_once, body, array.size * (array.cost + 2) <= UNROLLED)


def write_along(emit: Emitter, array: Array, target: View, lanes: int) -> None:
    """Emit the same of single numbers, as many at a time as a vector holds, where they stand alike.

    Args:
        emit: What emits single numbers.
        array: The array.
        target: The memory.
        lanes: Numbers of a vector.
    """
    whole, rest = divmod(array.size, lanes)
    if not whole or array.elsewhere or target.elsewhere or array.shape != target.shape:
        write(emit, array, target)
        return
    # Row by row the last axis of more than one entry counts them all.
    last = max(i for i, size in enumerate(array.shape) if size > 1)

    def some(first: Index, count: int, step: int) -> None:
        memo: Memo = {}
        places = [
            tuple(first + i * step if axis == last else ZERO for axis in range(len(array.shape)))
            for i in range(count)
        ]
        for place in places:
            target.store(place, array.at(memo, place))

    def vectors(first: Index, count: int, _: Any) -> list[Any]:
        some(first * lanes, count, lanes)
        return []

    with emit.vectors(lanes):
        strides(emit.builder, whole, min(whole, _AT_ONCE), vectors)
    if rest:
        some(Index(whole * lanes), rest, 1)


def _interleave(block: Any, ends: Sequence[int]) -> None:
    """Reorder a block's last instructions: one of each piece in turn, behind what it needs.

    A processor looks ahead over some hundred instructions only, which is one piece or two: of
    pieces one after another it finds few that wait for nothing.

    Args:
        block: The block.
        ends: Where the pieces begin, and where the last one ends.
    """
    pieces = [deque(block.instructions[a:b]) for a, b in itertools.pairwise(ends)]
    missing = {id(each) for piece in pieces for each in piece}
    made = []
    while missing:
        for piece in pieces:
            if piece and not any(id(each) in missing for each in piece[0].operands):
                made.append(piece.popleft())
                missing.discard(id(made[-1]))
    block.instructions[ends[0] :] = made


Combine = Callable[[Any, Any], Any]


def reduced(
    emit: Emitter, array: Array, axes: Sequence[int], place: Place, combine: Combine, neutral: Any
) -> Any:
    """Emit loops that make one entry of many.

    Args:
        emit: What emits.
        array: The array.
        axes: The axes that are reduced.
        place: The indices on the others.
        combine: Makes one of two entries.
        neutral: What changes no entry that it is combined with.
    """
    *outer, last = sorted(axes, key=lambda axis: (array.shape[axis] > 1, axis))
    size = array.shape[last]
    width = min(_SUMS, size)
    kept = [i for i in range(len(array.shape)) if i not in axes]
    small = math.prod(array.shape[i] for i in axes) * (array.cost + 1) <= UNROLLED
    fixed = dict(zip(kept, place, strict=True))

    def of_axes(todo: list[int], chosen: dict[int, Index], given: list[Any]) -> list[Any]:
        def one(index: Index, given: list[Any]) -> list[Any]:
            return of_axes(todo[1:], {**chosen, todo[0]: index}, given)

        def some(first: Index, count: int, given: list[Any]) -> list[Any]:
            memo: Memo = {}
            for i in range(count):
                where = {**chosen, last: first + i}
                entry = array.at(memo, tuple(where[axis] for axis in range(len(array.shape))))
                given[i] = emit.vector(combine(given[i], entry), array.dtype)
            return given

        if todo:
            return loop(emit.builder, array.shape[todo[0]], one, given, small)
        return strides(emit.builder, size, width, some, given, small)

    entries = of_axes(outer, fixed, [emit.vector(neutral, array.dtype)] * width)
    while len(entries) > 1:
        pairs = zip(entries[::2], entries[1::2], strict=False)
        odd = entries[-1:] if len(entries) % 2 else []
        entries = [combine(a, b) for a, b in pairs] + odd
    return entries[0]
