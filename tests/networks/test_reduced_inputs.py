"""Inputs reduced to their span: beside NumPy on all inputs, and beside the generic way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import span_samples as samples
from planned_runs import train
from resumed import assert_goes_on
from spec_samples import document, problems, sweep

import dlnsweep
from dlnsweep.contracts.network import NETWORKS, network_of
from dlnsweep.contracts.optimizer import OPTIMIZERS
from dlnsweep.errors import SpecError
from dlnsweep.execution.comparison import compare_runs
from dlnsweep.execution.judges import choose_kernels
from dlnsweep.execution.trial import check_network
from dlnsweep.lazy import jax, jnp, optax
from dlnsweep.networks.generic.draw import GenericDrawing
from dlnsweep.numerics.runtime import numerics
from dlnsweep.optimizers.trial import why_not_optimizer
from dlnsweep.plan.plan import make_plan
from dlnsweep.settings import Describe, Settings
from dlnsweep.settings.optimizers import OPTIMIZER_WORDS
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.streams import gaussian

# float64: sums of thirty terms in another order, over forty steps.
ROUNDING = 1e-12
TEACHER = {"kind": "teacher", "signal_dim": 2, "measurement_dim": 30, "num_samples": 7}
MLP = {"kind": "mlp", "depth": 2, "width": 5, "activation": "tanh", "biases": True}


def numpy_records(params: Any, x: Any, y: Any, test: Any, steps: int) -> dict[int, dict]:
    """Train W_2 tanh(W_1 y + b_1) + b_2 on whole inputs: momentum, SAM, clipping, decay."""
    eta, decay, momentum, radius, longest, scale = 0.05, 0.1, 0.7, 0.05, 0.4, 0.5
    theta = [np.array(p) for p in (*params["weights"], *params["biases"])]
    start, old, found = [p.copy() for p in theta], [0 * p for p in theta], {}

    def forward(theta: Any, inputs: Any) -> Any:
        hidden = np.tanh(theta[0] @ inputs + theta[2][:, None])
        return hidden, theta[1] @ hidden + theta[3][:, None]

    def gradient(theta: Any) -> Any:
        hidden, out = forward(theta, y)
        back = theta[1].T @ (out - x) * (1 - hidden**2)
        return [back @ y.T, (out - x) @ hidden.T, back.sum(axis=1), (out - x).sum(axis=1)]

    def norm(parts: Any) -> Any:
        return np.sqrt(sum(np.sum(p**2) for p in parts))

    for step in range(steps + 1):
        plain, (_, out), (_, answers) = gradient(theta), forward(theta, y), forward(theta, test[1])
        squares = norm(theta) ** 2
        found[step] = {
            "loss": scale * 0.5 * np.sum((out - x) ** 2) + 0.5 * decay * squares,
            "parameter_norm": np.sqrt(squares),
            "parameter_distance": norm([p - q for p, q in zip(theta, start, strict=True)]),
            "gradient_norm": norm([scale * g + decay * p
                                   for g, p in zip(plain, theta, strict=True)]),
            "test_error": np.linalg.norm(answers - test[0]) / np.linalg.norm(test[0]),
        }  # fmt: skip
        length = norm(plain)
        sharp = gradient([p + radius * g / length for p, g in zip(theta, plain, strict=True)])
        kept = min(1, longest / (scale * norm(sharp)))
        old = [scale * kept * g + decay * p + momentum * v
               for g, p, v in zip(sharp, theta, old, strict=True)]  # fmt: skip
        theta = [p - eta * v for p, v in zip(theta, old, strict=True)]
    return found


def test_training_on_the_span_is_training_on_all_inputs():
    training = {"learning_rate": 0.05, "weight_decay": 0.1, "optimizer": "momentum",
                "momentum": 0.7, "sam_radius": 0.05, "clip_norm": 0.4, "data_fit_scale": 0.5,
                "num_steps": 40}  # fmt: skip
    names = ["loss", "parameter_norm", "parameter_distance", "gradient_norm", "test_error"]
    record = {"observables": names, "num_test_samples": 4, "count": 6}
    plan = make_plan(sweep(problem=TEACHER, network=MLP, training=training, record=record,
                           sweep={"kernel": "reduced_inputs", "seeds": [3]}))  # fmt: skip
    row = plan.row(0)
    drawing = GenericDrawing.from_row(row, 5)
    with numerics():
        given = {k: jnp.asarray(v) for k, v in drawing.example_arguments().items()}
        drawn = jax.tree.map(np.asarray, drawing.draw({**given, "seed": jnp.asarray(3)})[1:4])
    (y, x), params, test = drawn
    wanted = numpy_records(params, x, y, (test.signals, test.measurements), 40)
    trained = train(plan)
    assert (trained.kernel, trained.kernel_reason) == (
        ["reduced_inputs"],
        ["asked for; inputs in the 7 dimensions of their span"],
    )
    for place, step in enumerate(trained.steps):
        for name in names:
            np.testing.assert_allclose(
                trained.observables[name][0, place], wanted[step][name], rtol=ROUNDING,
                atol=ROUNDING, err_msg=f"{name} at {step}",
            )  # fmt: skip


def test_all_that_is_recorded_is_that_of_the_generic_way():
    """Of derivatives in all directions, those off the span too, and of networks with multipliers.

    More fresh inputs than dimensions off the span.
    """
    names = ["sharpness", "hessian_eigenvalues", "hessian_trace", "kernel_eigenvalues",
             "kernel_change", "noisy_test_errors", "gradient_noise", "loss_increase"]  # fmt: skip
    record = {"observables": names, "num_eigenvalues": 12, "noise_levels": [0.1, 1.0],
              "num_test_samples": 9, "count": 4}  # fmt: skip
    training = {"learning_rate": 0.02, "weight_decay": 0.3, "num_steps": 20}
    network = {**MLP, "depth": 3, "width": 3, "parametrization": "ntk", "output": "centred"}
    plan = make_plan(sweep(problem={**TEACHER, "measurement_dim": 15}, network=network,
                           training=training, record=record,
                           sweep={"kernel": "reduced_inputs", "seeds": 1}))  # fmt: skip
    kernels = choose_kernels(plan, [0])
    assert kernels == ("reduced_inputs", "generic")
    (pair,) = compare_runs(plan, [0], kernels=kernels)
    assert set(pair.deviations) == set(names)
    assert all(each.largest <= samples.ALLOWED for each in pair.deviations.values()), pair
    assert pair.is_right(1e-6)


@pytest.mark.parametrize("number", [4, 7])
def test_random_runs_are_those_of_the_generic_way(number: int):
    assert_alike(number)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(60))
def test_many_random_runs_are_those_of_the_generic_way(number: int):
    assert_alike(number)


def assert_alike(number: int):
    for one in samples.outcomes(samples.family(number)):
        assert one.endings[0] == one.endings[1], one
        assert one.deviation <= samples.ALLOWED, one


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path):
    network = {"kind": "deep_linear_resnet", "depth": 2, "width": 4, "ends": "gaussian",
               "trained_ends": True}  # fmt: skip
    made = sweep(problem=TEACHER, network=network,
                 training={"learning_rate": [0.01, 0.02], "num_steps": 4000},
                 record={"observables": ["loss", "test_loss"], "num_test_samples": 3},
                 sweep={"kernel": "reduced_inputs", "seeds": 1})  # fmt: skip
    assert_goes_on(made, tmp_path)


WHY = 'sweep.kernel is "reduced_inputs", which trains coordinates of the samples\' span'


def test_what_is_not_the_same_on_the_span_is_refused():
    given: dict[str, Any] = {"problem": TEACHER, "network": MLP, "sweep__kernel": "reduced_inputs"}
    assert problems(
        **given, training__optimizer="adam", record__observables=["loss", "l1_norm"]
    ) == [
        f"{WHY}; training.optimizer is 'adam', whose steps depend on the coordinates, entry by "
        "entry: take one of gradient_descent, momentum, nesterov, group_rmsprop, "
        'optimistic_gradient_descent, or "generic".',
        f"{WHY}; record.observables names 'l1_norm', which is of the inputs' own coordinates, as "
        'far as is known: leave it out, or take "generic".',
    ]
    (sentence,) = problems(**given, training__minibatch_order="one_pass",
                           training__minibatch_size=2)  # fmt: skip
    assert sentence.startswith(f"{WHY}; training.minibatch_order is 'one_pass'")
    (sentence,) = problems(**given | {"network": MLP | {"depth": 1}},
                           record__observables=["principal_alignment"])  # fmt: skip
    assert "network.depth is 1" in sentence
    (sentence,) = problems(**given, record__weights="final")
    assert sentence.startswith(f"{WHY}; record.weights asks for the weights themselves")
    # Of other networks it is none of the ways.
    (sentence,) = problems(problem=TEACHER, network={"kind": "diagonal_linear"},
                           sweep__kernel="reduced_inputs")  # fmt: skip
    assert "sweep.kernel is 'reduced_inputs'; with network.kind = 'diagonal_linear'" in sentence
    plan = make_plan(sweep(**given | {"problem": TEACHER | {"measurement_dim": 7}}))
    with pytest.raises(SpecError, match=r"nothing to reduce: problem\.measurement_dim is 7"):
        check_network(plan)
    adam = make_plan(sweep(problem=TEACHER, network=MLP, training__optimizer="adam",
                           record={"observables": ["loss"]}))  # fmt: skip
    with pytest.raises(SpecError, match=r"nothing to compare: .* whose steps depend on the coord"):
        choose_kernels(adam, [0], "reduced_inputs")


class OwnSettings(Settings):
    """Two layers, the first with the inputs on either side, and perhaps more of them."""

    kind: Literal["claims"] = "claims"
    width: Annotated[int, Describe("static", "hidden width")]
    lies: Annotated[
        Literal["no", "skip", "square", "rates", "axes"], Describe("static", "what is not so")
    ] = "no"


def own_init(settings: OwnSettings, data: Any, key: Any) -> Any:
    m, d, k = data.inputs.shape[0], data.targets.shape[0], settings.width
    return {"first": gaussian(key("weights/1"), m, k) / m**0.5,
            "last": gaussian(key("weights/2"), d, k) / k**0.5}  # fmt: skip


def own_predict(params: Any, inputs: Any, settings: OwnSettings) -> Any:
    seen = inputs**2 if settings.lies == "square" else inputs
    found = params["last"] @ jnp.tanh(params["first"].T @ seen / inputs.shape[0] ** 0.5)
    return found + jnp.sum(inputs, axis=0) if settings.lies == "skip" else found


def own_rates(params: Any, settings: OwnSettings, optimizer: str) -> Any:
    size = params["first"].shape[0] if settings.lies == "rates" else 3
    return {"first": size, "last": 1.0}


CLAIMS = dlnsweep.Network(
    "claims", OwnSettings, own_init, own_predict, rates=own_rates, version="1",
    structure=dlnsweep.Structure(
        input_axes=lambda params: {"first": 0, "last": -1},
        input_multiplier=lambda settings, m: m**-0.5,
    ),
)  # fmt: skip


def test_what_a_network_says_of_its_first_layer_is_tried():
    dlnsweep.register_network(CLAIMS)
    try:
        for lies, sentence in (
            ("square", "its outputs on training inputs differ by a share of"),
            ("skip", "its outputs on training inputs differ by a share of"),
            ("rates", "its learning rates depend on the number of inputs"),
        ):
            network = {"kind": "claims", "width": 3, "lies": lies}
            plan = make_plan(sweep(problem=TEACHER, network=network,
                                   sweep={"kernel": "reduced_inputs"}))  # fmt: skip
            with pytest.raises(SpecError, match=sentence):
                check_network(plan)
        plan = make_plan(sweep(problem=TEACHER, network={"kind": "claims", "width": 3},
                               sweep={"kernel": "reduced_inputs", "seeds": 1}))  # fmt: skip
        check_network(plan)
        assert network_of(plan.row(0)).version
        (pair,) = compare_runs(plan, [0], kernels=("reduced_inputs", "generic"))
        assert max(each.largest for each in pair.deviations.values()) <= samples.ALLOWED
    finally:
        del NETWORKS["samples", "claims"]


def test_what_an_optimizer_says_of_its_direction_is_tried(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(OPTIMIZER_WORDS, "version", lambda name: "1")
    row = RunSettings({"sweep.precision": "float64"})
    for name in samples.OPTIMIZERS:
        assert not why_not_optimizer(row | {"training.optimizer": name})
    # Of a vector there is no second axis; a root of what is negative from the second step on.
    of_matrices = optax.stateless(lambda g, _: jax.tree.map(lambda x: x[:, :1] + 0.0 * x, g))
    not_a_number = optax.scale_by_schedule(lambda count: jnp.sqrt(0.5 - count))
    turned = "it says that it is isotropic, but turned gradients do not give turned dir"
    for direction, said in (
        (optax.scale_by_sign(), turned),
        (not_a_number, turned),
        (of_matrices, "but its update fails on a matrix beside a vector (IndexError: "),
    ):
        lying = dlnsweep.Optimizer("lying", lambda _, made=direction: made, isotropic=True)
        monkeypatch.setitem(OPTIMIZERS, "lying", lying)
        found = why_not_optimizer(row | {"training.optimizer": "lying"})
        assert said in found, found


def test_a_sweep_of_it_is_run_and_says_what_it_did(tmp_path: Path):
    made = document(problem=TEACHER, network=MLP,
                    training={"learning_rate": 0.01, "num_steps": 20},
                    sweep={"kernel": "reduced_inputs"})  # fmt: skip
    results = dlnsweep.run(dlnsweep.Sweep.from_dict(made), tmp_path / "out", workers=0)
    runs = results.runs()
    assert set(runs["kernel"]) == {"reduced_inputs"}
    assert set(runs["kernel_reason"]) == {"asked for; inputs in the 7 dimensions of their span"}
