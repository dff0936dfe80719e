"""The interval of where half of the runs succeed, against sums of its own and order statistics."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from dlnsweep.analysis.half import fewest_tries, half_interval, least_wins, trend

LEVEL = 0.95


def interval(x: np.ndarray, wins: np.ndarray, tries: np.ndarray) -> tuple[float, float]:
    """Of one run a seed."""
    return half_interval(x, wins, tries - wins, tries, LEVEL, trend(x, wins, tries))


def tail(n: int, r: int) -> float:
    """P(Binomial(n, 1/2) >= r), in whole numbers."""
    return sum(comb(n, k) for k in range(r, n + 1)) / 2**n


def test_the_least_wins_are_the_first_that_a_fair_coin_rarely_has():
    numbers = range(1, 200)
    for n, r in zip(numbers, least_wins(np.array(numbers, dtype=float), LEVEL), strict=True):
        assert r == next(k for k in range(n + 2) if tail(n, k) <= (1 - LEVEL) / 2)


def test_fewer_than_six_runs_have_no_end():
    assert fewest_tries(LEVEL) == 6
    x = np.array([1.0, 2.0, 3.0])
    for n, ends in ((5.0, (0.0, np.inf)), (6.0, (1.0, 3.0))):
        wins = np.array([0.0, n // 2, n])
        assert interval(x, wins, np.full(3, n)) == ends


@pytest.mark.parametrize("seeds", [6, 9, 20, 101])
@pytest.mark.parametrize("rising", [False, True])
def test_thresholds_on_a_fine_grid_give_the_interval_of_order_statistics(seeds: int, rising: bool):
    rng = np.random.default_rng(seeds)
    thresholds = np.sort(np.exp(0.3 * rng.normal(size=seeds)))
    x = np.exp(np.linspace(-3, 3, 6001))
    wins = (x[:, None] >= thresholds if rising else x[:, None] < thresholds).sum(axis=1)
    low, high = interval(x, wins.astype(float), np.full(len(x), float(seeds)))
    rank = seeds - int(least_wins(np.array(float(seeds)), LEVEL))
    # Rounded outwards, by a step of the grid at most.
    assert low < thresholds[rank] <= low * 1.0011
    assert thresholds[seeds - 1 - rank] <= high <= thresholds[seeds - 1 - rank] * 1.0011


def test_a_count_on_the_wrong_side_ends_the_run_of_sure_values():
    x = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    tries = np.full(5, 20.0)
    # 10 of 20 at 2: 4 is sure, but what is nearer than it to the end is not.
    assert interval(x, np.array([1.0, 10, 2, 19, 20]), tries) == (1.0, 8.0)
    assert interval(x, np.array([20.0, 19, 2, 10, 1]), tries) == (2.0, 16.0)


def test_what_lies_outside_of_the_values_has_one_end():
    x, tries = np.array([1.0, 2.0, 4.0]), np.full(3, 10.0)
    for all_or_none, low_if_rising in ((tries, True), (0 * tries, False)):
        for slope in (-1.0, 1.0):
            ends = (0.0, 1.0) if low_if_rising is (slope > 0) else (4.0, np.inf)
            found = half_interval(x, all_or_none, tries - all_or_none, tries, LEVEL, slope)
            assert found == ends
        # On which side it is these runs do not tell.
        assert interval(x, all_or_none, tries) == (0.0, np.inf)
    assert interval(x, np.array([10.0, 10, 6]), tries) == (2.0, np.inf)


def test_values_may_have_different_numbers_of_runs():
    x = np.array([1.0, 2.0, 4.0])
    assert interval(x, np.array([3.0, 0, 9]), np.array([3.0, 10, 10])) == (0.0, 4.0)


def test_runs_that_succeed_by_chance_are_held_as_often_as_is_said():
    """Each run by its own chance, the truth on a value of the grid, where a miss is likeliest."""
    rng, held, repeats = np.random.default_rng(3), 0, 2000
    x = np.exp(np.linspace(-2, 2, 21))
    chances = 1 / (1 + x**-4.0)
    tries = np.full(len(x), 30.0)
    for _ in range(repeats):
        wins = rng.binomial(30, chances).astype(float)
        low, high = interval(x, wins, tries)
        held += low <= 1.0 <= high
    # Three standard deviations of a share of 2 000 below what is said.
    assert held / repeats >= LEVEL - 3 * np.sqrt(LEVEL * (1 - LEVEL) / repeats)


def test_runs_of_one_seed_are_no_more_evidence_than_one():
    """Each seed's runs all end alike, or each by itself: held as often as is said in both."""
    rng, repeats, seeds, runs = np.random.default_rng(4), 1000, 12, 5
    x = np.exp(np.linspace(-1, 1, 11))
    chances = 1 / (1 + x**-4.0)
    tries = np.full(len(x), float(seeds))
    for alike in (True, False):
        held = 0
        for _ in range(repeats):
            drawn = rng.random((seeds, 1 if alike else runs, len(x))) < chances
            wins, losses = (each.all(axis=1).sum(axis=0).astype(float) for each in (drawn, ~drawn))
            low, high = half_interval(x, wins, losses, tries, LEVEL, 1.0)
            held += low <= 1.0 <= high
        assert held / repeats >= LEVEL - 3 * np.sqrt(LEVEL * (1 - LEVEL) / repeats)
