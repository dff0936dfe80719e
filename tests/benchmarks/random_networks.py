"""Vector instructions beside the generic way: `python -m tests.benchmarks.random_networks`.

The random small networks of tests/samples/vector_cases.py, float64, each by `sweep.kernel = "simd"`
and by the generic way. One row a network, written after each, so that a benchmark that is stopped
has left what it found; with `--csv` it goes on where that file ends.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# Before NumPy starts: threads that wait for each other make small products many times slower.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# As in the tests: nearly all of the time goes into compiling the generic way.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))

import pandas as pd  # noqa: E402
import vector_cases as cases  # noqa: E402

from tests.benchmarks.tables import Table, machine  # noqa: E402

_COLUMNS = [
    "number", "depth", "width", "inputs", "samples", "activation", "loss", "optimizer",
    "learning rate", "weight decay", "simd", "generic", "deviation",
]  # fmt: skip


def measure(table: Table, number: int) -> float:
    """Add a network's row; return how far its losses and norms are from the generic way's."""
    case = cases.random_case(number)
    problem, network, training = case["problem"], case["network"], case["training"]
    endings, deviation = cases.beside_generic(case)
    table.add(
        number, network["depth"], network["width"], problem["measurement_dim"],
        problem["num_samples"], network["activation"], training["loss"], training["optimizer"],
        training["learning_rate"], training["weight_decay"], *endings, deviation,
    )  # fmt: skip
    return deviation


def main() -> int:
    """Print what is beyond rounding, and write all if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=500)
    parser.add_argument("--most", type=int, default=500, help="Networks of this call.")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    title = "random small networks, float64: vector instructions beside the generic way"
    table = Table(title, _COLUMNS)
    where = machine()
    if arguments.csv and arguments.csv.exists():
        where = arguments.csv.read_text().splitlines()[1].removeprefix("# ")
        for row in pd.read_csv(arguments.csv, comment="#").itertuples(index=False):
            table.add(*row)
    first = len(table.rows)
    for number in range(first, min(arguments.networks, first + arguments.most)):
        deviation = measure(table, number)
        if not deviation < cases.ROUNDING or len(set(table.rows[-1][-3:-1])) > 1:
            print(f"network {number}: {table.rows[-1]}", flush=True)
        if arguments.csv:
            table.write_csv(arguments.csv, where)
    print(f"{len(table.rows)} networks; largest deviation {max(r[-1] for r in table.rows):.3g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
