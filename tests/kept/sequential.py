"""How often the intervals of [sweep.until] miss the truth, in simulated sweeps: a kept table.

python -m tests.kept.sequential --csv FILE

Each sweep draws as many values as its rounds ask for, from a law whose truth is known, and stops
as `dlnsweep.analysis.sequential.follow` says. Beside it: the same looks, each with the exact
interval of one look alone, which is what peeking does.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from dlnsweep.analysis.sequential import estimate, follow, looks
from dlnsweep.settings.until import Until

FIRST, MOST, SWEEPS = 10, 400, 1000
Draw = Callable[[np.random.Generator], list[np.ndarray]]


def _normal(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.normal(size=MOST)]


def _lognormal(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.lognormal(sigma=2.0, size=MOST)]


def _few_values(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.integers(0, 5, size=MOST).astype(float)]


def _diverging(rng: np.random.Generator) -> list[np.ndarray]:
    values = rng.normal(size=MOST)
    return [np.where(rng.random(MOST) < 0.3, np.nan, values)]


def _chance(rng: np.random.Generator) -> list[np.ndarray]:
    return [(rng.random(MOST) < 0.8).astype(float)]


def _rare(rng: np.random.Generator) -> list[np.ndarray]:
    return [(rng.random(MOST) < 0.02).astype(float)]


def _pairs(rng: np.random.Generator) -> list[np.ndarray]:
    shared = rng.normal(size=MOST)
    return [shared + 0.3 * rng.normal(size=MOST) + 1.0, shared]


_MEDIAN = {"observable": "loss", "most_seeds": MOST}
_SUCCESS = {"success": "finished", "most_seeds": MOST}
_AGAINST = {**_MEDIAN, "against": {"network.depth": 2}}
# What is estimated, of what, its truth, and how it is asked for.
CASES: list[tuple[str, str, Draw, float, Until]] = [
    ("median", "normal", _normal, 0.0, Until(**_MEDIAN, width=0.4)),
    ("median", "lognormal", _lognormal, 1.0, Until(**_MEDIAN, width=0.8, relative=True)),
    ("median", "five values", _few_values, 2.0, Until(**_MEDIAN, width=0.5)),
    ("median", "normal, 30 % diverged", _diverging, 0.0, Until(**_MEDIAN, width=0.4)),
    ("success", "frequent, 0.8", _chance, 0.8, Until(**_SUCCESS, width=0.15)),
    ("success", "rare, 0.02", _rare, 0.02, Until(**_SUCCESS, width=0.15)),
    ("difference in pairs", "normal", _pairs, 1.0, Until(**_AGAINST, width=0.12)),
    (
        "difference of medians",
        "normal",
        _pairs,
        1.0,
        Until(**_AGAINST, width=0.8, difference="medians"),
    ),
]  # fmt: skip


def _peeks(until: Until, samples: list[np.ndarray], truth: float) -> bool:
    """Return whether peeking, with the interval of one look at each, stops at a wrong one."""
    found = estimate(until, samples, [FIRST])
    for size in looks(FIRST, MOST, until.growth):
        alone = until.model_copy(update={"most_seeds": size})
        found = estimate(alone, [each[:size] for each in samples], [size])
        if found.is_within(until.width, relative=until.relative):
            return not found.low <= truth <= found.high
    return not found.low <= truth <= found.high


def simulate() -> pd.DataFrame:
    """Return one row a case: in how many of the sweeps an interval missed the truth."""
    rows = []
    for number, (what, law, draw, truth, until) in enumerate(CASES):
        rng = np.random.default_rng(number)
        sizes = looks(FIRST, MOST, until.growth)
        at_stop = at_any = peeking = narrow = 0
        seeds = []
        for _ in range(SWEEPS):
            samples = draw(rng)
            stand = follow(until, samples, FIRST, MOST)
            found = [estimate(until, samples, sizes[:k]) for k in range(1, len(sizes) + 1)]
            misses = [not each.low <= truth <= each.high for each in found]
            at_any += any(misses)
            at_stop += misses[sizes.index(stand.seeds)]
            peeking += _peeks(until, samples, truth)
            narrow += stand.narrow
            seeds.append(stand.seeds)
        rows.append(
            {
                "estimated": what,
                "of": law,
                "sweeps": SWEEPS,
                "missed_at_stop": at_stop,
                "missed_at_any_look": at_any,
                "missed_by_peeking": peeking,
                "narrow": narrow,
                "mean_seeds": round(math.fsum(seeds) / SWEEPS, 1),
            }
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path, required=True)
    simulate().to_csv(parser.parse_args().csv, index=False)
