"""Products of matrices in loops, a block of sums at a time in registers.

A fused multiply-add takes four cycles and two begin in each, so eight sums must be under way at any
time, and two numbers can be read in a cycle. A block of r x c sums reads r + c numbers a term, and
its sums and factors have 16 registers, or 32, of which products of few entries have use: how they
are cut changes no bit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

from dlnsweep.simd.arrays import Array, Memo, View
from dlnsweep.simd.entries import Emitter
from dlnsweep.simd.indices import ZERO, Index, loop, strides
from dlnsweep.simd.llvm import registers

# Products of fewer terms are straight-line code; of those of 5 x 5 matrices and more, a step of ten
# layers would be longer than the first cache of instructions.
UNROLLED = 100
_MOST_SUMS = 12
_LATENCY = 4.0
# Multiply-adds that one round of the innermost loop has, at least; of larger blocks a term is
# enough.
_ROUND = 50


def multiply(
    emit: Emitter,
    left: Array,
    right: Array,
    axes: tuple[Sequence[int], Sequence[int]],
    batch: tuple[Sequence[int], Sequence[int]],
    found: View,
) -> None:
    """Emit a product as `dot_general` has it: axes of the batch, of the left, of the right.

    Each entry is summed from the first term to the last, rounded once a term; sums of many terms
    that stand alone are summed in several parts.

    Args:
        emit: What emits.
        left: One factor.
        right: The other.
        axes: The axes that are summed over, of each.
        batch: The axes that both have in common, of each.
        found: Where the product is written.
    """
    free = [i for i in range(len(left.shape)) if i not in (*axes[0], *batch[0])]
    other_free = [i for i in range(len(right.shape)) if i not in (*axes[1], *batch[1])]
    row, column = _largest(left, free), _largest(right, other_free)
    terms = [left.shape[i] for i in axes[0]]
    rows = left.shape[row] if row is not None else 1
    columns = right.shape[column] if column is not None else 1
    height, width = block_of(rows, columns, registers())
    small = found.size * math.prod(terms) <= UNROLLED
    place: dict[tuple[str, int], Index] = {}

    def outer(todo: list[tuple[str, int, int]]) -> None:
        """Loop over all axes of the product but the two of a block."""
        if not todo:
            strides(emit.builder, rows, height, of_rows, (), small)
            return
        side, axis, size = todo[0]

        def one(index: Index, _: Any) -> list[Any]:
            place[side, axis] = index
            outer(todo[1:])
            return []

        loop(emit.builder, size, one, (), small)

    def of_rows(top: Index, count: int, _: Any) -> list[Any]:
        def block(first: Index, wide: int, _: Any) -> list[Any]:
            _block(top, first, count, wide)
            return []

        strides(emit.builder, columns, width, block, (), small)
        return []

    def _block(top: Index, first: Index, count: int, wide: int) -> None:
        places = list(itertools.product(range(count), range(wide)))
        zero = emit.vector(found.dtype.type(0), found.dtype)

        def read(array: Array, side: str, own: int | None, index: Index, inner: Any) -> Any:
            chosen = [ZERO] * len(array.shape)
            both = batch[0] if side == "left" else batch[1]
            summed = axes[0] if side == "left" else axes[1]
            for number, axis in enumerate(both):
                chosen[axis] = place["batch", number]
            for number, axis in enumerate(summed):
                chosen[axis] = inner[number]
            for (where, axis), value in place.items():
                if where == side:
                    chosen[axis] = value
            if own is not None:
                chosen[own] = index
            memo: Memo = {}
            return emit.vector(array.at(memo, tuple(chosen)), found.dtype)

        def add(inner: list[Index], sums: list[Any]) -> list[Any]:
            a = [read(left, "left", row, top + i, inner) for i in range(count)]
            b = [read(right, "right", column, first + j, inner) for j in range(wide)]
            return [
                emit.fused(a[i], b[j], total, found.dtype)
                for (i, j), total in zip(places, sums, strict=True)
            ]

        def summed(todo: list[int], inner: list[Index], sums: list[Any]) -> list[Any]:
            size = todo[0]
            if len(todo) > 1:
                return loop(
                    emit.builder, size, lambda k, s: summed(todo[1:], [*inner, k], s), sums, small
                )
            parts = max(1, min(size, math.ceil(8 / len(places)))) if len(places) < 4 else 1
            terms_a_round = 1 if len(places) > _MOST_SUMS else math.ceil(_ROUND / len(places))
            at_once = max(parts, min(size, terms_a_round))
            at_once -= at_once % parts

            def terms(k: Index, number: int, sums: list[Any]) -> list[Any]:
                for more in range(number):
                    part = more % parts
                    chosen = slice(part * len(places), (part + 1) * len(places))
                    sums[chosen] = add([*inner, k + more], sums[chosen])
                return sums

            more = [zero] * len(places) * (parts - 1)
            whole = strides(emit.builder, size, at_once, terms, sums + more, small)
            pieces = [whole[i :: len(places)] for i in range(len(places))]
            return [_in_pairs(emit, piece) for piece in pieces]

        sums = summed(terms, [], [zero] * len(places))
        for (i, j), total in zip(places, sums, strict=True):
            target = [place["batch", number] for number in range(len(batch[0]))]
            target += [top + i if axis == row else place["left", axis] for axis in free]
            target += [first + j if axis == column else place["right", axis] for axis in other_free]
            found.store(tuple(target), total)

    todo = [("batch", number, left.shape[axis]) for number, axis in enumerate(batch[0])]
    todo += [("left", axis, left.shape[axis]) for axis in free if axis != row]
    todo += [("right", axis, right.shape[axis]) for axis in other_free if axis != column]
    outer(todo)


def _in_pairs(emit: Emitter, entries: list[Any]) -> Any:
    while len(entries) > 1:
        pairs = zip(entries[::2], entries[1::2], strict=False)
        odd = entries[-1:] if len(entries) % 2 else []
        entries = [emit.builder.fadd(a, b) for a, b in pairs] + odd
    return entries[0]


def _largest(array: Array, axes: Sequence[int]) -> int | None:
    return max(axes, key=lambda axis: array.shape[axis], default=None)


@cache
def block_of(rows: int, columns: int, count: int) -> tuple[int, int]:
    """Return the height and width of blocks whose sums take the least time.

    Args:
        rows: Of the product.
        columns: Likewise.
        count: The processor's registers.
    """
    if count == 32 and {rows, columns} <= {4, 5}:
        return 4, columns

    def cycles(height: int, width: int) -> float:
        sums, reads = height * width, height + width
        return max(sums / 2, reads / 2, _LATENCY)

    def whole(height: int, width: int) -> float:
        total = 0.0
        for high, down in _pieces(rows, height):
            for wide, across in _pieces(columns, width):
                total += down * across * (cycles(high, wide) + 1)
        return total

    shapes = [
        (height, width)
        for height in range(1, min(rows, _MOST_SUMS) + 1)
        for width in range(1, min(columns, _MOST_SUMS) + 1)
        if height * width <= _MOST_SUMS and min(height, width) + height * width <= 15
    ]
    return min(shapes, key=lambda shape: whole(*shape))


def _pieces(size: int, width: int) -> list[tuple[int, int]]:
    whole, rest = divmod(size, width)
    return [(width, whole), (rest, 1)] if rest else [(width, whole)]
