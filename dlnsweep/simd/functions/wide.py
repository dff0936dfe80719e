"""Vectors of float64 numbers, one a lane, as values of an LLVM builder with Python's operators.

The formulas of the vector functions are written in them. Every operation rounds once, as IEEE 754
has it, and nothing is reordered: what is emitted gives the same bits on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dlnsweep.simd.llvm import ir

# Adding it to a number below 2^51 leaves the nearest integer in the lowest bits of the sum.
MAGIC = 6755399441055744.0  # 1.5 * 2^52


@dataclass(frozen=True)
class Wide:
    """A vector of float64 numbers.

    Attributes:
        builder: What emits instructions.
        value: Its value there.
    """

    builder: Any
    value: Any

    def number(self, number: float) -> Wide:
        """Return a vector of one number."""
        return Wide(self.builder, constant(self.value.type, number))

    def _other(self, other: Wide | float) -> Any:
        return other.value if isinstance(other, Wide) else constant(self.value.type, other)

    def _made(self, value: Any) -> Wide:
        return Wide(self.builder, value)

    def __add__(self, other: Wide | float) -> Wide:
        return self._made(self.builder.fadd(self.value, self._other(other)))

    def __radd__(self, other: float) -> Wide:
        return self._made(self.builder.fadd(self._other(other), self.value))

    def __sub__(self, other: Wide | float) -> Wide:
        return self._made(self.builder.fsub(self.value, self._other(other)))

    def __rsub__(self, other: float) -> Wide:
        return self._made(self.builder.fsub(self._other(other), self.value))

    def __mul__(self, other: Wide | float) -> Wide:
        return self._made(self.builder.fmul(self.value, self._other(other)))

    def __rmul__(self, other: float) -> Wide:
        return self._made(self.builder.fmul(self._other(other), self.value))

    def __truediv__(self, other: Wide | float) -> Wide:
        return self._made(self.builder.fdiv(self.value, self._other(other)))

    def __rtruediv__(self, other: float) -> Wide:
        return self._made(self.builder.fdiv(self._other(other), self.value))

    def __neg__(self) -> Wide:
        return self._made(self.builder.fneg(self.value))

    def times_plus(self, factor: Wide | float, term: Wide | float) -> Wide:
        """Return self * factor + term, rounded once."""
        parts = [self.value, self._other(factor), self._other(term)]
        return self._made(intrinsic(self.builder, "llvm.fma", parts))

    def absolute(self) -> Wide:
        """Return |x|."""
        return self._made(intrinsic(self.builder, "llvm.fabs", [self.value]))

    def square_root(self) -> Wide:
        """Return its square root."""
        return self._made(intrinsic(self.builder, "llvm.sqrt", [self.value]))

    def floor(self) -> Wide:
        """Return the largest integer that is not larger."""
        return self._made(intrinsic(self.builder, "llvm.floor", [self.value]))

    def signed_as(self, other: Wide) -> Wide:
        """Return |x| with another vector's signs."""
        return self._made(intrinsic(self.builder, "llvm.copysign", [self.value, other.value]))

    def compare(self, operator: str, other: Wide | float) -> Any:
        """Return a mask; of NaN nothing holds but that it is unequal."""
        return compare(self.builder, operator, self.value, self._other(other))

    def where(self, mask: Any, other: Wide | float) -> Wide:
        """Return self where a mask is set, else the other one."""
        return self._made(self.builder.select(mask, self.value, self._other(other)))

    def at_most(self, number: float) -> Wide:
        """Return the smaller one; NaN stays NaN."""
        return self.number(number).where(self.compare(">", number), self)

    def at_least(self, number: float) -> Wide:
        """Return the larger one; NaN stays NaN."""
        return self.number(number).where(self.compare("<", number), self)

    def bits(self) -> Any:
        """Return its bits as a vector of integers."""
        return self.builder.bitcast(self.value, integers(self.value.type))

    def from_bits(self, bits: Any) -> Wide:
        """Return the vector of these bits."""
        return self._made(self.builder.bitcast(bits, self.value.type))

    def power_of_two(self) -> Wide:
        """Return 2^k of integers k between -1022 and 1023."""
        return (self + MAGIC).lowest_as_power()

    def lowest_as_power(self, sign: int = 1) -> Wide:
        """Return 2^k, or with a sign of -1 2^-k, of integers k that have been added to `MAGIC`."""
        one = integer(self.bits().type, 1023 << 52)
        raised = self.builder.shl(self.bits(), integer(one.type, 52))
        emit = self.builder.add if sign > 0 else self.builder.sub
        return self.from_bits(emit(one, raised))

    def scaled(self, exponent: Wide) -> Wide:
        """Return x 2^k for integers k between -2000 and 2000, in two steps."""
        # What ends below all normal numbers is rounded in the second one alone.
        half = exponent.times_plus(0.5, MAGIC) - MAGIC
        return self * half.power_of_two() * (exponent - half).power_of_two()

    def polynomial(self, coefficients: tuple[float, ...]) -> Wide:
        """Return sum_k c_k x^k by pairs of terms, pairs of pairs: few that wait for each other.

        (Estrin 1960, "Organization of computer systems: the fixed plus variable structure
        computer".)
        """
        power, terms = self, [self.number(each) for each in coefficients]
        while len(terms) > 1:
            odd = terms[-1:] if len(terms) % 2 else []
            pairs = zip(terms[::2], terms[1::2], strict=False)
            terms = [high.times_plus(power, low) for low, high in pairs] + odd
            power = power * power
        return terms[0]

    def horner(self, coefficients: tuple[float, ...]) -> Wide:
        """Return sum_k c_k x^k."""
        total = self.number(coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            total = total.times_plus(self, coefficient)
        return total


def constant(kind: Any, number: float) -> Any:
    """Return a vector of one number."""
    return ir.Constant(kind, [ir.Constant(kind.element, number)] * kind.count)


def integer(kind: Any, number: int) -> Any:
    """Return a vector of one integer."""
    return ir.Constant(kind, [ir.Constant(kind.element, number)] * kind.count)


def integers(kind: Any) -> Any:
    """Return the type of a vector of int64 of as many lanes as one of float64."""
    return ir.VectorType(ir.IntType(64), kind.count)


def compare(builder: Any, operator: str, left: Any, right: Any) -> Any:
    """Return the mask of a comparison of floating-point vectors."""
    kind = builder.fcmp_unordered if operator == "!=" else builder.fcmp_ordered
    return kind(operator, left, right)


_LETTERS = {"double": "f64", "float": "f32"}


def intrinsic(builder: Any, name: str, arguments: list[Any]) -> Any:
    """Return a call of one of LLVM's own functions, all of whose arguments are of one type."""
    kind = arguments[0].type
    full = f"{name}.v{kind.count}{_LETTERS[str(kind.element)]}"
    module = builder.module
    function = module.globals.get(full)
    if function is None:
        function = ir.Function(module, ir.FunctionType(kind, [kind] * len(arguments)), full)
    return builder.call(function, arguments)


def converting(builder: Any, name: str, argument: Any, kind: Any) -> Any:
    """Return a call of one of LLVM's own functions that makes numbers of another type."""
    given = argument.type
    full = f"{name}.v{kind.count}{kind.element}.v{given.count}{_LETTERS[str(given.element)]}"
    module = builder.module
    function = module.globals.get(full)
    if function is None:
        function = ir.Function(module, ir.FunctionType(kind, [given]), full)
    return builder.call(function, [argument])


def two_sum(a: Wide, b: Wide) -> tuple[Wide, Wide]:
    """Return a + b rounded, and what that has rounded off."""
    total = a + b
    other = total - a
    return total, (a - (total - other)) + (b - other)


def fast_two_sum(a: Wide, b: Wide) -> tuple[Wide, Wide]:
    """Return the same where |a| >= |b|, or a is 0."""
    total = a + b
    return total, (a - total) + b
