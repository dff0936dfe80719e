"""Bursts of real steps beside the jumps of a run: what they catch, and that they change nothing."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import jump_samples as samples
import numpy as np
import pytest
from planned_runs import train
from spec_samples import problems, sweep
from test_checkpoint import assert_same, in_pieces

import dlnsweep
from dlnsweep.contracts.network import AUTO_JUMPS, CHECK_JUMPS
from dlnsweep.engine import bursts, calls, jumps
from dlnsweep.engine.program import Program
from dlnsweep.engine.programs import Programs
from dlnsweep.engine.trained import Trained
from dlnsweep.execution.comparison import compare_runs
from dlnsweep.execution.comparison_text import summary, table
from dlnsweep.execution.ways import auto_jumps, jump_checks, jumps_here
from dlnsweep.jumps.places import NOWHERE, drawn
from dlnsweep.numerics.runtime import device_description, numerics
from dlnsweep.plan.plan import Plan, make_plan
from dlnsweep.report.content import content_of

PLACES = 3
CASE: dict[str, Any] = {
    "problem": {"kind": "subspace", "signal_dim": 3, "measurement_dim": 3, "subspace_dim": 1,
                "num_samples": 5},
    "network": {"depth": 2, "width": 3},
    "training": {"learning_rate": [0.1, 0.2], "weight_decay": 1e-2, "num_steps": 20_000},
    "record": {"count": 30, "observables": ["regression_error", "off_subspace_error", "loss"]},
}  # fmt: skip
# What jumps are made to be wrong by, relative to how far they go.
WRONG = 1e-5
SLOW = CASE["training"] | {"weight_decay": 1e-3}


def planned(places: int = PLACES, **changes: Any) -> Plan:
    plan = make_plan(sweep(**CASE | {"sweep": {"kernel": "jumps"}} | changes))
    if places:
        plan.settings[CHECK_JUMPS] = np.full(plan.num_runs, places)
    return plan


@pytest.fixture(scope="module")
def plain() -> Trained:
    return train(planned(0))


@pytest.fixture(scope="module")
def checked() -> Trained:
    return train(planned())


@pytest.fixture
def _wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let jumps, but not steps, go by a gradient that is off by little."""
    own = jumps.motion_of

    def motion_of(*arguments: Any) -> Any:
        motion = own(*arguments)
        return replace(motion, descent=lambda x: (1 + WRONG) * motion.descent(x))

    monkeypatch.setattr(jumps, "motion_of", motion_of)


def rows_of(found: Trained, run: int) -> dict[str, bytes]:
    count = found.num_rows[run]
    return {name: each[run, :count].tobytes() for name, each in found.observables.items()}


def errors(found: Trained, judge: Trained) -> list[float]:
    """Return what each run is wrong by, beside the same by the generic way."""
    return [
        max(
            float(np.max(samples.judged(name, found.observables[name][run], values[run])))
            for name, values in judge.observables.items()
        )
        for run in range(len(judge.num_rows))
    ]


def test_places_are_random_and_each_part_of_the_gaps_has_one():
    steps = np.array([0, 1, 2, 5, 100, 2_000, 90_000, 90_010, 10**9])
    wide = [(5, 100), (100, 2_000), (2_000, 90_000), (90_010, 10**9)]
    with numerics():
        found = np.array([drawn(seed, steps, 4) for seed in range(200)])
        assert drawn(7, steps, 4).tolist() == found[7].tolist()
        assert drawn(0, np.arange(50), 2).tolist() == [NOWHERE] * 2
        assert np.all(np.diff([drawn(seed, steps, 9) for seed in range(20)]) >= 0)
    for part, (first, last) in zip(found.T, wide, strict=True):
        assert first <= part.min()
        assert part.max() < last
        # Of 200 uniform numbers all are in three quarters of a gap with a probability below 1e-23.
        assert np.ptp(part) > 0.75 * (last - first)


def test_runs_have_the_numbers_that_they_have_without(plain: Trained, checked: Trained):
    assert plain.burst_error is None
    assert checked.burst_error is not None
    for run, reason in enumerate(plain.kernel_reason):
        assert rows_of(checked, run) == rows_of(plain, run)
        told = re.fullmatch(re.escape(reason) + "; (.*)", checked.kernel_reason[run])
        assert told
        assert told[1] == f"{PLACES} checked by bursts of steps: {checked.burst_error[run]:.1e}"
        assert 0 < checked.burst_error[run] <= samples.TOLERANCE
    np.testing.assert_array_equal(checked.truncation_error, plain.truncation_error)


def test_it_is_no_setting_of_a_run():
    asked = sweep(**CASE | {"sweep": {"kernel": "jumps", "check_jumps": PLACES}})
    plan, without = make_plan(asked), planned(0)
    assert plan.run_ids.tolist() == without.run_ids.tolist()
    assert plan.settings.keys() == without.settings.keys()
    assert jump_checks.of_run(plan) == {CHECK_JUMPS: PLACES}
    assert jump_checks.of(without) == {}
    row, device = without.row(0), device_description()
    keys = [
        Program.key(row | more, 3, 1, device) for more in ({}, {CHECK_JUMPS: 0}, {CHECK_JUMPS: 2})
    ]
    assert keys[0] == keys[1] != keys[2]


def test_a_burst_is_so_many_jumps_of_the_change_that_is_missed(
    checked: Trained, monkeypatch: pytest.MonkeyPatch
):
    """By hand: jumps of lengths H that begin at some steps are wrong by so much each."""
    wrong = [1e-9, 0.0, 5e-9]
    deviations, own = iter(wrong), calls.checked
    lengths: list[int] = []
    stretches: list[int] = []

    def seen(carry: Any, *arguments: Any) -> Trained:
        lengths.extend(np.asarray(carry.state.walks.places.lengths)[0, 0])
        return own(carry, *arguments)

    def apart(passed: Any, _: Trained) -> float:
        walks = passed.carry.state.walks
        # Both walks are there, one of them by steps alone.
        stretch = int(np.asarray(walks.now)[0, 0]) - passed.segment.start
        assert np.ptp(np.asarray(walks.now)) == 0
        by_steps = np.asarray(walks.steps)[0]
        assert by_steps[1] - by_steps[0] == stretch > 0
        stretches.append(stretch)
        return next(deviations)

    monkeypatch.setattr(bursts, "_apart", apart)
    monkeypatch.setattr(calls, "checked", seen)
    found = train(planned(), [0])
    (count,) = (int(part) for part in re.findall(r"in (\d+) jumps", found.kernel_reason[0]))
    assert found.burst_error is not None
    assert stretches == np.clip(lengths, 1_000, 4_000).tolist()
    shares = np.divide(lengths, stretches)
    # To rounding of three products.
    assert found.burst_error[0] == pytest.approx(count * (shares @ wrong) / 3, rel=1e-14)
    # Of what is beyond the tolerance nobody knows the numbers, however finely it is walked.
    monkeypatch.setattr(calls, "checked", own)
    monkeypatch.setattr(bursts, "_apart", lambda *_: 2e-6)
    contradicted = train(planned(), [0])
    assert contradicted.truncation_error.tolist() == [math.inf]
    assert contradicted.burst_error is not None
    assert contradicted.burst_error[0] > samples.TOLERANCE
    # Steps that rounding swallows contradict nothing, and are no check.
    monkeypatch.setattr(bursts, "_ROUNDED", 1.0)
    for apart_by in (2e-6, 0.0):
        monkeypatch.setattr(bursts, "_apart", lambda *_, by=apart_by: by)
        swallowed = train(planned(), [0])
        assert swallowed.truncation_error.tolist() == found.truncation_error.tolist()
        assert swallowed.burst_error is not None
        assert np.isnan(swallowed.burst_error[0])
        assert swallowed.kernel_reason[0].endswith("no jump was checked")


def test_of_a_longer_jump_a_stretch_is_taken(checked: Trained, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bursts, "LONGEST_BURST", 400)
    found = train(planned())
    assert found.burst_error is not None
    assert checked.burst_error is not None
    assert np.all(found.burst_error > 0)
    assert np.all(found.burst_error <= samples.TOLERANCE)
    assert not np.array_equal(found.burst_error, checked.burst_error)


@pytest.mark.usefixtures("_wrong")
def test_it_catches_what_both_walks_have_wrong():
    judge = train(planned(0, training=SLOW, sweep={"kernel": "generic"}))
    blind = train(planned(0, training=SLOW), programs=Programs())
    # Both walks agree on numbers that are wrong by more than is promised.
    promised = np.maximum(samples.TOLERANCE, samples.ESTIMATES * blind.truncation_error)
    assert np.all(blind.truncation_error <= samples.TOLERANCE)
    assert np.all(np.array(errors(blind, judge)) > promised)
    found = train(planned(training=SLOW), programs=Programs())
    assert found.burst_error is not None
    assert np.all(found.burst_error > samples.TOLERANCE)
    assert found.truncation_error.tolist() == [math.inf] * 2


@pytest.mark.slow
@pytest.mark.usefixtures("_wrong")
@pytest.mark.parametrize("number", range(4))
def test_random_runs_that_are_wrong_are_not_certified(number: int):
    case = samples.family(200 + number, runs=3, steps=8000)
    case["sweep"] |= {"seeds": 1, "kernel": "generic"}
    judge = train(planned(0, **case))
    case["sweep"] |= {"kernel": "jumps"}
    found = train(planned(**case), programs=Programs())
    assert found.burst_error is not None
    looked = np.isfinite(found.truncation_error) & ~np.isnan(found.burst_error)
    promised = samples.ESTIMATES * np.maximum(samples.TOLERANCE, found.truncation_error)
    kept = np.array([status == "finished" for status in judge.status]) & looked
    assert np.all(np.array(errors(found, judge))[kept] <= promised[kept])


@pytest.mark.usefixtures("_wrong")
def test_where_auto_takes_jumps_a_run_that_is_contradicted_takes_its_steps():
    plan = planned(training=SLOW, sweep={})
    steps = train(planned(0, training=SLOW, sweep={}))
    plan.settings[AUTO_JUMPS] = np.full(plan.num_runs, 10**6)
    found = train(plan, programs=Programs())
    assert found.kernel == steps.kernel == ["dense"] * 2
    assert found.burst_error is not None
    assert np.isnan(found.burst_error).all()
    for run, reason in enumerate(found.kernel_reason):
        assert rows_of(found, run) == rows_of(steps, run)
        assert re.search(
            r"; no time jumps: bursts of steps contradict them, by \d\.\de-0\d$", reason
        )


def test_a_batch_in_pieces_has_the_bits_of_a_whole_one(
    checked: Trained, monkeypatch: pytest.MonkeyPatch
):
    """Stopped within bursts, too."""
    monkeypatch.setattr(jumps.JumpProgram, "_gradients", property(lambda _: 300, lambda *_: None))
    pieces, kept, _ = in_pieces(planned())
    assert len(kept) > sum(checked.num_rows)
    assert_same(pieces, checked)


def test_a_run_has_the_same_bursts_in_every_batch(checked: Trained):
    alone = train(planned(), [1])
    assert alone.burst_error is not None
    assert checked.burst_error is not None
    assert alone.burst_error[0] == checked.burst_error[1]


def test_momentum_and_layers_are_checked():
    training = CASE["training"] | {"optimizer": "momentum", "momentum": 0.6}
    layers = samples.of_layers(2, runs=2, steps=6000)
    case = {key: layers[key] for key in ("problem", "network", "training", "record")}
    case["sweep"] = {"kernel": "jumps", "zip": layers["sweep"]["zip"]}
    for plan in (planned(training=training), planned(PLACES, **case)):
        found = train(plan)
        assert found.burst_error is not None
        looked = found.burst_error[~np.isnan(found.burst_error)]
        assert len(looked)
        assert np.all(looked <= samples.TOLERANCE)


def test_runs_without_jumps_say_that_nothing_was_checked():
    found = train(planned(training={"learning_rate": 0.1, "num_steps": 150}))
    assert found.burst_error is not None
    assert np.isnan(found.burst_error[0])
    assert found.kernel_reason[0].endswith("; no jump was checked")


def test_runs_that_diverge_have_none():
    found = train(planned(training={"learning_rate": 300.0, "num_steps": 6000}))
    assert found.status == ["diverged"]
    assert found.burst_error is not None
    assert np.isnan(found.burst_error[0])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"check_jumps": -1}, "sweep.check_jumps is -1; it must not be negative."),
        ({"check_jumps": 65}, "sweep.check_jumps is 65; it must be at most 64."),
        ({"check_jumps": 1.5}, "sweep.check_jumps is 1.5; it must be an integer."),
        (
            {"check_jumps": [1, 2]},
            "sweep.check_jumps is [1, 2]; it must be an integer, one value for all runs of the "
            "file.",
        ),
        (
            {"check_jumps": 3, "kernel": "dense"},
            "sweep.check_jumps is 3, and sweep.kernel is 'dense', which takes every step, so that "
            'there is no jump to check: leave it out, or take "jumps", "reduced" or "auto".',
        ),
    ],
)
def test_what_it_cannot_be_is_refused(changes: dict[str, Any], sentence: str):
    (found,) = problems(**{f"sweep__{key}": value for key, value in changes.items()})
    assert found == sentence


def test_what_it_costs_is_told(monkeypatch: pytest.MonkeyPatch):
    def told(num_steps: int = 20_000, **options: Any) -> list[str]:
        case = CASE | {"training": CASE["training"] | {"num_steps": num_steps}, "sweep": options}
        return jumps_here.told(make_plan(sweep(**case)))

    assert told(kernel="jumps") == []
    assert told(kernel="jumps", check_jumps=3) == [
        "jumps of 2 runs are checked: at up to 3 random places of each walk real steps are taken "
        "beside them, at most 4,000 at a place"
    ]
    assert told(check_jumps=3) == [
        "sweep.check_jumps finds nothing to check: no jumps are tried for any of its runs "
        '(sweep.kernel = "jumps" asks for them)'
    ]
    assert told(200_000, kernel="reduced", check_jumps=3) == [
        "where the reduced kernel trains 2 runs by jumps, they are checked: at up to 3 random "
        "places of each run real steps are taken beside them, at most 4,000 at a place and those "
        "that come before records"
    ]
    monkeypatch.setattr(auto_jumps, "taken_by", lambda _: np.array([True, False]))
    assert told(check_jumps=3)[1].startswith("jumps of 1 run are checked: ")


def test_compare_shows_what_they_say_beside_the_judge():
    plan = make_plan(sweep(**CASE | {"sweep": {"kernel": "jumps", "check_jumps": PLACES}}))
    pairs = compare_runs(plan, [0], kernels=("jumps", "generic"))
    shown = f"{pairs[0].bursts:.1e}"
    assert 0 < pairs[0].bursts <= samples.TOLERANCE
    header, line = table(pairs).splitlines()
    assert line[header.index("bursts") :].startswith(shown)
    assert f", by bursts of steps {shown}\nright: " in summary(pairs, samples.TOLERANCE)
    without = [replace(pair, bursts=math.nan) for pair in pairs]
    assert "bursts" not in table(without).splitlines()[0]
    assert "bursts" not in summary(without, samples.TOLERANCE)


def test_outcomes_and_the_report_have_what_they_say(tmp_path: Any):
    """Runs that are added later, without the switch, stand beside them."""
    case = CASE | {"name": "some"}

    def run(**options: Any) -> Any:
        asked = sweep(**case | {"sweep": {"kernel": "jumps"} | options})
        return dlnsweep.run(asked, out=tmp_path, workers=0)

    results = run(check_jumps=PLACES)
    runs = results.runs()
    assert ((runs["burst_error"] > 0) & (runs["burst_error"] <= samples.TOLERANCE)).all()
    (section,) = (each for each in content_of(results).sections if each.id == "jumps")
    assert section.lead == (
        "Beside jumps of 2 runs real steps were taken at random places. What they say that records "
        f"may be wrong by is at most {runs['burst_error'].max():.1e}; the tolerance is 1.0e-06."
    )
    assert section.notes == ()
    more = run(seeds=2).runs()
    assert len(more) == 4
    assert more["burst_error"].notna().sum() == 2
    assert (
        dict(zip(runs["run_id"], runs["burst_error"], strict=True)).items()
        <= dict(zip(more["run_id"], more["burst_error"], strict=True)).items()
    )
