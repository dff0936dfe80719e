"""One network on the caller's own arrays, by either kernel; `training.py` is its face."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dlnsweep.engine.descent import WHOLE, descend, valid_rows
from dlnsweep.engine.programs import PROGRAMS
from dlnsweep.engine.segments import Segments
from dlnsweep.networks.layered.kind import why_not_worth
from dlnsweep.networks.layered.reducible import reasons_not_reduced, why_not_estimated
from dlnsweep.numerics.compiled import STOPS_A_SEGMENT
from dlnsweep.settings.base import static_text, traced_numbers, with_numbers
from dlnsweep.settings.sections import RecordSettings
from dlnsweep.settings.training import TrainingSettings


@dataclass(frozen=True)
class Problem:
    """What is trained, as float64 arrays.

    Attributes:
        weights: W_1, ..., W_L.
        signals: X.
        measurements: Y.
        rank: The rank of Y.
        steps: The recorded steps, ascending.
    """

    weights: tuple[np.ndarray, ...]
    signals: np.ndarray
    measurements: np.ndarray
    rank: int
    steps: np.ndarray

    @classmethod
    def make(
        cls,
        weights: tuple[np.ndarray, ...],
        signals: np.ndarray,
        measurements: np.ndarray,
        steps: np.ndarray,
    ) -> Problem:
        """Find the numerical rank of Y: singular values above max(m, n) eps times the largest."""
        values = np.linalg.svd(measurements, compute_uv=False)
        threshold = max(measurements.shape) * np.finfo(np.float64).eps * values[0]
        return cls(weights, signals, measurements, int(np.sum(values > threshold)), steps)

    @property
    def dims(self) -> tuple[int, ...]:
        """The layer sizes m, d_1, ..., d."""
        return (self.measurements.shape[0], *[w.shape[0] for w in self.weights])


@dataclass(frozen=True)
class Ran:
    """A finished run.

    Attributes:
        steps: The recorded steps that it reached.
        observables: One value or vector a step, by name.
        weights: The final weights.
        diverged_step: First step at which it had diverged, or -1; see `training.divergence_factor`.
        stopped_step: The step at which `stop_when` was met, or -1.
        kernel: "dense" or "reduced".
        kernel_reason: Why it was this kernel.
        truncation_error: The reduced kernel's estimate of its relative error, or NaN.
    """

    steps: np.ndarray
    observables: dict[str, np.ndarray]
    weights: tuple[np.ndarray, ...]
    diverged_step: int
    stopped_step: int
    kernel: str
    kernel_reason: str
    truncation_error: float


def run(
    problem: Problem,
    training: TrainingSettings,
    record: RecordSettings,
    precision: str,
    kernel: str,
    tolerance: float,
) -> Ran:
    """Train one network; `kernel` is "dense", "reduced" or "auto"."""
    reason = "asked for" if kernel == "dense" else ""
    if not reason:
        depth = len(problem.weights)
        found = reasons_not_reduced(
            training.optimizer, depth, record.observables, num_steps=training.num_steps
        )
        reason = next((each.sentence for each in found), "")
    if not reason and kernel == "auto":
        short = why_not_worth(problem.dims, problem.rank, training.num_steps)
        short = short or why_not_estimated(record.observables)
        reason = short.sentence if short else ""
    if not reason:
        ran, reason = _reduced(problem, training, record, precision, kernel, tolerance)
        if ran:
            return ran
    return _dense(problem, training, record, precision, reason)


def _descended(
    train: Callable[..., Any],
    started: tuple[Any, Any],
    steps: np.ndarray,
    grain: int,
    names: Sequence[str],
) -> tuple[Any, dict[str, Any]]:
    """Train and record the first lane; return the carry and the fields of `Ran` that it gives."""
    inputs, carry = started
    segments = Segments(steps, STOPS_A_SEGMENT, grain)
    records = []
    for passed in descend(train, inputs, carry, segments, 1, lambda _: WHOLE):
        carry = passed.carry
        records.append(passed.records)
    ends = (carry.state.diverged_step, carry.stopped_step)
    diverged_step, stopped_step = (np.atleast_1d(np.asarray(end))[:1] for end in ends)
    rows = min(int(valid_rows(steps, diverged_step, stopped_step)[0]), segments.position[0])
    reached = {name: np.concatenate([r[name][0] for r in records]) for name in names}
    return carry, {
        "steps": steps[:rows],
        "observables": {name: values[:rows] for name, values in reached.items()},
        "diverged_step": int(diverged_step[0]),
        "stopped_step": int(stopped_step[0]),
    }


def _dense(
    problem: Problem,
    training: TrainingSettings,
    record: RecordSettings,
    precision: str,
    reason: str,
) -> Ran:
    from dlnsweep.networks.layered.dense import delay_for
    from dlnsweep.networks.layered.kind import is_slow

    delay = delay_for(problem.dims, problem.rank)
    slow = is_slow(
        training.learning_rate, training.weight_decay, training.step_rule, problem.dims[:-1]
    )
    start, train, final = _functions(
        training, record, problem.dims, problem.rank, delay, precision, bool(slow)
    )
    arrays = (problem.weights, problem.signals, problem.measurements)
    inputs, carry = start(*arrays, traced_numbers(training), traced_numbers(record))

    def call(*given: Any) -> tuple[Any, dict[str, np.ndarray]]:
        carry, values = train(*given)
        return carry, {name: np.asarray(value)[None] for name, value in values.items()}

    carry, fields = _descended(call, (inputs, carry), problem.steps, delay, record.observables)
    weights = tuple(np.asarray(w) for w in final(inputs, carry))
    return Ran(
        **fields, weights=weights, kernel="dense", kernel_reason=reason, truncation_error=np.nan
    )


def _functions(
    training: TrainingSettings,
    record: RecordSettings,
    dims: tuple[int, ...],
    rank: int,
    delay: int,
    precision: str,
    slow: bool,
) -> tuple[Any, Any, Any]:
    """Return jitted functions that start, train and read a network."""
    from dlnsweep.networks.layered.dense import DenseKernel
    from dlnsweep.networks.layered.samples import reduce_samples
    from dlnsweep.numerics.lazy import jax

    kernel = DenseKernel(training, record, delay=delay, early_exit=True, keeps_roundings=slow)

    def start(weights, signals, measurements, numbers, record_numbers):
        def cast(tree):
            return jax.tree.map(lambda x: x.astype(precision), tree)

        data = reduce_samples(signals, measurements, rank)
        settings = with_numbers(training, numbers)
        return kernel.start(cast(weights), cast(data), dims[:-1], settings, record_numbers)

    static = static_text(training, ["num_steps"]), static_text(record)
    key = (*static, dims, rank, delay, precision, slow)
    return PROGRAMS.once(
        key,
        lambda: (
            jax.jit(start),
            jax.jit(kernel.segment, donate_argnums=1),
            jax.jit(kernel.weights),
        ),
    )


def _reduced(
    problem: Problem,
    training: TrainingSettings,
    record: RecordSettings,
    precision: str,
    kernel: str,
    tolerance: float,
) -> tuple[Ran | None, str]:
    """Train by the reduced kernel; under "auto" only if that is certified and pays."""
    from dlnsweep.networks.layered.rates import layer_rates
    from dlnsweep.networks.layered.samples import reduce_samples
    from dlnsweep.numerics.lanes import Layout
    from dlnsweep.numerics.lazy import jax
    from dlnsweep.reduced import lane as lanes
    from dlnsweep.reduced import program as reducing
    from dlnsweep.reduced.kernel import ReducedKernel

    arrays = (problem.weights, problem.signals, problem.measurements)
    weights, signals, measurements = jax.tree.map(jax.numpy.asarray, arrays)
    data = reduce_samples(signals, measurements, problem.rank)
    start = lanes.Start(
        *lanes.split(weights, data),
        data,
        None,
        layer_rates(training, training, problem.dims[:-1]),
    )
    start = jax.tree.map(np.asarray, start)
    lane = lanes.prepare_lane(
        start, training, traced_numbers(record), tolerance, forced=kernel == "reduced"
    )
    prepared = lane.prepared
    reason = prepared.refusal or lanes.why_not_smaller(lane, problem.dims, problem.rank)
    if reason and kernel == "auto":
        return None, reason
    own = ReducedKernel(training, record, early_exit=True, precision=precision)
    statics = (static_text(training, ["num_steps"]), static_text(record), precision)
    while True:
        key = ("reduced", *statics, reducing.common_sizes([lane]), problem.dims, problem.rank)
        program = PROGRAMS.once(key, partial(reducing.ReducedProgram, own, [lane], Layout(1)))
        inputs, carry = program.start([lane])
        carry, fields = _descended(
            program.segment, (inputs, carry), problem.steps, 1, record.observables
        )
        norm = float(program.residual_norms(inputs, carry)[0])
        errors = fields["observables"].get("regression_error")
        recorded = ((), ()) if errors is None else (fields["steps"], errors)
        left = lanes.left_its_rehearsal(lane, norm, *recorded, fields["stopped_step"])
        if not left:
            break
        if kernel == "auto":
            return None, left
        lane = lanes.complete(lane, left)
    weights = lanes.final_weights(lane, problem.weights, carry.state)
    return Ran(
        **fields,
        weights=weights,
        kernel="reduced",
        kernel_reason=lanes.outcome_of(lane.prepared),
        truncation_error=lane.prepared.estimate,
    ), ""
