"""Bursts of real steps beside the jumps of reduced runs: `sweep.check_jumps` by that kernel."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from batch_samples import expected, plan_of, train_rows
from oracle import OBSERVABLES
from test_checkpoint import assert_same, in_pieces

from dlnsweep.contracts.network import CHECK_JUMPS
from dlnsweep.engine import reduced_bursts
from dlnsweep.engine.deviations import deviations_of
from dlnsweep.engine.programs import PROGRAMS, Programs
from dlnsweep.engine.reduced_bursts import ReducedBursts
from dlnsweep.engine.trained import Trained
from dlnsweep.execution.comparison import compare_runs
from dlnsweep.execution.comparison_text import summary, table
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import Plan
from dlnsweep.reduced.jumping import jumps, may_jump

PLACES, STEPS, TOLERANCE = 3, 40_000, 1e-5
NAMES = ["regression_error", "off_subspace_error", "weight_norms"]
# What jumps are made to be wrong by, relative to the rate at which weights decay.
WRONG = 1e-5
# A deviation of more than so many estimates is a finding: the reduced kernel's promise.
ESTIMATES = 3.0


def planned(places: int = PLACES, rates: Any = (0.03, 0.05), **options: Any) -> Plan:
    """Runs that drift after hundreds of steps, by default two."""
    num_steps = options.pop("num_steps", STEPS)
    plan = plan_of(
        network={"depth": 2, "width": 40},
        training={"learning_rate": list(rates), "weight_decay": 1e-3, "num_steps": num_steps},
        record={"count": 16, "observables": NAMES},
        sweep={"seeds": 1, "tolerance": TOLERANCE, "kernel": "reduced"} | options,
    )
    if places:
        plan.settings[CHECK_JUMPS] = np.full(plan.num_runs, places)
    return plan


@pytest.fixture(autouse=True, scope="module")
def _long_enough():
    with pytest.MonkeyPatch.context() as patch:
        # As if they were long enough to pay for what is compiled.
        patch.setattr(may_jump, "_LEAST_STEPS", STEPS)
        yield


@pytest.fixture(scope="module")
def plain() -> Trained:
    return train_rows(planned(0))


@pytest.fixture(scope="module")
def checked() -> Trained:
    return train_rows(planned())


def bursts_of(trained: Trained) -> np.ndarray:
    assert trained.burst_error is not None
    return trained.burst_error


def rows_of(found: Trained, run: int) -> dict[str, bytes]:
    return {name: each[run].tobytes() for name, each in found.observables.items()}


def test_runs_have_the_numbers_that_they_have_without(plain: Trained, checked: Trained):
    assert plain.burst_error is None
    for run, reason in enumerate(plain.kernel_reason):
        assert " jumps" in reason
        assert rows_of(checked, run) == rows_of(plain, run)
        error = bursts_of(checked)[run]
        assert checked.kernel_reason[run] == (
            f"{reason}; {PLACES} checked by bursts of steps: {error:.1e}"
        )
        assert 0 < error <= TOLERANCE
    np.testing.assert_array_equal(checked.truncation_error, plain.truncation_error)


@pytest.mark.usefixtures("plain")
def test_nothing_is_compiled_for_it():
    before = len(PROGRAMS)
    train_rows(planned())
    assert len(PROGRAMS) == before


@pytest.fixture
def _wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let weights in jumps, but not in steps, decay at a rate that is off by little."""
    own = jumps._jumped

    def jumped(chain: Any, *arguments: Any) -> Any:
        return own(chain._replace(logs=(1 + WRONG) * chain.logs), *arguments)

    monkeypatch.setattr(jumps, "_jumped", jumped)


@pytest.mark.usefixtures("_wrong")
def test_it_catches_what_both_trials_have_wrong(monkeypatch: pytest.MonkeyPatch):
    """Held against the plain recursion in NumPy, over nine e-foldings of the decay."""
    tolerance, programs = 3e-5, Programs()
    case: dict[str, Any] = {"rates": [0.03], "num_steps": 300_000, "tolerance": tolerance}
    blind = train_rows(planned(0, **case), programs=programs)
    states = expected(planned(0, **case), 0)
    errors = []
    for name in NAMES:
        truth = np.array([OBSERVABLES[name](state) for state in states])
        errors.append(np.max(deviations_of(name, blind.observables[name][0], truth)))
    # Both trials agree on numbers that are wrong by more than is promised.
    assert " jumps" in blind.kernel_reason[0]
    assert max(errors) > max(tolerance, ESTIMATES * blind.truncation_error[0])
    found = train_rows(planned(PLACES, **case), programs=programs)
    told = re.fullmatch(
        r"certified; no jumps: bursts of steps contradict them, by (\d\.\de-0\d)",
        found.kernel_reason[0],
    )
    assert told
    assert float(told[1]) > tolerance
    assert np.isnan(bursts_of(found)[0])
    monkeypatch.setattr("dlnsweep.engine.batch.paces_of", lambda *of: [[] for _ in of[2]])
    stepped = train_rows(planned(0, **case), programs=programs)
    assert rows_of(found, 0) == rows_of(stepped, 0)
    np.testing.assert_array_equal(found.truncation_error, stepped.truncation_error)


def test_a_burst_says_by_how_much_jumps_of_its_kind_are_wrong(monkeypatch: pytest.MonkeyPatch):
    """By hand: with jumps of H steps and m steps that were jumped over anew."""
    later, now = iter([3e-9, 0.0, 5e-9]), iter([1e-9, 2e-6, 0.0])
    seen: list[tuple[float, float]] = []
    own = ReducedBursts._found

    def found(self: Any, program: Any, inputs: Any, carry: Any, gap: int, trained: Any) -> Any:
        jumped, count = self._stretches[gap].numbers[:2]
        scaled, record = own(self, program, inputs, carry, gap, trained)
        seen.append((jumped / count, scaled))
        return scaled, record

    stretches: list[int] = []
    gone = reduced_bursts._gone

    def going(program: Any, inputs: Any, carry: Any, start: int, stops: list[int]) -> Any:
        counts = np.array(carry.state.counts)[0, 0]
        made = gone(program, inputs, carry, start, stops)
        beyond = int(np.array(made[0].state.counts)[0, 0] - counts)
        if len(stops) == 2:
            stretches.append(beyond)
        return made

    monkeypatch.setattr(ReducedBursts, "_found", found)
    monkeypatch.setattr(reduced_bursts, "_gone", going)
    monkeypatch.setattr(reduced_bursts, "_apart", lambda *_: next(later))
    monkeypatch.setattr(reduced_bursts, "_recorded_apart", lambda *_: (next(now), 0.0))
    trained = train_rows(planned(), [0])
    # By jumps and by steps alone, in turns.
    assert stretches[1::2] == [0] * PLACES
    beyond = np.array(stretches[::2])
    # How long what is fast takes to fade is not the same at each place.
    assert np.all(np.abs(beyond / reduced_bursts._SHORTEST - 1) < 0.1)
    lengths, scaled = (np.array(each) for each in zip(*seen, strict=True))
    # To rounding of two products.
    np.testing.assert_allclose(scaled, [3e-9, 0, 5e-9] * lengths / beyond, rtol=1e-14)
    (count,) = (int(part) for part in re.findall(r"in (\d+) jumps", trained.kernel_reason[0]))
    whole = max(count * np.mean(scaled), 2e-6)
    assert bursts_of(trained)[0] == pytest.approx(whole, rel=1e-14)


def test_places_are_random_and_those_of_the_run_in_every_batch(
    checked: Trained, monkeypatch: pytest.MonkeyPatch
):
    places: list[int] = []
    own = reduced_bursts._gone

    def gone(program: Any, inputs: Any, carry: Any, start: int, stops: list[int]) -> Any:
        places.extend(stops if len(stops) == 1 else [])
        return own(program, inputs, carry, start, stops)

    monkeypatch.setattr(reduced_bursts, "_gone", gone)
    train_rows(planned())
    both, places = places, []
    alone = train_rows(planned(), [1])
    assert both[PLACES:] == places
    assert len(set(both)) == 2 * PLACES
    # Bases of other sizes, padded otherwise, round otherwise: 1e-16 of 1e-9, a few times over.
    np.testing.assert_allclose(bursts_of(alone)[0], bursts_of(checked)[1], rtol=1e-3)
    with numerics():
        steps = np.arange(0, 10_001, 500)
        drawn = [ReducedBursts(seed, steps, 2) for seed in range(100)]
    first = [min(each._ranks, key=each._ranks.__getitem__) for each in drawn]
    # Of 20 gaps each is first with the same chance: with 100 seeds fewer than 15 of them would be
    # so with a probability below 1e-4.
    assert len(set(first)) >= 15
    assert all(0 < share < 1 for each in drawn for share in each._within)


def test_a_batch_in_pieces_has_the_bits_of_a_whole_one(checked: Trained):
    """Stopped between its bursts, too."""
    pieces, kept, _ = in_pieces(planned())
    # A stop after each prepared run, each segment and each burst.
    assert len(kept) > 2 + 2 * PLACES
    assert_same(pieces, checked)


def test_records_in_float32_are_not_held_to_more_than_they_have():
    found = train_rows(planned(PLACES, precision="float32"))
    assert np.all(bursts_of(found) <= TOLERANCE)
    assert all(f"{PLACES} checked by bursts" in reason for reason in found.kernel_reason)


def test_runs_that_take_their_steps_have_none():
    # So decays are too large beside what jumps may leave out.
    found = train_rows(planned(rates=[0.03], tolerance=1e-9))
    assert np.isnan(bursts_of(found)).all()
    assert found.kernel_reason == ["certified"]


def test_compare_shows_what_they_say_beside_the_dense_kernel():
    plan = planned(0, check_jumps=PLACES)
    pairs = compare_runs(plan, [0], kernels=("reduced", "dense"))
    shown = f"{pairs[0].bursts:.1e}"
    assert 0 < pairs[0].bursts <= TOLERANCE
    header, line = table(pairs).splitlines()
    assert line[header.index("bursts") :].startswith(shown)
    assert f", by bursts of steps {shown}\nright: " in summary(pairs, TOLERANCE)
