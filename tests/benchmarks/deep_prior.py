"""A cell of deep_prior beside a PyTorch loop: k = 200, n = 60, m = 10, d = 500, 50 networks.

    python -m tests.benchmarks.deep_prior

The loop trains one network after another as a user would write it: the full W (k, d), autograd,
SGD, float64. Ours is `train_batch` of a cell in a process on each core at once, as a sweep runs
them, drawing and recording included, compiling left out.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.numerics.runtime import usable_cores
from tests.benchmarks.pinned import Pinned
from tests.benchmarks.tables import Table, machine, verdict
from tests.benchmarks.timing import in_turns

WIDTH, SIGNAL, MEASUREMENTS, INPUT, NETWORKS = 200, 60, 10, 500, 50
OUR_STEPS, LOOP_STEPS, ROUNDS = 25_000, 300, 5
WANTED = 200


def cell(core: int) -> dict[str, Any]:
    """Return the sweep of a cell; each core has other seeds."""
    return {
        "name": "cell",
        "problem": {
            "kind": "deep_prior", "signal_dim": SIGNAL, "measurement_dim": MEASUREMENTS,
        },
        "network": {"width": WIDTH, "input_dim": INPUT},
        "training": {"learning_rate": 0.3, "num_steps": OUR_STEPS},
        "record": {"count": 100, "observables": ["loss", "signal_error"]},
        "sweep": {"seeds": list(range(core * NETWORKS, (core + 1) * NETWORKS))},
    }  # fmt: skip


def ours(processes: Pinned, cores: int) -> float:
    """Return our seconds a network and step, with cells on the first `cores` cores at once."""
    jobs = [{"document": cell(core)} for core in range(cores)]
    longest = max(one["answer"]["training"] for one in processes.call("train", jobs))
    return longest / (cores * NETWORKS * OUR_STEPS)


def loop(threads: int) -> float:
    """Return the seconds of a step of the PyTorch loop."""
    import torch

    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    operator = torch.tensor(rng.standard_normal((MEASUREMENTS, SIGNAL)) / math.sqrt(MEASUREMENTS))
    weights = torch.tensor(rng.choice([-1.0, 1.0], (SIGNAL, WIDTH)))
    u = rng.standard_normal(INPUT)
    u = torch.tensor(u / np.linalg.norm(u))
    y = operator @ torch.tensor(rng.standard_normal(SIGNAL))
    first = torch.nn.Parameter(torch.tensor(rng.standard_normal((WIDTH, INPUT))))
    optimizer = torch.optim.SGD([first], lr=0.3)
    began = time.perf_counter()
    for _ in range(LOOP_STEPS):
        optimizer.zero_grad()
        x = weights @ torch.sigmoid(first @ u) / math.sqrt(WIDTH)
        loss = 0.5 * ((operator @ x - y) ** 2).sum()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - began) / LOOP_STEPS


def main() -> None:
    """Print microseconds a network and step, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, help="write the table to this file, too")
    arguments = parser.parse_args()
    places = usable_cores()
    cores = len(places)
    where = machine()
    print(where, flush=True)
    with Pinned(places) as all_cores, Pinned(places[:1]) as one_core:
        found = in_turns(
            {
                f"ours, {cores} cores": lambda: ours(all_cores, cores),
                "ours, one core": lambda: ours(one_core, 1),
                "loop, one thread": lambda: loop(1),
                f"loop, {cores} threads": lambda: loop(cores),
            },
            ROUNDS,
        )
    table = Table(
        f"k={WIDTH} n={SIGNAL} m={MEASUREMENTS} d={INPUT}, {NETWORKS} networks a cell, float64",
        ["who", "microseconds a network and step", "beside ours"],
    )
    ours_on_all = found[f"ours, {cores} cores"]
    for name, seconds in found.items():
        table.add(name, 1e6 * seconds, seconds / ours_on_all)
    best = min(seconds for name, seconds in found.items() if name.startswith("loop"))
    table.notes.append(f"Best loop / ours on one core: {best / found['ours, one core']:.0f}.")
    table.notes.append(f"Best loop / ours on {cores} cores: {verdict(best / ours_on_all, WANTED)}.")
    print(table.text())
    if arguments.csv:
        table.write_csv(arguments.csv, where)


if __name__ == "__main__":
    main()
