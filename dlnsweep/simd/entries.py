"""The entries of an array while a step is translated: numbers that are known, and vectors.

An array is NumPy's, of objects: a NumPy scalar where the number is the same whatever the run, else
a value of LLVM's builder, a vector with one number a run. What is known is computed at once, so
zeros and ones cost nothing: 0 x is 0 and 1 x is x, also where x is not finite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dlnsweep.simd.functions import (
    circular,
    error_functions,
    exponentials,
    inverse_circular,
    inverse_error,
    logarithms,
)
from dlnsweep.simd.functions.wide import Wide, compare, converting, intrinsic
from dlnsweep.simd.llvm import ir

Entry = Any


class Refused(Exception):  # noqa: N818 - not an error: another way trains the run
    """A step cannot be translated; the message says why, as a part of a sentence."""


FUNCTIONS: dict[str, Callable[..., Wide]] = {
    "exp": exponentials.exp,
    "expm1": exponentials.expm1,
    "tanh": exponentials.tanh,
    "logistic": exponentials.logistic,
    "log": logarithms.log,
    "log1p": logarithms.log1p,
    "pow": logarithms.power,
    "erf": error_functions.erf,
    "erfc": error_functions.erfc,
    "erf_inv": inverse_error.erf_inv,
    "cos": circular.cos,
    "sin": circular.sin,
    "asin": inverse_circular.asin,
    "acos": inverse_circular.acos,
    "atan2": inverse_circular.atan2,
}


@dataclass
class Emitter:
    """What emits the instructions of a step.

    Attributes:
        builder: LLVM's builder.
        lanes: Runs of a vector, or samples.
        products: The factors of what has been emitted as a product, by value.
        along: Whether a vector is of numbers that follow each other in an array of single ones.
    """

    builder: Any
    lanes: int
    products: dict[Any, tuple[Any, Any]] = field(default_factory=dict)
    along: bool = False

    @contextmanager
    def vectors(self, lanes: int) -> Iterator[None]:
        """Have single numbers emitted as vectors of some that follow each other."""
        before = self.lanes
        self.lanes, self.along = lanes, True
        try:
            yield
        finally:
            self.lanes, self.along = before, False

    def element(self, dtype: Any) -> Any:
        """Return LLVM's type of a number."""
        dtype = np.dtype(dtype)
        if dtype == np.float64:
            return ir.DoubleType()
        if dtype == np.float32:
            return ir.FloatType()
        if dtype.kind in "iu":
            return ir.IntType(8 * dtype.itemsize)
        if dtype.kind == "b":
            return ir.IntType(1)
        raise Refused(f"its step has numbers of the type {dtype}")

    def kind(self, dtype: Any) -> Any:
        """Return LLVM's type of a vector."""
        return ir.VectorType(self.element(dtype), self.lanes)

    def vector(self, entry: Entry, dtype: Any) -> Any:
        """Return an entry as a vector."""
        if not is_known(entry):
            if not self.along or entry.type.count == self.lanes:
                return entry
            zero = ir.Constant(ir.IntType(32), 0)
            return self.splat(self.builder.extract_element(entry, zero))
        kind = self.kind(dtype)
        value = float(entry) if np.dtype(dtype).kind == "f" else int(entry)
        return ir.Constant(kind, [ir.Constant(kind.element, value)] * self.lanes)

    def splat(self, number: Any) -> Any:
        """Return a vector of one number of LLVM's."""
        kind = ir.VectorType(number.type, self.lanes)
        undefined = ir.Constant(kind, ir.Undefined)
        place = ir.Constant(ir.IntType(32), 0)
        one = self.builder.insert_element(undefined, number, place)
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [place] * self.lanes)
        return self.builder.shuffle_vector(one, undefined, zeros)

    def add(self, a: Entry, b: Entry, dtype: Any) -> Entry:
        """Return a + b; of a product and a number in float64 rounded once."""
        if is_known(a) and is_known(b):
            return folded(np.add, dtype, a, b)
        for x, y in ((a, b), (b, a)):
            if is_known(x) and x == 0:
                return y
        if np.dtype(dtype).kind != "f":
            return self.builder.add(self.vector(a, dtype), self.vector(b, dtype))
        # In float32 what a sum rounds off is kept, and must be that of the sum as it is written.
        if dtype == np.float64:
            for x, y in ((b, a), (a, b)):
                if not is_known(x) and x in self.products:
                    return self.fused(*self.products[x], y, dtype)
        return self.builder.fadd(self.vector(a, dtype), self.vector(b, dtype))

    def subtract(self, a: Entry, b: Entry, dtype: Any) -> Entry:
        """Return a - b."""
        if is_known(a) and is_known(b):
            return folded(np.subtract, dtype, a, b)
        if is_known(b) and b == 0:
            return a
        left, right = self.vector(a, dtype), self.vector(b, dtype)
        floating = np.dtype(dtype).kind == "f"
        return self.builder.fsub(left, right) if floating else self.builder.sub(left, right)

    def multiply(self, a: Entry, b: Entry, dtype: Any) -> Entry:
        """Return a b."""
        if is_known(a) and is_known(b):
            return folded(np.multiply, dtype, a, b)
        for x, y in ((a, b), (b, a)):
            if is_known(x) and x == 0:
                return np.dtype(dtype).type(0)
            if is_known(x) and x == 1:
                return y
        left, right = self.vector(a, dtype), self.vector(b, dtype)
        if np.dtype(dtype).kind != "f":
            return self.builder.mul(left, right)
        made = self.builder.fmul(left, right)
        self.products[made] = left, right
        return made

    def fused(self, a: Entry, b: Entry, c: Entry, dtype: Any) -> Entry:
        """Return a b + c, rounded once."""
        if is_known(c) and c == 0:
            return self.multiply(a, b, dtype)
        known = [x for x in (a, b) if is_known(x)]
        if len(known) == 2 or any(x == 0 or x == 1 for x in known):
            return self.add(self.multiply(a, b, dtype), c, dtype)
        return self.call("llvm.fma", dtype, a, b, c)

    def divide(self, a: Entry, b: Entry, dtype: Any) -> Entry:
        """Return a / b, of floating-point numbers."""
        if is_known(a) and is_known(b):
            return folded(np.divide, dtype, a, b)
        if is_known(b) and b == 1:
            return a
        return self.builder.fdiv(self.vector(a, dtype), self.vector(b, dtype))

    def negate(self, a: Entry, dtype: Any) -> Entry:
        """Return -a."""
        if is_known(a):
            return folded(np.negative, dtype, a)
        value = self.vector(a, dtype)
        return self.builder.fneg(value) if np.dtype(dtype).kind == "f" else self.builder.neg(value)

    def larger(self, a: Entry, b: Entry, dtype: Any, operator: str = ">") -> Entry:
        """Return the larger one, or by "<" the smaller one; NaN where one of them is."""
        if is_known(a) and is_known(b):
            return folded(np.maximum if operator == ">" else np.minimum, dtype, a, b)
        if is_known(b):
            a, b = b, a
        left, right = self.vector(a, dtype), self.vector(b, dtype)
        # In this order NaN on the right stays, and it is one instruction.
        mask = self._compared(operator, left, right, dtype)
        found = self.builder.select(mask, left, right)
        if np.dtype(dtype).kind == "f" and not is_known(a):
            found = self.builder.select(compare(self.builder, "!=", left, left), left, found)
        return found

    def compared(self, operator: str, a: Entry, b: Entry, dtype: Any) -> Entry:
        """Return whether a comparison holds."""
        if is_known(a) and is_known(b):
            return folded(_COMPARISONS[operator], np.bool_, a, b)
        return self._compared(operator, self.vector(a, dtype), self.vector(b, dtype), dtype)

    def _compared(self, operator: str, left: Any, right: Any, dtype: Any) -> Any:
        kind = np.dtype(dtype).kind
        if kind == "f":
            return compare(self.builder, operator, left, right)
        if kind == "i":
            return self.builder.icmp_signed(operator, left, right)
        return self.builder.icmp_unsigned(operator, left, right)

    def select(self, mask: Entry, when: Entry, other: Entry, dtype: Any) -> Entry:
        """Return the first where a mask is set, else the second."""
        if is_known(mask):
            return when if mask else other
        if when is other or (is_known(when) and is_known(other) and _same(when, other)):
            return when
        chosen = self.vector(mask, np.bool_)
        return self.builder.select(chosen, self.vector(when, dtype), self.vector(other, dtype))

    def bitwise(self, name: str, a: Entry, b: Entry, dtype: Any) -> Entry:
        """Return "and", "or" or "xor" of integers or truth values."""
        if is_known(a) and is_known(b):
            return folded(getattr(np, f"bitwise_{name}"), dtype, a, b)
        emit = {"and": "and_", "or": "or_", "xor": "xor"}[name]
        return getattr(self.builder, emit)(self.vector(a, dtype), self.vector(b, dtype))

    def shifted(self, name: str, a: Entry, b: Entry, dtype: Any) -> Entry:
        """Return "shl", "lshr" or "ashr" of integers, by known places."""
        if not is_known(b) or not 0 <= int(b) < 8 * np.dtype(dtype).itemsize:
            raise Refused("its step shifts bits by a number of places that the run decides")
        return getattr(self.builder, name)(self.vector(a, dtype), self.vector(b, dtype))

    def call(self, name: str, dtype: Any, *entries: Entry) -> Entry:
        """Return one of LLVM's own functions, which it makes one instruction of."""
        return intrinsic(self.builder, name, [self.vector(x, dtype) for x in entries])

    def function(self, name: str, dtype: Any, *entries: Entry) -> Entry:
        """Return one of `FUNCTIONS`; in float32 it is that of float64, rounded."""
        wide = [self.vector(self.convert(x, dtype, np.float64), np.float64) for x in entries]
        made = FUNCTIONS[name](*(Wide(self.builder, x) for x in wide))
        return self.convert(made.value, np.float64, dtype)

    def convert(self, entry: Entry, old: Any, new: Any) -> Entry:
        """Return an entry as a number of another type."""
        old, new = np.dtype(old), np.dtype(new)
        if old == new:
            return entry
        if is_known(entry):
            return _known_as(entry, new)
        entry = self.vector(entry, old)
        kind, builder = self.kind(new), self.builder
        if new.kind == "b":
            return self.compared("!=", entry, old.type(0), old)
        if old.kind == "f" and new.kind == "f":
            return builder.fpext(entry, kind) if new.itemsize == 8 else builder.fptrunc(entry, kind)
        if new.kind == "f":
            signed = old.kind == "i"
            return builder.sitofp(entry, kind) if signed else builder.uitofp(entry, kind)
        if old.kind == "f":
            name = f"llvm.fpto{'s' if new.kind == 'i' else 'u'}i.sat"
            return converting(builder, name, entry, kind)
        if old.itemsize > new.itemsize:
            return builder.trunc(entry, kind)
        if old.itemsize == new.itemsize and old.kind != "b":
            return entry
        return builder.sext(entry, kind) if old.kind == "i" else builder.zext(entry, kind)

    def same_bits(self, entry: Entry, old: Any, new: Any) -> Entry:
        """Return the number of another type, as large, that has the same bits."""
        old, new = np.dtype(old), np.dtype(new)
        if is_known(entry):
            return old.type(entry).view(new)
        return self.builder.bitcast(self.vector(entry, old), self.kind(new))


_COMPARISONS: dict[str, Callable[..., Any]] = {
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


def is_known(entry: Entry) -> bool:
    """Tell whether an entry is the same number whatever the run."""
    return isinstance(entry, np.generic | bool | int | float)


def _known_as(entry: Entry, dtype: np.dtype) -> Entry:
    """Return a known number as one of another type; as an integer the nearest one towards zero."""
    if isinstance(entry, float | np.floating) and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        whole = 0 if np.isnan(entry) else limits.max if entry > 0 else limits.min
        return dtype.type(
            min(max(int(entry), limits.min), limits.max) if np.isfinite(entry) else whole
        )
    with np.errstate(all="ignore"):
        return np.asarray(entry).astype(dtype)[()]


def _same(a: Entry, b: Entry) -> bool:
    return bool(a == b or (a != a and b != b))


def folded(function: Callable[..., Any], dtype: Any, *entries: Entry) -> Entry:
    """Return what a function of NumPy's makes of known numbers."""
    with np.errstate(all="ignore"):
        return np.dtype(dtype).type(function(*entries))
