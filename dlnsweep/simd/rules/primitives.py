"""JAX's primitives on arrays of entries that are at hand: scalars, and what is known.

A primitive is a function of the emitter, the equation's parameters and its arrays; each of these is
a pair, of a NumPy array of entries and the type of its numbers. It returns the arrays of entries
that it makes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlnsweep.simd.entries import Emitter, Refused
from dlnsweep.simd.rules.elementwise import ELEMENTWISE, SIMPLE

Entries = np.ndarray
Array = tuple[Entries, np.dtype]
Rule = Callable[[Emitter, dict[str, Any], Sequence[Array]], list[Entries]]

RULES: dict[str, Rule] = {}
# Of those that only move entries: what NumPy does with an array.
MOVED: dict[str, Callable[..., Entries]] = {}


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
        types = [dtype for _, dtype in arrays]
        return [each(lambda *x: function(emit, params, types, *x), *(a for a, _ in arrays))]

    RULES[name] = rule


for _name, _function in ELEMENTWISE.items():
    _elementwise(_name, _function)


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
    _reduction(f"reduce_{_kind}", SIMPLE[_function_name])


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
    _cumulative(f"cum{_kind}", SIMPLE[_function_name])


def _moved(name: str, function: Callable[..., Entries]) -> None:
    """Make a primitive known that only moves entries."""

    def rule(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
        return [function(params, *(a for a, _ in arrays))]

    RULES[name] = rule
    MOVED[name] = function


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


@_rule("unstack")
def _unstacked(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
    return list(np.moveaxis(arrays[0][0], params["axis"], 0))


@_rule("pad")
def _padded(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
    (x, _), (fill, _) = arrays
    shape, places, kept = padding(x.shape, params["padding_config"])
    found = np.empty(shape, object)
    found[...] = fill[()]
    found[places] = x
    return [found[kept]]


def padding(
    shape: Sequence[int], config: Sequence[tuple[int, int, int]]
) -> tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]:
    """Return the shape of what is filled, where an array stands in it, and what is left of that.

    Args:
        shape: The array's.
        config: What JAX says of each axis: how many entries are put before it and behind it, of
            fewer than none those are left out, and between its entries.
    """
    whole, places, kept = [], [], []
    for size, (low, high, inner) in zip(shape, config, strict=True):
        first, long = max(low, 0), size + max(0, size - 1) * inner
        whole.append(first + long + max(high, 0))
        places.append(slice(first, first + long, inner + 1))
        kept.append(slice(max(-low, 0), whole[-1] - max(-high, 0)))
    return tuple(whole), tuple(places), tuple(kept)


@_rule("empty", "empty2")
def _empty(emit: Emitter, params: dict[str, Any], arrays: Sequence[Array]) -> list[Entries]:
    # Of no meaning before it is written: zeros.
    return [as_entries(np.zeros(params.get("shape", ()), params["dtype"]))]


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
