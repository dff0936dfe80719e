"""Boundaries along an axis: found in rounds, told by a table; and what is refused."""

# ruff: noqa: E501  (a mistake and its sentence stand in one line of a table)

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kept.coverage import CHANCE, LAWS, simulated
from spec_samples import document, problems

import dlnsweep
from dlnsweep.analysis.boundaries import refined_axis
from dlnsweep.analysis.boundary import Bracket, brackets, values_between
from dlnsweep.errors import SpecError, StoreError
from dlnsweep.execution.rounds.refining import Found, next_round
from dlnsweep.plan.plan import make_plan
from dlnsweep.settings.refine import Refine
from dlnsweep.spec.refine import most_values
from dlnsweep.spec.sweep import Sweep

RATE = "training.learning_rate"


def refined(**changes: Any) -> dict[str, Any]:
    rates = {"from": 0.01, "to": 10.0, "count": 4, "spacing": "log"}
    found = document(training__learning_rate=rates, **changes)
    found.setdefault("sweep", {}).setdefault("refine", {"between": RATE})
    return found


def test_brackets_are_where_neighbours_differ() -> None:
    assert brackets({1.0: 1.0, 2.0: 0.5, 4.0: 0.25}) == [Bracket(2.0, 4.0, rises=False)]
    assert brackets({4.0: 1.0, 1.0: 0.0, 2.0: 0.0}) == [Bracket(2.0, 4.0, rises=True)]
    assert brackets({1.0: 0.0, 2.0: 1.0, 3.0: 0.0}) == [
        Bracket(1.0, 2.0, rises=True),
        Bracket(2.0, 3.0, rises=False),
    ]
    assert brackets({1.0: 1.0, 2.0: 1.0}) == brackets({1.0: 0.0}) == []


def test_values_between_have_equal_ratios_or_differences() -> None:
    log = values_between(Bracket(1.0, 16.0, rises=True), 3, "log", 0.01, whole=False)
    assert log == [2.0, 4.0, 8.0]
    linear = values_between(Bracket(-1.0, 1.0, rises=True), 3, "linear", 0.01, whole=False)
    assert linear == [-0.5, 0.0, 0.5]
    assert values_between(Bracket(100, 108, rises=True), 3, "linear", 0.01, whole=True) == [
        102,
        104,
        106,
    ]
    assert values_between(Bracket(3, 4, rises=True), 3, "log", 0.01, whole=True) == []
    assert values_between(Bracket(0.995, 1.0, rises=True), 3, "log", 0.01, whole=False) == []


def test_rounds_close_in_on_a_threshold_with_a_tenth_of_the_grid() -> None:
    """Of 40 thresholds drawn at random each is found to 1 %, with few values."""
    base = Sweep.from_dict(refined())
    generator = np.random.default_rng(0)
    # A grid of ratio 1.01 over three decades.
    grid = math.log(1000) / math.log(1.01)
    for threshold in 10 ** generator.uniform(-2, 1, 40):
        sweep, rounds = base, 0
        while True:
            shares = {float(v): float(v < threshold) for v in sweep.values[RATE]}
            following = next_round(sweep, Found((), {(): shares}))
            if following is None:
                break
            sweep, rounds = following, rounds + 1
        ((low, high),) = [(b.low, b.high) for b in brackets(shares)]
        assert low < threshold <= high
        assert (high - low) / high <= 0.01
        # log(10 / 1.01) / log(4): four rounds of three values.
        assert rounds == 4
        assert len(shares) == 4 + 12 < grid / 10


def test_check_tells_what_the_rounds_take_at_most() -> None:
    """With one boundary in each of three combinations, wherever it lies."""
    document = refined(sweep={"seeds": 2, "refine": {"between": RATE, "tolerance": 0.03}})
    document["training"]["learning_rate"] = {"from": 1e-2, "to": 10, "count": 4, "spacing": "log"}
    document["network"]["depth"] = [1, 2, 3]
    sweep = Sweep.from_dict(document)
    (told,) = [line for line in sweep.computed if "refined" in line]
    # Gaps of a factor of 10: 10^(1/64) is 1.037, 10^(1/256) 1.009; four rounds of three values.
    assert told.endswith("with one in each combination at most 96 runs, 9.6 k run-steps")
    most = 0
    for threshold in np.logspace(-1.99, 0.99, 40):
        shares = {value: float(value < threshold) for value in sweep.values[RATE]}
        found = Found(("network.depth",), {(depth,): shares for depth in (1, 2, 3)})
        last = more = next_round(sweep, found)
        while more is not None:
            last = more
            shares = {v: float(v < threshold) for v in more.values[RATE]}
            found = Found(("network.depth",), {(depth,): shares for depth in (1, 2, 3)})
            more = next_round(more, found)
        assert last is not None
        most = max(most, last.num_runs)
    assert most == 96


@pytest.mark.parametrize("values", [(1.0, 2.0), (-3.0, -1.0), (10.0, 1.0, 2.0)])
def test_rounds_of_equal_differences_are_as_many_as_are_told(values: tuple[float, ...]) -> None:
    refine = Refine.model_validate({"between": RATE, "spacing": "linear", "tolerance": 0.02})
    needed = 0
    for threshold in np.linspace(min(values), max(values), 200)[1:-1]:
        known, rounds = [*values], 0
        while True:
            (bracket,) = brackets({v: float(v < threshold) for v in known})
            more = values_between(bracket, 3, "linear", 0.02, whole=False)
            if not more:
                break
            known, rounds = [*known, *more], rounds + 1
        needed = max(needed, rounds)
    assert most_values(values, refine) == 3 * needed
    assert most_values((-1.0, 1.0), refine) == 3 * refine.max_rounds
    # Between integers there are no more than there are.
    assert [most_values(ends, refine) for ends in ((2, 3), (2, 6), (1, 1000))] == [0, 3, 24]


def test_each_combination_has_its_own_values_and_keeps_those_it_has() -> None:
    sweep = Sweep.from_dict(
        refined(
            network__depth=[2, 3],
            training__weight_decay=[0.0, 0.1],
            network__width=[16, 32],
            sweep={
                "seeds": 2,
                "zip": [["network.depth", "network.width"]],
                "refine": {"between": RATE, "points": 1},
            },
        )
    )
    keys = ("network.depth", "network.width", "training.weight_decay")
    rows = [(2, 16, 0.0), (2, 16, 0.1), (3, 32, 0.0), (3, 32, 0.1)]
    values = sweep.values[RATE]
    # The boundary of each at another place; the last has none.
    shares = {
        row: {v: float(v < end) for v in values}
        for row, end in zip(rows, (0.05, 0.5, 5.0, 50.0), strict=True)
    }
    following = next_round(sweep, Found(keys, shares))
    assert following is not None
    assert {*make_plan(sweep).run_ids.tolist()} < {*make_plan(following).run_ids.tolist()}
    assert following.num_runs == sweep.num_runs + 3 * 2
    plan = make_plan(following)
    for row, new in zip(rows, (10**-1.5, 10**-0.5, 10**0.5), strict=False):
        there = np.ones(plan.num_runs, dtype=bool)
        for key, value in zip(keys, row, strict=True):
            there &= plan.settings[key] == value
        own = np.unique(plan.settings[RATE][there])
        np.testing.assert_allclose(own, sorted([*values, new]), rtol=1e-11)


def test_rounds_end_where_the_file_allows_no_more_runs() -> None:
    asked = {"seeds": 2, "max_runs": 13, "refine": {"between": RATE}}
    sweep = Sweep.from_dict(refined(sweep=asked))
    shares = {float(value): float(value < 0.05) for value in sweep.values[RATE]}
    # Four values and three more, of two seeds.
    assert next_round(sweep, Found((), {(): shares})) is None
    more = Sweep.from_dict(refined(sweep=asked | {"max_runs": 14}))
    assert next_round(more, Found((), {(): shares})) is not None


def test_a_sweep_goes_through_its_rounds_and_again(tmp_path: Path) -> None:
    """Plain gradient descent on a quadratic: it is stable up to a rate that is known."""
    told: list[str] = []
    # y = x and n = 1: one weight, loss |w - 1|^2 / 2 and its step w - eta (w - 1).
    keys = {
        "problem": {
            "kind": "subspace",
            "signal_dim": 1,
            "measurement_dim": 1,
            "subspace_dim": 1,
            "num_samples": 1,
            "operator": "dct",
        },
        "network": {"depth": 1, "width": 1, "initializer": "fan_in_normal"},
        "training__num_steps": 2000,
        "training__step_rule": "uniform",
        "record": {"count": 3},
    }
    sweep = refined(**keys, sweep={"seeds": 3, "refine": {"between": RATE, "tolerance": 0.05}})
    sweep["training"]["learning_rate"] = [0.5, 3.5]
    results = dlnsweep.run(
        sweep, tmp_path, workers=0, on_event=lambda event: told.append(event.text or "")
    )
    table = dlnsweep.boundaries(results)
    (row,) = table.to_dict("records")
    # A singular value of 1, so that |1 - eta| < 1; within the tolerance of 2.
    assert row["low"] <= 2.0 < row["high"] * 1.02
    assert (row["high"] - row["low"]) / row["high"] <= 0.05
    assert row["succeeds"] == "below"
    assert (row["share_low"], row["share_high"]) == (1.0, 0.0)
    rounds = [text for text in told if text.startswith("round ")]
    assert rounds[0] == (f"round 1 of at most 8: 1 boundary of {RATE}, known to 86 %; 9 more runs")
    # Again: the same rounds, and nothing to compute.
    before = results.runs()["run_id"].tolist()
    told.clear()
    again = dlnsweep.run(sweep, tmp_path, workers=0, on_event=lambda e: told.append(e.text or ""))
    assert again.runs()["run_id"].tolist() == before
    assert [text for text in told if text.startswith("round ")] == rounds
    # A key of a table in a section, on the command line.
    set_finer = ["sweep.refine.tolerance=0.04", "sweep.refine.max_rounds=1"]
    told.clear()
    dlnsweep.run(
        sweep,
        tmp_path,
        workers=0,
        overrides=set_finer,
        on_event=lambda e: told.append(e.text or ""),
    )
    assert [text for text in told if text.endswith("known to 39 %; max_rounds ends the rounds")], (
        told
    )
    # What the folder says may be damaged, or not there.
    record = again.store.sweep["sweep"]
    record["refine"] = {"between": 3}
    with pytest.raises(StoreError, match=r"what the folder says of \[sweep.refine\] is damaged"):
        dlnsweep.boundaries(again)
    record["refine"] = {"between": "problem.kind"}
    with pytest.raises(StoreError, match=r"what the folder says of \[sweep.refine\] is damaged"):
        dlnsweep.boundaries(again)
    record["axes"] = [["problem.kind"]]
    with pytest.raises(StoreError, match="its values are no numbers"):
        dlnsweep.boundaries(again)
    del record["refine"]
    with pytest.raises(SpecError, match=r"the sweep has no \[sweep.refine\]"):
        dlnsweep.boundaries(again)


@pytest.mark.parametrize(
    ("refine", "expected"),
    [
        ({"between": "training.rate"}, "sweep.refine.between is 'training.rate', which is not a setting; did you mean"),
        ({"between": "network.depth"}, "sweep.refine.between is 'network.depth', which has one value; give it those"),
        ({"between": RATE, "success": "done"}, "sweep.refine.success is 'done'; it must be 'finished', {"),
        ({"between": RATE, "success": []}, "sweep.refine.success is []; it must be 'finished', {"),
        ({"between": RATE, "success": {"observable": "los", "below": 1.0}}, "sweep.refine.success names 'los'; it must be a recorded"),
        ({"between": RATE, "tolerance": 0}, "sweep.refine.tolerance is 0; it must be positive."),
        ({"tolerance": 0.1}, "sweep.refine.between is missing"),
        ({"between": RATE, "round": 3}, "sweep.refine.round is not a key"),
        (3, "sweep.refine is 3; it must be a table"),
    ],
)  # fmt: skip
def test_mistakes(refine: Any, expected: str) -> None:
    found = problems(training__learning_rate=[0.1, 1.0], sweep__refine=refine)
    assert [sentence for sentence in found if sentence.startswith(expected)], found
    assert len(found) == 1


def test_an_axis_of_words_or_below_zero_is_refused() -> None:
    words = {"between": "training.optimizer"}
    (found,) = problems(training__optimizer=["gradient_descent", "adam"], sweep__refine=words)
    assert "'training.optimizer', which is no number that can vary; it must be an axis" in found
    decay = {"between": "training.weight_decay"}
    (found,) = problems(training__weight_decay=[0.0, 0.1], sweep__refine=decay)
    assert 'set sweep.refine.spacing = "linear"' in found
    computed = {"between": RATE}
    (found,) = problems(
        network__depth=[2, 3],
        training__learning_rate={"formula": "0.1 / network.depth"},
        sweep__refine=computed,
    )
    assert "a formula; it must be an axis with values of its own" in found


@pytest.mark.parametrize("law", [*LAWS, CHANCE])
def test_intervals_over_the_seeds_hold_the_truth_as_often_as_they_say(law: str) -> None:
    """Each seed fails above a threshold of its own; what is asked for is the thresholds' median."""
    covered, right, *_ = simulated(law, 0.2, 20, 200)
    # With a fixed key. The bracket is about these seeds: a value below 11 of 20 thresholds, or not.
    assert right == 200 or law == CHANCE
    assert covered >= 190


@pytest.mark.parametrize("refine", [None, 3, {}, {"between": 7}, {"between": RATE}])
def test_the_axis_that_rounds_add_to_is_known_and_damage_is_none(refine: Any) -> None:
    known = RATE if refine == {"between": RATE} else None
    assert refined_axis({"sweep": {"refine": refine}}) == known
