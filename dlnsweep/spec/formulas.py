"""Formulas of a sweep file: arithmetic on other settings, parsed and never run as code.

    learning_rate = { formula = "0.1 / network.depth" }

Python's own grammar reads the text; what stands in the tree is looked up in the tables below, and
whatever is not there is refused. All numbers are floats, so that no power runs for ever.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dlnsweep.settings.sentences import printable

_LONGEST = 300
_DEEPEST = 40

_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
# Each with the least and the most number of its arguments.
_FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "min": (min, 2, 16),
    "max": (max, 2, 16),
    "sqrt": (math.sqrt, 1, 1),
    "exp": (math.exp, 1, 1),
    "log": (math.log, 1, 1),
    "log2": (math.log2, 1, 1),
    "log10": (math.log10, 1, 1),
    "abs": (abs, 1, 1),
    "round": (round, 1, 1),
    "floor": (math.floor, 1, 1),
    "ceil": (math.ceil, 1, 1),
}
_CONSTANTS = {"pi": math.pi}
ALLOWED = (
    "numbers, settings such as network.depth, + - * / // % **, parentheses, pi, "
    f"{', '.join(_FUNCTIONS)}"
)

Values = Mapping[str, float]
_Node = Callable[[Values], float]


class FormulaError(ValueError):
    """A formula cannot be read, or has no value; the message is the end of a sentence."""


@dataclass(frozen=True)
class Formula:
    """One formula.

    Attributes:
        text: As the file has it.
        reads: The dotted settings that it names, each once, in order.
    """

    text: str
    reads: tuple[str, ...]
    _root: _Node

    def value(self, values: Values) -> float:
        """Return the formula's value.

        Args:
            values: The number of each setting that it reads.

        Raises:
            FormulaError: If there is none: a division by zero, the root of a negative number.
        """
        try:
            found = self._root(values)
        except ZeroDivisionError:
            raise FormulaError("divides by zero") from None
        except OverflowError:
            raise FormulaError("is too large for a number") from None
        except (ValueError, TypeError):
            # Of the functions: log(0), sqrt(-1); of complex numbers, which a power may be.
            raise FormulaError("is no real number") from None
        if isinstance(found, complex) or math.isnan(found):
            raise FormulaError("is no real number")
        if math.isinf(found):
            raise FormulaError("is too large for a number")
        return float(found)


def parse(text: Any) -> Formula:
    """Read a formula.

    Raises:
        FormulaError: If it is none.
    """
    if not isinstance(text, str) or not text.strip():
        raise FormulaError("must be a text such as '0.1 / network.depth'")
    if len(text) > _LONGEST:
        raise FormulaError(f"has {len(text)} characters; at most {_LONGEST} are allowed")
    if "^" in text:
        raise FormulaError("holds '^'; write ** for a power")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise FormulaError(f"cannot be read; it may hold {ALLOWED}") from None
    reads: dict[str, None] = {}
    root = _read(tree.body, reads, 0)
    return Formula(text, tuple(reads), root)


def _read(node: ast.AST, reads: dict[str, None], depth: int) -> _Node:
    if depth > _DEEPEST:
        raise FormulaError(f"is nested more than {_DEEPEST} deep")
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number):
            return _constant(number)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _constant(_CONSTANTS[name])
        case ast.Name(id=name):
            known = ", ".join((*_FUNCTIONS, *_CONSTANTS))
            raise FormulaError(
                f"names '{printable(name, 60)}', which is none of {known}; a setting is named with "
                "its section, such as network.depth"
            )
        case ast.Attribute(value=ast.Name(id=section), attr=key):
            dotted = f"{section}.{key}"
            reads[dotted] = None
            return lambda values: values[dotted]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            function, inner = _OPERATORS[type(op)], _read(operand, reads, depth + 1)
            return lambda values: function(inner(values))
        case ast.BinOp(left=a, op=op, right=b) if type(op) in _OPERATORS:
            function = _OPERATORS[type(op)]
            left, right = _read(a, reads, depth + 1), _read(b, reads, depth + 1)
            return lambda values: function(left(values), right(values))
        case ast.Call(func=ast.Name(id=name), args=given, keywords=[]) if name in _FUNCTIONS:
            return _call(name, [_read(each, reads, depth + 1) for each in given])
        case _:
            pass
    raise FormulaError(f"holds '{printable(ast.unparse(node), 60)}'; it may hold {ALLOWED}")


def _constant(number: float) -> _Node:
    try:
        value = float(number)
    except OverflowError:
        raise FormulaError("holds a number that is too large") from None
    return lambda _: value


def _call(name: str, arguments: list[_Node]) -> _Node:
    function, least, most = _FUNCTIONS[name]
    if not least <= len(arguments) <= most:
        allowed = "one number" if most == 1 else f"{least} to {most} numbers"
        raise FormulaError(f"gives {name} {len(arguments)}; it takes {allowed}")
    return lambda values: function(*(argument(values) for argument in arguments))
