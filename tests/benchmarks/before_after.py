"""This code beside another checkout of it: `python -m tests.benchmarks.before_after FOLDER`.

One process of each on one core, the same work in turns, so that noise meets both alike; the table
shows the median of the ratios, pair by pair, and their quartiles. Needs no extra.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.numerics.runtime import usable_cores
from tests.benchmarks.ours import sweep_document
from tests.benchmarks.pinned import Pinned
from tests.benchmarks.tables import Table, machine

Measure = Callable[[Pinned], float]


def _step(steps: int, **sizes: Any) -> Measure:
    """Return what measures the seconds a step of one run by the dense kernel."""
    document = sweep_document(steps=10**6, **sizes)
    return lambda core: core.call("step_row", [{"document": document, "steps": steps}])[0]["answer"]


def _training(**changes: Any) -> Measure:
    """Return what measures the seconds of training a sweep, compiling left out."""
    document = sweep_document(depth=3, width=100, steps=20_000, precision="float64", seeds=2)
    for section, values in changes.items():
        document[section] = {**document[section], **values}
    return _training_of(document)


def _training_of(document: dict[str, Any]) -> Measure:
    return lambda core: core.call("train", [{"document": document}])[0]["answer"]["training"]


def _whole(folder: str, count: int) -> Measure:
    """Return what measures the seconds of many tiny runs beyond their compiled calls."""
    document = sweep_document(
        name="tiny", depth=2, width=16, steps=100, precision="float64", seeds=4_000, count=count,
        signal_dim=8, measurement_dim=4, subspace_dim=2, num_samples=16,
    )  # fmt: skip

    def measure(core: Pinned) -> float:
        arguments = {"document": document, "folder": f"{folder}/{uuid.uuid4().hex}"}
        found = core.call("run_here", [arguments])[0]["answer"]
        return found["seconds"] - found["compiling"]

    return measure


def measures(folder: str) -> dict[str, Measure]:
    """Return what is measured, by name."""
    return {
        "a step, d_w=1000, L=3, float32": _step(64, depth=3, width=1000),
        "a step, d_w=1000, L=3, float64": _step(32, depth=3, width=1000, precision="float64"),
        "a step, d_w=100, L=3, float32": _step(2_000, depth=3, width=100),
        "a step, d_w=100, L=3, float64": _step(2_000, depth=3, width=100, precision="float64"),
        "a step, d_w=16, L=2, float64": _step(20_000, depth=2, width=16, precision="float64"),
        "100 steps, three 100x100 matrices, 12 runs, float32": lambda core: core.call(
            "products", [{"size": 100, "depth": 3, "lanes": 12, "steps": 100}]
        )[0]["seconds"],
        "training, 64 runs, d_w=16, L=2, float32": _training(
            network={"depth": 2, "width": 16}, sweep={"precision": "float32", "seeds": 64}
        ),
        "training, 2 runs, Adam": _training(training={"optimizer": "adam", "learning_rate": 1e-4}),
        "training, 2 runs, minibatches": _training(training={"minibatch_size": 10}),
        "training, 2 runs, one ReLU": _training(
            network={"kind": "linear_then_relu"},
            problem={"num_samples": 50},
            training={"num_steps": 2_000},
            record={"observables": ["regression_error"]},
        ),
        "training, 2 runs, reduced": _training(
            sweep={"kernel": "reduced", "tolerance": 1e-4},
            network={"width": 400},
            training={"num_steps": 200_000},
        ),
        "training, 8 runs, deep prior": _training_of(
            {
                "name": "deep_prior",
                "problem": {"kind": "deep_prior", "signal_dim": 50, "measurement_dim": 20},
                "network": {"width": 400},
                "training": {"learning_rate": 0.1, "num_steps": 2_000},
                "record": {"count": 2, "observables": ["loss"]},
                "sweep": {"seeds": 8, "precision": "float64"},
            }
        ),
        "4 000 tiny runs with their files": _whole(folder, 20),
    }


def compare(other: Path, rounds: int, wanted: list[str]) -> Table:
    """Measure both by turns."""
    table = Table(
        "This code over the other: seconds, and their ratio pair by pair (below 1: faster now)",
        ["what", "before", "now", "ratio", "lower quartile", "upper quartile"],
    )
    here = Path(__file__).resolve().parents[2]
    core = usable_cores()[:1]
    with (
        tempfile.TemporaryDirectory(prefix="dlnsweep-benchmark-") as folder,
        Pinned(core, other.resolve()) as before,
        Pinned(core, here) as now,
    ):
        for name, measure in measures(folder).items():
            if wanted and not any(word in name for word in wanted):
                continue
            # Once before: compiling, and first touches of memory.
            measure(before), measure(now)
            pairs = np.array([(measure(before), measure(now)) for _ in range(rounds)])
            ratios = pairs[:, 1] / pairs[:, 0]
            low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
            table.add(name, *np.median(pairs, axis=0).tolist(), middle, low, high)
            print(name, f"{middle:.3f} ({low:.3f} to {high:.3f})", file=sys.stderr, flush=True)
    return table


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="a folder with another version of the code")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="of the rows' names")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    print(machine(), flush=True)
    table = compare(arguments.checkout, arguments.rounds, arguments.only)
    print("\n" + table.text())
    if arguments.csv is not None:
        table.write_csv(arguments.csv, machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
