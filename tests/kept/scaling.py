"""Exponents of the loss in the step, measured, derived for the same sizes and published.

python -m tests.kept.scaling results/scaling_law --csv FILE
"""

from __future__ import annotations

from typing import Any, cast

import jax
import numpy as np
import pandas as pd

from dlnsweep.streams import gaussian, purpose_key

from .writing import write

# The steps between which a power is fitted.
WINDOW = (10, 300)


def published(data_exponent: float, target_exponent: float) -> float:
    """Return minus the exponent of the loss in the step: Table 1 of arXiv:2405.15074.

    Of its terms F_pp ~ t^-(1 + beta/alpha - 1/(2 alpha)) and K_pp ~ t^-(2 - 1/(2 alpha)) the one
    that falls more slowly.
    """
    a, b = data_exponent, target_exponent
    return min(1 + b / a, 2.0) - 1 / (2 * a)


def mean_losses(features: np.ndarray, a: float, b: float, rate: float, steps: int) -> np.ndarray:
    """Return half the mean squared error on fresh data, in the mean over the samples of the steps.

    Derived. Features y = W^T z are Gaussian of covariance K = W^T D W, D = diag(j^-2a), and what
    they leave of the target is independent of them, of variance s^2. With M the second moment of
    theta - theta* a step of one sample makes of it

        M - eta (K M + M K) + eta^2 (2 K M K + tr(K M) K + s^2 K),

    whose diagonal in the eigenvectors of K, with eigenvalues l, goes by itself:

        r <- r - 2 eta l r + eta^2 (2 l^2 r + l (sum l r + s^2)),   loss = (sum l r + s^2) / 2.
    """
    places = np.arange(1.0, features.shape[0] + 1)
    spectrum, target = places ** (-2 * a), places**-b
    eigenvalues, vectors = np.linalg.eigh((features.T * spectrum) @ features)
    cross = vectors.T @ (features.T @ (spectrum * target))
    best = cross / eigenvalues
    left = float(target**2 @ spectrum - cross @ best)
    squares, losses = best**2, np.empty(steps + 1)
    for step in range(steps + 1):
        total = eigenvalues @ squares + left
        losses[step] = total / 2
        kept = 1 - 2 * rate * eigenvalues + 2 * (rate * eigenvalues) ** 2
        squares = kept * squares + rate**2 * eigenvalues * total
    return losses


def features_of(seed: int, ambient: int, size: int) -> np.ndarray:
    """Return W of a run."""
    with jax.enable_x64(True):
        key = purpose_key(jax.numpy.int64(seed), "data/operator")
        return np.asarray(gaussian(key, ambient, size)) / size**0.5


def exponent(steps: np.ndarray, losses: Any) -> float:
    """Return minus the slope of log loss in log step over the recorded steps of the window.

    Args:
        steps: The recorded steps.
        losses: The loss by step.
    """
    chosen = steps[(steps >= WINDOW[0]) & (steps <= WINDOW[1])]
    found = np.asarray(losses[chosen])
    return -float(np.polyfit(np.log(chosen), np.log(found), 1)[0])


def exponents(results: Any) -> pd.DataFrame:
    """Return a row a run: both exponents, and how far the losses are from their means."""
    rows, curves, run = [], results.curves(), cast("Any", None)
    for _, run in results.runs().iterrows():
        own = curves[curves["run_id"] == run["run_id"]]
        steps, losses = own["step"].to_numpy(), own["loss"].to_numpy()
        a, b = (float(run[f"problem.{key}_exponent"]) for key in ("data", "target"))
        sizes = (int(run[f"problem.{key}_dim"]) for key in ("ambient", "measurement"))
        features = features_of(int(run["seed"]), *sizes)
        rate, last = float(run["training.learning_rate"]), int(steps[-1])
        derived = mean_losses(features, a, b, rate, last)
        rows.append(
            {
                "data_exponent": a,
                "target_exponent": b,
                "seed": int(run["seed"]),
                "exponent": exponent(steps, pd.Series(losses, steps)),
                "derived": exponent(steps, derived),
                "published": published(a, b),
                "loss": losses[-1],
                "derived_loss": derived[-1],
            }
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    write(__doc__, exponents, digits=6)
