"""The program of a batch whose steps are vector instructions, some samples of a run a vector.

One run is trained after another: where a step is more than the caches hold of several runs, and
where runs are fewer than a vector has lanes. A run has the same bits in whatever batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from dlnsweep.engine.program import Program
from dlnsweep.engine.vectors import PAYS_UP_TO, VectorProgram, program_where_it_pays
from dlnsweep.numerics.lazy import jax
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.simd.entries import Refused
from dlnsweep.simd.llvm import BEGUN, asked, check_installed, why_not_here
from dlnsweep.simd.sample_steps import SampleSteps

# "auto" takes samples in the lanes where they are so many vectors at least, and runs where a step
# has no more operations than this, or than `PAYS_UP_TO` where samples are fewer vectors than that.
# Larger steps are products of matrices that the second cache does not hold, of which XLA's library
# makes as much. Measured by tests/benchmarks/simd_border.py; other borders would
# change the kernel of begun folders, so that they need other words in them
# (execution/auto_kernel.py).
_LEAST_VECTORS, _FEW_VECTORS, _RUNS_UP_TO = 2, 4, 10_000
_UP_TO = 30_000_000


def program_of_samples(
    row: RunSettings, padded_width: int, lanes: int, device: Mapping[str, Any]
) -> Program:
    """Return the program for a batch that asks for vector instructions of samples.

    What they cannot be made of the generic way trains, and the program says why.

    Raises:
        RunError: If llvmlite is not installed.
    """
    check_installed(asked("simd_samples"))
    try:
        return by_samples(row, padded_width, lanes, device, "asked for")
    except Refused as why:
        return Program(row, padded_width, lanes, device, f"simd_samples cannot: {why}")


def samples_where_it_pays(
    row: RunSettings, padded_width: int, lanes: int, device: Mapping[str, Any]
) -> Program:
    """Return the program for a batch that has vector instructions of samples where they pay.

    Raises:
        RunError: If llvmlite is not installed.
    """
    check_installed(BEGUN)
    try:
        return by_samples(row, padded_width, lanes, device, "it pays", pays)
    except Refused as why:
        return Program(row, padded_width, lanes, device, refusal=f"not simd_samples: {why}")


def either_where_it_pays(
    row: RunSettings, padded_width: int, lanes: int, device: Mapping[str, Any]
) -> Program:
    """Return the program for a batch that has vector instructions where they pay.

    Of runs where a step is small, else of samples. How many runs it has does not matter: a run has
    the same bits whatever others are beside it.

    Raises:
        RunError: If llvmlite is not installed.
    """
    check_installed(BEGUN)
    try:
        samples = by_samples(row, padded_width, lanes, device, "it pays", pays)
    except Refused as why:
        found = program_where_it_pays(row, padded_width, lanes, device)
        if found.way != "simd":
            found.reason = f"not simd_samples: {why}"
        return found
    if not runs_pay(samples.steps):
        return samples
    found = program_where_it_pays(row, padded_width, lanes, device)
    runs = isinstance(found, VectorProgram) and not found.has_error_function
    return found if runs else samples


def pays(steps: SampleSteps) -> bool:
    """Tell whether samples in the lanes are quicker than the generic way."""
    fill = steps.samples >= _LEAST_VECTORS * steps.lanes
    return fill and steps.operations <= _UP_TO


def runs_pay(steps: SampleSteps) -> bool:
    """Tell whether runs in the lanes are quicker than samples there, if they can be."""
    few = steps.samples < _FEW_VECTORS * steps.lanes
    return steps.operations <= (PAYS_UP_TO if few else _RUNS_UP_TO)


def by_samples(
    row: RunSettings,
    padded_width: int,
    lanes: int,
    device: Mapping[str, Any],
    why: str,
    allowed: Callable[[SampleSteps], bool] = lambda _: True,
) -> SampleProgram:
    """Return the program.

    Args:
        row: The settings of one of the runs.
        padded_width: The width of the arrays.
        lanes: The number of runs that the batch has.
        device: What `runtime.device_description` says.
        why: Why it is this one.
        allowed: Tells of its steps whether they are to be taken so.

    Raises:
        Refused: If it cannot be made.
    """
    if refusal := why_not_here(device["platform"]):
        raise Refused(refusal)
    return SampleProgram(row, padded_width, lanes, device, why, allowed)


class SampleProgram(VectorProgram):
    """What is compiled for such a batch: see `VectorProgram`.

    Attributes:
        steps: Its steps.
    """

    _of_lanes = "samples"

    def __init__(
        self,
        row: RunSettings,
        padded_width: int,
        lanes: int,
        device: Mapping[str, Any],
        why: str,
        allowed: Callable[[SampleSteps], bool],
    ) -> None:
        self._allowed = allowed
        super().__init__(row, padded_width, lanes, device, why, 0)

    @staticmethod
    def _traced() -> AbstractContextManager[None]:
        """Return where a step is traced: the generic way's own erf and its like are quicker."""
        return nullcontext()

    @property
    def way(self) -> str:
        """The name of the way of descent, as outcomes have it."""
        return "simd_samples"

    def _first_steps(self, constants: Any) -> SampleSteps:
        with_samples = self.kernel.samples_in(constants)
        if with_samples is None:
            raise Refused("its kernel has no samples")
        # Leaves of a batch have its runs as their first axis. A number alone, as the scale of a
        # loss of a matrix, has no other.
        leaves = zip(jax.tree.leaves(constants), jax.tree.leaves(with_samples), strict=True)
        axes = {
            i: len(leaf.shape) - 2
            for i, (leaf, has) in enumerate(leaves)
            if has and len(leaf.shape) > 1
        }
        item, count = np.dtype(self.precision).itemsize, len(jax.tree.leaves(constants))
        self.steps = SampleSteps(self._jaxpr, count, axes, self._active, item)
        if not self._allowed(self.steps):
            raise Refused(
                f"its step has {self.steps.samples:,} samples and {self.steps.operations:,} "
                "operations"
            )
        return self.steps

    def _steps_of(self, constants: list[np.ndarray]) -> SampleSteps:
        del constants
        return self.steps
