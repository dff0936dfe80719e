"""How many runs of sweeps/stability_limit.toml converge, and how many do not diverge, by cell.

python -m tests.kept.limits results/stability_limit --csv FILE
"""

from __future__ import annotations

from typing import Any

import pandas as pd

import dlnsweep

from .writing import write

RATE, DEPTH = "training.learning_rate", "network.depth"
# As in the sweep file.
BELOW = 1e-10


def cells(results: dlnsweep.Results) -> pd.DataFrame:
    """Return one row a depth and learning rate: its runs, and how many of them do what."""
    runs: Any = results.runs()
    stayed = runs["status"] == "finished"
    runs = runs.assign(runs=1, finished=stayed, converged=stayed & (runs["final_loss"] < BELOW))
    found = runs.groupby([DEPTH, RATE])[["runs", "converged", "finished"]].sum().reset_index()
    return found.astype({"converged": int, "finished": int})


if __name__ == "__main__":
    write(__doc__, cells, 6)
