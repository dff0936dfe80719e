"""The bootstrap interval of a median, against a plain loop and against what it must cover."""

from __future__ import annotations

import numpy as np

from dlnsweep.analysis.bootstrap import RESAMPLES, median_interval


def plain_interval(values: np.ndarray, level: float) -> tuple[float, float]:
    # The definition, in loops: the same generator and order of draws, nothing else shared.
    rng = np.random.Generator(np.random.PCG64(20250222))
    draws = rng.integers(0, len(values), size=(RESAMPLES, len(values)))
    medians = sorted(float(np.median([values[i] for i in row])) for row in draws)
    ends = []
    for share in ((1 - level) / 2, (1 + level) / 2):
        # Linear interpolation between order statistics.
        place = share * (len(medians) - 1)
        below, part = int(place), place - int(place)
        ends.append(
            medians[below] + part * (medians[min(below + 1, RESAMPLES - 1)] - medians[below])
        )
    return ends[0], ends[1]


def test_it_is_the_percentile_interval():
    rng = np.random.default_rng(1)
    table = rng.exponential(size=(3, 11))
    low, high = median_interval(table, 0.9)
    for row, values in enumerate(table):
        # Sums and products of a few numbers of order one.
        np.testing.assert_allclose((low[row], high[row]), plain_interval(values, 0.9), rtol=1e-13)


def test_runs_without_a_value_are_left_out():
    table = np.array([[1.0, np.nan, 3.0, 2.0], [np.nan, np.nan, np.nan, np.nan]])
    low, high = median_interval(table)
    alone = median_interval(table[:1, [0, 2, 3]])
    assert (low[0], high[0]) == (alone[0][0], alone[1][0])
    assert np.isnan(low[1])
    assert np.isnan(high[1])


def test_vectors_and_many_points_are_treated_entry_by_entry():
    rng = np.random.default_rng(2)
    # More values than are taken at once.
    table = rng.normal(size=(40, 60, 3))
    low, high = median_interval(table)
    assert low.shape == high.shape == (40, 3)
    once = median_interval(table[17:18, :, 1])
    assert (low[17, 1], high[17, 1]) == (once[0][0], once[1][0])


def test_it_covers_the_median():
    # 1000 samples of 20 lognormal runs: the interval's coverage is known to be some 94 %. The
    # binomial standard deviation is 0.8 %; outside of 91 to 97 % by chance once in 1000.
    rng = np.random.default_rng(3)
    table = rng.lognormal(size=(1000, 20))
    low, high = median_interval(table)
    covered = np.mean((low <= 1) & (high >= 1))
    assert 0.91 < covered < 0.97


def test_one_run_has_an_interval_of_no_length():
    low, high = median_interval(np.array([[2.0]]))
    assert (low[0], high[0]) == (2.0, 2.0)
