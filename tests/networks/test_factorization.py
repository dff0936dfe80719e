"""Training on losses of the end-to-end matrix, against plain NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from dlnsweep.networks.matrix.descent import FactorizationKernel
from dlnsweep.networks.matrix.end_to_end import EndToEndKernel
from dlnsweep.numerics.runtime import numerics
from dlnsweep.problems import losses as fits
from dlnsweep.problems.losses import Entries, Fit, Measurements, Samples
from dlnsweep.settings.sections import RecordSettings
from dlnsweep.settings.training import TrainingSettings

# Some tens of steps of rounding at 1.1e-16 on numbers of size one.
EXACT = 1e-11
# A central difference with a step of 1e-5 on functions with third derivatives of size one, and
# its rounding, 1e-16 / 1e-5.
DIFFERENCE = 1e-8
SHAPES = [(5, 2, 4, 3), (3, 4, 4, 4, 6), (4, 4, 4), (3, 5)]


@pytest.fixture(autouse=True)
def double():
    with numerics():
        yield


def weights_of(dims, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(b, a)) / np.sqrt(a) for a, b in itertools.pairwise(dims)]


def product(weights):
    found = weights[0]
    for weight in weights[1:]:
        found = weight @ found
    return found


def fit_of(kind, d, m, seed=1):
    """Return a loss and the same as A (k, d m) and y, for plain NumPy."""
    rng = np.random.default_rng(seed)
    if kind == "entries":
        mask = (rng.random((d, m)) < 0.6).astype(float)
        target = rng.normal(size=(d, m))
        rows = np.diag(mask.ravel())[mask.ravel() > 0]
        observed = Entries(jnp.array(mask), jnp.array(mask * target))
        return observed, rows, target.ravel()[mask.ravel() > 0]
    if kind == "measurements":
        rows, values = rng.normal(size=(7, d * m)), rng.normal(size=7)
        return Measurements(jnp.array(rows), jnp.array(values)), rows, values
    x, y = rng.normal(size=(m, 6)), rng.normal(size=(d, 6))
    return Samples(jnp.array(x), jnp.array(y)), np.kron(np.eye(d), x.T), y.ravel()


def loss_of(weights, rows, values, scale, power):
    return scale / power * np.sum(np.abs(rows @ product(weights).ravel() - values) ** power)


def gradients_of(weights, rows, values, scale, power):
    """Return the gradient of each layer, one partial product after another, from the chain rule."""
    matrix = product(weights)
    r = rows @ matrix.ravel() - values
    whole = scale * (rows.T @ (np.sign(r) * np.abs(r) ** (power - 1))).reshape(matrix.shape)
    found = []
    for i in range(len(weights)):
        left, right = np.eye(matrix.shape[0]), np.eye(matrix.shape[1])
        for weight in weights[:i]:
            right = weight @ right
        for weight in reversed(weights[i + 1 :]):
            left = left @ weight
        found.append(left.T @ whole @ right.T)
    return found


def make(dims, observed, scale, power=2.0, kind=FactorizationKernel, **training):
    chosen: dict[str, Any] = {"learning_rate": 0.05} | training
    numbers = TrainingSettings(num_steps=100, **chosen)
    kernel = kind(numbers, RecordSettings(), early_exit=True, power=power)
    fit = Fit(observed, jnp.array(scale), None)
    weights = tuple(map(jnp.array, weights_of(dims)))
    return kernel, *kernel.start(weights, fit, dims[:-1], numbers, {})


def advance(kernel, inputs, carry, steps):
    state = kernel.advance(inputs, carry.state, jnp.int64(0), jnp.int64(steps))
    return carry._replace(state=state)


# All shapes of entries, and all kinds of data of one shape.
@pytest.mark.parametrize(
    ("dims", "kind"),
    [
        pytest.param(
            *(dims, kind), marks=[] if dims == SHAPES[0] or kind == "entries" else pytest.mark.slow
        )
        for dims in SHAPES
        for kind in ("entries", "measurements", "samples")
    ],
)
def test_gradient_descent_is_that_of_plain_numpy(kind, dims):
    observed, rows, values = fit_of(kind, dims[-1], dims[0])
    kernel, inputs, carry = make(dims, observed, 0.3, data_fit_scale=0.7, weight_decay=0.1)
    found = advance(kernel, inputs, carry, 20).state.weights
    weights = weights_of(dims)
    for _ in range(20):
        steps = gradients_of(weights, rows, values, 0.3 * 0.7, 2)
        weights = [w - 0.05 * (g + 0.1 * w) for w, g in zip(weights, steps, strict=True)]
    for mine, expected in zip(found, weights, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("power", [2.0, 4.0])
@pytest.mark.parametrize("rows_a_block", [1, 3, 7, 50])
def test_a_large_operator_is_streamed(monkeypatch, power, rows_a_block):
    """In blocks of rows that divide the seven measurements or do not, or hold them all."""
    dims = (5, 3, 4)
    observed, rows, values = fit_of("measurements", dims[-1], dims[0])
    weights = weights_of(dims)
    whole = Fit(observed, jnp.array(0.3), None)
    monkeypatch.setattr(fits, "_BLOCK_BYTES", rows_a_block * rows[0].nbytes)
    matrix = jnp.array(product(weights))
    gradient, residual = whole.gradient(matrix, power, streamed=True)
    r = rows @ product(weights).ravel() - values
    expected = 0.3 * (rows.T @ (np.sign(r) * np.abs(r) ** (power - 1))).reshape(4, 5)
    np.testing.assert_allclose(gradient, expected, rtol=EXACT, atol=EXACT)
    np.testing.assert_allclose(residual, r, rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("power", [1.0, 1.5, 4.0])
def test_the_gradient_is_that_of_the_loss_by_differences(power):
    dims = (5, 3, 4)
    observed, rows, values = fit_of("samples", dims[-1], dims[0])
    kernel, inputs, carry = make(dims, observed, 0.2, power=power)
    view = kernel.view(inputs, carry)
    weights = weights_of(dims)
    expected = loss_of(weights, rows, values, 0.2, power)
    assert float(view.loss) == pytest.approx(expected, rel=EXACT)
    rng = np.random.default_rng(5)
    for i, gradient in enumerate(view.gradients):
        direction = rng.normal(size=weights[i].shape)
        ends = []
        for s in (-1e-5, 1e-5):
            moved = [w + s * direction if j == i else w for j, w in enumerate(weights)]
            ends.append(loss_of(moved, rows, values, 0.2, power))
        slope = (ends[1] - ends[0]) / 2e-5
        assert float(np.sum(np.asarray(gradient) * direction)) == pytest.approx(
            slope, rel=DIFFERENCE * 100
        )


def group_rms(gradients, memory, t):
    v = 0.9 * memory.get("v", 0.0) + 0.1 * sum(float(np.sum(g * g)) for g in gradients)
    memory["v"] = v
    root = np.sqrt(v / (1 - 0.9**t)) + 1e-3
    return [g / root for g in gradients]


def adagrad(gradients, memory, t):
    found = []
    for i, g in enumerate(gradients):
        memory[i] = memory.get(i, 0.0) + g * g
        found.append(np.where(memory[i] > 0, g / np.sqrt(np.where(memory[i] > 0, memory[i], 1)), 0))
    return found


def adadelta(gradients, memory, t):
    found = []
    for i, g in enumerate(gradients):
        v, u = memory.get(i, (0.0, 0.0))
        v = 0.8 * v + 0.2 * g * g
        d = np.sqrt(u + 1e-3) / np.sqrt(v + 1e-3) * g
        memory[i] = v, 0.8 * u + 0.2 * d * d
        found.append(d)
    return found


@pytest.mark.parametrize(
    ("optimizer", "rule", "numbers"),
    [
        ("group_rmsprop", group_rms, {"group_rmsprop_decay": 0.9, "group_rmsprop_epsilon": 1e-3}),
        ("adagrad", adagrad, {}),
        ("adadelta", adadelta, {"adadelta_decay": 0.8, "adadelta_epsilon": 1e-3}),
    ],
)
def test_optimizers_are_those_of_their_papers(optimizer, rule, numbers):
    dims = (4, 3, 3, 5)
    observed, rows, values = fit_of("entries", dims[-1], dims[0])
    kernel, inputs, carry = make(dims, observed, 0.3, optimizer=optimizer, **numbers)
    found = advance(kernel, inputs, carry, 15).state.weights
    weights, memory = weights_of(dims), {}
    for t in range(1, 16):
        steps = rule(gradients_of(weights, rows, values, 0.3, 2), memory, t)
        weights = [w - 0.05 * d for w, d in zip(weights, steps, strict=True)]
    for mine, expected in zip(found, weights, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=EXACT, atol=EXACT)


def test_published_numbers_of_group_rmsprop_are_the_defaults():
    numbers = TrainingSettings(learning_rate=1e-3, num_steps=1)
    assert (numbers.group_rmsprop_decay, numbers.group_rmsprop_epsilon) == (0.99, 1e-4)
    assert (numbers.adadelta_decay, numbers.adadelta_epsilon) == (0.95, 1e-6)


def power_of(matrix, exponent):
    """Return a power of a symmetric matrix that is not negative."""
    values, vectors = np.linalg.eigh(matrix)
    return (
        vectors * np.maximum(values, 0) ** exponent @ vectors.T if exponent else np.eye(len(matrix))
    )


@pytest.mark.parametrize("dims", [(3, 4, 4), (5, 5, 5, 3), (3, 3, 3, 3, 3), (4, 3)])
def test_the_end_to_end_update_is_the_papers(dims):
    observed, rows, values = fit_of("measurements", dims[-1], dims[0])
    kernel, inputs, carry = make(dims, observed, 0.3, kind=EndToEndKernel, learning_rate=0.01)
    carry = advance(kernel, inputs, carry, 7)
    matrix, n = product(weights_of(dims)), len(dims) - 1
    for _ in range(7):
        gradient = 0.3 * (rows.T @ (rows @ matrix.ravel() - values)).reshape(matrix.shape)
        moved = np.zeros_like(matrix)
        for j in range(1, n + 1):
            left = power_of(matrix @ matrix.T, (j - 1) / n)
            right = power_of(matrix.T @ matrix, (n - j) / n)
            moved += left @ gradient @ right
        matrix = matrix - 0.01 * moved
    # Powers of Gram matrices whose small eigenvalues are known to 1e-16 of the largest.
    np.testing.assert_allclose(carry.state.matrix, matrix, rtol=1e-6, atol=1e-8)
    deep = carry.state.weights
    alone = make(dims, observed, 0.3, learning_rate=0.01)
    same = advance(*alone, 7).state.weights
    for mine, expected in zip(deep, same, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=EXACT)
    # What is recorded of the network is the network's, also where the other's error is larger.
    apart = carry._replace(state=carry.state._replace(matrix=carry.state.matrix + 100.0))
    errors = rows @ product([np.asarray(w) for w in deep]).ravel() - values
    for each in (carry, apart):
        found = kernel.view(inputs, each).mean_squared_error
        assert found == pytest.approx(np.mean(errors**2), rel=EXACT)


def test_what_observables_see_is_what_it_says():
    from dlnsweep.contracts.observable import OBSERVABLES

    dims = (4, 6, 5, 3)
    observed, rows, values = fit_of("samples", dims[-1], dims[0])
    kernel, inputs, carry = make(dims, observed, 0.3, data_fit_scale=0.7, learning_rate=0.01)
    later = advance(kernel, inputs, carry, 5)
    weights = [np.asarray(w) for w in later.state.weights]
    first, matrix = weights_of(dims), product(weights)
    view = kernel.view(inputs, later)
    record = RecordSettings()

    def value(name):
        return np.asarray(OBSERVABLES[name].compute(view, record))

    def gaps(layers):
        return [b.T @ b - a @ a.T for a, b in itertools.pairwise(layers)]

    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    r = rows @ matrix.ravel() - values
    gradient = 0.21 * (rows.T @ r).reshape(matrix.shape)
    assert value("train_error") == pytest.approx(np.mean(r**2), rel=EXACT)
    assert value("loss") == pytest.approx(0.21 / 2 * np.sum(r**2), rel=EXACT)
    assert value("nuclear_norm") == pytest.approx(np.sum(singular), rel=EXACT)
    assert value("steps_taken") == 5
    np.testing.assert_allclose(value("singular_values"), singular, rtol=EXACT)
    np.testing.assert_allclose(
        value("weight_norms"), [np.linalg.norm(w) for w in weights], rtol=EXACT
    )
    aligned = [left[:, p] @ gradient @ right[p] for p in range(3)]
    np.testing.assert_allclose(value("gradient_alignment"), aligned, rtol=EXACT)
    drift = max(np.linalg.norm(a - b) for a, b in zip(gaps(weights), gaps(first), strict=True))
    assert value("unbalancedness_drift") == pytest.approx(drift, rel=1e-9)
    assert value("unbalancedness") == pytest.approx(
        max(map(np.linalg.norm, gaps(weights))), rel=EXACT
    )
    slopes = gradients_of(weights, rows, values, 0.21, 2)
    expected = np.sqrt(sum(np.sum(g**2) for g in slopes))
    assert value("gradient_norm") == pytest.approx(expected, rel=EXACT)
    # The speed of the singular values by a small step of gradient descent on the layers.
    moved = product([w - 1e-7 * g for w, g in zip(weights, slopes, strict=True)])
    speeds = (np.linalg.svd(moved, compute_uv=False) - singular) / 1e-7
    found = np.einsum("ip,ij,pj->p", left, np.asarray(view.velocity), right)
    np.testing.assert_allclose(found, speeds, rtol=1e-5)
    ratios = -speeds / aligned
    seen = ratios > 0
    slope = np.polyfit(np.log(singular[seen]), np.log(ratios[seen]), 1)[0]
    assert value("speed_exponent") == pytest.approx(slope, rel=1e-4)


def test_a_diverged_run_stays_as_it_was():
    dims = (3, 3, 3)
    observed, *_ = fit_of("entries", 3, 3)
    kernel, inputs, carry = make(dims, observed, 1.0, learning_rate=50.0)
    state = advance(kernel, inputs, carry, 100).state
    at = int(state.diverged_step)
    assert 0 < at < 100
    assert not bool(state.active)
    assert int(state.steps) == at
    before = advance(kernel, inputs, carry, at).state
    for mine, expected in zip(state.weights, before.weights, strict=True):
        np.testing.assert_array_equal(mine, expected)
