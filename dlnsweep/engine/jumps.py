"""The program of a batch that is trained by time jumps, one run a call.

Runs are drawn as by the generic way, and records are its own: only the steps between them are
walked by `jumps/`. Each run is walked twice: as finely as asked for, and by a flow with one term
less to a coarser tolerance, with real steps at other places and from weights that are rounded to 13
digits, so to speak. What is recorded is the finer walk; by how much the records of the two differ
is the estimate of its error, in the very numbers that are recorded. Where that exceeds the sweep's
tolerance the run is walked again, more finely. Runs that magnify what rounding makes of them, such
as beyond the edge of stability, differ by more: of these nobody knows the numbers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from dlnsweep.contracts.descent import Carry, Inputs, Kernel
from dlnsweep.contracts.drawing import drawing_of
from dlnsweep.contracts.network import CHECK_JUMPS
from dlnsweep.contracts.view import View
from dlnsweep.engine.deviations import deviations_of
from dlnsweep.engine.motion import MOST_OUTPUTS, by_layers, motion_of, outputs_of, rule_of
from dlnsweep.engine.program import Program
from dlnsweep.engine.trained import Trained
from dlnsweep.errors import SpecError
from dlnsweep.jumps import places
from dlnsweep.jumps.euler import dearer
from dlnsweep.jumps.extrapolation import ROWS_WANTED
from dlnsweep.jumps.flow import TERMS, weights_of
from dlnsweep.jumps.walk import Walk, begun, walked
from dlnsweep.networks.generic.descent import GenericKernel
from dlnsweep.networks.generic.state import Constants, Samples
from dlnsweep.networks.layered.definition import DEEP_LINEAR
from dlnsweep.numerics.lanes import Layout
from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.vectors import flat, like
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.training import MOST_STEPS

# What a jump of the coarser walk may be wrong by, over the same of the finer one.
_COARSER = 20.0
# A stop waits for the end of a call.
_CALL_SECONDS = 1.0
COARSE = "coarse/"
# How the weights of the coarser walk are rounded at the start.
_ROUNDED = 1e-13
# Walks that differ by more have nothing in common, and their difference says nothing.
_FARTHEST = 0.1


class Given(NamedTuple):
    """What a run is given.

    Attributes:
        own: The constants of the generic way.
        steps: The same with samples as few as a step needs.
        limit: See `Constants.limit`.
    """

    own: Constants
    steps: Constants
    limit: Any


class Flight(NamedTuple):
    """The state of a run.

    Attributes:
        params: The parameters of the finer walk.
        active: Whether it has neither diverged nor met `stop_when`.
        diverged_step: First step at which it had diverged, or -1.
        walks: The finer walk and the coarser one.
        tolerance: Of the finer one.
        left: How many gradients each walk may still take in this call.
        spent: How many each has taken.
    """

    params: Any
    active: Bool[Array, ""]
    diverged_step: Int[Array, ""]
    walks: Walk
    tolerance: Float[Array, ""]
    left: Int[Array, " 2"]
    spent: Int[Array, " 2"]

    @property
    def recorded(self) -> Any:
        """The parameters that are recorded: no average of them goes with jumps."""
        return self.params


@dataclass(frozen=True)
class JumpKernel(Kernel):
    """Gradient descent by time jumps.

    Attributes:
        of: The generic way of the network.
        rank: The most that the inputs can have as their rank, of a network that is linear in
            them; else 0.
        places: At how many places a run is looked at.
    """

    of: GenericKernel
    rank: int = 0
    places: int = 0

    @property
    def grain(self) -> int:
        """A walk is never cut between two recorded steps: it would land there."""
        return MOST_STEPS

    def start(self, *arguments: Any) -> tuple[Inputs, Carry]:
        """Make a run's inputs and its state at step 0; see `GenericKernel.start`."""
        inputs, carry = self.of.start(*arguments)
        constants, params = inputs.constants, carry.state.params
        given = Given(constants, self._compressed(constants), constants.limit)
        if not by_layers(self.of, given.steps, params):
            _check_outputs(outputs_of(self.of, given.steps, params))
        walk = begun(rule_of(self.of, given.steps, params), flat(params))
        if self.places:
            walk = walk._replace(places=places.begun(self.places, walk))
        both = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), walk)
        signs = 1 - 2 * (jnp.arange(walk.point.size) % 2)
        both = both._replace(point=both.point.at[1].multiply(1 + _ROUNDED * signs))
        tolerance, left = jnp.zeros((), walk.point.dtype), jnp.zeros(2, jnp.int64)
        state = Flight(params, walk.active, walk.diverged_step, both, tolerance, left, left)
        return inputs._replace(constants=given), carry._replace(state=state)

    def view(self, inputs: Inputs, carry: Carry) -> View:
        """Return the view of the finer walk."""
        return self.of.view(inputs._replace(constants=inputs.constants.own), carry)

    def weights(self, inputs: Inputs, carry: Carry) -> Any:
        """Return the parameters of the finer walk."""
        return self.of.weights(inputs._replace(constants=inputs.constants.own), carry)

    def observe(
        self, inputs: Inputs, carry: Carry, step: Int[Array, ""]
    ) -> tuple[Bool[Array, ""], dict[str, Array]]:
        """Return whether the run has not diverged, and the observables of both walks."""
        within, values = super().observe(inputs, carry, step)
        constants, params = inputs.constants.steps, carry.state.params
        rule = rule_of(self.of, constants, params)
        other = like(rule.parameters(carry.state.walks.point[1]), params)
        coarse = carry._replace(state=carry.state._replace(params=other))
        _, twins = super().observe(inputs, coarse, step)
        return within, values | {COARSE + name: value for name, value in twins.items()}

    def advance(self, inputs: Inputs, state: Flight, step: Array, stop: Array) -> Flight:
        """Return the state at a step, or before it where a walk has no gradients left."""
        del step
        constants = inputs.constants.steps
        motion = motion_of(self.of, constants, state.params)
        walks = state.walks._replace(active=state.walks.active & state.active)
        tolerances = state.tolerance * jnp.asarray([1.0, _COARSER])
        weights = jnp.stack([weights_of(TERMS), weights_of(TERMS - 1)])

        def one(given: tuple[Walk, Array, Array, Array]) -> tuple[Walk, Array]:
            walk, tolerance, terms, left = given
            return walked(motion, walk, stop, tolerance, terms, left)

        walks, left = lax.map(one, (walks, tolerances, weights, state.left))
        finer = jax.tree.map(lambda leaf: leaf[0], walks)
        ended = state.active & ~finer.active
        return state._replace(
            params=like(motion.rule.parameters(finer.point), state.params),
            active=state.active & finer.active,
            diverged_step=jnp.where(ended, finer.diverged_step, state.diverged_step),
            walks=walks,
            left=left,
            spent=state.spent + state.left - left,
        )

    def _recorded(
        self, inputs: Inputs, carry: Carry, step: Array, record: Array
    ) -> tuple[Carry, dict[str, Array]]:
        walks = carry.state.walks
        # A walk that is on its way comes again.
        there = jnp.all((walks.now >= step) | ~walks.active) | ~carry.state.active
        return super()._recorded(inputs, carry, step, record & there)

    def _compressed(self, constants: Constants) -> Constants:
        """Return the constants with as many samples as the inputs have rank, if that is known.

        With Y = U s V^T a linear network has ||W Y - X||^2 = ||W U s - X V||^2 + const.
        """
        if not self.rank or self.rank >= constants.samples.inputs.shape[1]:
            return constants
        samples = constants.samples
        left, values, right = jnp.linalg.svd(samples.inputs, full_matrices=False)
        inputs = (left * values)[:, : self.rank]
        targets = multiply(samples.targets, right[: self.rank].T)
        beyond = jnp.sum(samples.targets**2) - jnp.sum(targets**2)
        limit = constants.limit - jnp.maximum(beyond, 0.0)
        return constants._replace(samples=Samples(inputs, targets), limit=limit)


class JumpProgram(Program):
    """What is compiled for a batch: a call takes one run, so that the runs of a batch share it."""

    # What a walk may take in a call, until it is known how long that is.
    _gradients = 512

    # Of how many jumps the states before them are kept; see `bursts.py`.
    places: int

    def __init__(self, row: RunSettings, *arguments: Any, **named: Any) -> None:
        self.places = int(row.get(CHECK_JUMPS) or 0)
        super().__init__(row, *arguments, **named)

    @property
    def way(self) -> str:
        """The name of the way of descent, as outcomes have it."""
        return "jumps"

    @property
    def goes_on(self) -> bool:
        """No: how finely a run is walked is found from all of it."""
        return False

    def _kernel(self) -> JumpKernel:
        return replace(kernel_of(self.drawing, self.layout), places=self.places)

    def begin(
        self, arguments: dict[str, np.ndarray], tolerance: float, steps: np.ndarray
    ) -> tuple[Any, Any]:
        """Return a run's inputs and its state at step 0.

        Args:
            arguments: See `Program.arguments`.
            tolerance: What a jump may be wrong by.
            steps: The steps that are recorded.
        """
        inputs, carry = self.start(arguments)
        state = carry.state
        state = state._replace(tolerance=jnp.full_like(state.tolerance, tolerance))
        if self.places:
            looked = places.drawn(int(arguments["seed"][0]), steps, self.places)
            state = state._replace(walks=places.placed(state.walks, looked))
        return inputs, carry._replace(state=state)

    def segment(
        self, inputs: Any, carry: Any, start: int, stops: np.ndarray, recorded: np.ndarray
    ) -> tuple[Any, dict[str, Any]]:
        """Walk on towards stops of which only the last is recorded, for about a second.

        Where the walks are not there by then (`arrived`), what is recorded is none, and the same
        segment goes on with them. Where a walk rests does not matter to it.
        """
        began = time.perf_counter()
        left = jnp.full_like(carry.state.left, self._gradients)
        carry = carry._replace(state=carry.state._replace(left=left))
        carry, values = super().segment(inputs, carry, start, stops, recorded)
        arrived = self.arrived(carry, int(stops[-1]))
        elapsed = time.perf_counter() - began
        if not arrived:
            more = np.clip(_CALL_SECONDS / max(elapsed, 1e-6), 0.1, 8.0)
            self._gradients = max(1, int(self._gradients * more))
        return carry, values

    def arrived(self, carry: Any, step: int) -> bool:
        """Return whether the walks have come to a step, or have ended before it."""
        state = carry.state
        there = (np.asarray(state.walks.now) >= step) | ~np.asarray(state.walks.active)
        return bool(np.all(there | ~np.asarray(state.active)[:, None]))

    def spent(self, carry: Any) -> int:
        """Return how many gradients the finer walk has taken; of the first run of a call."""
        # What the coarser one has taken by the end of a run that diverges depends on its rests.
        return int(np.asarray(carry.state.spent)[0, 0])

    def price(self, inputs: Any, carry: Any) -> float:
        """Return what a jump that follows the fast part costs, over a plain one."""
        given, params = (
            jax.tree.map(lambda leaf: leaf[0], each)
            for each in (inputs.constants.steps, carry.state.params)
        )
        kernel = self._kernel()
        if not rule_of(kernel.of, given, params).follows:
            return np.inf
        return dearer(outputs_of(kernel.of, given, params), ROWS_WANTED)

    def reached(self, carry: Any) -> int:
        """Return the step that both walks have come to."""
        return int(np.min(np.asarray(carry.state.walks.now)))

    def told(self, carry: Any, trained: Trained) -> Trained:
        """Return the records of the finer walks, with what outcomes say of them."""
        values = trained.observables
        own = {k: v for k, v in values.items() if not k.startswith(COARSE)}
        walks = carry.state.walks
        names = ("steps", "now", "jumps", "holds", "diverged_step")
        counts = {name: np.asarray(getattr(walks, name)) for name in names}
        errors, reasons = [], []
        for run, rows in enumerate(trained.num_rows):
            ended = counts["diverged_step"][run]
            if trained.diverged_step[run] < 0:
                # At step 0 a twin differs by its rounding alone: much of a number that is 0.
                walked = np.flatnonzero(trained.steps[:rows] > 0)
                errors.append(estimate_of({k: each[run, walked] for k, each in values.items()}))
            else:
                # Of numbers that blow up nothing is promised but where.
                errors.append(np.nan if ended[0] == ended[1] else np.inf)
            taken, now, jumps, holds = (int(counts[name][run, 0]) for name in names[:4])
            rests = f", {holds:,} of them at rest" if holds else ""
            why = trained.kernel_reason[run]
            told = f"{taken:,} steps taken, {now - taken:,} in {jumps:,} jumps{rests}"
            reasons.append(f"{why}; {told}")
        return replace(
            trained,
            observables=own,
            kernel_reason=reasons,
            truncation_error=np.array(errors),
        )


def kernel_of(drawing: Any, layout: Layout) -> JumpKernel:
    """Return what trains the runs of a drawing of the generic way."""
    found: Any = drawing.kernel(layout)
    kernel = JumpKernel(found.training, found.record, True, found)
    # That of a network of the inputs alone, linear in them.
    if found.network is DEEP_LINEAR and found.is_squared:
        return replace(kernel, rank=drawing.rank)
    return kernel


def check_row(row: RunSettings) -> None:
    """Refuse a run that has too many outputs.

    Raises:
        SpecError: If it has.
    """
    drawing = drawing_of(row, int(row.get("network.width") or 1))
    kernel = kernel_of(drawing, Layout(1))
    arguments = {k: np.asarray(v) for k, v in drawing.example_arguments().items()}
    with numerics():
        jax.eval_shape(lambda given: drawing.start(kernel, given, lambda x: x), arguments)


def estimate_of(values: Mapping[str, np.ndarray]) -> float:
    """Return by how much a run's records may be wrong; those of both walks are in `values`."""
    own = {name: each for name, each in values.items() if not name.startswith(COARSE)}
    return _apart({name: (values[COARSE + name], each) for name, each in own.items()})


def _apart(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> float:
    """Return by how much the records of two walks differ; infinite if they are not comparable."""
    found = [
        float(np.max(deviations_of(name, coarse, fine, "jumps")))
        for name, (coarse, fine) in pairs.items()
        if len(fine)
    ]
    largest = max(found, default=0.0)
    return largest if largest <= _FARTHEST else np.inf


def _check_outputs(outputs: int) -> None:
    if outputs > MOST_OUTPUTS:
        raise SpecError(
            f'sweep.kernel is "jumps", which decomposes the tangent kernel, a matrix of {outputs} '
            f"rows, one for each output on each sample; it may have {MOST_OUTPUTS} (any number by "
            "gradient descent on the layers of a linear network, with squared error of samples or "
            'of all entries of a matrix). Take fewer samples, or sweep.kernel = "generic".'
        )
