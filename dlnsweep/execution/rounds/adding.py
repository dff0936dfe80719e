"""The rounds of a sweep that adds seeds: each is the one before it, and more seeds where needed."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np

from dlnsweep.analysis.intervals import outcomes, stands, told
from dlnsweep.analysis.sequential import Numbers, looks
from dlnsweep.errors import SpecError
from dlnsweep.execution.rounds.looks import Look
from dlnsweep.plan.plan import expanded_ids
from dlnsweep.results import Results
from dlnsweep.settings.until import Until
from dlnsweep.spec.space import Space
from dlnsweep.spec.sweep import Sweep
from dlnsweep.spec.until import Row, compared_with


def look(sweep: Sweep, results: Results, _number: int, _planned: np.ndarray | None = None) -> Look:
    """Look at the intervals after a round.

    Args:
        sweep: The sweep of the round.
        results: Its results; only runs of this sweep are looked at.

    Raises:
        SpecError: If runs of it are not done.
    """
    until, first = sweep.options.until, sweep.options.seeds
    assert until is not None
    assert isinstance(first, int)
    keys = tuple(itertools.chain.from_iterable(sweep.axes))
    rows = list(Space(sweep.values, sweep.axes, sweep.derived).rows(keys))
    ids = expanded_ids(sweep).reshape(len(rows), len(sweep.seeds))
    # Combinations that differ only in what they do not use have the same runs.
    _, leaders, same = np.unique(ids[:, 0], return_index=True, return_inverse=True)
    counts = np.array(sweep.seed_counts or [len(sweep.seeds)] * len(rows))[leaders][same.ravel()]
    own = _outcomes(ids, counts, results, until)
    runs_of = dict(zip(rows, same.ravel().tolist(), strict=True))
    found = [
        (row, stand)
        for row, stand in stands(keys, dict(zip(rows, own, strict=True)), until, first)
        # Runs that do not use what is compared are not compared with themselves.
        if not until.against or runs_of[row] != runs_of[compared_with(keys, row, until)]
    ]
    wanted: defaultdict[Row, int] = defaultdict(int)
    for row, stand in found:
        for each in (row, compared_with(keys, row, until)):
            wanted[each] = max(wanted[each], stand.needs)
    more = np.maximum(counts, [wanted[row] for row in rows])
    # What is asked of one of several that are the same runs, all have.
    most = np.zeros(len(leaders), np.int64)
    np.maximum.at(most, same.ravel(), more)
    following = None if (most == counts[leaders]).all() else _with_seeds(sweep, leaders, most)
    text = told([stand for _, stand in found], until)
    return Look(text, following, len(looks(first, until.most_seeds, until.growth)) - 1)


def _with_seeds(sweep: Sweep, leaders: np.ndarray, counts: np.ndarray) -> Sweep:
    """Return the sweep with so many seeds in some combinations, and none in the others."""
    seeds = np.zeros(math.prod(sweep.axis_lengths), np.int64)
    seeds[leaders] = counts
    return replace(sweep, seeds=range(int(counts.max())), seed_counts=tuple(seeds.tolist()))


def _outcomes(ids: np.ndarray, counts: np.ndarray, results: Results, until: Until) -> list[Numbers]:
    """Return the outcomes of each combination's seeds."""
    runs: Any = results.runs(unused=True)
    runs = runs[runs["status"] != "planned"].sort_values("run_id")
    known = runs["run_id"].to_numpy()
    mine = np.arange(ids.shape[1]) < counts[:, None]
    places = np.searchsorted(known, ids).clip(max=max(0, len(known) - 1))
    there = known[places] == ids if len(known) else np.zeros(ids.shape, bool)
    if missing := int((mine & ~there).sum()):
        raise SpecError(f"{missing} runs of the sweep that adds seeds are not done.")
    number = outcomes(runs, until)[places]
    return [own[:count] for own, count in zip(number, counts.tolist(), strict=True)]
