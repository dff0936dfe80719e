"""Between which values of a setting half of the runs succeed: an interval that supposes no law.

At a value x let n seeds have runs, k of them such that all succeed and m such that none does, and

    r = min {r : P(Binomial(n, 1/2) >= r) <= (1 - level) / 2}.

Then k >= r tells that the probability p(x) that a run succeeds is above 1/2, and m >= r that it is
below: the sign test. Runs of one seed share its random numbers and count as one. That all of them
succeed is no likelier than that one of them does, so that the test of k errs as seldom as that of
single runs, whatever they share; so does that of m. The interval reaches from the last value,
counted from the left, up to which each is on its one side by this test, to the first, counted from
the right, from which each is on the other side.

Let p rise or fall with x. The interval misses the truth on a side only if the test errs at the
nearest value beyond it, which it does with a probability of at most (1 - level) / 2, whatever the
law is. Where each seed succeeds up to a threshold of its own this is the interval of Thompson 1936
for their median by order statistics, rounded outwards to values that were tried, and it holds,
too, where those were chosen by earlier outcomes: beyond the truth no count is further on the
wrong side than at it.

Thompson, W. R. (1936). On confidence ranges for the median and other expectation distributions for
populations of unknown distribution form. Annals of Mathematical Statistics 7, 122.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

Numbers = NDArray[np.float64]

# Sums of binomial probabilities are rounded by less.
_ROUNDING = 1e-12


def least_wins(tries: Numbers, level: float) -> Numbers:
    """Return r: of so many tries, how many successes tell that success is likelier than not.

    Args:
        tries: n, how many runs; 1 or more.
        level: Of the interval, between 0 and 1.

    Returns:
        r, one a number of tries; n + 1 where not even n of n tell.
    """
    # isf is the least r with P(S > r) <= the tail.
    return 1 + binom.isf((1 - level) / 2 * (1 + _ROUNDING), tries, 0.5)


def fewest_tries(level: float) -> int:
    """Return how many runs at a value it takes at least for an end of the interval."""
    return int(np.ceil(1 - np.log2(1 - level)))


def trend(x: Numbers, wins: Numbers, tries: Numbers) -> float:
    """Return what has the sign of the slope of a logistic fit; 0 where all runs end alike.

    It is the derivative of the fit's likelihood at slope zero.

    Args:
        x: The setting's values, positive and ascending, (values,).
        wins: How many runs succeed at each, (values,).
        tries: Of how many, 1 or more, (values,).
    """
    share = wins.sum() / tries.sum()
    return float((wins - tries * share) @ np.log(x)) if 0 < share < 1 else 0.0


def half_interval(
    x: Numbers, wins: Numbers, losses: Numbers, tries: Numbers, level: float, slope: float
) -> tuple[float, float]:
    """Return the interval of the value at which half of the runs succeed.

    Args:
        x: The setting's values, positive and ascending, (values,).
        wins: Of how many seeds all runs succeed at each, (values,).
        losses: Of how many none does, (values,).
        tries: How many seeds have runs there, 1 or more, (values,).
        level: How often it holds the truth at least.
        slope: Above 0 if success is likelier at larger values, below if at smaller; 0: unknown.

    Returns:
        Two of the values; 0 in place of the lower end and infinity in place of the upper one where
        no value is surely on that side.
    """
    if slope == 0:
        return 0.0, float("inf")
    enough = least_wins(tries, level)
    likelier, rarer = wins >= enough, losses >= enough
    before, after = (rarer, likelier) if slope > 0 else (likelier, rarer)
    left = int(np.argmin(np.append(before, False)))
    right = int(np.argmin(np.append(after[::-1], False)))
    low = float(x[left - 1]) if left else 0.0
    high = float(x[len(x) - right]) if right else float("inf")
    return low, high
