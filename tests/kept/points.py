"""The points of sweeps/random_points.toml, and which of them converge, as a table to keep.

python -m tests.kept.points results/random_points --csv FILE
"""

from __future__ import annotations

import pandas as pd

import dlnsweep

from .limits import BELOW, DEPTH, RATE
from .writing import write


def points(results: dlnsweep.Results) -> pd.DataFrame:
    """Return one row a point: depth, learning rate, whether it stays bounded, and converges."""
    runs = results.runs()
    stayed = runs["status"] == "finished"
    converged = stayed & (runs["final_loss"] < BELOW)
    columns = {"depth": runs[DEPTH], "learning_rate": runs[RATE]}
    found = pd.DataFrame({**columns, "finished": stayed, "converged": converged}).astype(
        {"finished": int, "converged": int}
    )
    return found.sort_values(["depth", "learning_rate"], kind="stable")


if __name__ == "__main__":
    write(__doc__, points, 6)
