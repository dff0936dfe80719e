"""The matrix of least nuclear norm that has a completion's observed entries, beside its target.

python -m tests.kept.least_nuclear_norm sweeps/long_factorizations.toml --first 8 --csv FILE
"""

from __future__ import annotations

import argparse
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import purpose_key
from dlnsweep.problems.matrix_completion import MatrixCompletionSettings, draw_completion
from dlnsweep.theory.nuclear_norm import least_nuclear_norm


def beside_target(problem: dict[str, Any], seed: int, first: int) -> pd.DataFrame:
    """Return the first singular values of both, nuclear norms, and the error of the one.

    Args:
        problem: The problem as a sweep has it.
        seed: The seed that draws it.
        first: How many.
    """
    settings = MatrixCompletionSettings(
        **{name: value for name, value in problem.items() if name not in ("kind", "loss")}
    )
    with numerics():
        drawn = draw_completion(settings, partial(purpose_key, jnp.asarray(seed)))
        fit = jax.tree.map(np.asarray, drawn)
    observed = jax.tree.map(lambda leaf: leaf[None], fit.observed)
    found = least_nuclear_norm(observed, fit.target.shape)
    rows = []
    for name, matrix in (("target", fit.target), ("least nuclear norm", found.matrix[0])):
        values = np.linalg.svd(matrix, compute_uv=False)
        error = np.linalg.norm(matrix - fit.target) / np.linalg.norm(fit.target)
        gap = float(found.gap[0]) if name != "target" else np.nan
        columns = {f"singular_values_{k + 1}": values[k] for k in range(first)}
        rows.append({"matrix": name, "seed": seed, "nuclear_norm": values.sum(),
                     "reconstruction_error": error, "gap": gap, **columns})  # fmt: skip
    return pd.DataFrame(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=8)
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    document = tomllib.loads(arguments.sweep.read_text("utf-8"))
    table = beside_target(document["problem"], arguments.seed, arguments.first)
    table.to_csv(arguments.csv, index=False, float_format="%.8g")
