"""`train` against plain NumPy, closed forms, exact identities and its own error sentences."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instances import Instance, draw
from scipy.integrate import solve_ivp

from dlnsweep.contracts.network import find_network
from dlnsweep.engine.programs import PROGRAMS
from dlnsweep.errors import SpecError
from dlnsweep.networks.layered import dense, gradient_descent
from dlnsweep.networks.layered.samples import reduce_samples, reduced_measurements
from dlnsweep.numerics.runtime import numerics
from dlnsweep.single.training import train

# What issue 2 promises on well-posed instances; measured below 1e-12, the room is for rounding
# that grows with the number of steps and with the condition number.
AGREEMENT = 1e-9
# Identities of exact arithmetic, over a few hundred steps of rounding at 1.1e-16 each.
EXACT = 1e-12
# An error relative to ||X|| is a difference of numbers of size 1, each rounded at 1.1e-16.
ROUNDING = 1e-15

# Layer sizes (m, ..., d), s, n: depth 1 to 6, n below and above s; the last has rank(Y) = m. The
# fixture `paths` sends them through all three ways to take a step: "lagging" up to rank 3,
# "single" above it, and "delayed"; each path is forced by shape below.
SHAPES = [
    ((5, 7), 3, 9),
    ((6, 12, 7), 3, 2),
    ((6, 9, 9, 8), 4, 20),
    ((5, 10, 7, 9, 6), 2, 6),
    ((4, 8, 8, 8, 8, 8, 5), 3, 3),
    ((6, 140, 7), 2, 9),
    ((6, 130, 132, 7), 4, 4),
    ((5, 128, 128, 128, 128, 6), 5, 12),
]
# Not multiples of the delay, 1 apart and far apart.
STEPS = [0, 1, 2, 7, 8, 9, 60, 123]
SMALL = ((6, 12, 7), 3, 9)
PATHS = {"lagging": SMALL, "single": SHAPES[2], "delayed": SHAPES[5]}
on_all_paths = pytest.mark.parametrize(("dims", "s", "n"), PATHS.values(), ids=PATHS)


@pytest.fixture(autouse=True, scope="module")
def paths():
    """Choose each path by shape, whatever is measured to be fastest, and forget it afterwards."""

    def delay(dims, rank):
        wide = max(dims[1:-1], default=0)
        return min(8, wide // (4 * rank)) if wide >= 128 else 1

    with pytest.MonkeyPatch.context() as patch:
        PROGRAMS.clear()
        patch.setattr(dense, "delay_for", delay)
        patch.setattr(gradient_descent, "_LARGEST_OUTER", 3)
        yield
        PROGRAMS.clear()


def stable_rate(instance: Instance, fit: float, step_rule: str, share: float = 0.5) -> float:
    return share / oracle.curvature(instance.weights, instance.y, fit, step_rule)


def relative(found, expected) -> float:
    return float(np.max(np.abs(np.asarray(found) - expected)) / np.max(np.abs(expected)))


def run(instance: Instance, **options):
    options = {"learning_rate": 0.01, "record_steps": STEPS} | options
    return train(instance.weights, instance.x, instance.y, **options)


def test_shapes_reach_all_paths():
    delays = [dense.delay_for(dims, min(s, n)) for dims, s, n in SHAPES]
    assert delays == [1, 1, 1, 1, 1, 8, 8, 6]
    ranks = [min(s, n) for _, s, n in SHAPES]
    assert [r <= gradient_descent._LARGEST_OUTER for r in ranks[:5]] == [1, 1, 0, 1, 1]


# Each path with both rules, each shape with one of them.
FAN_IN = (1, 2, 6)
RULES = [
    pytest.param(*shape, rule, marks=[] if (i in FAN_IN) == (rule == "fan_in") else mark)
    for i, shape in enumerate(SHAPES)
    for rule in ("uniform", "fan_in")
    for mark in [pytest.mark.slow]
]


@pytest.mark.parametrize(
    ("dims", "s", "n", "step_rule"), RULES, ids=lambda v: str(v).replace(" ", "")
)
def test_agrees_with_the_plain_recursion(dims, s, n, step_rule):
    for decay, kappa, fit in [(0.0, 1.0, 1.0), (0.05, 10.0, 0.5)]:
        instance = draw(dims, s, n, seed=len(dims), condition_number=kappa)
        eta = stable_rate(instance, fit, step_rule)
        numbers: dict[str, Any] = {
            "learning_rate": eta,
            "weight_decay": decay,
            "data_fit_scale": fit,
        }
        found = run(instance, step_rule=step_rule, **numbers)
        descent = oracle.Descent(step_rule=step_rule, **numbers)
        path = oracle.descend(instance.weights, instance.x, instance.y, descent, STEPS)
        assert found.status == "finished"
        assert found.diverged_step is None
        assert found.kernel == "dense"
        assert found.steps.tolist() == STEPS
        for name in ("regression_error", "off_subspace_error"):
            for k, step in enumerate(STEPS):
                state = oracle.State(path.weights[step], instance.x, instance.y, decay, fit)
                expected = oracle.OBSERVABLES[name](state)
                got = found.observables[name][k]
                if name == "off_subspace_error" and min(s, n) == dims[0]:
                    assert got == 0.0
                else:
                    assert abs(got - expected) <= AGREEMENT * expected + ROUNDING, (name, step)
        for got, expected in zip(found.weights, path.last, strict=True):
            assert relative(got, expected) <= AGREEMENT


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31),
    share=st.floats(1e-4, 0.9),
    decay=st.one_of(st.just(0.0), st.floats(1e-8, 1.0)),
    fit=st.floats(0.01, 10.0),
    kappa=st.floats(1.0, 10.0),
)
def test_agrees_for_any_numbers(seed, share, decay, fit, kappa):
    dims, s, n = SMALL
    instance = draw(dims, s, n, seed, kappa)
    eta = stable_rate(instance, fit, "uniform", share)
    numbers = {"learning_rate": eta, "weight_decay": decay, "data_fit_scale": fit}
    found = run(instance, **numbers)
    path = oracle.descend(
        instance.weights, instance.x, instance.y, oracle.Descent(**numbers), STEPS
    )
    for got, expected in zip(found.weights, path.last, strict=True):
        assert relative(got, expected) <= AGREEMENT


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("momentum", {"momentum": 0.8}),
        ("nesterov", {"momentum": 0.7}),
        # AdamW is Adam and a decay; a batch has both of them in test_batches.py.
        pytest.param(
            "adam", {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6}, marks=pytest.mark.slow
        ),
        ("adamw", {"beta1": 0.85, "beta2": 0.97, "epsilon": 1e-5}),
        ("rmsprop", {"rmsprop_decay": 0.8, "epsilon": 1e-4}),
    ],
)
@pytest.mark.parametrize("step_rule", ["uniform", pytest.param("fan_in", marks=pytest.mark.slow)])
def test_optimizers_agree_with_their_textbook_forms(name, numbers, step_rule):
    dims, s, n = SMALL
    instance = draw(dims, s, n, seed=5, condition_number=3.0)
    # Small enough that the adaptive ones do not yet oscillate, which would amplify rounding.
    numbers |= {"learning_rate": 0.002, "weight_decay": 0.1, "data_fit_scale": 0.7}
    found = run(instance, optimizer=name, step_rule=step_rule, **numbers)
    descent = oracle.Descent(name=name, step_rule=step_rule, **numbers)
    path = oracle.descend(instance.weights, instance.x, instance.y, descent, STEPS)
    for got, expected in zip(found.weights, path.last, strict=True):
        assert relative(got, expected) <= AGREEMENT
    errors = [
        oracle.OBSERVABLES["off_subspace_error"](oracle.State(w, instance.x, instance.y))
        for w in path.weights.values()
    ]
    assert relative(found.off_subspace_error, np.array(errors)) <= AGREEMENT


@pytest.mark.parametrize("optimizer", ["sign_descent", "lion", "adagrad"])
def test_an_input_that_is_always_zero_moves_no_weight(optimizer):
    # The decomposition of the samples rounds such an input to some 1e-17, of which a step by signs
    # makes a whole one.
    rng = np.random.default_rng(0)
    weights = [0.4 * rng.normal(size=shape) for shape in ((8, 5), (6, 8))]
    measurements, signals = rng.normal(size=(5, 7)), rng.normal(size=(6, 7))
    measurements[2] = 0.0
    rate, steps = 1e-3, 30
    own = {"beta1": 0.9, "lion_beta2": 0.99}
    numbers: dict[str, Any] = own if optimizer == "lion" else {}
    found = train(
        weights, signals, measurements, learning_rate=rate, record_steps=[steps],
        optimizer=optimizer, kernel="dense", **numbers,
    )  # fmt: skip
    first, second = (w.copy() for w in weights)
    kept = [np.zeros_like(first), np.zeros_like(second)]
    for _ in range(steps):
        residual = second @ first @ measurements - signals
        gradients = second.T @ residual @ measurements.T, residual @ (first @ measurements).T
        for i, (weight, gradient) in enumerate(zip((first, second), gradients, strict=True)):
            if optimizer == "lion":
                direction = np.sign(0.9 * kept[i] + 0.1 * gradient)
                kept[i] = 0.99 * kept[i] + 0.01 * gradient
            elif optimizer == "adagrad":
                kept[i] += gradient**2
                root = np.sqrt(kept[i])
                direction = np.divide(gradient, root, out=np.zeros_like(root), where=root > 0)
            else:
                direction = np.sign(gradient)
            weight -= rate * direction
    assert relative(found.weights[0][:, 2], weights[0][:, 2]) <= EXACT
    for got, expected in zip(found.weights, (first, second), strict=True):
        assert relative(got, expected) <= EXACT


def test_samples_of_a_smaller_rank_leave_a_silent_input_silent():
    # Columns that stand for no sample may have anything there; those of the samples nothing.
    rng = np.random.default_rng(1)
    measurements = rng.normal(size=(6, 2)) @ rng.normal(size=(2, 9))
    measurements[4] = 0.0
    with numerics():
        data = reduce_samples(
            jnp.asarray(rng.normal(size=(3, 9))), jnp.asarray(measurements), 4, certain=False
        )
        found = np.asarray(reduced_measurements(data))
    np.testing.assert_array_equal(found[4], 0.0)
    assert relative(found @ found.T, measurements @ measurements.T) <= EXACT


def test_depth_one_has_its_closed_form():
    # In Y's left singular basis each column of W is a geometric sequence.
    instance = draw((5, 7), 3, 9, seed=1, condition_number=4.0)
    eta, decay, fit = 0.3, 0.02, 0.9
    found = run(instance, learning_rate=eta, weight_decay=decay, data_fit_scale=fit)
    left, values, rows = np.linalg.svd(instance.y, full_matrices=False)
    left, values, rows = left[:, :3], values[:3], rows[:3]
    targets = fit * (instance.x @ rows.T) * values
    factor = 1 - eta * decay - eta * fit * values**2
    limit = targets / (decay + fit * values**2)
    start = instance.weights[0] @ left
    final = limit + factor ** STEPS[-1] * (start - limit)
    off = (1 - eta * decay) ** STEPS[-1] * (instance.weights[0] @ oracle.off_projector(instance.y))
    assert relative(found.weights[0], final @ left.T + off) <= EXACT


@pytest.mark.parametrize("step_rule", ["uniform", "fan_in"])
@on_all_paths
def test_first_layer_only_decays_off_the_range(dims, s, n, step_rule):
    instance = draw(dims, s, n, seed=3)
    eta, decay, count = 0.02, 0.3, STEPS[-1]
    found = run(instance, learning_rate=eta, weight_decay=decay, step_rule=step_rule)
    rate = eta / dims[0] if step_rule == "fan_in" else eta
    off = oracle.off_projector(instance.y)
    expected = (1 - rate * decay) ** count * (instance.weights[0] @ off)
    assert relative(found.weights[0] @ off, expected) <= EXACT


@on_all_paths
def test_samples_reduce_to_the_rank(dims, s, n):
    instance = draw(dims, s, n, seed=4, condition_number=5.0)
    left, values, rows = np.linalg.svd(instance.y, full_matrices=False)
    r = min(s, n)
    narrow = Instance(instance.weights, instance.x @ rows[:r].T, left[:, :r] @ np.diag(values[:r]))
    options = {
        "learning_rate": 0.02,
        "weight_decay": 0.1,
        "observables": ["loss", "off_subspace_error"],
    }
    wide, reduced = run(instance, **options), run(narrow, **options)
    for a, b in zip(wide.weights, reduced.weights, strict=True):
        assert relative(a, b) <= EXACT
    assert relative(wide.off_subspace_error, reduced.off_subspace_error) <= EXACT
    # The losses differ by what no network can fit, which the steps do not change.
    constant = 0.5 * (np.sum(instance.x**2) - np.sum(narrow.x**2))
    assert constant > 1e-3
    assert relative(wide.loss, reduced.loss + constant) <= EXACT


@pytest.mark.parametrize("step", [1e-7, 1e-5])
@pytest.mark.parametrize(("dims", "s", "n"), [((3, 4, 3), 1, 2), ((3, 130, 3), 1, 2)])
def test_float32_carries_the_decay_exactly(dims, s, n, step):
    # With a data fit of weight 1e-30 nothing moves but the decay. 1 - 1e-7 rounds to 1 - 1.19e-7
    # in float32, so a naive decay's exponent would be 19 % off; ours comes from float32 norms
    # with an error of about 1e-7 over an exponent of 0.005. The larger decay leaves a factor of
    # 1/e, so that what carries it has been folded into the weights.
    tolerance, count = 1e-4, {1e-7: 50_000, 1e-5: 100_000}[step]
    instance = draw(dims, s, n, seed=6)
    found = run(
        instance,
        learning_rate=1e-3,
        weight_decay=step * 1e3,
        data_fit_scale=1e-30,
        precision="float32",
        observables=["weight_norms", "off_subspace_error"],
        record_steps=[0, count],
    )
    assert found.weight_norms.dtype == np.float32
    exponents = -np.log(found.weight_norms[1].astype(float) / found.weight_norms[0])
    assert np.all(np.abs(exponents / (step * count) - 1) < tolerance)
    off = -np.log(float(found.off_subspace_error[1]) / float(found.off_subspace_error[0]))
    assert abs(off / (2 * step * count) - 1) < tolerance
    assert abs(np.float32(1) - np.float32(1 - 1e-7) - 1e-7) > 0.19e-7


def test_float32_off_subspace_decay_while_training():
    instance = draw((3, 4, 3), 1, 2, seed=6)
    count, step = 50_000, 1e-7
    found = run(
        instance,
        learning_rate=1e-2,
        weight_decay=1e-5,
        precision="float32",
        record_steps=[0, count],
    )
    off = oracle.off_projector(instance.y)
    # Norms of float32 entries, and a float32 basis of the range: 1e-7 over an exponent of 0.005.
    before = np.linalg.norm(instance.weights[0] @ off)
    after = np.linalg.norm(found.weights[0].astype(float) @ off)
    assert abs(-np.log(after / before) / (step * count) - 1) < 1e-3


# 1e300: no longer finite, as squares overflow first. 3 and 1e6: beyond a multiple of the start.
@pytest.mark.parametrize("factor", [3.0, 1e6, pytest.param(1e300, marks=pytest.mark.slow)])
@on_all_paths
def test_divergence_is_marked_at_its_first_step(dims, s, n, factor):
    steps = list(range(0, 200, 5))
    instance = draw(dims, s, n, seed=8)
    rate = stable_rate(instance, 1.0, "uniform", 1.0)
    numbers: list[dict[str, Any]] = [
        {"learning_rate": f * rate} for f in (10.0, 16.0, 25.0, 50.0, 1e3, 1e6)
    ]
    # eta lambda > 2 makes the weights grow, slowly enough for several folds of delayed updates.
    numbers += [
        {"learning_rate": v, "weight_decay": 1.0, "data_fit_scale": 1e-20} for v in (2.2, 3.5)
    ]
    seen = []
    for number in numbers:
        descent = oracle.Descent(**number)
        path = oracle.descend(instance.weights, instance.x, instance.y, descent, steps, factor)
        found = run(instance, record_steps=steps, divergence_factor=factor, **number)
        assert path.diverged_step is not None, "the test needs a diverging run"
        assert found.status == "diverged"
        assert found.diverged_step == path.diverged_step
        assert found.steps.tolist() == [t for t in steps if t < path.diverged_step]
        assert len(found.regression_error) == len(found.steps)
        assert np.all(np.isfinite(found.regression_error))
        seen.append(path.diverged_step)
    assert len(set(seen)) >= {3.0: 2, 1e6: 3, 1e300: 4}[factor], seen
    assert max(seen) > {3.0: 2, 1e6: 10, 1e300: 16}[factor], seen


def test_a_run_that_blows_up_but_stays_finite_has_diverged():
    # Depth 1 grows by a constant factor a step: 1e300 is far away when the run is over.
    instance = draw((5, 7), 3, 9, seed=8)
    values = np.linalg.svd(instance.y, compute_uv=False)
    numbers = {"learning_rate": 2.5 / values[0] ** 2, "record_steps": [0, 20, 60, 500]}
    found = run(instance, **numbers)
    path = oracle.descend(
        instance.weights,
        instance.x,
        instance.y,
        oracle.Descent(learning_rate=numbers["learning_rate"]),
        numbers["record_steps"],
    )
    assert found.diverged_step == path.diverged_step
    assert found.diverged_step is not None
    assert 20 < found.diverged_step < 60
    assert found.steps.tolist() == [0, 20]
    lenient = run(instance, divergence_factor=1e300, **numbers)
    assert (lenient.status, lenient.steps[-1]) == ("finished", 500)
    assert lenient.regression_error[-1] > 1e80


def test_a_run_that_begins_at_a_solution_may_leave_it():
    # Its error begins at rounding and ends at the plateau of the decay: no blow-up, although by
    # more than a factor of 1e6.
    instance = draw((5, 7), 3, 9, seed=8)
    solution = instance.x @ np.linalg.pinv(instance.y)
    fitted = Instance([solution], solution @ instance.y, instance.y)
    found = run(fitted, learning_rate=0.1, weight_decay=0.01, record_steps=[0, 500])
    assert found.status == "finished"
    assert found.regression_error[1] > 1e6 * found.regression_error[0]


@pytest.mark.parametrize("name", ["momentum", "nesterov"])
def test_divergence_of_an_optimizer(name):
    dims, s, n = SMALL
    instance = draw(dims, s, n, seed=8)
    steps = list(range(0, 200, 5))
    for eta in np.geomspace(3.0, 3e4, 20):
        descent = oracle.Descent(name=name, learning_rate=float(eta))
        path = oracle.descend(instance.weights, instance.x, instance.y, descent, steps)
        found = run(instance, learning_rate=float(eta), optimizer=name, record_steps=steps)
        assert found.diverged_step == path.diverged_step
        assert found.steps.tolist() == [
            t for t in steps if path.diverged_step is None or t < path.diverged_step
        ]


def test_divergence_between_records_and_at_step_zero():
    dims, s, n = SMALL
    instance = draw(dims, s, n, seed=8)
    found = run(instance, learning_rate=1e4, record_steps=[0, 1000])
    assert found.status == "diverged"
    assert found.diverged_step is not None
    assert 0 < found.diverged_step < 20
    assert found.steps.tolist() == [0]
    # Finite, but its square is not.
    huge = Instance([1e75 * w for w in instance.weights], instance.x, 1e50 * instance.y)
    found = run(huge, record_steps=[0, 10])
    assert (found.status, found.diverged_step, found.steps.tolist()) == ("diverged", 0, [])
    assert found.regression_error.shape == (0,)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_data_whose_squares_do_not_fit_are_refused(precision):
    dims, s, n = SMALL
    instance = draw(dims, s, n, seed=8)
    far = {"float32": 20, "float64": 155}[precision]
    for x, y in [(-far, -far), (far, far), (-far, 0), (0, -far)]:
        scaled = Instance(instance.weights, 10.0**x * instance.x, 10.0**y * instance.y)
        with pytest.raises(SpecError, match=f"in {precision} it must lie between") as caught:
            run(scaled, precision=precision)
        assert len(caught.value.problems) == (x != 0) + (y != 0)
    for power in (-far, far):
        scaled = Instance([10.0**power * w for w in instance.weights], instance.x, instance.y)
        with pytest.raises(SpecError, match=r"weights\[0\] has the norm"):
            run(scaled, precision=precision)


def test_what_the_refusal_advises_is_the_same_training():
    dims, s, n = SMALL
    instance = draw(dims, s, n, seed=8)
    numbers = {"learning_rate": 0.05, "weight_decay": 0.01, "observables": ["loss"]}
    small = Instance(instance.weights, instance.x * 2.0**-10, instance.y * 2.0**-10)
    one, two = run(instance, **numbers), run(small, data_fit_scale=2.0**20, **numbers)
    # Powers of two: every rounding is the same but for those of a singular value decomposition.
    assert relative(two.loss, one.loss) <= EXACT


def test_data_at_the_ends_of_what_is_allowed_are_right():
    dims, s, n = SMALL
    instance = draw(dims, s, n, seed=8)
    names = ["regression_error", "oracle_distance", "gradient_norm", "unbalancedness"]
    for precision, sizes in {"float32": (2e-6, 1e8), "float64": (2e-69, 1e75)}.items():
        for size in sizes:
            x, y = (size * a / np.linalg.norm(a) for a in (instance.x, instance.y))
            scaled = Instance(instance.weights, x, y)
            eta = 0.1 / oracle.curvature(
                instance.weights, instance.y / np.linalg.norm(instance.y), 1.0, "uniform"
            )
            # Steps that do something, whatever the size.
            options = {"learning_rate": eta, "data_fit_scale": float(size) ** -2}
            found = run(
                scaled, precision=precision, observables=names, record_steps=[0, 50], **options
            )
            unit = Instance(instance.weights, x / size, y / size)
            wanted = run(unit, observables=names, record_steps=[0, 50], learning_rate=eta)
            for name in names:
                # Rounding of float32, some hundred times.
                allowed = 1e-4 if precision == "float32" else AGREEMENT
                assert relative(found.observables[name], wanted.observables[name]) < allowed


@pytest.mark.parametrize(
    "observable", ["regression_error", pytest.param("loss", marks=pytest.mark.slow)]
)
def test_stop_when_ends_at_the_first_recorded_step_below(observable):
    dims, s, n = SMALL
    instance = draw(dims, s, n, seed=9)
    steps = list(range(0, 400, 7))
    numbers: dict[str, Any] = {"learning_rate": 0.05, "weight_decay": 0.01}
    path = oracle.descend(
        instance.weights, instance.x, instance.y, oracle.Descent(**numbers), steps
    )
    values = np.array(
        [
            oracle.OBSERVABLES[observable](oracle.State(w, instance.x, instance.y, 0.01))
            for w in path.weights.values()
        ]
    )
    below = float(np.sqrt(values[20] * values[21]))
    first = int(np.argmax(values < below))
    found = run(
        instance,
        record_steps=steps,
        observables=[observable],
        stop_when={"observable": observable, "below": below},
        **numbers,
    )
    assert found.status == "stopped"
    assert found.diverged_step is None
    assert found.steps.tolist() == steps[: first + 1]
    assert found.observables[observable][-1] < below
    assert np.all(found.observables[observable][:-1] >= below)
    for got, expected in zip(found.weights, path.weights[steps[first]], strict=True):
        assert relative(got, expected) <= AGREEMENT


def test_a_condition_that_is_never_met_changes_nothing():
    instance = draw(*SMALL, seed=9)
    condition = {"observable": "regression_error", "below": 1e-300}
    a, b = run(instance), run(instance, stop_when=condition)
    assert b.status == "finished"
    assert np.array_equal(a.regression_error, b.regression_error)


def test_step_zero_is_the_initial_network():
    instance = draw(*SMALL, seed=10)
    found = run(instance, record_steps=[0], learning_rate=0.5)
    state = oracle.State(instance.weights, instance.x, instance.y)
    assert found.status == "finished"
    assert found.steps.tolist() == [0]
    for name in ("regression_error", "off_subspace_error"):
        assert relative(found.observables[name], oracle.OBSERVABLES[name](state)) <= EXACT
    for got, expected in zip(found.weights, instance.weights, strict=True):
        assert relative(got, expected) <= EXACT
    # All layers but the first are not even split along range(Y).
    assert np.array_equal(found.weights[1], instance.weights[1])


def test_record_steps_may_be_unsorted_and_repeated():
    instance = draw(*SMALL, seed=10)
    a = run(instance, record_steps=[30, 5, 5, 0, 11])
    b = run(instance, record_steps=np.array([0, 5, 11, 30]))
    assert a.steps.tolist() == b.steps.tolist() == [0, 5, 11, 30]
    assert np.array_equal(a.regression_error, b.regression_error)


@on_all_paths
def test_recording_more_changes_only_rounding(dims, s, n):
    instance = draw(dims, s, n, seed=11)
    few = run(instance, learning_rate=0.02, weight_decay=0.1, record_steps=[100])
    many = run(instance, learning_rate=0.02, weight_decay=0.1, record_steps=list(range(101)))
    assert many.steps.tolist() == list(range(101))
    assert relative(many.regression_error[-1], few.regression_error[-1]) <= EXACT
    for a, b in zip(few.weights, many.weights, strict=True):
        assert relative(a, b) <= EXACT


@on_all_paths
def test_scaling_by_powers_of_two_scales_every_bit(dims, s, n):
    # W -> a W, X -> a^L X, c -> c a^(2-2L) with a = 2 commutes with rounding.
    instance = draw(dims, s, n, seed=12)
    depth, a = len(dims) - 1, 2.0
    scaled = Instance([a * w for w in instance.weights], a**depth * instance.x, instance.y)
    options = {"learning_rate": 0.02, "weight_decay": 0.1}
    one = run(instance, **options)
    two = run(scaled, data_fit_scale=a ** (2 - 2 * depth), **options)
    assert np.array_equal(one.regression_error, two.regression_error)
    for u, v in zip(one.weights, two.weights, strict=True):
        assert np.array_equal(a * u, v)


def test_only_products_with_the_learning_rate_matter():
    # eta -> 4 eta, lambda -> lambda / 4, c -> c / 4 is the same recursion, bit for bit.
    instance = draw(*SMALL, seed=13)
    one = run(instance, learning_rate=0.02, weight_decay=0.1, data_fit_scale=1.0)
    two = run(instance, learning_rate=0.08, weight_decay=0.025, data_fit_scale=0.25)
    assert np.array_equal(one.regression_error, two.regression_error)
    assert all(np.array_equal(u, v) for u, v in zip(one.weights, two.weights, strict=True))


def test_rotations_of_all_spaces_rotate_the_weights():
    dims, s, n = SMALL
    instance = draw(dims, s, n, seed=14)
    rng = np.random.default_rng(15)
    turns = [np.linalg.qr(rng.normal(size=(k, k)))[0] for k in dims]
    turned = Instance(
        [turns[i + 1] @ w @ turns[i].T for i, w in enumerate(instance.weights)],
        turns[-1] @ instance.x,
        turns[0] @ instance.y,
    )
    options = {"learning_rate": 0.02, "weight_decay": 0.1, "step_rule": "fan_in"}
    one, two = run(instance, **options), run(turned, **options)
    assert relative(two.off_subspace_error, one.off_subspace_error) <= EXACT
    for i, w in enumerate(one.weights):
        assert relative(two.weights[i], turns[i + 1] @ w @ turns[i].T) <= EXACT


def test_gradient_flow_is_approached_with_order_one():
    dims, s, n, duration = (4, 6, 5), 2, 4, 4.0
    instance = draw(dims, s, n, seed=16)
    shapes = [w.shape for w in instance.weights]
    cuts = np.cumsum([w.size for w in instance.weights])[:-1]

    def unpack(flat):
        return [p.reshape(q) for p, q in zip(np.split(flat, cuts), shapes, strict=True)]

    def flow(_, flat):
        grads = oracle.gradients(unpack(flat), instance.x, instance.y, 0.05, 1.0)
        return -np.concatenate([g.ravel() for g in grads])

    start = np.concatenate([w.ravel() for w in instance.weights])
    # The reference's own error, some 1e-10, is far below the smallest measured one, 1e-4.
    exact = solve_ivp(flow, (0, duration), start, method="DOP853", rtol=1e-12, atol=1e-13)
    limit = unpack(exact.y[:, -1])
    counts = np.array([200, 400, 800, 1600])
    errors = []
    for count in counts.tolist():
        found = run(
            instance, learning_rate=duration / count, weight_decay=0.05, record_steps=[count]
        )
        errors.append(max(np.max(np.abs(a - b)) for a, b in zip(found.weights, limit, strict=True)))
    slopes = np.diff(np.log(errors)) / np.diff(np.log(1.0 / counts))
    assert np.all(np.abs(slopes - 1) < 0.1), slopes


def test_float32_follows_float64():
    instance = draw(*SMALL, seed=17)
    options = {"learning_rate": 0.02, "weight_decay": 0.1}
    single, double = run(instance, precision="float32", **options), run(instance, **options)
    assert single.regression_error.dtype == np.float32
    assert double.regression_error.dtype == np.float64
    # float32 rounds at 6e-8; some 120 contracting steps add up to a few of these.
    assert relative(single.regression_error, double.regression_error) < 1e-5
    assert relative(single.regression_error, double.regression_error) > 0


def test_equal_calls_give_equal_bits_and_leave_the_arguments():
    instance = draw(*SMALL, seed=18)
    copies = [w.copy() for w in (*instance.weights, instance.x, instance.y)]
    one, two = run(instance), run(instance)
    assert np.array_equal(one.regression_error, two.regression_error)
    for before, after in zip(copies, (*instance.weights, instance.x, instance.y), strict=True):
        assert np.array_equal(before, after)


def test_arrays_of_other_kinds_are_taken():
    instance = draw(*SMALL, seed=18)
    others: Any = (
        [w.astype(np.float32).tolist() for w in instance.weights],
        jnp.asarray(instance.x),
        jnp.asarray(instance.y),
    )
    listed = Instance(*others)
    single = Instance(
        [w.astype(np.float32) for w in instance.weights],
        instance.x.astype(np.float32),
        instance.y.astype(np.float32),
    )
    # float32 data: rank(Y) is found in float64, where float32 rounding makes Y's rank full.
    a, b = run(listed), run(single)
    assert np.array_equal(a.regression_error, b.regression_error)


def test_jax_flags_stay_as_they_were():
    names = ("jax_enable_x64", "jax_threefry_partitionable")
    before = {name: getattr(jax.config, name) for name in names}
    instance = draw(*SMALL, seed=19)
    run(instance)
    with pytest.raises(SpecError):
        run(instance, learning_rate=-1.0)
    assert {name: getattr(jax.config, name) for name in names} == before
    assert not before["jax_enable_x64"], "the test needs JAX's own default"
    assert jnp.ones(3).dtype == jnp.float32


def test_a_callers_own_float64_is_left_on():
    instance = draw(*SMALL, seed=19)
    with jax.enable_x64(True):
        inside = run(instance)
        assert jnp.ones(3).dtype == jnp.float64
    assert np.array_equal(inside.regression_error, run(instance).regression_error)


def test_trajectory_names_what_it_recorded():
    found = run(draw(*SMALL, seed=20), observables=["loss"])
    assert found.loss is found.observables["loss"]
    with pytest.raises(AttributeError, match=r"^the trajectory has no 'rank'; it recorded loss$"):
        _ = found.rank


W, X, Y = [np.ones((4, 2)), np.ones((3, 4))], np.ones((3, 5)), np.ones((2, 5))
BAD_ARRAYS = [
    ({"weights": []}, "weights is empty; it must hold at least one matrix."),
    (
        {"weights": np.ones((4, 2))},
        "weights is a ndarray of shape (4, 2); it must be a list or tuple of matrices W_1, ..., "
        "W_L, also for a single one.",
    ),
    (
        {"weights": [np.ones((4, 2)), np.ones((3, 4), complex)]},
        "weights[1] has dtype complex128; it must hold real numbers.",
    ),
    (
        {"weights": [[[1.0, 2.0], [3.0]], W[1]]},
        "weights[0] is not a matrix: its rows have unequal lengths.",
    ),
    ({"signals": X[0]}, "signals has shape (5,); it must be a non-empty matrix."),
    (
        {"measurements": np.ones((2, 0))},
        "measurements has shape (2, 0); it must be a non-empty matrix.",
    ),
    ({"signals": X * np.nan}, "signals holds values that are not finite."),
    ({"measurements": Y * np.inf}, "measurements holds values that are not finite."),
    (
        {"signals": np.ones((3, 6))},
        "signals has 6 columns and measurements has 5; they must have one a sample each.",
    ),
    (
        {"weights": [np.ones((4, 3)), W[1]]},
        "weights[0] has 3 columns; it must have 2, the number of rows of measurements.",
    ),
    (
        {"weights": [W[0], np.ones((3, 5))]},
        "weights[1] has 5 columns; it must have 4, the number of rows of weights[0].",
    ),
    (
        {"weights": [W[0], np.ones((2, 4))]},
        "weights[1] has 2 rows; it must have 3, the number of rows of signals.",
    ),
    ({"measurements": 0 * Y}, "measurements is zero everywhere; it must have rank 1 at least."),
    (
        {"signals": 0 * X},
        "signals is zero everywhere; errors relative to it have no meaning.",
    ),
]
SCALARS = (
    "loss, regression_error, off_subspace_error, unbalancedness, unbalancedness_nuclear, "
    "effective_rank, stable_rank, numerical_rank, gradient_norm, oracle_distance"
)
BAD_NUMBERS = [
    ({"learning_rate": -0.1}, "learning_rate is -0.1; it must be positive."),
    ({"learning_rate": 0}, "learning_rate is 0; it must be positive."),
    ({"learning_rate": float("nan")}, "learning_rate is nan; it must be finite."),
    ({"learning_rate": "big"}, "learning_rate is 'big'; it must be a number."),
    ({"weight_decay": -1.0}, "weight_decay is -1.0; it must not be negative."),
    ({"weight_decay": float("inf")}, "weight_decay is inf; it must be finite."),
    ({"data_fit_scale": 0.0}, "data_fit_scale is 0.0; it must be positive."),
    ({"step_rule": "fanin"}, "step_rule is 'fanin'; it must be 'uniform' or 'fan_in'."),
    ({"step_rule": "curvature"}, "step_rule is 'curvature'; it must be 'uniform' or 'fan_in'."),
    (
        {"observables": ["jacobian_min"]},
        "observables names 'jacobian_min', which is not known of linear networks; known are "
        f"{', '.join(find_network('subspace').known_observables())}.",
    ),
    (
        {"optimizer": "sgd"},
        "optimizer is 'sgd'; it must be 'gradient_descent', 'momentum', 'nesterov', 'adam', "
        "'adamw', 'rmsprop', 'group_rmsprop', 'adagrad', 'adadelta', 'sign_descent', 'lion', "
        "'adamax', 'nadam', 'amsgrad', 'radam', 'adabelief', 'yogi', 'novograd', 'lamb', "
        "'adan', 'muon', 'nadamw', 'adamaxw', 'optimistic_gradient_descent', 'optimistic_adam', "
        "'sm3', 'lars', 'rprop', 'fromage', 'adafactor', 'noisy_sgd' or 'polyak_sgd'.",
    ),
    ({"kernel": "fast"}, "kernel is 'fast'; it must be 'auto', 'dense' or 'reduced'."),
    ({"tolerance": 1}, "tolerance is 1; it must lie between 1e-9 and 0.1."),
    ({"tolerance": 1e-10}, "tolerance is 1e-10; it must lie between 1e-9 and 0.1."),
    ({"tolerance": "fine"}, "tolerance is 'fine'; it must lie between 1e-9 and 0.1."),
    ({"precision": "half"}, "precision is 'half'; it must be 'float64' or 'float32'."),
    ({"rank_threshold": 2.0}, "rank_threshold is 2.0; it must be less than 1."),
    (
        {"optimizer": "adam", "beta1": 1 - 1e-8, "precision": "float32"},
        "beta1 is 0.99999999 and precision is 'float32', in which that is 1: an average that takes "
        "up nothing. Take at most 0.9999999, or precision='float64'.",
    ),
    (
        {"optimizer": "momentum", "momentum": 1.0},
        "momentum is 1.0; it must be less than 1.",
    ),
    (
        {"optimizer": "adam", "bta1": 0.9},
        "bta1 is not a hyperparameter; did you mean 'beta1'?",
    ),
    (
        {"num_steps": 7},
        "num_steps is not a hyperparameter; `dlnsweep explain` lists what there is.",
    ),
    # Of sweeps, by the generic way.
    (
        {"sam_radius": 0.1},
        "sam_radius is not a hyperparameter; `dlnsweep explain` lists what there is.",
    ),
    (
        {"momentum": 0.9},
        "momentum is given, but gradient_descent does not use it; it belongs to momentum, "
        "nesterov, lars.",
    ),
    (
        {"record_steps": []},
        "record_steps is []; it must be a non-empty list of steps >= 0.",
    ),
    (
        {"record_steps": [0, -1]},
        "record_steps is [0, -1]; it must be a non-empty list of steps >= 0.",
    ),
    (
        {"record_steps": [0.5]},
        "record_steps is [0.5]; it must be a non-empty list of steps >= 0.",
    ),
    ({"record_steps": 5}, "record_steps is 5; it must be a non-empty list of steps >= 0."),
    (
        {"observables": ["test_error"]},
        "observables names 'test_error', which needs a problem to draw tests from.",
    ),
    (
        {"stop_when": {"observable": "loss", "below": 1.0}},
        "stop_when.observable is 'loss'; it must be a recorded scalar observable: "
        "regression_error, off_subspace_error.",
    ),
    (
        {"observables": ["singular_values"], "stop_when": {"observable": "singular_values"}},
        "stop_when.observable is 'singular_values'; it must be a recorded scalar observable: "
        "none is recorded.",
    ),
    (
        {"stop_when": {"observable": "regression_error", "below": -1.0}},
        "stop_when.below is -1.0; it must be positive.",
    ),
    (
        {"stop_when": {"observable": "regression_error"}},
        "stop_when has neither below nor patience; give below = a value, or patience = the number "
        "of records without an improvement.",
    ),
    ({"stop_when": 3}, "stop_when is 3; it must be a table."),
]


def call(**changes):
    arguments = {"weights": W, "signals": X, "measurements": Y} | {
        "learning_rate": 0.1,
        "record_steps": [0, 1],
    }
    return train(**(arguments | changes))


@pytest.mark.parametrize(("changes", "sentence"), BAD_ARRAYS + BAD_NUMBERS)
def test_bad_arguments_have_their_sentence(changes, sentence):
    with pytest.raises(SpecError) as caught:
        call(**changes)
    assert sentence in str(caught.value).splitlines()
    assert caught.value.exit_status == 2


def test_unknown_observable_lists_the_known_ones():
    with pytest.raises(SpecError, match=re.escape("observables names 'los', which is not known")):
        call(observables=["los"])


def test_all_mistakes_are_said_at_once():
    with pytest.raises(SpecError) as caught:
        call(learning_rate=-1.0, precision="half", kernel="fast", record_steps=[])
    text = str(caught.value)
    for word in ("learning_rate", "precision", "kernel", "record_steps"):
        assert word in text
