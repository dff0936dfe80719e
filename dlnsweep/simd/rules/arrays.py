"""JAX's primitives on arrays in loops, where they are not entry by entry: moves, sums, products."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from dlnsweep.simd.arrays import Array, Memo, Place, View
from dlnsweep.simd.blocks import multiply
from dlnsweep.simd.entries import Entry, Refused
from dlnsweep.simd.equations import Equation, Variable
from dlnsweep.simd.indices import ZERO, Index, loop
from dlnsweep.simd.looped import CHEAP, Looped, Rule, Value
from dlnsweep.simd.nests import over, reduced, write
from dlnsweep.simd.rules.elementwise import SIMPLE
from dlnsweep.simd.rules.gathers import GATHERS
from dlnsweep.simd.rules.primitives import MOVED, padding
from dlnsweep.simd.rules.sorting import SORTS

ARRAY_RULES: dict[str, Rule] = {**GATHERS, **SORTS}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def known(rule: Rule) -> Rule:
        ARRAY_RULES.update(dict.fromkeys(names, rule))
        return rule

    return known


def _moved(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    """Entries of one array at other places."""
    (value,), (given,), (made,) = values, equation.inputs, equation.outputs
    array, params = at.array(value, given.dtype), equation.params
    if not isinstance(array, View):
        found = _computed_elsewhere(array, equation)
        if found is not None and (made.size <= array.size or array.cost <= CHEAP):
            return [found]
    view = at.in_memory(array)
    found = view.moved(lambda seen: MOVED[equation.name](params, seen))
    if found is None:
        # NumPy would have to copy it.
        copy = at.in_memory(Array(view.shape, view.dtype, view.at, [view]))
        found = copy.moved(lambda seen: MOVED[equation.name](params, seen))
        assert found is not None
    return [found]


def _computed_elsewhere(array: Array, equation: Equation) -> Array | None:
    """Return an array whose entries are computed at other places, where that is simple."""
    (made,), params = equation.outputs, equation.params
    if equation.name == "broadcast_in_dim":
        chosen = list(params["broadcast_dimensions"])
    elif equation.name == "transpose":
        chosen = list(np.argsort(params["permutation"]))
    else:
        # Those of one entry may come and go; the others keep their order.
        long = [i for i, size in enumerate(made.shape) if size > 1]
        if [made.shape[i] for i in long] != [size for size in array.shape if size > 1]:
            return None
        if equation.name not in ("reshape", "squeeze", "expand_dims"):
            return None
        rest = iter(long)
        chosen = [next(rest) if size > 1 else -1 for size in array.shape]

    def entry(memo: Memo, place: Place) -> Entry:
        inner = tuple(
            place[i] if size > 1 else ZERO for i, size in zip(chosen, array.shape, strict=True)
        )
        return array.at(memo, inner)

    return Array(made.shape, made.dtype, entry, [array], moved=True)


for _name in MOVED:
    if _name not in ("concatenate", "stack"):
        ARRAY_RULES[_name] = _moved


@_rule("split")
def _split(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    view = at.in_memory(at.array(values[0], equation.inputs[0].dtype))
    axis, ends = equation.params["axis"], np.cumsum(equation.params["sizes"])
    found = []
    for end, size in zip(ends, equation.params["sizes"], strict=True):
        cut = (slice(None),) * axis + (slice(int(end - size), int(end)),)
        found.append(view.moved(lambda seen, cut=cut: seen[cut]))
    return found


@_rule("unstack")
def _unstacked(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    view = at.in_memory(at.array(values[0], equation.inputs[0].dtype))
    axis = equation.params["axis"]
    # A place alone would be a copy of a number, where there is one axis.
    found = []
    for place in range(len(equation.outputs)):
        cut = (slice(None),) * axis + (slice(place, place + 1),)
        found.append(view.moved(lambda seen, cut=cut: np.squeeze(seen[cut], axis)))
    return found


@_rule("concatenate")
def _joined(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    axis = equation.params["dimension"]
    ends = np.cumsum([0, *(v.shape[axis] for v in equation.inputs)])
    cuts = [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]
    return [_put_together(at, equation, values, axis, cuts)]


@_rule("stack")
def _stacked(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    axis = equation.params.get("axis", 0)
    return [_put_together(at, equation, values, axis, range(len(values)))]


def _put_together(
    at: Looped, equation: Equation, values: list[Value], axis: int, cuts: Iterable[Any]
) -> View:
    """Return arrays as the parts of one."""
    (made,) = equation.outputs
    found = at.workspace.view(made.shape, made.dtype)
    for value, given, cut in zip(values, equation.inputs, cuts, strict=True):
        place = (*(slice(None),) * axis, cut, ...)
        target = found.moved(lambda seen, place=place: seen[place])
        assert target is not None
        write(at.emit, at.array(value, given.dtype), target)
    return found


@_rule("pad")
def _padded(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    (made,), (given, filling) = equation.outputs, equation.inputs
    shape, places, kept = padding(given.shape, equation.params["padding_config"])
    found = at.workspace.view(shape, made.dtype)
    fill = at.array(values[1], filling.dtype)
    write(at.emit, Array(shape, made.dtype, lambda memo, _: fill.at(memo, ())), found)
    target = found.moved(lambda seen: seen[places])
    assert target is not None
    write(at.emit, at.array(values[0], given.dtype), target)
    return _seen(found, lambda seen: seen[kept])


@_rule("tile")
def _tiled(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    (given,), (made,) = equation.inputs, equation.outputs
    view, reps = at.in_memory(at.array(values[0], given.dtype)), equation.params["reps"]
    split = [size for pair in zip(reps, given.shape, strict=True) for size in pair]
    once = [size for n in given.shape for size in (1, n)]
    spread = view.moved(lambda seen: np.broadcast_to(seen.reshape(once), split))
    assert spread is not None
    copy = at.in_memory(Array(spread.shape, spread.dtype, spread.at, [spread], moved=True))
    return _seen(copy, lambda seen: seen.reshape(made.shape))


def _seen(view: View, function: Callable[[Any], Any]) -> list[Value]:
    found = view.moved(function)
    assert found is not None
    return [found]


def _reduction(name: str, combine: Callable[..., Any], neutral: Callable[[Any], Any]) -> None:
    def rule(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
        (given,), (made,), emit = equation.inputs, equation.outputs, at.emit
        array, axes = at.array(values[0], given.dtype), equation.params["axes"]
        dtype = np.dtype(given.dtype)

        def entry(place: Place) -> Entry:
            def both(a: Entry, b: Entry) -> Entry:
                return combine(emit, dtype, a, b)

            return reduced(emit, array, axes, place, both, neutral(dtype))

        if made.size == 1:
            found = np.empty(made.shape, object)
            found[(0,) * len(made.shape)] = entry((ZERO,) * len(made.shape))
            return [found]
        target = at.workspace.view(made.shape, made.dtype)

        def body(places: list[Place]) -> None:
            for place in places:
                target.store(place, entry(place))

        over(emit.builder, made.shape, 1, body)
        return [target]

    ARRAY_RULES[name] = rule


def _lowest(dtype: np.dtype) -> Any:
    return dtype.type(-np.inf) if dtype.kind == "f" else np.iinfo(dtype).min


def _highest(dtype: np.dtype) -> Any:
    return dtype.type(np.inf) if dtype.kind == "f" else np.iinfo(dtype).max


for _name, _neutral in {
    "sum:add": lambda dtype: dtype.type(0),
    "prod:mul": lambda dtype: dtype.type(1),
    "max:max": _lowest,
    "min:min": _highest,
    "and:and": lambda dtype: dtype.type(1) if dtype.kind == "b" else dtype.type(-1),
    "or:or": lambda dtype: dtype.type(0),
}.items():
    _kind, _, _function_name = _name.partition(":")
    _reduction(f"reduce_{_kind}", SIMPLE[_function_name], _neutral)


def _cumulative(name: str, combine: Callable[..., Any]) -> None:
    def rule(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
        (given,), (made,), emit = equation.inputs, equation.outputs, at.emit
        array, axis = at.array(values[0], given.dtype), equation.params["axis"]
        target, size = at.workspace.view(made.shape, made.dtype), given.shape[axis]
        others = [1 if i == axis else n for i, n in enumerate(given.shape)]

        def put(place: Place, index: Index, before: list[Any]) -> list[Any]:
            place = (*place[:axis], index, *place[axis + 1 :])
            entry = array.at({}, place)
            if before:
                entry = combine(emit, array.dtype, before[0], entry)
            entry = emit.vector(entry, array.dtype)
            target.store(place, entry)
            return [entry]

        def body(places: list[Place]) -> None:
            backward = equation.params["reverse"]
            for place in places:
                first = put(place, Index(size - 1 if backward else 0), [])
                if size > 1:
                    loop(
                        emit.builder,
                        size - 1,
                        lambda i, given, place=place: put(
                            place, i * -1 + (size - 2) if backward else i + 1, given
                        ),
                        first,
                    )

        over(emit.builder, others, 1, body)
        return [target]

    ARRAY_RULES[name] = rule


for _name in ("sum:add", "prod:mul", "max:max", "min:min"):
    _kind, _, _function_name = _name.partition(":")
    _cumulative(f"cum{_kind}", SIMPLE[_function_name])


@_rule("dot_general")
def _product(at: Looped, equation: Equation, values: list[Value]) -> list[Value]:
    (a, b), (made,), params = equation.inputs, equation.outputs, equation.params
    wanted = params.get("preferred_element_type")
    dtype = np.dtype(a.dtype)
    if dtype != b.dtype or dtype.kind != "f" or (wanted is not None and np.dtype(wanted) != dtype):
        raise Refused(f"its step multiplies matrices of {a.dtype} and {b.dtype}")
    left, right = (at.array(v, g.dtype) for v, g in zip(values, equation.inputs, strict=True))
    axes, batch = params["dimension_numbers"]
    if all(a.shape[i] == 1 for i in axes[0]):
        return [outer_product(at, left, right, params["dimension_numbers"], made)]
    # Each entry is read many times.
    left, right = (
        v if isinstance(v, View) or not v.cost else at.in_memory(v) for v in (left, right)
    )
    found = at.workspace.view(made.shape, made.dtype)
    multiply(at.emit, left, right, axes, batch, found)
    return [found]


def outer_product(at: Looped, left: Array, right: Array, numbers: Any, made: Variable) -> Array:
    """Return a product without sums."""
    (axes, other_axes), (batch, other_batch) = numbers
    free = [i for i in range(len(left.shape)) if i not in (*axes, *batch)]
    other_free = [i for i in range(len(right.shape)) if i not in (*other_axes, *other_batch)]
    # Of each factor's axes the one of the product; the others have one entry.
    first = {axis: i for i, axis in enumerate((*batch, *free))}
    count = len(first)
    second = {axis: i for i, axis in enumerate(other_batch)}
    second |= {axis: count + i for i, axis in enumerate(other_free)}

    def entry(memo: Memo, place: Place) -> Entry:
        def of(array: Array, where: dict[int, int]) -> Entry:
            size = range(len(array.shape))
            return array.at(memo, tuple(place[where[i]] if i in where else ZERO for i in size))

        return at.emit.multiply(of(left, first), of(right, second), left.dtype)

    return Array(made.shape, made.dtype, entry, [left, right], 1, moved=True)
