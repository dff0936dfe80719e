"""A step as loops over the entries of its arrays, which lie in memory that the first cache holds.

Straight-line code of thousands of operations has more numbers under way than there are registers,
and is longer than the cache of instructions. So an array is computed entry by entry where it is
read (`arrays.py`), or written to memory first where it is read often, and products are made block
by block. Only short loops are unrolled. What is a scalar, or known, is at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dlnsweep.simd.arrays import Array, Memo, Place, View
from dlnsweep.simd.entries import Emitter, Entry, Refused, is_known
from dlnsweep.simd.equations import Equation, Step, Variable
from dlnsweep.simd.indices import ZERO, Index
from dlnsweep.simd.nests import write
from dlnsweep.simd.rules.elementwise import ELEMENTWISE, cost
from dlnsweep.simd.rules.primitives import RULES, as_entries
from dlnsweep.simd.workspace import Workspace

# An array of entries that are at hand, or one that is computed or lies in memory.
Value = np.ndarray | Array
# What is read more than once is computed as often where an entry has no more operations than this.
CHEAP = 3
# Chains of more operations are cut.
_LONGEST = 200
# What makes the same array.
COPIES = ("copy", "copy_p", "optimization_barrier", "stop_gradient")
# Known arrays up to this size are computed at once.
_MOST_KNOWN = 4096

Rule = Callable[["Looped", Equation, list[Value]], list[Value]]


class Looped:
    """What carries out the equations of a step.

    Args:
        emit: What emits.
        workspace: Memory for what is made.
        rules: What emits a primitive, by name, where it is not entry by entry.

    Attributes:
        write: Emits loops that write an array into memory.
    """

    def __init__(self, emit: Emitter, workspace: Workspace, rules: Mapping[str, Rule]) -> None:
        self.emit, self.workspace, self._rules = emit, workspace, rules
        self.write: Callable[[Emitter, Array, View], None] = write

    def outputs(self, step: Step, inputs: Sequence[Value]) -> list[Value]:
        """Return what a step makes of its inputs.

        Raises:
            Refused: If something of it is not known here.
        """
        left = step.uses()
        known: dict[Variable, Value] = dict(zip(step.inputs, inputs, strict=True))

        def read(variable: Variable) -> Value:
            if variable.value is not None:
                return as_entries(variable.value)
            return known[variable]

        for equation in step.equations:
            found = self.made(equation, [read(v) for v in equation.inputs])
            for variable, value in zip(equation.outputs, found, strict=True):
                # What is larger than it is said to be is written beyond its memory.
                assert value.shape == variable.shape, equation.name
                known[variable] = self.settled(value, left.get(variable, 0))
            for variable in equation.inputs:
                left[variable] -= 1
                if not left[variable]:
                    known.pop(variable, None)
            arrays = [value for value in known.values() if isinstance(value, Array)]
            self.workspace.keep(frozenset().union(*(array.reads for array in arrays)))
        return [read(v) for v in step.outputs]

    def made(self, equation: Equation, values: list[Value]) -> list[Value]:
        """Return what an equation makes of its inputs.

        Raises:
            Refused: If it is not known here.
        """
        name = equation.name
        at_hand = [value for value in values if isinstance(value, np.ndarray)]
        size = max((v.size for v in (*equation.inputs, *equation.outputs)), default=0)
        known = all(is_known(entry) for value in at_hand for entry in value.flat)
        here = len(at_hand) == len(values) and (size == 1 or (known and size <= _MOST_KNOWN))
        if here and name in RULES:
            types = [np.dtype(v.dtype) for v in equation.inputs]
            return list(
                RULES[name](self.emit, equation.params, list(zip(at_hand, types, strict=True)))
            )
        if not all(v.size for v in (*equation.inputs, *equation.outputs)):
            raise Refused(f"its step has {name!r} of an array that has no entries")
        if name in COPIES and isinstance(values[0], Array):
            return values
        if name in ELEMENTWISE:
            return [self._elementwise(equation, values)]
        if name not in self._rules:
            raise Refused(f"its step has the operation {name!r}, which is not known here")
        return self._rules[name](self, equation, values)

    def _elementwise(self, equation: Equation, values: list[Value]) -> Array:
        function, types = ELEMENTWISE[equation.name], [np.dtype(v.dtype) for v in equation.inputs]
        arrays = [
            self.array(value, v.dtype) for value, v in zip(values, equation.inputs, strict=True)
        ]
        (made,) = equation.outputs

        def entry(memo: Memo, place: Place) -> Entry:
            entries = [array.at(memo, _own(place, array)) for array in arrays]
            return function(self.emit, equation.params, types, *entries)

        # Of one with axes of 1 an entry goes with others than those at its own indices.
        repeated = any(array.shape not in ((), made.shape) for array in arrays)
        return Array(made.shape, made.dtype, entry, arrays, cost(equation.name), repeated)

    def settled(self, value: Value, uses: int) -> Value:
        """Return an array as it is kept: at hand, in memory, or to be computed."""
        if isinstance(value, np.ndarray):
            return value
        if value.size == 1:
            return self.at_hand(value)
        if (uses > 1 and value.cost > CHEAP) or value.cost > _LONGEST:
            return self.in_memory(value)
        return value

    def at_hand(self, array: Array) -> np.ndarray:
        """Return the entries of an array."""
        found, memo = np.empty(array.shape, object), {}
        for place in np.ndindex(*array.shape):
            found[place] = array.at(memo, tuple(Index(i) for i in place))
        return found

    def array(self, value: Value, dtype: Any) -> Array:
        """Return a value as an array that loops can read."""
        if isinstance(value, Array):
            return value
        first = value.flat[0]
        if all(entry is first for entry in value.flat) or _all_the_same(value):
            return Array(value.shape, dtype, lambda _, __: first)
        found = self.workspace.view(value.shape, dtype)
        for place in np.ndindex(*value.shape):
            found.store(tuple(Index(i) for i in place), value[place])
        return found

    def in_memory(self, array: Array) -> View:
        """Return an array as one that lies in memory."""
        if isinstance(array, View):
            return array
        found = self.workspace.view(array.shape, array.dtype)
        self.write(self.emit, array, found)
        return found


def _own(place: Place, array: Array) -> Place:
    """Return the indices of an array that goes with larger ones: a scalar, or with axes of 1."""
    if not array.shape:
        return ()
    return tuple(i if size > 1 else ZERO for i, size in zip(place, array.shape, strict=True))


def _all_the_same(array: np.ndarray) -> bool:
    """Tell whether all entries are one known number, to the bit."""
    entries = list(array.flat)
    return (
        all(is_known(entry) for entry in entries)
        and len({np.asarray(e).tobytes() for e in entries}) == 1
    )
