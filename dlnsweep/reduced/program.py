"""The reduced runs of a batch: drawing and preparing each network, compiling, starting."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dlnsweep.contracts.drawing import record_numbers
from dlnsweep.contracts.network import ALL_STEPS, BASES_BY_NUMPY, WHOLE_BASES, network_of
from dlnsweep.networks.layered.draw import SampleDrawing
from dlnsweep.networks.layered.initializers import init_scales
from dlnsweep.networks.layered.rates import fan_in_numbers, layer_rates
from dlnsweep.numerics import executables
from dlnsweep.numerics.compiled import STOPS_A_SEGMENT, bytes_of
from dlnsweep.numerics.lanes import LARGEST_IN_ONE_FUNCTION, ONE_FUNCTION_OPTIONS, Layout
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.reduced.jumping.jumps import STEP_BY_STEP, Pace
from dlnsweep.reduced.jumping.may_jump import may_jump
from dlnsweep.reduced.jumping.pacing import SHARE
from dlnsweep.reduced.kernel import ReducedKernel, stacked
from dlnsweep.reduced.lane import Lane, Start, constants_for, prepare_lane, split, why_not_smaller
from dlnsweep.reduced.law import Plan, draw_compressed, level_plan, squared_norms
from dlnsweep.reduced.prepare import Thresholds
from dlnsweep.reduced.reduction import Sizes
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.simd.llvm import is_usable

# Floating-point operations between two stops of plain gradient descent; about a tenth of a second.
_STOP_FLOPS = 2e9
# Steps that no run has.
_NEVER = 2**53
# A compressed network that proves too coarse is drawn again up to so many levels deeper, which
# extends it with the same numbers.
_MOST_DEEPER = 2


def levels_for(depth: int, tolerance: float) -> int:
    """Return the level of the compressed network whose own truncation is below the tolerance."""
    if depth == 2:
        return 0
    # One level more for every layer more, and for every factor 100.
    return depth - 1 + (tolerance < 3e-5) + (tolerance < 3e-7)


def narrows(row: RunSettings) -> bool:
    """Return whether runs may take their later steps in smaller bases (`later.py`).

    Only where machine code takes them, and nothing is recorded of what a run does not estimate.
    """
    here = is_usable() and jax.default_backend() == "cpu"
    plain = row["training.optimizer"] == "gradient_descent"
    small = "gradient_norm" not in row["record.observables"]
    return here and plain and small and not row.get(BASES_BY_NUMPY) and not row.get(WHOLE_BASES)


class ReducedDraw:
    """Draws the networks of a batch one by one, in one compiled program.

    Args:
        row: The settings of one of the runs.
        padded_width: The width of the arrays.
    """

    def __init__(self, row: RunSettings, padded_width: int) -> None:
        self.drawing = SampleDrawing.from_row(row, padded_width)
        self.tolerance = row["sweep.tolerance"]
        self._all_steps = bool(row.get(ALL_STEPS))
        self._compiled = False if row.get(BASES_BY_NUMPY) else None
        self._narrows = narrows(row)
        self.forced = network_of(row).must_reduce(row)
        law = self.drawing.sections.network.initial_weights == "law"
        self._levels = levels_for(len(self.drawing.dims) - 1, self.tolerance) if law else 0
        self._programs: dict[int, Any] = {}
        self._program(self._levels)

    def _arguments(self, row: RunSettings) -> dict[str, np.ndarray]:
        arguments = {}
        for key, example in self.drawing.example_arguments().items():
            # What the run does not use has any number; what was planned before there was a setting
            # has its default.
            known = row.number(key, example)
            arguments[key] = np.asarray(known, np.asarray(example).dtype)
        return arguments

    def draw(self, row: RunSettings, deeper: int = 0) -> Start:
        """Draw one run; arrays of NumPy.

        Args:
            row: The run's settings.
            deeper: Of a network compressed by its law, how many levels deeper than usual.
        """
        program = self._program(self._levels + deeper)
        return jax.tree.map(np.asarray, program(self._arguments(row)))

    def _program(self, levels: int) -> Any:
        """Return the program that draws a run, compiled once for every level."""
        if levels not in self._programs:
            start = jax.jit(partial(self._drawn, levels=levels))
            example = {k: np.asarray(v) for k, v in self.drawing.example_arguments().items()}
            name = f"{type(self)} {self.drawing.lasting_key} {self.drawing.dims} {levels}"
            make = partial(_compiled_alone, start, example)
            (self._programs[levels],) = executables.once(name, example, make)
        return self._programs[levels]

    def lane(self, row: RunSettings, hint: Thresholds | None = None, followers: int = 0) -> Lane:
        """Draw one run and find its bases.

        Args:
            row: The run's settings.
            hint: Thresholds that a similar run got.
            followers: How many runs will take those of this one.
        """
        arguments = self._arguments(row)
        sections = self.drawing.sections.with_numbers(arguments, None)
        num_steps = int(row["training.num_steps"])
        # Jumps have the rest of it.
        jumps = may_jump(row) and not self._all_steps
        tolerance = self.tolerance * (1 - SHARE if jumps else 1)
        training = sections.training.model_copy(update={"num_steps": num_steps})
        numbers = record_numbers(arguments)
        # Every run begins at the same level, whatever others needed: what a run gets must not
        # depend on its neighbours.
        deeper = 0
        while True:
            coarser = self._plan(self._levels + deeper - 1).sizes[1:-1] if self._levels else None
            lane = prepare_lane(
                self.draw(row, deeper),
                training,
                numbers,
                tolerance,
                hint,
                forced=self.forced,
                coarser=coarser,
                followers=followers,
                compiled=self._compiled,
                narrows=self._narrows and not jumps,
            )
            if deeper == _MOST_DEEPER or not lane.prepared.coarse:
                return replace(lane, deeper=deeper)
            deeper += 1

    def why_not_smaller(self, lane: Lane) -> str:
        """See the function of this name."""
        return why_not_smaller(lane, self.drawing.dims, self.drawing.rank)

    def _drawn(self, arguments: dict[str, Any], levels: int) -> Start:
        sections, shape, key = self.drawing.read(arguments)
        fan_ins = tuple(shape.fan_in(i) for i in range(len(shape.dims) - 1))
        rates = layer_rates(self.drawing.sections.training, sections.training, fan_ins)
        if sections.network.initial_weights == "drawn":
            drawn = self.drawing.draw(sections, shape, key)
            return Start(*split(drawn.weights, drawn.data), drawn.data, drawn.test, rates)
        data, test = self.drawing.samples(sections, key)
        width = jnp.asarray(shape.width)
        scales = jnp.stack([jnp.asarray(s) for s in init_scales(sections.network, len(fan_ins))])
        sigmas = scales / jnp.sqrt(fan_in_numbers(fan_ins))
        plan = self._plan(levels)
        weights = draw_compressed(plan, width, sigmas, key)
        norms = squared_norms(plan, weights, width, sigmas, key)
        # The compressed first layer is complete, in the coordinates [U, V_perp] of its input.
        first, first_off = weights[0][:, : self.drawing.rank], weights[0][:, self.drawing.rank :]
        norms = norms.at[0].set(jnp.sum(first**2))
        return Start(first, first_off, weights[1:], norms, data, test, rates)

    def _plan(self, levels: int) -> Plan:
        dims = self.drawing.dims
        return level_plan(len(dims) - 1, dims[0], self.drawing.rank, dims[-1], levels)


def common_sizes(lanes: Sequence[Lane]) -> Sizes:
    """Return sizes that hold the bases of all lanes, rounded up so that batches share programs.

    Batches of a sweep need nearly the same sizes; a program takes longer to compile than the
    arithmetic on a few zeros.
    """

    def rounded(size: int) -> int:
        grain = 8 if size <= 64 else 16
        return grain * -(-size // grain)

    forward = [lane.prepared.sizes.forward for lane in lanes]
    backward = [lane.prepared.sizes.backward for lane in lanes]
    *hidden, last = (max(column) for column in zip(*backward, strict=True))
    widest = max(hidden, default=last)
    return Sizes(
        tuple(rounded(max(column)) for column in zip(*forward, strict=True)),
        (*[rounded(widest) for _ in hidden], rounded(last)),
    )


def _compiled_alone(function: Any, example: Any) -> tuple[Any]:
    return (function.lower(example).compile(),)


class ReducedProgram:
    """The compiled program that trains reduced runs.

    Args:
        kernel: The kernel.
        lanes: Runs whose common sizes the program gets.
        layout: How lanes are executed.
        name: Equal for kernels that are the same but for traced numbers, if it shall be kept.
    """

    # The name of the way of descent, as outcomes have it.
    way = "reduced"

    def __init__(
        self, kernel: ReducedKernel, lanes: Sequence[Lane], layout: Layout, name: str = ""
    ) -> None:
        self.sizes = common_sizes(lanes)
        self.layout = layout
        self.kernel = kernel
        # Where plain gradient descent stops follows from its sizes and not from measured times. Its
        # steps carry the D alone, so that its bits should be the same anyway; nothing relies on it.
        self.stops_everywhere = kernel.training.optimizer == "gradient_descent"
        self.grain = kernel.grain
        if self.stops_everywhere:
            flops = self.sizes.step_flops(len(lanes[0].start.data.inputs)) * layout.vectorized
            self.grain = 2 ** max(4, int(np.log2(_STOP_FLOPS / flops)))
        given = self._given(lanes[:1])
        forms = (
            f"{kernel.early_exit} {kernel.fused} {kernel.jumps} {kernel.far} {self.sizes} {layout}"
        )
        self._start, self._segment, self._norms = executables.once(
            name and f"{type(self)} {name} {forms}", given, lambda: self._compiled(given)
        )
        self.call_bytes = bytes_of(self._segment)

    def _compiled(self, given: Any) -> tuple[Any, Any, Any]:
        """Return what makes runs ready, what trains them, and what tells where they are."""
        start, norms = jax.jit(jax.vmap(self.kernel.start)), jax.jit(jax.vmap(self._norm))
        inputs, carry = jax.eval_shape(start, *given)
        segment = self._compiled_segment(inputs, carry)
        return start.lower(*given).compile(), segment, norms.lower(inputs, carry).compile()

    def _compiled_segment(self, inputs: Any, carry: Any) -> Any:
        stops = np.zeros(STOPS_A_SEGMENT, np.int64)
        arguments = (inputs, carry, np.int64(0), stops, stops.astype(bool))
        largest = max(*self.sizes.forward, *self.sizes.backward)
        if self.kernel.fused and largest <= LARGEST_IN_ONE_FUNCTION:
            try:
                segment = jax.jit(self.layout.batch(self.kernel.segment, 2), donate_argnums=1)
                return segment.lower(*arguments).compile(compiler_options=ONE_FUNCTION_OPTIONS)
            except jax.errors.JaxRuntimeError:
                # Another version of XLA knows other options; it is slower without them.
                pass
        plain = replace(self.kernel, fused=False)
        segment = jax.jit(self.layout.batch(plain.segment, 2), donate_argnums=1)
        return segment.lower(*arguments).compile()

    def jumping(self) -> ReducedProgram:
        """Return the same program for runs that jump: nothing stops them before a record."""
        other = copy.copy(self)
        other.stops_everywhere, other.grain = False, _NEVER
        return other

    def start(self, lanes: Sequence[Lane], paces: Sequence[Pace] | None = None) -> tuple[Any, Any]:
        """Return the inputs and the state at step 0; missing lanes are copies of the last.

        Args:
            lanes: The runs.
            paces: How far the jumps of each go; by default they take real steps alone.
        """
        return self._start(*self._given(lanes, paces))

    def _given(
        self, lanes: Sequence[Lane], paces: Sequence[Pace] | None = None
    ) -> tuple[Any, Any, Any]:
        places = np.minimum(np.arange(self.layout.lanes), len(lanes) - 1)
        constants = [constants_for(lane) for lane in lanes]
        if self.kernel.jumps:
            chosen = paces or [STEP_BY_STEP] * len(lanes)
            constants = [c._replace(pace=p) for c, p in zip(constants, chosen, strict=True)]
        whole = stacked([*constants, self._blank(constants[0])])
        chosen = jax.tree.map(lambda leaf: leaf[places], whole)
        record, test = (
            jax.tree.map(lambda *x: np.stack(x)[places], *items)
            for items in ([lane.record for lane in lanes], [lane.start.test for lane in lanes])
        )
        return chosen, record, test

    def segment(
        self, inputs: Any, carry: Any, start: int, stops: np.ndarray, recorded: np.ndarray
    ) -> tuple[Any, dict[str, Any]]:
        """Train all lanes; see `Kernel.segment`. The carry is given away."""
        return self._segment(inputs, carry, np.int64(start), stops, recorded)

    def told(self, carry: Any, trained: Any) -> Any:
        """Return records with what outcomes say of jumps."""
        if not self.kernel.jumps:
            return trained
        counts = np.asarray(carry.state.counts)
        reasons = []
        for run, reason in enumerate(trained.kernel_reason):
            beyond, jumps = (int(count) for count in counts[run])
            last = int(trained.steps[max(trained.num_rows[run] - 1, 0)])
            text = f"; {last - beyond:,} steps taken, {beyond:,} in {jumps:,} jumps"
            reasons.append(reason + text * (jumps > 0))
        return replace(trained, kernel_reason=reasons)

    def residual_norms(self, inputs: Any, carry: Any) -> np.ndarray:
        """Return ||Phi|| of every lane now."""
        return np.asarray(self._norms(inputs, carry))

    def _norm(self, inputs: Any, carry: Any) -> Any:
        view = self.kernel.view(inputs, carry)
        return jnp.sqrt(jnp.maximum(view.squared_error - view.data.residual, 0.0))

    def _blank(self, example: Any) -> Any:
        """Return constants of zeros in the program's own sizes."""
        forward, backward = self.sizes.forward, self.sizes.backward
        rank = example.data.inputs.shape[0]
        inner, above = (rank, *forward), (*forward, backward[-1])
        depth, outputs = len(backward), example.blocks.output_basis.shape[0]
        off = example.blocks.off_start[0].shape[1]
        rows = (*forward, outputs)
        zeros = np.zeros
        return jax.tree.map(np.zeros_like, example)._replace(
            targets=zeros((backward[-1], rank)),
            forward=tuple(zeros((above[j], inner[j])) for j in range(depth)),
            mixed=tuple(zeros(min(forward[j], backward[j])) for j in range(depth - 1)),
            backward=tuple(zeros((backward[j], backward[j - 1])) for j in range(1, depth)),
            blocks=example.blocks._replace(
                output_basis=zeros((outputs, backward[-1])),
                off_start=tuple(zeros((n, off)) for n in rows),
                off_blocks=tuple(
                    tuple(zeros((rows[j], backward[i])) for i in range(1, j + 1))
                    for j in range(depth)
                ),
                overlaps=tuple(zeros((backward[j], inner[j])) for j in range(depth)),
                squared_norms=zeros(depth),
                first_off_norm=zeros(()),
                first_off_gain=zeros(()),
            ),
        )
