"""The records of runs that have been trained: arrays, joined and taken apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Trained:
    """The records of a batch, one row a run.

    Attributes:
        steps: The recorded steps.
        observables: (runs, steps) or (runs, steps, length) arrays by name.
        num_rows: How many leading steps of each run are valid.
        diverged_step: First step at which it had diverged, or -1; see `training.divergence_factor`.
        stopped_step: The step at which `stop_when` was met, or -1.
        kernel: The kernel of each run.
        kernel_reason: Why it was this kernel.
        truncation_error: The reduced kernel's estimate of its relative error; NaN for dense runs.
        residual_norm: ||Phi|| of reduced runs after the last step; NaN for dense runs.
        weights: What is kept of the weights, by name, (runs, kept steps, ...), padded as the arrays
            are; empty where nothing is asked for.
        weight_steps: The steps that they are of, (runs, kept steps), -1 where a run had ended;
            None where nothing is asked for.
        burst_error: What bursts of steps say that jumps may be wrong by, NaN of runs that were not
            looked at; None where nothing is asked for. See `bursts.py`.
        state: All that changes during a run, after its last step, (runs, ...); empty where no
            final weights are kept, or nothing can go on from them.
        compile_seconds: Seconds that compiling took; 0 where the program was at hand.
        seconds: Seconds of training, drawing and recording.
    """

    steps: np.ndarray
    observables: dict[str, np.ndarray]
    num_rows: np.ndarray
    diverged_step: np.ndarray
    stopped_step: np.ndarray
    kernel: list[str]
    kernel_reason: list[str]
    truncation_error: np.ndarray
    residual_norm: np.ndarray
    compile_seconds: float
    seconds: float
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    weight_steps: np.ndarray | None = None
    burst_error: np.ndarray | None = None
    state: list[np.ndarray] = field(default_factory=list)

    @property
    def status(self) -> list[str]:
        """How each run ended, as the word that is stored."""
        return [
            "diverged" if d >= 0 else "stopped" if s >= 0 else "finished"
            for d, s in zip(self.diverged_step, self.stopped_step, strict=True)
        ]

    def recorded_errors(self, run: int) -> tuple[np.ndarray, np.ndarray]:
        """Return where the regression error of a run was recorded, and what it was."""
        if "regression_error" not in self.observables:
            return np.array([], dtype=np.int64), np.array([])
        rows = int(self.num_rows[run])
        return self.steps[:rows], self.observables["regression_error"][run, :rows]


def joined(parts: list[Trained], order: np.ndarray) -> Trained:
    """Join parts, and take their runs in an order."""

    def whole(values: list[Any]) -> Any:
        if values[0] is None:
            return None
        if isinstance(values[0], list):
            items = [item for value in values for item in value]
            return [items[i] for i in order]
        return np.concatenate(values)[order]

    names = (
        "residual_norm",
        "num_rows",
        "diverged_step",
        "stopped_step",
        "kernel",
        "kernel_reason",
        "weight_steps",
    )
    return Trained(
        steps=parts[0].steps,
        observables={
            name: whole([p.observables[name] for p in parts]) for name in parts[0].observables
        },
        # Its arrays are no items of a list to be joined.
        state=[
            np.concatenate(leaves)[order] for leaves in zip(*(p.state for p in parts), strict=True)
        ],
        weights={name: whole([p.weights[name] for p in parts]) for name in parts[0].weights},
        **{name: whole([getattr(p, name) for p in parts]) for name in names},
        truncation_error=whole([p.truncation_error for p in parts]),
        burst_error=_bursts(parts, order),
        compile_seconds=0.0,
        seconds=0.0,
    )


def _bursts(parts: list[Trained], order: np.ndarray) -> np.ndarray | None:
    """Join what bursts say, of which runs that take their steps have none."""
    if all(part.burst_error is None for part in parts):
        return None
    each = [
        np.full(len(part.num_rows), np.nan) if part.burst_error is None else part.burst_error
        for part in parts
    ]
    return np.concatenate(each)[order]


def filled(parts: list[np.ndarray], length: int) -> np.ndarray:
    """Join a run's records; steps that were never reached (all runs had ended) are NaN."""
    values = np.concatenate(parts, axis=1)
    missing = length - values.shape[1]
    if not missing:
        return values
    blank = np.full((values.shape[0], missing, *values.shape[2:]), np.nan, values.dtype)
    return np.concatenate([values, blank], axis=1)
