"""The least nuclear norm beside factorization: `python -m tests.benchmarks.nuclear_norm [KIND...]`.

The same targets, observed entries and operators as the runs of sweeps/completion.toml and
sweeps/sensing.toml with the same seeds. Seconds are those of both cores, compiling included.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import purpose_key
from dlnsweep.problems.matrix_completion import MatrixCompletionSettings, draw_completion
from dlnsweep.problems.matrix_sensing import MatrixSensingSettings
from dlnsweep.problems.matrix_sensing import draw as draw_sensing
from dlnsweep.theory.nuclear_norm import least_nuclear_norm
from tests.benchmarks.tables import Table, machine


def baseline(kind: str, counts: list[int], seeds: int, size: int, rank: int) -> Table:
    """Solve for each seed and number of observed entries or measurements.

    Args:
        kind: "completion" or "sensing".
        counts: Numbers of entries or measurements.
        seeds: Seeds 0 to this.
        size: Rows and columns.
        rank: The target's rank.
    """
    table = Table(
        f"Least nuclear norm, matrix {kind}, {size} x {size}, rank {rank}",
        ["entries" if kind == "completion" else "measurements", "seed", "reconstruction error",
         "nuclear norm", "that of the target", "gap", "infeasibility", "iterations", "seconds"],
    )  # fmt: skip
    for count in counts:
        for seed in range(seeds):
            with numerics():
                key = partial(purpose_key, jnp.asarray(seed))
                fit = jax.tree.map(np.asarray, _draw(kind, count, size, rank, key))
            observed = jax.tree.map(lambda a: a[None], fit.observed)
            began = time.perf_counter()
            found = least_nuclear_norm(observed, (size, size))
            seconds = time.perf_counter() - began
            error = np.linalg.norm(found.matrix[0] - fit.target) / np.linalg.norm(fit.target)
            known = float(np.sum(np.linalg.svd(fit.target, compute_uv=False)))
            numbers = [found.nuclear_norm[0], known, found.gap[0], found.infeasibility[0]]
            table.add(
                count, seed, float(error), *map(float, numbers), int(found.iterations[0]), seconds
            )
    return table


def _draw(kind: str, count: int, size: int, rank: int, key: Any) -> Any:
    shared: dict[str, Any] = {"num_rows": size, "num_columns": size, "rank": rank}
    if kind == "completion":
        return draw_completion(MatrixCompletionSettings(num_observed=count, **shared), key)
    return draw_sensing(MatrixSensingSettings(num_measurements=count, **shared), key)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--csv", type=Path, help="write nuclear_norm_KIND.csv into this folder")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="completion, sensing")
    arguments = parser.parse_args()
    kinds = arguments.kinds or ["completion", "sensing"]
    if unknown := set(kinds) - {"completion", "sensing"}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are completion, sensing")
    print(machine(), "\n")
    for kind in kinds:
        table = baseline(kind, [2000, 5000], arguments.seeds, 100, 5)
        print(table.markdown(), "\n", flush=True)
        if arguments.csv:
            table.write_csv(arguments.csv / f"nuclear_norm_{kind}.csv", machine())


if __name__ == "__main__":
    main()
