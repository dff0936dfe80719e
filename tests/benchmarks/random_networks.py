"""Vector instructions beside the generic way: `python -m tests.benchmarks.random_networks`.

The random small networks of tests/samples/vector_cases.py, float64, each by `sweep.kernel = "simd"`
and by the generic way; with `--kernel simd_samples` by that, with more samples. One row a network,
written after each program of four, so that a benchmark that is stopped has left what it found; with
`--csv` it goes on where that file ends.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

# Before NumPy starts: threads that wait for each other make small products many times slower.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# As in the tests: nearly all of the time goes into compiling the generic way.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# Nobody needs these programs again.
os.environ.setdefault("DLNSWEEP_COMPILE_CACHE", "off")
sys.path.insert(0, str(Path(__file__).parents[1] / "samples"))

import pandas as pd  # noqa: E402
import vector_cases as cases  # noqa: E402

from tests.benchmarks.tables import Table, machine  # noqa: E402

_COLUMNS = [
    "family", "seed", "depth", "width", "inputs", "samples", "activation", "loss", "optimizer",
    "learning rate", "weight decay", "simd", "generic", "deviation",
]  # fmt: skip
_TITLE = "random small networks, float64: vector instructions beside the generic way"


def measure(table: Table, number: int, kernel: str = "simd") -> None:
    """Add the rows of a family."""
    case = cases.random_family(number)
    if kernel == "simd_samples":
        case = cases.with_samples(case, number)
    problem, network, training = case["problem"], case["network"], case["training"]
    plan = cases.planned(case)
    for run, found in enumerate(cases.beside_generic(case, kernel)):
        row = plan.row(run)
        table.add(
            number, row["seed"], network["depth"], network["width"], problem["measurement_dim"],
            problem["num_samples"], network["activation"], training["loss"], training["optimizer"],
            training["learning_rate"], row["training.weight_decay"], *found.endings,
            found.deviation,
        )  # fmt: skip


def main() -> int:
    """Print what is beyond rounding, and write all if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", type=int, default=125)
    parser.add_argument("--kernel", choices=("simd", "simd_samples"), default="simd")
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    table, where, first = Table(_TITLE, _COLUMNS), machine(), 0
    if arguments.csv and arguments.csv.exists():
        where = arguments.csv.read_text().splitlines()[1].removeprefix("# ")
        before: Any = pd.read_csv(arguments.csv, comment="#")
        for row in before.itertuples(index=False):
            table.add(*row)
        first = int(before["family"].max()) + 1
    for number in range(first, arguments.families):
        measure(table, number, arguments.kernel)
        if arguments.csv:
            table.write_csv(arguments.csv, where)
    found: Any = pd.DataFrame(table.rows, columns=_COLUMNS)
    apart = (found["simd"] != found["generic"]) | ~(found["deviation"] < cases.ROUNDING)
    print(f"{len(found)} networks; largest deviation {found['deviation'].max():.3g}; apart:")
    print(found[apart].to_string())
    return 0


if __name__ == "__main__":
    sys.exit(main())
