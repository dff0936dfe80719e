"""Reduced runs by jumps: against NumPy step by step, and what becomes of those that disagree."""

from __future__ import annotations

import functools
import itertools
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import oracle
import pytest
from batch_samples import expected, plan_of, train_rows

from dlnsweep.engine import batch
from dlnsweep.engine.deviations import deviations_of
from dlnsweep.engine.jumping import train_by_jumps
from dlnsweep.engine.trained import Trained
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.reduced.chain import Descent
from dlnsweep.reduced.compact_descent import State
from dlnsweep.reduced.jumping import gaps, jumps, stages
from dlnsweep.reduced.jumping import may_jump as long_runs
from dlnsweep.reduced.jumping.may_jump import may_jump
from dlnsweep.reduced.jumping.pacing import SHARE, paces, share_of_steps
from dlnsweep.reduced.reduction import Rehearsal
from dlnsweep.settings.run_settings import RunSettings

TOLERANCE = 1e-4
STEPS = 30_000
# As of the reduced kernel: the estimate may be a third of the true error.
SAFETY = 3.0
NAMES = ["regression_error", "off_subspace_error", "weight_norms"]


def plan(rates=(0.03, 0.065), rule="uniform", **network: Any):
    """Two runs that drift after hundreds of steps; a part of the second alternates at first."""
    return plan_of(
        network={"depth": 3, "width": 40} | network,
        training={
            "learning_rate": [*rates],
            "step_rule": rule,
            "weight_decay": 2e-3,
            "num_steps": STEPS,
        },
        record={"count": 16, "observables": NAMES},
        sweep={"seeds": 1, "tolerance": TOLERANCE, "kernel": "reduced"},
    )


def by_jumps_and_by_steps(made):
    with pytest.MonkeyPatch.context() as patch:
        # As if they were long enough to pay for what is compiled.
        patch.setattr(long_runs, "_LEAST_STEPS", STEPS)
        jumped = train_rows(made)
        patch.setattr(batch, "paces_of", lambda program, row, lanes: [[] for _ in lanes])
        return jumped, train_rows(made)


@pytest.fixture(scope="module")
def both():
    made = plan()
    return made, *by_jumps_and_by_steps(made)


def test_jumps_agree_with_the_plain_recursion(both):
    made, jumped, _ = both
    for row in range(2):
        allowed = max(TOLERANCE, SAFETY * jumped.truncation_error[row])
        states = expected(made, row)
        for name in NAMES:
            truth = np.array([oracle.OBSERVABLES[name](state) for state in states])
            np.testing.assert_allclose(
                jumped.observables[name][row], truth, rtol=allowed, atol=1e-14, err_msg=name
            )


def test_networks_drawn_by_their_law_jump_as_others_do():
    # At rates that are the same for all layers a network as wide diverges.
    made = plan((0.5, 1.0), "fan_in", width=10**6, initial_weights="law")
    tell(*by_jumps_and_by_steps(made))


def test_outcomes_tell_steps_and_jumps_and_estimates_hold(both):
    tell(*both[1:])


def tell(jumped, stepped):
    assert stepped.kernel_reason == ["certified"] * 2
    for row, reason in enumerate(jumped.kernel_reason):
        found = re.fullmatch(r"certified; ([\d,]+) steps taken, ([\d,]+) in ([\d,]+) jumps", reason)
        assert found, reason
        taken, beyond, made = (int(number.replace(",", "")) for number in found.groups())
        assert taken + beyond == STEPS
        assert made < beyond / 20
        assert taken < STEPS / 2
        estimate = jumped.truncation_error[row] - stepped.truncation_error[row]
        assert 0 < estimate <= SHARE * TOLERANCE
        for name in NAMES:
            np.testing.assert_allclose(
                jumped.observables[name][row],
                stepped.observables[name][row],
                rtol=max(SHARE * TOLERANCE, SAFETY * estimate),
            )
    assert np.all(jumped.truncation_error <= TOLERANCE)


def test_trials_differ_where_records_are_closer_than_jumps_are_long():
    """What is slow by itself, not by a decay: of two trials of the same jumps none would know."""
    tolerance = 1e-3
    made = plan_of(
        problem={"signal_dim": 8, "measurement_dim": 6, "subspace_dim": 3, "num_samples": 40,
                 "condition_number": 60.0},
        network={"depth": 2, "width": 40},
        training={"learning_rate": 0.1, "weight_decay": [0.0, 1e-6], "data_fit_scale": 0.5,
                  "num_steps": 1_000_000},
        record={"count": 400, "spacing": "linear", "observables": NAMES},
        sweep={"seeds": 1, "tolerance": tolerance, "kernel": "reduced"},
    )  # fmt: skip
    jumped = train_rows(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "paces_of", lambda program, row, lanes: [[] for _ in lanes])
        stepped = train_rows(made)
    for row in range(2):
        estimate = jumped.truncation_error[row] - stepped.truncation_error[row]
        for name in NAMES:
            apart = deviations_of(name, *(t.observables[name][row] for t in (jumped, stepped)))
            assert np.max(apart) <= max(SHARE * tolerance, SAFETY * estimate)
    assert " jumps" in jumped.kernel_reason[1]


def test_short_runs_and_other_optimizers_do_not_jump():
    columns = plan().settings
    row = RunSettings.at(columns, 0, plan().shared)
    assert not may_jump(row)
    long = {**row, "training.num_steps": 1_000_000}
    assert may_jump(RunSettings(long))
    assert not may_jump(RunSettings({**long, "training.optimizer": "adam"}))


def chain_of(rng, decay):
    """Return a chain of two layers, its c_i and D_i; random numbers."""
    rates = np.array([0.02, 0.01])
    made: Any = jumps.Chained
    chain = made(
        inputs=np.diag([1.0, 0.7]),
        targets=rng.normal(size=(2, 3)) / 2,
        forward=(rng.normal(size=(4, 2)) / 3, rng.normal(size=(3, 4)) / 3),
        mixed=(rng.uniform(0.2, 1, 4),),
        backward=(rng.normal(size=(3, 5)) / 3,),
        rates=rates,
        logs=np.log1p(-rates * decay),
        data_fit_scale=np.float64(1.0),
    )
    layers = (rng.normal(size=(5, 2)) / 5, rng.normal(size=(3, 4)) / 5)
    return chain, np.array([0.9, 0.8]), layers


def matrices(chain, scales, layers):
    """M_1, M_2 and N_2 of a chain of two layers, by `reduced/chain.py`."""
    mixed = np.eye(4, 5) * chain.mixed[0][:, None]
    first = scales[0] * chain.forward[0] + mixed @ layers[0]
    second = scales[1] * chain.forward[1] + layers[1]
    return first, second, scales[1] * chain.backward[0] + layers[1] @ mixed


def one_step(chain, scales, layers):
    """A step of gradient descent by the equations at the head of `reduced/chain.py`."""
    rho = np.exp(chain.logs)
    first, second, back = matrices(chain, scales, layers)
    f0 = chain.inputs
    f1 = first @ f0
    b2 = chain.data_fit_scale * (second @ f1 - chain.targets.T)
    b1 = back.T @ b2
    changes = [rate * b @ f.T for rate, b, f in zip(chain.rates, (b1, b2), (f0, f1), strict=True)]
    return rho * scales, tuple(map(np.subtract, (rho[0] * layers[0], rho[1] * layers[1]), changes))


def stepped(chain, scales, layers, count):
    for _ in range(count):
        scales, layers = one_step(chain, scales, layers)
    return scales, layers


@functools.cache
def compiled():
    return jax.jit(jumps._jumped)


def jumped(chain, scales, layers, length, count, halved=0, rate=0.05, may_move=-1.0, far=False):
    with numerics():
        chain = jumps.Chained(*(jax.tree.map(jnp.asarray, part) for part in chain))
        found = compiled()(
            chain,
            jnp.asarray(scales),
            tuple(map(jnp.asarray, layers)),
            jnp.float64(rate),
            jnp.float64(length),
            jnp.int64(count),
            jnp.int64(halved),
            jnp.asarray(far),
            jnp.float64(may_move),
        )
        return np.asarray(found[0]), [np.asarray(layer) for layer in found[1]]


@pytest.mark.parametrize("far", [False, True])
def test_what_only_decays_is_exact(far):
    chain, scales, layers = chain_of(np.random.default_rng(0), decay=0.1)
    chain = chain._replace(data_fit_scale=np.float64(0.0))
    wanted = stepped(chain, scales, layers, 2500)
    found = jumped(chain, scales, layers, 1000.0, 2, halved=1, far=far)
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-12)
    for own, true in zip(found[1], wanted[1], strict=True):
        np.testing.assert_allclose(own, true, rtol=1e-12)


def test_jumps_are_passed_over_where_nothing_moves_and_made_where_something_does():
    chain, scales, layers = chain_of(np.random.default_rng(1), decay=0.02)
    state = jumped(chain, *stepped(chain, scales, layers, 20_000), 250.0, 400)
    wanted = jumped(chain, *state, 250.0, 1, halved=2)
    for count in (40, 10**12):
        found = jumped(chain, *state, 250.0, count, halved=2, may_move=1.0)
        # After the first of them all is held but what only decays, which is nothing by now.
        np.testing.assert_allclose(
            found[0], wanted[0] * np.exp(chain.logs * 250.0 * (count - 1)), rtol=1e-10
        )
        for own, true in zip(found[1], wanted[1], strict=True):
            # The c_i are some 1e-10 at first.
            np.testing.assert_allclose(own, true, rtol=1e-10, atol=1e-11)
    # Of what has hardly begun to move each jump is made.
    chain, scales, layers = chain_of(np.random.default_rng(0), decay=0.001)
    every = [jumped(chain, scales, layers, 30.0, 8, may_move=m) for m in (-1.0, 1e-9)]
    for own, true in zip(*(made[1] for made in every), strict=True):
        np.testing.assert_array_equal(own, true)


def test_jumps_are_of_third_order_and_followed_by_steps_come_to_where_all_steps_do():
    chain, scales, layers = chain_of(np.random.default_rng(1), decay=0.02)
    # Until it has settled.
    scales, layers = stepped(chain, scales, layers, 20_000)
    wanted = stepped(chain, scales, layers, 2000 + 8000)

    def error(count):
        # What is fast fades behind the jumps.
        found = stepped(chain, *jumped(chain, scales, layers, 2000 / count, count), 8000)
        pairs = zip(found[1], wanted[1], strict=True)
        return max(np.max(np.abs(own - true)) for own, true in pairs)

    coarse, fine = error(2), error(8)
    assert coarse < 1e-4
    assert 45 < coarse / fine < 90


def test_jumps_that_stages_do_not_reach_are_of_third_order_and_leave_nothing_to_fade():
    chain, scales, layers = chain_of(np.random.default_rng(1), decay=0.02)
    scales, layers = stepped(chain, scales, layers, 2_000)
    wanted = stepped(chain, scales, layers, 2_000)

    def error(count):
        found = jumped(chain, scales, layers, 2000 / count, count, far=True)
        pairs = zip(found[1], wanted[1], strict=True)
        return max(np.max(np.abs(own - true)) for own, true in pairs)

    found = [error(count) for count in (4, 8, 16)]
    assert found[0] < 1e-4
    assert found[1] < found[0] / 6


def test_weighted_stages_are_of_third_order_reach_as_far_as_told_and_damp():
    """On y' = z y by the recursion of Sommeijer, Shampine and Verwer, equations 2.1 to 2.6."""
    known = stages.table()
    assert np.all(np.diff(known.counts) > 0)
    assert np.all(known.counts % 2 == 1)
    for row in (0, 5, len(known.counts) - 1):
        count, reach = int(known.counts[row]), known.reach[row]
        assert 0.37 < reach / count**2 < 0.38
        w0 = 1 + 8 / count**2
        polynomials = [np.polynomial.chebyshev.Chebyshev.basis(j) for j in range(count + 1)]
        first, second = ([t.deriv(k)(w0) for t in polynomials] for k in (1, 2))
        w1 = first[-1] / second[-1]
        b = [0.0, 0.0] + [second[j] / first[j] ** 2 for j in range(2, count + 1)]
        b[0] = b[1] = b[2]
        a = [1 - b[j] * polynomials[j](w0) for j in range(count + 1)]

        def ends(z, count=count, w0=w0, w1=w1, a=a, b=b, row=row):
            made = [np.ones_like(z), 1 + b[1] * w1 * z]
            for j in range(2, count + 1):
                mu, nu = 2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2]
                rate = 2 * b[j] * w1 / b[j - 1]
                new = (1 - mu - nu) + mu * made[-1] + nu * made[-2] + rate * z * made[-1]
                made.append(new - a[j - 1] * rate * z)
            return sum(g * y for g, y in zip(known.weights[row], made, strict=False))

        # The error is of the fourth power: a sixteenth of it at half the length.
        small = np.array([-0.1, -0.05])
        errors = np.abs(ends(small) - np.exp(small))
        assert errors[0] < 1e-5
        assert 13 < errors[0] / errors[1] < 19
        fast = np.abs(ends(-np.geomspace(3, reach, 5000)))
        assert np.max(fast) < 0.9
        # And no farther.
        assert np.abs(ends(np.array([-1.1 * reach])))[0] > np.max(fast)


def test_jumps_of_a_gap_fill_it_and_get_shorter_before_a_record():
    left = np.array([3000.0, 12_345.0, 900_000.0, 40.0])
    rate, decay = np.array([0.5, 0.1, 0.03, 0.2]), 1e-5
    before = np.full(4, np.inf)
    for parts in (1.0, 2.0, 5.0):
        made = gaps.divided(left, 1000.0, rate, rate, decay, parts, np, far=False)
        for k in range(4):
            equal, halved = int(made.equal[k]), int(made.halved[k])
            lengths = [made.length[k]] * equal + [
                made.length[k] / 2**j for j in range(1, halved + 1)
            ]
            assert np.sum(lengths) == pytest.approx(left[k], rel=1e-12)
            assert lengths[0] <= 1000 / parts * (1 + 1e-12)
            # Each trial's are shorter, also where records are closer than jumps are long.
            assert lengths[0] < before[k]
            assert lengths[-1] <= 10 / rate[k] / parts
            before[k] = lengths[0]
            passed = np.expm1(decay * np.array(lengths)) / -np.expm1(-decay)
            needed = stages.count_for(1.5 * rate[k] * passed, np)
            assert made.stages[k] == pytest.approx(np.sum(needed), abs=8)


def test_no_jump_is_longer_than_the_most_stages_reach():
    rate = np.array([0.1])
    made = gaps.divided(np.array([1e9]), 1e9, rate, rate, 0.0, 1.0, np, far=False)
    assert made.length[0] <= stages.farthest() / 1.5 / 0.1
    assert made.equal[0] > 1000
    assert made.far is None
    # Where K may be made stages reach less far: they leave in outputs what is much of a small
    # residual. Beyond, nothing is left to fade after a jump.
    made = gaps.divided(np.array([1e9]), 1e8, rate, rate, 0.0, 1.0, np, far=True)
    assert made.far[0]
    assert 5e7 < made.length[0] <= 1e8
    assert made.halved[0] == 1
    made = gaps.divided(np.array([1e9]), 1e5, rate, rate, 0.0, 1.0, np, far=True)
    assert made.far[0]
    made = gaps.divided(np.array([1e9]), 5e3, rate, rate, 0.0, 1.0, np, far=True)
    assert not made.far[0]
    assert np.max(stages.count_for(gaps.reach_of(rate, 0.0, made.length, np), np)) < 60


def test_the_largest_rate_is_that_of_the_linearised_step():
    chain, scales, layers = chain_of(np.random.default_rng(2), decay=0.0)
    first, _, back = matrices(chain, scales, layers)
    rows = (chain.inputs, chain.inputs @ first.T)
    back = (back, np.eye(3))
    kernel = sum(
        rate * np.kron(f @ f.T, b @ b.T) for rate, f, b in zip(chain.rates, rows, back, strict=True)
    )
    with numerics():
        lifted = jumps.Chained(*(jax.tree.map(jnp.asarray, part) for part in chain))
        found = jumps.steepest(lifted, jnp.asarray(scales), tuple(map(jnp.asarray, layers)))
    assert 0.95 < float(found) / np.linalg.eigvalsh(kernel)[-1] < 1 + 1e-9


@pytest.mark.parametrize("rises", [False, True])
def test_a_jump_is_made_only_where_stages_were_enough_to_its_end(rises):
    chain, scales, layers = chain_of(np.random.default_rng(3), decay=1e-5)
    if rises:
        # Small layers that have yet to fit their targets: the rate grows as they do.
        layers = tuple(0.01 * layer for layer in layers)
        scales = 0.01 * scales
    else:
        scales, layers = stepped(chain, scales, layers, 20_000)
    pace = jumps.Pace(*map(np.float64, (500, 1.0, 1.0, 1.0, 10.0, 1.0, np.inf, 0.0)))
    with numerics():
        constants = SimpleNamespace(
            data=SimpleNamespace(inputs=jnp.diag(chain.inputs)),
            targets=jnp.asarray(chain.targets.T),
            forward=tuple(map(jnp.asarray, chain.forward)),
            mixed=tuple(map(jnp.asarray, chain.mixed)),
            backward=tuple(map(jnp.asarray, chain.backward)),
            rates=jnp.asarray(chain.rates),
            weight_decay=jnp.float64(1e-5),
            data_fit_scale=chain.data_fit_scale,
            pace=pace,
        )
        state = State(
            tuple(map(jnp.asarray, layers)),
            jnp.asarray(scales),
            (),
            jnp.ones((), bool),
            -jnp.ones((), jnp.int64),
            jnp.zeros(2, jnp.int64),
        )
        made, begun = jumps.before_record(
            constants, state, jnp.int64(1000), jnp.int64(21_000), fused=False
        )
    leaves = (jax.tree.leaves(made), jax.tree.leaves(state))
    unchanged = [np.array_equal(a, b) for a, b in zip(*leaves, strict=True)]
    assert all(unchanged) == rises
    assert (int(begun) == 1000) == rises
    assert (int(made.counts[1]) == 0) == rises


def descent_of(decay):
    return Descent(np.ones(2), np.ones((3, 2)), np.full(3, 0.1), decay, 1.0)


def rehearsal_of(stiffness):
    times = np.geomspace(1, 1e6, 20)
    return Rehearsal(times, np.ones(20), 200.0, np.full(20, stiffness))


RECORDED = np.unique(np.geomspace(1, 1e6, 60).astype(int))


def test_paces_grow_finer_and_are_none_where_jumps_do_not_hold_or_do_not_pay():
    made = paces(descent_of(1e-4), rehearsal_of(0.1), 1e-4, RECORDED)
    assert len(made) == 3
    for coarse, fine in itertools.pairwise(made):
        assert fine.decay == coarse.decay
        assert fine.stride == coarse.stride
        assert fine.parts > coarse.parts
        assert fine.first > coarse.first
        assert fine.settling > coarse.settling
    share = share_of_steps(made, descent_of(1e-4), rehearsal_of(0.1), RECORDED)
    assert share < 0.3
    assert share_of_steps([], descent_of(1e-4), rehearsal_of(0.1), RECORDED) == 1
    # What alternates does not fade near 2; large decays a step are not in two terms of the flow.
    assert not paces(descent_of(1e-4), rehearsal_of(1.8), 1e-4, RECORDED)
    assert not paces(descent_of(0.1), rehearsal_of(0.1), 1e-4, RECORDED)
    # So fine that steps are cheaper, and so short.
    assert not paces(descent_of(1e-4), rehearsal_of(0.1), 1e-11, RECORDED)
    assert not paces(descent_of(1e-4), rehearsal_of(0.1), 1e-4, RECORDED[RECORDED < 2000])
    # A gap that begins where none jumps yet is taken step by step, by both trials.
    assert not paces(descent_of(1e-4), rehearsal_of(0.1), 1e-4, np.array([0, 100, 1_000_000]))


def test_jumps_begin_where_no_part_is_too_steep_any_more_and_what_alternates_has_faded():
    flat = rehearsal_of(1.6)

    def first(stiffness):
        changed = flat._replace(stiffness=np.array(stiffness))
        made = paces(descent_of(1e-4), changed, 1e-4, RECORDED)
        if not made:
            return np.inf
        # Real steps until then are all that a share of at least so much can be.
        begun = made[0].first
        share = share_of_steps(made, descent_of(1e-4), changed, RECORDED)
        assert share > 2 * np.min(RECORDED, where=begun <= RECORDED, initial=1e6) / 1e6
        return begun

    assert first([1.6] * 20) == np.cbrt(13.0**4 / 4 / (SHARE * 1e-4)) > 500
    # Steep until the tenth checkpoint, and once more: neither between nor at once after it.
    until = flat.times[11]
    faded = np.ceil(until + np.log(1e-7) / np.log(0.6))
    assert first([1.9] * 11 + [1.6] * 9) == faded
    assert first([1.9] * 5 + [0.1] * 5 + [1.9] + [1.6] * 9) == faded
    assert until < first([1.9] * 11 + [0.5] * 9) <= np.ceil(until)
    # Half of the run is more than two trials may take; at its end it is too late.
    assert first([1.9] * 19 + [0.1]) == np.inf
    assert first([0.1] * 19 + [1.9]) == np.inf


def test_a_gap_in_which_the_rate_rises_costs_its_steps():
    level, rising = np.full(20, 0.1), np.geomspace(0.001, 1.6, 20)
    few = np.unique(np.geomspace(1, 1e6, 8).astype(int))
    made = paces(descent_of(1e-4), rehearsal_of(0.1), 1e-4, few)
    shares = [
        share_of_steps(made, descent_of(1e-4), rehearsal_of(0.1)._replace(stiffness=own), few)
        for own in (level, rising)
    ]
    assert shares[0] < 0.5
    assert shares[1] > 2 * (1 - few[few >= made[0].first][0] / few[-1]) * 0.9


def trained_of(values, diverged=-1, rows=3):
    count = len(values)
    return Trained(
        steps=np.array([0, 10, 100]),
        observables={"regression_error": np.array([[1.0, value, value] for value in values])},
        num_rows=np.full(count, rows),
        diverged_step=np.full(count, diverged),
        stopped_step=np.full(count, -1),
        kernel=["reduced"] * count,
        kernel_reason=["certified"] * count,
        truncation_error=np.full(count, 1e-6),
        residual_norm=np.ones(count),
        compile_seconds=0.0,
        seconds=0.0,
    )


def test_runs_are_trained_until_two_trials_agree_and_else_step_by_step():
    # The first agrees at once, the second at the third trial, the third never.
    trials = [[1.0, 1.0, 1.0], [1 + 1e-6, 1.1, 1.1], [0.0, 1.1, 1.2]]
    asked = []

    def train(places, paces, _keeps):
        asked.append((places, paces))
        values = [7.0] * len(places)
        if paces is not None:
            values = [trials[paces[0]][i] for i in places]
        return trained_of(values)

    own = [[0, 1, 2]] * 3
    found = train_by_jumps([*own, []], 1e-4, train)  # pyright: ignore [reportArgumentType]
    assert [places for places, _ in asked] == [[0, 1, 2], [0, 1, 2], [1, 2], [2, 3]]
    assert asked[-1][1] is None
    np.testing.assert_allclose(
        found.observables["regression_error"][:, -1], [1 + 1e-6, 1.1, 7.0, 7.0]
    )
    np.testing.assert_allclose(found.truncation_error, [2e-6, 1e-6, 1e-6, 1e-6], rtol=1e-3)


@pytest.mark.parametrize("change", [{"diverged": 50}, {"rows": 2}])
def test_a_run_that_diverges_or_ends_elsewhere_is_trained_step_by_step(change):
    def train(places, paces, _keeps):
        if paces is None:
            return trained_of([7.0])
        return trained_of([1.0], **(change if paces == [1] else {}))

    found = train_by_jumps([[0, 1]], 1e-4, train)  # pyright: ignore [reportArgumentType]
    assert found.observables["regression_error"][0, 1] == 7
