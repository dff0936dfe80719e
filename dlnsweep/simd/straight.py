"""A step as straight-line code: every number of it a vector in a register, nothing in loops.

Numbers that are known are computed at once, so that zeros and ones cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlnsweep.simd.entries import Emitter, Refused
from dlnsweep.simd.equations import Step, Variable
from dlnsweep.simd.primitives import RULES, as_entries


def outputs(emit: Emitter, step: Step, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return what a step makes of arrays of entries.

    Raises:
        Refused: If something of it is not known here.
    """
    known: dict[Variable, np.ndarray] = dict(zip(step.inputs, inputs, strict=True))

    def read(variable: Variable) -> np.ndarray:
        return known[variable] if variable.value is None else as_entries(variable.value)

    for equation in step.equations:
        if equation.name not in RULES:
            raise Refused(unknown(equation.name))
        types = [np.dtype(v.dtype) for v in equation.inputs]
        arrays = [read(v) for v in equation.inputs]
        rule = RULES[equation.name]
        found = rule(emit, equation.params, list(zip(arrays, types, strict=True)))
        known.update(zip(equation.outputs, found, strict=True))
    return [read(v) for v in step.outputs]


def unknown(name: str) -> str:
    """Return the reason that refuses a primitive."""
    return f"its step has the operation {name!r}, which is not known here"
