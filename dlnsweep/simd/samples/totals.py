"""Sums over the samples that grow from block to block: vectors in memory, added up at last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlnsweep.simd.arrays import Place, View
from dlnsweep.simd.entries import Emitter
from dlnsweep.simd.indices import ZERO, Index, loop, strides
from dlnsweep.simd.llvm import ir
from dlnsweep.simd.nests import over
from dlnsweep.simd.samples.tiles import added


def add_products(emit: Emitter, left: View, right: View, masks: Sequence[Any], found: View) -> None:
    """Emit the addition of A B^T of a block to vectors in memory.

    Args:
        emit: What emits.
        left: A, of one axis or two, the last the samples.
        right: B, likewise.
        masks: Which lanes of each vector hold samples; None where all do.
        found: The sums.
    """
    turned = len(left.shape) == len(right.shape) == 2 and left.shape[0] > right.shape[0]
    if turned:
        left, right = right, left
    rows, columns = (x.shape[0] if len(x.shape) > 1 else 1 for x in (left, right))

    def read(array: View, index: Index, place: int) -> Any:
        return array.at({}, (index, Index(place)) if len(array.shape) > 1 else (Index(place),))

    def row(i: Index, _: Any) -> list[Any]:
        factors = [_masked(emit, read(left, i, k), m, found) for k, m in enumerate(masks)]

        def column(j: Index, _: Any) -> list[Any]:
            place = [i] if len(left.shape) > 1 else []
            place += [j] if len(right.shape) > 1 else []
            target = tuple(place[::-1] if turned else place)
            total = found.at({}, target)
            for k, factor in enumerate(factors):
                # Of what is not finite nothing may be left behind the last sample, either.
                other = _masked(emit, read(right, j, k), masks[k], found)
                total = emit.fused(factor, other, total, found.dtype)
            found.store(target, total)
            return []

        loop(emit.builder, columns, column)
        return []

    loop(emit.builder, rows, row)


def add_sums(
    emit: Emitter, array: View, axes: Sequence[int], masks: Sequence[Any], found: View
) -> None:
    """Emit the addition of a block's sums along some axes, and over the samples.

    Args:
        emit: What emits.
        array: The array; its last axis are the samples.
        axes: The other axes that are summed over.
        masks: Which lanes of each vector hold samples; None where all do.
        found: The sums, vectors in memory.
    """
    kept = [i for i in range(len(array.shape) - 1) if i not in axes]

    def of_axes(todo: list[int], chosen: dict[int, Index], total: Any) -> Any:
        if todo:
            (made,) = loop(
                emit.builder,
                array.shape[todo[0]],
                lambda i, given: [of_axes(todo[1:], {**chosen, todo[0]: i}, given[0])],
                [total],
            )
            return made
        for k, mask in enumerate(masks):
            where = [chosen[i] for i in range(len(array.shape) - 1)]
            entry = _masked(emit, array.at({}, (*where, Index(k))), mask, found)
            total = emit.add(total, entry, found.dtype)
        return total

    def body(places: list[Place]) -> None:
        for place in places:
            fixed = dict(zip(kept, place, strict=True))
            found.store(place, of_axes(sorted(axes), fixed, found.at({}, place)))

    over(emit.builder, found.shape, 1, body)


def _masked(emit: Emitter, value: Any, mask: Any, found: View) -> Any:
    if mask is None:
        return value
    return emit.builder.select(mask, value, emit.vector(found.dtype.type(0), found.dtype))


def add_lanes(emit: Emitter, sums: View, target: View) -> None:
    """Emit the sums of the lanes of vectors, written as single numbers.

    Args:
        emit: What emits.
        sums: The vectors, in memory of their own, row by row.
        target: The numbers, likewise.
    """
    size = target.size
    # Row by row the last axis of more than one entry counts them all.
    last = max((i for i, n in enumerate(target.shape) if n > 1), default=0)
    together = min(4, emit.lanes)

    def some(first: Index, count: int, _: Any) -> list[Any]:
        def place(index: Index) -> Place:
            return tuple(index if i == last else ZERO for i in range(len(target.shape)))

        pieces = [count] if count == together else [1] * count
        start = 0
        for piece in pieces:
            vectors = [sums.at({}, place(first + start + i)) for i in range(piece)]
            made = added(emit, vectors)
            if piece == 1:
                made = emit.builder.extract_element(made, ir.Constant(ir.IntType(32), 0))
            emit.builder.store(
                made, target.address(place(first + start))
            ).align = target.slot.stored.itemsize
            start += piece
        return []

    strides(emit.builder, size, together, some)
