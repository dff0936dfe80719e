"""The least l1 and l2 solutions of the runs of sweeps/sparse_recovery.toml, a row a seed.

    python -m tests.kept.sparse_solutions --csv FILE

beta is the least l1 solution, and the only one, where a vector nu certifies it: x_j . nu is the
sign of beta_j on its support and below 1 in size elsewhere, and the columns of the support are
independent. nu is that with the smallest largest size elsewhere, by linear programming, as is the
least l1 solution itself (HiGHS). The errors are over the fresh samples of the runs' test errors.
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
from scipy.optimize import linprog

from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import purpose_key
from dlnsweep.problems.sparse_regression import (
    SparseRegressionSettings,
    coefficients,
    draw,
    draw_test,
)

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
    found = linprog(
        np.ones(2 * len(beta)), A_eq=np.hstack([y.T, -y.T]), b_eq=x[0], bounds=(0, None)
    )
    positive, negative = np.split(found.x, 2)
    least_l1, least_l2 = positive - negative, x[0] @ np.linalg.pinv(y)
    nu, support = _certificate(y, np.sign(beta)), beta != 0
    signs = y @ nu

    def error(found: np.ndarray) -> float:
        return float(np.linalg.norm(found @ fresh_y - fresh_x) / np.linalg.norm(fresh_x))

    return {
        "seed": seed,
        "least_singular_value": np.linalg.svd(y[support], compute_uv=False)[-1],
        "certificate_on_support": np.abs(signs - np.sign(beta))[support].max(),
        "certificate_elsewhere": np.abs(signs)[~support].max(),
        "l1_test_error": error(least_l1),
        "l2_test_error": error(least_l2),
        "l1_norm": np.abs(beta).sum(),
        "l1_norm_of_l2": np.abs(least_l2).sum(),
    }


def _certificate(y: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Return the nu (n,) with x_j . nu the sign where there is one, small elsewhere."""
    support, n = signs != 0, y.shape[1]
    off, ones = y[~support], np.ones((np.sum(~support), 1))
    found = linprog(
        [*np.zeros(n), 1.0],
        A_ub=np.block([[off, -ones], [-off, -ones]]), b_ub=np.zeros(2 * len(off)),
        A_eq=np.hstack([y[support], np.zeros((np.sum(support), 1))]), b_eq=signs[support],
        bounds=(None, None),
    )  # fmt: skip
    return found.x[:n]


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
