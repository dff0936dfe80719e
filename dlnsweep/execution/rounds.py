"""The rounds of a sweep: each is the sweep before it and more runs.

Which runs a round adds is a function of the ends of the rounds' runs before it and of nothing else:
a sweep that was stopped, or that runs again, goes through the same rounds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

from dlnsweep.errors import SpecError
from dlnsweep.execution.looks import Look
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store

if TYPE_CHECKING:
    from dlnsweep.results import Results

# The tables of [sweep] that ask for rounds.
_KINDS = ("refine", "until")


def _look(kind: str, sweep: Sweep, results: Results, number: int) -> Look:
    """Look at the ends of a round's runs."""
    # Statistics bring pandas, which a sweep without rounds does not wait for.
    from dlnsweep.execution import adding, refining

    return {"refine": refining.look, "until": adding.look}[kind](sweep, results, number)


def _kind(sweep: Sweep) -> str:
    """Return the table of [sweep] that asks for rounds; empty if none does."""
    return next((name for name in _KINDS if getattr(sweep.options, name) is not None), "")


def progress(results: Results) -> str:
    """Return how far a folder's rounds are, as a part of a sentence; empty if it has none.

    Raises:
        StoreError: If the folder is damaged.
    """
    from dlnsweep.analysis import boundaries, intervals

    record = results.sweep["sweep"]
    kinds = {"refine": boundaries.progress, "until": intervals.progress}
    return next((told(results) for name, told in kinds.items() if record.get(name)), "")


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
    if not kind:
        return store
    from dlnsweep.results import open_results

    for number in itertools.count(1):
        found = _look(kind, sweep, open_results(store.root), number)
        following = found.following
        if following is None:
            tell(found.told)
            break
        more = following.num_runs - sweep.num_runs
        tell(f"round {number} of at most {found.most}: {found.told}; {more} more runs")
        sweep, store = following, compute(following)
    return store
