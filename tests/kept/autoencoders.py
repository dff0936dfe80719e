"""How fast linear autoencoders turn into the principal directions, beside the rate derived.

python -m tests.kept.autoencoders results/autoencoder_eventually --csv FILE
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import dlnsweep
from dlnsweep.numerics.lazy import jax
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import keys_of
from dlnsweep.problems.autoencoder import AutoencoderSettings, draw

# Where one direction is left to turn, and rounding is far.
_LATE = 1e-9, 1e-13


def slowest(variances: np.ndarray, width: int, decay: float) -> float:
    """Return the least curvature along which the span of a balanced autoencoder turns.

    With layers W_2 = (s, e)^T and W_1 = (s, d) on two directions of sums of squares a > b, where
    s^2 = 1 - decay / a is the minimum, the loss (1/2) ||W_2 W_1 Y - Y||^2 + (decay / 2)(||W_1||^2 +
    ||W_2||^2) is to second order in d and e

        (1/2) (d, e) [[b + decay (1 - b / a), -b], [-b, a]] (d, e)^T,

    whose lower eigenvalue h is a curvature; the least of them, over directions that fit (a) and
    directions that do not (b), is what is left: off the principal directions is e^2, which falls as
    (1 - eta h)^(2 t). It need not be the pair at the gap: in small b it is about b.
    """
    sorted_ = np.sort(variances)[::-1]
    found = [
        np.linalg.eigvalsh([[b + decay * (1 - b / a), -b], [-b, a]])[0]
        for a in sorted_[:width]
        for b in sorted_[width:]
    ]
    return float(min(found))


def measured(steps: np.ndarray, off: np.ndarray) -> float:
    """Return the rate of -ln(off) a step, by least squares over late records; NaN for too few."""
    late = (off < _LATE[0]) & (off > _LATE[1])
    if late.sum() < 4:
        return np.nan
    return float(-np.polyfit(steps[late], np.log(off[late]), 1)[0])


def rates(results: dlnsweep.Results) -> pd.DataFrame:
    """Return a row a run: its gap, its rate, and what was derived of its own data."""
    rows = []
    curves = dict(iter(results.curves().groupby("run_id")))
    for run in results.runs().to_dict("records"):
        settings = AutoencoderSettings(
            signal_dim=run["problem.signal_dim"],
            num_samples=run["problem.num_samples"],
            spectrum_power=run["problem.spectrum_power"],
            measurement_dim=run["problem.signal_dim"],
        )
        with numerics():
            data = np.asarray(draw(settings, keys_of(jax.numpy.asarray(run["seed"])))[0])
        variances = np.linalg.eigvalsh(data @ data.T)
        width, decay = run["network.width"], run["training.weight_decay"]
        curvature = slowest(variances, width, decay)
        curve = curves[run["run_id"]]
        off = 1 - curve["principal_alignment"].to_numpy()
        derived = -2 * np.log1p(-run["training.learning_rate"] * curvature)
        last, first = np.sort(variances)[::-1][width - 1 : width + 1]
        rows.append(
            (run["seed"], width, decay, first / last, off[-1],
             measured(curve["step"].to_numpy(), off), derived)
        )  # fmt: skip
    columns = ["seed", "width", "weight_decay", "gap", "off_at_the_end", "rate", "derived"]
    return pd.DataFrame(rows, columns=columns)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results")
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    table = rates(dlnsweep.open_results(arguments.results))
    table.to_csv(arguments.csv, index=False, float_format="%.6g")
