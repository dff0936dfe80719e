"""Intervals that are looked at again and again while runs are added, with one error probability.

Looks are taken after n_1 < n_2 < ... < n_K = N runs, which are fixed beforehand. Of the error
probability a, a(t) = a ln(1 + (e - 1) t) may be spent up to the look at t = n_k / N (Lan and DeMets
1983, the function of Pocock's type). Then, whatever rule says at which look to stop,

    P(some look's interval misses the truth) <= a(1) = a.

**Median.** M is below the r-th smallest of m values only if fewer than r of them are at most M. How
many are, over the looks, is a walk with steps Binomial(m_k - m_{k-1}, p), p >= 1/2 (p = 1/2 if
values do not repeat), so that for

    r_k = max r:  sum_{j <= k} P(S_1 >= r_1, ..., S_{j-1} >= r_{j-1}, S_j < r_j) <= a(t_k) / 2

at p = 1/2 the probability that any look's X_(r_k) is above M is at most a / 2, and so, from above,
for X_(m - r + 1). The sum is computed exactly, by the distribution of the walk. Values that are
missing, of diverged runs, say, are none of the m; the interval is for the median of the others,
whose number may be random but not chosen by their sizes.

**Success.** The interval of Clopper and Pearson 1934, at look k with a(t_k) - a(t_{k-1}).

**Difference of two medians.** Each with a / 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dlnsweep.settings.until import Until

Numbers = NDArray[np.float64]

# What rounding may add to sums of some ten thousand probabilities.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Estimate:
    """What a look shows.

    Attributes:
        value: The estimate; NaN without a value.
        low: The lower end of the interval; minus infinity where runs are too few for one.
        high: The upper end.
        num_values: How many values enter.
    """

    value: float
    low: float
    high: float
    num_values: int

    def is_within(self, width: float, *, relative: bool) -> bool:
        """Return whether the ends are no further apart than `width`, or that share of the value."""
        return self.high - self.low <= width * (abs(self.value) if relative else 1.0)


@dataclass(frozen=True)
class Stand:
    """How far the looks at one combination are.

    Attributes:
        seeds: How many seeds the last look took; 0 before the first.
        estimate: What it showed.
        needs: How many seeds the next one takes; 0 if none follows.
        narrow: Whether the interval is narrow enough.
    """

    seeds: int
    estimate: Estimate
    needs: int
    narrow: bool


def looks(first: int, most: int, growth: float) -> tuple[int, ...]:
    """Return after how many seeds looks are taken.

    Args:
        first: Seeds of the first look.
        most: Seeds of the last one.
        growth: The factor between two, rounded up.
    """
    found = [min(first, most)]
    while found[-1] < most:
        found.append(min(most, max(found[-1] + 1, math.ceil(growth * found[-1]))))
    return tuple(found)


def spent(alpha: float, share: float) -> float:
    """Return the error probability that may be spent up to a share of all runs."""
    return alpha * math.log1p((math.e - 1) * share)


@lru_cache(maxsize=4096)
def ranks(counts: tuple[int, ...], shares: tuple[float, ...], alpha: float) -> tuple[int, ...]:
    """Return for each look the rank r of the value that bounds the median from below; 0: none.

    Args:
        counts: How many values each look has, ascending.
        shares: The share of all runs that each look has.
        alpha: The error probability of this side.
    """
    alive, before, used, found = np.ones(1), 0, 0.0, []
    for count, share in zip(counts, shares, strict=True):
        # P(the walk is at s, and was never below a rank).
        alive = np.convolve(alive, _fair(count - before))
        below = used + np.concatenate([[0.0], np.cumsum(alive)])
        allowed = spent(alpha, share) * (1 - _ROUNDING)
        rank = min(int(np.searchsorted(below, allowed, side="right")) - 1, (count + 1) // 2)
        used = float(below[rank])
        alive[:rank] = 0.0
        found.append(rank)
        before = count
    return tuple(found)


def _fair(count: int) -> Numbers:
    """Return the probabilities of 0, ..., count heads."""
    logs = np.array([math.lgamma(i + 1) for i in range(count + 1)])
    return np.exp(logs[-1] - logs - logs[::-1] - count * math.log(2))


def median_of(values: Numbers, sizes: Sequence[int], most: int, alpha: float) -> Estimate:
    """Return the median and its interval at the last of some looks.

    Args:
        values: One a seed, in the order of the seeds; NaN where there is none.
        sizes: How many seeds each look so far has taken.
        most: Those of the last look that there can be.
        alpha: The error probability of all looks.
    """
    there = np.isfinite(values)
    counts = tuple(int(there[:size].sum()) for size in sizes)
    rank = ranks(counts, tuple(size / most for size in sizes), alpha / 2)[-1]
    own = np.sort(values[: sizes[-1]][there[: sizes[-1]]])
    middle = float(np.median(own)) if len(own) else math.nan
    if not rank:
        return Estimate(middle, -math.inf, math.inf, len(own))
    return Estimate(middle, float(own[rank - 1]), float(own[-rank]), len(own))


def share_of(values: Numbers, sizes: Sequence[int], most: int, alpha: float) -> Estimate:
    """Return the share of success and its interval; as for `median_of`, values 0 and 1."""
    from scipy.special import betaincinv

    before = sizes[-2] / most if len(sizes) > 1 else 0.0
    tail = (spent(alpha, sizes[-1] / most) - spent(alpha, before)) / 2
    count, passed = sizes[-1], int(values[: sizes[-1]].sum())
    low = float(betaincinv(passed, count - passed + 1, tail)) if passed else 0.0
    high = float(betaincinv(passed + 1, count - passed, 1 - tail)) if passed < count else 1.0
    return Estimate(passed / count, low, high, count)


def estimate(until: Until, samples: Sequence[Numbers], sizes: Sequence[int]) -> Estimate:
    """Return what the last of some looks shows of what a sweep asks for.

    Args:
        until: What it asks for.
        samples: The values of the combination, one a seed; and those of the one that it is compared
            with, if it is.
        sizes: How many seeds each look so far has taken.
    """
    alpha, most = 1 - until.level, until.most_seeds
    if len(samples) == 2 and until.difference == "medians":
        own, other = (median_of(each, sizes, most, alpha / 2) for each in samples)
        return Estimate(
            own.value - other.value,
            own.low - other.high,
            own.high - other.low,
            min(own.num_values, other.num_values),
        )
    size = sizes[-1]
    values = samples[0][:size] - samples[1][:size] if len(samples) == 2 else samples[0][:size]
    of = median_of if until.success is None else share_of
    return of(values, sizes, most, alpha)


def follow(until: Until, samples: Sequence[Numbers], first: int, done: int) -> Stand:
    """Return how far the looks at a combination are, from its runs alone.

    Args:
        until: What is asked for.
        samples: As for `estimate`.
        first: Seeds of the first look.
        done: How many seeds of it are done.
    """
    sizes = looks(first, until.most_seeds, until.growth)
    found, seeds = Estimate(math.nan, -math.inf, math.inf, 0), 0
    for number, size in enumerate(sizes, 1):
        if size > done:
            return Stand(seeds, found, size, narrow=False)
        found, seeds = estimate(until, samples, sizes[:number]), size
        if found.is_within(until.width, relative=until.relative):
            return Stand(seeds, found, 0, narrow=True)
    return Stand(seeds, found, 0, narrow=False)
