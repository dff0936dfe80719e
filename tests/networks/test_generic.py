"""The generic way: against NumPy's loops, and against this package's own ways of descent."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from batch_samples import drawn, expected
from plugin_samples import loaded
from spec_samples import sweep
from test_minibatches import expected as stochastic
from test_minibatches import samples_of

from dlnsweep.engine.batch import train_batch
from dlnsweep.plan.plan import make_plan

OPTIMIZERS = (
    "momentum", "nesterov", "adam", "adamw", "rmsprop", "group_rmsprop", "adagrad", "adadelta",
)  # fmt: skip
# float64, some hundred steps of a contraction: sums of some ten terms, rounded apart.
ROUNDING = 1e-11


@pytest.fixture(scope="module", autouse=True)
def _networks():
    with loaded():
        yield


def tanh(**changes):
    """Return a plan of tanh networks: two gains, two decays, two seeds."""
    chosen = {
        "network": {"kind": "tanh2", "width": 6, "gain": [0.5, 1.5]},
        "training__weight_decay": [0.0, 0.03],
        "training__learning_rate": 0.05,
        "training__data_fit_scale": 0.8,
        "record": {
            "observables": ["loss", "regression_error", "test_error", "gradient_norm",
                            "parameter_norm", "parameter_distance", "least_norm_distance"],
            "spacing": "explicit",
            "steps": [1, 7, 60],
        },
        "sweep__seeds": 2,
        **changes,
    }  # fmt: skip
    return make_plan(sweep(**chosen))


def train(plan, rows=None, **options):
    rows = np.arange(plan.num_runs) if rows is None else np.asarray(rows)
    columns = {key: column[rows] for key, column in plan.settings.items()}
    return train_batch(columns, plan.shared, plan.program_widths[plan.programs[rows[0]]], **options)


def like(**changes):
    """Return a deep_linear plan: what its runs draw is what ours draw of the same names."""
    network = {"depth": 2, "width": 6}
    return make_plan(sweep(**{"network": network, "sweep": {"seeds": 2}, **changes}))


def tanh_gradients(a, b, gain, x, y, scale, decay):
    """The loss of W_2 tanh(g W_1 Y) and its gradients, by the chain rule written out."""
    hidden = np.tanh(gain * (a @ y))
    off = b @ hidden - x
    loss = 0.5 * scale * np.sum(off**2) + 0.5 * decay * (np.sum(a**2) + np.sum(b**2))
    back = (b.T @ off) * (1 - hidden**2) * gain
    return loss, scale * back @ y.T + decay * a, scale * off @ hidden.T + decay * b


@pytest.fixture(scope="module")
def grid():
    """The runs of `tanh`, trained once."""
    plan = tanh()
    return plan, train(plan)


def test_gradient_descent_is_that_of_the_formulas(grid):
    plan, trained = grid
    assert trained.steps.tolist() == [0, 1, 7, 60, 100]
    for i in range(plan.num_runs):
        row = plan.row(i)
        _, (a, b), x, y, (fresh_x, fresh_y, _) = drawn(like(), row["seed"])
        assert fresh_x.shape[1] == 100
        begun = a.copy(), b.copy()
        numbers = row["network.gain"], x, y, 0.8, row["training.weight_decay"]
        for step in range(101):
            loss, grad_a, grad_b = tanh_gradients(a, b, *numbers)
            if step in trained.steps:
                place = trained.steps.tolist().index(step)
                found = {name: values[i, place] for name, values in trained.observables.items()}
                out = b @ np.tanh(numbers[0] * (a @ y))
                fresh = b @ np.tanh(numbers[0] * (a @ fresh_y))
                moved = [a - begun[0], b - begun[1]]
                least = np.linalg.lstsq(y.T, x.T)[0].T
                wanted = {
                    "loss": loss,
                    "regression_error": np.linalg.norm(out - x) / np.linalg.norm(x),
                    "test_error": np.linalg.norm(fresh - fresh_x) / np.linalg.norm(fresh_x),
                    "gradient_norm": np.sqrt(np.sum(grad_a**2) + np.sum(grad_b**2)),
                    "parameter_norm": np.sqrt(np.sum(a**2) + np.sum(b**2)),
                    "parameter_distance": np.sqrt(sum(np.sum(each**2) for each in moved)),
                    "least_norm_distance": np.linalg.norm(fresh - least @ fresh_y)
                    / np.linalg.norm(fresh_x),
                }
                for name, value in wanted.items():
                    assert found[name] == pytest.approx(value, rel=ROUNDING, abs=1e-13), name
            a, b = a - 0.05 * grad_a, b - 0.05 * grad_b


def linear(kind, optimizer, minibatch_size=0):
    """Return the same runs as deep_linear and as a network in pure functions."""
    network = {"kind": kind, "depth": 3, "width": 8} if kind == "deep_linear" else {
        "kind": kind, "hidden": 8}  # fmt: skip
    rate = {"gradient_descent": 0.05, "momentum": 0.01, "nesterov": 0.01, "adagrad": 0.05,
            "adadelta": 1.0}.get(optimizer, 0.002)  # fmt: skip
    return make_plan(
        sweep(
            network=network,
            training={"optimizer": optimizer, "learning_rate": rate, "num_steps": 60,
                      "weight_decay": [0.0, 0.05], "minibatch_size": minibatch_size},
            record={"observables": ["regression_error", "loss", "gradient_norm"], "count": 6},
            sweep={"seeds": 2, "kernel": "dense" if kind == "deep_linear" else "generic"},
        )
    )  # fmt: skip


def test_a_linear_network_follows_the_textbook():
    """The decay of AdamW is apart from its gradient; the other optimizers are compared below."""
    own, plan = train(linear("linear3", "adamw")), linear("deep_linear", "adamw")
    for row in range(plan.num_runs):
        for i, state in enumerate(expected(plan, row)):
            for name, values in own.observables.items():
                wanted = oracle.OBSERVABLES[name](state)
                # Adaptive directions divide by roots of sums that begin at zero: what is rounded
                # in a gradient of 1e-16 can be of size 1 in its direction, for entries that are
                # zero.
                np.testing.assert_allclose(values[row, i], wanted, rtol=2e-9, err_msg=name)


@pytest.mark.parametrize(
    "optimizer",
    [
        "group_rmsprop",
        *(pytest.param(name, marks=pytest.mark.slow) for name in
          ("gradient_descent", *OPTIMIZERS) if name != "group_rmsprop"),
    ],
)  # fmt: skip
def test_it_agrees_with_the_dense_kernel_of_deep_linear(optimizer: str):
    ours = train(linear("deep_linear", optimizer))
    own = train(linear("linear3", optimizer))
    for name, values in ours.observables.items():
        # As above.
        np.testing.assert_allclose(own.observables[name], values, rtol=2e-9, err_msg=name)


def test_minibatches_are_those_of_the_dense_kernel():
    """The samples that the dense kernel takes in each step, by the test of its own."""
    own = train(linear("linear3", "gradient_descent", minibatch_size=3))
    plan = linear("deep_linear", "gradient_descent", minibatch_size=3)
    for row in range(plan.num_runs):
        wanted = stochastic(plan, row)
        np.testing.assert_allclose(own.observables["regression_error"][row], wanted, rtol=1e-9)


def test_minibatches_of_a_mean_are_not_weighted():
    """w <- w - eta (the mean over the step's samples), whatever n and b are."""
    plan = make_plan(
        sweep(
            network={"kind": "signs"},
            training={"learning_rate": 0.5, "num_steps": 20, "minibatch_size": 2},
            record={"observables": ["loss"], "spacing": "linear", "count": 21},
        )
    )
    trained = train(plan)
    _, _, x, y, _ = drawn(like(), 0, tests=False)
    signs, w = np.sign(x[0]), np.zeros(y.shape[0])
    for step in range(21):
        loss = np.mean(np.log1p(np.exp(-signs * (w @ y))))
        assert trained.observables["loss"][0, step] == pytest.approx(loss, rel=ROUNDING)
        chosen = samples_of(0, 20, 2, y.shape[1])[min(step, 19)]
        margins = signs[chosen] * (w @ y[:, chosen])
        w = w + 0.5 * (y[:, chosen] * signs[chosen] / (1 + np.exp(margins))).mean(axis=1)


def test_a_run_is_the_same_alone(grid):
    plan, together = grid
    alone = train(plan, [plan.num_runs - 1])
    for name, values in alone.observables.items():
        # Programs of 2 and of 8 lanes sum in other orders.
        np.testing.assert_allclose(values[0], together.observables[name][-1], rtol=1e-12)


def test_a_diverged_run_ends_and_its_neighbours_do_not_feel_it(grid):
    _, calm = grid
    # The same program and places: half of the runs have another learning rate.
    wild = train(tanh(training__learning_rate=[0.05, 1e6], training__weight_decay=0.03))
    diverged = wild.diverged_step >= 0
    assert diverged.sum() == 4
    assert np.all(wild.diverged_step[diverged] <= 3)
    decayed = np.arange(8) % 4 >= 2
    for name, values in calm.observables.items():
        np.testing.assert_array_equal(wild.observables[name][~diverged], values[decayed])


def test_float32_plateaus_are_those_of_float64():
    """At eta lambda = 5e-9 a step's decay is far below half an ulp of a weight."""
    changes = {
        "network": {"kind": "linear3", "hidden": 24},
        "training": {"learning_rate": 5e-4, "weight_decay": 1e-5, "num_steps": 60_000},
        "record": {"observables": ["regression_error"], "count": 5},
    }
    found = train(make_plan(sweep(**changes, sweep={"precision": "float32"})))
    changes["network"] = {"kind": "deep_linear", "depth": 3, "width": 24}
    # Where the error rests does not depend on the rate: with this one it is 0.2 % off.
    changes["training"] |= {"learning_rate": 5e-3, "num_steps": 6000}
    last = expected(make_plan(sweep(**changes, sweep={"kernel": "dense"})), 0)[-1]
    wanted = oracle.OBSERVABLES["regression_error"](last)
    # The residual is some 1e-6 of numbers of size 1, each rounded at 6e-8; sums of a hundred such
    # entries are good to a percent of it.
    assert found.observables["regression_error"][0, -1] == pytest.approx(wanted, rel=0.02)
    assert 1e-6 < wanted < 1e-5


def test_a_loss_of_one_s_own_is_minimized():
    plan = make_plan(
        sweep(
            network={"kind": "signs"},
            training={"learning_rate": 0.5, "num_steps": 40, "weight_decay": 0.01},
            record={"observables": ["loss", "parameter_norm"], "count": 5},
        )
    )
    trained = train(plan)
    _, _, x, y, _ = drawn(like(), 0, tests=False)
    signs, w = np.sign(x[0]), np.zeros(y.shape[0])
    for step in range(41):
        margins = signs * (w @ y)
        if step in trained.steps:
            place = trained.steps.tolist().index(step)
            loss = np.mean(np.log1p(np.exp(-margins))) + 0.005 * np.sum(w**2)
            assert trained.observables["loss"][0, place] == pytest.approx(loss, rel=ROUNDING)
        w = w - 0.5 * (-(y * signs / (1 + np.exp(margins))).mean(axis=1) + 0.01 * w)
