"""The bootstrap interval of a median, against all resamples and against what it must cover."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from dlnsweep.analysis.bootstrap import median_interval, most_often


def plain_interval(values: list[float], level: float) -> tuple[float, float]:
    # The definition: every resample that there is, each as likely.
    number = len(values)
    medians = sorted(float(np.median(drawn)) for drawn in itertools.product(values, repeat=number))
    # The smallest that is not exceeded with at least this probability.
    places = [
        math.ceil(share * len(medians) - 1e-9) for share in ((1 - level) / 2, (1 + level) / 2)
    ]
    return medians[places[0] - 1], medians[places[1] - 1]


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
def test_it_is_that_of_all_resamples(number: int, level: float) -> None:
    rng = np.random.default_rng(number)
    table = rng.exponential(size=(2, number))
    table[1] = np.round(table[1])  # some are alike
    low, high = median_interval(table, level)
    for row, values in enumerate(table):
        assert (low[row], high[row]) == plain_interval(list(values), level)


@pytest.mark.parametrize("number", [15, 22, 33, 40, 101])
def test_it_is_that_of_many_resamples(number: int) -> None:
    rng = np.random.default_rng(5)
    values = np.arange(1.0, number + 1)
    medians = np.concatenate(
        [np.median(rng.choice(values, (20_000, number)), axis=1) for _ in range(5)]
    )
    for (end,), share in zip(median_interval(values[None]), (0.025, 0.975), strict=True):
        # Five standard deviations of a share among 100 000.
        slack = 5 * math.sqrt(0.025 * 0.975 / len(medians))
        assert np.mean(medians < end) < share + slack
        assert np.mean(medians <= end) > share - slack


def test_fifteen_runs_have_the_fourth_values_from_either_side() -> None:
    # P(Binomial(15, 4/15) >= 8) = 0.0255: 2000 resamples by one key said less than 0.025.
    (low,), (high,) = median_interval(np.arange(1.0, 16.0)[None])
    assert (low, high) == (4.0, 12.0)


def test_of_very_many_runs_it_is_the_binomial_interval() -> None:
    number = 100_000
    (low,), (high,) = median_interval(np.arange(1.0, number + 1)[None])
    # The median of a resample is one of the values' places, of deviation sqrt(n) / 2.
    wanted = number / 2 + np.array([-1, 1]) * 1.959964 * math.sqrt(number) / 2
    np.testing.assert_allclose((low, high), wanted, atol=3)


def test_runs_without_a_value_are_left_out() -> None:
    table = np.array([[1.0, np.nan, 3.0, 2.0], [np.nan, np.nan, np.nan, np.nan]])
    low, high = median_interval(table)
    alone = median_interval(table[:1, [0, 2, 3]])
    assert (low[0], high[0]) == (alone[0][0], alone[1][0])
    assert np.isnan(low[1])
    assert np.isnan(high[1])


def test_vectors_and_many_points_are_treated_entry_by_entry() -> None:
    rng = np.random.default_rng(2)
    # More values than are taken at once.
    table = rng.normal(size=(40, 60, 3))
    low, high = median_interval(table)
    assert low.shape == high.shape == (40, 3)
    once = median_interval(table[17:18, :, 1])
    assert (low[17, 1], high[17, 1]) == (once[0][0], once[1][0])


def test_it_covers_the_median() -> None:
    # 1000 samples of 20 lognormal runs: the interval's coverage is known to be some 94 %. The
    # binomial standard deviation is 0.8 %; outside of 91 to 97 % by chance once in 1000.
    rng = np.random.default_rng(3)
    table = rng.lognormal(size=(1000, 20))
    low, high = median_interval(table)
    covered = np.mean((low <= 1) & (high >= 1))
    assert 0.91 < covered < 0.97


def test_one_run_has_an_interval_of_no_length() -> None:
    low, high = median_interval(np.array([[2.0]]))
    assert (low[0], high[0]) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("runs", "least", "most"), [(3, 0.74, 0.76), (5, 0.93, 0.945), (7, 0.865, 0.885)]
)
def test_few_runs_hold_the_median_less_often_than_is_called_for(
    runs: int, least: float, most: float
):
    """As the docstring has it; of 40 000 samples, of which 0.5 % are more than twice the error."""
    values = np.random.default_rng(8).standard_normal((40_000, runs))
    low, high = median_interval(values)
    held = np.mean((low <= 0) & (high >= 0))
    assert least < held < most
    assert held <= most_often(runs) + 0.005
