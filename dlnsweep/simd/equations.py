"""A jaxpr as one list of equations: what it calls stands in it, and what nothing needs is left out.

So do short loops (`lax.scan`), as often as they are carried out.

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

from dlnsweep.simd.comparators import num_comparators

# Operations of a comparison that sorts: of two numbers and their places, which may change.
_OF_A_COMPARISON = 8
# Of an entry that is written for each run alone.
_AT_AN_INDEX = 10
# Loops of more turns, with those of the loops around them, are not written out: some hundred turns
# are compiled within seconds, and a thousand within minutes.
_LONGEST_SCAN = 64
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
        if self.name.startswith("scatter"):
            return self.inputs[0].size + _AT_AN_INDEX * self.inputs[2].size
        if self.name in ("sort", "top_k"):
            size = self.inputs[0].shape[self.params.get("dimension", -1)]
            rows = self.inputs[0].size // size if size else 0
            return _OF_A_COMPARISON * rows * num_comparators(size)
        return entries


# What only moves entries.
MOVES = {
    "broadcast_in_dim", "reshape", "transpose", "squeeze", "expand_dims", "slice", "rev",
    "concatenate", "stack", "unstack", "split", "pad", "iota", "empty", "empty2", "tile", "copy",
    "copy_p", "stop_gradient", "optimization_barrier", "convert_element_type",
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
    equations: list[Equation],
    jaxpr: Any,
    constants: Sequence[Any],
    inputs: Sequence[Variable],
    turns: int = 1,
) -> list[Variable]:
    """Add what a jaxpr does, in so many turns of loops, to some equations; return what it makes."""
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
            made = _inlined(equations, getattr(inner, "jaxpr", inner), closed, given, turns)
        elif name == "cond":
            made = _chosen(equations, params["branches"], given, turns)
        elif name == "scan" and 0 < turns * params["length"] <= _LONGEST_SCAN:
            kept = [v.aval.shape for v in equation.outvars]
            made = _repeated(equations, params, given, kept, turns)
        else:
            made = [_made(v) for v in equation.outvars]
            equations.append(Equation(name, params, tuple(given), tuple(made)))
        known.update(zip(equation.outvars, made, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _chosen(
    equations: list[Equation], branches: Sequence[Any], inputs: Sequence[Variable], turns: int
) -> list[Variable]:
    """Add all branches of a choice to some equations, and the choice; return what it makes.

    Args:
        equations: The equations.
        branches: Closed jaxprs.
        inputs: The number of the branch, which is one of them, and what they are given.
        turns: Those of the loops around it.
    """
    number, *given = inputs
    found: list[Variable] = []
    for place, branch in enumerate(branches):
        made = _inlined(equations, branch.jaxpr, branch.consts, given, turns)
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


def _repeated(
    equations: list[Equation],
    params: dict[str, Any],
    inputs: Sequence[Variable],
    kept: Sequence[tuple[int, ...]],
    turns: int,
) -> list[Variable]:
    """Add a loop of known length (`lax.scan`) to some equations, as often as it is carried out.

    Args:
        equations: The equations.
        params: Of the loop.
        inputs: What it reads, what it carries, and arrays of which each time has an entry.
        kept: The shapes of what it carries at last, and of what it has made each time.
        turns: Those of the loops around it.
    """
    body, length = params["jaxpr"], params["length"]
    # Versions of JAX say in different words how many are carried: of those no axis is taken away.
    second = sum(v.shape == a.shape for v, a in zip(inputs, body.in_avals, strict=True))
    first = second - sum(k == a.shape for k, a in zip(kept, body.out_avals, strict=True))
    constants, carried, rows = inputs[:first], list(inputs[first:second]), inputs[second:]
    made: list[list[Variable]] = []

    def add(name: str, given: Sequence[Variable], shape: Sequence[int], **more: Any) -> Variable:
        found = Variable(tuple(shape), given[0].dtype)
        equations.append(Equation(name, more, tuple(given), (found,)))
        return found

    for turn in range(length):
        place = length - 1 - turn if params["reverse"] else turn
        given = []
        for row in rows:
            rest = row.shape[1:]
            start, stop = (place, *(0 for _ in rest)), (place + 1, *rest)
            cut = add(
                "slice", [row], (1, *rest), start_indices=start, limit_indices=stop, strides=None
            )
            given.append(add("squeeze", [cut], rest, dimensions=(0,)))
        given = [*constants, *carried, *given]
        found = _inlined(equations, body.jaxpr, body.consts, given, turns * length)
        carried = found[: second - first]
        made.append(found[second - first :])
    made = made[::-1] if params["reverse"] else made
    whole = []
    for parts in zip(*made, strict=True):
        shape = parts[0].shape
        each = [add("reshape", [p], (1, *shape), new_sizes=(1, *shape), dimensions=None)
                for p in parts]  # fmt: skip
        whole.append(add("concatenate", each, (length, *shape), dimension=0))
    return [*carried, *whole]


def _needed(equations: Sequence[Equation], outputs: Sequence[Variable]) -> list[Equation]:
    """Return the equations that outputs depend on."""
    wanted, found = set(outputs), []
    for equation in reversed(equations):
        if wanted & set(equation.outputs):
            wanted |= set(equation.inputs)
            found.append(equation)
    return found[::-1]
