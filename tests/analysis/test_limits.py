"""Extrapolation to an infinite width: exact polynomials, orders, coverage, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dlnsweep.analysis import limits
from dlnsweep.errors import SpecError
from dlnsweep.results import Results

SIZES = np.array([64.0, 128.0, 256.0, 512.0])


def runs_of(values: np.ndarray, **more: Any) -> pd.DataFrame:
    """Return a table of runs, one row a seed and size."""
    seeds, sizes = values.shape
    return pd.DataFrame(
        {
            "seed": np.repeat(np.arange(seeds), sizes),
            "network.width": np.tile(SIZES[:sizes], seeds),
            "final_error": values.ravel(),
            "status": "finished",
            **more,
        }
    )


def drawn(seeds: int, rng: Any, slope: float = 20.0, order: float = 1.0) -> np.ndarray:
    """Return seeds that differ at all sizes alike, and by what falls as 1/sqrt(width) beside."""
    data = rng.standard_normal((seeds, 1))
    own = rng.standard_normal((seeds, len(SIZES))) / SIZES**0.5
    return 3 + slope * SIZES**-order + 200 * SIZES**-2.0 + 0.2 * data + own


def test_a_polynomial_of_degree_two_is_extrapolated_exactly():
    values = 3 + 5 / SIZES - 70 / SIZES**2 + np.array([[-0.1], [0.0], [0.1]])
    limit, low, high = limits.limit_and_ends(SIZES, values)
    assert limit == pytest.approx(3, abs=1e-12)
    # Student's t of two degrees of freedom, and the step from degree one to two.
    straight = [np.polynomial.Polynomial.fit(1 / SIZES, row, 1, w=SIZES**0.5)(0) for row in values]
    left = abs(np.mean(straight) - 3) * 64 / 512
    half = 4.302652729696142 * 0.1 / 3**0.5 + left
    assert (low, high) == pytest.approx((3 - half, 3 + half), rel=1e-9)


def halls(values: np.ndarray, mean: float) -> float:
    """Return Hall's statistic of a mean, which is nearly normal: sqrt(n) (W + g W^2 / 3 + ...)."""
    count, away = len(values), values - values.mean()
    variance = np.sum(away**2) / (count - 1)
    skewness = count * np.sum(away**3) / ((count - 1) * (count - 2) * variance**1.5)
    w = (values.mean() - mean) / variance**0.5
    cubic = w + skewness * w**2 / 3 + skewness**2 * w**3 / 27 + skewness / (6 * count)
    return float(count**0.5 * cubic)


@pytest.mark.parametrize("kind", ["symmetric", "normal", "log-normal", "very skewed"])
def test_at_the_ends_halls_statistic_is_students_quantile(kind: str):
    drawn = np.random.default_rng(3).standard_normal(11)
    values = {
        "symmetric": np.arange(-5.0, 6.0),
        "normal": drawn,
        "log-normal": np.exp(drawn / 2),
        "very skewed": np.exp(2 * drawn),
    }[kind]
    low, high = limits.mean_interval(values)
    student: Any = stats.t
    t = student.ppf(0.975, 10)
    assert halls(values, low) == pytest.approx(t, rel=1e-7)
    assert halls(values, high) == pytest.approx(-t, rel=1e-7)
    assert limits.mean_interval(np.full(5, 2.0)) == (2.0, 2.0)


def test_values_that_differ_by_rounding_have_an_interval():
    """A network that seeds say nothing about: SciPy has no skewness of such values, and warns."""
    low, high = limits.mean_interval(np.array([1.0, 1.0, 1.0, np.nextafter(1.0, 2.0)]))
    assert 1 - 1e-15 < low <= high < 1 + 1e-15


def test_the_mean_of_skewed_values_is_covered_more_often_than_by_students_interval():
    """Of 1 000 samples of twelve log-normal values, which has a standard error of 1 %."""
    rng = np.random.default_rng(4)
    ours = students = 0
    student: Any = stats.t
    for values in np.exp(0.8 * rng.standard_normal((1000, 12))):
        low, high = limits.mean_interval(values)
        ours += low <= np.exp(0.32) <= high
        half = student.ppf(0.975, 11) * values.std(ddof=1) / 12**0.5
        students += abs(values.mean() - np.exp(0.32)) <= half
    assert ours >= students + 30
    assert ours >= 910


@pytest.mark.parametrize("order", [0.5, 1.0, 2.0])
def test_the_order_is_found(order: float):
    values = 3 + SIZES**-order + np.array([[-0.1], [0.0], [0.1]])
    found = limits.orders(SIZES, values)
    assert found == pytest.approx((order, order, order), rel=1e-9)


def unlike(values: np.ndarray, order: float) -> float:
    """Return how rarely seeds of that order are as far from it, by Student's test of one sample."""
    a, b, c = SIZES[0] ** order / SIZES[-3:] ** order
    y = values[:, -3:]
    tested: Any = stats.ttest_1samp(
        (a - b) * (y[:, 1] - y[:, 2]) - (b - c) * (y[:, 0] - y[:, 1]), 0
    )
    return float(tested.pvalue)


def test_the_ends_of_an_order_are_where_a_test_of_it_begins_to_refuse_it():
    rng = np.random.default_rng(4)
    values = 3 + 20 / SIZES + 0.02 * rng.standard_normal((10, 4))
    order, low, high = limits.orders(SIZES, values)
    assert low < order < high < np.inf
    assert unlike(values, order) == pytest.approx(1, abs=1e-6)
    # The slope of the test's level over p is some tens, p is known to 1e-15.
    assert [unlike(values, end) for end in (low, high)] == pytest.approx([0.05, 0.05], rel=1e-9)


def test_an_order_that_is_bounded_from_below_alone_says_so():
    """The last two sizes differ by less than their error: the order may be any larger one."""
    rng = np.random.default_rng(1)
    values = 3 + 50 * SIZES**-2.0 + 0.0005 * rng.standard_normal((5, 4))
    order, low, high = limits.orders(SIZES, values)
    assert high == np.inf
    assert 0 < low < order < np.inf
    assert unlike(values, low) == pytest.approx(0.05, rel=1e-9)
    assert min(unlike(values, p) for p in np.linspace(low + 1e-6, 30, 200)) > 0.05
    found = pd.DataFrame(
        [
            limits._limit_of(runs_of(values), "network.width", "final_error")
            | {"observable": "error"}
        ]
    )
    assert " inf " in limits.limits_text(found, "network.width")


def test_an_interval_of_a_quotient_is_all_that_a_test_does_not_refuse():
    """Over a grid, with means clear of zero and not, of one sign and two."""
    rng = np.random.default_rng(3)
    grid, kinds = np.linspace(0, 40, 4001), set()
    for _ in range(200):
        mixed = rng.standard_normal((6, 2)) @ rng.standard_normal((2, 2))
        near, far = (mixed + rng.normal(size=2) * 3).T
        low, high = limits._quotient_ends(near, far)
        tested: Any = stats.ttest_1samp(near[:, None] - grid * far[:, None], 0)
        kept = grid[tested.pvalue >= 0.05]
        if far.mean() ** 2 <= stats.t.ppf(0.975, 5) ** 2 * far.var(ddof=1) / 6:
            kinds.add("open")
            assert high == np.inf
            assert (kept.min() if kept.size else np.inf) >= low - 1e-9
            assert not kept.size or low == 0 or kept.min() <= low + 0.01
        else:
            kinds.add("closed")
            within = grid[(grid >= low) & (grid <= high)]
            np.testing.assert_allclose(kept, within, atol=1e-12)
    assert kinds == {"open", "closed"}


def test_the_interval_of_an_order_holds_it_as_often_as_it_says():
    """400 simulated sweeps of five seeds; resamples of the seeds held it in 84 %."""
    rng = np.random.default_rng(7)
    held = []
    while len(held) < 400:
        values = 3 + 20 / SIZES + 0.02 * rng.standard_normal((5, 4))
        _, low, high = limits.orders(SIZES, values)
        if not np.isnan(low):
            held.append(low <= 1 <= high)
    # Three standard errors below 95 %.
    assert sum(held) >= 367


def test_another_order_has_no_limit_and_noise_leaves_it_open():
    rng = np.random.default_rng(0)
    steep = limits._limit_of(runs_of(drawn(30, rng, 50.0, 0.5)), "network.width", "final_error")
    assert steep["order_high"] < limits.ORDERS[0]
    assert np.isnan(steep["limit"])
    assert steep["verdict"] == "falls as another power than 1/width: no limit"
    flat = limits._limit_of(
        runs_of(3 + 0.1 * rng.standard_normal((10, 4))), "network.width", "final_error"
    )
    assert flat["verdict"] == "order not told by these seeds"
    assert flat["low"] < 3 < flat["high"]


@pytest.mark.parametrize(
    ("order", "verdict"),
    [
        ((1.02, 0.8, 1.3), limits.ONE),
        ((0.8, 0.55, 1.1), limits.ONE),
        ((0.8, 0.45, 1.1), limits.UNTOLD),
        ((1.3, 1.0, 2.1), limits.UNTOLD),
        ((0.5, 0.4, 0.6), limits.ANOTHER),
        ((2.0, 1.5, 2.5), limits.ANOTHER),
        ((1.2, 0.8, np.inf), limits.UNTOLD),
        ((1.9, 1.3, np.inf), limits.ANOTHER),
        ((np.nan, np.nan, np.nan), limits.UNTOLD),
    ],
)
def test_an_order_is_told_where_its_neighbours_are_excluded(order: Any, verdict: str):
    assert limits.verdict_on(order) == verdict


def test_sizes_far_apart_tell_the_order_where_sizes_near_each_other_do_not():
    """20 simulated sweeps of 100 seeds whose means fall as w^-1 and as w^(-1/2)."""
    rng = np.random.default_rng(2)
    told = {}
    for sizes in (np.array([16.0, 32.0, 64.0]), np.array([4.0, 32.0, 256.0])):
        for order in (0.5, 1.0):
            verdicts = []
            for _ in range(20):
                own = rng.standard_normal((100, len(sizes))) * 0.4 / sizes**0.5
                data = 0.2 * rng.standard_normal((100, 1))
                values = 3 + 2 * sizes**-order + data + own
                verdicts.append(limits.verdict_on(limits.orders(sizes, values)))
            told[sizes[0], order] = verdicts
    assert told[4.0, 1.0].count(limits.ONE) >= 17
    assert limits.ANOTHER not in told[4.0, 1.0]
    assert told[4.0, 0.5].count(limits.ANOTHER) >= 17
    assert limits.ONE not in told[4.0, 0.5]
    assert told[16.0, 1.0].count(limits.ONE) <= 10


def test_the_interval_covers_the_limit_as_often_as_it_says():
    """400 simulated sweeps of ten seeds; three standard errors below 95 % are 91.7 %."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        _, low, high = limits.limit_and_ends(SIZES, drawn(10, rng))
        covered += low <= 3 <= high
    assert covered >= 367


def test_seeds_that_are_not_whole_are_left_out_and_counted():
    values = 3 + 5 / SIZES + np.array([[-0.1], [0.0], [0.1], [0.2]])
    runs: Any = runs_of(values)
    runs.loc[2, "status"] = "diverged"
    found = limits._limit_of(runs, "network.width", "final_error")
    assert (found["num_seeds"], found["num_left_out"], found["num_sizes"]) == (3, 1, 4)
    assert found["limit"] == pytest.approx(3.1)
    gone = runs.assign(status=np.where(runs["network.width"] == 512, "diverged", "finished"))
    none = limits._limit_of(gone, "network.width", "final_error")
    assert (none["num_seeds"], none["num_left_out"], none["num_sizes"]) == (0, 4, 4)
    assert np.isnan(none["limit"])
    few = limits._limit_of(runs[runs["seed"] < 2], "network.width", "final_error")
    assert np.isnan(few["limit"])
    assert few["verdict"].startswith("too few")


class _Stub(Results):
    """A folder of runs that were never trained."""

    def __init__(self, runs: pd.DataFrame, varying: list[str]) -> None:
        self._runs = runs
        self.__dict__["varying"] = varying

    def runs(self, *_: Any, **__: Any) -> pd.DataFrame:
        return self._runs

    @property
    def settings(self) -> Any:
        return [name for name in self._runs if "." in name]


def test_groups_are_told_apart_and_settings_that_follow_the_size_make_none():
    values = 3 + 5 / SIZES + np.array([[-0.1], [0.0], [0.1]])
    rows = []
    for depth in (2, 3):
        rows.append(runs_of(depth + values, **{"network.depth": depth}))
    runs = pd.concat(rows, ignore_index=True)
    runs["training.learning_rate"] = 1 / runs["network.width"]
    folder = _Stub(runs, ["network.width", "network.depth", "training.learning_rate"])
    found = limits.extrapolate(folder, "network.width", ["error"])
    assert list(found["network.depth"]) == [2, 3]
    np.testing.assert_allclose(found["limit"], [5, 6])
    assert "order 1" in limits.limits_text(found, "network.width")
    short = limits.extrapolate(folder, "network.width", ["error"], at_most=256)
    assert list(short["num_sizes"]) == [3, 3]
    for setting, observable, most, sentence in (
        (
            "network.widht",
            "error",
            None,
            "^the setting to extrapolate in is.*did you mean 'network.width'",
        ),
        ("network.width", "eror", None, "not recorded as one number.*'error'"),
        ("network.width", "error", 128, "has 2 values in the runs that are done.*need 3"),
        ("network.depth", "error", None, "has 2 values"),
    ):
        with pytest.raises(SpecError, match=sentence):
            limits.extrapolate(folder, setting, [observable], most)


@pytest.mark.parametrize(
    "means", [SIZES, np.log(SIZES), -np.sqrt(SIZES), np.array([1.0, 0.0, 1.0, 0.2]), SIZES**-0.01]
)
def test_what_does_not_fall_as_a_power_has_no_limit(means: np.ndarray):
    """A mean that grew as the width itself had a limit, with an interval."""
    values = means + 1e-5 * np.random.default_rng(5).standard_normal((10, 4))
    found = limits._limit_of(runs_of(values), "network.width", "final_error")
    assert found["verdict"] == "does not fall as a power of 1/width: no limit"
    assert np.isnan([found["limit"], found["low"], found["high"]]).all()
    assert (found["order_low"], found["order_high"]) == (0, 0)


def test_means_that_have_reached_their_limit_fall_as_no_first_power():
    """As shares of samples that are right do, which end at one."""
    values = np.array([0.5, 0.75, 1.0, 1.0]) - np.zeros((5, 1))
    values[:, 1] += 0.01 * np.arange(5)
    assert limits.orders(SIZES, values)[1:] == (np.inf, np.inf)
    found = limits._limit_of(runs_of(values), "network.width", "final_error")
    assert found["verdict"] == "falls as another power than 1/width: no limit"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unit", [1e-250, 1e250])
def test_the_unit_of_an_observable_does_not_matter(unit: float):
    values = 3 + 20 / SIZES + 0.02 * np.random.default_rng(6).standard_normal((10, 4))
    plain = limits._limit_of(runs_of(values), "network.width", "final_error")
    scaled = limits._limit_of(runs_of(unit * values), "network.width", "final_error")
    for name in ("largest", "limit", "low", "high"):
        assert scaled[name] == pytest.approx(unit * plain[name], rel=1e-12, abs=0)
    for name in ("order", "order_low", "order_high"):
        assert scaled[name] == pytest.approx(plain[name], rel=1e-9)
    assert scaled["verdict"] == plain["verdict"]


@pytest.mark.filterwarnings("error")
def test_seeds_that_end_with_infinity_are_left_out():
    values = 3 + 5 / SIZES + np.array([[-0.1], [0.0], [0.1], [0.2]])
    values[3, 1] = np.inf
    found = limits._limit_of(runs_of(values), "network.width", "final_error")
    assert (found["num_seeds"], found["num_left_out"]) == (3, 1)
    assert found["limit"] == pytest.approx(3)
    none = limits._limit_of(runs_of(np.inf * values), "network.width", "final_error")
    assert none["verdict"].startswith("too few")
