"""Sharpness, leading eigenvalues and trace of Hessians, against Hessians written out by hand."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from batch_samples import drawn
from plugin_samples import loaded
from spec_samples import sweep

from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.engine.batch import train_batch
from dlnsweep.networks import curvature
from dlnsweep.networks.generic.trial import why_not
from dlnsweep.networks.layered.relu import ReluView, keep_samples
from dlnsweep.networks.layered.samples import reduce_samples
from dlnsweep.networks.layered.view import LinearView
from dlnsweep.networks.matrix.descent import FactorizationView
from dlnsweep.numerics.krylov import largest_eigenvalues
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.vectors import flat, like
from dlnsweep.plan.plan import make_plan
from dlnsweep.problems import losses as fits
from dlnsweep.problems.losses import Fit
from dlnsweep.settings.sections import RecordSettings

NAMES = ["sharpness", "hessian_eigenvalues", "hessian_trace"]
RECORD = {"observables": NAMES, "spacing": "explicit", "steps": [20], "num_eigenvalues": 4}
TRAINING = {"num_steps": 20, "weight_decay": 0.03, "data_fit_scale": 0.7, "learning_rate": 0.05}


def train(plan, rows=None):
    rows = np.arange(plan.num_runs) if rows is None else np.asarray(rows)
    columns = {key: column[rows] for key, column in plan.settings.items()}
    return train_batch(columns, plan.shared, plan.program_widths[plan.programs[rows[0]]])


def assert_curved(found: dict[str, np.ndarray], hessian: np.ndarray):
    """Assert what is recorded of a Hessian."""
    values = np.linalg.eigvalsh(hessian)[::-1]
    # The 1e-10 of the largest; what is recorded was found to some 1e-14.
    close = {"rtol": 0, "atol": 1e-10 * np.max(np.abs(values))}
    np.testing.assert_allclose(found["hessian_eigenvalues"], values[:4], **close)
    np.testing.assert_allclose(found["sharpness"], values[0], **close)
    np.testing.assert_allclose(found["hessian_trace"], np.trace(hessian), rtol=1e-12)


def tanh_hessian(a, b, gain, x, y, scale, decay):
    """The Hessian of c/2 ||B tanh(g A Y) - X||^2 + decay/2 ||.||^2 in (A, B), by the chain rule."""
    hidden = np.tanh(gain * (a @ y))
    slope, bend = gain * (1 - hidden**2), -2 * gain**2 * hidden * (1 - hidden**2)
    off, (k, m), d = b @ hidden - x, a.shape, b.shape[0]
    same = np.eye(k)
    aa = np.einsum("ip,ps,iq,qs,us,vs->puqv", b, slope, b, slope, y, y)
    aa += np.einsum("is,ip,ps,pq,us,vs->puqv", off, b, bend, same, y, y)
    bb = np.einsum("ij,ps,qs->ipjq", np.eye(d), hidden, hidden)
    ab = np.einsum("qs,ip,ps,us->puiq", hidden, b, slope, y)
    ab += np.einsum("is,ps,pq,us->puiq", off, slope, same, y)
    aa, bb, ab = aa.reshape(k * m, -1), bb.reshape(d * k, -1), ab.reshape(k * m, -1)
    whole = np.block([[aa, ab], [ab.T, bb]])
    return scale * whole + decay * np.eye(len(whole))


def test_a_network_in_pure_functions():
    with loaded():
        # The largest alone is found another way.
        ways = [RECORD, {"observables": ["sharpness"], "spacing": "explicit", "steps": [20]}]
        plans = [
            make_plan(
                sweep(
                    network={"kind": "tanh2", "width": 6, "gain": [0.5, 1.5]},
                    training=TRAINING,
                    record=record,
                )
            )
            for record in ways
        ]
        trained, alone = map(train, plans)
    plan = plans[0]
    assert alone.steps.tolist() == trained.steps.tolist()
    like = make_plan(sweep(network={"depth": 2, "width": 6}))
    signs = set()
    for i in range(plan.num_runs):
        row = plan.row(i)
        _, (a, b), x, y, _ = drawn(like, row["seed"], tests=False)
        gain = row["network.gain"]
        for step in range(21):
            if step in trained.steps:
                place = trained.steps.tolist().index(step)
                hessian = tanh_hessian(a, b, gain, x, y, 0.7, 0.03)
                signs |= set(np.sign(np.linalg.eigvalsh(hessian)))
                found = {n: v[i, place] for n, v in trained.observables.items()}
                assert_curved(found, hessian)
                found["sharpness"] = alone.observables["sharpness"][i, place]
                assert_curved(found, hessian)
            hidden = np.tanh(gain * (a @ y))
            off = 0.7 * (b @ hidden - x)
            back = (b.T @ off) * (1 - hidden**2) * gain
            a, b = a - 0.05 * (back @ y.T + 0.03 * a), b - 0.05 * (off @ hidden.T + 0.03 * b)
    assert signs == {-1.0, 1.0}, "there is negative curvature"


def test_the_sharpness_alone_where_the_gradient_says_nothing_of_it():
    """At a saddle without slope, at neurons that are alike, and across a mirror's plane."""
    random = np.random.default_rng(5)
    x, y = random.normal(size=(3, 6)), random.normal(size=(4, 6))
    a, b = random.normal(size=(3, 4)), random.normal(size=(3, 3))
    # Each sample and its mirror image have one target, and no neuron reads what tells them apart.
    far = np.diag([5.0, 1.0, 1.0, 1.0])
    images = far @ np.concatenate([y, np.diag([-1.0, 1.0, 1.0, 1.0]) @ y], axis=1)
    states = {
        "a saddle": (x, y, np.zeros((6, 4)), np.zeros((3, 6))),
        "neurons twice": (x, y, np.concatenate([a, a]), np.concatenate([b, b], axis=1)),
        "a mirror": (np.concatenate([x, x], axis=1), images, a * [0.0, 1.0, 1.0, 1.0], b),
    }
    for name, (targets, inputs, first, last) in states.items():
        # c/2 ||B tanh(A Y) - X||^2 + decay/2 ||.||^2, as of what is trained in these tests.
        def objective(params, x=targets, y=inputs):
            off = params[1] @ jnp.tanh(params[0] @ y) - x
            return 0.35 * jnp.sum(off**2) + 0.015 * sum(jnp.sum(w**2) for w in params)

        values, vectors = np.linalg.eigh(tanh_hessian(first, last, 1.0, targets, inputs, 0.7, 0.03))
        size, slopes = np.max(np.abs(values)), {}
        for dtype, tolerance in (("float64", 1e-10), ("float32", 1e-4)):
            with numerics():
                params = tuple(jnp.asarray(w, dtype) for w in (first, last))
                slope, along = jax.linearize(jax.grad(objective), params)
                slopes[dtype] = np.asarray(flat(slope))
                found = largest_eigenvalues(
                    lambda v, p=params, along=along: flat(along(like(v, p))), len(values), 1, dtype
                )
            assert abs(float(found[0]) - values[-1]) <= tolerance * size, name
        leading = vectors[:, values > values[-1] - 1e-9 * size]
        if name != "neurons twice":
            slope = slopes["float64"]
            assert np.linalg.norm(leading.T @ slope) <= 1e-13 * np.linalg.norm(slope)
        assert (leading.shape[1] > 1) == (name == "a saddle")


def test_a_deep_linear_network_in_padded_arrays_with_fan_in_steps():
    """Width 3 in arrays of 5, one direction off range(Y): rows that only fill up do not count."""
    random = np.random.default_rng(2)
    x, y = random.normal(size=(3, 6)), random.normal(size=(4, 3)) @ random.normal(size=(3, 6))
    layers = [random.normal(size=s) for s in ((3, 4), (3, 3), (3, 3))]
    sizes = ((5, 4), (5, 5), (3, 5))
    padded = [np.pad(w, [(0, b - a) for a, b in zip(w.shape, size, strict=True)])
              for w, size in zip(layers, sizes, strict=True)]  # fmt: skip
    record = RecordSettings.model_validate(RECORD)
    with numerics():
        data = reduce_samples(jnp.asarray(x), jnp.asarray(y), 3)
        first = [jnp.asarray(padded[0] @ basis) for basis in (data.range_basis, data.off_basis)]
        assert first[1].shape == (5, 1)

        @jax.jit
        def recorded(layers, off):
            numbers = jnp.asarray(0.03), jnp.asarray(0.7)
            view = LinearView(layers, off, data, *numbers)
            view.fan_ins, view.fan_in_steps = jnp.asarray([4.0, 3.0, 3.0]), True
            names = [*NAMES, "gradient_rounding"]
            return {name: OBSERVABLES[name].compute(view, record) for name in names}

        found = recorded((first[0], *map(jnp.asarray, padded[1:])), first[1])
        state = oracle.State(layers, x, y, 0.03, 0.7)
        assert_curved(
            {name: np.asarray(value) for name, value in found.items()},
            oracle.hessian(state, [1 / 4, 1 / 3, 1 / 3]),
        )
        theta = np.concatenate([w.ravel() for w in layers])
        turned = 2.0**-53 * np.linalg.norm(oracle.hessian(state, [1.0, 1.0, 1.0]) @ theta)
        assert float(found["gradient_rounding"]) == pytest.approx(turned, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["fan_in", "uniform"])
def test_deep_linear_networks_of_several_widths_in_one_program(rule: str):
    plan = make_plan(
        sweep(
            network={"depth": 3, "width": [3, 5]},
            training=TRAINING | {"step_rule": rule},
            record=RECORD,
            sweep={"kernel": "dense"},
        )
    )
    assert plan.num_programs == 1, "the narrow network is padded"
    trained = train(plan)
    for i in range(plan.num_runs):
        _, weights, x, y, _ = drawn(plan, i, tests=False)
        shares = [1 / w.shape[1] if rule == "fan_in" else 1.0 for w in weights]
        descent = oracle.Descent(step_rule=rule, learning_rate=0.05, weight_decay=0.03,
                                 data_fit_scale=0.7)  # fmt: skip
        path = oracle.descend(list(weights), x, y, descent, [0, 20])
        for place, step in enumerate((0, 20)):
            state = oracle.State(path.weights[step], x, y, 0.03, 0.7)
            found = {n: v[i, place] for n, v in trained.observables.items()}
            assert_curved(found, oracle.hessian(state, shares))


def _loss(weights, x, y, relu):
    """c/2 ||f(Y) - X||^2 + lambda/2 sum ||W_i||^2, c = 0.7, lambda = 0.03."""
    output = oracle.product(list(weights[:-1])) @ y
    output = weights[-1] @ (np.maximum(output, 0) if relu else output)
    return 0.35 * np.sum((output - x) ** 2) + 0.015 * sum(np.sum(w**2) for w in weights)


def test_other_views_are_the_same_function_of_their_layers():
    """A function has one Hessian: the loss is that of NumPy at other layers than the view's."""
    random = np.random.default_rng(3)
    x, y = random.normal(size=(3, 6)), random.normal(size=(4, 2)) @ random.normal(size=(2, 6))
    layers = [random.normal(size=(5, 4)), random.normal(size=(5, 5)), random.normal(size=(3, 5))]
    with numerics():
        given_x, given_y = jnp.asarray(x), jnp.asarray(y)
        data = reduce_samples(given_x, given_y, 2)
        numbers = {"weight_decay": jnp.asarray(0.03), "data_fit_scale": jnp.asarray(0.7)}
        bases = [np.asarray(data.range_basis), np.asarray(data.off_basis)]
        rotated = (jnp.asarray(layers[0] @ bases[0]), *map(jnp.asarray, layers[1:]))
        beyond = jnp.asarray(layers[0] @ bases[1])
        relu = ReluView(
            rotated,
            beyond,
            keep_samples(data, given_x, given_y),
            numbers["weight_decay"],
            numbers["data_fit_scale"],
        )
        relu.fan_ins, relu.fan_in_steps = jnp.asarray([4.0, 5.0, 5.0]), True
        fit = Fit(fits.Samples(given_y, given_x), jnp.asarray(1.0), None)
        weights = tuple(map(jnp.asarray, layers))
        matrix = FactorizationView(weights, weights, fit, numbers, 2.0)
        matrix.fan_in_steps = True
        turned = np.concatenate(bases, axis=1)
        for view, basis in ((relu, turned), (matrix, np.eye(4))):
            point, objective, rates = view.landscape
            others = [w + random.normal(size=w.shape) for w in layers]
            for some in (layers, others):
                given = tuple(map(jnp.asarray, (some[0] @ basis, *some[1:])))
                wanted = _loss(some, x, y, view is relu)
                assert float(objective(given)) == pytest.approx(wanted, rel=1e-13)
            np.testing.assert_allclose(point[0], layers[0] @ basis, atol=1e-13)
            shares = [np.unique(np.asarray(rate)).tolist() for rate in rates]
            assert shares == [[1 / 4], [1 / 5], [1 / 5]]


def test_a_trace_of_many_parameters_is_refused_before_anything_is_written(monkeypatch):
    monkeypatch.setattr(curvature, "LARGEST_TRACE", 3)
    with loaded():
        made = sweep(network={"kind": "tanh2", "width": 6}, record={"observables": NAMES[2:]})
        sentence = (
            "network.kind 'tanh2' cannot be trained: record.observables names 'hessian_trace', "
            "which takes a product with the Hessian for each of 72 parameters; it may be 3. Leave "
            "it out, record hessian_eigenvalues, or take a smaller network."
        )
        assert why_not(make_plan(made).row(0), computed=False) == sentence
