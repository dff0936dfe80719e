"""How far the networks of several seeds differ in what they predict: their kept weights together.

With f_1, ..., f_S the networks of a group's runs, f their mean and y_1, ..., y_k the inputs,

    prediction_variance = 1/k sum_j 1/(S - 1) sum_s ||f_s(y_j) - f(y_j)||^2,
    mean_square         = 1/k sum_j ||f(y_j)||^2 - prediction_variance / S,

which are without bias: of independent runs their means are those of E ||f_s - E f||^2 and of
||E f||^2. The standard error of the first is the jackknife's over the runs (Efron and Tibshirani
1993, chapter 11): with V_s the variance of the runs without s, and V their mean,

    standard_error^2 = (S - 1) / S sum_s (V_s - V)^2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dlnsweep.errors import SpecError, StoreError
from dlnsweep.machine.memory import available_memory, said
from dlnsweep.results.predictions import Predictor, place_of
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.sentences import show
from dlnsweep.store import Store

if TYPE_CHECKING:
    from dlnsweep.results.weights import KeptWeights

_FEWEST = 2
_STATISTICS = ("prediction_variance", "standard_error", "mean_square")
# Runs whose settings are held as dictionaries.
_AT_ONCE = 1000


def variance_of(outputs: np.ndarray) -> dict[str, float]:
    """Return the variance over runs, its standard error and the mean's square; NaN of too few.

    Args:
        outputs: (S, d, k).
    """
    runs, *_, points = outputs.shape
    if runs < _FEWEST:
        return dict.fromkeys(_STATISTICS, np.nan)
    mean = outputs.mean(axis=0)
    squares = np.sum((outputs - mean) ** 2, axis=(1, 2)) / points
    total = squares.sum()
    variance = total / (runs - 1)
    error = np.nan
    if runs > _FEWEST:
        # A run that is left out takes S / (S - 1) of its own square with it, by the mean's moving.
        without = (total - runs / (runs - 1) * squares) / (runs - 2)
        error = np.sqrt((runs - 1) / runs * np.sum((without - without.mean()) ** 2))
    square = np.sum(mean**2) / points - variance / runs
    return {
        "prediction_variance": float(variance),
        "standard_error": float(error),
        "mean_square": float(square),
    }


def prediction_variance(
    store: Store,
    kept: KeptWeights,
    runs: Any,
    inputs: np.ndarray,
    keys: Sequence[str],
    step: int | None,
) -> pd.DataFrame:
    """Return one row a group of runs; see `Results.prediction_variance`.

    Args:
        store: The folder's store.
        kept: What reads its weights.
        runs: Rows of `Results.runs(unused=True)`.
        inputs: (m, k).
        keys: The settings whose values make the groups.
        step: The step of the weights; None: the last that are kept.

    Raises:
        SpecError: If runs have no such weights, or are of no network on such inputs.
        StoreError: If a file is damaged, or the outputs would fill the memory.
    """
    if step is not None and not isinstance(step, Real):
        raise SpecError(
            f"{store.root}: step is {show(step)}; it must be a step at which weights are kept."
        )
    _check_room(store, runs, inputs)
    outputs: dict[int, np.ndarray] = {}
    predictors: dict[tuple[Any, ...], Predictor] = {}
    lost = _lost(runs, step)
    for row in _by_batch(store, runs[(runs["status"] != "planned").to_numpy() & ~lost]):
        stopped = row["status"] == "stopped" and step is not None and row["last_step"] < step
        weights = kept.weights(int(row["run_id"]), None if stopped else step)
        place = place_of(row)
        if place not in predictors:
            predictors[place] = Predictor(RunSettings(row))
        outputs[row["run_id"]] = predictors[place].outputs(weights, inputs)
    runs = runs.assign(lost=lost)
    all_runs = [((), runs)] if len(runs) else []
    groups: Any = runs.groupby(list(keys), dropna=False) if keys else all_runs
    rows = []
    for values, group in groups:
        own = [outputs[each] for each in group["run_id"] if each in outputs]
        if len({each.shape for each in own}) > 1:
            raise SpecError(
                f"{store.root}: by = {show(list(keys))} leaves networks of several numbers of "
                'outputs in one group; name what tells them apart, such as "problem.signal_dim".'
            )
        rows.append(
            {
                **dict(zip(keys, values, strict=True)),
                "num_runs": len(group),
                "num_diverged": int(group["lost"].sum()),
                "num_planned_missing": int((group["status"] == "planned").sum()),
                **variance_of(np.stack(own) if own else np.zeros((0, 1, 1))),
            }
        )
    columns = [*keys, "num_runs", "num_diverged", "num_planned_missing", *_STATISTICS]
    return pd.DataFrame(rows, columns=columns)


def _lost(runs: Any, step: int | None) -> np.ndarray:
    """Return which runs had diverged at a step, or in the end."""
    lost = (runs["status"] == "diverged").to_numpy(dtype=bool)
    if step is None:
        return lost
    return lost & (runs["diverged_step"].fillna(0) <= step).to_numpy(dtype=bool)


def _by_batch(store: Store, runs: Any) -> Iterator[dict[str, Any]]:
    """Yield runs as dictionaries, those of a batch, whose weights are read at once, together."""
    table = store.runs_table(["run_id", "batch"]).to_pandas().set_index("run_id")["batch"]
    order = table.loc[runs["run_id"]].to_numpy().argsort(kind="stable")
    for start in range(0, len(order), _AT_ONCE):
        yield from runs.iloc[order[start : start + _AT_ONCE]].to_dict("records")


def _check_room(store: Store, runs: Any, inputs: np.ndarray) -> None:
    """Refuse outputs that would fill the memory."""
    # Not every problem has the setting, and no runs have no largest one.
    known = runs["problem.signal_dim"].dropna() if "problem.signal_dim" in runs else ()
    widest = max(known, default=1)
    needed, free = 8 * len(runs) * inputs.shape[1] * int(widest), available_memory()
    if needed > free:
        raise StoreError(
            f"{store.root}: what {len(runs)} networks make of {inputs.shape[1]} inputs takes "
            f"{said(needed)} and {said(free)} are free; give fewer inputs."
        )
