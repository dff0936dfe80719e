"""When students of sweeps/grokking_teacher.toml fit, and when they find their teacher, a row a run.

python -m tests.kept.grokking_teacher results/grokking_teacher --csv FILE
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .writing import write

# The error on the training samples, and the one on fresh samples, that a run must come below.
FITTED, FOUND = 0.1, 0.3


def crossing(steps: np.ndarray, errors: np.ndarray, level: float) -> float:
    """Return when errors first come below a level: between records, straight in both logarithms.

    NaN where they never do.
    """
    below = np.flatnonzero(errors < level)
    if not len(below):
        return float("nan")
    i = below[0]
    # Records begin at step 0, where no error is below a level.
    share = np.log(errors[i - 1] / level) / np.log(errors[i - 1] / errors[i])
    return float(steps[i - 1] * (steps[i] / steps[i - 1]) ** share)


def table(curves: pd.DataFrame) -> pd.DataFrame:
    """Return a row a run."""
    found = []
    for _, records in curves.groupby("run_id"):
        rows: Any = records.sort_values("step")
        steps, train, test, norm = (
            rows[name].to_numpy(float)
            for name in ("step", "regression_error", "test_error", "parameter_norm")
        )
        end = rows.iloc[-1]
        rate, decay = end["training.learning_rate"], end["training.weight_decay"]
        fitted, late = crossing(steps, train, FITTED), crossing(steps, test, FOUND)
        found.append(
            {
                "layer_init_scale": end["network.layer_init_scale"],
                "weight_decay": decay,
                "learning_rate": rate,
                "seed": end["seed"],
                "fitted_step": fitted,
                "test_error_then": np.interp(fitted, steps, test),
                "found_step": late,
                # In units of the time in which decay alone shrinks weights by e.
                "found_time": late * rate * decay,
                "first_norm": norm[0],
                "norm_then": np.interp(late, steps, norm),
                "final_train_error": train[-1],
                "final_test_error": test[-1],
            }
        )
    keys = ["layer_init_scale", "weight_decay", "seed"]
    return pd.DataFrame(found).sort_values(keys, ignore_index=True)


if __name__ == "__main__":
    write(__doc__, lambda results: table(results.curves()), digits=6)
