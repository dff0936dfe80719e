"""Inputs by their law: one program for every dimension, and the law of drawn ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from planned_runs import train
from spec_samples import problems, sweep
from test_reduced_inputs import MLP, ROUNDING, numpy_records

from dlnsweep.errors import SpecError
from dlnsweep.execution.judges import choose_kernels
from dlnsweep.execution.trial import check_network
from dlnsweep.lazy import jax, jnp
from dlnsweep.networks.generic.draw import GenericDrawing
from dlnsweep.networks.reduced_inputs.draw import SpanDrawing
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import make_plan

LAW: dict[str, Any] = {
    "kind": "teacher", "signal_dim": 2, "num_samples": 7, "inputs": "law",
    "teacher_activation": "tanh", "output_noise": 0.3, "num_teacher_neurons": 2,
}  # fmt: skip
NAMES = ["loss", "parameter_norm", "parameter_distance", "gradient_norm", "test_error"]
TRAINING = {"learning_rate": 0.05, "weight_decay": 0.1, "optimizer": "momentum",
            "momentum": 0.7, "sam_radius": 0.05, "clip_norm": 0.4, "data_fit_scale": 0.5,
            "num_steps": 40}  # fmt: skip
RECORD = {"observables": NAMES, "num_test_samples": 4, "count": 6}


def planned(dims: list[int], **changes: Any) -> Any:
    return make_plan(sweep(**{
        "problem": {**LAW, "measurement_dim": dims}, "network": MLP, "training": TRAINING,
        "record": RECORD, "sweep": {"kernel": "reduced_inputs", "seeds": [3]},
    } | changes))  # fmt: skip


def arguments_of(drawing: Any, seed: Any, dim: Any = None) -> dict[str, Any]:
    given = {k: jnp.asarray(v) for k, v in drawing.example_arguments().items()}
    return {**given, "seed": jnp.asarray(seed)} | (
        {} if dim is None else {"problem.measurement_dim": jnp.asarray(dim, jnp.float64)}
    )


def lifted(drawn: Any, dim: int) -> tuple[Any, ...]:
    """Return samples and parameters that have a run's coordinates, in `dim` dimensions."""
    made = np.random.default_rng(5)
    (y, x), params, test = jax.tree.map(np.asarray, drawn)
    total, count = len(test.measurements), len(y)
    frame = np.linalg.qr(made.standard_normal((dim, dim)))[0]
    exists = min(total, dim)
    basis, beyond = frame[:, :count], np.zeros((dim, total - count))
    beyond[:, : exists - count] = frame[:, count:exists]
    share, own = params["beyond"][0], params["network"]
    rest = made.standard_normal((len(share), dim)) @ frame[:, exists:] @ frame[:, exists:].T
    left = 1 - np.sum(share**2)
    off = share @ beyond.T + (np.sqrt(left / np.sum(rest**2)) * rest if dim > exists else 0.0)
    assert np.linalg.norm(off) == pytest.approx(1.0, rel=1e-12)
    first = own["weights"][0] @ basis.T + params["off"][0] * off
    whole = {**own, "weights": (first, *own["weights"][1:])}
    fresh = np.concatenate([basis, beyond], axis=1) @ test.measurements
    return whole, x, basis @ y, (test.signals, fresh)


def test_a_run_is_that_of_any_samples_and_weights_of_its_coordinates():
    """Of more dimensions than there are vectors, of as few as can be, and of very many."""
    dims = [40, 11, 100, 10**12]
    plan = planned(dims)
    assert (plan.num_runs, plan.num_programs) == (4, 1)
    trained = train(plan)
    assert trained.kernel_reason == [
        "asked for; inputs in the 7 dimensions of their span, drawn by their law"
    ] * len(dims)
    assert all(np.isfinite(values).all() for values in trained.observables.values())
    drawing = SpanDrawing.from_row(plan.row(0), 5)
    draw = jax.jit(lambda dim: drawing.draw(arguments_of(drawing, 3, dim))[1:4])
    for run, dim in enumerate(dims[:2]):
        with numerics():
            params, x, y, test = lifted(draw(dim), dim)
        wanted = numpy_records(params, x, y, test, 40)
        for place, step in enumerate(trained.steps):
            for name in NAMES:
                np.testing.assert_allclose(
                    trained.observables[name][run, place], wanted[step][name], rtol=ROUNDING,
                    atol=ROUNDING, err_msg=f"{name} at {step}, {dim}",
                )  # fmt: skip


# Of two samples of this size the largest difference of the distribution functions exceeds the
# threshold with a probability of 1e-6 (Smirnov's bound 2 exp(-n D^2)), if they have one law; the
# seeds are fixed.
SIZE, ERROR = 3000, 1e-6
THRESHOLD = float(np.sqrt(np.log(2 / ERROR) / SIZE))


def statistics(y: Any, x: Any, test: Any, first: Any, outer: Any, out: Any) -> dict[str, Any]:
    """Return numbers of a run that know no basis: of inputs, targets, weights, fresh inputs.

    Args:
        y, x: Training inputs and targets.
        test: Fresh inputs and targets.
        first: W_1 on the training inputs.
        outer: The same on the fresh ones.
        out: The network's outputs on these.
    """
    inputs, targets = test
    inner = inputs[: y.shape[0]]
    return {
        "norm": jnp.sum(y[:, 0] ** 2), "product": y[:, 0] @ y[:, 1], "target": x[0, 0],
        "weights": first[0, 0], "weights' product": first[0] @ first[1],
        "fresh norm": jnp.sum(inputs[:, 0] ** 2), "fresh product": inner[:, 0] @ y[:, 0],
        "fresh ones'": inputs[:, 0] @ inputs[:, 1],
        "fresh target": targets[0, 0], "fresh weights": outer[0, 0],
        "both weights": outer[0, 0] * first[0, 0], "target, weights": targets[0, 0] * outer[0, 0],
        "error": jnp.sum((out - targets) ** 2),
    }  # fmt: skip


INDEX = {"kind": "multi_index", "hermite_degree": 2, "noise": 0.1, "num_directions": 2}

# In six dimensions not all vectors of the basis of noise and means exist.
MIXTURE = {"kind": "gaussian_mixture", "num_classes": 3, "separation": 3.0, "noise": 0.7}


@pytest.mark.parametrize(
    ("kind", "dim"),
    [
        ("teacher", 6),
        pytest.param("teacher", 9, marks=pytest.mark.slow),
        pytest.param("teacher", 30, marks=pytest.mark.slow),
        pytest.param("multi_index", 6, marks=pytest.mark.slow),
        pytest.param("multi_index", 20, marks=pytest.mark.slow),
        ("gaussian_mixture", 6),
        pytest.param("gaussian_mixture", 20, marks=pytest.mark.slow),
    ],
)
def test_the_law_is_that_of_drawn_inputs(kind: str, dim: int):
    """In few dimensions vectors of the basis do not exist; in thirty there are more than it has."""
    own = {"teacher": LAW | {"teacher_activation": "relu"}, "multi_index": INDEX,
           "gaussian_mixture": MIXTURE}[kind]  # fmt: skip
    problem = own | {"num_samples": 4, "measurement_dim": dim}
    network = {"kind": "mlp", "depth": 2, "width": 4, "activation": "relu",
               "parametrization": "ntk", "output": "symmetrised"}  # fmt: skip
    record = {"observables": ["test_loss", "parameter_norm"], "num_test_samples": 3}

    def drawing(cls: Any, inputs: str) -> Any:
        row = make_plan(sweep(problem=problem | {"inputs": inputs}, network=network, record=record,
                              sweep={"kernel": "reduced_inputs"})).row(0)  # fmt: skip
        return cls.from_row(row, 4)

    plain, span = drawing(GenericDrawing, "gaussian"), drawing(SpanDrawing, "law")

    def of_drawn(seed: Any) -> Any:
        run = plain.draw(arguments_of(plain, seed))
        y, weight = run.samples.inputs, run.params["weights"][0]
        fresh = run.test.measurements
        out = plain.network.predict(run.params, fresh, run.sections.network)
        basis = jnp.linalg.qr(y)[0]
        inside = basis.T @ y, jnp.concatenate([basis.T @ fresh, fresh - basis @ (basis.T @ fresh)])
        found = statistics(inside[0], run.samples.targets, (inside[1], run.test.signals),
                           weight @ y, weight @ fresh, out)  # fmt: skip
        off = weight - weight @ basis @ basis.T
        # Both halves of the rows are the same numbers.
        return found | {"off": jnp.sum(off**2), "size": jnp.sum(weight**2)}

    def of_law(seed: Any) -> Any:
        run = span.draw(arguments_of(span, seed))
        own, off = run.params["network"]["weights"][0], run.params["off"][0]
        fresh, network = run.test.measurements, span.trained_network
        out = network.predict(run.params, fresh, run.sections.network)
        wide = jnp.concatenate([own, off * run.params["beyond"][0]], axis=1)
        found = statistics(run.samples.inputs, run.samples.targets, (fresh, run.test.signals),
                           own @ run.samples.inputs, wide @ fresh, out)  # fmt: skip
        return found | {"off": off**2, "size": off**2 + jnp.sum(own**2)}

    with numerics():
        seeds = jnp.arange(SIZE)
        # Of other seeds: the two share no number.
        one = jax.jit(jax.vmap(of_drawn))(seeds)
        other = jax.jit(jax.vmap(of_law))(seeds + SIZE)
    for name, values in one.items():
        a, b = np.sort(np.asarray(values)), np.sort(np.asarray(other[name]))
        grid = np.concatenate([a, b])
        apart = np.searchsorted(a, grid, side="right") - np.searchsorted(b, grid, side="right")
        assert np.max(np.abs(apart)) / SIZE < THRESHOLD, name


def test_what_has_no_law_is_refused():
    given: dict[str, Any] = {"problem": {**LAW, "measurement_dim": 10**12}, "network": MLP}
    (sentence,) = problems(**given, sweep__kernel="generic")
    assert "problem.inputs is 'law', by which no inputs are drawn" in sentence
    given["sweep__kernel"] = "reduced_inputs"
    plan = make_plan(sweep(**given))
    check_network(plan)
    with pytest.raises(SpecError, match=r"nothing to compare: problem\.inputs = \"law\" draws"):
        choose_kernels(plan, [0])
    plan = make_plan(sweep(**given | {"network": MLP | {"initializer": "orthogonal"}}))
    with pytest.raises(SpecError, match="does not begin with independent Gaussian entries"):
        check_network(plan)
    (sentence,) = problems(**given | {"problem": {**LAW, "measurement_dim": 7}})
    assert "it must be more than problem.num_samples, 7" in sentence
    # The generic way, which has other optimizers, is no way out.
    for kernel in ("auto", "reduced_inputs"):
        (sentence,) = problems(
            **given | {"sweep__kernel": kernel, "training__optimizer": "adam"},
            record__observables=["loss"],
        )
        assert sentence.endswith('optimistic_gradient_descent, or problem.inputs = "gaussian".')
    drawn = {**LAW, "measurement_dim": 10**12, "inputs": "gaussian"}
    (sentence,) = problems(**given | {"problem": drawn})
    assert 'take inputs = "law"' in sentence
