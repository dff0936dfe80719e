r"""Tables of committee machines on all Gaussian inputs, to keep.

python -m tests.kept.population plateau results/soft_committee --csv FILE
python -m tests.kept.population minima results/relu_minima --csv FILE
python -m tests.kept.population one_pass results/one_pass --csv FILE
python -m tests.kept.population limits results/width_limits --beside results/width_limits_law \
    --csv FILE
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

import dlnsweep
from dlnsweep.theory.online import online_overlaps

# Below this error all neurons of the teacher are found; a run that misses one ends above 0.01.
ALL = 1e-4
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


def limits(results: dlnsweep.Results, law: dlnsweep.Results) -> pd.DataFrame:
    """Return extrapolations of widths up to 512, and means at 10^9 over seeds of their own."""
    names = ["regression_error", "off_subspace_error"]
    found = dlnsweep.extrapolate(results, "network.width", names, at_most=512)
    keys = [name for name in found if "." in name]
    wide = law.runs().groupby(keys)
    columns = [f"final_{name}" for name in names]
    mean, error = wide[columns].mean(), wide[columns].sem()
    places = [tuple(row) for row in found[keys].to_numpy()]
    for name, table in (("law", mean), ("law_error", error)):
        chosen = zip(places, found["observable"], strict=True)
        found[name] = [table.loc[place, f"final_{observable}"] for place, observable in chosen]
    return found.drop(columns=["order", "order_low", "order_high"])


def main() -> None:
    """Write the table that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=["plateau", "minima", "one_pass", "limits"])
    parser.add_argument("results")
    parser.add_argument("--beside", help="limits: the results at the width of 10^9")
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    results = dlnsweep.open_results(arguments.results)
    if arguments.table == "limits":
        found = limits(results, dlnsweep.open_results(arguments.beside))
    else:
        made = {"plateau": plateau, "minima": minima, "one_pass": one_pass}[arguments.table]
        found = made(results)
    found.to_csv(arguments.csv, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
