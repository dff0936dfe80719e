"""The minimum nuclear norm beside completion: `python -m tests.benchmarks.nuclear_norm`.

The same targets and observed entries as the runs of sweeps/completion.toml with the same seeds.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import numpy as np

from dlnsweep.lazy import jax, jnp
from dlnsweep.nuclear_norm import least_nuclear_norm
from dlnsweep.problems.matrix_completion import MatrixCompletionSettings, draw_completion
from dlnsweep.runtime import numerics
from dlnsweep.streams import purpose_key
from tests.benchmarks.tables import Table, machine


def baseline(counts: list[int], seeds: int, size: int, rank: int) -> Table:
    """Solve for all seeds of each number of observed entries."""
    table = Table(
        f"Least nuclear norm, {size} x {size}, rank {rank}",
        ["entries", "seed", "reconstruction error", "nuclear norm", "that of the target",
         "gap", "infeasibility", "iterations", "seconds"],
    )  # fmt: skip
    for count in counts:
        settings = MatrixCompletionSettings(
            num_rows=size, num_columns=size, rank=rank, num_observed=count
        )
        with numerics():
            fits = [
                draw_completion(settings, partial(purpose_key, jnp.asarray(seed)))
                for seed in range(seeds)
            ]
            observed = jax.tree.map(lambda *a: np.stack(a), *[fit.observed for fit in fits])
            targets = [np.asarray(fit.target) for fit in fits]
        began = time.perf_counter()
        found = least_nuclear_norm(observed, (size, size))
        seconds = (time.perf_counter() - began) / seeds
        for seed, target in enumerate(targets):
            error = np.linalg.norm(found.matrix[seed] - target) / np.linalg.norm(target)
            known = float(np.sum(np.linalg.svd(target, compute_uv=False)))
            numbers = [found.nuclear_norm[seed], known, found.gap[seed], found.infeasibility[seed]]
            table.add(
                count,
                seed,
                float(error),
                *map(float, numbers),
                int(found.iterations[seed]),
                seconds,
            )
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    print(machine(), "\n")
    print(baseline([2000, 5000], arguments.seeds, 100, 5).markdown())


if __name__ == "__main__":
    main()
