"""JAX's primitives on arrays of entries: what a step may be made of.

A primitive is a function of the emitter, the equation's parameters and its arrays; each of these is
a pair, of a NumPy array of entries and the type of its numbers. It returns the arrays of entries
that it makes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlnsweep.simd.entries import Emitter, Refused, is_known
from dlnsweep.simd.products import contract

Entries = np.ndarray
Array = tuple[Entries, np.dtype]
Rule = Callable[[Emitter, dict[str, Any], Sequence[Array]], list[Entries]]

RULES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def known(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, rule))
        return rule

    return known


def each(function: Callable[..., Any], *arrays: Entries) -> Entries:
    """Return a function of every entry, of arrays that are broadcast together."""
    # Nothing that JAX traces has arrays of two shapes, but for scalars.
    broadcast = np.broadcast_arrays(*arrays)
    found = np.empty(broadcast[0].shape, object)
    flat = found.reshape(-1)
    for i, entries in enumerate(zip(*(a.reshape(-1) for a in broadcast), strict=True)):
        flat[i] = function(*entries)
    return found


def _elementwise(name: str, function: Callable[..., Any]) -> None:
    """Make a primitive known whose entries are each a function of entries."""

    def rule(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
        dtype = arrays[0][1]
        return [each(lambda *x: function(emit, dtype, *x), *(a for a, _ in arrays))]

    RULES[name] = rule


_SIMPLE: dict[str, Callable[..., Any]] = {
    "add": lambda e, t, a, b: e.add(a, b, t),
    "add_any": lambda e, t, a, b: e.add(a, b, t),
    "sub": lambda e, t, a, b: e.subtract(a, b, t),
    "mul": lambda e, t, a, b: e.multiply(a, b, t),
    "neg": lambda e, t, a: e.negate(a, t),
    "max": lambda e, t, a, b: e.larger(a, b, t),
    "min": lambda e, t, a, b: e.larger(a, b, t, "<"),
    "square": lambda e, t, a: e.multiply(a, a, t),
    "gt": lambda e, t, a, b: e.compared(">", a, b, t),
    "lt": lambda e, t, a, b: e.compared("<", a, b, t),
    "ge": lambda e, t, a, b: e.compared(">=", a, b, t),
    "le": lambda e, t, a, b: e.compared("<=", a, b, t),
    "eq": lambda e, t, a, b: e.compared("==", a, b, t),
    "ne": lambda e, t, a, b: e.compared("!=", a, b, t),
    "and": lambda e, t, a, b: e.bitwise("and", a, b, t),
    "or": lambda e, t, a, b: e.bitwise("or", a, b, t),
    "xor": lambda e, t, a, b: e.bitwise("xor", a, b, t),
    "not": lambda e, t, a: e.bitwise("xor", a, t.type(1) if t.kind == "b" else t.type(-1), t),
    "shift_left": lambda e, t, a, b: e.shifted("shl", a, b, t),
    "shift_right_logical": lambda e, t, a, b: e.shifted("lshr", a, b, t),
    "shift_right_arithmetic": lambda e, t, a, b: e.shifted("ashr", a, b, t),
    "clamp": lambda e, t, low, a, high: e.larger(e.larger(a, low, t), high, t, "<"),
    "copy": lambda e, t, a: a,
    "copy_p": lambda e, t, a: a,
    "stop_gradient": lambda e, t, a: a,
    "optimization_barrier": lambda e, t, a: a,
}
for _name, _function in _SIMPLE.items():
    _elementwise(_name, _function)


def _of_numbers(name: str, function: Callable[..., Any]) -> None:
    """The same for floating-point numbers alone."""

    def checked(emit: Emitter, dtype: np.dtype, *entries: Any) -> Any:
        if dtype.kind != "f":
            raise Refused(f"its step has {name!r} of {dtype}")
        return function(emit, dtype, *entries)

    _elementwise(name, checked)


def _sign(emit: Emitter, dtype: np.dtype, x: Any) -> Any:
    if is_known(x):
        return np.sign(dtype.type(x))
    unit = emit.call("llvm.copysign", dtype, dtype.type(1), x)
    # Zero and NaN are what they are.
    return emit.select(emit.compared(">", emit.call("llvm.fabs", dtype, x), dtype.type(0), dtype),
                       unit, x, dtype)  # fmt: skip


def _finite(emit: Emitter, dtype: np.dtype, x: Any) -> Any:
    size = emit.call("llvm.fabs", dtype, x)
    return emit.compared("<", size, dtype.type(np.inf), dtype)


for _name, _function in {
    "div": lambda e, t, a, b: e.divide(a, b, t),
    "abs": lambda e, t, a: e.call("llvm.fabs", t, a),
    "sqrt": lambda e, t, a: e.call("llvm.sqrt", t, a),
    "rsqrt": lambda e, t, a: e.divide(t.type(1), e.call("llvm.sqrt", t, a), t),
    "floor": lambda e, t, a: e.call("llvm.floor", t, a),
    "ceil": lambda e, t, a: e.call("llvm.ceil", t, a),
    "sign": _sign,
    "is_finite": _finite,
    **{
        name: lambda e, t, a, name=name: e.function(name, t, a)
        for name in ("exp", "expm1", "tanh", "logistic", "log", "log1p", "erf", "erfc")
    },
}.items():
    _of_numbers(_name, _function)


@_rule("pow")
def _power(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
    (x, dtype), (y, other) = arrays
    if dtype.kind != "f":
        raise Refused(f"its step has 'pow' of {dtype}")
    return [each(lambda a, b: emit.function("pow", dtype, a, emit.convert(b, other, dtype)), x, y)]


@_rule("integer_pow")
def _integer_power(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
    (x, dtype), power = arrays[0], params["y"]

    def raised(a: Any) -> Any:
        found, square, left = None, a, abs(power)
        while left:
            if left & 1:
                found = square if found is None else emit.multiply(found, square, dtype)
            left >>= 1
            square = emit.multiply(square, square, dtype) if left else square
        found = dtype.type(1) if found is None else found
        return found if power >= 0 else emit.divide(dtype.type(1), found, dtype)

    return [each(raised, x)]


@_rule("convert_element_type")
def _converted(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
    (x, dtype), new = arrays[0], np.dtype(params["new_dtype"])
    return [each(lambda a: emit.convert(a, dtype, new), x)]


@_rule("select_n")
def _selected(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
    (which, kind), *cases = arrays
    if kind.kind != "b" or len(cases) != 2:
        raise Refused("its step chooses among more than two arrays")
    (no, dtype), (yes, _) = cases
    return [each(lambda m, a, b: emit.select(m, b, a, dtype), which, no, yes)]


def _reduction(name: str, combine: Callable[..., Any]) -> None:
    def rule(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
        x, dtype = arrays[0]
        axes = params["axes"]
        kept = [i for i in range(x.ndim) if i not in axes]
        moved = x.transpose(*kept, *axes)
        shape = [x.shape[i] for i in kept]
        rows = moved.reshape(*shape, math.prod(x.shape[i] for i in axes))
        found = np.empty(shape, object)
        for place in np.ndindex(*shape):
            entries = list(rows[place])
            if not entries:
                raise Refused("its step reduces empty arrays")
            # In pairs: short chains, and the rounding of many terms grows slowly.
            while len(entries) > 1:
                pairs = zip(entries[::2], entries[1::2], strict=False)
                odd = entries[-1:] if len(entries) % 2 else []
                entries = [combine(emit, dtype, a, b) for a, b in pairs] + odd
            found[place] = entries[0]
        return [found]

    RULES[name] = rule


for _name in ("sum:add", "prod:mul", "max:max", "min:min", "and:and", "or:or"):
    _kind, _, _function_name = _name.partition(":")
    _reduction(f"reduce_{_kind}", _SIMPLE[_function_name])


def _cumulative(name: str, combine: Callable[..., Any]) -> None:
    def rule(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
        x, dtype = arrays[0]
        moved = np.moveaxis(x, params["axis"], 0)
        moved = moved[::-1] if params["reverse"] else moved
        rows: list[Entries] = []
        for row in moved:
            last = rows[-1] if rows else None
            rows.append(
                row if last is None else each(lambda a, b: combine(emit, dtype, a, b), last, row)
            )
        found = np.stack(rows[::-1] if params["reverse"] else rows)
        return [np.moveaxis(found, 0, params["axis"])]

    RULES[name] = rule


for _name in ("sum:add", "prod:mul", "max:max", "min:min"):
    _kind, _, _function_name = _name.partition(":")
    _cumulative(f"cum{_kind}", _SIMPLE[_function_name])


@_rule("dot_general")
def _product(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
    (a, dtype), (b, other) = arrays
    wanted = params.get("preferred_element_type")
    if dtype != other or dtype.kind != "f" or (wanted is not None and np.dtype(wanted) != dtype):
        raise Refused(f"its step multiplies matrices of {dtype} and {other}")
    (left, right), (batch, other_batch) = params["dimension_numbers"]
    free = [i for i in range(a.ndim) if i not in (*left, *batch)]
    other_free = [i for i in range(b.ndim) if i not in (*right, *other_batch)]
    shape = [a.shape[i] for i in batch]
    rows, columns = [a.shape[i] for i in free], [b.shape[i] for i in other_free]
    inner = math.prod(a.shape[i] for i in left)
    lead = math.prod(shape)
    first = a.transpose(*batch, *free, *left).reshape(lead, math.prod(rows), inner)
    second = b.transpose(*other_batch, *other_free, *right).reshape(lead, math.prod(columns), inner)
    found = [contract(emit, one, two, dtype) for one, two in zip(first, second, strict=True)]
    return [np.stack(found).reshape(*shape, *rows, *columns)]


def _moved(name: str, function: Callable[..., Entries]) -> None:
    """Make a primitive known that only moves entries."""

    def rule(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
        return [function(params, *(a for a, _ in arrays))]

    RULES[name] = rule


def _broadcast(params: dict[str, Any], x: Entries) -> Entries:
    shape = [1] * len(params["shape"])
    for size, place in zip(x.shape, params["broadcast_dimensions"], strict=True):
        shape[place] = size
    return np.broadcast_to(x.reshape(shape), params["shape"])


def _sliced(params: dict[str, Any], x: Entries) -> Entries:
    strides = params["strides"] or (1,) * x.ndim
    limits = zip(params["start_indices"], params["limit_indices"], strides, strict=True)
    return x[tuple(slice(*each) for each in limits)]


def _reshaped(params: dict[str, Any], x: Entries) -> Entries:
    if params.get("dimensions") is not None:
        raise Refused("its step reshapes in another order")
    return x.reshape(params["new_sizes"])


for _name, _function in {
    "broadcast_in_dim": _broadcast,
    "reshape": _reshaped,
    "transpose": lambda p, x: x.transpose(p["permutation"]),
    "squeeze": lambda p, x: x.reshape(
        [n for i, n in enumerate(x.shape) if i not in {d % x.ndim for d in p["dimensions"]}]
    ),
    "expand_dims": lambda p, x: np.expand_dims(x, p["dimensions"]),
    "slice": _sliced,
    "rev": lambda p, x: np.flip(x, p["dimensions"]),
    "concatenate": lambda p, *x: np.concatenate(x, axis=p["dimension"]),
    "stack": lambda p, *x: np.stack(x, axis=p.get("axis", 0)),
}.items():
    _moved(_name, _function)


@_rule("split")
def _split(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
    return np.split(arrays[0][0], np.cumsum(params["sizes"])[:-1], axis=params["axis"])


@_rule("pad")
def _padded(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
    (x, _), (fill, _) = arrays
    shape, places = [], []
    for size, (low, high, inner) in zip(x.shape, params["padding_config"], strict=True):
        if low < 0 or high < 0:
            raise Refused("its step pads by fewer entries than none")
        shape.append(low + size + max(0, size - 1) * inner + high)
        places.append(slice(low, low + size + max(0, size - 1) * inner, inner + 1))
    found = np.empty(shape, object)
    found[...] = fill[()]
    found[tuple(places)] = x
    return [found]


@_rule("iota")
def _counted(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
    shape, place = params["shape"], params["dimension"]
    counts = np.arange(shape[place]).astype(params["dtype"])
    along = counts.reshape([-1 if i == place else 1 for i in range(len(shape))])
    return [np.broadcast_to(as_entries(along), shape)]


def as_entries(array: Any) -> Entries:
    """Return an array of known numbers as entries of its own type."""
    array = np.asarray(array)
    found = np.empty(array.shape, object)
    flat = found.reshape(-1)
    for i, value in enumerate(array.reshape(-1)):
        flat[i] = value
    return found
