"""Where low-rank adapters end, when they learn each direction, and how fast they end.

python -m tests.kept.adaptation results/low_rank_adaptation --csv FILE --directions FILE
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import dlnsweep
from dlnsweep.networks.layered.initializers import INITIALIZERS, Shape
from dlnsweep.numerics.lazy import jax
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import keys_of
from dlnsweep.problems.matrix_completion import MatrixApproximationSettings, draw_approximation
from dlnsweep.theory.low_rank import learning_steps, least_loss, slowest, starts

# Where faster curvatures have died out, and the loss above its least value is above rounding. Of
# full rank the least value is 0, and rounding far.
_LATE, _LATE_OF_FULL_RANK = (1e-9, 1e-13), (1e-17, 1e-25)
_FEWEST = 5


def drawn(run: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the residual and the first layer of a run."""
    settings = MatrixApproximationSettings(
        num_rows=run["problem.num_rows"],
        num_columns=run["problem.num_columns"],
        condition_number=run["problem.condition_number"],
    )
    width = run["network.width"]
    dims = settings.num_columns, width, settings.num_rows
    with numerics():
        key = keys_of(jax.numpy.asarray(run["seed"]))
        target = draw_approximation(settings, key).target
        first, _ = INITIALIZERS["zero_last"].draw(Shape(dims, width), key)
    return np.asarray(target), run["network.layer_init_scale"] * np.asarray(first)


def descended(
    target: np.ndarray, first: np.ndarray, rate: float, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return both layers after gradient descent, in NumPy."""
    a, b = first, np.zeros((len(target), len(first)))
    for _ in range(steps):
        error = b @ a - target
        a, b = a - rate * b.T @ error, b - rate * error @ a.T
    return a, b


def half_way(steps: np.ndarray, values: np.ndarray, whole: float) -> float:
    """Return the step at which a singular value passes half of what it ends at.

    Between records ln(p / (s - p)) is a line, as it is of a flow whose layers are balanced.
    """
    after = int(np.argmax(values >= whole / 2))
    beside = values[after - 1 : after + 1]
    return float(np.interp(0, np.log(beside / (whole - beside)), steps[after - 1 : after + 1]))


def late_rate(steps: np.ndarray, above: np.ndarray, high: float, low: float) -> float:
    """Return the rate of -ln(above) a step, by least squares over late records; NaN for few."""
    late = (above < high) & (above > low)
    if late.sum() < _FEWEST:
        return np.nan
    return float(-np.polyfit(steps[late], np.log(above[late]), 1)[0])


def ends(results: dlnsweep.Results) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a row a run, of its end; and a row a direction of the small starts.

    The share of a direction is what the first layer has of it beside those before, of all that it
    has of it.
    """
    of_runs, of_directions = [], []
    curves = dict(iter(results.curves().groupby("run_id")))
    for run in results.runs().to_dict("records"):
        curve = curves[run["run_id"]]
        steps, losses = curve["step"].to_numpy(), curve["loss"].to_numpy()
        learned = np.array(curve["singular_values"].tolist())
        target, first = drawn(run)
        rate, width = run["training.learning_rate"], run["network.width"]
        _, values, right = np.linalg.svd(target, full_matrices=False)
        a, b = descended(target, first, rate, int(steps[-1]))
        least = least_loss(values, width)
        full = width == len(values)
        window = _LATE_OF_FULL_RANK if full and run["network.layer_init_scale"] < 1 else _LATE
        replayed = 0.5 * np.sum((b @ a - target) ** 2)
        derived = -2 * np.log1p(-rate * slowest(a, b, values))
        key = run["seed"], run["network.layer_init_scale"], width
        of_runs.append(
            (*key, least, losses[-1] - least, replayed - losses[-1],
             late_rate(steps, losses - least, *window), derived)
        )  # fmt: skip
        if run["network.layer_init_scale"] < 1:
            for place, start in enumerate(starts(first, right.T)):
                of_directions.append(
                    (run["seed"], width, place + 1, start / np.sum((first @ right[place]) ** 2),
                     half_way(steps, learned[:, place], values[place]),
                     learning_steps(values[place], start, rate))
                )  # fmt: skip
    runs = ["seed", "scale", "width", "least", "above", "replayed", "rate", "derived"]
    directions = ["seed", "width", "direction", "share", "steps", "derived"]
    return pd.DataFrame(of_runs, columns=runs), pd.DataFrame(of_directions, columns=directions)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--directions", type=Path, required=True)
    arguments = parser.parse_args()
    made = ends(dlnsweep.open_results(arguments.results))
    for table, file in zip(made, (arguments.csv, arguments.directions), strict=True):
        table.to_csv(file, index=False, float_format="%.6g")
