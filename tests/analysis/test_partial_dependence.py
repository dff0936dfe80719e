"""Partial dependence in bins: against its definition by loops, a truth, and its coverage."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import qmc, t

from dlnsweep.analysis.partial_dependence import TooFewPointsError, partial_dependence

BINS = 4
# Of sums of some hundred numbers of size 1, solved by another way.
ROUNDING = 1e-10


def sampled(rng: np.random.Generator, count: int, sobol: bool = False) -> np.ndarray:
    if sobol:
        return qmc.Sobol(3, rng=rng).random(count)
    return rng.uniform(size=(count, 3))


def interacting(points: np.ndarray) -> np.ndarray:
    """Of mean 0 over each but the first: its partial dependence on that is 3 a^2."""
    a, b, c = points.T
    return 3 * a**2 + 4 * (b - 0.5) + 6 * (a - 0.5) * (b - 0.5) + np.cos(2 * np.pi * c) * a


def test_it_is_the_average_of_what_the_fit_predicts() -> None:
    """Friedman's definition, by loops: each run with its x put into the bin, and averaged."""
    rng = np.random.default_rng(3)
    points = np.repeat(sampled(rng, 90), 2, axis=0)
    depth = np.tile(["two", "three", "four"], 60)
    y = interacting(points) + (depth == "four") + rng.normal(size=180)
    found = partial_dependence(
        y, points[:, 0], {"b": pd.Series(points[:, 1]), "depth": pd.Series(depth)}, BINS
    )

    def place(column: np.ndarray) -> list[int]:
        ranks = sorted(set(column.tolist()))
        return [BINS * ranks.index(value) // len(ranks) for value in column]

    own, second = place(points[:, 0]), place(points[:, 1])
    third = [["two", "three", "four"].index(word) for word in depth]

    def features(i: int, bin_of_x: int) -> list[float]:
        row = [1.0] + [0.0] * (3 + 3 + 2)
        for offset, value in ((1, bin_of_x), (4, second[i]), (7, third[i])):
            if value > 0:
                row[offset + value - 1] = 1.0
        return row

    design = np.array([features(i, own[i]) for i in range(180)])
    solution = np.linalg.lstsq(design, y, rcond=None)[0]
    wanted = [
        np.mean([np.dot(features(i, each), solution) for i in range(180)]) for each in range(BINS)
    ]
    np.testing.assert_allclose(found.mean, wanted, rtol=ROUNDING)
    # The interval, by the sum over sampled points of what each moves a bin's mean.
    inverse = np.linalg.inv(design.T @ design)
    average = np.array([np.mean([features(i, b) for i in range(180)], axis=0) for b in range(BINS)])
    for b in range(BINS):
        total = 0.0
        for point in range(90):
            moved = 0.0
            for i in (2 * point, 2 * point + 1):
                error = y[i] - design[i] @ solution
                moved += average[b] @ inverse @ design[i] * error
                moved += (np.dot(features(i, b), solution) - wanted[b]) / 180
            total += moved**2
        half = t.ppf(0.975, 90 - 9) * np.sqrt(total * 90 / (90 - 9))
        assert found.high[b] - found.mean[b] == pytest.approx(half, rel=ROUNDING)
        assert found.mean[b] - found.low[b] == pytest.approx(half, rel=ROUNDING)
    assert found.points == 90
    assert found.inseparable == ()


@pytest.mark.parametrize("sobol", [False, True])
def test_its_intervals_hold_the_truth_with_interactions(sobol: bool) -> None:
    """300 sweeps of 128 points: of independent ones 95 % hold it, of a Sobol sequence more."""
    rng = np.random.default_rng(11)
    held, plain, error = [], [], []
    for _ in range(300):
        points = sampled(rng, 128, sobol)
        y = interacting(points) + 0.3 * rng.normal(size=128)
        others = {str(k): pd.Series(points[:, k]) for k in (1, 2)}
        found = partial_dependence(y, points[:, 0], others, BINS)
        # The average of 3 a^2 between the bin's edges, half way between neighbouring points.
        a = np.sort(points[:, 0])
        edges = np.array([0, *((a[i - 1] + a[i]) / 2 for i in (32, 64, 96)), 1])
        truth = np.diff(edges**3) / np.diff(edges)
        held.append((found.low <= truth) & (truth <= found.high))
        error.append(found.mean - truth)
        order = np.argsort(points[:, 0])
        plain.append([y[part].mean() for part in np.array_split(order, BINS)] - truth)
    # 1 200 intervals, those of a sweep not independent: 3 standard deviations of 300 and more.
    assert (0.99 if sobol else 0.925) <= np.mean(held) <= (1.0 if sobol else 0.975)
    spread = np.std(error, axis=0)
    # The mean of 300 errors; of a Sobol sequence they are no independent ones' within a sweep.
    assert np.all(np.abs(np.mean(error, axis=0)) < 4 * spread / np.sqrt(300) + 1e-3)
    if not sobol:
        # What the others explain is taken out: plain means of bins scatter by more.
        assert np.mean(spread**2) < 0.9 * np.mean(np.var(plain, axis=0))


def test_what_moves_together_is_told_and_few_points_are_refused() -> None:
    rng = np.random.default_rng(5)
    points = sampled(rng, 200)
    y = interacting(points)
    others = {"b": pd.Series(points[:, 1]), "twice": pd.Series(2 * points[:, 0])}
    found = partial_dependence(y, points[:, 0], others, BINS)
    assert found.inseparable == ("twice",)
    alone = partial_dependence(y, points[:, 0], {"b": others["b"]}, BINS)
    np.testing.assert_array_equal(found.mean, alone.mean)
    with pytest.raises(TooFewPointsError, match="20 sampled points for 7 means"):
        partial_dependence(y[:20], points[:20, 0], {"b": pd.Series(points[:20, 1])}, BINS)
