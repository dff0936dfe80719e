"""Sorting, and the place of the largest entry, of arrays of which each run has its own.

Which entries are compared does not depend on them (`comparators.py`), so all runs of a vector go
together. Equal entries keep their order: what is sorted are pairs of a number and its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dlnsweep.simd.arrays import Array, Memo, Place, View
from dlnsweep.simd.comparators import comparators
from dlnsweep.simd.entries import Emitter, Entry, is_known
from dlnsweep.simd.equations import Equation
from dlnsweep.simd.indices import ZERO, Index, loop
from dlnsweep.simd.llvm import ir
from dlnsweep.simd.looped import Looped, Rule, Value
from dlnsweep.simd.nests import over, write

# So many comparisons are straight-line code.
_UNROLLED = 200
# Operations of an entry that is read for each run alone.
_COST = 10


def _ordered(
    emit: Emitter, entry: Entry, dtype: np.dtype, total: bool = False
) -> tuple[Entry, np.dtype]:
    """Return an integer in the order of a number.

    Args:
        emit: What emits.
        entry: The number.
        dtype: Its type.
        total: Whether -0 comes before 0, and what is no number by its sign; else -0 is 0, and what
            is no number comes last.
    """
    if dtype.kind == "b":
        return emit.convert(entry, dtype, np.int32), np.dtype(np.int32)
    if dtype.kind != "f":
        return entry, dtype
    whole = np.dtype(f"i{dtype.itemsize}")
    if not total:
        zero, none = dtype.type(0), emit.compared("!=", entry, entry, dtype)
        entry = emit.select(emit.compared("==", entry, zero, dtype), zero, entry, dtype)
        entry = emit.select(none, dtype.type(np.nan), entry, dtype)
    bits = emit.vector(emit.same_bits(entry, dtype, whole), whole)
    sign = emit.shifted("ashr", bits, whole.type(8 * dtype.itemsize - 1), whole)
    below = emit.bitwise("and", sign, whole.type(np.iinfo(whole).max), whole)
    return emit.bitwise("xor", bits, below, whole), whole


def _sort(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    axis, count = equation.params["dimension"], equation.params["num_keys"]
    given = [at.array(v, g.dtype) for v, g in zip(values, equation.inputs, strict=True)]
    keys = [_keys(at, array) for array in given[:count]]
    places = _sorted(at, keys, axis)
    found: list[Value] = []
    for number, array in enumerate(given):
        if number < count and keys[number].dtype == array.dtype:
            found.append(keys[number])
        elif _counts(values[number], axis):
            found.append(_converted(at.emit, places, array.dtype))
        else:
            found.append(_at_places(at, array, places, axis))
    return found


def _top_k(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    (given,), params = equation.inputs, equation.params
    axis = params.get("axis", params.get("dimension", -1)) % len(given.shape)
    array = at.array(values[0], given.dtype)
    places = _sorted(at, [_keys(at, array, backward=True)], axis)
    cut = (*(slice(None),) * axis, slice(params.get("k", equation.outputs[0].shape[axis])))
    first = places.moved(lambda seen: seen[cut])
    assert first is not None
    found = _at_places(at, array, first, axis)
    return [found, _converted(at.emit, first, np.dtype(equation.outputs[1].dtype))]


def _sorted(at: Looped, keys: list[View], axis: int) -> View:
    """Sort by keys; return where the entries stood, in numbers as long as the first key's."""
    shape = keys[0].shape
    places = at.workspace.view(shape, f"i{max(4, keys[0].dtype.itemsize)}")
    counted = Array(shape, places.dtype, lambda _, place: _number(at.emit, place[axis], places))
    write(at.emit, counted, places)
    others = [1 if i == axis else size for i, size in enumerate(shape)]

    def body(rows: list[Place]) -> None:
        for row in rows:
            _sort_row(at.emit, [*keys, places], row, axis)

    over(at.emit.builder, others, 1, body)
    return places


def _keys(at: Looped, array: Array, backward: bool = False) -> View:
    """Return what an array is sorted by, the largest first or last, in memory of its own."""
    kind = _ordered(at.emit, array.dtype.type(0), array.dtype)[1]
    keys = at.workspace.view(array.shape, kind)

    def entry(memo: Memo, place: Place) -> Entry:
        key = _ordered(at.emit, array.at(memo, place), array.dtype, total=backward)[0]
        # All bits turned over, the largest is the smallest.
        most = kind.type(-1) if kind.kind == "i" else np.iinfo(kind).max
        return at.emit.bitwise("xor", key, most, kind) if backward else key

    write(at.emit, Array(array.shape, kind, entry, [array], 6), keys)
    return keys


def _number(emit: Emitter, index: Index, like: Array) -> Any:
    return emit.convert(emit.splat(index.value(emit.builder)), np.int64, like.dtype)


def _sort_row(emit: Emitter, arrays: list[View], row: Place, axis: int) -> None:
    """Emit the comparisons that sort one row; the last of the arrays has no equal entries."""
    size = arrays[0].shape[axis]
    pairs = comparators(size)
    if len(pairs) > _UNROLLED:
        table = _table(emit.builder, pairs)

        def one(turn: Index, _: Any) -> list[Any]:
            first, second = (
                _inside(row, axis, Index(0, ((_read(emit.builder, table, turn, side), 1),)))
                for side in range(2)
            )
            low, high = _in_order(
                emit, arrays, [a.at({}, first) for a in arrays], [a.at({}, second) for a in arrays]
            )
            for array, a, b in zip(arrays, low, high, strict=True):
                array.store(first, a)
                array.store(second, b)
            return []

        loop(emit.builder, len(pairs), one)
        return
    where = [_inside(row, axis, Index(i)) for i in range(size)]
    rows = [[array.at({}, place) for array in arrays] for place in where]
    for i, j in pairs:
        rows[i], rows[j] = _in_order(emit, arrays, rows[i], rows[j])
    for place, entries in zip(where, rows, strict=True):
        for array, entry in zip(arrays, entries, strict=True):
            array.store(place, entry)


def _inside(row: Place, axis: int, index: Index) -> Place:
    return (*row[:axis], index, *row[axis + 1 :])


def _in_order(
    emit: Emitter, arrays: list[View], first: list[Entry], second: list[Entry]
) -> tuple[list[Entry], list[Entry]]:
    """Return two entries of each array as (the smaller, the larger) by the arrays in turn."""
    later: Any = None
    for array, a, b in reversed(list(zip(arrays, first, second, strict=True))):
        larger = emit.compared(">", a, b, array.dtype)
        if later is None:
            later = larger
            continue
        same = emit.compared("==", a, b, array.dtype)
        later = emit.bitwise("or", larger, emit.bitwise("and", same, later, np.bool_), np.bool_)
    both = list(zip(arrays, first, second, strict=True))
    low = [emit.select(later, b, a, array.dtype) for array, a, b in both]
    high = [emit.select(later, a, b, array.dtype) for array, a, b in both]
    return low, high


def _table(builder: Any, pairs: tuple[tuple[int, int], ...]) -> Any:
    """Return the address of numbers that stand in the code: two of each pair."""
    kind, module = ir.IntType(64), builder.module
    name = f"comparators.{max(b for _, b in pairs) + 1}"
    if name not in module.globals:
        numbers = [ir.Constant(kind, place) for pair in pairs for place in pair]
        whole = ir.ArrayType(kind, len(numbers))
        table: Any = ir.GlobalVariable(module, whole, name)
        table.initializer = ir.Constant(whole, numbers)
        table.global_constant, table.linkage = True, "internal"
    return module.globals[name]


def _read(builder: Any, table: Any, turn: Index, side: int) -> Any:
    place = (turn * 2 + side).value(builder)
    address = builder.gep(table, [place], source_etype=ir.IntType(64))
    return builder.load(address, typ=ir.IntType(64))


def _counts(value: Value, axis: int) -> bool:
    """Tell whether a known array counts the places on an axis."""
    if not isinstance(value, np.ndarray) or not all(map(is_known, value.flat)):
        return False
    return all(value[place] == place[axis] for place in np.ndindex(*value.shape))


def _converted(emit: Emitter, array: View, dtype: np.dtype) -> Array:
    def entry(memo: Memo, place: Place) -> Entry:
        return emit.convert(array.at(memo, place), array.dtype, dtype)

    return Array(array.shape, dtype, entry, [array], 1)


def _at_places(at: Looped, array: Array, places: View, axis: int) -> Array:
    """Return the entries that stood at some places of an axis."""
    source = at.in_memory(array)

    def entry(memo: Memo, place: Place) -> Entry:
        chosen = at.emit.convert(places.at(memo, place), places.dtype, np.int64)
        return source.of_runs(_inside(place, axis, ZERO), {axis: chosen})

    return Array(places.shape, array.dtype, entry, [source, places], _COST, moved=True)


def _place_of(operator: str) -> Rule:
    """Return what finds where the largest entry stands, or the smallest one: the first of them."""

    def rule(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
        (given,), (made,), emit = equation.inputs, equation.outputs, at.emit
        (axis,), wanted = equation.params["axes"], np.dtype(equation.params["index_dtype"])
        array = at.array(values[0], given.dtype)
        dtype, wide = array.dtype, np.dtype(f"i{max(4, array.dtype.itemsize)}")

        def entry(_: Memo, place: Place) -> Entry:
            def one(index: Index, before: list[Any]) -> list[Any]:
                best, where = before
                here = emit.vector(array.at({}, (*place[:axis], index, *place[axis:])), dtype)
                better = emit.compared(operator, here, best, dtype)
                if dtype.kind == "f":
                    # What is no number counts as the largest, and as the smallest.
                    none = emit.compared("!=", here, here, dtype)
                    number = emit.compared("==", best, best, dtype)
                    none = emit.bitwise("and", none, number, np.bool_)
                    better = emit.bitwise("or", better, none, np.bool_)
                number = emit.convert(emit.splat(index.value(emit.builder)), np.int64, wide)
                return [
                    emit.select(better, here, best, dtype),
                    emit.select(better, number, where, wide),
                ]

            first = array.at({}, (*place[:axis], ZERO, *place[axis:]))
            start = [emit.vector(first, dtype), emit.vector(wide.type(0), wide)]
            size = array.shape[axis]

            def after(index: Index, before: list[Any]) -> list[Any]:
                return one(index + 1, before)

            where = (loop(emit.builder, size - 1, after, start) if size > 1 else start)[1]
            return emit.convert(where, wide, wanted)

        return [_written(at, Array(made.shape, wanted, entry, [array], 4 * array.shape[axis]))]

    return rule


def _written(at: Looped, array: Array) -> Value:
    return at.at_hand(array) if array.size == 1 else at.in_memory(array)


SORTS: dict[str, Callable[..., list[Value]]] = {
    "sort": _sort, "top_k": _top_k, "argmax": _place_of(">"), "argmin": _place_of("<"),
}  # fmt: skip
