"""One ReLU before the last layer: against plain NumPy on all samples, and what is refused."""

from __future__ import annotations

import itertools

import jax
import numpy as np
import oracle
import pytest
from batch_samples import AGREEMENT, ROUNDING, distance, same_bits, train_rows
from relu_samples import (
    assert_follows,
    gradients,
    loss,
    relu_plan,
    step,
)
from spec_samples import problems

from dlnsweep.engine import descent
from dlnsweep.errors import SpecError
from dlnsweep.execution.judges import choose_kernels
from dlnsweep.networks.layered.relu import ReluKernel, keep_samples
from dlnsweep.networks.layered.samples import reduce_samples
from dlnsweep.numerics.lanes import choose_layout
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.cost import cost_of
from dlnsweep.settings.sections import RecordSettings
from dlnsweep.settings.training import TrainingSettings


@pytest.mark.parametrize(
    ("depth", "width", "rule"),
    [
        # Their programs are those of other tests here; test_problem_teacher.py has two layers.
        (3, 8, "uniform"),
        (3, 64, "fan_in"),
        pytest.param(2, 8, "fan_in", marks=pytest.mark.slow),
        pytest.param(5, 8, "uniform", marks=pytest.mark.slow),
        pytest.param(3, 64, "uniform", marks=pytest.mark.slow),
    ],
)
def test_a_batch_agrees_with_the_plain_recursion(depth, width, rule):
    plan = relu_plan(
        network={"depth": depth, "width": width},
        training={
            "step_rule": rule,
            "learning_rate": 0.3 if rule == "fan_in" else 0.02,
            "data_fit_scale": 0.8,
        },
    )
    # Wide networks take their steps alone, narrow ones under vmap.
    vectorized = choose_layout("cpu", cost_of(plan.row(0), width).state_bytes, 4).vectorized
    assert (vectorized == 1) == (width == 64)
    trained = train_rows(plan)
    assert trained.status == ["finished"] * 4
    assert trained.kernel == ["dense"] * 4
    assert trained.kernel_reason == ["linear_then_relu is not linear"] * 4
    errors = trained.observables["regression_error"]
    assert np.all(errors[:, -1] < 0.8 * errors[:, 0]), "there was something to follow"
    for row in range(2):
        assert_follows(plan, row, trained, row)


def test_the_gradients_are_those_of_the_loss():
    rng = np.random.default_rng(3)
    sizes = [4, 7, 6, 5]
    weights = [rng.normal(size=(b, a)) for a, b in itertools.pairwise(sizes)]
    x, y = rng.normal(size=(5, 9)), rng.normal(size=(4, 9))
    found = gradients(weights, x, y, 0.3, 0.7)
    h = 1e-6
    for i, weight in enumerate(weights):
        for place in np.ndindex(weight.shape):
            ends = []
            for sign in (1, -1):
                moved = [w.copy() for w in weights]
                moved[i][place] += sign * h
                ends.append(loss(moved, x, y, 0.3, 0.7))
            # Central differences: h^2 of truncation and 1e-16 / h of rounding, on losses of 1e3.
            assert abs((ends[0] - ends[1]) / (2 * h) - found[i][place]) < 1e-5 * np.linalg.norm(
                found[i]
            )


def made(training, depth=4, seed=5):
    """Return random weights and data of rank 3, as NumPy arrays, and a kernel's start."""
    rng = np.random.default_rng(seed)
    sizes = [6, *[9] * (depth - 1), 5]
    weights = [rng.normal(size=(b, a)) / np.sqrt(a) for a, b in itertools.pairwise(sizes)]
    x, y = (rng.normal(size=(k, 3)) for k in (5, 6))
    mix = rng.normal(size=(3, 11)) / 3
    x, y = x @ mix, y @ mix
    kernel = ReluKernel(training, RecordSettings(), early_exit=True)

    # As one program: eagerly each operation would be compiled by itself.
    def start(weights, x, y):
        samples = keep_samples(reduce_samples(x, y, 3), x, y)
        return kernel.start(weights, samples, tuple(sizes[:-1]), training, {})

    with numerics():
        started = jax.jit(start)(tuple(weights), x, y)
    return weights, x, y, kernel, started


def advanced(kernel, started, count):
    def run(inputs, carry, start, stop):
        state = kernel.advance(inputs, carry.state, start, stop)
        view = kernel.view(inputs, carry._replace(state=state))
        off = view.first_off_range @ view.data.off_basis.T
        whole = (view.layers[0] @ view.data.range_basis.T + off, *view.layers[1:])
        return state, off, whole, view.squared_error

    with numerics():
        return jax.tree.map(np.asarray, jax.jit(run)(*started, np.int64(0), np.int64(count)))


def test_the_first_layer_off_the_range_only_decays():
    training = TrainingSettings(learning_rate=0.02, weight_decay=0.5, num_steps=200)
    weights, x, y, kernel, started = made(training)
    first = weights[0] @ oracle.off_projector(y)
    for _ in range(200):
        weights = step(weights, x, y, training)
    rho = (1 - 0.02 * 0.5) ** 200
    # Plain NumPy rounds 200 times at 1e-16.
    assert np.linalg.norm(weights[0] @ oracle.off_projector(y) - rho * first) < 1e-12
    _, off, found, _ = advanced(kernel, started, 200)
    assert np.linalg.norm(off - rho * first) < 1e-14
    for got, wanted in zip(found, weights, strict=True):
        assert np.linalg.norm(got - wanted) < AGREEMENT * np.linalg.norm(wanted)


def test_a_diverged_run_is_frozen():
    training = TrainingSettings(learning_rate=3.0, num_steps=10**9)
    weights, x, y, kernel, started = made(training)
    state, _, _, squared_error = advanced(kernel, started, 10**9)
    first = weights[-1] @ np.maximum(oracle.product(weights[:-1]) @ y, 0) - x
    most = 1e6 * max(np.linalg.norm(first), np.linalg.norm(x))
    step_number = int(state.diverged_step)
    assert 0 < step_number < 100
    assert not bool(state.active)
    assert squared_error > most**2
    just_before = advanced(kernel, started, step_number - 1)[-1]
    assert just_before <= most**2
    # Under vmap an inactive run goes through further steps and keeps every bit.
    kernel = ReluKernel(training, RecordSettings(), early_exit=False)
    longer = advanced(kernel, started, step_number + 7)[0]
    shorter = advanced(kernel, started, step_number + 1)[0]
    for one, other in zip(longer.matrices, shorter.matrices, strict=True):
        assert np.array_equal(one, other, equal_nan=True)
    assert int(longer.diverged_step) == step_number


@pytest.mark.parametrize(("width", "rule"), [(8, "uniform"), (64, "fan_in")])
def test_a_diverging_lane_leaves_the_others_bit_identical(width, rule):
    calm, rough = (
        relu_plan(
            network={"width": width},
            training={
                "learning_rate": [0.01, rate, 0.03, 0.04],
                "num_steps": 60,
                "step_rule": rule,
            },
            sweep={"seeds": 1},
        )
        for rate in (0.02, 1e60)
    )
    a, b = train_rows(calm), train_rows(rough)
    others = [0, 2, 3]
    assert b.status == ["finished", "diverged", "finished", "finished"]
    assert same_bits(a, b, others, others)
    valid = int(b.num_rows[1])
    assert valid == int(np.sum(b.steps < b.diverged_step[1]))
    assert np.all(np.isfinite(b.observables["regression_error"][1, :valid]))


def test_padded_widths_train_as_narrow_networks_do(monkeypatch):
    plan = relu_plan(network={"width": [5, 8]}, sweep={"seeds": 2})
    padded = train_rows(plan, padded_width=8)
    for row in range(plan.num_runs):
        assert_follows(plan, row, padded, row)
    # Where segments are cut does not change bits.
    monkeypatch.setattr(descent, "_FIRST_SEGMENT_STEPS", 7)
    monkeypatch.setattr(descent, "_SEGMENT_SECONDS", 1e-12)
    assert same_bits(padded, train_rows(plan, padded_width=8))


@pytest.mark.slow
def test_padded_widths_equal_their_own():
    """To 1e-12 of a narrow program, where the test above has 1e-9 of NumPy's narrow networks."""
    plan = relu_plan(network={"width": [5, 8]}, sweep={"seeds": 2})
    padded = train_rows(plan, padded_width=8)
    narrow = np.flatnonzero(plan.settings["network.width"] == 5)
    own = train_rows(plan, narrow, padded_width=5)
    for name, values in own.observables.items():
        assert distance(padded.observables[name][narrow], values) < ROUNDING, name


def test_float32_records_float32():
    double, single = (
        train_rows(relu_plan(sweep={"precision": precision}))
        for precision in ("float64", "float32")
    )
    for name, values in single.observables.items():
        assert values.dtype == np.float32
        # The same data and weights, rounded at 6e-8 over 100 contracting steps.
        assert 0 < distance(values, double.observables[name]) < 1e-4, name


@pytest.mark.parametrize("depth", [2, 4])
def test_what_a_step_costs(depth: int):
    plan = relu_plan(network={"depth": depth, "width": 50})
    cost = cost_of(plan.row(0), 50)
    r, d, n, w = 2, 6, 12, 50
    # Multiplications of P and H, the output, its gradient, W_L^T Phi, G V, and of the inner layers
    # forward, backward and for their gradients; two operations each.
    over_samples = w * n * r + d * w * n + d * n * w + w * d * n + w * n * r
    inner = 3 * r * (w * r + (depth - 2) * w * w)
    assert cost.step_flops == 2 * (over_samples + inner)
    # The weights (the first layer on the range), A, H, G and the residual, in float64.
    entries = w * r + (depth - 2) * w * w + d * w
    assert cost.state_bytes == 8 * (entries + 3 * w * n + d * n)
    assert not cost.reduced


RELU = {
    "network__kind": "linear_then_relu",
    "record__observables": ["regression_error"],
}


WITH = "with network.kind = 'linear_then_relu' it must be"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"network__depth": [2, 1]},
            "network.kind is 'linear_then_relu' and network.depth is 1; it needs two layers or "
            "more, one of them after the ReLU.",
        ),
        ({"network__initial_weights": "law"}, f"network.initial_weights is 'law'; {WITH} 'drawn'."),
        (
            {"training__optimizer": ["gradient_descent", "adam"]},
            f"training.optimizer is 'adam'; {WITH} 'gradient_descent'.",
        ),
        ({"training__minibatch_size": 2}, f"training.minibatch_size is 2; {WITH} 0."),
        (
            {"sweep__kernel": "reduced"},
            f"sweep.kernel is 'reduced'; {WITH} 'auto' or 'dense' or 'generic' or "
            "'simd' or 'simd_samples' or 'jumps'.",
        ),
        (
            {"record__observables": ["loss", "singular_values"]},
            "record.observables names 'singular_values', which is for linear networks and "
            "networks on a loss of a matrix; network.kind is 'linear_then_relu', which has "
            "sharpness, hessian_eigenvalues, hessian_trace, gradient_rounding, loss, "
            "regression_error, weight_norms, "
            "gradient_norm, test_error, noisy_test_error, noisy_test_errors.",
        ),
        (
            {
                "figure": {"kind": "curves", "y": "regression_error", "theory": "plateau"},
            },
            "figure.theory[0] is 'plateau', which is for network.kind = 'deep_linear'; no run of "
            "this sweep has that.",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_sentence(changes, sentence):
    assert problems(**RELU | changes) == [sentence]


@pytest.mark.parametrize(
    "name",
    [
        "off_subspace_error", "singular_values", "unbalancedness", "unbalancedness_nuclear",
        "effective_rank", "stable_rank", "numerical_rank", "oracle_distance",
    ],
)  # fmt: skip
def test_what_only_a_linear_network_has_is_refused(name: str):
    (sentence,) = problems(**RELU | {"record__observables": [name]})
    assert f"names '{name}', which is for linear networks" in sentence


def test_there_is_nothing_to_compare():
    with pytest.raises(SpecError) as raised:
        choose_kernels(relu_plan(), [0], "reduced")
    assert raised.value.problems == (
        "there is nothing to compare: the reduced kernel trains linear networks only, and "
        "network.kind is 'linear_then_relu'.",
    )


def test_the_columns_are_the_right_singular_vectors():
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(k, 2)) @ rng.normal(size=(2, 9)) for k in (5, 4))
    with numerics():
        samples = jax.jit(lambda a, b: keep_samples(reduce_samples(a, b, 2), a, b))(x, y)
    columns, reduced = np.asarray(samples.columns), samples.reduced
    # Products of matrices of size 1 at 1e-16.
    assert np.linalg.norm(columns.T @ columns - np.eye(2)) < 1e-13
    rebuilt = np.asarray(reduced.range_basis) * np.asarray(reduced.inputs) @ columns.T
    assert np.linalg.norm(rebuilt - y) < 1e-13 * np.linalg.norm(y)


def test_a_direction_that_no_sample_has_is_not_seen():
    x, y = np.eye(3)[:, :2], np.diag([2.0, 0.0, 0.0])[:, :2]
    with numerics():
        samples = jax.jit(lambda a, b: keep_samples(reduce_samples(a, b, 2), a, b))(x, y)
    assert np.array_equal(np.abs(samples.columns), [[1.0, 0.0], [0.0, 0.0]])


def test_directions_that_are_not_there_are_not_seen():
    # Three directions may be there, two are: the third singular value is rounding, 1e-16.
    rng = np.random.default_rng(1)
    y = rng.normal(size=(6, 2)) @ rng.normal(size=(2, 9))
    x = rng.normal(size=(8, 9))

    def keep(x, y):
        return keep_samples(reduce_samples(x, y, 3, certain=False), x, y)

    with numerics():
        kept = jax.jit(keep)(x, y)
    columns = np.asarray(kept.columns)
    assert not columns[:, 2].any()
    product = np.asarray(kept.reduced.range_basis) * np.asarray(kept.reduced.inputs) @ columns.T
    # A singular value decomposition's rounding.
    assert np.max(np.abs(product - y)) < 1e-13
