"""Jumps of reduced runs beside steps: `python -m tests.benchmarks.reduced_jumps [--csv FILE]`.

Random sweeps of deep linear networks, each trained by the reduced kernel as it does and once more
step by step in the same bases: how far apart their records are, beside what outcomes say of jumps.
With `--momentum` they take heavy ball's and Nesterov's steps by turns.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from dlnsweep.engine import batch
from dlnsweep.engine.deviations import deviations_of
from dlnsweep.plan.plan import make_plan
from dlnsweep.reduced.jumping.pacing import SHARE
from dlnsweep.spec.sweep import Sweep
from tests.benchmarks.tables import Table, machine

_JUMPS = re.compile(r"([\d,]+) steps taken, ([\d,]+) in ([\d,]+) jumps")
_RATES, _DECAYS, _SEEDS = 2, 6, 2
# Of these and all later sweeps records are close together, and parts of the residual are slow.
_FIRST_CLOSE = 3
# Of these and all later ones networks are deeper and wider, and parts of the residual alternate at
# first: a step takes away about so much of the steepest, of 2 where it is unstable.
_FIRST_STEEP = 40
_STEEP = 0.6, 2.0


def drawn(number: int, *, momentum: bool) -> dict[str, Any]:
    """Return a random sweep: one program, with rates and decays of its own for each run."""
    sweep = _plain(number)
    if momentum:
        less = np.exp(np.random.default_rng([29, number]).uniform(*np.log([0.02, 0.5])))
        name = ("momentum", "nesterov")[number % 2]
        sweep["training"] |= {"optimizer": name, "momentum": 1 - float(less)}
    return sweep


def _plain(number: int) -> dict[str, Any]:
    rng = np.random.default_rng([19, number])

    def log(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    signal = int(rng.integers(6, 16))
    measurements = int(rng.integers(4, signal + 1))
    steps = int(log(2e5, 3e5))
    sweep: dict[str, Any] = {
        "name": "reduced_jumps",
        "problem": {
            "kind": "subspace",
            "signal_dim": signal,
            "measurement_dim": measurements,
            "subspace_dim": int(rng.integers(1, min(4, measurements) + 1)),
            "num_samples": 40,
            "condition_number": log(1, 5),
        },
        "network": {"kind": "deep_linear", "depth": 2 + number % 4, "width": int(log(30, 80))},
        "training": {
            "optimizer": "gradient_descent",
            "learning_rate": sorted(log(0.01, 0.1) for _ in range(_RATES)),
            # Some stay far from their end, and some decay long after it.
            "weight_decay": [0.0, *sorted(log(1e-5, 2e-3) for _ in range(_DECAYS - 1))],
            "data_fit_scale": log(0.1, 0.6),
            "num_steps": steps,
        },
        "record": {
            "count": int(rng.integers(10, 60)),
            "observables": ["regression_error", "off_subspace_error", "weight_norms"],
        },
        "sweep": {
            "seeds": _SEEDS,
            "tolerance": log(1e-6, 1e-3),
            "kernel": "reduced",
        },
    }
    if number >= _FIRST_CLOSE:
        sweep["problem"]["condition_number"] = log(20, 80)
        sweep["training"] |= {"num_steps": 3 * steps, "weight_decay": [0.0, log(1e-7, 1e-5)]}
        sweep["record"] |= {"spacing": "linear", "count": int(rng.integers(100, 600))}
        sweep["sweep"]["tolerance"] = log(1e-4, 1e-3)
    if number >= _FIRST_STEEP:
        return _steep(sweep, number, rng)
    return sweep


def _steep(sweep: dict[str, Any], number: int, rng: np.random.Generator) -> dict[str, Any]:
    depth, width = 4 + number % 3, int(np.exp(rng.uniform(np.log(100), np.log(1000))))
    problem, training = sweep["problem"], sweep["training"]
    problem["condition_number"] = float(rng.uniform(1, 3))
    # The curvature at the start is about 1 + (L - 1) d_w / m times c.
    curvature = 1 + (depth - 1) * width / problem["measurement_dim"]
    training["learning_rate"] = sorted(float(x) for x in rng.uniform(0.02, 0.1, _RATES))
    largest = training["learning_rate"][-1]
    training["data_fit_scale"] = float(rng.uniform(*_STEEP)) / largest / curvature
    training["num_steps"] = steps = training["num_steps"] // 3
    # From what hardly decays in the whole run to what has long decayed.
    folds = np.exp(rng.uniform(np.log(0.1), np.log(30), 2))
    training["weight_decay"] = [0.0, *sorted(float(x) / steps / largest for x in folds)]
    sweep["network"] |= {"depth": depth, "width": width}
    sweep["record"] = {
        "count": int(rng.integers(20, 200)),
        "spacing": str(rng.choice(["log", "log", "linear"])),
        "observables": sweep["record"]["observables"],
    }
    sweep["sweep"]["tolerance"] = float(np.exp(rng.uniform(np.log(1e-6), np.log(1e-3))))
    return sweep


def measure(table: Table, number: int, *, momentum: bool) -> float:
    """Add a row for each run of a sweep; return the worst error beside what is allowed."""
    settings = drawn(number, momentum=momentum)
    plan = make_plan(Sweep.from_dict(settings))
    worst = 0.0
    begun = time.process_time()
    trained = [trained_of(plan)]
    middle = time.process_time()
    with mock.patch.object(batch, "paces_of", lambda program, row, lanes: [[] for _ in lanes]):
        trained.append(trained_of(plan))
    by_jumps, by_steps = trained
    seconds = middle - begun, time.process_time() - middle
    tolerance = settings["sweep"]["tolerance"]
    for run in range(plan.num_runs):
        found = _JUMPS.search(by_jumps.kernel_reason[run])
        taken, beyond, jumps = (
            (int(n.replace(",", "")) for n in found.groups()) if found else [0] * 3
        )
        estimate = by_jumps.truncation_error[run] - by_steps.truncation_error[run]
        error = 0.0
        rows = min(by_jumps.num_rows[run], by_steps.num_rows[run])
        for name, own in by_jumps.observables.items():
            apart = deviations_of(name, own[run, :rows], by_steps.observables[name][run, :rows])
            error = max(error, float(np.max(apart, initial=0.0)))
        allowed = max(SHARE * tolerance, 3 * estimate)
        if found:
            worst = max(worst, error / allowed)
        table.add(
            number, run, settings["network"]["depth"], settings["training"]["num_steps"],
            tolerance, taken, beyond, jumps, estimate, error, *seconds,
        )  # fmt: skip
    return worst


def trained_of(plan: Any) -> Any:
    """Train all runs as one batch."""
    return batch.train_batch(
        plan.settings, plan.shared, int(np.max(plan.settings["network.width"]))
    )


def main() -> int:
    """Print the worst, and write all runs if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, nargs="+", default=[*range(3), *range(40, 46)])
    parser.add_argument("--momentum", action="store_true")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    where = machine()
    table = Table(
        "Jumps of reduced runs beside the same runs step by step; processor seconds of a sweep",
        ["sweep", "run", "depth", "num_steps", "tolerance", "steps taken", "jumped over", "jumps",
         "estimate", "error", "seconds by jumps", "seconds by steps"],
    )  # fmt: skip
    worst = 0.0
    for number in arguments.sweeps:
        worst = max(worst, measure(table, number, momentum=arguments.momentum))
        print(f"sweep {number}: worst error so far {worst:.3g} of what is allowed", flush=True)
        if arguments.csv:
            table.write_csv(arguments.csv, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
