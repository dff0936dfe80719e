"""Stochastic gradient descent on reduced samples, against plain NumPy on the samples themselves."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import oracle
import pytest
from batch_samples import drawn, plan_of, train_rows

from dlnsweep.contracts.schedule import record_steps
from dlnsweep.networks.layered import draw as draws
from dlnsweep.networks.layered.minibatches import draw_samples
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import purpose_key

# As for full batches (tests/engine/test_batches.py): 150 steps of float64 rounding.
AGREEMENT = 1e-9
SIZE = 3


# Compiled once for all seeds, and not optimized: it runs a few times.
@partial(
    jax.jit,
    static_argnames=("size", "total"),
    compiler_options={"xla_backend_optimization_level": 0},
)
def sampled(seed, steps, size: int, total: int):
    key = purpose_key(seed, "training/minibatches")
    return jax.vmap(partial(draw_samples, key, count=size, total=total))(steps)


def samples_of(seed: int, steps: int, size: int, total: int) -> np.ndarray:
    with numerics():
        return np.asarray(sampled(np.int64(seed), np.arange(steps), size, total))


def expected(plan, row: int) -> list[float]:
    """Return the regression errors of SGD on all samples, the minibatches as they were drawn."""
    sections, weights, x, y, _ = drawn(plan, row, tests=False)
    training = sections.training
    total, size = x.shape[1], training.minibatch_size
    steps = record_steps(sections.record, training.num_steps).tolist()
    chosen = samples_of(plan.row(row)["seed"], max(steps), size, total)
    descent = oracle.Descent(
        name=training.optimizer,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        step_rule=training.step_rule,
        # The loss of b samples counts n / b times.
        data_fit_scale=training.data_fit_scale * total / size,
        momentum=training.momentum,
        beta1=training.beta1,
        beta2=training.beta2,
        epsilon=training.epsilon,
    )
    errors = []
    for now in range(max(steps) + 1):
        if now in steps:
            error = np.linalg.norm(oracle.residual(weights, x, y)) / np.linalg.norm(x)
            errors.append(float(error))
        if now < max(steps):
            weights = descent.step(weights, x[:, chosen[now]], y[:, chosen[now]])
    return errors


def assert_follows(plan) -> None:
    trained = train_rows(plan)
    for row in range(plan.num_runs):
        found = trained.observables["regression_error"][row]
        np.testing.assert_allclose(found, expected(plan, row), rtol=AGREEMENT)


@pytest.mark.parametrize(
    "optimizer",
    [
        "gradient_descent",
        pytest.param("nesterov", marks=pytest.mark.slow),
        pytest.param("adam", marks=pytest.mark.slow),
    ],
)
def test_a_stochastic_step_is_that_of_the_samples(optimizer: str):
    training = {"optimizer": optimizer, "minibatch_size": SIZE, "learning_rate": 0.01}
    assert_follows(plan_of(training=training, sweep={"seeds": 2}))


@pytest.mark.slow
def test_with_many_directions():
    # More than are added as outer products: the kernel makes its updates at once.
    problem = {"signal_dim": 14, "measurement_dim": 12, "subspace_dim": 10, "num_samples": 30}
    training = {"minibatch_size": 7, "learning_rate": 0.01, "step_rule": "uniform"}
    assert_follows(plan_of(problem=problem, training=training, sweep={"seeds": 2}))


@pytest.mark.parametrize(
    ("optimizer", "delay"),
    [
        ("gradient_descent", 3),
        pytest.param("gradient_descent", 1, marks=pytest.mark.slow),
        pytest.param("momentum", 1, marks=pytest.mark.slow),
    ],
)
def test_with_signals_that_no_network_fits(
    optimizer: str, delay: int, monkeypatch: pytest.MonkeyPatch
):
    # A share of the signals is off the row space of the noisy measurements, and it is large. Large
    # networks make their updates with a delay: the first case holds that, too.
    monkeypatch.setattr(draws, "delay_for", lambda dims, rank: delay)
    problem = {"kind": "noisy_subspace", "measurement_noise": 0.5}
    training = {"optimizer": optimizer, "minibatch_size": SIZE, "learning_rate": 0.005}
    training |= {"data_fit_scale": 0.7}
    made = plan_of(problem=problem, network={"depth": 2}, training=training, sweep={"seeds": 2})
    _, _, x, y, _ = drawn(made, 0, tests=False)
    fitted = x @ np.linalg.pinv(y) @ y
    assert np.linalg.norm(x - fitted) > 0.3 * np.linalg.norm(x)
    assert_follows(made)


@pytest.mark.slow
def test_with_delayed_updates(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(draws, "delay_for", lambda dims, rank: 3)
    training = {"minibatch_size": SIZE, "learning_rate": 0.01, "data_fit_scale": 0.7}
    assert_follows(plan_of(training=training, network={"depth": 2}, sweep={"seeds": 2}))


def test_samples_are_uniform_and_belong_to_their_step():
    chosen = samples_of(3, 4000, 5, 10)
    counts = np.bincount(chosen.ravel(), minlength=10)
    # 20 000 draws of 10 values: chi squared with 9 degrees of freedom is below 33.7 but for one
    # key in 10 000.
    assert np.sum((counts - 2000) ** 2 / 2000) < 33.7
    np.testing.assert_array_equal(chosen[:50], samples_of(3, 50, 5, 10))
    np.testing.assert_array_equal(chosen[:50, :2], samples_of(3, 50, 2, 10))
    assert not np.array_equal(chosen[:50], samples_of(4, 50, 5, 10))
    # The generator's words of step t and place i depend on both.
    assert len({tuple(row) for row in chosen[:200]}) > 190


def test_the_outcome_says_why_the_dense_kernel_ran():
    plan = plan_of(training={"minibatch_size": SIZE}, sweep={"seeds": 2, "kernel": "auto"})
    trained = train_rows(plan)
    assert set(trained.kernel_reason) == {
        "minibatches leave the spaces that the full gradient visits"
    }
