"""The late rates of neural collapse, a row a run.

    python -m tests.kept.collapse results/neural_collapse --csv FILE

Rates are -d ln(value)/dt over the last sixth of the steps, in units of eta lambda.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import dlnsweep

NAMES = ("nc1", "nc2", "nc3")


def table(curves: pd.DataFrame) -> pd.DataFrame:
    """Return a row a run."""
    last = curves["step"].max()
    found = []
    for _, records in curves.groupby("run_id"):
        rows: Any = records[records["step"] >= last * 5 / 6]
        first, end = rows.iloc[0], rows.iloc[-1]
        decay, rate = end["training.weight_decay"], end["training.learning_rate"]
        unit = decay * rate * (end["step"] - first["step"])
        found.append(
            {
                "training.loss": end["training.loss"],
                "weight_decay": decay,
                "seed": end["seed"],
                **{f"{n}_rate": np.log(first[n] / end[n]) / unit for n in NAMES},
                **{f"{n}_end": end[n] for n in NAMES},
            }
        )
    keys = ["training.loss", "weight_decay", "seed"]
    return pd.DataFrame(found).sort_values(keys, ignore_index=True)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    curves = dlnsweep.open_results(str(arguments.results)).curves()
    table(curves).to_csv(arguments.csv, index=False, float_format="%.8g")


if __name__ == "__main__":
    main()
