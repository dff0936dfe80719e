"""The late rates of neural collapse, a row a run.

    python -m tests.kept.collapse results/neural_collapse --csv FILE

Rates are -d ln(value)/dt over the last sixth of the steps, in units of eta lambda.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .writing import write

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


if __name__ == "__main__":
    write(__doc__, lambda results: table(results.curves()), digits=8)
