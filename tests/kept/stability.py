"""Sharpness beside its thresholds, as tables to keep.

python -m tests.kept.stability edge results/edge_of_stability --csv FILE
python -m tests.kept.stability minima results/flat_minima --csv FILE
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

import dlnsweep
from dlnsweep.figures.statistics import as_array, column_of
from dlnsweep.theory.sharpness import stability_threshold

# A run has arrived at the edge at the first record this close below the threshold.
NEAR = 0.9
# A run that ends below is at a minimiser, up to an error of 1e-6 in its output.
ARRIVED = 1e-12


def _groups(frame: pd.DataFrame, keys: list[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    for values, rows in frame.groupby(keys):
        yield dict(zip(keys, cast("tuple[Any, ...]", values), strict=True)), rows


def _column(frame: pd.DataFrame, name: str) -> np.ndarray:
    return as_array(column_of(frame, name))


def edge(curves: pd.DataFrame, runs: pd.DataFrame, settings: list[str]) -> pd.DataFrame:
    """Return, for each run, when it arrives at the edge, and where it is in the last third."""
    columns = ["run_id", "training.optimizer", "training.learning_rate"]
    momenta = runs.get("training.momentum", pd.Series(0.0, runs.index))
    numbers = runs[columns].assign(momentum=momenta).set_index("run_id")
    found = []
    for keys, records in _groups(curves, [*settings, "seed"]):
        own = numbers.loc[records["run_id"].iloc[0]]
        heavy = own["training.optimizer"] == "momentum"
        rate, momentum = own["training.learning_rate"], own["momentum"] if heavy else 0.0
        threshold = stability_threshold(rate, momentum)
        step, loss = _column(records, "step"), _column(records, "loss")
        ratio = _column(records, "sharpness") / threshold
        near, late = step[ratio >= NEAR], ratio[step >= 2 / 3 * step[-1]]
        found.append(
            {
                **keys,
                "threshold": threshold,
                "first_ratio": ratio[0],
                "largest_ratio": ratio.max(),
                "arrived": f"{near[0]:.0f}" if len(near) else "",
                "least_late": late.min(),
                "largest_late": late.max(),
                "rises": int((np.diff(loss) > 0).sum()),
                "records": len(loss) - 1,
                "first_loss": loss[0],
                "final_loss": loss[-1],
            }
        )
    return pd.DataFrame(found)


def minima(curves: pd.DataFrame, runs: pd.DataFrame, settings: list[str]) -> pd.DataFrame:
    """Return, for each setting, how many runs end at a minimiser, and how sharp those are.

    Beside them (`left`) the ends of all runs that have not diverged.
    """
    status = runs.set_index("run_id")["status"]
    found = []
    for keys, records in _groups(curves, settings):
        last: Any = records[records["step"] == records["step"].max()]
        diverged = (status.loc[records["run_id"].unique()] == "diverged").sum()
        at = _column(last, "sharpness")[_column(last, "loss") < ARRIVED]
        ends = (at.min(), np.median(at), at.max()) if len(at) else (np.nan,) * 3
        left: Any = last[(last["run_id"].map(status) != "diverged").to_numpy()]
        sharp, loss = _column(left, "sharpness"), _column(left, "loss")
        found.append(
            {
                **keys,
                "threshold": stability_threshold(keys["training.learning_rate"]),
                "num_runs": records["run_id"].nunique(),
                "num_arrived": len(at),
                "num_diverged": int(diverged),
                **dict(zip(("least", "median", "largest"), ends, strict=True)),
                "least_left": sharp.min(),
                "largest_left": sharp.max(),
                "least_loss": loss.min(),
                "largest_loss": loss.max(),
            }
        )
    return pd.DataFrame(found)


def main() -> None:
    """Write the table that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=["edge", "minima"])
    parser.add_argument("results", type=Path)
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    results = dlnsweep.open_results(str(arguments.results))
    curves = results.curves()
    settings = [n for n in curves if "." in n and n != "training.num_steps"]
    made = {"edge": edge, "minima": minima}[arguments.table]
    found = made(curves, results.runs(), settings)
    found.to_csv(arguments.csv, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
