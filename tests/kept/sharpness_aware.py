"""What sharpness-aware steps leave of the scale of diagonal networks, as a table to keep.

    python -m tests.kept.sharpness_aware results/sparse_recovery_sam --csv FILE

`product_factor` is derived in the kept text.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

import dlnsweep

from .writing import write

SETTINGS = ["training.minibatch_size", "training.sam_radius", "network.layer_init_scale"]


def product_factor(
    pull: np.ndarray, moved_pull: np.ndarray, norm: float, learning_rate: float, radius: float
) -> np.ndarray:
    """Return what a sharpness-aware step multiplies each u_j v_j by.

    Args:
        pull: h (m,), the derivative of the loss in beta = u*u - v*v: the gradient is
            (2 u h, -2 v h).
        moved_pull: h' (m,), the same at theta + rho gradient / |gradient|.
        norm: |gradient|.
        learning_rate: The rate eta.
        radius: rho.
    """
    c = 2 * radius * pull / norm
    return (
        1 - 4 * learning_rate * c * moved_pull - (2 * learning_rate * moved_pull) ** 2 * (1 - c * c)
    )


def left(results: dlnsweep.Results, run_ids: Iterable[int]) -> pd.DataFrame:
    """Return, run by run, the geometric mean of |u_j v_j|^{1/2} and its logarithm's deviation."""
    found = []
    for run_id in run_ids:
        weights = results.weights(run_id)
        product = np.abs(weights["u"] * weights["v"])
        # Runs that stay at the saddle shrink until their products are no numbers any more.
        if product.min() == 0:
            found.append((run_id, 0.0, np.nan))
            continue
        logarithms = np.log(product) / 2
        found.append((run_id, np.exp(logarithms.mean()), logarithms.std()))
    return pd.DataFrame(found, columns=["run_id", "scale_left", "deviation"])


def table(results: dlnsweep.Results) -> pd.DataFrame:
    """Return a row for each size of a minibatch, radius and scale: medians of what is left."""
    runs = results.runs()
    diverged = runs["status"] == "diverged"
    runs = runs.merge(left(results, runs.loc[~diverged, "run_id"]), how="left")
    names = [name for name in runs if name.startswith("final_")]
    ends = {name: runs[name].where(~diverged) for name in names}
    groups = runs.assign(num_diverged=diverged, **ends).groupby(SETTINGS)
    found = groups.agg(num_runs=("seed", "size"), num_diverged=("num_diverged", "sum"))
    for name in [*names, "scale_left", "deviation"]:
        found[f"{name.removeprefix('final_')}_median"] = groups[name].median()
    return found.reset_index()


if __name__ == "__main__":
    write(__doc__, table, digits=6)
