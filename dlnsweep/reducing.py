"""The reduced runs of a batch: drawing and preparing each network, compiling, starting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float

from dlnsweep.cost import dense_flops, must_reduce
from dlnsweep.draws import Drawing, record_numbers
from dlnsweep.initializers import init_scale
from dlnsweep.kernels.chain import Descent
from dlnsweep.kernels.kernel import layer_rates
from dlnsweep.kernels.law import (
    Plan,
    draw_compressed,
    level_plan,
    squared_norms,
)
from dlnsweep.kernels.layout import LARGEST_IN_ONE_FUNCTION, ONE_FUNCTION_OPTIONS, Layout
from dlnsweep.kernels.linear import Reduced, TestSamples, multiply
from dlnsweep.kernels.pilot import Network, Pilot
from dlnsweep.kernels.prepare import COARSE, Prepared, Thresholds, prepare
from dlnsweep.kernels.reduced import ReducedKernel, State, constants_of, stacked
from dlnsweep.kernels.reduction import Reduction, Sizes
from dlnsweep.lazy import jax, jnp
from dlnsweep.program import STOPS_A_SEGMENT
from dlnsweep.sections import TrainingSettings

# The residual at the end of a run is that of its rehearsal to this share (the rehearsal follows the
# flow of gradient descent, not its steps), and to rounding, relative to the targets.
_LIKENESS, _ROUNDING = 0.03, 1e-7
# The small products of a reduced step do fewer operations a second than the large ones of a dense
# step by about this factor.
_WORSE = 1.5


def levels_for(depth: int, tolerance: float) -> int:
    """Return the level of the compressed network whose own truncation is below the tolerance."""
    if depth == 2:
        return 0
    # One level more for every layer more, and for every factor 100.
    return depth - 1 + (tolerance < 3e-5) + (tolerance < 3e-7)


class Start(NamedTuple):
    """A network at step 0, split along range(Y); arrays of JAX where drawn, else of NumPy.

    Attributes:
        first: W_1 U.
        first_off: W_1 V_perp.
        rest: W_2, ..., W_L.
        squared_norms: ||W_i||_F^2; of the first layer that of its part on range(Y).
        data: The reduced samples.
        test: Fresh samples, or None.
        rates: eta_i.
    """

    first: Any
    first_off: Any
    rest: Any
    squared_norms: Any
    data: Any
    test: TestSamples | None
    rates: Any


def split(weights: tuple[Float[Array, "..."], ...], data: Reduced) -> tuple[Any, Any, Any, Any]:
    """Return W_1 U, W_1 V_perp, the other layers, and the squared norms."""
    first = multiply(weights[0], data.range_basis)
    norms = jnp.stack([jnp.sum(w**2) for w in (first, *weights[1:])])
    return first, multiply(weights[0], data.off_basis), tuple(weights[1:]), norms


@dataclass(frozen=True)
class Lane:
    """One run, ready to be reduced.

    Attributes:
        start: What it starts from, as NumPy arrays.
        descent: Its numbers.
        record: The traced numbers of [record].
        prepared: Its bases.
    """

    start: Start
    descent: Descent
    record: dict[str, float]
    prepared: Prepared


def prepare_lane(
    start: Start,
    training: TrainingSettings,
    record: dict[str, float],
    tolerance: float,
    hint: Thresholds | None = None,
    *,
    forced: bool = False,
    coarser: tuple[int, ...] | None = None,
) -> Lane:
    """Find the bases of one run.

    Args:
        start: What it starts from, as NumPy arrays.
        training: The settings of [training], with the run's numbers.
        record: The traced numbers of [record].
        tolerance: The relative error that reducing may cause.
        hint: Thresholds that a similar run got.
        forced: Whether the run is reduced however large its bases are.
        coarser: See `prepare`.
    """
    momentum = 0.0 if training.optimizer == "gradient_descent" else training.momentum
    descent = Descent(
        inputs=start.data.inputs,
        targets=start.data.targets,
        rates=start.rates,
        weight_decay=float(training.weight_decay),
        data_fit_scale=float(training.data_fit_scale),
        momentum=float(momentum),
        nesterov=training.optimizer == "nesterov",
    )
    network = Network(start.first, start.first_off, start.rest, start.squared_norms, descent)
    share = 1.0 if forced else 0.9
    prepared = prepare(
        network, training.num_steps, tolerance, hint, largest_share=share, coarser=coarser
    )
    return Lane(start, descent, record, prepared)


def why_not_smaller(lane: Lane, dims: Sequence[int], rank: int) -> str:
    """Return why the dense kernel trains a prepared run faster; empty if it does not."""
    if lane.prepared.sizes.step_flops(rank) * _WORSE > dense_flops(dims, rank):
        return "the bases are too large beside the network"
    return ""


def left_its_rehearsal(lane: Lane, residual_norm: float) -> str:
    """Return how a finished run differs from its rehearsal; empty if it does not.

    A truncated chain is not the gradient descent of a network, and may be unstable where that is
    stable; the rehearsal's method damps what a plain step lets grow. Rarely seen (one run in
    several hundred, at a coarse tolerance), and plain to see at the end of the run.

    Args:
        lane: The run.
        residual_norm: ||Phi|| after its last step.
    """
    if lane.prepared.refusal:
        # Complete bases: there was no rehearsal, and nothing can be unstable in them.
        return ""
    expected = lane.prepared.reduction.records[-1].error
    rounding = _ROUNDING * float(np.linalg.norm(lane.descent.targets))
    if abs(residual_norm - expected) <= _LIKENESS * expected + rounding:
        return ""
    return f"the reduced run ended at a residual of {residual_norm:.2e}, rehearsed {expected:.2e}"


def complete(lane: Lane, reason: str) -> Lane:
    """Return a run with complete bases, which are exact and slow.

    Args:
        lane: The run.
        reason: Why it gets them.
    """
    network = lane.prepared.reduction.pilot.network
    reduction = Reduction(Pilot.complete(network))
    missing = lane.prepared.missing
    prepared = Prepared(reduction, reduction.everything, missing, refusal=reason, missing=missing)
    return replace(lane, prepared=prepared)


def outcome_of(prepared: Prepared) -> str:
    """Return the reason that is recorded for a reduced run."""
    return f"complete bases: {prepared.refusal}" if prepared.refusal else "certified"


def final_weights(
    lane: Lane, weights: tuple[np.ndarray, ...], sizes: Sizes, state: State
) -> tuple[np.ndarray, ...]:
    """Return W_i = c_i W_i(0) + B_i D_i F_{i-1}^T of the only run of a call.

    Args:
        lane: The run.
        weights: Its weights at step 0.
        sizes: The sizes of the program that trained it.
        state: Its state, with a leading axis of lanes.
    """
    inner, outer = lane.prepared.reduction.bases(sizes)
    inner[0] = np.asarray(lane.start.data.range_basis)
    made = []
    for i, weight in enumerate(weights):
        small = np.asarray(state.corrections[i][0])[: outer[i].shape[1], : inner[i].shape[1]]
        made.append(float(state.scales[0, i]) * weight + outer[i] @ small @ inner[i].T)
    return tuple(made)


class ReducedDraw:
    """Draws the networks of a batch one by one, in one compiled program.

    Args:
        row: The settings of one of the runs.
        padded_width: The width of the arrays.
    """

    def __init__(self, row: Mapping[str, Any], padded_width: int) -> None:
        self.drawing = Drawing.from_row(row, padded_width)
        self.tolerance = row["sweep.tolerance"]
        self.forced = must_reduce(row)
        law = self.drawing.sections.network.initial_weights == "law"
        self._levels = levels_for(len(self.drawing.dims) - 1, self.tolerance) if law else 0
        self._most_levels = self._levels + 2 if self._levels else 0
        self._programs: dict[int, Any] = {}
        self._program()

    def _arguments(self, row: Mapping[str, Any]) -> dict[str, np.ndarray]:
        arguments = {}
        for key, example in self.drawing.example_arguments().items():
            value = row[key]
            # NaN marks a hyperparameter that the optimizer does not use.
            known = example if value != value else value
            arguments[key] = np.asarray(known, np.asarray(example).dtype)
        return arguments

    def draw(self, row: Mapping[str, Any]) -> Start:
        """Draw one run; arrays of NumPy."""
        return jax.tree.map(np.asarray, self._program()(self._arguments(row)))

    def _program(self) -> Any:
        """Return the program that draws a run, compiled once for every level."""
        if self._levels not in self._programs:
            start = jax.jit(partial(self._drawn, levels=self._levels))
            example = {k: np.asarray(v) for k, v in self.drawing.example_arguments().items()}
            self._programs[self._levels] = start.lower(example).compile()
        return self._programs[self._levels]

    def lane(self, row: Mapping[str, Any], hint: Thresholds | None = None) -> Lane:
        """Draw one run and find its bases.

        Args:
            row: The run's settings.
            hint: Thresholds that a similar run got.
        """
        arguments = self._arguments(row)
        sections = self.drawing.sections.with_numbers(arguments, None)
        num_steps = int(row["training.num_steps"])
        training = sections.training.model_copy(update={"num_steps": num_steps})
        numbers = record_numbers(arguments)
        while True:
            start = self.draw(row)
            lane = prepare_lane(
                start,
                training,
                numbers,
                self.tolerance,
                hint,
                forced=self.forced,
                coarser=self._plan(self._levels - 1).sizes[1:-1] if self._levels else None,
            )
            too_coarse = lane.prepared.refusal.startswith(COARSE)
            if not too_coarse or self._levels >= self._most_levels:
                return lane
            # Deeper levels extend the shallower ones, with the same numbers.
            self._levels += 1

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
        sigmas = init_scale(sections.network, len(fan_ins)) / jnp.sqrt(
            jnp.stack([jnp.asarray(f, jnp.float64) for f in fan_ins])
        )
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


class ReducedProgram:
    """The compiled program that trains reduced runs.

    Args:
        kernel: The kernel.
        lanes: Runs whose common sizes the program gets.
        layout: How lanes are executed.
    """

    def __init__(self, kernel: ReducedKernel, lanes: Sequence[Lane], layout: Layout) -> None:
        self.sizes = common_sizes(lanes)
        self.layout = layout
        self.kernel = kernel
        self.grain = kernel.grain
        inputs, carry = self.start(lanes[:1])
        self._segment = self._compiled(inputs, carry)

    def _compiled(self, inputs: Any, carry: Any) -> Any:
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

    def start(self, lanes: Sequence[Lane]) -> tuple[Any, Any]:
        """Return the inputs and the state at step 0; missing lanes are copies of the last."""
        places = np.minimum(np.arange(self.layout.lanes), len(lanes) - 1)
        constants = [
            constants_of(lane.prepared, self.sizes, lane.start.data, lane.descent) for lane in lanes
        ]
        # A run with fewer directions than the program has gets zeros.
        whole = stacked([*constants, self._blank(constants[0])])
        chosen = jax.tree.map(lambda leaf: leaf[places], whole)
        record, test = (
            jax.tree.map(lambda *x: np.stack(x)[places], *items)
            for items in ([lane.record for lane in lanes], [lane.start.test for lane in lanes])
        )
        return jax.vmap(self.kernel.start)(chosen, record, test)

    def segment(
        self, inputs: Any, carry: Any, start: int, stops: np.ndarray, recorded: np.ndarray
    ) -> tuple[Any, dict[str, Any]]:
        """Train all lanes; see `Kernel.segment`. The carry is given away."""
        return self._segment(inputs, carry, np.int64(start), stops, recorded)

    def residual_norms(self, inputs: Any, carry: Any) -> np.ndarray:
        """Return ||Phi|| of every lane now."""

        def norm(inputs: Any, carry: Any) -> Any:
            view = self.kernel.view(inputs, carry)
            return jnp.sqrt(jnp.maximum(view.squared_error - view.data.residual, 0.0))

        return np.asarray(jax.vmap(norm)(inputs, carry))

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
            mixed=tuple(zeros((forward[j], backward[j])) for j in range(depth - 1)),
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
            ),
        )
