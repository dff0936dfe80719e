"""Every run's values at a few steps, as a table to keep.

    python -m tests.kept.runs RESULTS --at 100 --at 1000 --csv FILE

A step that was not recorded stands for the recorded one that is nearest. By default the last.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import dlnsweep
from dlnsweep.figures.statistics import setting_columns


def values_at(curves: pd.DataFrame, steps: Sequence[int]) -> pd.DataFrame:
    """Return each run's rows at the recorded steps that are nearest to these; [] for its last."""

    def chosen(of_run: pd.DataFrame) -> pd.DataFrame:
        recorded = of_run["step"].to_numpy()
        if not len(steps):
            return of_run.iloc[[-1]]
        near = {int(np.abs(recorded - step).argmin()) for step in steps}
        return of_run.iloc[sorted(near)]

    return pd.concat([chosen(of_run) for _, of_run in curves.groupby("run_id", sort=False)])


def main() -> None:
    """Write a row for each run and step: the settings that vary, the seed, the observables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--at", type=int, action="append", default=[], metavar="STEP")
    parser.add_argument("--of", action="append", metavar="OBSERVABLE", help="default: all")
    parser.add_argument("--where", action="append", default=[], metavar="SETTING=NUMBER")
    parser.add_argument("--without", action="append", default=[], metavar="SETTING")
    parser.add_argument("--digits", type=int, default=6)
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    results = dlnsweep.open_results(str(arguments.results))
    where = {n: float(x) for n, _, x in (only.partition("=") for only in arguments.where)}
    curves = results.curves(arguments.of, where or None, vectors="columns")
    found = values_at(curves, arguments.at)
    settings = setting_columns(found)
    keys = [name for name in settings if name != "seed"] + ["seed", "step"]
    others = [name for name in found if name not in (*keys, "run_id")]
    found = found.sort_values(keys)[keys + others].drop(columns=arguments.without)
    found.to_csv(arguments.csv, index=False, float_format=f"%.{arguments.digits}g")


if __name__ == "__main__":
    main()
