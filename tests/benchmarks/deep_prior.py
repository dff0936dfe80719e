"""A cell of deep_prior beside a PyTorch loop: k = 200, n = 60, m = 10, d = 500, 50 networks.

    python -m tests.benchmarks.deep_prior

The loop trains one network after another as a user would write it: the full W (k, d), autograd,
SGD, float64. Ours is `train_batch`, drawing and recording included, compiling left out; one process
(a sweep runs one on each core, so with two cores twice as many run-steps a second).
"""

from __future__ import annotations

import math
import os
import time

import numpy as np

from dlnsweep.batch import train_batch
from dlnsweep.plan import make_plan
from dlnsweep.spec import Sweep
from tests.benchmarks.timing import in_turns

WIDTH, SIGNAL, MEASUREMENTS, INPUT, NETWORKS = 200, 60, 10, 500, 50
OUR_STEPS, LOOP_STEPS, ROUNDS = 25_000, 300, 5
WANTED = 200


def ours() -> float:
    """Return our seconds a network and step."""
    document = {
        "name": "cell",
        "problem": {
            "kind": "deep_prior", "signal_dim": SIGNAL, "measurement_dim": MEASUREMENTS,
        },
        "network": {"width": WIDTH, "input_dim": INPUT},
        "training": {"learning_rate": 0.3, "num_steps": OUR_STEPS},
        "record": {"count": 100, "observables": ["loss", "signal_error"]},
        "sweep": {"seeds": NETWORKS},
    }  # fmt: skip
    plan = make_plan(Sweep.from_dict(document))
    trained = train_batch(plan.settings, plan.shared, WIDTH)
    return trained.seconds / (NETWORKS * OUR_STEPS)


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
    cores = len(os.sched_getaffinity(0))
    found = in_turns(
        {"ours": ours, "loop, one thread": lambda: loop(1), "loop": lambda: loop(cores)}, ROUNDS
    )
    print(f"k={WIDTH} n={SIGNAL} m={MEASUREMENTS} d={INPUT}, {NETWORKS} networks, {cores} cores")
    for name, seconds in found.items():
        print(f"{name:18s} {1e6 * seconds:10.2f} us a network and step")
    best = min(found["loop"], found["loop, one thread"])
    one = best / found["ours"]
    print(f"ratio, one process {one:10.0f}")
    print(f"ratio, a process a core, the loop one at a time {one * cores:10.0f} (wanted {WANTED})")


if __name__ == "__main__":
    main()
