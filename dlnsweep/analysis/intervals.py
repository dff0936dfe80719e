"""The intervals that a sweep with [sweep.until] asks for, as a table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from dlnsweep.analysis.sequential import Numbers, Stand, follow, looks
from dlnsweep.analysis.success import succeeded_in_the_end
from dlnsweep.errors import SpecError, StoreError
from dlnsweep.results import Results
from dlnsweep.results.joined import SWEEP, Joined, opened, together
from dlnsweep.results.wide_tables import fitted
from dlnsweep.settings.success import kept_conditions
from dlnsweep.settings.until import Until
from dlnsweep.spec.until import Row, compared_with, is_asked

NARROW, MOST, RUNNING = "narrow", "most_seeds", "running"


def outcomes(runs: pd.DataFrame, until: Until) -> Numbers:
    """Return the number of each run that enters an estimate; NaN where it has none.

    Args:
        runs: Of `Results.runs`, without those that are only planned.
        until: Says what is estimated: 1 and 0 for success and failure; a run that diverged has
            failed, and enters no median.
    """
    if until.success is not None:
        return succeeded_in_the_end(runs, until.success).astype(float)
    if not len(runs):
        # Of no runs there are no final values.
        return np.zeros(0)
    final = np.asarray(runs[f"final_{until.observable}"], dtype=float)
    well = np.array(runs["status"] != "diverged") & np.isfinite(final)
    return np.where(well, final, np.nan)


def stands(
    keys: Sequence[str], values: Mapping[Row, Numbers], until: Until, first: int
) -> Iterator[tuple[Row, Stand]]:
    """Yield how far the looks are at each combination of which an interval is asked.

    Args:
        keys: The settings that vary.
        values: For each combination the outcomes of its seeds 0, 1, ..., as far as they are done.
        until: What is asked for.
        first: Seeds of the first look.
    """
    for row, own in values.items():
        if not is_asked(keys, row, until):
            continue
        if not until.against:
            yield row, follow(until, [own], first, len(own))
            continue
        for base, other in _bases(values, compared_with(keys, row, until)):
            done = min(len(own), len(other))
            # What the combination does not use tells which of several it is compared with.
            shown = tuple(
                there if here is None else here for here, there in zip(row, base, strict=True)
            )
            yield shown, follow(until, [own[:done], other[:done]], first, done)


def _bases(values: Mapping[Row, Numbers], wanted: Row) -> list[tuple[Row, Numbers]]:
    """Return the combinations that one is compared with, and their outcomes.

    What a combination does not use stands as None in a folder: there can be several then.
    """
    if wanted in values:
        return [(wanted, values[wanted])]
    found = [
        (row, own)
        for row, own in values.items()
        if all(a is None or b is None or a == b for a, b in zip(row, wanted, strict=True))
    ]
    return found or [(wanted, np.zeros(0))]


def intervals(folder: Any) -> pd.DataFrame:
    """Return what a sweep that adds seeds has found, and how surely.

    Args:
        folder: The results folder, its `Results`, or several as `concat` joins them.

    Returns:
        One row a combination of which an interval is asked: the settings that vary (of several
        sweeps "sweep" before them); num_seeds,
        those that were looked at; num_values, how many of them enter (diverged runs enter no
        median); estimate; low and high, the ends of the interval, which hold the truth with the
        probability asked for, whenever the rounds stop; ended: "narrow", "most_seeds", or "running"
        while more seeds are needed.

    Raises:
        SpecError: If a sweep asks for none.
        StoreError: If the folder is damaged.
    """
    results = opened(folder)
    if isinstance(results, Joined):
        return together(list(results.parts), [intervals(part) for part in results.parts.values()])
    until, keys, first = asked(results.sweep, results.settings)
    return intervals_of(results.runs(unused=True), until, keys, first)


def intervals_of(runs: pd.DataFrame, until: Until, keys: list[str], first: int) -> pd.DataFrame:
    """Return the table of `intervals` of some runs.

    Args:
        runs: Of `Results.runs`.
        until: What is asked for.
        keys: The settings that vary.
        first: Seeds of the first look.
    """
    rows = []
    for row, stand in stands(keys, _by_combination(runs, until, keys), until, first):
        found = stand.estimate
        rows.append(
            {
                **dict(zip(keys, row, strict=True)),
                "num_seeds": stand.seeds,
                "num_values": found.num_values,
                "estimate": found.value,
                "low": found.low,
                "high": found.high,
                "ended": RUNNING if stand.needs else NARROW if stand.narrow else MOST,
            }
        )
    return pd.DataFrame(rows)


def _by_combination(runs: Any, until: Until, keys: list[str]) -> dict[Row, Numbers]:
    """Return the outcomes of each combination's seeds, as far as they are done without a gap."""
    runs = runs[runs["seed"] < until.most_seeds].sort_values("seed", kind="stable")
    done = (runs["status"] != "planned").to_numpy()
    number = np.full(len(runs), np.nan)
    number[done] = outcomes(runs[done], until)
    runs = runs.assign(is_done=done, number=number)
    groups: Any = runs.groupby(keys, dropna=False, sort=True) if keys else [((), runs)]
    found: dict[Row, Numbers] = {}
    for row, group in groups:
        whole = group["is_done"].to_numpy() & (group["seed"].to_numpy() == np.arange(len(group)))
        count = len(whole) if whole.all() else int(np.argmin(whole))
        # What a combination does not use is NaN, which is not equal to itself.
        plain = tuple(None if pd.isna(each) else each for each in row)
        found[plain] = group["number"].to_numpy()[:count]
    return found


def asked(sweep: Mapping[str, Any], settings: Collection[str]) -> tuple[Until, list[str], int]:
    """Return what a folder's sweep asks for, its axes, and how many seeds it begins with.

    Args:
        sweep: The content of `sweep.json`.
        settings: The settings of its runs.

    Raises:
        SpecError: If it asks for nothing.
        StoreError: If the folder is damaged.
    """
    record, name = sweep["sweep"], sweep["name"]
    if record.get("until") is None:
        raise SpecError(
            f"{name}: the sweep has no [sweep.until]; `dlnsweep summary` has medians and quartiles "
            "over its seeds."
        )
    try:
        until = Until.model_validate(kept_conditions(record["until"]["asked"]))
        first = record["until"]["first"]
        keys = [key for axis in record["axes"] for key in axis]
        own = [until.observable] if until.success is None else [e.observable for e in until.success]
        known = {*keys, *own}
        whole = isinstance(first, int) and 2 <= first <= until.most_seeds
        if not whole or not known <= {*settings, *sweep["observables"]}:
            raise ValueError
    except (ValidationError, ValueError, TypeError, KeyError):
        raise StoreError(
            f"{name}: what the folder says of [sweep.until] is damaged; run the sweep again, "
            "which keeps all runs."
        ) from None
    return until, keys, first


def progress(results: Results) -> str:
    """Return how far the rounds of a sweep are, as a part of a sentence."""
    until, keys, first = asked(results.sweep, results.settings)
    found = stands(keys, _by_combination(results.runs(unused=True), until, keys), until, first)
    stood = [stand for _, stand in found]
    sizes = looks(first, until.most_seeds, until.growth)
    numbers = [sizes.index(stand.needs) for stand in stood if stand.needs]
    rounds = f" (round {min(numbers)} of at most {len(sizes) - 1})" if numbers else ""
    return f"{told(stood, until)}{rounds}"


def told(found: Sequence[Stand], until: Until) -> str:
    """Return how many intervals are narrow enough, and what is left, as a part of a sentence."""
    narrow = sum(stand.narrow for stand in found)
    needs = [stand.needs for stand in found if stand.needs]
    ended = len(found) - narrow - len(needs)
    text = f"{narrow} of {len(found)} intervals are narrow enough"
    if ended:
        text += f", {ended} not with {until.most_seeds} seeds"
    if needs:
        text += f", {len(needs)} need more seeds"
    return text


def asked_text(results: Results | Joined) -> str:
    """Return what is asked for, a line; of several sweeps one of each, where they differ."""
    parts = results.parts if isinstance(results, Joined) else {results.name: results}
    found = {
        name: f"until {asked(part.sweep, part.settings)[0].sentence}"
        for name, part in parts.items()
    }
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return "\n".join(f"{name}: {text}" for name, text in found.items())


def intervals_text(table: pd.DataFrame, asked_for: str, width: int = 10**6) -> str:
    """Return the table for a terminal, below what `asked_text` says."""
    keys = [name for name in table.columns if name == SWEEP or "." in name]
    ends = ("estimate", "low", "high")
    shown = table.assign(**{k: [f"{v:.6g}" for v in table[k]] for k in ends if k in table})
    return f"{asked_for}\n\n{fitted(shown, keys, width)}"
