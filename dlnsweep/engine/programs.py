"""Compiled programs, made once in a process and shared by its batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from dlnsweep.contracts.drawing import Sections
from dlnsweep.contracts.network import (
    ALL_STEPS,
    AUTO_TAKES,
    BASES_BY_NUMPY,
    STEPS_BY_XLA,
    network_of,
)
from dlnsweep.engine.jumps import JumpProgram
from dlnsweep.engine.program import Program
from dlnsweep.engine.sample_vectors import (
    either_where_it_pays,
    program_of_samples,
    samples_where_it_pays,
)
from dlnsweep.engine.vectors import program_of_vectors, program_where_it_pays
from dlnsweep.numerics.lanes import reduced_layout
from dlnsweep.numerics.runtime import device_description
from dlnsweep.reduced.jumping.may_jump import may_go_far, may_jump
from dlnsweep.reduced.kernel import ReducedKernel
from dlnsweep.reduced.lane import Lane
from dlnsweep.reduced.program import ReducedDraw, ReducedProgram, common_sizes, narrows
from dlnsweep.reduced.stepped import SteppedProgram, pays
from dlnsweep.settings.run_settings import RunSettings

Made = TypeVar("Made")

# What makes the program that is asked for by a word.
_MAKE = {"simd": program_of_vectors, "simd_samples": program_of_samples, "jumps": JumpProgram}
# Where it pays, by what a folder has of it.
_WHERE_IT_PAYS = {
    "simd": program_where_it_pays,
    "simd_samples": samples_where_it_pays,
    "simd_all": either_where_it_pays,
}
# Kept compiled programs; a sweep rarely has more, and each holds some memory.
_MOST = 64


class Programs:
    """Keeps what was compiled; where there is too much, what was made first goes.

    Args:
        most: How many programs are kept.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._made: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self._made)

    def clear(self) -> None:
        """Forget all programs, so that they are compiled again."""
        self._made.clear()

    def once(self, key: Any, make: Callable[[], Made]) -> Made:
        """Return what is kept under a key, made now if nothing is."""
        if key not in self._made:
            made = make()
            while len(self._made) >= self._most:
                self._made.pop(next(iter(self._made)))
            self._made[key] = made
        return self._made[key]

    def dense(self, row: RunSettings, padded_width: int, lanes: int) -> Program:
        """Return the program for a batch that the reduced kernel does not train.

        Args:
            row: The settings of one of its runs.
            padded_width: The width of the arrays.
            lanes: The number of its runs.
        """
        device = device_description()
        key = Program.key(row, padded_width, lanes, device)
        make = _MAKE.get(row["sweep.kernel"], Program)
        if network_of(row).takes_vectors(row, padded_width):
            make = _WHERE_IT_PAYS[row[AUTO_TAKES]]
        return self.once(key, lambda: make(row, padded_width, lanes, device))

    def draw(self, row: RunSettings, padded_width: int) -> ReducedDraw:
        """Return what draws the networks of a batch for the reduced kernel."""
        sections = Sections.from_row(row)
        forced = network_of(row).must_reduce(row)
        key = ("draw", sections.static_key(), padded_width, row["sweep.tolerance"], forced)
        key += (bool(row.get(ALL_STEPS)), bool(row.get(BASES_BY_NUMPY)), narrows(row))
        return self.once(key, lambda: ReducedDraw(row, padded_width))

    def reduced(self, row: RunSettings, draw: ReducedDraw, lanes: Sequence[Lane]) -> ReducedProgram:
        """Return the reduced program for some runs, which `draw` has drawn."""
        platform = device_description()["platform"]
        sections = draw.drawing.sections
        sizes, layout = common_sizes(lanes), reduced_layout(platform, len(lanes))
        alone = platform == "cpu" and layout.vectorized == 1
        jumps = alone and may_jump(row)
        rank = len(lanes[0].start.data.inputs)
        far = jumps and may_go_far(int(row["training.num_steps"]), sizes.backward[-1] * rank)
        plain = sections.training.optimizer == "gradient_descent"
        stepped = alone and plain and not jumps and not row.get(STEPS_BY_XLA)
        stepped = stepped and pays(sizes, rank)
        key = ("reduced", sections.static_key(), row["sweep.precision"], sizes, layout, jumps)
        key += (stepped, far)

        def make() -> ReducedProgram:
            kernel = ReducedKernel(
                sections.training,
                sections.record,
                early_exit=layout.vectorized == 1,
                precision=row["sweep.precision"],
                # The bits of steps with momentum in folders begun before they jumped are of others.
                # What far jumps are made of XLA divides among cores, and in one function so that no
                # cache can read it back.
                fused=platform == "cpu" and (jumps or plain) and not far,
                jumps=jumps,
                far=far,
            )
            name = f"{sections.static_key()} {row['sweep.precision']}"
            return (SteppedProgram if stepped else ReducedProgram)(kernel, lanes, layout, name)

        return self.once(key, make)


# Those of this process: what a function takes that is given no others.
PROGRAMS = Programs()
