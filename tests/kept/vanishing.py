"""Where runs of vanishing weight decay end, by depth and decay, as a table.

python -m tests.kept.vanishing results/vanishing_decay --csv FILE
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

import dlnsweep

DEPTH, DECAY = "network.depth", "training.weight_decay"


def ends(runs: pd.DataFrame) -> pd.DataFrame:
    """Return medians over the seeds, and how far single runs are from those of the least decay.

    `ratio` is the regression error over the decay. The columns of deviations have the largest one
    over the seeds, relative to the same seed's value at the least decay.
    """
    runs = runs.assign(
        ratio=runs["final_regression_error"] / runs[DECAY],
        off=runs["final_off_subspace_error"],
        steps_taken=_count(runs, r"([\d,]+) steps taken"),
        jumps=_count(runs, r"in ([\d,]+) jumps"),
    )
    runs = runs.sort_values(DECAY)
    for name in ("ratio", "off"):
        base = runs.groupby([DEPTH, "seed"])[name].transform("first")
        runs[f"{name}_deviation"] = abs(runs[name] / base - 1)
    medians = ("training.num_steps", "ratio", "off", "steps_taken", "jumps")
    largest = ("ratio_deviation", "off_deviation", "truncation_error")
    chosen = dict.fromkeys(medians, "median") | dict.fromkeys(largest, "max")
    return runs.groupby([DEPTH, DECAY]).agg(chosen).reset_index()


def _count(runs: pd.DataFrame, pattern: str) -> pd.Series:
    return runs["kernel_reason"].str.extract(pattern)[0].str.replace(",", "").astype(float)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results")
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    table = ends(dlnsweep.open_results(arguments.results).runs())
    table.to_csv(arguments.csv, index=False, float_format="%.8g")
