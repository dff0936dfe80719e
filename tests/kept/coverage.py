"""How often intervals of a refined boundary hold the truth, in simulated sweeps: a kept table.

python -m tests.kept.coverage --csv FILE

Each seed fails above a threshold of its own, and what is asked for is the median of their law: the
interval over the seeds that `dlnsweep transition` has, by bootstrap, of the runs of all rounds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from dlnsweep.analysis.boundary import brackets
from dlnsweep.analysis.transitions import fit_transitions
from dlnsweep.execution.refining import Found, next_round
from dlnsweep.spec.sweep import Sweep

RATE = "training.learning_rate"
REPEATS, SPREAD = 200, 0.2
SEEDS = (20, 100)


def document(seeds: int) -> dict[str, object]:
    """Return a sweep of five rates over four decades, and a boundary known to a percent."""
    return {
        "name": "coverage",
        "problem": {
            "kind": "subspace", "signal_dim": 6, "measurement_dim": 4, "subspace_dim": 2,
            "num_samples": 12,
        },
        "network": {"depth": 2, "width": 8},
        "training": {
            "learning_rate": {"from": 1e-2, "to": 100, "count": 5, "spacing": "log"},
            "num_steps": 10,
        },
        "record": {"count": 2, "observables": ["regression_error"]},
        "sweep": {"seeds": seeds, "refine": {"between": RATE}},
    }  # fmt: skip


def simulated(seeds: int, repeats: int) -> tuple[int, int, int]:
    """Return how often the interval held the truth and the bracket its own, and the most values.

    Args:
        seeds: Of each sweep.
        repeats: How many sweeps.
    """
    base, generator, covered = Sweep.from_dict(document(seeds)), np.random.default_rng(0), 0
    most = right = 0
    for _ in range(repeats):
        median = 10 ** generator.uniform(-1, 0)
        thresholds = median * np.exp(SPREAD * generator.normal(size=seeds))
        sweep: Sweep | None = base
        shares: dict[float, float] = {}
        while sweep is not None:
            shares = {float(v): float(np.mean(v < thresholds)) for v in sweep.values[RATE]}
            sweep = next_round(sweep, Found((), {(): shares}))
        runs = [
            {RATE: value, "seed": seed, "status": "finished", "succeeded": bool(value < threshold)}
            for value in shares
            for seed, threshold in enumerate(thresholds)
        ]
        row = fit_transitions(pd.DataFrame(runs), RATE, []).table.iloc[0]
        covered += bool(row["low"] <= median <= row["high"])
        # The bracket is about these seeds: a value below so many of their thresholds, or not.
        (bracket,) = brackets(shares)
        middle = np.sort(thresholds)[seeds // 2]
        right += bool(bracket.low < middle <= bracket.high and bracket.width() <= 0.01)
        most = max(most, len(shares))
    return covered, right, most


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    rows = [(seeds, REPEATS, *simulated(seeds, REPEATS)) for seeds in SEEDS]
    names = ["seeds", "repeats", "covered", "brackets_right", "most_values"]
    pd.DataFrame(rows, columns=names).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
