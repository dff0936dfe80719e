"""The exponents of one pass against what is published, and against means over all samples."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from kept.scaling import mean_losses, published

from dlnsweep.theory.power_law import is_small_start, power_law_end, power_law_exponent

# Phases I, II (twice) and III (twice) of arXiv:2405.15074, and a steep spectrum.
PHASES = [(1.0, 0.3), (0.8, 0.2), (1.0, 0.75), (1.0, 1.5), (0.75, 1.2), (2.0, 0.5)]


@pytest.mark.parametrize(("a", "b"), PHASES)
def test_exponents_are_the_published_ones(a: float, b: float):
    assert power_law_exponent(a, b) == pytest.approx(published(a, b), rel=1e-15)


@pytest.mark.parametrize("a", [0.3, 0.5])
def test_no_exponent_where_the_spectrum_has_no_sum(a: float):
    assert isnan(power_law_exponent(a, 1.0))
    assert isnan(power_law_end(a, 1.0, 10))
    assert not isnan(power_law_exponent(0.51, 1.0))


def slope(losses: np.ndarray, first: int, last: int) -> float:
    return -float(np.log(losses[last] / losses[first]) / np.log(last / first))


@pytest.mark.parametrize(("a", "b"), PHASES)
def test_means_over_all_samples_fall_so(a: float, b: float):
    """Features that are the data, 20 000 coordinates: the second moment of theta in NumPy.

    A step of one sample makes of E (theta_j - theta*_j)^2 = r, with L = E (error)^2 and l = j^-2a,

        r - 2 eta l r + eta^2 (2 l^2 r + l L).
    """
    places, rate = np.arange(1.0, 20_001), 0.3
    l, r, losses = places ** (-2 * a), places ** (-2 * b), []  # noqa: E741
    for _ in range(10_001):
        losses.append(l @ r)
        r = (1 - 2 * rate * l + 2 * (rate * l) ** 2) * r + rate**2 * losses[-1] * l
    # What falls faster by t^-1/4 or more is still seen: slopes near their limits by 0.04.
    assert slope(np.array(losses), 1000, 10_000) == pytest.approx(
        power_law_exponent(a, b), abs=0.04
    )


def of_features(a: float, b: float, m: int, start: float, steps: int) -> np.ndarray:
    """As above of m coordinates, whose coefficients have `start` more in the mean square."""
    places, rate = np.arange(1.0, m + 1), 0.3
    l, r, losses = places ** (-2 * a), places ** (-2 * b) + start, []  # noqa: E741
    for _ in range(steps + 1):
        losses.append(l @ r)
        r = (1 - 2 * rate * l + 2 * (rate * l) ** 2) * r + rate**2 * losses[-1] * l
    return np.array(losses)


def test_the_law_ends_with_the_features():
    """Of 2 beta < 1 at eta t = m^(2 alpha): there the loss falls as an exponential."""
    end = power_law_end(1.0, 0.3, 100)
    assert end == pytest.approx(100**2, rel=1e-12)
    last, wanted = round(end / 0.3), power_law_exponent(1.0, 0.3)
    losses = of_features(1.0, 0.3, 100, 0.0, 2 * last)
    assert slope(losses, last // 200, last // 100) == pytest.approx(wanted, abs=0.1)
    assert slope(losses, last, 2 * last) > 2 * wanted


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.3), (1.0, 0.75), (0.75, 1.2)])
def test_the_law_ends_where_it_comes_to_what_features_leave(a: float, b: float):
    """What random features leave of the target, exactly, against the power at its end."""
    random, left, ends = np.random.default_rng(1), [], []
    for m in (50, 400):
        places, found = np.arange(1.0, 4 * m + 1), []
        for _ in range(8):
            features = random.standard_normal((4 * m, m)) * (places**-a)[:, None]
            target = places ** -(a + b)
            found.append(np.sum((target - features @ np.linalg.lstsq(features, target)[0]) ** 2))
        left.append(np.median(found))
        ends.append(power_law_end(a, b, m) ** -power_law_exponent(a, b))
    # A median of eight scatters by a tenth, over three octaves.
    assert np.log(left[1] / left[0]) / np.log(8) == pytest.approx(
        np.log(ends[1] / ends[0]) / np.log(8), abs=0.15
    )


def test_a_start_that_is_not_small_has_another_power():
    a, b, m = 1.0, 0.75, 300
    for scale, small in ((0.02, True), (3.0, False)):
        assert is_small_start(scale, b, m) == small
        losses = of_features(a, b, m, scale**2 / m, 20_000)
        exact = slope(of_features(a, b, m, 0.0, 20_000), 2000, 20_000)
        assert (abs(slope(losses, 2000, 20_000) - exact) < 0.01) == small


def test_random_features_go_so_until_they_end():
    a, b, rate = 1.0, 0.3, 0.3
    random = np.random.default_rng(0)
    losses = mean_losses(random.standard_normal((1600, 400)) / 20, a, b, rate, 300)
    assert slope(losses, 10, 100) == pytest.approx(power_law_exponent(a, b), abs=0.1)
