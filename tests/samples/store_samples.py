"""A small sweep as the store sees it: four weight decays, three seeds, two batches of six."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dlnsweep.store import Store, StoredPlan
from dlnsweep.store.records import curves_table, outcomes_table

ENVIRONMENT = {"versions": {"dlnsweep": "0.1.0"}, "device": "cpu"}
STEPS = np.array([0, 1, 10, 100])
RECEIPT: dict[str, Any] = {
    "seconds": 1.5, "run_steps": 600, "run_steps_taken": 540, "device": "cpu",
    "versions": {"jax": "0"},
}  # fmt: skip


def plan(decays: tuple[float, ...] = (0.1, 0.01, 0.0, 0.5), **changes: Any) -> StoredPlan:
    """Return a plan with three seeds for each weight decay."""
    decay = np.repeat(np.array(decays), 3)
    seed = np.tile(np.arange(3), len(decays))
    # Ids depend on the settings alone, and are not sorted.
    run_ids = (7919 * (1 + np.round(decay * 1000).astype(np.int64)) + 104729 * seed) % 1000003
    momentum = np.where(seed == 0, np.nan, 0.9)
    settings = {
        "problem.signal_dim": np.full(len(seed), 8),
        "network.depth": np.full(len(seed), 2),
        "training.optimizer": np.array(["momentum"] * len(seed), dtype=object),
        "training.weight_decay": decay,
        "training.momentum": momentum,
        "record.note": np.array([None] * len(seed), dtype=object),
        "seed": seed,
    }
    fields: dict[str, Any] = {
        "name": "sample",
        "source": "arXiv:2502.15522, Figure 4",
        "precision": "float64",
        "numerics_version": 1,
        "run_ids": run_ids,
        "settings": settings,
        "batch": np.arange(len(seed)) // 6,
        "lane": np.arange(len(seed)) % 6,
        "record": {"network": {"depth": 2}, "training": {"weight_decay": list(decays)}},
        "observables": ("error", "singular_values"),
    }
    return StoredPlan(**(fields | changes))


def some_rows(whole: StoredPlan, rows: np.ndarray) -> StoredPlan:
    """Return some of a plan's runs, in batches of six from number 0."""
    fields = dict(vars(whole))
    fields["run_ids"] = whole.run_ids[rows]
    fields["settings"] = {key: column[rows] for key, column in whole.settings.items()}
    fields["batch"], fields["lane"] = np.arange(len(rows)) // 6, np.arange(len(rows)) % 6
    return StoredPlan(**fields)


def records(run_ids: np.ndarray) -> tuple[pa.Table, pa.Table]:
    """Return curves and outcomes that depend on each run's id alone; some runs diverge."""
    scale = 1.0 + run_ids % 97
    error = scale[:, None] / (1.0 + STEPS)
    vectors = error[:, :, None] * np.array([1.0, 0.5, 0.25])
    diverged = run_ids % 5 == 0
    lanes = len(run_ids)
    curves = curves_table(
        run_ids,
        STEPS,
        {"error": error, "singular_values": vectors},
        np.where(diverged, 2, len(STEPS)),
    )
    outcomes = outcomes_table(
        run_ids,
        status=["diverged" if d else "finished" for d in diverged],
        diverged_step=np.where(diverged, 10, -1),
        last_step=np.where(diverged, 10, 100),
        kernel=["dense"] * lanes,
        kernel_reason=["asked for"] * lanes,
        truncation_error=np.full(lanes, np.nan),
        final={"error": error[:, -1], "singular_values": vectors[:, -1]},
    )
    return curves, outcomes


def commit(store: Store, number: int) -> bool:
    """Commit a batch as a runner would."""
    rows = dict(store.batches())[number]
    return store.commit(number, *records(store.known_run_ids()[rows]), RECEIPT)


def complete(root: Path | str, whole: StoredPlan | None = None) -> Store:
    """Return a store in which every batch is done."""
    store = Store.create(root, whole or plan(), ENVIRONMENT)
    for number, _ in store.batches():
        commit(store, number)
    return store


def data_files(root: Path) -> dict[str, bytes]:
    """Return what must be the same in every run of a sweep: all but receipts and leftovers."""
    names = ["sweep.json", "runs.parquet"]
    paths = [root / name for name in names]
    paths += sorted(root.glob("curves/*")) + sorted(root.glob("outcomes/*"))
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}
