"""What other weight decays make of trained networks, beside what is derived, as a table.

python -m tests.kept.warm_start results/warm_start results/balance --csv FILE
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import dlnsweep

KEY = "training.weight_decay"


def imbalance(weights: dict[str, np.ndarray]) -> float:
    """Return ||W_2^T W_2 - W_1 W_1^T||_F."""
    first, second = weights.values()
    return float(np.linalg.norm(second.T @ second - first @ first.T))


def measured(results: dlnsweep.Results, before: dlnsweep.Results) -> pd.DataFrame:
    """Return what became of each run's weights, relative to those that it began with."""
    curves = results.curves()
    rows = []
    for run in results.runs().to_dict("records"):
        own = pd.DataFrame(curves[curves["run_id"] == run["run_id"]]).sort_values("step")
        steps = np.asarray(own["step"])
        keep = 1 - run["training.learning_rate"] * run[KEY]
        off = np.asarray(own["first_layer_off_range"])
        weights = results.weights(int(run["run_id"]))
        begun = before.weights(int(run["starts_from"]), int(run["starts_from_step"]))
        share = imbalance(weights) / imbalance(begun)
        ends = {
            f"{name}_{when}": float(own[name].iloc[place])
            for name in ("off_subspace_error", "regression_error")
            for when, place in (("first", 0), ("last", -1))
        }
        rows.append(
            {
                KEY: run[KEY],
                "layer": off[-1] / off[0],
                "layer_derived": keep ** steps[-1],
                "layer_deviation": np.abs(off / (off[0] * keep**steps) - 1).max(),
                "imbalance": share,
                "imbalance_derived": keep ** (2 * steps[-1]),
                "imbalance_deviation": abs(share / keep ** (2 * steps[-1]) - 1),
                **ends,
            }
        )
    return pd.DataFrame(rows)


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return medians over the seeds for each weight decay, of deviations the largest."""
    how = {name: "max" if name.endswith("deviation") else "median" for name in runs.columns[1:]}
    return runs.groupby(KEY).agg(how).reset_index()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results")
    parser.add_argument("before")
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    both = (dlnsweep.open_results(each) for each in (arguments.results, arguments.before))
    table(measured(*both)).to_csv(arguments.csv, index=False, float_format="%.6g")
