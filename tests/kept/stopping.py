"""Where runs of sweeps/early_stopping.toml are best, and what patience makes of them, by cell.

python -m tests.kept.stopping results/early_stopping results/patience --csv FILE
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

import dlnsweep

SCALE, NOISE = "network.layer_init_scale", "problem.noise"
CHOSEN = "test_error"
SHOWN = (CHOSEN, "regression_error", "effective_sparsity")


def best(results: dlnsweep.Results) -> pd.DataFrame:
    """Return one row a run: its record of the least error on fresh samples, and its last one."""
    curves: Any = results.curves().merge(results.runs()[["run_id", SCALE, NOISE, "seed"]])
    curves = curves.sort_values(["run_id", "step"])
    key = [SCALE, NOISE, "seed"]
    columns = ["step", *SHOWN]
    first = curves.loc[curves.groupby("run_id")[CHOSEN].idxmin(), [*key, *columns]]
    last = curves.groupby("run_id").tail(1)[[*key, *columns]]
    return first.set_index(key).join(last.set_index(key).add_suffix("_last"))


def table(whole: dlnsweep.Results, stopped: dlnsweep.Results) -> pd.DataFrame:
    """Return medians over the seeds, and of how many runs the stopped one has the same record."""
    found, ended = best(whole), best(stopped)
    ended = ended.loc[found.index]
    found["step_stopped"] = ended["step_last"]
    found["same"] = (ended[list(SHOWN)] == found[list(SHOWN)]).all(axis=1)
    found["share"] = found["step_stopped"] / found["step_last"]
    found["excess"] = ended[CHOSEN] / found[CHOSEN] - 1
    groups = found.groupby([SCALE, NOISE])
    medians = groups.median(numeric_only=True).drop(columns=["same", "share", "excess"])
    counts = groups.agg(
        runs=("same", "size"), same=("same", "sum"), most_excess=("excess", "max"),
        mean_share=("share", "mean"),
    )  # fmt: skip
    return counts.join(medians).reset_index()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results")
    parser.add_argument("stopped")
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    both = (dlnsweep.open_results(each) for each in (arguments.results, arguments.stopped))
    table(*both).to_csv(arguments.csv, index=False, float_format="%.6g")
