"""JAX's primitives whose entries are each a function of entries.

Such a function takes the emitter, the equation's parameters, the types of the arrays' numbers, and
an entry of each; it returns the entry that it makes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlnsweep.simd.entries import FUNCTIONS, Emitter, Refused, is_known
from dlnsweep.simd.rules import integers

Function = Callable[..., Any]

ELEMENTWISE: dict[str, Function] = {}


def _one_minus_square(emit: Emitter, dtype: np.dtype, x: Any) -> Any:
    one = dtype.type(1)
    return emit.multiply(emit.add(one, x, dtype), emit.subtract(one, x, dtype), dtype)


def _polynomial(emit: Emitter, dtype: np.dtype, x: Any, *coefficients: Any) -> Any:
    *rest, found = coefficients
    for each in reversed(rest):
        found = emit.add(emit.multiply(found, x, dtype), each, dtype)
    return found


# Those of one type of numbers, and what they make of two entries.
SIMPLE: dict[str, Function] = {
    "add": lambda e, t, a, b: e.add(a, b, t),
    "add_any": lambda e, t, a, b: e.add(a, b, t),
    "sub": lambda e, t, a, b: e.subtract(a, b, t),
    "mul": lambda e, t, a, b: e.multiply(a, b, t),
    "neg": lambda e, t, a: e.negate(a, t),
    "max": lambda e, t, a, b: e.larger(a, b, t),
    "min": lambda e, t, a, b: e.larger(a, b, t, "<"),
    "square": lambda e, t, a: e.multiply(a, a, t),
    # These two are of later versions of JAX; the first keeps digits where x is near 1.
    "one_minus_square": _one_minus_square,
    "polynomial": _polynomial,
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
# Operations of an entry, where it is not one; roughly, in the time that they take.
_COSTS = {
    **dict.fromkeys(("copy", "copy_p", "stop_gradient", "optimization_barrier"), 0),
    "convert_element_type": 0,
    "round": 2,
    "bitcast_convert_type": 0,
    "one_minus_square": 3,
    "polynomial": 10,
    **dict.fromkeys(("div", "rem", "sqrt", "rsqrt", "integer_pow"), 4),
    **dict.fromkeys((*FUNCTIONS, "atan"), 40),
    **dict.fromkeys(("pow", "erf_inv"), 80),
}


def cost(name: str) -> int:
    """Return the operations of an entry, roughly."""
    return _COSTS.get(name, 1)


# Of integers, those that are another function of them.
_OF_INTEGERS: dict[str, Function] = {
    "div": integers.quotient,
    "rem": integers.rest,
    "sign": integers.sign,
    "abs": integers.size,
}


def _of_one_type(name: str, function: Function | None, *, floating: bool = False) -> None:
    """Make a primitive known that has one type of numbers, or floating-point ones alone."""

    def entry(emit: Emitter, params: Any, types: Sequence[np.dtype], *entries: Any) -> Any:
        if name in _OF_INTEGERS and types[0].kind in "iu":
            return _OF_INTEGERS[name](emit, types[0], *entries)
        if function is None or (floating and types[0].kind != "f"):
            raise Refused(f"its step has {name!r} of {types[0]}")
        return function(emit, types[0], *entries)

    ELEMENTWISE[name] = entry


def _sign(emit: Emitter, dtype: np.dtype, x: Any) -> Any:
    if is_known(x):
        return np.sign(dtype.type(x))
    unit = emit.call("llvm.copysign", dtype, dtype.type(1), x)
    # Zero and NaN are what they are.
    size = emit.call("llvm.fabs", dtype, x)
    return emit.select(emit.compared(">", size, dtype.type(0), dtype), unit, x, dtype)


def _finite(emit: Emitter, dtype: np.dtype, x: Any) -> Any:
    size = emit.call("llvm.fabs", dtype, x)
    return emit.compared("<", size, dtype.type(np.inf), dtype)


for _name, _function in SIMPLE.items():
    _of_one_type(_name, _function)
for _name, _function in {
    "div": lambda e, t, a, b: e.divide(a, b, t),
    "rem": None,
    "atan": lambda e, t, a: e.function("atan2", t, a, t.type(1)),
    "abs": lambda e, t, a: e.call("llvm.fabs", t, a),
    "sqrt": lambda e, t, a: e.call("llvm.sqrt", t, a),
    "rsqrt": lambda e, t, a: e.divide(t.type(1), e.call("llvm.sqrt", t, a), t),
    "floor": lambda e, t, a: e.call("llvm.floor", t, a),
    "ceil": lambda e, t, a: e.call("llvm.ceil", t, a),
    "sign": _sign,
    "is_finite": _finite,
    **{
        name: lambda e, t, *x, name=name: e.function(name, t, *x)
        for name in FUNCTIONS
        if name != "pow"
    },
}.items():
    _of_one_type(_name, _function, floating=True)


def _function_of_entries(name: str) -> Callable[[Function], Function]:
    def known(function: Function) -> Function:
        ELEMENTWISE[name] = function
        return function

    return known


@_function_of_entries("pow")
def _power(emit: Emitter, params: Any, types: Sequence[np.dtype], a: Any, b: Any) -> Any:
    dtype, other = types
    if dtype.kind != "f":
        raise Refused(f"its step has 'pow' of {dtype}")
    return emit.function("pow", dtype, a, emit.convert(b, other, dtype))


@_function_of_entries("integer_pow")
def _integer_power(emit: Emitter, params: Any, types: Sequence[np.dtype], a: Any) -> Any:
    dtype, power = types[0], params["y"]
    found, square, left = None, a, abs(power)
    while left:
        if left & 1:
            found = square if found is None else emit.multiply(found, square, dtype)
        left >>= 1
        square = emit.multiply(square, square, dtype) if left else square
    found = dtype.type(1) if found is None else found
    return found if power >= 0 else emit.divide(dtype.type(1), found, dtype)


@_function_of_entries("convert_element_type")
def _converted(emit: Emitter, params: Any, types: Sequence[np.dtype], a: Any) -> Any:
    return emit.convert(a, types[0], np.dtype(params["new_dtype"]))


@_function_of_entries("round")
def _rounded(emit: Emitter, params: Any, types: Sequence[np.dtype], a: Any) -> Any:
    # Half a unit goes to the even number, or away from zero.
    even = int(params["rounding_method"]) == 1
    return emit.call("llvm.roundeven" if even else "llvm.round", types[0], a)


@_function_of_entries("bitcast_convert_type")
def _same_bits(emit: Emitter, params: Any, types: Sequence[np.dtype], a: Any) -> Any:
    new = np.dtype(params["new_dtype"])
    if types[0].itemsize != new.itemsize or "b" in (types[0].kind, new.kind):
        raise Refused(f"its step takes the bits of {types[0]} for {new}")
    return emit.same_bits(a, types[0], new)


@_function_of_entries("select_n")
def _selected(
    emit: Emitter, params: Any, types: Sequence[np.dtype], which: Any, *cases: Any
) -> Any:
    if len(cases) == 1:
        return cases[0]
    if types[0].kind == "b":
        return emit.select(which, cases[1], cases[0], types[1])
    found = cases[0]
    for number, case in enumerate(cases[1:], 1):
        here = emit.compared("==", which, types[0].type(number), types[0])
        found = emit.select(here, case, found, types[1])
    return found
