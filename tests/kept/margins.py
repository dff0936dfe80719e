"""The largest margins of the runs of sweeps/max_margin.toml, and the margins beside them.

    python -m tests.kept.margins results/max_margin --csv FILE

A row a run: its seed's largest margin, certified by theory/max_margin.py, the law K of the gap's
rate, and what the run has at its last record.
"""

from __future__ import annotations

import tomllib
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dlnsweep.figures.statistics import as_array, column_of
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import purpose_key
from dlnsweep.problems.separable import SeparableSettings, draw
from dlnsweep.theory.max_margin import MaxMargin, margin_rate, max_margin

from .writing import write

SWEEP = Path(__file__).parents[2] / "sweeps/max_margin.toml"


@cache
def largest(support: str, seed: int) -> MaxMargin:
    """Return the largest margin of a seed's data."""
    problem = tomllib.loads(SWEEP.read_text(encoding="utf-8"))["problem"]
    settings = SeparableSettings(**problem | {"support": support})

    def drawn(seed: Any) -> Any:
        return draw(settings, partial(purpose_key, seed))

    # One program: what is not compiled whole is compiled operation by operation.
    with numerics():
        labels, inputs = jax.tree.map(np.asarray, jax.jit(drawn)(jnp.asarray(seed)))
    return max_margin(inputs, labels[0])


def table(curves: pd.DataFrame) -> pd.DataFrame:
    """Return a row a run."""
    assert np.isfinite(as_array(column_of(curves, "margin"))).all()
    last: Any = curves[curves["step"] == curves["step"].max()]
    found = []
    for record in last.to_dict("records"):
        best = largest(record["problem.support"], int(record["seed"]))
        # In units of the largest margin: gamma ||beta|| is x_i f(y_i) of the last sample over it.
        depth = record["network.depth"]
        least = record["margin"] * record["parameter_norm"] ** depth
        found.append(
            {
                "problem.support": record["problem.support"],
                "network.depth": depth,
                "fixed_length": int(record["training.clip_norm"] > 0),
                "seed": record["seed"],
                "largest_margin": best.margin,
                "certified_gap": best.gap,
                "num_support": int(np.count_nonzero(best.weights)),
                "rate": margin_rate(best.weights),
                "relative_gap": 1 - record["l2_margin"] / best.margin,
                "duality_gap": record["margin_gap"],
                "size": best.margin * least / record["l2_margin"],
                "margin": record["margin"],
            }
        )
    keys = ["problem.support", "fixed_length", "network.depth", "seed"]
    return pd.DataFrame(found).sort_values(keys, ignore_index=True)


if __name__ == "__main__":
    write(__doc__, lambda results: table(results.curves()), digits=8)
