"""The interval of where half of the runs succeed, against sums of its own and order statistics."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from dlnsweep.analysis.half import fewest_tries, half_interval, least_wins

LEVEL = 0.95


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
        assert half_interval(x, wins, np.full(3, n), LEVEL) == ends


@pytest.mark.parametrize("seeds", [6, 9, 20, 101])
@pytest.mark.parametrize("rising", [False, True])
def test_thresholds_on_a_fine_grid_give_the_interval_of_order_statistics(seeds: int, rising: bool):
    rng = np.random.default_rng(seeds)
    thresholds = np.sort(np.exp(0.3 * rng.normal(size=seeds)))
    x = np.exp(np.linspace(-3, 3, 6001))
    wins = (x[:, None] >= thresholds if rising else x[:, None] < thresholds).sum(axis=1)
    low, high = half_interval(x, wins.astype(float), np.full(len(x), float(seeds)), LEVEL)
    rank = seeds - int(least_wins(np.array(float(seeds)), LEVEL))
    # Rounded outwards, by a step of the grid at most.
    assert low < thresholds[rank] <= low * 1.0011
    assert thresholds[seeds - 1 - rank] <= high <= thresholds[seeds - 1 - rank] * 1.0011


def test_a_count_on_the_wrong_side_ends_the_run_of_sure_values():
    x = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    tries = np.full(5, 20.0)
    # 10 of 20 at 2: 4 is sure, but what is nearer than it to the end is not.
    assert half_interval(x, np.array([1.0, 10, 2, 19, 20]), tries, LEVEL) == (1.0, 8.0)
    assert half_interval(x, np.array([20.0, 19, 2, 10, 1]), tries, LEVEL) == (2.0, 16.0)


def test_what_lies_outside_of_the_values_has_one_end():
    x, tries = np.array([1.0, 2.0, 4.0]), np.full(3, 10.0)
    assert half_interval(x, tries, tries, LEVEL) == (0.0, 1.0)
    assert half_interval(x, 0 * tries, tries, LEVEL) == (4.0, np.inf)
    assert half_interval(x, np.array([10.0, 10, 6]), tries, LEVEL) == (2.0, np.inf)


def test_values_may_have_different_numbers_of_runs():
    x = np.array([1.0, 2.0, 4.0])
    assert half_interval(x, np.array([3.0, 0, 9]), np.array([3.0, 10, 10]), LEVEL) == (0.0, 4.0)


def test_runs_that_succeed_by_chance_are_held_as_often_as_is_said():
    """Each run by its own chance, the truth on a value of the grid, where a miss is likeliest."""
    rng, held, repeats = np.random.default_rng(3), 0, 2000
    x = np.exp(np.linspace(-2, 2, 21))
    chances = 1 / (1 + x**-4.0)
    tries = np.full(len(x), 30.0)
    for _ in range(repeats):
        wins = rng.binomial(30, chances).astype(float)
        low, high = half_interval(x, wins, tries, LEVEL)
        held += low <= 1.0 <= high
    # Three standard deviations of a share of 2 000 below what is said.
    assert held / repeats >= LEVEL - 3 * np.sqrt(LEVEL * (1 - LEVEL) / repeats)
