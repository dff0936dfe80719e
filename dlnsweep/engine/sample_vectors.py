"""The program of a batch whose steps are vector instructions, some samples of a run a vector.

One run is trained after another: where a step is more than the caches hold of several runs, and
where runs are fewer than a vector has lanes. A run has the same bits in whatever batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np

from dlnsweep.engine.program import Program
from dlnsweep.engine.vectors import (
    PAYS_UP_TO,
    VectorProgram,
    asked_for,
    check_vectors,
    program_where_it_pays,
    where_it_pays,
)
from dlnsweep.numerics.lazy import jax
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.simd.entries import Refused
from dlnsweep.simd.llvm import BEGUN, check_installed
from dlnsweep.simd.samples.steps import SampleSteps

# "auto" takes samples in the lanes where they are so many vectors at least, and runs where a step
# has no more operations than this, or than `PAYS_UP_TO` where samples are fewer vectors than that.
# Larger steps are products of matrices that the second cache does not hold, of which XLA's library
# makes as much: results/kept/speed/samples_border.csv. Other borders would change the kernel of
# begun folders, so that they need other words in them (execution/ways/auto_kernel.py).
_LEAST_VECTORS, _FEW_VECTORS, _RUNS_UP_TO = 2, 4, 10_000
_UP_TO = 30_000_000


def either_where_it_pays(
    row: RunSettings, padded_width: int, lanes: int, device: Mapping[str, Any]
) -> Program:
    """Return the program for a batch that has vector instructions where they pay.

    Of runs where a step is small, else of samples; see `where_it_pays`.

    Raises:
        RunError: If llvmlite is not installed.
    """
    fit: list[SampleSteps] = []

    def best(steps: SampleSteps) -> bool:
        if pays(steps):
            fit.append(steps)
        return bool(fit) and not runs_pay(steps)

    check_installed(BEGUN)
    try:
        return _by_samples(row, padded_width, lanes, device, "it pays", best)
    except Refused as why:
        found = program_where_it_pays(row, padded_width, lanes, device)
        runs = isinstance(found, VectorProgram)
        if fit:
            # erf takes long with runs in the lanes, and is known once their step is traced.
            quick = runs and not found.has_error_function
            return found if quick else samples_where_it_pays(row, padded_width, lanes, device)
        if not runs:
            found.reason = f"not simd_samples: {why}"
        return found


def pays(steps: SampleSteps) -> bool:
    """Tell whether samples in the lanes are quicker than the generic way."""
    fill = steps.samples >= _LEAST_VECTORS * steps.lanes
    return fill and steps.operations <= _UP_TO and not _has_single_errors(steps)


def _has_single_errors(steps: SampleSteps) -> bool:
    """Tell whether a step has erf of float32.

    XLA has one of few terms, with which a step takes a quarter to nine tenths of the time that it
    takes with ours, which is that of float64, rounded.
    """
    return steps.itemsize == 4 and steps.has_error_function


def runs_pay(steps: SampleSteps) -> bool:
    """Tell whether runs in the lanes are quicker than samples there, if they can be."""
    few = steps.samples < _FEW_VECTORS * steps.lanes
    return steps.operations <= (PAYS_UP_TO if few else _RUNS_UP_TO)


def _by_samples(
    row: RunSettings,
    padded_width: int,
    lanes: int,
    device: Mapping[str, Any],
    why: str,
    allowed: Callable[[SampleSteps], bool],
) -> SampleProgram:
    check_vectors(device)
    return SampleProgram(row, padded_width, lanes, device, why, allowed)


class SampleProgram(VectorProgram):
    """What is compiled for such a batch.

    Args:
        row: See `VectorProgram`, as the others are.
        padded_width: The same.
        lanes: The same.
        device: The same.
        why: The same.
        allowed: Tells of its steps whether they are to be taken so.

    Attributes:
        steps: Its steps.

    Raises:
        Refused: If it cannot be made.
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
                f"operations{', and erf in float32' * _has_single_errors(self.steps)}"
            )
        return self.steps

    def _steps_of(self, constants: list[np.ndarray]) -> SampleSteps:
        del constants
        return self.steps


program_of_samples = asked_for(
    "simd_samples", partial(_by_samples, why="asked for", allowed=lambda _: True)
)
samples_where_it_pays = where_it_pays(
    "simd_samples", partial(_by_samples, why="it pays", allowed=pays)
)
