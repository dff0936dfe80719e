"""Observables of margins, layers, classes and linear maps, against NumPy by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from generic_samples import trained_from
from plugin_samples import loaded
from spec_samples import sweep

from dlnsweep.contracts.network import NETWORKS
from dlnsweep.networks.generic.trial import why_not
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import make_plan

# float64: sums of some twenty terms in another order, and a few steps of it.
ROUNDING = 1e-11


def problem_of(outputs: int, inputs: int, *, signs: bool = False) -> dict[str, Any]:
    """Return a problem of such sizes; nothing of it is drawn."""
    kind = {"kind": "separable"} if signs else {"kind": "teacher", "signal_dim": outputs}
    return {**kind, "measurement_dim": inputs, "num_samples": 9}


def recorded(
    names: list[str],
    network: dict[str, Any],
    params: Any,
    x: Any,
    y: Any,
    steps: int = 0,
    **given: Any,
) -> dict[str, np.ndarray]:
    training = {"learning_rate": 0.3, "num_steps": max(steps, 1)} | given
    made = sweep(
        network=network,
        training=training,
        problem=problem_of(len(x), len(y), signs="loss" in given),
        record={"observables": names},
    )
    return trained_from(made, params, x, y, steps)


def assert_close(found: dict[str, np.ndarray], wanted: dict[str, Any], step: int):
    for name, value in wanted.items():
        np.testing.assert_allclose(
            found[name][step], value, rtol=ROUNDING, atol=1e-13, err_msg=f"{name} at {step}"
        )


def test_relu_on_signs():
    """Two layers of ReLU, logistic loss; each sample's gradient by the chain rule."""
    drawn = np.random.default_rng(5)
    y, x = drawn.standard_normal((4, 9)), np.sign(drawn.standard_normal((1, 9)))
    a, b = drawn.standard_normal((6, 4)), drawn.standard_normal((1, 6))
    names = ["margin", "gradient_noise", "layer_rotation", "activation_distance"]
    network = {"kind": "mlp", "depth": 2, "width": 6}
    given = {"loss": "logistic", "data_fit_scale": 0.8, "weight_decay": 0.1}
    found = recorded(names, network, {"weights": (a, b)}, x, y, 3, **given)
    start, moved = (a, b), []
    for step in range(4):
        z = a @ y
        hidden, slopes = np.maximum(z, 0), -x / (1 + np.exp(x * (b @ np.maximum(z, 0))))
        by_a = [np.outer(b[0] * (z[:, i] > 0), y[:, i]) for i in range(9)]
        each = [0.8 * slopes[0, i] * np.append(by_a[i].ravel(), hidden[:, i]) for i in range(9)]
        mean = np.mean(each, axis=0)
        cosines = [np.sum(v * w) / (np.linalg.norm(v) * np.linalg.norm(w))
                   for v, w in zip((a, b), start, strict=True)]  # fmt: skip
        moved.append(np.mean((z > 0) != (start[0] @ y > 0)))
        wanted = {
            "margin": np.min(x * (b @ hidden)) / (np.sum(a**2) + np.sum(b**2)),
            "gradient_noise": np.mean([np.sum((g - mean) ** 2) for g in each]),
            "layer_rotation": 1 - np.array(cosines),
            "activation_distance": moved[-1],
        }
        assert_close(found, wanted, step)
        a = a - 0.3 * (mean[:24].reshape(6, 4) + 0.1 * a)
        b = b - 0.3 * (mean[24:] + 0.1 * b)
    assert moved[0] == 0 < moved[-1] < 1


def etf_distance(gram: np.ndarray) -> float:
    """Return how far a Gram matrix is from a simplex: entry by entry, from its cosines' rule."""
    classes = len(gram)
    # Unit vectors of cosines -1/(C-1), scaled to norm 1.
    ideal = np.full((classes, classes), -1 / (classes - 1))
    np.fill_diagonal(ideal, 1.0)
    return float(np.linalg.norm(gram / np.linalg.norm(gram) - ideal / np.linalg.norm(ideal)))


def test_classes():
    """Three layers of ReLU, a narrow last one, three classes of unequal sizes; a sum as loss."""
    # Of this seed the class means do not lie near a line: their pseudoinverse is well known.
    drawn = np.random.default_rng(44)
    y, classes = drawn.standard_normal((4, 9)), np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])
    x = 0.2 + np.eye(3)[classes].T
    weights = tuple(drawn.standard_normal(s) for s in ((2, 4), (2, 2), (3, 2)))
    names = ["margin", "gradient_noise", "nc1", "nc2", "nc3", "principal_alignment"]
    network = {"kind": "mlp", "depth": 3, "width": 2}
    found = recorded(names, network, {"weights": weights}, x, y)
    hidden = np.maximum(weights[1] @ np.maximum(weights[0] @ y, 0), 0)
    out = weights[2] @ hidden
    means = np.array([hidden[:, classes == c].mean(axis=1) for c in range(3)]).T
    centred = means - means.mean(axis=1, keepdims=True)
    within = sum(np.outer(h - means[:, c], h - means[:, c])
                 for h, c in zip(hidden.T, classes, strict=True)) / 9  # fmt: skip
    between = sum(np.outer(m, m) for m in centred.T) / 3
    dual = weights[2].T / np.linalg.norm(weights[2]) - centred / np.linalg.norm(centred)
    # The two spaces as projectors: tr(P Q) / k.
    values, vectors = np.linalg.eigh(x @ x.T)
    leading = vectors[:, np.argsort(values)[1:]]
    span = weights[2] @ np.linalg.inv(weights[2].T @ weights[2]) @ weights[2].T
    margins = [out[c, i] - max(out[k, i] for k in range(3) if k != c)
               for i, c in enumerate(classes)]  # fmt: skip
    wanted = {
        "margin": min(margins) / sum(np.sum(w**2) for w in weights) ** 1.5,
        "gradient_noise": noise_of_sums(weights, x, y),
        "nc1": np.trace(within @ np.linalg.pinv(between)) / 3,
        "nc2": etf_distance(centred.T @ centred),
        "nc3": np.linalg.norm(dual),
        "principal_alignment": np.trace(leading @ leading.T @ span) / 2,
    }
    assert_close(found, wanted, 0)


def noise_of_sums(weights: Any, x: np.ndarray, y: np.ndarray) -> float:
    """Return the trace of the covariance of n times each sample's gradient of (1/2) ||f - x||^2."""
    first, second, third = weights
    each = []
    for i in range(y.shape[1]):
        h = np.maximum(first @ y[:, i], 0)
        g = np.maximum(second @ h, 0)
        off = third @ g - x[:, i]
        back = (third.T @ off) * (second @ h > 0)
        low = (second.T @ back) * (first @ y[:, i] > 0)
        grads = [np.outer(low, y[:, i]), np.outer(back, h), np.outer(off, g)]
        each.append(y.shape[1] * np.concatenate([grad.ravel() for grad in grads]))
    return float(np.trace(np.cov(np.array(each).T, bias=True)))


def test_a_linear_map():
    drawn = np.random.default_rng(7)
    y, x = drawn.standard_normal((4, 9)), np.sign(drawn.standard_normal((1, 9)))
    u, v = (drawn.standard_normal((1, 4)) for _ in range(2))
    names = ["margin", "l2_margin", "margin_gap", "l1_norm", "effective_sparsity"]
    network = {"kind": "diagonal_linear", "depth": 3}
    found = recorded(names, network, {"u": u, "v": v}, x, y, loss="exponential")
    beta = (u**3 - v**3)[0]
    margins = np.array([x[0, i] * beta @ y[:, i] for i in range(9)])
    shares = np.exp(-margins) / np.sum(np.exp(-margins))
    mean = np.sum([shares[i] * x[0, i] * y[:, i] for i in range(9)], axis=0)
    margin = margins.min() / np.sqrt(beta @ beta)
    wanted = {
        "margin": margins.min() / (np.sum(u**2) + np.sum(v**2)) ** 1.5,
        "l2_margin": margin,
        "margin_gap": 1 - margin / np.sqrt(mean @ mean),
        "l1_norm": np.abs(beta).sum(),
        "effective_sparsity": np.abs(beta).sum() ** 2 / (beta @ beta),
    }
    assert_close(found, wanted, 0)


def drawn_for(network: dict[str, Any]) -> dict[str, Any]:
    """Return parameters of a network of one output of 8 inputs, standard Gaussian."""
    drawn = np.random.default_rng(8).standard_normal
    if network["kind"] == "mlp":
        sizes = (8, *[4] * (network["depth"] - 1), 1)
        return {"weights": tuple(drawn((b, a)) for a, b in pairwise(sizes))}
    if network["kind"] == "diagonal_linear":
        return {"u": drawn((1, 8)), "v": drawn((1, 8))}
    if network["key_query"] == "merged":
        return {"value": drawn((1, 1)), "key_query": drawn((1, 2, 2))}
    return {"value": drawn((1, 1)), "key": drawn((1, 1, 2)), "query": drawn((1, 1, 2))}


QUADRATIC = {"kind": "mlp", "activation": "quadratic", "depth": 3}
ATTENTION = {"kind": "linear_attention", "context_length": 2}


@pytest.mark.parametrize(
    ("network", "degree"),
    [
        ({"kind": "mlp", "activation": "relu", "depth": 4}, 4),
        (QUADRATIC, 7),
        (QUADRATIC | {"trained_layers": "first"}, 4),
        ({"kind": "mlp", "activation": "relu", "depth": 3, "trained_layers": "last"}, 1),
        ({"kind": "mlp", "activation": "tanh", "depth": 1}, 1),
        ({"kind": "mlp", "activation": "tanh", "depth": 2}, 0),
        ({"kind": "mlp", "biases": True, "depth": 2}, 0),
        ({"kind": "mlp", "output": "centred", "depth": 2}, 0),
        ({"kind": "diagonal_linear", "depth": 3}, 3),
        (ATTENTION | {"key_query": "merged"}, 2),
        (ATTENTION | {"key_query": "separate"}, 3),
        ({"kind": "deep_linear_resnet", "depth": 2}, 0),
    ],
)
def test_predictions_grow_with_the_degree(network: dict[str, Any], degree: int):
    """f(2 theta) = 2^L f(theta), theta being what is trained."""
    kind: Any = NETWORKS["samples", network["kind"]]
    own = kind.network
    given = {"width": 4} if network["kind"] in ("mlp", "deep_linear_resnet") else {}
    settings = kind.settings.model_validate(given | network)
    assert own.structure.degree(settings) == degree
    if not degree:
        return
    with numerics(), jax.disable_jit():
        params = jax.tree.map(jnp.asarray, drawn_for(network))
        y = jnp.asarray(np.random.default_rng(9).standard_normal((8, 3)))
        chosen = jax.tree.map(lambda _: True, params)
        if own.trained is not None:
            chosen = own.trained(params, settings)
        doubled = jax.tree.map(lambda leaf, use: 2 * leaf if use else leaf, params, chosen)
        ratio = own.predict(doubled, y, settings) / own.predict(params, y, settings)
    np.testing.assert_allclose(np.asarray(ratio), 2.0**degree, rtol=1e-12)


def test_the_next_step_raises_the_loss_or_does_not():
    """Linear regression above and below the largest stable rate, which a schedule crosses."""
    drawn = np.random.default_rng(3)
    y, x = drawn.standard_normal((4, 9)), drawn.standard_normal((1, 9))
    w, steps = np.zeros((1, 4)), 12
    eta = 2.4 / np.linalg.eigvalsh(0.7 * y @ y.T + 0.1 * np.eye(4))[-1]
    given = {"learning_rate": eta, "data_fit_scale": 0.7, "weight_decay": 0.1,
             "schedule": "linear", "schedule_steps": 12.0, "schedule_end": 0.5}  # fmt: skip
    network = {"kind": "mlp", "depth": 1, "width": 1}
    found = recorded(["loss_increase"], network, {"weights": (w,)}, x, y, steps, **given)
    losses = []
    for step in range(steps + 2):
        losses.append(0.35 * np.sum((w @ y - x) ** 2) + 0.05 * np.sum(w**2))
        w = w - eta * (1 - 0.5 * step / 12) * (0.7 * (w @ y - x) @ y.T + 0.1 * w)
    rises = (np.diff(losses) > 0).astype(float)
    assert set(rises) == {0.0, 1.0}
    np.testing.assert_array_equal(found["loss_increase"], rises)


def test_steps_that_remember_are_not_taken_from_the_parameters_alone():
    made = sweep(network=MLP, training__optimizer="momentum",
                 record={"observables": ["loss_increase"]})  # fmt: skip
    assert why_not(make_plan(made).row(0), computed=False) == (
        "network.kind 'mlp' cannot be trained: record.observables names 'loss_increase', which "
        "takes the next step from the parameters alone; training.optimizer is 'momentum', whose "
        'step depends on earlier ones, too. Leave it out, or take "gradient_descent".'
    )


MLP = {"kind": "mlp", "depth": 2, "width": 6}


@pytest.mark.parametrize(
    ("name", "network", "sentence"),
    [
        ("margin", MLP | {"biases": True},
         "'margin', which is over a power of the parameters' norm: with these settings the network "
         "is not homogeneous in them, as far as is known. Leave it out, or take a homogeneous "
         "network (mlp: no biases, activation linear, relu or quadratic, output not centred)."),
        ("l1_norm", MLP,
         "'l1_norm', which is of the matrix B of a network that is linear in its inputs, f(Y) = B "
         "Y; with these settings it is not, as far as is known. Leave it out, or take "
         "diagonal_linear, deep_linear_resnet, or an mlp without biases of one layer or with "
         "activation linear."),
        ("l2_margin", MLP | {"activation": "linear"},
         "'l2_margin', which is of networks of one output; the problem has 3. Leave it out, or "
         "record margin."),
        ("layer_rotation", {"kind": "diagonal_linear"},
         "'layer_rotation', which is of networks whose layers are known, as an mlp's: this one "
         "names 0 for network.depth = 2. Leave it out, or record parameter_distance."),
        ("nc1", MLP | {"depth": 1},
         "'nc1', which is of the values of hidden layers; none are known of this network. Leave it "
         "out, or take an mlp of two layers or more."),
        ("activation_distance", MLP | {"activation": "tanh"},
         "'activation_distance', which is of neurons that are on or off, as those of an mlp with "
         "activation relu; this network's are not, as far as is known. Leave it out."),
        ("principal_alignment", MLP,
         "'principal_alignment', and the last layer's 6 columns can span all 3 outputs; "
         "network.width must be less than problem.signal_dim."),
    ],
)  # fmt: skip
def test_where_they_do_not_apply_there_is_a_sentence(name: str, network: dict, sentence: str):
    made = sweep(network=network, problem=problem_of(3, 4), record={"observables": [name]})
    found = why_not(make_plan(made).row(0), computed=False)
    kind = network["kind"]
    assert found == f"network.kind '{kind}' cannot be trained: record.observables names {sentence}"


def test_a_strangers_structure_is_known_as_far_as_it_says():
    with loaded():
        own = {"network": {"kind": "linear3", "hidden": 4}, "problem": problem_of(1, 4)}
        names = ["margin", "margin_gap", "effective_sparsity", "gradient_noise"]
        made = sweep(**own, record={"observables": names})
        assert why_not(make_plan(made).row(0), computed=False) == ""
        made = sweep(**own, record={"observables": ["layer_rotation"]})
        assert "names 0 for network.depth = 0" in why_not(make_plan(made).row(0), computed=False)


def test_one_output_has_no_row_a_class():
    made = sweep(network=MLP, problem=problem_of(1, 4), record={"observables": ["nc3"]})
    assert why_not(make_plan(made).row(0), computed=False) == (
        "network.kind 'mlp' cannot be trained: record.observables names 'nc3', which compares the "
        "last layer's rows with the class means; the problem has 2 classes and 1 output. Leave it "
        'out, or take labels = "one_hot".'
    )
