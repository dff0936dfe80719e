"""A small sweep as tables, in place of a results folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

STEPS = np.array([0, 1, 10, 100, 1000])
DECAYS = [0.001, 0.1, 0.01]
DEPTHS = [2, 3]
NUM_SEEDS = 5
NUM_SINGULAR_VALUES = 3
DECAY, DEPTH, INIT = "training.weight_decay", "network.depth", "network.initializer"
DIVERGED = {(0.1, depth, seed): "diverged" for depth in DEPTHS for seed in range(4)}
# What each kind asks for of `of_every_kind`.
KINDS: dict[str, dict[str, Any]] = {
    "curves": {"y": ["regression_error"], "hue": DECAY},
    "final": {"x": DECAY, "y": ["regression_error"], "hue": DEPTH},
    "heatmap": {"x": DECAY, "y": DEPTH, "value": "loss"},
    "spectrum": {"hue": DECAY},
    "scatter": {"x": "regression_error", "y": ["loss"], "hue": DECAY},
    "noise": {"hue": DECAY},
    "boundary": {"x": DEPTH, "hue": INIT},
}


class Tables:
    """What a figure reads of results: a name, the sweep, runs() and curves()."""

    def __init__(self, runs: pd.DataFrame, curves: pd.DataFrame) -> None:
        self.name = "small_sweep"
        self.sweep: Any = {"name": self.name, "source": "arXiv:2502.15522, Figure 4"}
        self.run_table: Any = runs
        self.curve_table: Any = curves

    def runs(self, unused: bool = False) -> Any:
        return self.run_table.copy()

    def curve_batches(self, observables: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the rows in their order, cut anywhere, in batches."""
        kept = self.curve_table[["run_id", "step", *observables]]
        for first in range(0, len(kept), 37):
            yield pa.Table.from_pandas(kept.iloc[first : first + 37], preserve_index=False)

    def values(self, observable: str, **settings: Any) -> np.ndarray:
        """Return (steps, runs) of the finished runs with these settings, by plain loops."""
        columns = []
        for _, run in self.run_table.iterrows():
            if run["status"] != "finished":
                continue
            if any(run[name.replace("__", ".")] != value for name, value in settings.items()):
                continue
            rows = self.curve_table[self.curve_table["run_id"] == run["run_id"]].sort_values("step")
            columns.append(np.stack(rows[observable].tolist()))
        return np.stack(columns, axis=1)


def make_tables(
    status: dict[tuple[float, int, int], str] | None = None, decays: Sequence[float] = DECAYS
) -> Tables:
    """Return a sweep of weight decays, 3 by default, 2 depths and 5 seeds.

    Args:
        status: The status of the runs (weight decay, depth, seed) that are not "finished". A
            diverged run has NaN in its last two rows, a stopped one lacks them.
        decays: The weight decays.
    """
    status = status or {}
    rng = np.random.default_rng(7)
    runs, curves = [], []
    for decay in decays:
        for depth in DEPTHS:
            for seed in range(NUM_SEEDS):
                run_id = int(rng.integers(1 << 60))
                ended = status.get((decay, depth, seed), "finished")
                error = rng.lognormal(size=len(STEPS)) * decay / depth
                spectrum = -np.sort(-rng.lognormal(size=(len(STEPS), NUM_SINGULAR_VALUES)))
                if ended == "diverged":
                    error[-2:] = np.nan
                kept = {"planned": 0, "stopped": 3}.get(ended, len(STEPS))
                runs.append(
                    {
                        "run_id": run_id,
                        "problem.signal_dim": 64,
                        "network.depth": depth,
                        "network.initializer": "balanced" if seed % 2 else "fan_in_normal",
                        "training.learning_rate": 1e-3,
                        "training.weight_decay": decay,
                        "seed": seed,
                        "status": ended,
                        "final_regression_error": error[kept - 1] if kept else np.nan,
                        "final_loss": error[kept - 1] ** 2 if kept else np.nan,
                        "final_singular_values": spectrum[-1] if kept else None,
                    }
                )
                curves.append(
                    pd.DataFrame(
                        {
                            "run_id": run_id,
                            "step": STEPS[:kept],
                            "regression_error": error[:kept],
                            "loss": error[:kept] ** 2,
                            "singular_values": list(spectrum[:kept]),
                        }
                    )
                )
    frame = pd.concat(curves, ignore_index=True)
    return Tables(pd.DataFrame(runs), frame.sample(frac=1, random_state=3))


@cache
def of_every_kind() -> Tables:
    """Return a sweep that has what each kind of figure asks for; some of its runs diverged."""
    made = make_tables(DIVERGED)
    made.sweep["observables"] = ["regression_error", "loss"]
    made.sweep["sweep"] = {
        "shared": {"record.noise_levels": [0.01, 0.1, 1.0]},
        "refine": {"between": DECAY},
        "axes": [[DECAY], [DEPTH], [INIT]],
    }
    rng = np.random.default_rng(0)
    rows = range(len(made.run_table))
    made.run_table["final_noisy_test_errors"] = [rng.lognormal(size=3) for _ in rows]
    return made
