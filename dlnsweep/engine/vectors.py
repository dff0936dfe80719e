"""The program of a batch whose steps are vector instructions, one run a lane.

Runs are drawn, and recorded, as by the kernel whose step it is, the generic way or a network's own:
only the steps between records are taken by machine code that `simd/` makes of the same function. A
run has the same bits in whatever lane and batch, as far as its draw and its records have them.
Nothing in the code depends on the processor but how many runs a vector holds, which no bit does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from dlnsweep.contracts.network import network_of
from dlnsweep.contracts.observable import has_dear_records
from dlnsweep.engine.program import Program
from dlnsweep.numerics.compiled import STOPS_A_SEGMENT
from dlnsweep.numerics.elementary import by_primitives
from dlnsweep.numerics.lanes import Layout
from dlnsweep.numerics.lazy import jax
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.simd.entries import Refused
from dlnsweep.simd.llvm import BEGUN, asked, check_installed, why_not_here
from dlnsweep.simd.steps import Steps
from dlnsweep.simd.translate import MOST_OPERATIONS

# "auto" takes vector instructions for steps of no more operations. They pay to twice as many on a
# processor with a second cache of 1 MB, and not where a step's arrays are more than that holds:
# results/kept/speed/simd_border.csv. Another border would change the kernel of begun folders, so it
# needs another word than "simd" in them (execution/ways/auto_kernel.py).
PAYS_UP_TO = 40_000
# The same of the steps of a network's own kernel, beside that kernel:
# results/kept/speed/simd_dense.csv.
PAYS_BESIDE_DENSE = 32_000
# What makes the program of a batch, of a row, the width of the arrays, lanes and the device.
Make = Callable[[RunSettings, int, int, Mapping[str, Any]], Program]
# Leaves of fewer entries are not worth another program where the runs have them in common.
_LEAST_SHARED = 2


def asked_for(way: str, make: Make) -> Make:
    """Return what makes the program of a batch that asks for vector instructions by this word.

    What they cannot be made of the generic way trains, and the program says why. It raises a
    RunError if llvmlite is not installed.
    """

    def made(row: RunSettings, padded_width: int, lanes: int, device: Mapping[str, Any]) -> Program:
        check_installed(asked(way))
        try:
            return make(row, padded_width, lanes, device)
        except Refused as why:
            return Program(row, padded_width, lanes, device, f"{way} cannot: {why}")

    return made


def where_it_pays(way: str, make: Make) -> Make:
    """Return what makes the program of a batch that has vector instructions where they pay.

    How many runs it has does not matter: a run has the same bits whatever others are beside it. It
    raises a RunError if llvmlite is not installed.
    """

    def made(row: RunSettings, padded_width: int, lanes: int, device: Mapping[str, Any]) -> Program:
        check_installed(BEGUN)
        try:
            return make(row, padded_width, lanes, device)
        except Refused as why:
            return Program(row, padded_width, lanes, device, refusal=f"not {way}: {why}")

    return made


def check_vectors(device: Mapping[str, Any]) -> None:
    """Refuse where this machine has no vector instructions for it."""
    if refusal := why_not_here(device["platform"]):
        raise Refused(refusal)


def _of_any(
    row: RunSettings, padded_width: int, lanes: int, device: Mapping[str, Any]
) -> VectorProgram:
    check_vectors(device)
    return VectorProgram(row, padded_width, lanes, device, "asked for", MOST_OPERATIONS)


def _of_small(
    row: RunSettings, padded_width: int, lanes: int, device: Mapping[str, Any]
) -> VectorProgram:
    """Of a network with a kernel of its own these are that kernel's steps."""
    check_vectors(device)
    own = network_of(row).has_own_kernel
    why = "it pays; the dense kernel's steps" if own else "it pays"
    most = PAYS_BESIDE_DENSE if own else PAYS_UP_TO
    return VectorProgram(row, padded_width, lanes, device, why, most)


class VectorProgram(Program):
    """What is compiled for a batch: drawing and recording by XLA, steps by LLVM.

    Args:
        row: The settings of one of the runs.
        padded_width: The width of the arrays.
        lanes: The number of runs that the batch has.
        device: What `runtime.device_description` says.
        why: Why it is this program.
        most: The most operations that a step may have.

    Raises:
        Refused: If it cannot be made.
    """

    # Of a step its trace is needed.
    _keeps_whole = False
    # What stands in the lanes of a vector.
    _of_lanes = "runs"

    def __init__(
        self,
        row: RunSettings,
        padded_width: int,
        lanes: int,
        device: Mapping[str, Any],
        why: str,
        most: int,
    ) -> None:
        self._why, self._most = why, most
        self._dear_records = has_dear_records(row)
        super().__init__(row, padded_width, lanes, device)

    @staticmethod
    def _traced() -> AbstractContextManager[None]:
        """Return where a step is traced: erf and its like have vector functions of their own."""
        return by_primitives()

    @property
    def way(self) -> str:
        """The name of the way of descent, as outcomes have it."""
        return "simd"

    def _compile_segment(self, inputs: Any, carry: Any) -> Any:
        if self.drawing.one_seed:
            raise Refused("its runs share an operator")
        if not self.kernel.has_step:
            raise Refused("its kernel has no step by itself")
        one = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype),
            (inputs.constants, carry.state),
        )
        kernel: Any = self.kernel
        with self._traced():
            self._jaxpr = jax.make_jaxpr(kernel.step)(*one, np.int64(0))
        self._structure = jax.tree.structure(carry.state)
        self._active = _place_of_active(carry.state)
        self._steps: dict[tuple[bool, ...], Steps] = {}
        self._given: tuple[Any, Any] = None, None
        # Here it is found out whether it can be done at all.
        steps = self._first_steps(inputs.constants)
        self.reason = (
            f"{self._why}; {steps.instruction_set}, {steps.lanes} {self._of_lanes} a vector, "
            f"{steps.operations:,} operations a step"
        )
        states = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                (leaf.shape[0], STOPS_A_SEGMENT, *leaf.shape[1:]), leaf.dtype
            ),
            carry.state,
        )
        stops = np.zeros(STOPS_A_SEGMENT, np.int64)
        records = jax.jit(self._layout_of_records.batch(self.kernel.records, 3))
        return records.lower(inputs, carry, states, stops, stops.astype(bool)).compile()

    @property
    def _layout_of_records(self) -> Layout:
        """How records are made: run by run where they take long.

        Lanczos iterates, and products of small matrices, take up to one and a half times as long
        side by side.
        """
        return Layout(1) if self._dear_records else self.layout

    @property
    def has_error_function(self) -> bool:
        """Whether its step has erf, which takes as long here as many other operations."""
        return any(steps.has_error_function for steps in self._steps.values())

    def _first_steps(self, constants: Any) -> Any:
        """Return the steps of runs that have nothing in common."""
        return self._steps_for((False,) * len(jax.tree.leaves(constants)))

    def _steps_for(self, shared: tuple[bool, ...]) -> Steps:
        if shared not in self._steps:
            item = np.dtype(self.precision).itemsize
            self._steps[shared] = Steps(
                self._jaxpr, len(shared), self._active, item, shared, most=self._most
            )
        return self._steps[shared]

    def segment(
        self, inputs: Any, carry: Any, start: int, stops: np.ndarray, recorded: np.ndarray
    ) -> tuple[Any, dict[str, Any]]:
        """Train all lanes; see `Kernel.segment`.

        All steps are taken before the first record is made. A run that a record ends has then the
        state of that step: what it has gone on meanwhile is dropped.
        """
        steps, constants = self._constants(inputs)
        lanes, now = self.layout.lanes, int(start)
        leaves = _arrays(carry.state)
        memory = steps.state(leaves)
        states = [np.empty((lanes, len(stops), *x.shape[1:]), x.dtype) for x in leaves]
        for place, stop in enumerate(stops):
            # Most calls have few stops of their own: the last one fills the rest.
            if place and stop == now:
                for whole in states:
                    whole[:, place] = whole[:, place - 1]
                continue
            if stop > now:
                steps.take(memory, constants, now, int(stop))
            now = int(stop)
            for whole, leaf in zip(states, steps.arrays(memory, lanes), strict=True):
                whole[:, place] = leaf
        reached = jax.tree.unflatten(self._structure, states)
        return self._segment_compiled(inputs, carry, reached, stops, recorded)

    def _constants(self, inputs: Any) -> tuple[Any, Any]:
        """Return the machine code for these inputs, and their constants in its memory."""
        if self._given[0] is not inputs:
            arrays = _arrays(inputs.constants)
            began = time.perf_counter()
            steps = self._steps_of(arrays)
            steps.compile()
            self.late_seconds += time.perf_counter() - began
            self._given = inputs, (steps, steps.constants(arrays))
        return self._given[1]

    def _steps_of(self, constants: list[np.ndarray]) -> Any:
        """Return the steps of runs with these constants."""
        return self._steps_for(tuple(map(_in_common, constants)))


def _arrays(tree: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def _in_common(array: np.ndarray) -> bool:
    """Tell whether all runs have the same bits in a leaf of several entries."""
    flat = array.reshape(len(array), -1)
    if flat.shape[1] < _LEAST_SHARED:
        return False
    bits = np.ascontiguousarray(flat).view(np.uint8)
    return bool((bits == bits[:1]).all())


def _place_of_active(state: Any) -> int:
    """Return which leaf of a state says whether the run goes on."""
    paths = jax.tree_util.tree_flatten_with_path(state)[0]
    return [jax.tree_util.keystr(path) for path, _ in paths].index(".active")


program_of_vectors = asked_for("simd", _of_any)
program_where_it_pays = where_it_pays("simd", _of_small)
