"""Tables of committee machines on all Gaussian inputs, to keep.

python -m tests.kept.population plateau results/soft_committee --csv FILE
python -m tests.kept.population minima results/relu_minima --csv FILE
python -m tests.kept.population one_pass results/one_pass --csv FILE
python -m tests.kept.population limits results/width_limits --csv FILE
python -m tests.kept.population all_seeds results/width_limits --csv FILE
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

import dlnsweep
from dlnsweep.analysis.limits import limit_and_ends, mean_interval, orders, verdict_on
from dlnsweep.theory.online import online_overlaps

# Below this error all neurons of the teacher are found; a run that misses one ends above 0.01.
ALL = 1e-4
# Of one extrapolation.
SEEDS = 10
_SIZES = ("problem.num_teacher_neurons", "network.width")


def plateau(results: dlnsweep.Results) -> pd.DataFrame:
    """Return, for each size, correlation and dimension, how long runs took.

    `longer` is the median over the seeds by how many steps a run is longer than with a tenth of
    the dimension: the seeds are the same.
    """
    runs = results.runs()
    found = []
    keys = [*_SIZES, "network.initial_correlation"]
    for values, group in runs.groupby(keys):
        lengths: Any = group.pivot(
            index="problem.input_dim", columns="seed", values="final_steps_taken"
        ).sort_index()
        longer = lengths.diff().median(axis=1)
        for size, row in lengths.iterrows():
            found.append(
                {
                    **dict(zip(keys, cast("tuple[Any, ...]", values), strict=True)),
                    "problem.input_dim": size,
                    "num_runs": int(row.notna().sum()),
                    "steps_median": row.median(),
                    "steps_q25": row.quantile(0.25),
                    "steps_q75": row.quantile(0.75),
                    "longer": longer.loc[size],
                }
            )
    return pd.DataFrame(found)


def minima(results: dlnsweep.Results) -> pd.DataFrame:
    """Return, for each size and dimension, how many runs found all neurons of the teacher."""
    runs = results.runs()
    found = []
    for values, group in runs.groupby([*_SIZES, "problem.input_dim"]):
        errors = np.asarray(group["final_generalization_error"])
        missed = errors[errors >= ALL]
        found.append(
            {
                **dict(zip([*_SIZES, "problem.input_dim"], cast("Any", values), strict=True)),
                "num_runs": len(group),
                "num_found_all": int((errors < ALL).sum()),
                "largest_found": errors[errors < ALL].max(),
                "least_missed": missed.min() if len(missed) else np.nan,
                "largest_gradient": group["final_gradient_norm"].max(),
            }
        )
    return pd.DataFrame(found)


def one_pass(results: dlnsweep.Results) -> pd.DataFrame:
    """Return how far runs are from the ODE of their own start, and from the expected loss.

    Both are root mean squares over records and inner products; medians over the seeds.
    """
    curves = results.curves()
    keys = ["problem.input_dim", "training.learning_rate", "training.minibatch_size"]
    expected = {}
    passing = []
    for values, group in curves.groupby([*keys, "seed"]):
        size, rate, batch, seed = cast("tuple[Any, ...]", values)
        overlaps = [np.stack(list(group[f"{name}_overlaps"])) for name in ("student", "teacher")]
        together = np.concatenate(overlaps, axis=1)
        if not batch:
            expected[size, seed] = together
            continue
        neurons = 2
        shaped = [each.reshape(-1, neurons, neurons) for each in overlaps]
        times = np.asarray(group["step"], dtype=float) / size
        ode = online_overlaps(shaped[0][0], shaped[1][0], np.eye(neurons), rate * size, times)
        flat = np.concatenate([each.reshape(len(times), -1) for each in ode], axis=1)
        passing.append((size, rate, seed, together, _apart(together, flat)))
    rows = []
    for size, rate, seed, together, apart in passing:
        beside = expected.get((size, seed))
        other = _apart(together, beside) if beside is not None else np.nan
        rows.append({"input_dim": size, "learning_rate": rate, "ode": apart, "expected": other})
    frame = pd.DataFrame(rows)
    grouped = frame.groupby(["input_dim", "learning_rate"])
    return grouped.agg(
        num_runs=("ode", "size"), from_ode=("ode", "median"), from_expected=("expected", "median")
    ).reset_index()


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((one - other) ** 2)))


def limits(results: dlnsweep.Results) -> pd.DataFrame:
    """Return extrapolations of widths up to 512 by ten seeds each, beside the mean at 10^9.

    The seeds are cut into groups of ten. `there_limit` is the mean of the group's own seeds at a
    width of 10^9; `apart_limit` the limit of what its seeds are above their own values there, which
    is zero; each with the ends of its interval. `law` is the mean over all seeds there, and
    `law_error` its standard error.
    """
    runs = results.runs()
    rows = []
    for depth, whole in runs.groupby("network.depth"):
        for name in ("regression_error", "off_subspace_error"):
            table: Any = whole.pivot(
                index="seed", columns="network.width", values=f"final_{name}"
            ).sort_index()
            sizes = np.asarray(table.columns[:-1], dtype=float)
            values, law = table.to_numpy()[:, :-1], table.to_numpy()[:, -1]
            for first in range(0, len(values), SEEDS):
                own = values[first : first + SEEDS]
                order = orders(sizes, own)
                there = law[first : first + SEEDS]
                rows.append(
                    {
                        "network.depth": depth,
                        "observable": name,
                        "first_seed": first,
                        "largest": own[:, -1].mean(),
                        **_named("", limit_and_ends(sizes, own)),
                        **dict(zip(("order", "order_low", "order_high"), order, strict=True)),
                        "verdict": verdict_on(order),
                        **_named("there_", (there.mean(), *mean_interval(there))),
                        **_named("apart_", limit_and_ends(sizes, own - there[:, None])),
                        "law": law.mean(),
                        "law_error": law.std(ddof=1) / len(law) ** 0.5,
                    }
                )
    return pd.DataFrame(rows)


def all_seeds(results: dlnsweep.Results) -> pd.DataFrame:
    """Return the extrapolations of widths up to 512 by all seeds."""
    names = ["regression_error", "off_subspace_error"]
    return dlnsweep.extrapolate(results, "network.width", names, at_most=512)


def _named(prefix: str, found: tuple[float, float, float]) -> dict[str, float]:
    return {prefix + n: x for n, x in zip(("limit", "low", "high"), found, strict=True)}


def main() -> None:
    """Write the table that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    makers = (plateau, minima, one_pass, limits, all_seeds)
    tables = {make.__name__: make for make in makers}
    parser.add_argument("table", choices=list(tables))
    parser.add_argument("results")
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    found = tables[arguments.table](dlnsweep.open_results(arguments.results))
    found.to_csv(arguments.csv, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
