"""The least l1 and l2 solutions of the runs of sweeps/sparse_recovery.toml, a row a seed.

    python -m tests.kept.sparse_solutions --csv FILE

The least l1 solution, and that it is the only one, is certified by theory/least_l1.py. The errors
are over the fresh samples of the runs' test errors.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import purpose_key
from dlnsweep.problems.sparse_regression import (
    SparseRegressionSettings,
    coefficients,
    draw,
    draw_test,
)
from dlnsweep.theory.least_l1 import least_l1

SWEEP = Path(__file__).parents[2] / "sweeps/sparse_recovery.toml"


def solutions(seed: int, count: int, settings: SparseRegressionSettings) -> dict[str, float]:
    """Return what certifies that a seed's beta is the least l1 solution, and the errors of both.

    Args:
        seed: The seed.
        count: The number of fresh samples.
        settings: The problem's sizes.
    """

    def drawn(seed: Any) -> Any:
        key = partial(purpose_key, seed)
        return draw(settings, key), draw_test(settings, key, count), coefficients(settings, key)

    # One program: what is not compiled whole is compiled operation by operation.
    with numerics():
        arrays = jax.tree.map(np.asarray, jax.jit(drawn)(jnp.asarray(seed)))
    (x, y), (fresh_x, fresh_y), (beta,) = arrays
    found, least_l2 = least_l1(y, x[0]), x[0] @ np.linalg.pinv(y)
    support = found.coefficients != 0
    assert np.array_equal(support, beta != 0)

    def error(own: np.ndarray) -> float:
        return float(np.linalg.norm(own @ fresh_y - fresh_x) / np.linalg.norm(fresh_x))

    return {
        "seed": seed,
        "least_singular_value": found.least_singular_value,
        "certificate_on_support": np.abs(y @ found.dual - np.sign(beta))[support].max(),
        "certificate_elsewhere": found.elsewhere,
        "l1_test_error": error(found.coefficients),
        "l2_test_error": error(least_l2),
        "l1_norm": np.abs(beta).sum(),
        "l1_norm_of_l2": np.abs(least_l2).sum(),
    }


def table(seeds: Iterable[int] | None = None) -> pd.DataFrame:
    """Return a row a seed of the sweep, or for these seeds."""
    file = tomllib.loads(SWEEP.read_text(encoding="utf-8"))
    settings = SparseRegressionSettings(**file["problem"])
    count = file["record"]["num_test_samples"]
    seeds = range(file["sweep"]["seeds"]) if seeds is None else seeds
    return pd.DataFrame([solutions(seed, count, settings) for seed in seeds])


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path, required=True)
    table().to_csv(parser.parse_args().csv, index=False, float_format="%.8g")


if __name__ == "__main__":
    main()
