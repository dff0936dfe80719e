"""What the texts say about all records of a sweep, as a table to keep.

python -m tests.kept.records norms results/norms_diverge --csv FILE
python -m tests.kept.records margin results/linear_margin --csv FILE
python -m tests.kept.records since results/long_factorizations --level 1e5 --csv FILE
python -m tests.kept.records entries RESULTS --of singular_values --first 8 --csv FILE
python -m tests.kept.records range results/linear_speed --of speed_exponent --csv FILE
python -m tests.kept.records below results/acceleration_p4 --of loss --level 1e-4 --csv FILE
python -m tests.kept.records success results/linear_failures --of loss --level 1e-3 --csv FILE
python -m tests.kept.records rates results/lazy_rich --of regression_error --level 0.5 --csv FILE
python -m tests.kept.records rising results/lazy_rich --level 1e-12 --csv FILE
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

import dlnsweep
from dlnsweep.figures.statistics import as_array, column_of
from dlnsweep.theory.formulas import deficiency_decay


def _groups(frame: pd.DataFrame, keys: list[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield the rows with each values of these columns, beside those values."""
    # A setting of one optimizer alone is empty beside the others: those rows are groups too.
    for values, rows in frame.groupby(keys, dropna=False):
        yield dict(zip(keys, cast("tuple[Any, ...]", values), strict=True)), rows


def _column(frame: pd.DataFrame, name: str) -> np.ndarray:
    return as_array(column_of(frame, name))


def norms(curves: pd.DataFrame, settings: list[str]) -> pd.DataFrame:
    """Return for each run how often the premise held, what was found then, and where it ended."""
    found = []
    for keys, records in _groups(curves, [*settings, "seed"]):
        positive = _column(records, "determinant") > 0
        below = _column(records, "free_entry_excess") < 1
        loss = _column(records, "loss")
        ends = ("loss", "free_entry", "free_entry_bound")
        found.append(
            {
                **keys,
                "num_records": len(records),
                "num_positive": int(positive.sum()),
                "num_below": int((below & positive).sum()),
                # Empty where the determinant stays positive.
                "loss_where_lost": np.nan if positive.all() else loss[~positive][0],
                **{f"final_{name}": _column(records, name)[-1] for name in ends},
            }
        )
    return pd.DataFrame(found)


def since(curves: pd.DataFrame, settings: list[str], step: float) -> pd.DataFrame:
    """Return each run's numbers at the first recorded step from a given one on, and at its end."""
    found = []
    for keys, records in _groups(curves, [*settings, "seed"]):
        late = records[_column(records, "step") >= step]
        numbers = [name for name in late.select_dtypes("number") if name not in (*keys, "run_id")]
        first, last = late.iloc[0], late.iloc[-1]
        ends = {f"final_{name}": last[name] for name in numbers}
        found.append({**keys, **{name: first[name] for name in numbers}, **ends})
    return pd.DataFrame(found)


def entries(curves: pd.DataFrame, settings: list[str], of: str, first: int) -> pd.DataFrame:
    """Return the first entries of a vector observable at every record of every run."""
    columns = [f"{of}_{place}" for place in range(1, first + 1)]
    keys = [*settings, "seed", "step"]
    return curves.sort_values(keys).reindex(columns=[*keys, *columns])


def margin(curves: pd.DataFrame, settings: list[str], learning_rate: float) -> pd.DataFrame:
    """Return the largest loss over the envelope of Theorem 2, and where, for each setting."""
    found = []
    for keys, records in _groups(curves, settings):
        ratios = {}
        for of_run, rows in _groups(records, ["run_id"]):
            steps, loss = _column(rows, "step"), _column(rows, "loss")
            envelope = loss[0] * deficiency_decay(
                steps, learning_rate, keys["network.deficiency_margin"], keys["network.depth"]
            )
            at = int(np.argmax(loss / envelope))
            ratios[of_run["run_id"]] = (loss[at] / envelope[at], int(steps[at]))
        largest, at_step = max(ratios.values())
        found.append(
            {**keys, "num_runs": len(ratios), "largest_ratio": largest, "at_step": at_step}
        )
    return pd.DataFrame(found)


def value_range(curves: pd.DataFrame, settings: list[str], observable: str) -> pd.DataFrame:
    """Return an observable's least value, median and largest value over all runs and records."""
    found = []
    for keys, records in _groups(curves, settings):
        values = _column(records, observable)
        values = values[np.isfinite(values)]
        ends = {"min": values.min(), "median": np.median(values), "max": values.max()}
        found.append({**keys, "num_values": len(values), **ends})
    return pd.DataFrame(found)


def first_below(
    curves: pd.DataFrame, settings: list[str], observable: str, level: float
) -> pd.DataFrame:
    """Return the first recorded step at which the median over the seeds is below a level.

    A diverged run counts as infinite from its last record on. Empty where no record is below.
    """
    found = []
    for keys, records in _groups(curves, settings):
        wide = records.pivot(index="step", columns="seed", values=observable).to_numpy()
        medians = np.median(np.where(np.isnan(wide), np.inf, wide), axis=1)
        steps = np.unique(_column(records, "step"))
        reached = steps[medians < level]
        found.append({**keys, "first_step": f"{reached[0]:.0f}" if len(reached) else ""})
    return pd.DataFrame(found)


def successes(
    runs: pd.DataFrame, settings: list[str], observable: str, level: float
) -> pd.DataFrame:
    """Return of how many runs there are, how many end below a level and how many diverged."""
    found = []
    for keys, own in _groups(runs, settings):
        diverged = (own["status"] == "diverged").to_numpy()
        below = ~diverged & (_column(own, f"final_{observable}") < level)
        counts = {"num_below": int(below.sum()), "num_diverged": int(diverged.sum())}
        found.append({**keys, "num_runs": len(own), **counts})
    return pd.DataFrame(found)


def rates(runs: pd.DataFrame, settings: list[str], observable: str, level: float) -> pd.DataFrame:
    """Return, seed by seed, the least and the largest learning rate of runs that end below."""
    rate = "training.learning_rate"
    found = []
    for keys, own in _groups(runs, [*(name for name in settings if name != rate), "seed"]):
        below = (own["status"] != "diverged").to_numpy() & (
            _column(own, f"final_{observable}") < level
        )
        reached = _column(own, rate)[below]
        # Empty where no run ends below.
        least, largest = (reached.min(), reached.max()) if len(reached) else (np.nan, np.nan)
        found.append({**keys, "least_rate": least, "largest_rate": largest})
    return pd.DataFrame(found)


def rising(curves: pd.DataFrame, settings: list[str], level: float) -> pd.DataFrame:
    """Return, seed by seed, the learning rates whose recorded steps raise the loss.

    Only records of a regression error above a level count: below it what rises is rounding. Beside
    them stands the tangent kernel's largest eigenvalue at step 0, which no rate has a part in.
    """
    rate = "training.learning_rate"
    found = []
    for keys, own in _groups(curves, [*(name for name in settings if name != rate), "seed"]):
        eigenvalues: Any = own["kernel_eigenvalues"]
        first = np.vstack(list(eigenvalues[_column(own, "step") == 0]))[:, 0]
        # Batches sum in other orders.
        assert np.ptp(first) < 1e-12 * first.max(), f"{keys}: eigenvalues differ at step 0"
        raises = (_column(own, "loss_increase") > 0) & (_column(own, "regression_error") > level)
        rates = _column(own, rate)
        risen = rates[raises]
        least = risen.min() if len(risen) else np.nan
        quiet = rates[rates < least].max() if len(risen) else rates.max()
        ends = {"kernel_eigenvalue": np.median(first), "largest_quiet_rate": quiet}
        found.append({**keys, **ends, "least_rising_rate": least})
    return pd.DataFrame(found)


def main() -> None:
    """Write the table that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=["norms", "margin", "since", "entries", "range",
                                          "below", "success", "rates", "rising"])  # fmt: skip
    parser.add_argument("results", type=Path)
    parser.add_argument("--of", metavar="OBSERVABLE")
    parser.add_argument("--level", type=float)
    parser.add_argument("--first", type=int, metavar="ENTRIES")
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    results = dlnsweep.open_results(str(arguments.results))
    vectors = "columns" if arguments.table == "entries" else "arrays"
    curves = results.curves(arguments.of, vectors=vectors)
    settings = [name for name in curves if "." in name]
    if arguments.table == "norms":
        found = norms(curves, settings)
        estimates = _column(results.runs(), "truncation_error")
        if not np.isnan(estimates).all():
            own = results.runs()[[*settings, "seed", "truncation_error"]]
            found = found.merge(own, on=[*settings, "seed"])
    elif arguments.table == "since":
        found = since(curves, settings, arguments.level)
        own = results.runs()[[*settings, "seed", "truncation_error"]]
        found = found.merge(own, on=[*settings, "seed"])
    elif arguments.table == "entries":
        found = entries(curves, settings, arguments.of, arguments.first)
    elif arguments.table == "margin":
        (learning_rate,) = set(_column(results.runs(), "training.learning_rate"))
        found = margin(curves, settings, learning_rate)
    elif arguments.table == "range":
        found = value_range(curves, settings, arguments.of)
    elif arguments.table == "below":
        found = first_below(curves, settings, arguments.of, arguments.level)
    elif arguments.table == "rising":
        found = rising(curves, settings, arguments.level)
    else:
        of_runs = rates if arguments.table == "rates" else successes
        found = of_runs(results.runs(), settings, arguments.of, arguments.level)
    found.to_csv(arguments.csv, index=False, float_format="%.8g")


if __name__ == "__main__":
    main()
