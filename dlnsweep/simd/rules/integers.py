"""Functions of integers that processors have no vector instruction for, as XLA has them.

A quotient is cut off towards zero. What is divided by zero gives -1 and leaves all of itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnsweep.simd.entries import Emitter, Entry, is_known


def quotient(emit: Emitter, dtype: np.dtype, a: Entry, b: Entry) -> Entry:
    """Return a / b without its fraction."""
    if is_known(a) and is_known(b):
        return _known(dtype, int(a), int(b))[0]
    found = _divided(emit, dtype, a, b, "div")
    if not is_known(b) and dtype.kind == "i":
        found = emit.select(_is(emit, dtype, b, -1), emit.negate(a, dtype), found, dtype)
    return emit.select(_is(emit, dtype, b, 0), _minus_one(dtype), found, dtype)


def rest(emit: Emitter, dtype: np.dtype, a: Entry, b: Entry) -> Entry:
    """Return what is left of a, with its sign."""
    if is_known(a) and is_known(b):
        return _known(dtype, int(a), int(b))[1]
    found = _divided(emit, dtype, a, b, "rem")
    return emit.select(_is(emit, dtype, b, 0), a, found, dtype)


def sign(emit: Emitter, dtype: np.dtype, a: Entry) -> Entry:
    """Return 1, 0 or -1."""
    if is_known(a):
        return np.sign(dtype.type(a))
    zero, one = dtype.type(0), dtype.type(1)
    found = emit.select(emit.compared(">", a, zero, dtype), one, zero, dtype)
    if dtype.kind == "i":
        below = emit.compared("<", a, zero, dtype)
        found = emit.select(below, dtype.type(-1), found, dtype)
    return found


def size(emit: Emitter, dtype: np.dtype, a: Entry) -> Entry:
    """Return |a|."""
    if dtype.kind == "u":
        return a
    if is_known(a):
        with np.errstate(all="ignore"):
            return np.abs(dtype.type(a))
    below = emit.compared("<", a, dtype.type(0), dtype)
    return emit.select(below, emit.negate(a, dtype), a, dtype)


def _divided(emit: Emitter, dtype: np.dtype, a: Entry, b: Entry, name: str) -> Any:
    """Return a quotient or a rest where a processor can make them, else anything."""
    unfit = [0, -1] if dtype.kind == "i" else [0]
    if is_known(b):
        # -1 as it is would be what no number of this length is, of the smallest one.
        b = dtype.type(1) if int(b) == 0 else b
        if int(b) == -1:
            return emit.negate(a, dtype) if name == "div" else emit.vector(dtype.type(0), dtype)
    else:
        for number in unfit:
            b = emit.select(_is(emit, dtype, b, number), dtype.type(1), b, dtype)
    made = getattr(emit.builder, ("s" if dtype.kind == "i" else "u") + name)
    return made(emit.vector(a, dtype), emit.vector(b, dtype))


def _is(emit: Emitter, dtype: np.dtype, a: Entry, number: int) -> Entry:
    return emit.compared("==", a, dtype.type(number), dtype)


def _minus_one(dtype: np.dtype) -> Any:
    return dtype.type(-1) if dtype.kind == "i" else np.iinfo(dtype).max


def _known(dtype: np.dtype, a: int, b: int) -> tuple[Any, Any]:
    if b == 0:
        return dtype.type(_minus_one(dtype)), dtype.type(a)
    whole = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    with np.errstate(all="ignore"):
        return np.array(whole).astype(dtype)[()], dtype.type(a - whole * b)
