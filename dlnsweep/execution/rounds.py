"""The rounds of a sweep: each is the sweep before it and more runs.

Which runs a round adds is a function of the ends of the rounds' runs before it and of nothing else:
a sweep that was stopped, or that runs again, goes through the same rounds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from dlnsweep.analysis import boundaries, intervals
from dlnsweep.errors import SpecError
from dlnsweep.execution import adding, refining
from dlnsweep.execution.looks import Look
from dlnsweep.results import Results, open_results
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store

# What looks at the ends of a round's runs, by the table of [sweep] that asks for it.
_KINDS: dict[str, Callable[[Sweep, Results, int], Look]] = {
    "refine": refining.look,
    "until": adding.look,
}
_PROGRESS: dict[str, Callable[[Results], str]] = {
    "refine": boundaries.progress,
    "until": intervals.progress,
}


def _kind(sweep: Sweep) -> str:
    """Return the table of [sweep] that asks for rounds; empty if none does."""
    return next((name for name in _KINDS if getattr(sweep.options, name) is not None), "")


def progress(results: Results) -> str:
    """Return how far a folder's rounds are, as a part of a sentence; empty if it has none.

    Raises:
        StoreError: If the folder is damaged.
    """
    record = results.sweep["sweep"]
    return next((_PROGRESS[name](results) for name in _PROGRESS if record.get(name)), "")


def not_by_shards(sweep: Sweep) -> None:
    """Refuse shards of a sweep with rounds.

    Raises:
        SpecError: If it has any.
    """
    if kind := _kind(sweep):
        raise SpecError(
            f"a shard of a sweep with [sweep.{kind}] is asked for; each round needs all runs of "
            "the one before: run it without shards, by worker processes or --dask."
        )


def rounds(sweep: Sweep, compute: Callable[[Sweep], Store], tell: Callable[[str], None]) -> Store:
    """Compute a sweep, and round after round as long as one follows.

    Args:
        sweep: The sweep of the file.
        compute: Computes what of a sweep is not done; returns its results folder.
        tell: Told of each round in a sentence.
    """
    kind, store = _kind(sweep), compute(sweep)
    for number in itertools.count(1) if kind else ():
        found = _KINDS[kind](sweep, open_results(store.root), number)
        following = found.following
        if following is None:
            tell(found.told)
            break
        more = following.num_runs - sweep.num_runs
        tell(f"round {number} of at most {found.most}: {found.told}; {more} more runs")
        sweep, store = following, compute(following)
    return store
