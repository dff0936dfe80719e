"""Where the loss of each run of a sweep rests, beside the levels of linear attention, as a table.

python -m tests.kept.attention results/attention_plateaus --csv FILE
"""

from __future__ import annotations

import argparse
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

import dlnsweep

# The loss rests where it changes by less than this share from record to record, so many in a row.
_CALM, _FEWEST = 2e-3, 3


def levels(input_dim: int, context_length: int, power: float) -> np.ndarray:
    """Return the least loss of a network that has learned 0, 1, ..., D directions of the inputs.

    With variances l_j = j^-p, and u_j the diagonal of its matrix in these directions, half the mean
    squared error is (1/2) sum_j E l_j (w_j - u_j b_j)^2 with b = (1/N) sum_n y_n x_n, of which
    E w_j b_j = l_j and E b_j^2 = l_j^2 + (l_j^2 + l_j sum l) / N. A direction that is learned has
    the least over u_j, the others have u_j = 0 (arXiv:2501.16265).
    """
    variances = np.arange(1, input_dim + 1.0) ** -power
    squares = variances**2 + (variances**2 + variances * variances.sum()) / context_length
    gains = variances * variances**2 / squares
    return 0.5 * (variances.sum() - np.concatenate([[0.0], np.cumsum(gains)]))


def plateaus(steps: np.ndarray, loss: np.ndarray) -> list[tuple[int, int, float]]:
    """Return the first and last step of each stretch at which the loss rests, and its median."""
    calm = np.abs(np.diff(np.log(loss))) < _CALM
    found = []
    for rests, places in groupby(range(len(calm)), key=lambda place: calm[place]):
        chosen = list(places)
        if rests and len(chosen) >= _FEWEST:
            first, last = chosen[0], chosen[-1] + 1
            found.append(
                (int(steps[first]), int(steps[last]), float(np.median(loss[first : last + 1])))
            )
    return found


def resting(results: dlnsweep.Results) -> pd.DataFrame:
    """Return a row for each plateau of each run, with the level that is nearest to it."""
    runs, rows = results.runs(), []
    keys = ("input_dim", "context_length", "covariance_power")
    level = levels(*(runs[f"problem.{key}"].iloc[0] for key in keys))
    both = results.curves()[["run_id", "step", "loss"]].merge(runs[["run_id", "seed"]], on="run_id")
    for seed, curve in both.groupby("seed"):
        for first, last, loss in plateaus(curve["step"].to_numpy(), curve["loss"].to_numpy()):
            learned = int(np.argmin(np.abs(np.log(level / loss))))
            rows.append((seed, learned, first, last, loss, level[learned]))
    columns = ["seed", "learned", "first_step", "last_step", "loss", "level"]
    return pd.DataFrame(rows, columns=columns)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results")
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    table = resting(dlnsweep.open_results(arguments.results))
    table.to_csv(arguments.csv, index=False, float_format="%.6g")
