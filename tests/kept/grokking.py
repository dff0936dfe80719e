"""When runs of sweeps/grokking.toml fit the training samples, and when the others, a row a run.

python -m tests.kept.grokking results/grokking --csv FILE
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from .writing import write

# The first record with this training accuracy, and with this test accuracy.
FITTED, GROKKED = 0.99, 0.5


def table(curves: pd.DataFrame) -> pd.DataFrame:
    """Return a row a run."""
    found = []
    for _, records in curves.groupby("run_id"):
        rows: Any = records.sort_values("step")
        fitted = rows[rows["accuracy"] >= FITTED].iloc[0]
        reached = rows[rows["test_accuracy"] >= GROKKED]
        end = rows.iloc[-1]
        eta, decay = end["training.learning_rate"], end["training.weight_decay"]
        late = reached.iloc[0] if len(reached) else None
        found.append(
            {
                "layer_init_scale": end["network.layer_init_scale"],
                "weight_decay": decay,
                "learning_rate": eta,
                "seed": end["seed"],
                "fitted_step": f"{fitted['step']:.0f}",
                "test_accuracy_then": fitted["test_accuracy"],
                "grokked_step": "" if late is None else f"{late['step']:.0f}",
                # In units of the time in which decay alone shrinks weights by e.
                "grokked_time": "" if late is None else f"{late['step'] * eta * decay:.6g}",
                "first_norm": rows.iloc[0]["parameter_norm"],
                "norm_then": "" if late is None else f"{late['parameter_norm']:.6g}",
                "final_test_accuracy": end["test_accuracy"],
            }
        )
    keys = ["layer_init_scale", "weight_decay", "seed"]
    return pd.DataFrame(found).sort_values(keys, ignore_index=True)


if __name__ == "__main__":
    write(__doc__, lambda results: table(results.curves()), digits=6)
