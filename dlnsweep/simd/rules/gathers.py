"""Entries whose indices the run decides: minibatches, labels, pieces that begin somewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dlnsweep.simd.arrays import Array, Memo, Place, View
from dlnsweep.simd.entries import Emitter, Entry, Refused
from dlnsweep.simd.equations import Equation
from dlnsweep.simd.indices import ZERO, Index
from dlnsweep.simd.looped import Looped, Rule, Value
from dlnsweep.simd.nests import over, write
from dlnsweep.simd.rules.elementwise import SIMPLE

# Operations of an entry that is read for each run alone.
_COST = 10
_WIDE, _TRUTH = np.dtype(np.int64), np.dtype(bool)


def within(emit: Emitter, index: Entry, dtype: Any, size: int) -> Any:
    """Return indices as int64, the nearest ones of an axis: what others would read is not there."""
    found = emit.convert(index, dtype, _WIDE)
    found = emit.larger(emit.larger(found, _WIDE.type(0), _WIDE), _WIDE.type(size - 1), _WIDE, "<")
    return emit.vector(found, _WIDE)


class Starts:
    """Where the windows begin that a gather reads, or a scatter writes.

    Args:
        emit: What emits.
        rows: The indices, each a row of the last axis.
        shape: Of the array that they are of.
        sizes: Of a window on each of its axes.
        axes: Which of its axes the entries of a row are on.
        batching: Axes of its that go with axes of the indices.
    """

    def __init__(
        self,
        emit: Emitter,
        rows: Array,
        shape: tuple[int, ...],
        sizes: tuple[int, ...],
        axes: tuple[int, ...],
        batching: Mapping[int, int],
    ) -> None:
        self._emit, self._rows, self._axes, self._batching = emit, rows, axes, batching
        # How many windows an axis has.
        self._counts = {axis: shape[axis] - sizes[axis] + 1 for axis in axes}

    def of(
        self, memo: Memo, row: tuple[Index, ...], inner: dict[int, Index], dims: int
    ) -> tuple[Place, dict[int, Any], Entry]:
        """Return an entry's place beside its window's begin, that begin, and whether it is there.

        Args:
            memo: As `Array.at` has it.
            row: Which row of indices.
            inner: Its places in the window, on axes that have some.
            dims: The number of axes.
        """
        emit, dtype = self._emit, self._rows.dtype
        place = {**inner, **{axis: row[i] for axis, i in self._batching.items()}}
        chosen, there = {}, np.bool_(True)
        for number, axis in enumerate(self._axes):
            index, count = self._rows.at(memo, (*row, Index(number))), self._counts[axis]
            chosen[axis] = within(emit, index, dtype, count)
            same = emit.convert(index, dtype, _WIDE)
            same = emit.compared("==", same, chosen[axis], _WIDE)
            there = same if there is np.True_ else emit.bitwise("and", there, same, _TRUTH)
        return tuple(place.get(axis, ZERO) for axis in range(dims)), chosen, there


def _gather(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    (given, where), (made,), params = equation.inputs, equation.outputs, equation.params
    numbers, dims = params["dimension_numbers"], len(given.shape)
    source, rows = at.in_memory(at.array(values[0], given.dtype)), at.array(values[1], where.dtype)
    apart = tuple(getattr(numbers, "operand_batching_dims", ()))
    together = tuple(getattr(numbers, "start_indices_batching_dims", ()))
    starts = Starts(
        at.emit, rows, given.shape, tuple(params["slice_sizes"]), tuple(numbers.start_index_map),
        dict(zip(apart, together, strict=True)),
    )  # fmt: skip
    others = [i for i in range(dims) if i not in (*numbers.collapsed_slice_dims, *apart)]
    offsets = tuple(numbers.offset_dims)
    batch = [i for i in range(len(made.shape)) if i not in offsets]
    fill = _filling(params, np.dtype(made.dtype))

    def entry(memo: Memo, place: Place) -> Entry:
        inner = {axis: place[offset] for axis, offset in zip(others, offsets, strict=True)}
        row = tuple(place[i] for i in batch)
        beside, chosen, there = starts.of(memo, row, inner, dims)
        found = source.of_runs(beside, chosen)
        return found if fill is None else at.emit.select(there, found, fill, made.dtype)

    return [Array(made.shape, made.dtype, entry, [source, rows], _COST, moved=True)]


def _filling(params: dict[str, Any], dtype: np.dtype) -> Any:
    """Return what stands for entries outside of an array; None where the nearest ones do."""
    if not _drops(params["mode"]):
        return None
    if params.get("fill_value") is not None:
        return dtype.type(params["fill_value"])
    if dtype.kind == "f":
        return dtype.type(np.nan)
    limits = {"i": "min", "u": "max"}
    return getattr(np.iinfo(dtype), limits[dtype.kind]) if dtype.kind != "b" else np.bool_(True)


def _drops(mode: Any) -> bool:
    """Tell whether windows outside of an array are none, and not the nearest ones."""
    if any(name in str(mode) for name in ("PROMISE_IN_BOUNDS", "CLIP")):
        return False
    if "FILL_OR_DROP" in str(mode):
        return True
    raise Refused(f"its step reads or writes at indices by the mode {mode}")


def _scatter(name: str) -> Rule:
    """Return what writes at indices: in this order, so of equal ones the last."""
    combine: Callable[..., Any] | None = SIMPLE[name] if name else None

    def rule(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
        (given, where, new), (made,), params = equation.inputs, equation.outputs, equation.params
        numbers, dims = params["dimension_numbers"], len(given.shape)
        rows, updates = at.array(values[1], where.dtype), at.array(values[2], new.dtype)
        rows, updates = (a if isinstance(a, View) else at.in_memory(a) for a in (rows, updates))
        apart = tuple(getattr(numbers, "operand_batching_dims", ()))
        together = tuple(getattr(numbers, "scatter_indices_batching_dims", ()))
        window = tuple(numbers.update_window_dims)
        others = [i for i in range(dims) if i not in (*numbers.inserted_window_dims, *apart)]
        sizes = [1] * dims
        for axis, i in zip(others, window, strict=True):
            sizes[axis] = new.shape[i]
        starts = Starts(
            at.emit, rows, given.shape, tuple(sizes),
            tuple(numbers.scatter_dims_to_operand_dims), dict(zip(apart, together, strict=True)),
        )  # fmt: skip
        drops = _drops(params["mode"])
        batch = [i for i in range(len(new.shape)) if i not in window]
        target = at.workspace.view(made.shape, made.dtype)
        write(at.emit, at.array(values[0], given.dtype), target)

        def one(place: Place) -> None:
            memo: Memo = {}
            inner = {axis: place[i] for axis, i in zip(others, window, strict=True)}
            row = tuple(place[i] for i in batch)
            beside, chosen, there = starts.of(memo, row, inner, dims)
            entry = updates.at(memo, place)
            if combine or drops:
                old = target.of_runs(beside, chosen)
                entry = combine(at.emit, target.dtype, old, entry) if combine else entry
                entry = at.emit.select(there, entry, old, target.dtype) if drops else entry
            target.store_of_runs(beside, chosen, entry)

        def body(places: list[Place]) -> None:
            for place in places:
                one(place)

        over(at.emit.builder, new.shape, 1, body)
        return [target]

    return rule


def _first(at: Looped, equation: Equation, values: list[Value], before: int, size: Any) -> Any:
    """Return where a piece begins: on the axes on which it is shorter, the nearest one."""
    given, where = equation.inputs[0], equation.inputs[before:]
    short = [i for i, n in enumerate(size) if n != given.shape[i]]
    return {
        axis: within(
            at.emit, at.array(values[before + axis], where[axis].dtype).at({}, ()),
            where[axis].dtype, given.shape[axis] - size[axis] + 1,
        )
        for axis in short
    }  # fmt: skip


def _dynamic_slice(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    (given, *_), (made,) = equation.inputs, equation.outputs
    source = at.in_memory(at.array(values[0], given.dtype))
    first = _first(at, equation, values, 1, made.shape)
    if not first:
        return [source]

    def entry(_: Memo, place: Place) -> Entry:
        return source.of_runs(place, first)

    return [Array(made.shape, made.dtype, entry, [source], _COST, moved=True)]


def _dynamic_update_slice(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    (given, new, *_), (made,) = equation.inputs, equation.outputs
    first = _first(at, equation, values, 2, new.shape)
    updates, target = at.array(values[1], new.dtype), at.workspace.view(made.shape, made.dtype)
    write(at.emit, at.array(values[0], given.dtype), target)

    def body(places: list[Place]) -> None:
        for place in places:
            entry = updates.at({}, place)
            if first:
                target.store_of_runs(place, first, entry)
            else:
                target.store(place, entry)

    over(at.emit.builder, new.shape, 1, body)
    return [target]


GATHERS: dict[str, Rule] = {
    "gather": _gather,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "scatter": _scatter(""),
    "scatter-add": _scatter("add"),
    "scatter_add": _scatter("add"),
    "scatter-mul": _scatter("mul"),
    "scatter_mul": _scatter("mul"),
    "scatter-min": _scatter("min"),
    "scatter_min": _scatter("min"),
    "scatter-max": _scatter("max"),
    "scatter_max": _scatter("max"),
}
