"""Where runs begin to succeed, against an independent optimizer and laws that are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from dlnsweep.analysis import transitions as module
from dlnsweep.analysis.bootstrap import resamples
from dlnsweep.analysis.transitions import Condition, logistic_half, transitions, transitions_text
from dlnsweep.errors import SpecError

WIDTHS = [4, 8, 16, 32, 64, 128]


def test_the_fit_maximises_the_stated_objective():
    rng = np.random.default_rng(1)
    x = np.log(WIDTHS)
    tries = rng.integers(3, 20, size=(5, len(x))).astype(float)
    p = 1 / (1 + np.exp(-1.7 * (x - np.log(20.0))))
    wins = rng.binomial(tries.astype(int), p).astype(float)
    found = logistic_half(x, wins, tries)
    spacing = (x[-1] - x[0]) / 5
    for k, n, half in zip(wins, tries, found, strict=True):

        def loss(b_c: np.ndarray, k: np.ndarray = k, n: np.ndarray = n) -> float:
            b, c = b_c
            p = 1 / (1 + np.exp(-b * (x - c)))
            likelihood = np.sum(k * np.log(p) + (n - k) * np.log(1 - p))
            return float(-likelihood + (b * spacing) ** 2 / (2 * 5.0**2))

        best = minimize(loss, [1.0, np.log(16.0)], method="Nelder-Mead", options={"fatol": 1e-14})
        # The optimizer's own accuracy, and the faint pull that keeps the level finite (1e-5).
        assert half == pytest.approx(np.exp(best.x[1]), rel=2e-4)


def test_a_sharp_transition_lies_midway():
    tries = np.full((1, 6), 10.0)
    wins = np.array([[0, 0, 0, 10, 10, 10.0]])
    # By symmetry at the middle of ln 16 and ln 32; the faint pull leaves 1e-4.
    assert logistic_half(np.log(WIDTHS), wins, tries)[0] == pytest.approx(16 * 2**0.5, rel=1e-3)
    falling = logistic_half(np.log(WIDTHS), tries - wins, tries)[0]
    assert falling == pytest.approx(16 * 2**0.5, rel=1e-3)


def test_what_lies_outside_of_the_values_is_said_so():
    tries = np.full((2, 6), 10.0)
    wins = np.stack([tries[0], 0 * tries[1]])
    np.testing.assert_array_equal(logistic_half(np.log(WIDTHS), wins, tries), [0.0, np.inf])


class Fake:
    """Results of networks that succeed with a probability that is known."""

    settings = ("network.width", "network.depth", "problem.kind", "seed")

    def __init__(self, exponent: float, depths: Any = (2, 3, 4, 6), seeds: int = 40) -> None:
        rng = np.random.default_rng(5)
        rows = []
        for depth in depths:
            for width in WIDTHS:
                for seed in range(seeds):
                    half = 6.0 * depth**exponent
                    p = 1 / (1 + (width / half) ** -3.0)
                    rows.append((width, depth, "subspace", seed, 0.01 if rng.random() < p else 1.0))
        self.frame = pd.DataFrame(rows, columns=[*self.settings, "final_regression_error"])
        self.frame["status"] = "finished"

    def runs(self, *, unused: bool = False) -> pd.DataFrame:
        return self.frame


def fitted(monkeypatch: pytest.MonkeyPatch, fake: Fake, by: Any = ("network.depth",)) -> Any:
    monkeypatch.setattr(module, "opened", lambda folder: fake)
    return transitions("x", "network.width", [Condition("regression_error", 0.1)], by)


def test_too_few_seeds_for_an_interval_are_told(monkeypatch: pytest.MonkeyPatch):
    found = fitted(monkeypatch, Fake(1.5, depths=(2, 3), seeds=5))
    assert found.too_few == 2
    assert found.table["low"].to_list() == [0.0, 0.0]
    assert found.table["high"].to_list() == [np.inf, np.inf]
    text = transitions_text(found, "network.width")
    assert "groups with fewer than 6 seeds a value, too few for an interval: 2" in text


def test_many_runs_of_few_seeds_are_too_few(monkeypatch: pytest.MonkeyPatch):
    found = fitted(monkeypatch, Fake(1.5, depths=(2, 3), seeds=5), by=())
    assert found.table["num_runs"].to_list() == [2 * 5 * len(WIDTHS)]
    assert found.too_few == 1
    assert found.table[["low", "high"]].to_numpy().tolist() == [[0.0, np.inf]]


def test_groups_that_end_alike_lie_where_the_others_tell(monkeypatch: pytest.MonkeyPatch):
    fake = Fake(1.0)
    error, depth = fake.frame["final_regression_error"], fake.frame["network.depth"]
    # Success falls with the width: a depth at which all succeed has its half above.
    fake.frame["final_regression_error"] = np.where(depth == 6, 0.01, 1.01 - error)
    fake.frame.loc[depth == 2, "final_regression_error"] = 1.0
    table = fitted(monkeypatch, fake).table.set_index("network.depth")
    ends = table.loc[[2, 6], ["x_half", "low", "high"]].to_numpy().tolist()
    assert ends == [[0.0, 0.0, 4.0], [np.inf, 128.0, np.inf]]
    fake.frame["final_regression_error"] = 0.01
    found = fitted(monkeypatch, fake)
    assert found.table[["low", "high"]].to_numpy().tolist() == [[0.0, np.inf]] * 4
    text = transitions_text(found, "network.width")
    assert "do not tell whether success rises or falls with network.width" in text


def test_a_known_power_law_is_found(monkeypatch: pytest.MonkeyPatch):
    found = fitted(monkeypatch, Fake(1.5))
    (row,) = found.exponents.to_dict("records")
    assert row["setting"] == "network.depth"
    # With a fixed key; of such intervals one in twenty would miss.
    assert row["low"] < 1.5 < row["high"]
    assert row["high"] - row["low"] < 0.6
    for _, group in found.table.iterrows():
        assert group["low"] <= group["x_half"] <= group["high"]
        assert group["low"] < 6.0 * group["network.depth"] ** 1.5 < group["high"]
    text = transitions_text(found, "network.width")
    assert "network.width at which half of the runs succeed" in text
    assert "power law of network.width" in text


@pytest.mark.parametrize("depths", [(2, 3, 4, 6), (2, 7, 11)])
def test_groups_with_one_transition_have_an_exponent_of_zero(
    monkeypatch: pytest.MonkeyPatch, depths: Any
):
    fake = Fake(0.0, depths=depths)
    alike = fake.frame["network.depth"] == 2
    errors = fake.frame.loc[alike, "final_regression_error"].to_numpy()
    fake.frame["final_regression_error"] = np.tile(errors, len(depths))
    found = fitted(monkeypatch, fake)
    # Each resample has one transition in all groups, too; slopes were such as 1.1e-18.
    (row,) = found.exponents.to_dict("records")
    assert (row["exponent"], row["low"], row["high"]) == (0.0, 0.0, 0.0)
    assert "e-1" not in transitions_text(found, "network.width")


def test_gaps_between_values_leave_an_exponent_open(monkeypatch: pytest.MonkeyPatch):
    """All runs change between the same two widths: the interval had no width."""
    fake = Fake(1.0, depths=(2, 3, 6))
    sharp = np.where(fake.frame["network.width"] > 10, 0.01, 1.0)
    fake.frame["final_regression_error"] = sharp
    (row,) = fitted(monkeypatch, fake).exponents.to_dict("records")
    across = np.linalg.pinv(np.column_stack([np.ones(3), np.log([2, 3, 6])]))[1]
    # Student's quantile of 39 degrees of freedom.
    reach = 2.022690920036762 * np.log(2) / 12**0.5 * np.linalg.norm(across)
    assert row["exponent"] == 0
    assert (row["low"], row["high"]) == pytest.approx((-reach, reach), rel=1e-12)


def test_one_seed_has_no_interval_of_an_exponent(monkeypatch: pytest.MonkeyPatch):
    fake = Fake(1.0, seeds=1)
    width, depth = fake.frame["network.width"], fake.frame["network.depth"]
    fake.frame["final_regression_error"] = np.where(width > 5 * depth, 0.01, 1.0)
    (row,) = fitted(monkeypatch, fake).exponents.to_dict("records")
    assert row["exponent"] > 0
    assert np.isnan([row["low"], row["high"]]).all()


def test_the_interval_of_an_exponent_holds_it_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch):
    """100 simulated sweeps of three seeds with thresholds of their own; quantiles held it in 75."""
    monkeypatch.setattr(module, "resamples", lambda count: resamples(count)[:100])
    rng, widths, held = np.random.default_rng(9), np.geomspace(1, 1000, 40), 0
    for _ in range(100):
        runs = []
        for depth in (2.0, 3.0, 5.0, 8.0):
            halves = 5 * depth**1.2 * np.exp(0.3 * rng.standard_normal(3))
            for seed, half in enumerate(halves):
                runs.append({"x": widths, "seed": seed, "g": depth, "succeeded": widths > half})
        table = pd.concat([pd.DataFrame(each) for each in runs]).assign(status="finished")
        (row,) = module.fit_transitions(table, "x", ["g"]).exponents.to_dict("records")
        held += row["low"] <= 1.2 <= row["high"]
    # Three standard errors below 95 %.
    assert held >= 88


def test_diverged_runs_have_failed_and_others_are_not_counted(monkeypatch: pytest.MonkeyPatch):
    fake = Fake(0.0, depths=(2,))
    sharp = np.where(fake.frame["network.width"] > 10, 0.01, 1.0)
    fake.frame["final_regression_error"] = sharp
    fake.frame.loc[fake.frame["network.width"] == 16, "status"] = "diverged"
    later = fitted(monkeypatch, fake).table["x_half"][0]
    assert later == pytest.approx((16 * 32) ** 0.5, rel=1e-2)
    fake.frame.loc[fake.frame["network.width"] == 16, "status"] = "planned"
    table = fitted(monkeypatch, fake).table
    assert table["num_runs"][0] == 5 * 40


def test_groups_without_a_transition_are_left_out(monkeypatch: pytest.MonkeyPatch):
    fake = Fake(1.0)
    fake.frame.loc[fake.frame["network.depth"] == 6, "final_regression_error"] = 1.0
    found = fitted(monkeypatch, fake)
    assert found.left_out == 1
    assert found.table["x_half"].tolist()[-1] == np.inf
    assert "above" in transitions_text(found, "network.width")
    text = transitions_text(found, "network.width")
    assert "groups without a transition inside their range: 1" in text


def test_settings_that_move_together_have_no_exponents(monkeypatch: pytest.MonkeyPatch):
    fake = Fake(1.0)
    fake.frame["problem.kind"] = fake.frame["network.depth"] ** 2
    found = fitted(monkeypatch, fake, by=["network.depth", "problem.kind"])
    assert len(found.table) == 4
    assert len(found.exponents) == 0


def test_two_conditions_must_both_hold(monkeypatch: pytest.MonkeyPatch):
    fake = Fake(0.0, depths=(2,))
    fake.frame["final_loss"] = np.where(fake.frame["network.width"] >= 64, 0.0, 1.0)
    fake.frame["final_regression_error"] = np.where(fake.frame["network.width"] >= 8, 0.0, 1.0)
    monkeypatch.setattr(module, "opened", lambda folder: fake)
    both = [Condition.read("regression_error < 0.1"), Condition.read("loss<1e-3")]
    found = transitions("x", "network.width", both)
    assert float(found.table["x_half"].iloc[0]) == pytest.approx((32 * 64) ** 0.5, rel=1e-2)
    assert len(found.exponents) == 0


@pytest.mark.parametrize(
    "text", ["regression_error", "regression_error > 1", "loss < x", "loss < 1e"]
)
def test_a_condition_that_cannot_be_read_is_refused(text: str):
    with pytest.raises(SpecError, match=r"it must be such as .regression_error < 0\.1."):
        Condition.read(text)


def test_wrong_names_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "opened", lambda folder: Fake(1.0))
    good = [Condition("regression_error", 1.0)]
    with pytest.raises(
        SpecError,
        match=r"x is .width., which is no setting of this sweep; did you mean .network\.width",
    ):
        transitions("x", "width", good)
    with pytest.raises(
        SpecError, match="by is 'depth', which is no setting of this sweep; did you mean"
    ):
        transitions("x", "network.width", good, ["depth"])
    with pytest.raises(SpecError, match="success names 'loss', which was not recorded"):
        transitions("x", "network.width", [Condition("loss", 1.0)])
    with pytest.raises(SpecError, match="must have positive numbers"):
        transitions("x", "problem.kind", good)
