"""How balanced two layers are at the end of two sweeps, from their kept weights, as a table.

python -m tests.kept.balance results/balance results/balance_longer --csv FILE
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import dlnsweep

KEY = "training.weight_decay"


def imbalances(results: dlnsweep.Results) -> pd.DataFrame:
    """Return ||W_2^T W_2 - W_1 W_1^T||_F of the kept weights of each run, beside its settings."""
    runs = results.runs()
    found = []
    for run in runs["run_id"]:
        first, second = results.weights(int(run)).values()
        found.append(float(np.linalg.norm(second.T @ second - first @ first.T)))
    columns = ["seed", KEY, "training.learning_rate", "last_step", "final_unbalancedness"]
    return runs[columns].assign(imbalance=found)


def ratios(short: pd.DataFrame, long: pd.DataFrame) -> pd.DataFrame:
    """Return for each weight decay what the ratio of the two is, and what it should be."""
    both = short.merge(long, on=["seed", KEY, "training.learning_rate"], suffixes=("", "_longer"))
    rate = 1 - both["training.learning_rate"] * both[KEY]
    steps = both["last_step_longer"] - both["last_step"]
    both = both.assign(
        ratio=both["imbalance_longer"] / both["imbalance"],
        predicted=rate ** (2 * steps),
        recorded=abs(both["imbalance_longer"] / both["final_unbalancedness_longer"] - 1),
    )
    grouped = both.groupby(KEY)
    return pd.DataFrame(
        {
            "imbalance": grouped["imbalance"].median(),
            "imbalance_longer": grouped["imbalance_longer"].median(),
            "ratio": grouped["ratio"].median(),
            "predicted": grouped["predicted"].median(),
            "largest_deviation": (abs(both["ratio"] / both["predicted"] - 1))
            .groupby(both[KEY])
            .max(),
            "recorded_deviation": grouped["recorded"].max(),
        }
    ).reset_index()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", nargs=2)
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    tables = [imbalances(dlnsweep.open_results(each)) for each in arguments.results]
    ratios(*tables).to_csv(arguments.csv, index=False, float_format="%.6g")
