"""The reduced kernel: its steps against NumPy, and its runs against plain gradient descent."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from instances import Instance, draw

from dlnsweep.engine.programs import PROGRAMS
from dlnsweep.networks.layered.samples import reduce_samples
from dlnsweep.numerics.lanes import ONE_FUNCTION_OPTIONS
from dlnsweep.numerics.runtime import numerics
from dlnsweep.reduced import compact_descent, reduction
from dlnsweep.reduced.chain import Chain, Descent
from dlnsweep.reduced.kernel import ReducedKernel, constants_of, stacked
from dlnsweep.reduced.layers import diagonal_of
from dlnsweep.reduced.prepare import Prepared, prepare
from dlnsweep.reduced.program import common_sizes
from dlnsweep.reduced.reduction import Reduction, Sizes
from dlnsweep.reduced.start import Network
from dlnsweep.settings.sections import RecordSettings
from dlnsweep.settings.training import TrainingSettings
from dlnsweep.single import network as single
from dlnsweep.single.training import train

# What is asked of every run here; the kernel's estimate may be a third of the true error.
TOLERANCE, SAFETY = 1e-6, 3.0
# Identities of exact arithmetic, over a few hundred steps of rounding at 1.1e-16 each.
EXACT = 1e-12
# The same sums with zeros between their terms: XLA may add them up in another order.
PADDED = 1e-14
# An error relative to ||X|| is a difference of numbers of size 1, each rounded at 1.1e-16 in some
# hundred steps.
ROUNDING = 1e-14
# Layers have no certificate of their own. Measured below 3e-6 at the tolerance of 1e-6: a
# direction that hardly matters to the product may still hold some of a layer.
LAYERS = 3e-5


def relative(found, expected) -> float:
    return float(np.max(np.abs(np.asarray(found) - expected)) / np.max(np.abs(expected)))


# Steps in coordinates

STEPS = 300


@cache
def prepared(seed: int = 0, nesterov: bool = False, momentum: float = 0.0) -> tuple:
    """Prepare a network of depth 3 with layer sizes 5, 30, 26, 7 and rank 2."""
    instance = draw((5, 30, 26, 7), 2, 9, seed, condition_number=3.0)
    with numerics():
        data = reduce_samples(jnp.asarray(instance.x), jnp.asarray(instance.y), 2)
        data = jax.tree.map(np.asarray, data)
    first, *rest = instance.weights
    on, off = first @ data.range_basis, first @ data.off_basis
    descent = Descent(
        data.inputs, data.targets, np.array([0.05, 0.04, 0.03]), 0.05, 0.9, momentum, nesterov
    )
    norms = np.array([np.sum(w**2) for w in (on, *rest)])
    found = prepare(Network(on, off, tuple(rest), norms, descent), STEPS, 1e-4, however_large=True)
    assert not found.refusal
    return found, data, descent


def constants(seed: int = 0, sizes: Sizes | None = None, **options):
    found, data, descent = prepared(seed, **options)
    return constants_of(found, sizes or found.sizes, data, descent)


def reference(found: Prepared, steps: int) -> Chain:
    chain, _, _ = found.reduction.truncated(found.sizes)
    for _ in range(steps):
        chain.advance(1.0, 0)
    return chain


def test_aligned_bases_span_the_same_and_their_overlaps_are_diagonal(
    monkeypatch: pytest.MonkeyPatch,
):
    found = prepared()[0]
    turned, turned_off, turned_left = found.reduction.truncated(found.sizes)
    with monkeypatch.context() as here:
        here.setattr(reduction, "aligned_bases", lambda *bases: bases)
        plain = Reduction(found.reduction.pilot)
        plain.forward, plain.backward = found.reduction.forward, found.reduction.backward
        chain, off, left = plain.truncated(found.sizes)
    assert any(diagonal_of(mixed) is None for mixed in chain.mixed)
    for mixed in turned.mixed:
        width = min(mixed.shape)
        assert np.linalg.norm(mixed - np.eye(*mixed.shape) * np.pad(
            np.diagonal(mixed), (0, mixed.shape[1] - width)
        )) <= 1e-13  # fmt: skip
    for _ in range(50):
        chain.advance(1.0, 0)
        turned.advance(1.0, 0)
    ends = [left @ chain.activations()[-1], turned_left @ turned.activations()[-1]]
    assert relative(ends[1], ends[0]) <= EXACT
    beyond = [
        part.product(c.corrections, c.scales) for part, c in ((off, chain), (turned_off, turned))
    ]
    assert relative(turned_left @ beyond[1], left @ beyond[0]) <= EXACT
    inner, outer = found.reduction.bases(found.sizes)
    for f, b, mixed in zip(inner[1:], outer, turned.mixed, strict=False):
        np.testing.assert_allclose(f.T @ b, mixed, atol=1e-13)


@cache
def advance(early_exit: bool, fused: bool, lanes: bool = False):
    """Return a function that takes steps from the start, compiled once for its shapes."""

    def run(constants, state, start, stop):
        return compact_descent.advance(
            constants, state, start, stop, early_exit=early_exit, fused=fused
        )

    function = jax.vmap(run, in_axes=(0, 0, None, None)) if lanes else run
    options = ONE_FUNCTION_OPTIONS if fused else {}
    return jax.jit(function, compiler_options=options)


def _start_one(constants):
    return compact_descent.start(constants, momentum=False)


START = {False: jax.jit(_start_one), True: jax.jit(jax.vmap(_start_one))}


def start(constants, lanes: bool = False):
    return START[lanes](constants)


def leaves(state) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state)]


@pytest.mark.parametrize("way", ["fused", "plain", "vmap"])
def test_steps_are_those_of_the_chain(way: str):
    found = prepared()[0]
    expected = reference(found, STEPS)
    own = constants()
    with numerics():
        if way == "vmap":
            whole = stacked([own, constants(1, found.sizes), own])
            state = advance(False, False, lanes=True)(whole, start(whole, lanes=True), 0, STEPS)
            first, last = (jax.tree.map(lambda x, k=k: x[k], state) for k in (0, 2))
            assert all(map(np.array_equal, leaves(first), leaves(last)))
            state = first
        else:
            run = advance(True, way == "fused")
            # In two parts, as between records: the merged matrices are made afresh.
            state = run(own, start(own), 0, 100)
            state = run(own, state, 100, STEPS)
    assert bool(state.active)
    assert int(state.diverged_step) == -1
    for d, chain in zip(state.corrections, expected.corrections, strict=True):
        shape = chain.shape
        assert relative(np.asarray(d)[: shape[0], : shape[1]], chain) <= EXACT
    assert relative(state.scales, expected.scales) <= EXACT
    assert np.max(np.abs(expected.corrections[0])) > 0.1, "the run went somewhere"


@pytest.mark.parametrize("nesterov", [pytest.param(False, marks=pytest.mark.slow), True])
def test_steps_with_momentum_are_those_of_the_chain(nesterov: bool):
    options = {"momentum": 0.8, "nesterov": nesterov}
    found = prepared(**options)[0]
    expected = reference(found, STEPS)
    name = "nesterov" if nesterov else "momentum"
    training = TrainingSettings(optimizer=name, learning_rate=1.0, num_steps=STEPS)
    kernel = ReducedKernel(training, RecordSettings(), early_exit=True, precision="float64")
    own = constants(**options)
    with numerics():
        inputs, carry = jax.jit(kernel.start)(own, {})
        run = jax.jit(kernel.advance)
        state = run(inputs, carry.state, 0, STEPS)
    for d, chain in zip(state.corrections, expected.corrections, strict=True):
        assert relative(d, chain) <= EXACT
    assert relative(state.scales, expected.scales) <= EXACT


@pytest.mark.parametrize("way", ["plain", "vmap"])
def test_zeros_beside_the_directions_change_nothing(way: str):
    found, own = prepared()[0], constants()
    larger = jax.tree.map(lambda x: np.zeros([n + 8 if n > 4 else n for n in x.shape]), own)
    # The sizes that come from outside stay: 7 outputs, 3 inputs off the range, 2 samples.
    blocks = own.blocks._replace(
        output_basis=np.zeros((7, own.targets.shape[0] + 8)),
        off_start=(
            *[np.zeros((b.shape[0] + 8, 3)) for b in own.blocks.off_start[:-1]],
            own.blocks.off_start[-1],
        ),
        off_blocks=tuple(
            tuple(np.zeros((b.shape[0] + 8 * (j < 2), b.shape[1] + 8)) for b in row)
            for j, row in enumerate(own.blocks.off_blocks)
        ),
    )
    blank = larger._replace(
        data=own.data,
        blocks=blocks,
        rates=own.rates,
        forward=(
            np.zeros((own.forward[0].shape[0] + 8, 2)),
            *[np.zeros([n + 8 for n in a.shape]) for a in own.forward[1:]],
        ),
        targets=np.zeros((own.targets.shape[0] + 8, 2)),
        mixed=tuple(np.zeros(len(g) + 8) for g in own.mixed),
        backward=tuple(np.zeros([n + 8 for n in b.shape]) for b in own.backward),
    )
    with numerics():
        small = stacked([own])
        padded = jax.tree.map(lambda x: x[:1], stacked([own, blank]))
        lanes = way == "vmap"
        if not lanes:
            small, padded = (jax.tree.map(lambda x: x[0], c) for c in (small, padded))
        run = advance(not lanes, False, lanes)
        one = run(small, start(small, lanes), 0, STEPS)
        two = run(padded, start(padded, lanes), 0, STEPS)
    assert found.sizes.forward[0] + 8 == two.corrections[1].shape[-1]
    for a, b in zip(one.corrections, two.corrections, strict=True):
        rows, columns = a.shape[-2:]
        whole = np.asarray(b)
        assert relative(whole[..., :rows, :columns], np.asarray(a)) <= PADDED
        assert not np.any(whole[..., rows:, :])
        assert not np.any(whole[..., columns:])
    assert relative(two.scales, np.asarray(one.scales)) <= PADDED


def test_a_lane_that_diverges_leaves_the_others_bit_identical():
    own = [constants(), constants(1), constants(2), constants(3)]
    calm = stacked(own)
    rates = calm.rates.copy()
    rates[1] *= 1e4
    targets = calm.targets.copy()
    targets[2] = np.nan
    rough = calm._replace(rates=rates, targets=targets)
    run = advance(False, False, lanes=True)
    with numerics():
        a, b = (run(c, start(c, lanes=True), 0, STEPS) for c in (calm, rough))
    assert np.asarray(a.active).tolist() == [True] * 4
    assert np.asarray(b.active).tolist() == [True, False, False, True]
    diverged = np.asarray(b.diverged_step)
    assert 0 < diverged[1] < 20
    assert diverged[[0, 2, 3]].tolist() == [-1, 0, -1]
    for one, two in zip(leaves(a), leaves(b), strict=True):
        assert np.array_equal(one[[0, 3]], two[[0, 3]])
    # What a run had before it diverged is kept, finite.
    assert all(np.all(np.isfinite(d[1])) for d in leaves(b.corrections))


@pytest.mark.parametrize("way", ["fused", "plain", "vmap"])
def test_a_run_that_is_not_active_does_not_change(way: str):
    lanes = way == "vmap"
    own = stacked([constants()] * 2) if lanes else constants()
    run = advance(not lanes, way == "fused", lanes)
    with numerics():
        state = run(own, start(own, lanes), 0, 10)
        ended = state._replace(active=jnp.zeros_like(state.active))
        later = run(own, ended, 10, STEPS)
    assert all(map(np.array_equal, leaves(ended), leaves(later)))


@pytest.mark.parametrize("way", ["fused", "plain", "vmap"])
def test_the_step_of_divergence_is_the_same_on_all_ways(way: str):
    lanes = way == "vmap"
    own = constants()
    own = own._replace(rates=own.rates * 200)
    found, data, descent = prepared()
    chain, _, _ = found.reduction.truncated(found.sizes)
    chain.descent = replace(chain.descent, rates=descent.rates * 200)
    with np.errstate(over="ignore", invalid="ignore"):
        errors: list = []
        while True:
            errors.append(np.linalg.norm(chain.activations()[-1] - chain.descent.targets))
            if not errors[-1] <= 1e6 * max(errors[0], float(data.signal_norm)):
                break
            chain.advance(1.0, 0)
    expected = len(errors) - 1
    whole = stacked([own] * 2) if lanes else own
    run = advance(not lanes, way == "fused", lanes)
    with numerics():
        state = run(whole, start(whole, lanes), 0, STEPS)
        # Where a segment ends at the last step within, the next one finds the first that is not.
        late = run(whole, start(whole, lanes), 0, expected)
        assert np.all(late.active)
        late = run(whole, late, expected, STEPS)
    assert expected < 30
    for final in (state, late):
        assert np.all(np.asarray(final.diverged_step) == expected)
        assert not np.any(final.active)


# Runs on the caller's arrays

RECORDED = [0, 1, 2, 7, 30, 100, 101, 400]
ERRORS = ["regression_error", "off_subspace_error"]
SCALARS = [
    "loss", "regression_error", "off_subspace_error", "singular_values", "weight_norms",
    "effective_rank", "stable_rank", "numerical_rank", "gradient_norm", "oracle_distance",
]  # fmt: skip
# Layer sizes, s, n, condition number: rank-deficient and over-determined data, fewer samples than
# dimensions, nothing off the range of Y; unequal widths.
SHAPES = {
    "two layers": ((6, 40, 7), 3, 9, 3.0),
    "n < s": ((6, 24, 31, 7), 3, 2, 2.0),
    "m = r": ((3, 26, 22, 28, 6), 3, 12, 1.5),
    "five layers": ((5, 30, 24, 28, 22, 6), 2, 6, 1.0),
}
CASES = [
    ("two layers", "uniform", "gradient_descent", ERRORS),
    ("two layers", "fan_in", "momentum", ERRORS),
    ("n < s", "uniform", "nesterov", SCALARS),
    ("m = r", "uniform", "gradient_descent", ERRORS),
    ("five layers", "fan_in", "gradient_descent", ERRORS),
]


def numbers_for(instance: Instance, optimizer: str, step_rule: str, share: float = 0.2) -> dict:
    """Return the arguments of a stable run that gets well into its second phase."""
    fit, momentum = 0.5, {} if optimizer == "gradient_descent" else {"momentum": 0.6}
    rate = share / oracle.curvature(instance.weights, instance.y, fit, step_rule)
    rate *= 1 - momentum.get("momentum", 0.0)
    columns = min(w.shape[1] for w in instance.weights) if step_rule == "fan_in" else 1
    return {
        "learning_rate": rate,
        "weight_decay": columns / (rate * RECORDED[-1]),
        "data_fit_scale": fit,
        "step_rule": step_rule,
        "optimizer": optimizer,
        **momentum,
    }


def run(instance: Instance, numbers: dict, **options):
    options = {"record_steps": RECORDED, "kernel": "reduced", "tolerance": TOLERANCE} | options
    return train(instance.weights, instance.x, instance.y, **numbers, **options)


def follow(instance: Instance, numbers: dict, steps: list[int] = RECORDED) -> oracle.Path:
    descent = oracle.Descent(**{"name" if k == "optimizer" else k: v for k, v in numbers.items()})
    return oracle.descend(instance.weights, instance.x, instance.y, descent, steps)


@pytest.mark.parametrize(("shape", "step_rule", "optimizer", "names"), CASES)
def test_agrees_with_the_plain_recursion(shape, step_rule, optimizer, names):
    dims, s, n, kappa = SHAPES[shape]
    instance = draw(dims, s, n, seed=len(dims), condition_number=kappa)
    numbers = numbers_for(instance, optimizer, step_rule)
    found = run(instance, numbers, observables=names)
    assert (found.status, found.kernel, found.kernel_reason) == ("finished", "reduced", "certified")
    assert 0 < found.truncation_error <= TOLERANCE
    assert found.steps.tolist() == RECORDED
    path = follow(instance, numbers)
    allowed = max(TOLERANCE, SAFETY * found.truncation_error)
    decay, fit = numbers["weight_decay"], numbers["data_fit_scale"]
    for name in names:
        for k, step in enumerate(RECORDED):
            state = oracle.State(path.weights[step], instance.x, instance.y, decay, fit)
            expected = np.asarray(oracle.OBSERVABLES[name](state))
            got = found.observables[name][k]
            # Small singular values are right beside the largest one.
            size = np.max(np.abs(expected))
            assert np.all(np.abs(got - expected) <= allowed * size + ROUNDING), (name, step)
    for got, expected in zip(found.weights, path.last, strict=True):
        assert got.shape == expected.shape
        assert np.linalg.norm(got - expected) <= LAYERS * np.linalg.norm(expected)
    # Off the range of Y the first layer decays, and nothing else.
    if optimizer == "gradient_descent" and min(s, n) < dims[0]:
        rate = numbers["learning_rate"] / (dims[0] if step_rule == "fan_in" else 1)
        off = oracle.off_projector(instance.y)
        expected = (1 - rate * decay) ** RECORDED[-1] * (instance.weights[0] @ off)
        assert relative(found.weights[0] @ off, expected) <= EXACT


SMALL = SHAPES["two layers"][:3]


def test_the_gradient_near_a_stationary_point_is_no_difference_of_squares():
    instance = draw(*SMALL, seed=8)
    numbers = numbers_for(instance, "gradient_descent", "uniform")
    # Of the weights at step 0 a 1e-17th is left at the end.
    numbers["weight_decay"] *= 4
    steps = [0, 400, 1600, 2400, 4000]
    path = follow(instance, numbers, steps)
    found = run(instance, numbers, record_steps=steps, observables=["gradient_norm"])
    numbers_of_loss = numbers["weight_decay"], numbers["data_fit_scale"]
    states = [
        oracle.State(path.weights[step], instance.x, instance.y, *numbers_of_loss) for step in steps
    ]
    true = np.array([oracle.OBSERVABLES["gradient_norm"](state) for state in states])
    norms = found.observables["gradient_norm"]
    # A difference of squares would be wrong by about the root of rounding times this.
    size = numbers["weight_decay"] * np.sqrt(sum(np.sum(w**2) for w in path.last))
    assert true[-1] < 1e-10 * size
    # The run's own precision, and rounding of what the gradient is a sum of.
    assert np.all(np.abs(norms - true) <= 0.02 * true + 1e-14 * size), (norms, true)


def test_auto_leaves_the_gradient_to_the_weights_themselves(monkeypatch: pytest.MonkeyPatch):
    instance = draw((6, 150, 7), 2, 9, seed=8)
    numbers = numbers_for(instance, "gradient_descent", "uniform")
    # As if it were long enough for a pilot to pay.
    monkeypatch.setattr(single, "why_not_worth", lambda *_: None)
    options = {"kernel": "auto", "tolerance": 0.1}
    reduced = run(instance, numbers, observables=["loss"], **options)
    assert reduced.kernel == "reduced"
    found = run(instance, numbers, observables=["gradient_norm"], **options)
    assert found.kernel == "dense"
    assert "does not cover gradient_norm" in found.kernel_reason


@pytest.mark.parametrize("factor", [15.0, 40.0, 1e3])
def test_divergence_is_marked_at_the_step_of_the_dense_kernel(factor: float):
    instance = draw(*SMALL, seed=8)
    numbers = numbers_for(instance, "gradient_descent", "uniform", share=factor)
    numbers["weight_decay"] = 0.01
    steps = list(range(0, 200, 5))
    path = follow(instance, numbers, steps)
    dense = run(instance, numbers, record_steps=steps, kernel="dense")
    found = run(instance, numbers, record_steps=steps)
    assert path.diverged_step is not None
    assert path.diverged_step > 0
    assert (found.status, dense.status) == ("diverged", "diverged")
    # Squares overflow within a step or two, in whatever coordinates they are summed.
    assert found.diverged_step is not None
    assert dense.diverged_step is not None
    assert abs(found.diverged_step - path.diverged_step) <= 1
    assert abs(found.diverged_step - dense.diverged_step) <= 1
    assert found.steps.tolist() == [t for t in steps if t < found.diverged_step]
    assert np.all(np.isfinite(found.regression_error))
    assert found.kernel_reason == "complete bases: the pilot run diverged"
    assert found.truncation_error == 0.0


def test_a_run_that_begins_unstable_is_followed():
    instance = draw(*SMALL, seed=8)
    numbers = numbers_for(instance, "gradient_descent", "uniform", share=0.2)
    rate, overshot = numbers["learning_rate"], 0
    steps = [*range(20), 40]
    for factor in (12.0, 16.0, 20.0):
        numbers["learning_rate"] = factor * rate
        found = run(instance, numbers, record_steps=steps)
        path = follow(instance, numbers, steps)
        assert found.kernel_reason == "certified"
        states = [oracle.State(w, instance.x, instance.y) for w in path.weights.values()]
        errors = np.array([oracle.OBSERVABLES["regression_error"](s) for s in states])
        assert relative(found.regression_error, errors) <= 3 * TOLERANCE
        overshot += bool(np.any(np.diff(errors) > 0))
    assert overshot, "the test needs a run that overshoots"


def test_stop_when_ends_at_the_first_recorded_step_below():
    instance = draw(*SMALL, seed=9)
    numbers = numbers_for(instance, "gradient_descent", "uniform")
    numbers["weight_decay"] = 0.01
    steps = list(range(0, 400, 7))
    free = run(instance, numbers, record_steps=steps)
    values = free.regression_error
    below = float(np.sqrt(values[20] * values[21]))
    first = int(np.argmax(values < below))
    stop = {"observable": "regression_error", "below": below}
    found = run(instance, numbers, record_steps=steps, stop_when=stop)
    assert (found.status, found.diverged_step) == ("stopped", None)
    assert found.steps.tolist() == steps[: first + 1]
    assert np.array_equal(found.regression_error, values[: first + 1])
    path = follow(instance, numbers, steps[: first + 1])
    for got, expected in zip(found.weights, path.last, strict=True):
        assert np.linalg.norm(got - expected) <= LAYERS * np.linalg.norm(expected)


def test_float32_rounds_the_records_alone():
    instance = draw(*SMALL, seed=9)
    numbers = numbers_for(instance, "gradient_descent", "uniform")
    single_, double = run(instance, numbers, precision="float32"), run(instance, numbers)
    for name in ("regression_error", "off_subspace_error"):
        assert single_.observables[name].dtype == np.float32
        assert double.observables[name].dtype == np.float64
        assert np.array_equal(single_.observables[name], double.observables[name].astype("f4"))
    # Arithmetic is float64 whatever the precision.
    for a, b in zip(single_.weights, double.weights, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.usefixtures("compiled_anew")
def test_equal_shapes_share_their_program():
    instance = draw(*SMALL, seed=9)
    numbers = numbers_for(instance, "gradient_descent", "uniform")
    for decay in (0.01, 0.011):
        found = run(instance, numbers | {"weight_decay": decay}, tolerance=1e-4)
        assert found.kernel_reason == "certified"
    assert len(PROGRAMS) == 1, "sizes are rounded up"


def test_sizes_of_a_program_are_rounded_up():
    lanes: list[Any] = [
        type("Lane", (), {"prepared": replace(prepared()[0], sizes=sizes)})()
        for sizes in (Sizes((3, 17), (9, 2, 5)), Sizes((8, 1), (7, 20, 65)))
    ]
    assert common_sizes(lanes) == Sizes((8, 24), (24, 24, 80))
