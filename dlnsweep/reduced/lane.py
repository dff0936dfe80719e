"""One run on its way to the reduced kernel: what it starts from, its bases, what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float

from dlnsweep.networks.layered.kind import dense_flops
from dlnsweep.networks.layered.samples import Reduced
from dlnsweep.networks.test_samples import TestSamples
from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.products import multiply
from dlnsweep.reduced.chain import Descent
from dlnsweep.reduced.compact_descent import Constants
from dlnsweep.reduced.jumping.jumps import Pace
from dlnsweep.reduced.jumping.pacing import paces
from dlnsweep.reduced.kernel import State, constants_of
from dlnsweep.reduced.pilot import Pilot
from dlnsweep.reduced.prepare import Prepared, Thresholds, prepare
from dlnsweep.reduced.reduction import Reduction, Rehearsal
from dlnsweep.reduced.start import Network
from dlnsweep.settings.training import TrainingSettings

# The residual at the end of a run is that of its rehearsal to this share (the rehearsal follows the
# flow of gradient descent, not its steps), and to rounding, relative to the targets.
_LIKENESS, _ROUNDING = 0.03, 1e-7
# Before that it is so to a larger share: the rehearsal's path is known at its checkpoints only.
_EXCURSION = 0.5
# The small products of a reduced step do fewer operations a second than the large ones of a dense
# step by about this factor.
_WORSE = 1.5


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
        deeper: Of a network compressed by its law, how many levels deeper than usual it is.
        constants: What its program takes; None where that is still to be made from the bases.
        rehearsal: The path it is compared with; None where that is still in the bases.
    """

    start: Start
    descent: Descent
    record: Mapping[str, Any]
    prepared: Prepared
    deeper: int = 0
    constants: Constants | None = None
    rehearsal: Rehearsal | None = None

    @property
    def path(self) -> Rehearsal:
        """The path it is compared with."""
        return self.rehearsal or self.prepared.reduction.rehearsal

    def paces(self, tolerance: float, steps: np.ndarray) -> list[Pace]:
        """Return how far its jumps go, trial by trial; nothing where it takes its steps.

        Args:
            tolerance: The sweep's.
            steps: The recorded steps.
        """
        if self.prepared.refusal:
            return []
        return paces(self.descent, self.path, tolerance, steps)

    def made_small(self, *, is_reduced: bool) -> Lane:
        """Return the run without its weights and bases, which it does not need any more.

        Args:
            is_reduced: Whether the reduced kernel trains it; else nothing of it is needed.
        """
        nothing: Any = None
        start = self.start._replace(first=nothing, first_off=nothing, rest=nothing)
        small = replace(self, start=start, prepared=replace(self.prepared, reduction=nothing))
        if not is_reduced:
            return small
        return replace(small, constants=constants_for(self), rehearsal=self.path)


def prepare_lane(
    start: Start,
    training: TrainingSettings,
    record: Mapping[str, Any],
    tolerance: float,
    hint: Thresholds | None = None,
    *,
    forced: bool = False,
    coarser: tuple[int, ...] | None = None,
    followers: int = 0,
    compiled: bool | None = None,
    narrows: bool = False,
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
        followers: See `prepare`.
        compiled: See `start.Network`; where LLVM is there, by default.
        narrows: See `prepare`.
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
        divergence_factor=float(training.divergence_factor),
    )
    network = _network(start, descent)
    prepared = prepare(
        network if compiled is None else replace(network, compiled=compiled),
        training.num_steps,
        tolerance,
        hint,
        however_large=forced,
        coarser=coarser,
        followers=followers,
        narrows=narrows,
    )
    return Lane(start, descent, record, prepared)


def _network(start: Start, descent: Descent) -> Network:
    return Network(
        start.first,
        start.first_off,
        start.rest,
        start.squared_norms,
        descent,
        start.data.off_directions,
    )


def constants_for(lane: Lane) -> Constants:
    """Return what the program of a run takes."""
    if lane.constants is not None:
        return lane.constants
    # What was rehearsed and nothing else: a run with fewer directions than the program has gets
    # zeros, not further directions of its own, which could be unstable together.
    return constants_of(lane.prepared, lane.prepared.sizes, lane.start.data, lane.descent)


def why_not_smaller(lane: Lane, dims: Sequence[int], rank: int) -> str:
    """Return why the dense kernel trains a prepared run faster; empty if it does not."""
    if lane.prepared.sizes.step_flops(rank) * _WORSE > dense_flops(dims, rank):
        return "the bases are too large beside the network"
    return ""


def left_its_rehearsal(
    lane: Lane,
    residual_norm: float,
    steps: Sequence[int] | np.ndarray = (),
    errors: Sequence[float] | np.ndarray = (),
    stopped: int = -1,
) -> str:
    """Return how a finished run differs from its rehearsal; empty if it does not.

    A truncated chain is not the gradient descent of a network, and may be unstable where that is
    stable; the rehearsal's method damps what a plain step lets grow. Rarely seen (one run in
    several hundred, at a coarse tolerance), and plain to see at the end of the run. One that
    `stop_when` ended is compared as far as it went: what grows is no improvement, and would end it
    by patience.

    Args:
        lane: The run.
        residual_norm: ||Phi|| after its last step, or where it was stopped.
        steps: The steps at which its regression error was recorded, if it was.
        errors: The regression error there.
        stopped: The step at which `stop_when` ended it, or -1.
    """
    if lane.prepared.refusal:
        # Complete bases: there was no rehearsal, and nothing can be unstable in them.
        return ""
    rehearsal = lane.path
    share, expected = _LIKENESS, float(rehearsal.errors[-1])
    if stopped >= 0:
        share, expected = _EXCURSION, float(rehearsal.at(np.array([stopped]))[0])
    rounding = _ROUNDING * float(np.linalg.norm(lane.descent.targets))
    comparable = stopped < 0 or not np.isnan(expected)
    if comparable and not abs(residual_norm - expected) <= share * expected + rounding:
        return (
            f"the reduced run ended at a residual of {residual_norm:.2e}, rehearsed {expected:.2e}"
        )
    # The error counts what no weights can fit as well, the residual does not.
    data, steps = lane.start.data, np.asarray(steps)
    squares = (np.asarray(errors, dtype=float) * data.signal_norm) ** 2 - data.residual
    norms = np.sqrt(np.maximum(squares, 0.0))
    expected = rehearsal.at(steps)
    far = ~(np.abs(norms - expected) <= _EXCURSION * expected + rounding) & ~np.isnan(expected)
    if not np.any(far):
        return ""
    at = int(np.argmax(far))
    return (
        f"the reduced run had a residual of {norms[at]:.2e} at step {steps[at]}, "
        f"rehearsed {expected[at]:.2e}"
    )


def complete(lane: Lane, reason: str) -> Lane:
    """Return a run with complete bases, which are exact and slow.

    Args:
        lane: The run, with its weights.
        reason: Why it gets them.
    """
    reduction = Reduction(Pilot.complete(_network(lane.start, lane.descent)))
    missing = lane.prepared.missing
    prepared = Prepared(reduction, reduction.everything, missing, refusal=reason, missing=missing)
    return replace(lane, prepared=prepared, constants=None, rehearsal=None)


def outcome_of(prepared: Prepared) -> str:
    """Return the reason that is recorded for a reduced run."""
    return f"complete bases: {prepared.refusal}" if prepared.refusal else "certified"


def final_weights(
    lane: Lane, weights: tuple[np.ndarray, ...], state: State
) -> tuple[np.ndarray, ...]:
    """Return W_i = c_i W_i(0) + B_i D_i F_{i-1}^T of the only run of a call.

    Args:
        lane: The run.
        weights: Its weights at step 0.
        state: Its state, with a leading axis of lanes.
    """
    inner, outer = lane.prepared.reduction.bases(lane.prepared.sizes)
    inner[0] = np.asarray(lane.start.data.range_basis)
    made = []
    for i, weight in enumerate(weights):
        small = np.asarray(state.corrections[i][0])[: outer[i].shape[1], : inner[i].shape[1]]
        made.append(float(state.scales[0, i]) * weight + outer[i] @ small @ inner[i].T)
    return tuple(made)
