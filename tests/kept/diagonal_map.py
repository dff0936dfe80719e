"""Diagonal linear networks over initial scale, learning rate and label noise, as a table to keep.

    python -m tests.kept.diagonal_map results/diagonal_map --csv FILE

Medians are over the runs that did not diverge, as in the figures. `descent` has the runs without
noise by NumPy; `effective_scale` is derived in the kept text.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import exp
from typing import Any

import numpy as np
import pandas as pd

from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import purpose_key
from dlnsweep.problems.sparse_regression import SparseRegressionSettings, draw, draw_test

from .writing import write

SETTINGS = ["training.label_noise", "training.learning_rate", "network.layer_init_scale"]


def effective_scale(
    scale: float, learning_rate: float, label_noise: float, num_steps: int, num_samples: int
) -> float:
    """Return alpha exp(-2 sigma^2 eta^2 T / (3n)), the scale that label noise leaves of alpha."""
    return scale * exp(-2 * (label_noise * learning_rate) ** 2 * num_steps / (3 * num_samples))


def descent(
    seeds: Sequence[int], scale: float, learning_rate: float, sweep: dict[str, Any]
) -> np.ndarray:
    """Return the final test errors (seeds,) of runs without noise, in float64 by NumPy.

    Args:
        seeds: The seeds.
        scale: The initial scale alpha.
        learning_rate: The rate of the first step, which falls to zero by a line.
        sweep: The sweep file as it stands.
    """
    settings, record = SparseRegressionSettings(**sweep["problem"]), sweep["record"]

    def drawn(seed: Any) -> Any:
        key = partial(purpose_key, seed)
        return draw(settings, key), draw_test(settings, key, record["num_test_samples"])

    with numerics():
        arrays = jax.jit(partial(jax.lax.map, drawn))(jnp.asarray(seeds))
    (targets, inputs), (fresh_targets, fresh_inputs) = jax.tree.map(np.asarray, arrays)
    steps, num_samples = sweep["training"]["num_steps"], settings.num_samples
    u = np.full((len(seeds), 1, settings.measurement_dim), scale)
    v = u.copy()
    for step in range(steps):
        residuals = (u * u - v * v) @ inputs - targets
        gradient = 2 / num_samples * residuals @ inputs.swapaxes(1, 2)
        rate = learning_rate * (1 - step / steps)
        u, v = u - rate * gradient * u, v + rate * gradient * v
    errors = np.linalg.norm((u * u - v * v) @ fresh_inputs - fresh_targets, axis=(1, 2))
    return errors / np.linalg.norm(fresh_targets, axis=(1, 2))


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each noise, rate and scale."""
    finished = runs.assign(num_diverged=runs["status"] == "diverged")
    names = [name for name in runs if name.startswith("final_")]
    finished.loc[finished["num_diverged"], names] = np.nan
    groups = finished.groupby(SETTINGS)
    found = groups.agg(num_runs=("seed", "size"), num_diverged=("num_diverged", "sum"))
    for name in names:
        found[f"{name.removeprefix('final_')}_median"] = groups[name].median()
    for share in (0.25, 0.75):
        found[f"test_error_q{share * 100:.0f}"] = groups["final_test_error"].quantile(share)
    return found.reset_index()


if __name__ == "__main__":
    write(__doc__, lambda results: table(results.runs()), digits=6)
