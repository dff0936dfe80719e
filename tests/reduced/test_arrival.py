"""Where a reduced run has arrived: told by a pilot, held beside NumPy step by step."""

from __future__ import annotations

import re

import numpy as np
import oracle
import pytest
from batch_samples import expected, plan_of, train_rows

from dlnsweep.engine.programs import Programs
from dlnsweep.reduced.arrival import LEFT, Place, has_arrived
from dlnsweep.reduced.chain import Descent
from dlnsweep.reduced.jumping import gaps
from dlnsweep.reduced.jumping import may_jump as long_runs

NAMES = ["regression_error", "off_subspace_error"]
RATE, DECAY, STEPS = 0.05, 0.02, 60_000
COUNT = 40


def plan(steps=STEPS):
    return plan_of(
        network={"depth": 3, "width": 40},
        training={"learning_rate": RATE, "weight_decay": DECAY, "num_steps": steps},
        record={"count": COUNT, "observables": NAMES},
        sweep={"seeds": 1, "tolerance": 1e-4, "kernel": "reduced"},
    )


def told(trained):
    found = re.fullmatch(
        r"certified; ([\d,]+) steps taken, ([\d,]+) in ([\d,]+) jumps", trained.kernel_reason[0]
    )
    assert found, trained.kernel_reason
    return [int(number.replace(",", "")) for number in found.groups()]


@pytest.fixture(scope="module")
def truth():
    """Sixty e-foldings of weight decay."""
    made = plan()
    states = expected(made, 0)
    return {name: np.array([oracle.OBSERVABLES[name](state) for state in states]) for name in NAMES}


def test_a_run_that_arrives_is_right_before_and_after(truth, monkeypatch):
    monkeypatch.setattr(long_runs, "_LEAST_STEPS", STEPS)
    trained = train_rows(plan())
    taken, beyond, _ = told(trained)
    assert taken + beyond == STEPS
    allowed = max(1e-4, 3 * trained.truncation_error[0])
    for name in NAMES:
        # What decays to nothing is rounding in NumPy's whole layers.
        np.testing.assert_allclose(trained.observables[name][0], truth[name], allowed, 2e-13)


@pytest.mark.parametrize("steps", [10**9, 9 * 10**15])
def test_runs_of_any_length_take_as_many_steps_and_jumps_as_those_that_have_arrived(steps, truth):
    trained = train_rows(plan(steps))
    taken, beyond, jumps = told(trained)
    assert taken + beyond == steps
    # Some hundred between two records.
    assert taken + jumps < 30 * 400
    allowed = max(1e-4, 3 * trained.truncation_error[0])
    late = trained.steps >= STEPS
    assert np.sum(late) > 5
    np.testing.assert_allclose(
        trained.observables["regression_error"][0, late], truth["regression_error"][-1], allowed
    )
    # Of the first layer's part off the subspace there is left what decays, all else stands.
    # Where it is still far above what NumPy rounds off.
    steps_of_truth = np.unique([0, *np.rint(np.geomspace(1, STEPS, COUNT))])
    place = np.flatnonzero(truth["off_subspace_error"] > 1e-8)[-1]
    since = trained.steps[late] - steps_of_truth[place]
    last = truth["off_subspace_error"][place] * np.exp(np.log1p(-RATE * DECAY) * since)
    np.testing.assert_allclose(
        trained.observables["off_subspace_error"][0, late], last, 10 * allowed, 1e-300
    )


def descent(decay, *, momentum=0.0, depth=2):
    return Descent(np.ones(2), np.eye(2), np.full(depth, 0.1), decay, 1.0, momentum=momentum)


def test_arrived_is_what_moves_no_more_for_a_decays_time():
    weights = [np.eye(2), np.eye(2)]
    own = descent(1e-3)
    residual = -1e-3 * np.eye(2)
    norm = float(np.linalg.norm(residual))

    def arrives(moves=0.0, time=5000.0, change=0.0, residual=residual, descent=own):
        before = [w + moves for w in weights]
        return has_arrived(
            descent, Place(0.0, before, norm * (1 + change)), Place(time, weights, norm), residual
        )

    assert arrives()
    assert arrives(moves=0.1 * LEFT)
    assert not arrives(moves=LEFT)
    # By nearly twice that in two time constants, as a truncated chain may drift on; not by more,
    # and not by as much a time constant in very many.
    assert arrives(moves=1.3 * LEFT, time=2e4)
    assert not arrives(moves=1.6 * LEFT, time=2e4)
    assert not arrives(moves=3 * LEFT, time=1e6)
    assert not arrives(change=1e-3)
    # A tenth of the time in which weight decay takes a share of 1 / e.
    assert not arrives(time=1000.0)
    assert arrives(time=1000.0, descent=descent(1e-3, momentum=0.9))
    # A part that both layers lack, and that will grow: where two of two singular values are
    # learned, weight decay holds both at lambda.
    assert not arrives(residual=np.diag([-1e-3, -1.0]))


@pytest.mark.parametrize(("decay", "wanted"), [(1e-3, True), (1e-11, False)])
def test_of_three_layers_small_parts_grow_only_where_decay_is_smaller_still(decay, wanted):
    """From the largest epsilon that is overlooked on, 1e-10 of weights of size 2.4."""
    weights = [np.eye(2)] * 3
    # A part that all layers lack, and whose pull is 1.
    residual = np.diag([-decay, -1.0])
    before, now = (Place(time, weights, 1.0) for time in (0.0, 5 / decay))
    assert has_arrived(descent(decay, depth=3), before, now, residual) == wanted


def test_a_single_layer_has_no_saddle():
    before, now = (Place(time, [np.eye(2)], 1.0) for time in (0.0, 5e3))
    assert has_arrived(descent(1e-3, depth=1), before, now, -np.eye(2))


def test_without_weight_decay_arrived_is_a_residual_of_rounding():
    weights = [np.eye(2), np.eye(2)]
    for size, wanted in ((1e-10, False), (1e-14, True)):
        place = Place(1e6, weights, size)
        found = has_arrived(descent(0.0), place, place, size * np.eye(2))
        assert found == wanted


def test_jumps_beyond_what_stages_reach_are_right_where_a_run_drifts_and_where_it_has_arrived(
    truth, monkeypatch
):
    """As those of a decay a hundred times as slow, whose truth has a million steps."""
    monkeypatch.setattr(long_runs, "_LEAST_STEPS", STEPS)
    monkeypatch.setattr(long_runs, "_LEAST_FAR", STEPS)
    monkeypatch.setattr(gaps, "farthest", lambda: 2.0)
    trained = train_rows(plan(), programs=Programs())
    taken, beyond, _ = told(trained)
    assert taken + beyond == STEPS
    assert beyond > STEPS / 2
    allowed = max(1e-4, 3 * trained.truncation_error[0])
    for name in NAMES:
        np.testing.assert_allclose(trained.observables[name][0], truth[name], allowed, 2e-13)
