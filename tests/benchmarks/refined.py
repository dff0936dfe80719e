"""Processor time of planning the rounds of [sweep.refine] in a sweep of 100 000 runs: a kept table.

    python -m tests.benchmarks.refined [--csv FILE]

The rounds are the real ones, on a results folder that is written through the real store; which runs
end well is a threshold of each combination, so nothing is trained. A round is planned by a look at
the ends of all runs before it, and by preparing the sweep that follows: its plan, and the folder.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.execution.preparing import prepare
from dlnsweep.execution.rounds.refining import look
from dlnsweep.results import open_results
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store
from dlnsweep.store.records import curves_table, integers, outcomes_table
from tests.benchmarks.tables import Table, machine

DEPTHS, DECAYS, SEEDS, FIRST, ROUNDS = 10, 25, 20, 5, 5
RATE, DECAY, DEPTH = "training.learning_rate", "training.weight_decay", "network.depth"


def document() -> dict[str, Any]:
    """Return a sweep whose rounds end with 100 000 runs."""
    return {
        "name": "refined",
        "problem": {
            "kind": "subspace", "signal_dim": 8, "measurement_dim": 4, "subspace_dim": 2,
            "num_samples": 16,
        },
        "network": {"depth": list(range(2, 2 + DEPTHS)), "width": 16},
        "training": {
            "learning_rate": {"from": 1e-3, "to": 10, "count": FIRST, "spacing": "log"},
            "weight_decay": {"from": 1e-6, "to": 1e-1, "count": DECAYS, "spacing": "log"},
            "num_steps": 1000,
        },
        "record": {"count": 2, "observables": ["regression_error"]},
        "sweep": {
            "seeds": SEEDS, "kernel": "dense",
            "refine": {"between": RATE, "max_rounds": ROUNDS, "tolerance": 1e-6},
        },
    }  # fmt: skip


def end(store: Store) -> None:
    """Commit ends of all runs that have none: above their combination's threshold they diverge."""
    done = store.done()
    for number, _ in store.batches():
        if number in done:
            continue
        runs = store.runs_of_batch(number)
        ids = integers(runs["run_id"])
        rate, decay, depth = (runs[key].to_numpy() for key in (RATE, DECAY, DEPTH))
        diverged = rate > 0.3 / depth * (1 + np.log10(decay) / 20)
        steps = np.array([0, 1000])
        values = {"regression_error": np.ones((len(ids), 2))}
        store.commit(
            number,
            curves_table(ids, steps, values, np.full(len(ids), 2)),
            outcomes_table(
                ids,
                status=["diverged" if each else "finished" for each in diverged],
                diverged_step=np.where(diverged, 1000, -1),
                last_step=np.full(len(ids), 1000),
                kernel=["dense"] * len(ids),
                kernel_reason=["asked for"] * len(ids),
                truncation_error=np.full(len(ids), np.nan),
                final={name: each[:, -1] for name, each in values.items()},
            ),
            {"seconds": 1.0},
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, help="also put the rows into this file")
    arguments = parser.parse_args()
    table, where = Table("Rounds", ["round", "runs", "new_runs", "look", "prepare"]), machine()
    with tempfile.TemporaryDirectory(prefix="refined-") as home:
        root, sweep = Path(home) / "refined", Sweep.from_dict(document())
        prepared = prepare(sweep, root)
        for number in range(1, ROUNDS + 1):
            end(prepared.store)
            began = time.process_time()
            found = look(sweep, open_results(root), number, prepared.run_ids)
            looked = time.process_time()
            assert found.following is not None
            before, sweep = sweep.num_runs, found.following
            prepared = prepare(sweep, root)
            planned = time.process_time()
            new = sweep.num_runs - before
            table.add(number, sweep.num_runs, new, looked - began, planned - looked)
            print(table.rows[-1], flush=True)
    print(table.text())
    if arguments.csv:
        table.write_csv(arguments.csv, where)


if __name__ == "__main__":
    main()
