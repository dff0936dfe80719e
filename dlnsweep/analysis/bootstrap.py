"""Confidence intervals of medians by the bootstrap, exactly; and resamples by a fixed key.

Draw n of the sorted values x_1 <= ... <= x_n with replacement. For odd n the resample's median is
its r-th smallest, r = (n + 1) / 2, which is at most x_i where r draws or more are among the first
i:

    P(median <= x_i) = P(Binomial(n, i / n) >= r).

For even n it is the mean of its r-th and (r + 1)-th smallest, r = n / 2. They are x_i and x_j with
i < j where the r lower draws are among the first i and reach x_i, and the others are among the last
n - j + 1 and reach x_j:

    P(i, j) = C(n, r) [(i/n)^r - ((i-1)/n)^r] [((n-j+1)/n)^r - ((n-j)/n)^r],

and what the r-th smallest has beyond them is P(i, i). Drawn resamples give these probabilities
with an error that depends on n alone under a fixed key: of 15 runs 2000 of them made the interval
shorter by the outer of its values at either side, and its coverage 88 % instead of 96 %.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]

LEVEL = 0.95
RESAMPLES = 2000
_KEY = 20250222
# Means of so many pairs of values are sorted at once (8 bytes each).
_AT_ONCE = 1 << 22
# Pairs that are less likely are left out: all together, of millions, they move no end.
_NEGLIGIBLE = 1e-14
# The r-th and the (r + 1)-th smallest are k places apart with a probability below some exp(-k).
_FURTHEST = 40
# What rounding may add to sums of some thousand probabilities.
_ROUNDING = 1e-10


@lru_cache(maxsize=64)
def resamples(count: int) -> NDArray[np.int64]:
    """Return the members of each resample of `count` runs, (RESAMPLES, count), with replacement."""
    rng = np.random.Generator(np.random.PCG64(_KEY))
    return rng.integers(0, count, size=(RESAMPLES, count))


def median_interval(table: Numbers, level: float = LEVEL) -> tuple[Numbers, Numbers]:
    """Return the percentile bootstrap interval of the median over axis 1.

    The interval's ends are the (1 -+ level) / 2 quantiles of the median of the runs drawn with
    replacement, as many as there are (Efron and Tibshirani 1993, section 13.3), of its exact law:
    the smallest numbers that it does not exceed with those probabilities. In small samples it holds
    the median of a continuous law less often than `level`: by simulation, of 95 %, 75 % at 3 runs,
    88 % at 4, 94 % at 5 and 6, 87 % at 7, from there on 93 to 97 % (normal, log-normal, Cauchy).

    Args:
        table: Values, (points, runs, ...); NaN where a run has none. Those are left out of each
            median.
        level: Coverage, between 0 and 1.

    Returns:
        The lower and upper ends, (points, ...); NaN at points that no run has.
    """
    points, runs, *rest = table.shape
    flat = np.moveaxis(table, 1, -1).reshape(-1, runs)
    low, high = (np.full(len(flat), np.nan) for _ in range(2))
    # Runs that a point does not have are none of its sample.
    counts = np.isfinite(flat).sum(axis=1)
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        first, second, weights = _law(int(count))
        for part in np.array_split(rows, -(-len(rows) * max(count, len(weights)) // _AT_ONCE)):
            values = flat[part]
            values = np.sort(values[np.isfinite(values)].reshape(len(part), int(count)), axis=1)
            # Halves first: a sum of two large numbers may overflow.
            medians = 0.5 * values[:, first] + 0.5 * values[:, second]
            order = np.argsort(medians, axis=1, kind="stable")
            sums = np.cumsum(weights[order], axis=1)
            for ends, share in ((low, (1 - level) / 2), (high, (1 + level) / 2)):
                place = np.sum(sums < share * sums[:, -1:] - _ROUNDING, axis=1)
                chosen = np.take_along_axis(order, place[:, None], axis=1)
                ends[part] = np.take_along_axis(medians, chosen, axis=1)[:, 0]
    return low.reshape(points, *rest), high.reshape(points, *rest)


def most_often(count: int) -> float:
    """Return how often an interval between two of so many values holds the median at most.

    1 - 2^(1 - n), of a continuous law: all n values lie on one side of it with twice 2^-n.
    """
    return 1 - 2.0 ** (1 - count)


@lru_cache(maxsize=64)
def _law(count: int) -> tuple[Places, Places, Numbers]:
    """Return the law of the median of a resample of `count` sorted values.

    Returns:
        The places (from 0) of the two values whose mean it is, and the probability of each pair.
    """
    reached = np.diff(_at_least(count, (count + 1) // 2), prepend=0.0)
    first = np.flatnonzero(reached > _NEGLIGIBLE)
    if count % 2:
        return first, first, reached[first]
    # log of (i/n)^r - ((i-1)/n)^r, i = 1, ..., n; of the upper draws it is the same from above.
    rank, i = count // 2, np.arange(1, count + 1)
    logs = rank * np.log(i / count) + np.log1p(-((1 - 1 / i) ** rank))
    choose = math.lgamma(count + 1) - 2 * math.lgamma(rank + 1)
    gaps = np.arange(1, min(count, _FURTHEST + 1))
    firsts, seconds = np.repeat(first, len(gaps)), (first[:, None] + gaps).ravel()
    inside = seconds < count
    firsts, seconds = firsts[inside], seconds[inside]
    pairs = np.exp(choose + logs[firsts] + logs[count - 1 - seconds])
    apart = np.bincount(firsts, pairs, minlength=count)
    alike = np.maximum(reached - apart, 0.0)[first]
    return (
        np.concatenate([first, firsts]),
        np.concatenate([first, seconds]),
        np.concatenate([alike, pairs]),
    )


def _at_least(count: int, rank: int) -> Numbers:
    """Return P(Binomial(count, i / count) >= rank) for i = 1, ..., count."""
    from scipy.special import betainc

    return betainc(rank, count - rank + 1, np.arange(1, count + 1) / count)
