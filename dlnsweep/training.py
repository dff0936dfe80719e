"""`train`: gradient descent on one deep linear network, on the caller's own arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dlnsweep.arguments import check_arrays, check_settings
from dlnsweep.runtime import numerics
from dlnsweep.schedule import Segments
from dlnsweep.sections import RecordSettings, TrainingSettings
from dlnsweep.settings import static_text, traced_numbers, with_numbers

_STOPS_A_SEGMENT = 16


@dataclass(frozen=True)
class Trajectory:
    """What `train` returns; every observable is also an attribute, such as `.regression_error`.

    Attributes:
        steps: The recorded steps. A run that diverged or was stopped has no later ones.
        observables: Arrays with one value (or vector) a recorded step, by name.
        weights: W_1, ..., W_L after the last step; of a diverged run, at its diverged step.
        status: "finished", "diverged" or "stopped".
        diverged_step: The first step whose squared error is not finite, or None.
        kernel: The kernel that ran.
    """

    steps: np.ndarray
    observables: Mapping[str, np.ndarray]
    weights: tuple[np.ndarray, ...]
    status: str
    diverged_step: int | None
    kernel: str

    def __getattr__(self, name: str) -> np.ndarray:
        observables = self.__dict__.get("observables", {})
        if name in observables:
            return observables[name]
        raise AttributeError(
            f"the trajectory has no {name!r}; it recorded {', '.join(observables)}"
        )


def train(
    weights: Sequence[ArrayLike],
    signals: ArrayLike,
    measurements: ArrayLike,
    *,
    learning_rate: float,
    weight_decay: float = 0.0,
    step_rule: str = "uniform",
    record_steps: Sequence[int],
    observables: Sequence[str] = ("regression_error", "off_subspace_error"),
    optimizer: str = "gradient_descent",
    data_fit_scale: float = 1.0,
    kernel: str = "auto",
    precision: str = "float64",
    rank_threshold: float = 1e-3,
    stop_when: Mapping[str, Any] | None = None,
    **hyperparameters: float,
) -> Trajectory:
    """Train one deep linear network and record it at chosen steps.

    Minimises (c/2) ||W_L ... W_1 Y - X||_F^2 + (lambda/2) sum_i ||W_i||_F^2 (equation (4) of
    arXiv:2502.15522 at c = 1) by W_i <- W_i - eta_i grad_i, all layers at once. With the "uniform"
    step rule eta_i = eta; with "fan_in" eta_i = eta / (number of columns of W_i), which is gradient
    descent in that paper's appendix parametrisation, (23) and (28).

    The samples are reduced to the numerical rank of Y (singular values above
    max(m, n) eps times the largest), which leaves the trajectory unchanged.

    Args:
        weights: Initial W_1, ..., W_L as given to the input first: shapes (d_1, m), (d_2, d_1),
            ..., (d, d_{L-1}). They are not changed.
        signals: X, shape (d, n).
        measurements: Y, shape (m, n); not all zero.
        learning_rate: eta > 0.
        weight_decay: lambda >= 0.
        step_rule: "uniform" or "fan_in".
        record_steps: Steps to record, >= 0, in any order; training ends at the largest.
        observables: Names of what to record; see `dlnsweep explain observables`.
        optimizer: "gradient_descent", "momentum", "nesterov", "adam", "adamw" or "rmsprop".
        data_fit_scale: c > 0.
        kernel: "dense", or "auto", which chooses; so far it always takes "dense".
        precision: "float64" or "float32".
        rank_threshold: numerical_rank counts singular values above this times the largest.
        stop_when: {"observable": name, "below": value}: end at the first recorded step with it.
        **hyperparameters: momentum, beta1, beta2, epsilon, rmsprop_decay, as in [training].

    Returns:
        The recorded observables, the final weights and how the run ended.

    Raises:
        SpecError: If an argument has the wrong shape, type or range; all mistakes at once.

    References:
        Laus et al. 2025, arXiv:2502.15522, equations (3), (4), (23), (28).
    """
    arrays = check_arrays(weights, signals, measurements)
    training, record = check_settings(
        dict(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            step_rule=step_rule,
            optimizer=optimizer,
            data_fit_scale=data_fit_scale,
            stop_when=dict(stop_when) if isinstance(stop_when, Mapping) else stop_when,
            **hyperparameters,
        ),
        {
            "spacing": "explicit",
            "observables": list(observables),
            "rank_threshold": rank_threshold,
        },
        record_steps,
        kernel,
        precision,
    )
    steps = np.unique(np.asarray(record_steps, dtype=np.int64))
    with numerics():
        return _train(*arrays, training, record, steps, precision)


def _train(
    weights: tuple[np.ndarray, ...],
    signals: np.ndarray,
    measurements: np.ndarray,
    training: TrainingSettings,
    record: RecordSettings,
    steps: np.ndarray,
    precision: str,
) -> Trajectory:
    from dlnsweep.kernels.dense import delay_for

    values = np.linalg.svd(measurements, compute_uv=False)
    threshold = max(measurements.shape) * np.finfo(np.float64).eps * values[0]
    rank = int(np.sum(values > threshold))
    dims = (measurements.shape[0], *[w.shape[0] for w in weights])
    delay = delay_for(dims, rank)
    start, run, final_weights = _functions(training, record, dims, rank, delay, precision)
    numbers = (traced_numbers(training), traced_numbers(record))
    inputs, carry = start(weights, signals, measurements, *numbers)
    segments = Segments(steps, _STOPS_A_SEGMENT, delay)
    records: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
    while not segments.finished and bool(carry.state.active):
        # One call however long: there is nothing to report in between.
        piece = segments.take(2**60)
        carry, values = run(inputs, carry, piece.start, piece.stops, piece.recorded)
        kept = {name: np.asarray(value)[piece.recorded] for name, value in values.items()}
        records.append((piece.stops[piece.recorded], kept))
    reached = np.concatenate([r[0] for r in records])
    diverged, stopped = int(carry.state.diverged_step), int(carry.stopped_step)
    valid = np.ones(len(reached), bool)
    if diverged >= 0:
        valid = reached < diverged
    elif stopped >= 0:
        valid = reached <= stopped
    final = final_weights(inputs, carry)
    return Trajectory(
        steps=reached[valid],
        observables={
            name: np.concatenate([r[1][name] for r in records])[valid]
            for name in record.observables
        },
        weights=tuple(np.asarray(w) for w in final),
        status="diverged" if diverged >= 0 else "stopped" if stopped >= 0 else "finished",
        diverged_step=diverged if diverged >= 0 else None,
        kernel="dense",
    )


_FUNCTIONS: dict[tuple[Any, ...], tuple[Any, Any, Any]] = {}
_MOST_FUNCTIONS = 64


def _functions(
    training: TrainingSettings,
    record: RecordSettings,
    dims: tuple[int, ...],
    rank: int,
    delay: int,
    precision: str,
) -> tuple[Any, Any, Any]:
    """Return jitted functions that start, train and read a network, made once for each setting.

    Calls that differ only in numbers and arrays of the same shapes share what is compiled.
    """
    import jax

    from dlnsweep.kernels.dense import DenseKernel
    from dlnsweep.kernels.linear import reduce_samples

    key = (static_text(training, ["num_steps"]), static_text(record), dims, rank, delay, precision)
    if key in _FUNCTIONS:
        return _FUNCTIONS[key]
    kernel = DenseKernel(training, record, delay=delay, early_exit=True)

    def start(weights, signals, measurements, numbers, record_numbers):
        def cast(tree):
            return jax.tree.map(lambda x: x.astype(precision), tree)

        data = reduce_samples(signals, measurements, rank)
        settings = with_numbers(training, numbers)
        return kernel.start(cast(weights), cast(data), dims[:-1], settings, record_numbers)

    if len(_FUNCTIONS) >= _MOST_FUNCTIONS:
        _FUNCTIONS.pop(next(iter(_FUNCTIONS)))
    _FUNCTIONS[key] = (
        jax.jit(start),
        jax.jit(kernel.segment, donate_argnums=1),
        jax.jit(kernel.weights),
    )
    return _FUNCTIONS[key]
