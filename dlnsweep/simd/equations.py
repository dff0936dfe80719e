"""A jaxpr as one list of equations: what it calls stands in it, and what nothing needs is left out.

Of a choice (`lax.cond`, `lax.switch`) all branches stand in it, for each lane makes its own, and
what they return is chosen entry by entry. Each variable is made once, by one equation, whatever is
called twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnsweep.simd.comparators import comparators

# Operations of a comparison that sorts: of two numbers and their places, which may change.
_OF_A_COMPARISON = 8
_CALLS = {
    "jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint", "custom_jvp_call",
    "custom_vjp_call", "custom_vjp_call_jaxpr",
}  # fmt: skip


class Variable:
    """An array of a step.

    Attributes:
        shape: Its shape.
        dtype: The type of its numbers.
        value: The array, where it is the same whatever the run; else None.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, value: Any = None) -> None:
        self.shape, self.dtype, self.value = tuple(shape), dtype, value

    @property
    def size(self) -> int:
        """The number of its entries."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Equation:
    """A primitive of JAX's, with its parameters, on arrays."""

    name: str
    params: dict[str, Any]
    inputs: tuple[Variable, ...]
    outputs: tuple[Variable, ...]

    @property
    def operations(self) -> int:
        """How many operations it has, roughly: one an entry, or a term of a sum."""
        if self.name in MOVES:
            return 0
        entries = max((v.size for v in self.outputs), default=0)
        if self.name == "dot_general":
            (axes, _), _ = self.params["dimension_numbers"]
            return entries * math.prod(self.inputs[0].shape[i] for i in axes)
        if self.name.startswith("reduce_"):
            return self.inputs[0].size
        if self.name == "sort":
            size = self.inputs[0].shape[self.params["dimension"]]
            rows = entries // size if size else 0
            return _OF_A_COMPARISON * rows * len(comparators(size))
        return entries


# What only moves entries.
MOVES = {
    "broadcast_in_dim", "reshape", "transpose", "squeeze", "expand_dims", "slice", "rev",
    "concatenate", "stack", "unstack", "split", "pad", "iota", "copy", "copy_p", "stop_gradient",
    "optimization_barrier", "convert_element_type",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A step as equations.

    Attributes:
        inputs: Its arguments.
        equations: What it does, in this order.
        outputs: What it makes.
    """

    inputs: tuple[Variable, ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Variable, ...]

    @property
    def operations(self) -> int:
        """How many operations it has, roughly."""
        return sum(equation.operations for equation in self.equations)

    def uses(self) -> dict[Variable, int]:
        """Return how often each variable is read."""
        read = [v for e in self.equations for v in e.inputs] + list(self.outputs)
        found: dict[Variable, int] = {}
        for variable in read:
            found[variable] = found.get(variable, 0) + 1
        return found


def step_of(jaxpr: Any) -> Step:
    """Return a closed jaxpr as a step."""
    inputs = tuple(_made(v) for v in jaxpr.jaxpr.invars)
    equations: list[Equation] = []
    outputs = _inlined(equations, jaxpr.jaxpr, jaxpr.consts, inputs)
    return Step(inputs, tuple(_needed(equations, outputs)), tuple(outputs))


def _made(variable: Any) -> Variable:
    return Variable(variable.aval.shape, variable.aval.dtype)


def _constant(value: Any, dtype: Any) -> Variable:
    array = np.asarray(value).astype(dtype)
    return Variable(array.shape, dtype, array)


def _inlined(
    equations: list[Equation], jaxpr: Any, constants: Sequence[Any], inputs: Sequence[Variable]
) -> list[Variable]:
    """Add what a jaxpr does to some equations; return what it makes."""
    known = dict(zip(jaxpr.invars, inputs, strict=True))
    for variable, value in zip(jaxpr.constvars, constants, strict=True):
        known[variable] = _constant(value, variable.aval.dtype)

    def read(variable: Any) -> Variable:
        if hasattr(variable, "val"):
            return _constant(variable.val, variable.aval.dtype)
        return known[variable]

    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        given = [read(v) for v in equation.invars]
        if name in _CALLS:
            inner = params.get("jaxpr", params.get("call_jaxpr", params.get("fun_jaxpr")))
            closed = getattr(inner, "consts", ())
            made = _inlined(equations, getattr(inner, "jaxpr", inner), closed, given)
        elif name == "cond":
            made = _chosen(equations, params["branches"], given)
        else:
            made = [_made(v) for v in equation.outvars]
            equations.append(Equation(name, params, tuple(given), tuple(made)))
        known.update(zip(equation.outvars, made, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _chosen(
    equations: list[Equation], branches: Sequence[Any], inputs: Sequence[Variable]
) -> list[Variable]:
    """Add all branches of a choice to some equations, and the choice; return what it makes.

    Args:
        equations: The equations.
        branches: Closed jaxprs.
        inputs: The number of the branch, which is one of them, and what they are given.
    """
    number, *given = inputs
    found: list[Variable] = []
    for place, branch in enumerate(branches):
        made = _inlined(equations, branch.jaxpr, branch.consts, given)
        if not place:
            found = made
            continue
        here = Variable(number.shape, np.dtype(bool))
        wanted = _constant(place, number.dtype)
        equations.append(Equation("eq", {}, (number, wanted), (here,)))
        for i, (other, own) in enumerate(zip(found, made, strict=True)):
            one = Variable(own.shape, own.dtype)
            equations.append(Equation("select_n", {}, (here, other, own), (one,)))
            found[i] = one
    return found


def _needed(equations: Sequence[Equation], outputs: Sequence[Variable]) -> list[Equation]:
    """Return the equations that outputs depend on."""
    wanted, found = set(outputs), []
    for equation in reversed(equations):
        if wanted & set(equation.outputs):
            wanted |= set(equation.inputs)
            found.append(equation)
    return found[::-1]
