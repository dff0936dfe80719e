"""float32 beside float64, and a GPU beside NumPy, within tolerances that are derived here.

Let u = 2^-24 be the rounding unit of float32. A float32 run starts from the same numbers rounded
once, and rounds each stored matrix once a step (products inside a step are rounded at the size of
the update, which is smaller; the decay is carried in float64). So after t steps layer i is off by

    ||dW_i||_F <= u G (2 + n) ||W_i||_F,   n = min(t, 1 / (eta mu)),

where n counts the roundings that are still felt: what the loss sees of an error contracts by
1 - eta mu a step, with mu the smallest eigenvalue of sum_j A_j A_j^T (x) B_j^T B_j, A_j = W_{L:j+1}
and B_j = W_{j-1:1} Y on the range; and G = 2 L allows for the growth of errors while the residual
is large (the loss is not convex there) and for the roundings within a product. To first order

    | ||Phi + dPhi|| - ||Phi|| | <= sum_i ||A_i|| ||dW_i||_F ||B_i||.

What the loss does not see (W_{L:1} V_perp) does not contract, so n = t there:

    ||d(W_{L:1} V_perp)|| <= u G (2 + t) sum_i ||A_i|| ||W_i||_F ||W_{i-1:1} V_perp||

with ||W_{i-1:1} V_perp|| read as ||V_perp|| = 1 for i = 1. This is a worst case: roundings of
either sign nearly cancel, and what is found is some hundred times less. A step whose update is
below u of the weights is lost; that, too, is within n roundings. (Derived.)

The reduced kernel computes in float64 whatever is recorded (test_reduced.py).

That bound is for steps whose update is rounded away where it is below half an ulp of the weights.
It is no use for plateaus: the gradient that balances a decay of eta lambda a step is of that size,
is lost at every step, and n of them are as large as a plateau of 1e-5. So float32 keeps what it
rounds off (numerics/compensated.py), wherever eta lambda < 2^-17 or the matrices are small. Then
what is left is the rounding of the products in Phi alone, n = 1, whatever the number of steps; and
the plateau is right to that. Where nothing is kept (eta lambda >= 2^-17, runs trained one by one) a
plateau is right to 3e-8 sqrt(d_w / 8) / (eta lambda) of itself.
"""

from __future__ import annotations

import jax
import numpy as np
import oracle
import pytest
from batch_samples import AGREEMENT, drawn, expected, plan_of, train_rows
from instances import draw

from dlnsweep.networks.layered import dense, gradient_descent
from dlnsweep.numerics.compensated import nothing_lost
from dlnsweep.numerics.runtime import numerics
from dlnsweep.single.training import train

UNIT = 2.0**-24
STEPS = 300


def a_plan(depth: int, precision: str, kernel: str = "dense"):
    return plan_of(
        network={"depth": depth, "width": 24},
        training={"learning_rate": 0.05, "weight_decay": 0.02, "num_steps": STEPS},
        record={"count": 8},
        sweep={"seeds": 2, "precision": precision, "kernel": kernel, "tolerance": 1e-3},
    )


def allowed(weights, measurements, signals, steps: int, rate: float, slowest: float):
    """Return the bounds of both errors, relative as they are recorded."""
    depth = len(weights)
    growth = 2 * depth
    left, values, _ = np.linalg.svd(measurements, full_matrices=True)
    rank = int(np.sum(values > 1e-12 * values[0]))
    off = left[:, rank:]
    felt = min(steps, 1 / (rate * slowest))
    seen = unseen = 0.0
    for i, weight in enumerate(weights):
        above = np.linalg.norm(oracle.product(weights[i + 1 :]), 2) if i < depth - 1 else 1.0
        below = oracle.product(weights[:i]) if i else np.eye(measurements.shape[0])
        size = np.linalg.norm(weight)
        seen += above * size * np.linalg.norm(below @ measurements, 2)
        unseen += above * size * np.linalg.norm(below @ off, 2)
    unit = UNIT * growth
    return unit * (2 + felt) * seen / np.linalg.norm(signals), unit * (2 + steps) * unseen


def slowest_rate(weights, measurements) -> float:
    """Return mu: how fast the loss pulls what it sees least."""
    depth = len(weights)
    left, values, _ = np.linalg.svd(measurements, full_matrices=False)
    reduced = (left * values)[:, values > 1e-12 * values[0]]
    total = 0.0
    for i in range(depth):
        above = oracle.product(weights[i + 1 :]) if i < depth - 1 else np.eye(len(weights[-1]))
        below = oracle.product(weights[:i]) @ reduced if i else reduced
        total = total + np.kron(above @ above.T, below.T @ below)
    return float(np.linalg.eigvalsh(total)[0])


def check(depth: int, precision: str) -> list[float]:
    """Compare a batch with NumPy; return how much of its bound each error takes."""
    made = a_plan(depth, precision)
    trained = train_rows(made)
    shares = []
    for row in range(2):
        states = expected(made, row)
        _, _, signals, measurements, _ = drawn(made, row, tests=False)
        slowest = min(slowest_rate(s.weights, measurements) for s in states)
        assert slowest > 0, "the test is about the contracting regime"
        for k, (step, state) in enumerate(zip(trained.steps, states, strict=True)):
            bounds = allowed(state.weights, measurements, signals, int(step), 0.05, slowest)
            for name, bound in zip(("regression_error", "off_subspace_error"), bounds, strict=True):
                wanted = float(oracle.OBSERVABLES[name](state))
                apart = abs(float(trained.observables[name][row, k]) - wanted)
                if precision == "float64":
                    assert apart <= AGREEMENT * wanted + 1e-14, (name, step)
                else:
                    # And the record itself is rounded.
                    assert apart <= bound + 2 * UNIT * wanted, (name, step)
                shares.append(apart / bound)
    return shares


@pytest.mark.parametrize(
    "depth",
    [pytest.param(depth, marks=[] if depth == 3 else pytest.mark.slow) for depth in (1, 2, 3, 4)],
)
def test_float32_follows_float64_within_its_roundings(depth: int) -> None:
    shares = check(depth, "float32")
    # The bound is a worst case, but no blank cheque.
    assert max(shares) > 1e-3
    assert np.median(shares) > 1e-6


# What a run of float32 records of its plateau, beside plain NumPy in float64. A coarse decay is
# within 2^-17 sqrt(d_w / 8) of this share, which is less than 1 % here.
COARSE = 0.01
SLOW = [1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-10]
WAYS = {
    "lagging": ((4, 8, 8), "gradient_descent", "uniform", 1),
    "delayed": ((4, 12, 12, 8), "gradient_descent", "uniform", 2),
    "single, fan-in": ((4, 8, 8, 8), "gradient_descent", "fan_in", 1),
    "momentum": ((4, 8, 8), "momentum", "uniform", 1),
    "nesterov": ((4, 8, 8), "nesterov", "uniform", 1),
}


@pytest.mark.usefixtures("compiled_anew")
@pytest.mark.parametrize(
    "way", [pytest.param(w, marks=pytest.mark.slow) if w == "nesterov" else w for w in WAYS]
)
def test_slow_decay_ends_at_its_plateau_in_float32(way: str, monkeypatch) -> None:
    dims, optimizer, step_rule, delay = WAYS[way]
    monkeypatch.setattr(dense, "delay_for", lambda dims, rank: delay)
    if way.startswith("single"):
        monkeypatch.setattr(gradient_descent, "_LARGEST_OUTER", 0)
    instance = draw(dims, 2, 8, seed=3)
    # Signals that the network can fit, so that the plateau is the decay's own.
    x = instance.x @ np.linalg.pinv(instance.y) @ instance.y
    eta = 0.2 / oracle.curvature(instance.weights, instance.y, 1.0, step_rule)
    if optimizer != "gradient_descent":
        eta *= 0.1
    steps = [0, 2000, 3000]
    for slow in SLOW:
        fan_in = max(dims[:-1]) if step_rule == "fan_in" else 1
        numbers = {"learning_rate": eta, "weight_decay": slow * fan_in / eta}
        options = {"optimizer": optimizer, "step_rule": step_rule, "kernel": "dense"}
        found = train(
            instance.weights,
            x,
            instance.y,
            record_steps=steps,
            precision="float32",
            **numbers,
            **options,
        )
        descent = oracle.Descent(name=optimizer, step_rule=step_rule, **numbers)
        path = oracle.descend(instance.weights, x, instance.y, descent, steps)
        for k, step in enumerate(steps):
            state = oracle.State(path.weights[step], x, instance.y)
            kept = slow < 2**-17 or optimizer != "gradient_descent"
            felt = 1 if kept else step
            seen, unseen = allowed(state.weights, instance.y, x, felt, 1.0, 1.0)
            for name, bound in (("regression_error", seen), ("off_subspace_error", unseen)):
                wanted = float(oracle.OBSERVABLES[name](state))
                apart = abs(float(found.observables[name][k]) - wanted)
                if not kept and name == "regression_error":
                    bound += COARSE * wanted
                assert apart <= bound + 2 * UNIT * wanted, (slow, name, step, apart, wanted)


def test_nothing_is_kept_in_float64() -> None:
    weights = (jax.numpy.zeros((2, 2), "float32"),)
    assert len(nothing_lost(weights)) == 1
    with numerics():
        assert nothing_lost((jax.numpy.zeros((2, 2)),)) == ()


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_gpu_keeps_the_same_tolerances(depth: int, precision: str) -> None:
    """In float32 without TF32: every product asks for the highest precision."""
    if jax.default_backend() != "gpu":
        pytest.skip("no GPU here")
    check(depth, precision)


@pytest.mark.gpu
def test_reduced_runs_on_a_gpu_follow_the_dense_kernel_of_numpy() -> None:
    if jax.default_backend() != "gpu":
        pytest.skip("no GPU here")
    made = a_plan(3, "float64", "reduced")
    trained = train_rows(made)
    for row in range(2):
        states = expected(made, row)
        for name in ("regression_error", "off_subspace_error"):
            wanted = np.array([float(oracle.OBSERVABLES[name](s)) for s in states])
            # The kernel's own tolerance is 1e-3; its estimate may be a third of the error.
            assert np.all(np.abs(trained.observables[name][row] - wanted) <= 3e-3 * wanted)
