"""The rounds of a sweep: each is the sweep before it and more runs.

Which runs a round adds is a function of the ends of the rounds' runs before it and of nothing else:
a sweep that was stopped, or that runs again, goes through the same rounds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dlnsweep.execution.rounds.looks import Look
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store

if TYPE_CHECKING:
    from dlnsweep.results import Results

# The tables of [sweep] that ask for rounds.
_KINDS = ("refine", "until")


def _look(kind: str, sweep: Sweep, done: Computed, number: int) -> Look:
    """Look at the ends of a round's runs."""
    # Statistics bring pandas, which a sweep without rounds does not wait for.
    from dlnsweep.execution.rounds import adding, refining
    from dlnsweep.results import open_results

    look = {"refine": refining.look, "until": adding.look}[kind]
    return look(sweep, open_results(done.store.root), number, done.run_ids)


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


@dataclass(frozen=True)
class Computed:
    """What stands in a results folder after a round.

    Attributes:
        store: The folder.
        whole: Whether all runs of the round are done: those of other shards, too.
        run_ids: The ids of the round's runs, in the order of its plan, where they are known.
    """

    store: Store
    whole: bool = True
    run_ids: np.ndarray | None = None


def has_rounds(sweep: Sweep) -> bool:
    """Tell whether a sweep asks for rounds."""
    return bool(_kind(sweep))


def rounds(
    sweep: Sweep, compute: Callable[[Sweep], Computed], tell: Callable[[str], None]
) -> Computed:
    """Compute a sweep, and round after round as long as one follows.

    A round that lacks runs of other shards ends this; once they are done the same call goes on.

    Args:
        sweep: The sweep of the file.
        compute: Computes what of a sweep is not done, or this shard's share of it.
        tell: Told of each round in a sentence.
    """
    kind, done = _kind(sweep), compute(sweep)
    if not kind:
        return done
    for number in itertools.count(1):
        if not done.whole:
            tell(
                f"runs of {_named(number - 1)} are left to other shards, and the next round "
                "follows from all of them: once they are done the same command goes on"
            )
            break
        found = _look(kind, sweep, done, number)
        following = found.following
        if following is None:
            tell(found.told)
            break
        more = following.num_runs - sweep.num_runs
        tell(f"round {number} of at most {found.most}: {found.told}; {more} more runs")
        sweep, done = following, compute(following)
    return done


def _named(number: int) -> str:
    return f"round {number}" if number else "the file's own values and seeds"
