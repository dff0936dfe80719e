"""Products of matrices with samples in the lanes, as many sums at a time as registers hold.

A processor with two fused multiply-adds a cycle, each of four cycles, reads two numbers in it:
tiles of r x c sums read r + c numbers a term. What is read of a matrix without samples is one
number, spread over a vector. Sums over the samples are vectors, whose lanes are added at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dlnsweep.simd.arrays import Array, Memo, View
from dlnsweep.simd.entries import Emitter
from dlnsweep.simd.indices import ZERO, Index, loop, strides
from dlnsweep.simd.llvm import ir, registers

# Multiply-adds that one round of the innermost loop has, at least.
_ROUND = 48
# Rows of a tile, at most: each is read from memory by itself.
_MOST_ROWS = 8
# Columns of a tile of sums over the samples.
_COLUMNS = 4
# Sums under way in any cycle: two begin in each, and take four.
_LATENCY = 8
# Sums of a tile that leave registers for the factors of one term alone. Rounds of some terms are
# still better, as a loop of few rounds ends where the processor expects it: of so many as leave no
# terms over, or of this many.
_LARGE, _TERMS, _ANYWAY = 16, (8, 7, 6, 5, 4), 5


def tile_sums() -> int:
    """Return how many sums are under way together: what leaves registers for their factors."""
    return 24 if registers() == 32 else 12


def height_of(rows: int, width: int) -> int:
    """Return the height of tiles of some width that take the least time for so many rows."""

    def cycles(height: int) -> float:
        return max(height * width / 2, (height + width) / 2, _LATENCY / 2) + 0.5

    def whole(height: int) -> tuple[float, int]:
        number, rest = divmod(rows, height)
        return number * cycles(height) + (cycles(rest) if rest else 0.0), height

    most = max(1, min(rows, _MOST_ROWS, tile_sums() // width))
    return min(range(1, most + 1), key=whole)


def multiply(
    emit: Emitter,
    left: Array,
    right: Array,
    axes: tuple[Any, Any],
    batch: tuple[Any, Any],
    found: View,
) -> None:
    """Emit a product as `dot_general` has it, of a right factor whose last axis are the samples.

    Each entry is summed from the first term to the last, rounded once a term; few sums of many
    terms are made in several parts.

    Args:
        emit: What emits.
        left: The factor without samples.
        right: The other.
        axes: The axes that are summed over, of each.
        batch: The axes that both have in common, of each.
        found: Where the product is written.
    """
    block = right.shape[-1]
    free = [i for i in range(len(left.shape)) if i not in (*axes[0], *batch[0])]
    other = [i for i in range(len(right.shape) - 1) if i not in (*axes[1], *batch[1])]
    row = max(free, key=lambda axis: left.shape[axis], default=None)
    rows = 1 if row is None else left.shape[row]
    height = height_of(rows, block)
    terms = [left.shape[i] for i in axes[0]]
    place: dict[tuple[str, int], Index] = {}

    def outer(todo: list[tuple[str, int, int]]) -> None:
        if not todo:
            strides(emit.builder, rows, height, tile)
            return
        side, axis, size = todo[0]

        def one(index: Index, _: Any) -> list[Any]:
            place[side, axis] = index
            outer(todo[1:])
            return []

        loop(emit.builder, size, one)

    def read(array: Array, side: str, own: dict[int, Index], inner: list[Index]) -> Any:
        number = 0 if side == "left" else 1
        chosen = [ZERO] * len(array.shape)
        for k, axis in enumerate(batch[number]):
            chosen[axis] = place["batch", k]
        for k, axis in enumerate(axes[number]):
            chosen[axis] = inner[k]
        for (where, axis), value in place.items():
            if where == side:
                chosen[axis] = value
        for axis, value in own.items():
            chosen[axis] = value
        memo: Memo = {}
        return emit.vector(array.at(memo, tuple(chosen)), found.dtype)

    def tile(top: Index, count: int, _: Any) -> list[Any]:
        sums = count * block
        last = len(right.shape) - 1

        def add(inner: list[Index], given: list[Any]) -> list[Any]:
            vectors = [read(right, "right", {last: Index(j)}, inner) for j in range(block)]
            made = []
            for i in range(count):
                own = {} if row is None else {row: top + i}
                factor = read(left, "left", own, inner)
                for j in range(block):
                    made.append(emit.fused(factor, vectors[j], given[i * block + j], found.dtype))
            return made

        def summed(todo: list[int], inner: list[Index], given: list[Any]) -> list[Any]:
            size = todo[0]
            if len(todo) > 1:
                return loop(
                    emit.builder, size, lambda k, s: summed(todo[1:], [*inner, k], s), given
                )
            return in_parts(
                emit, size, lambda k, s: add([*inner, k], s), given, len(todo) < len(terms)
            )

        zero = emit.vector(found.dtype.type(0), found.dtype)
        made = summed(terms, [], [zero] * sums)
        for i in range(count):
            target = [place["batch", k] for k in range(len(batch[0]))]
            target += [top + i if axis == row else place["left", axis] for axis in free]
            target += [place["right", axis] for axis in other]
            for j in range(block):
                found.store((*target, Index(j)), made[i * block + j])
        return []

    todo = [("batch", k, left.shape[axis]) for k, axis in enumerate(batch[0])]
    todo += [("left", axis, left.shape[axis]) for axis in free if axis != row]
    todo += [("right", axis, right.shape[axis]) for axis in other]
    outer(todo)


def in_parts(
    emit: Emitter,
    size: int,
    add: Callable[[Index, list[Any]], list[Any]],
    sums: list[Any],
    whole: bool = False,
) -> list[Any]:
    """Emit a loop over terms that are added to sums; few sums are made in several parts.

    Args:
        emit: What emits.
        size: The number of terms; there may be none.
        add: Adds a term to sums.
        sums: What they are at first; zeros where they may be made in parts.
        whole: Whether they are not.
    """
    count = len(sums)
    parts = 1 if whole else max(1, min(size, math.ceil(_LATENCY / count)))
    if count < _LARGE:
        at_once = max(parts, min(size, math.ceil(_ROUND / count)))
    else:
        at_once = next((k for k in _TERMS if size % k == 0), min(size, _ANYWAY))
    at_once -= at_once % parts

    def some(first: Index, number: int, given: list[Any]) -> list[Any]:
        for more in range(number):
            chosen = slice(more % parts * count, (more % parts + 1) * count)
            given[chosen] = add(first + more, given[chosen])
        return given

    made = strides(emit.builder, size, at_once, some, sums * parts) if size else sums
    while len(made) > count:
        pairs = len(made) // count // 2 * count
        rest = made[2 * pairs :]
        made = [emit.builder.fadd(a, b) for a, b in zip(made[:pairs], made[pairs : 2 * pairs],
                                                         strict=True)] + rest  # fmt: skip
    return made


def multiply_samples(emit: Emitter, left: View, right: View, samples: int, found: View) -> None:
    """Emit A B^T of two arrays of one or two axes, the last the samples, into memory of numbers.

    Args:
        emit: What emits.
        left: A.
        right: B.
        samples: How many there are; what is in the lanes behind them does not count.
        found: Memory of single numbers, row by row.
    """
    if len(right.shape) > 1 and len(left.shape) > 1 and left.shape[0] > 1 == right.shape[0]:
        # One column is summed as a row.
        turned = found.moved(lambda seen: seen.T)
        assert turned is not None
        multiply_samples(emit, right, left, samples, turned)
        return
    rows, columns = (x.shape[0] if len(x.shape) > 1 else 1 for x in (left, right))
    whole, rest = divmod(samples, emit.lanes)
    dtype = found.dtype
    zero = emit.vector(dtype.type(0), dtype)
    mask = _mask(emit, rest)

    def read(array: View, index: Index, place: Index) -> Any:
        return array.at({}, (index, place) if len(array.shape) > 1 else (place,))

    def rows_of(top: Index, count: int, _: Any) -> list[Any]:
        """Emit some rows: these stay in the first cache while the columns pass."""

        def tile(first: Index, wide: int) -> None:
            def add(place: Index, given: list[Any], masked: bool = False) -> list[Any]:
                factors = [read(left, top + i, place) for i in range(count)]
                vectors = [read(right, first + j, place) for j in range(wide)]
                if masked:
                    # Of what is not finite nothing may be left, either.
                    factors, vectors = (
                        [emit.builder.select(mask, each, zero) for each in both]
                        for both in (factors, vectors)
                    )
                return [
                    emit.fused(factors[i], vectors[j], given[i * wide + j], dtype)
                    for i in range(count)
                    for j in range(wide)
                ]

            sums = in_parts(emit, whole, add, [zero] * (count * wide))
            if rest:
                sums = add(Index(whole), sums, masked=True)
            for i in range(count):
                made = added(emit, sums[i * wide : (i + 1) * wide])
                place = [top + i] if len(left.shape) > 1 else []
                _store(emit, made, found, place, first if len(right.shape) > 1 else None)

        start, width = 0, min(_COLUMNS, emit.lanes)
        while start < columns:
            # The lanes of a power of two of vectors can be added together.
            width = min(width, 1 << ((columns - start).bit_length() - 1))
            number = (columns - start) // width

            def one(index: Index, _: Any, width: int = width, start: int = start) -> list[Any]:
                tile(index * width + start, width)
                return []

            loop(emit.builder, number, one)
            start += number * width
        return []

    strides(emit.builder, rows, height_of(rows, min(_COLUMNS, columns)), rows_of)


def _store(emit: Emitter, made: Any, found: View, row: list[Index], first: Index | None) -> None:
    """Write a vector of sums that stand beside each other in a row of the product."""
    align, wide = found.slot.stored.itemsize, made.type.count
    if wide > 1 and first is not None and found.is_contiguous:
        emit.builder.store(made, found.address((*row, first))).align = align
        return
    for j in range(wide):
        one = emit.builder.extract_element(made, ir.Constant(ir.IntType(32), j))
        place = (*row, *([] if first is None else [first + j]))
        emit.builder.store(one, found.address(place)).align = align


def _mask(emit: Emitter, count: int) -> Any:
    """Return which lanes are among the first ones."""
    bits = [ir.Constant(ir.IntType(1), int(lane < count)) for lane in range(emit.lanes)]
    return ir.Constant(ir.VectorType(ir.IntType(1), emit.lanes), bits)


def added(emit: Emitter, vectors: list[Any]) -> Any:
    """Return the sum of the lanes of each vector, as a vector; they are a power of two.

    Neighbours are added, then neighbours of these. Numbers are moved within 128 bits while they
    can be, which takes a quarter of the time of other moves, or less.
    """
    b, kind = emit.builder, ir.IntType(32)
    near = 2 if isinstance(vectors[0].type.element, ir.DoubleType) else 4
    # Of each vector which sum each of its lanes is a part of, and which part.
    lanes = [[(i, part) for part in range(v.type.count)] for i, v in enumerate(vectors)]

    def halves(pairs: list[tuple[Any, list[tuple[int, int]]]]) -> tuple[Any, list[tuple[int, int]]]:
        size = pairs[0][0].type.count
        found = {each: k for k, each in enumerate(one for _, order in pairs for one in order)}
        made = [(i, part // 2) for i, part in found if not part % 2]

        def place(each: tuple[int, int]) -> tuple[int, ...]:
            # Within 128 bits where neighbours are there, sum by sum; else the first parts of all.
            first = found[each[0], 2 * each[1]]
            second = found[each[0], 2 * each[1] + 1]
            if first // near == second // near:
                return (0, first % size // near, each[0], each[1])
            return (1, each[1], each[0])

        made.sort(key=place)
        other = pairs[1][0] if len(pairs) > 1 else ir.Constant(pairs[0][0].type, ir.Undefined)

        def chosen(second: int) -> Any:
            numbers = [ir.Constant(kind, found[i, 2 * part + second]) for i, part in made]
            order = ir.Constant(ir.VectorType(kind, len(numbers)), numbers)
            return b.shuffle_vector(pairs[0][0], other, order)

        return b.fadd(chosen(0), chosen(1)), made

    left = list(zip(vectors, lanes, strict=True))
    while len(left) > 1:
        left = [halves(left[k : k + 2]) for k in range(0, len(left), 2)]
    while left[0][0].type.count > len(vectors):
        left = [halves(left)]
    return left[0][0]


def total(emit: Emitter, array: View, axes: tuple[int, ...], samples: int, place: Any) -> Any:
    """Emit the sum over all samples, and other axes, of one entry; return a vector of one number.

    Args:
        emit: What emits.
        array: The array; its last axis are the samples.
        axes: The other axes that are summed over.
        samples: How many there are.
        place: The indices on the axes that are left.
    """
    whole, rest = divmod(samples, emit.lanes)
    dtype = array.dtype
    zero = emit.vector(np.dtype(dtype).type(0), dtype)
    kept = [i for i in range(len(array.shape) - 1) if i not in axes]
    fixed = dict(zip(kept, place, strict=True))

    def of_axes(todo: list[int], chosen: dict[int, Index], given: list[Any]) -> list[Any]:
        if todo:
            return loop(
                emit.builder,
                array.shape[todo[0]],
                lambda i, sums: of_axes(todo[1:], {**chosen, todo[0]: i}, sums),
                given,
            )

        def at(index: Index) -> Any:
            where = [chosen[i] for i in range(len(array.shape) - 1)]
            return array.at({}, (*where, index))

        def add(index: Index, sums: list[Any]) -> list[Any]:
            return [emit.builder.fadd(sums[0], at(index))]

        sums = in_parts(emit, whole, add, given, bool(axes))
        if rest:
            last = emit.builder.select(_mask(emit, rest), at(Index(whole)), zero)
            sums = [emit.builder.fadd(sums[0], last)]
        return sums

    (found,) = of_axes(sorted(axes), fixed, [zero])
    return added(emit, [found])
