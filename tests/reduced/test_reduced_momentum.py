"""Jumps of reduced runs with momentum: the slow flow and its jumps against NumPy step by step."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
import oracle
import pytest
from batch_samples import expected, plan_of, train_rows

from dlnsweep.contracts.network import ALL_MOMENTUM_STEPS, CHECK_JUMPS
from dlnsweep.engine import batch
from dlnsweep.execution.ways import reduced_steps
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.reduced.chain import Descent
from dlnsweep.reduced.jumping import flow, momentum
from dlnsweep.reduced.jumping import may_jump as long_runs
from dlnsweep.reduced.jumping.pacing import paces, share_of_steps
from dlnsweep.reduced.jumping.slow import fading, limit_of, slow_of
from dlnsweep.reduced.reduction import Rehearsal
from dlnsweep.settings.run_settings import RunSettings

# As of the reduced kernel: the estimate may be a third of the true error.
SAFETY = 3.0
BOTH = pytest.mark.parametrize("nesterov", [False, True])


def matrix_of(rate, beta, *, nesterov):
    """The map of (x, m) of a step on the gradient a x: m <- b m - a x, then x by m or by both."""
    if nesterov:
        return np.array([[1 - rate - beta * rate, beta**2], [-rate, beta]])
    return np.array([[1 - rate, beta], [-rate, beta]])


@BOTH
def test_roots_limits_and_fading_are_those_of_the_map(nesterov):
    for beta in (0.3, 0.9, 0.99):
        critical = (1 - np.sqrt(beta)) ** 2
        for rate in (1e-6, 0.5 * critical, 2 * critical, 0.5, 1.2):
            roots = np.abs(np.linalg.eigvals(matrix_of(rate, beta, nesterov=nesterov)))
            stays = 1 - max(np.max(roots), np.sqrt(beta))
            found = fading(np.float64(rate), beta, np, nesterov=nesterov)
            # The roots are of a square root of rounding near where they meet.
            assert float(found) == pytest.approx(stays, rel=1e-6, abs=1e-9)
        limit = limit_of(beta, nesterov=nesterov)
        sizes = [
            np.max(np.abs(np.linalg.eigvals(matrix_of(share * limit, beta, nesterov=nesterov))))
            for share in (0.999, 1.001)
        ]
        assert sizes[0] < 1 < sizes[1]


@BOTH
@pytest.mark.parametrize("beta", [0.5, 0.9])
def test_the_slow_flow_is_that_of_the_slow_root_to_third_order(beta, nesterov):
    def wrong(scale):
        """By how much equation (1) of `slow.py` is wrong for G = -a x, a weight decay beside it."""
        rate, decay = scale * 0.3 * (1 - beta) ** 2, scale * 0.2 * (1 - beta) ** 2
        slow = slow_of(np.array([decay]), beta, np, nesterov=nesterov)
        # What only decays does so by rho.
        roots = np.linalg.eigvals(matrix_of(decay, beta, nesterov=nesterov))
        assert slow.logs[0] == pytest.approx(np.log(np.max(roots.real)), rel=1e-10)
        # y goes as e^(-gamma t), and s grows by o a step.
        roots = np.linalg.eigvals(matrix_of(rate + decay, beta, nesterov=nesterov))
        gamma, loss = slow.logs[0] - np.log(np.max(roots.real)), -slow.logs[0]
        pace = loss / -np.expm1(-loss)
        # U goes as y over ds / dt.
        power = -gamma - loss
        series = 1 + slow.first[0] * power + slow.second[0] * power**2
        return abs(gamma / pace * series / (rate * slow.speeds[0]) - 1)

    assert wrong(0.25) < 2e-3
    # The first that is left out is of third order.
    assert 6 < wrong(0.25) / wrong(0.125) < 13


def chain_of(rng, decay, beta, *, nesterov):
    """Return a chain of two layers whose bases are whole, its rates, c_i and D_i."""
    rates = np.array([0.02, 0.01])
    made: Any = flow.Chained
    slow = slow_of(rates * decay, beta, np, nesterov=nesterov)
    chain = made(
        inputs=np.diag([1.0, 0.7]),
        targets=rng.normal(size=(2, 3)) / 2,
        forward=(rng.normal(size=(4, 2)) / 3, rng.normal(size=(3, 4)) / 3),
        mixed=(rng.uniform(0.2, 1, 4),),
        backward=(rng.normal(size=(3, 5)) / 3,),
        rates=rates * slow.speeds,
        logs=slow.logs,
        data_fit_scale=np.float64(1.0),
    )
    layers = (rng.normal(size=(5, 2)) / 5, rng.normal(size=(3, 4)) / 5)
    return chain, slow, rates, [*layers, np.array([0.9, 0.8])]


def gradients(chain, state):
    """The gradients of D_1, D_2 by the equations at the head of `reduced/chain.py`."""
    *layers, scales = state
    mixed = np.eye(4, 5) * chain.mixed[0][:, None]
    first = scales[0] * chain.forward[0] + mixed @ layers[0]
    second = scales[1] * chain.forward[1] + layers[1]
    back = scales[1] * chain.backward[0] + layers[1] @ mixed
    f0 = chain.inputs
    f1 = first @ f0
    b2 = chain.data_fit_scale * (second @ f1 - chain.targets.T)
    return (back.T @ b2) @ f0.T, b2 @ f1.T


def stepped(chain, rates, decay, beta, state, memory, count, *, nesterov):
    """Steps of momentum, as optax has them, on D_1, D_2 and the c_i."""
    for _ in range(count):
        pulls = [*gradients(chain, state), np.zeros(2)]
        changes = [
            -rate * (pull + decay * x)
            for rate, pull, x in zip([*rates, rates], pulls, state, strict=True)
        ]
        memory = [c + beta * m for c, m in zip(changes, memory, strict=True)]
        moves = [c + beta * m for c, m in zip(changes, memory, strict=True)]
        state = [x + v for x, v in zip(state, moves if nesterov else memory, strict=True)]
    return state, memory


@functools.cache
def compiled():
    return jax.jit(momentum.jumped, static_argnames="nesterov")


def jumped(
    chain, slow, beta, before, state, length, equal, halved, *, nesterov, may_move=-1.0, far=False
):
    with numerics():
        arrays: Any = jax.tree.map(jnp.asarray, (chain, slow))
        (layers, scales), then = (
            (tuple(map(jnp.asarray, x[:2])), jnp.asarray(x[2])) for x in (state, before)
        )
        chain, slow = arrays
        found = compiled()(
            chain, slow, jnp.float64(beta), scales, then[0], layers,
            jnp.float64(0.05 / (1 - beta)), jnp.float64(length),
            jnp.int64(equal), jnp.int64(halved), jnp.asarray(far),
            jnp.float64(may_move), nesterov=nesterov,
        )  # fmt: skip
    scales, layers, memory, _ = jax.tree.map(np.asarray, found)
    return [*layers, scales], list(memory)


@pytest.mark.parametrize("far", [False, True])
@BOTH
def test_what_only_decays_is_exact_and_so_is_its_memory(nesterov, far):
    beta, decay = 0.8, 0.1
    chain, slow, rates, state = chain_of(np.random.default_rng(0), decay, beta, nesterov=nesterov)
    chain = chain._replace(data_fit_scale=np.float64(0.0))
    still = [np.zeros_like(x) for x in state]
    # Until the fast root has faded.
    before, memory = stepped(chain, rates, decay, beta, state, still, 400, nesterov=nesterov)
    state, memory = stepped(chain, rates, decay, beta, before, memory, 1, nesterov=nesterov)
    wanted = stepped(chain, rates, decay, beta, state, memory, 50, nesterov=nesterov)
    found = jumped(chain, slow, beta, before, state, 20.0, 2, 1, nesterov=nesterov, far=far)
    for own, true in zip(found[0], wanted[0], strict=True):
        np.testing.assert_allclose(own, true, rtol=1e-11)
    for own, true in zip(found[1], wanted[1], strict=True):
        # Of a memory of D_i by two displacements what is left out is of third order in the decay.
        np.testing.assert_allclose(own, true, rtol=1e-4 if nesterov else 1e-9)


@BOTH
def test_jumps_are_passed_over_where_nothing_moves(nesterov):
    beta, decay = 0.8, 0.1
    chain, slow, rates, state = chain_of(np.random.default_rng(0), decay, beta, nesterov=nesterov)
    still = [np.zeros_like(x) for x in state]
    before, memory = stepped(chain, rates, decay, beta, state, still, 6000, nesterov=nesterov)
    state, memory = stepped(chain, rates, decay, beta, before, memory, 1, nesterov=nesterov)
    wanted, found = (
        jumped(chain, slow, beta, before, state, 60.0, count, 0, nesterov=nesterov, may_move=m)
        for count, m in ((1, -1.0), (10**9, 1.0))
    )
    # After the first jump all is held but what only decays.
    for own, true in zip(found[0][:-1], wanted[0][:-1], strict=True):
        np.testing.assert_allclose(own, true, rtol=1e-10, atol=1e-14)
    assert not np.any(found[0][-1])
    # What does not move has no displacement, to the cubic through four places.
    for own in found[1]:
        assert np.max(np.abs(own)) < 1e-7


@pytest.mark.parametrize("far", [False, True])
@BOTH
def test_jumps_followed_by_steps_come_to_where_all_steps_do(nesterov, far):
    beta, decay = 0.8, 0.01
    chain, slow, rates, state = chain_of(np.random.default_rng(1), decay, beta, nesterov=nesterov)

    def goes(state, memory, count):
        return stepped(chain, rates, decay, beta, state, memory, count, nesterov=nesterov)

    # Until it has settled.
    before, memory = goes(state, [np.zeros_like(x) for x in state], 8000)
    state, memory = goes(before, memory, 1)
    wanted = goes(state, memory, 800 + 3000)[0]

    def error(count):
        # What is fast fades behind the jumps; the memory begins as the last of them says.
        own = {"nesterov": nesterov, "far": far}
        made = jumped(chain, slow, beta, before, state, 800 / count, count, 0, **own)
        found = goes(*made, 3000)[0]
        return max(np.max(np.abs(a - b)) for a, b in zip(found, wanted, strict=True))

    coarse, fine = error(2), error(8)
    assert coarse < 1e-4
    # Of third order, and of second what momentum adds until there are places behind the jumps.
    assert coarse / fine > 8


def descent_of(beta, *, nesterov=False, decay=1e-5):
    return Descent(np.ones(2), np.ones((3, 2)), np.full(3, 0.1), decay, 1.0, beta, nesterov)


def rehearsal_of(stiffness):
    times = np.geomspace(1, 1e6, 20)
    return Rehearsal(times, np.ones(20), 200.0, np.full(20, stiffness))


RECORDED = np.unique(np.geomspace(1, 1e6, 60).astype(int))


@BOTH
def test_paces_with_momentum_begin_later_and_reach_as_far_as_it_is_stable(nesterov):
    def made(beta, stiffness, tolerance=1e-4, decay=1e-5):
        descent = descent_of(beta, nesterov=nesterov, decay=decay)
        return paces(descent, rehearsal_of(stiffness), tolerance, RECORDED)

    plain, own = made(0.0, 0.1), made(0.9, 0.1)
    assert len(plain) == len(own) == 3
    assert all(b.first > 3 * a.first for a, b in zip(plain, own, strict=True))
    limit = limit_of(0.5, nesterov=nesterov)
    assert made(0.5, 0.8 * limit)
    assert not made(0.5, 0.9 * limit)
    # So large a decay is not in the flow's terms.
    assert not made(0.9, 0.1, decay=0.05)
    # Gaps that have no room for jumps that are long beside 1 / (1 - b) are taken step by step.
    close = np.unique(np.concatenate([RECORDED[RECORDED < 1000], np.arange(1000, 40_000, 200)]))
    descents = [descent_of(beta, nesterov=nesterov) for beta in (0.0, 0.9)]
    shares = [
        share_of_steps(own, descent, rehearsal_of(0.1), close)
        for own, descent in zip((plain, made(0.9, 0.1)), descents, strict=True)
    ]
    assert shares[0] < 1.9
    assert shares[1] == pytest.approx(2, rel=1e-3)
    # One that oscillates has no slow root, and no warning.
    assert not made(0.9, 0.1, decay=20.0)


def test_folders_keep_whether_runs_with_momentum_jump(monkeypatch):
    monkeypatch.setattr(long_runs, "_LEAST_STEPS", 10)
    for word, jumping in (
        ("with_momentum", {"gradient_descent", "momentum", "nesterov"}),
        ("third_order", {"gradient_descent"}),
        ("by_trials", set()),
        (None, set()),
    ):
        record = {"reduced_jumps": word} if word else {}
        kept = reduced_steps.settings_in(record)
        found = {
            name
            for name in ("gradient_descent", "momentum", "nesterov", "adam")
            if long_runs.may_jump(
                RunSettings({"training.optimizer": name, "training.num_steps": 10} | kept)
            )
        }
        assert found == jumping, word
        assert bool(reduced_steps.of_record(record)) == bool(jumping)
    assert ALL_MOMENTUM_STEPS in reduced_steps.settings_in({"reduced_jumps": "third_order"})


@BOTH
def test_runs_with_momentum_jump_and_agree_with_the_plain_recursion(nesterov):
    tolerance, steps = 1e-3, 40_000
    names = ["regression_error", "off_subspace_error", "weight_norms"]
    made = plan_of(
        network={"depth": 3, "width": 40},
        training={"learning_rate": 0.02, "weight_decay": 5e-4, "num_steps": steps,
                  "optimizer": "nesterov" if nesterov else "momentum", "momentum": 0.8},
        record={"count": 12, "observables": names},
        sweep={"seeds": 1, "tolerance": tolerance, "kernel": "reduced"},
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        # As if it were long enough to pay for what is compiled.
        patch.setattr(long_runs, "_LEAST_STEPS", steps)
        made.settings[CHECK_JUMPS] = np.full(made.num_runs, 2)
        found = train_rows(made)
        patch.setattr(batch, "paces_of", lambda program, row, lanes: [[] for _ in lanes])
        every = train_rows(made)
    told = re.fullmatch(
        r"certified; ([\d,]+) steps taken, ([\d,]+) in ([\d,]+) jumps; "
        r"[12] checked by bursts of steps: .*",
        found.kernel_reason[0],
    )
    assert told, found.kernel_reason
    taken, beyond, _ = (int(number.replace(",", "")) for number in told.groups())
    assert taken + beyond == steps
    assert beyond > steps / 2
    # They stand beside steps with momentum as the jumps of plain ones do.
    assert found.burst_error is not None
    assert 0 < found.burst_error[0] <= tolerance
    estimate = found.truncation_error[0] - every.truncation_error[0]
    assert 0 < estimate <= tolerance / 4
    states = expected(made, 0)
    for name in names:
        own, all_steps = found.observables[name][0], every.observables[name][0]
        np.testing.assert_allclose(own, all_steps, rtol=max(tolerance / 4, SAFETY * estimate))
        truth = np.array([oracle.OBSERVABLES[name](state) for state in states])
        allowed = max(tolerance, SAFETY * found.truncation_error[0])
        np.testing.assert_allclose(own, truth, rtol=allowed, atol=1e-14, err_msg=name)
