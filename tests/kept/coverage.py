"""How often the interval of `dlnsweep transition` holds the truth, simulated: a kept table.

python -m tests.kept.coverage --csv FILE

Each seed fails above a threshold of its own, and what is asked for is the median of their law, of
the runs of all rounds of [sweep.refine]; or, on a grid, each run fails by a chance of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dlnsweep.analysis.boundary import brackets
from dlnsweep.analysis.transitions import fit_transitions
from dlnsweep.execution.rounds.refining import Found
from dlnsweep.settings.refine import Refine

RATE = "training.learning_rate"
REPEATS = 1000
ASKED = Refine.model_validate({"between": RATE})
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Passed = np.ndarray[Any, np.dtype[np.bool_]]

# Logarithms of the thresholds over their spread: laws with median zero.
LAWS: dict[str, Callable[[np.random.Generator, int], Numbers]] = {
    "normal": lambda rng, count: rng.normal(size=count),
    "skewed up": lambda rng, count: rng.exponential(size=count) - np.log(2),
    "skewed down": lambda rng, count: np.log(2) - rng.exponential(size=count),
    "two kinds": lambda rng, count: rng.choice([-1, 1], count) + 0.3 * rng.normal(size=count),
}
CHANCE = "a grid, by chance"
SETTINGS = [
    *(("normal", 0.2, seeds) for seeds in (10, 20, 100)),
    *(("normal", spread, 20) for spread in (0.05, 0.8)),
    *((law, 0.2, seeds) for law in list(LAWS)[1:] for seeds in (20, 100)),
    *((CHANCE, 0.2, seeds) for seeds in (20, 100)),
]


def outcomes_in_rounds(median: float, offsets: Numbers) -> tuple[dict[float, Passed], Numbers]:
    """Return which seeds succeed at each value of all rounds, and their thresholds.

    The file has five rates over four decades, and a boundary is known to a percent.
    """
    thresholds = median * np.exp(offsets)
    passed: dict[float, Passed] = {}
    more = [(float(value),) for value in np.logspace(-2, 2, 5)]
    while more:
        passed |= {value: value < thresholds for (value,) in more}
        shares = {value: float(own.mean()) for value, own in passed.items()}
        more = Found((), {(): shares}).untried(ASKED)
    return dict(sorted(passed.items())), thresholds


def outcomes_on_a_grid(
    rng: np.random.Generator, median: float, spread: float, seeds: int
) -> dict[float, Passed]:
    """Return which runs succeed at 25 values over four decades, each by its own chance."""
    values = np.logspace(-2, 2, 25)
    chances = 1 / (1 + (values / median) ** (1 / spread))
    return {float(v): rng.random(seeds) < p for v, p in zip(values, chances, strict=True)}


def simulated(law: str, spread: float, seeds: int, repeats: int) -> tuple[int, float, int, float]:
    """Return how often the interval held the truth and the bracket its own, and the most values.

    Args:
        law: Of the thresholds.
        spread: Of their logarithms.
        seeds: Of each sweep.
        repeats: How many sweeps.

    Returns:
        With them the median over the repeats of the interval's upper end over its lower one.
    """
    rng, covered = np.random.default_rng(0), 0
    most = right = 0
    ratios = []
    for _ in range(repeats):
        median = 10 ** rng.uniform(-1, 0)
        if law == CHANCE:
            found = outcomes_on_a_grid(rng, median, spread, seeds)
        else:
            offsets = spread * LAWS[law](rng, seeds)
            found, thresholds = outcomes_in_rounds(median, offsets)
            # The bracket is about these seeds: a value below so many of their thresholds, or not.
            (bracket,) = brackets({value: float(own.mean()) for value, own in found.items()})
            middle = np.sort(thresholds)[seeds // 2]
            right += bool(bracket.low < middle <= bracket.high and bracket.width() <= 0.01)
        runs = pd.DataFrame(
            {
                RATE: np.repeat([*found], seeds),
                "seed": np.tile(np.arange(seeds), len(found)),
                "status": "finished",
                "succeeded": np.concatenate([*found.values()]),
            }
        )
        row = fit_transitions(runs, RATE, []).table.iloc[0]
        covered += bool(row["low"] <= median <= row["high"])
        ratios.append(row["high"] / row["low"] if row["low"] else np.inf)
        most = max(most, len(found))
    right_of = np.nan if law == CHANCE else right
    return covered, right_of, most, float(np.median(ratios))


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    rows = [(*each, REPEATS, *simulated(*each, REPEATS)) for each in SETTINGS]
    names = [
        "law", "spread", "seeds", "repeats", "covered", "brackets_right", "most_values",
        "median_ratio",
    ]  # fmt: skip
    pd.DataFrame(rows, columns=pd.Index(names)).round(4).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
