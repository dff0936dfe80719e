"""`train`: gradient descent on one deep linear network, on the caller's own arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dlnsweep.numerics.runtime import numerics
from dlnsweep.single.arguments import check_arrays, check_magnitudes, check_settings, whole_steps
from dlnsweep.single.network import Problem, run


@dataclass(frozen=True)
class Trajectory:
    """What `train` returns; every observable is also an attribute, such as `.regression_error`.

    Attributes:
        steps: The recorded steps. A run that diverged or was stopped has no later ones.
        observables: Arrays with one value (or vector) a recorded step, by name.
        weights: W_1, ..., W_L after the last step; of a diverged run, at its diverged step.
        status: "finished", "diverged" or "stopped".
        diverged_step: The first step at which the run had diverged, or None.
        kernel: The kernel that ran.
        kernel_reason: Why it was this kernel, and whether a reduced run is certified.
        truncation_error: The reduced kernel's estimate of its largest relative error; NaN for
            the dense kernel, infinite where nothing is known.
    """

    steps: np.ndarray
    observables: Mapping[str, np.ndarray]
    weights: tuple[np.ndarray, ...]
    status: str
    diverged_step: int | None
    kernel: str
    kernel_reason: str
    truncation_error: float

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
    tolerance: float = 1e-6,
    precision: str = "float64",
    rank_threshold: float = 1e-3,
    stop_when: Mapping[str, Any] | None = None,
    divergence_factor: float = 1e6,
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
        optimizer: "gradient_descent", "momentum", "adam" or another word that `dlnsweep explain
            training.optimizer` has.
        data_fit_scale: c > 0.
        kernel: "dense" trains the weights as they are; "reduced" trains in the small spaces that
            the run visits, for gradient descent with or without momentum on two layers or more;
            "auto" takes "reduced" where it pays and is certified to meet the tolerance.
        tolerance: The relative error that "reduced" may cause in what is recorded, in [1e-9, 0.1].
            Asked for by name it also runs where that cannot be certified, and says so.
        precision: "float64" or "float32".
        rank_threshold: numerical_rank counts singular values above this times the largest.
        stop_when: {"observable": name, "below": value}: end at the first recorded step with it.
        divergence_factor: F > 1. The run has diverged, and ends, at the first step at which
            ||W_L ... W_1 Y - X||_F is not finite or exceeds F times the larger of its value at
            step 0 and of ||X||_F.
        **hyperparameters: momentum, beta1, beta2, epsilon, rmsprop_decay, group_rmsprop_decay,
            group_rmsprop_epsilon, adadelta_decay, adadelta_epsilon, as in [training].

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
            divergence_factor=divergence_factor,
            **hyperparameters,
        ),
        {
            "spacing": "explicit",
            "observables": observables,
            "rank_threshold": rank_threshold,
        },
        record_steps,
        kernel,
        precision,
        tolerance,
        len(weights),
    )
    check_magnitudes(*arrays, precision)
    steps = np.unique(whole_steps(record_steps).astype(np.int64))
    with numerics():
        ran = run(Problem.make(*arrays, steps), training, record, precision, kernel, tolerance)
    diverged, stopped = ran.diverged_step, ran.stopped_step
    return Trajectory(
        steps=ran.steps,
        observables=ran.observables,
        weights=ran.weights,
        status="diverged" if diverged >= 0 else "stopped" if stopped >= 0 else "finished",
        diverged_step=diverged if diverged >= 0 else None,
        kernel=ran.kernel,
        kernel_reason=ran.kernel_reason,
        truncation_error=ran.truncation_error,
    )
