"""Entries whose indices the run decides: minibatches, and pieces that begin somewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnsweep.simd.arrays import Array, Memo, Place
from dlnsweep.simd.entries import Emitter, Entry, Refused
from dlnsweep.simd.equations import Equation
from dlnsweep.simd.indices import ZERO
from dlnsweep.simd.looped import Looped, Rule, Value

# Operations of an entry that is read for each run alone.
_COST = 10


def within(emit: Emitter, index: Entry, dtype: Any, size: int) -> Any:
    """Return indices as int64, the nearest ones of an axis: what others would read is not there."""
    wide = np.dtype(np.int64)
    found = emit.convert(index, dtype, wide)
    found = emit.larger(emit.larger(found, wide.type(0), wide), wide.type(size - 1), wide, "<")
    return emit.vector(found, wide)


def _gather(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    (given, where), (made,), params = equation.inputs, equation.outputs, equation.params
    numbers = params["dimension_numbers"]
    chosen = tuple(numbers.start_index_map)
    whole = tuple(1 if i in chosen else size for i, size in enumerate(given.shape))
    if (
        len(chosen) != 1
        or tuple(numbers.collapsed_slice_dims) != chosen
        or tuple(params["slice_sizes"]) != whole
        or getattr(numbers, "operand_batching_dims", ())
        or where.shape[-1] != 1
        or _may_be_outside(params["mode"])
    ):
        raise Refused("its step gathers other entries than whole rows of one axis")
    (axis,) = chosen
    source, rows = at.in_memory(at.array(values[0], given.dtype)), at.array(values[1], where.dtype)
    others = [i for i in range(len(given.shape)) if i != axis]
    offsets = tuple(numbers.offset_dims)
    batch = [i for i in range(len(made.shape)) if i not in offsets]

    def entry(memo: Memo, place: Place) -> Entry:
        index = rows.at(memo, (*(place[i] for i in batch), ZERO))
        inner = [ZERO] * len(given.shape)
        for i, offset in zip(others, offsets, strict=True):
            inner[i] = place[offset]
        chosen = within(at.emit, index, where.dtype, given.shape[axis])
        return source.of_runs(tuple(inner), axis, chosen)

    return [Array(made.shape, made.dtype, entry, [source, rows], _COST, moved=True)]


def _may_be_outside(mode: Any) -> bool:
    """Tell whether indices outside of an array have a meaning that is not the nearest one's."""
    return not any(name in str(mode) for name in ("PROMISE_IN_BOUNDS", "CLIP"))


def _dynamic_slice(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    (given, *where), (made,) = equation.inputs, equation.outputs
    free = [i for i, size in enumerate(made.shape) if size != given.shape[i]]
    if len(free) > 1:
        raise Refused("its step cuts pieces out of several axes at once")
    source = at.in_memory(at.array(values[0], given.dtype))
    if not free:
        return [source]
    (axis,) = free
    dtype, last = where[axis].dtype, given.shape[axis] - made.shape[axis]
    first = within(at.emit, at.array(values[1 + axis], dtype).at({}, ()), dtype, last + 1)

    def entry(_: Memo, place: Place) -> Entry:
        number = at.emit.splat(place[axis].value(at.emit.builder))
        return source.of_runs(place, axis, at.emit.builder.add(first, number))

    return [Array(made.shape, made.dtype, entry, [source], _COST, moved=True)]


GATHERS: dict[str, Rule] = {"gather": _gather, "dynamic_slice": _dynamic_slice}
