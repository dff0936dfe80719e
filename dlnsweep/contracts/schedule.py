"""At which steps a run is recorded, and how its steps are cut into segments."""

from __future__ import annotations

import numpy as np

from dlnsweep.settings.sections import RecordSettings


def record_steps(record: RecordSettings, num_steps: int) -> np.ndarray:
    """Return the recorded steps, ascending, int64; always with 0 and `num_steps`.

    Under "log" the `count` steps are round(T^(i / (count - 1))), i = 0, ..., count - 1, each
    integer once; under "linear" they are round(i T / (count - 1)). Both are computed in float64:
    beyond 2^53 those between the ends are multiples of some power of 2.
    """
    if record.spacing == "explicit":
        chosen = np.asarray(record.steps, dtype=np.int64)
        chosen = chosen[chosen <= num_steps]
    elif record.spacing == "log":
        chosen = np.rint(np.geomspace(1.0, float(num_steps), record.count)).astype(np.int64)
    else:
        chosen = np.rint(np.linspace(0.0, float(num_steps), record.count)).astype(np.int64)
    # As a float the last one may be beyond the end; or before it, by less than any other can be.
    chosen = np.minimum(chosen, num_steps)
    if record.spacing != "explicit":
        chosen[-1] = num_steps
    return np.unique(np.concatenate([[0], chosen, [num_steps]]).astype(np.int64))


def total_of(counts: np.ndarray) -> int:
    """Return the sum of counts of steps, which int64 need not hold."""
    return sum(counts.tolist())


def weight_steps(record: RecordSettings, num_steps: int) -> np.ndarray:
    """Return the steps, ascending, int64, at which a run's weights are kept.

    "final" is the run's last step, which is an earlier one where `stop_when` was met.
    """
    chosen = [num_steps] if record.weights == "final" else record.weights
    return np.unique(np.asarray(chosen, dtype=np.int64))
