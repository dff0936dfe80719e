"""The network "mlp": against NumPy's backpropagation, other networks, and what widths must do."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generic_samples import LEAN, drawn_by, trained_from
from spec_samples import problems, sweep

import dlnsweep
from dlnsweep.contracts.network import network_of
from dlnsweep.networks.layered.initializers import INITIALIZERS, Initializer
from dlnsweep.networks.mlp import definition
from dlnsweep.networks.mlp.activations import ACTIVATIONS
from dlnsweep.networks.mlp.settings import MlpSettings
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import make_plan

# float64: sums of some ten terms in another order, ten steps of it.
ROUNDING = 1e-11


def normal_cdf(z):
    return 0.5 * (1 + np.vectorize(math.erf)(z / math.sqrt(2)))


# Each activation and its derivative.
PHI: dict[str, Any] = {
    "linear": (lambda z: z, np.ones_like),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: z * (z > 0), lambda z: 1.0 * (z > 0)),
    "gelu": (
        lambda z: z * normal_cdf(z),
        lambda z: normal_cdf(z) + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi),
    ),
    "erf": (np.vectorize(math.erf), lambda z: 2 / math.sqrt(math.pi) * np.exp(-(z**2))),
    "quadratic": (lambda z: z * z, lambda z: 2 * z),
    "softplus": (lambda z: np.log(1 + np.exp(z)), lambda z: 1 / (1 + np.exp(-z))),
}  # fmt: skip


def test_activations_are_their_formulas():
    z = np.array([-2.5, -0.3, 0.0, 0.7, 3.1])

    def all_of(z):
        slopes = {name: jax.vmap(jax.grad(phi)) for name, phi in ACTIVATIONS.items()}
        return {name: (phi(z), slopes[name](z)) for name, phi in ACTIVATIONS.items()}

    with numerics():
        found = jax.jit(all_of, compiler_options=LEAN)(z)
    assert set(found) == set(PHI)
    for name, wanted in PHI.items():
        for got, function in zip(found[name], wanted, strict=True):
            # Two libraries' special functions, some ulps apart.
            np.testing.assert_allclose(got, function(z), rtol=1e-13, atol=1e-15, err_msg=name)


def forward(weights, biases, multipliers, name, y):
    """Return the inputs of each layer's activation, and of each layer: z_l and h_l."""
    zs, hs = [], [y]
    for i, (w, b, a) in enumerate(zip(weights, biases, multipliers, strict=True)):
        h = PHI[name][0](zs[-1]) if i else y
        hs[i:] = [h]
        zs.append(a * (w @ h) + b[:, None])
    return zs, hs


def backward(weights, multipliers, name, zs, hs, off):
    """Return the gradients of weights and biases from that of the last z."""
    of_weights, of_biases = [], []
    for i in reversed(range(len(weights))):
        of_weights.insert(0, multipliers[i] * off @ hs[i].T)
        of_biases.insert(0, off.sum(axis=1))
        if i:
            off = multipliers[i] * (weights[i].T @ off) * PHI[name][1](zs[i - 1])
    return of_weights, of_biases


# Depth, keys of [network], and what they come to: multipliers, and learning rates of the layers and
# of their biases over eta, for inputs of 4 and a width of 6, from Table 3 of arXiv:2203.03466 and
# the definitions of the others; which layers are trained.
K = 6.0
CASES: dict[str, tuple[int, dict[str, Any], list[float], list[float], list[float], list[int]]] = {
    "mup": (3, {"activation": "tanh", "biases": True, "parametrization": "mup", "richness": 2.0},
            [1, 1, 1], [4 * K, 4, 4 / K], [4 * K, 4 * K, 4], [0, 1, 2]),
    "mean_field": (3, {"activation": "gelu", "biases": True, "parametrization": "mean_field",
                       "output": "centred", "richness": 0.5, "trained_layers": "first"},
                   [4**-0.5, K**-0.5, 1 / K], [K / 4] * 3, [K / 4, K / 4, 1 / 4], [0]),
    "ntk": (2, {"activation": "softplus", "parametrization": "ntk", "trained_layers": "last"},
            [4**-0.5, K**-0.5], [1, 1], [1, 1], [1]),
    "linear regression": (1, {"activation": "erf", "parametrization": "mup", "biases": True},
                          [1], [1], [1], [0]),
    "standard": (3, {"activation": "quadratic", "biases": True}, [1] * 3, [1] * 3, [1] * 3,
                 [0, 1, 2]),
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["mup", "mean_field", *(pytest.param(name, marks=pytest.mark.slow) for name in
                            ("ntk", "linear regression", "standard"))],
)  # fmt: skip
def test_ten_steps_are_backpropagation_by_hand(name: str):
    depth, keys, multipliers, fast, fast_biases, moving = CASES[name]
    activation, decay = keys["activation"], 0.1
    # Ten times as large a step diverges: the output is of the weights' seventh power.
    eta = 1e-5 if activation == "quadratic" else 0.01
    gamma, centred = keys.get("richness", 1.0), keys.get("output") == "centred"
    drawn = np.random.default_rng(depth)
    sizes = [4, *[6] * (depth - 1), 3]
    pairs = list(zip(sizes[1:], sizes, strict=False))
    weights = [0.4 * drawn.standard_normal(shape) / m for shape, m in zip(pairs, multipliers,
                                                                          strict=True)]  # fmt: skip
    biases = [0.3 * drawn.standard_normal(size) for size in sizes[1:]]
    if not keys.get("biases"):
        biases = [np.zeros_like(b) for b in biases]
    x, y = drawn.standard_normal((3, 9)), drawn.standard_normal((4, 9))
    params: dict[str, Any] = {"weights": tuple(weights)}
    if keys.get("biases"):
        params["biases"] = tuple(biases)
    if centred:
        params["initial"] = dict(params)
    observables = ["loss", "parameter_norm", "parameter_distance", "regression_error"]
    found = trained_from(
        sweep(network={"kind": "mlp", "depth": depth, "width": 6, **keys},
              training={"learning_rate": eta, "num_steps": 10, "weight_decay": decay},
              record={"observables": observables}), params, x, y, 10,
    )  # fmt: skip
    first = forward(weights, biases, multipliers, activation, y)[0][-1] if centred else 0.0
    begun, decayed = [w.copy() for w in weights], [b.copy() for b in biases]
    wanted: dict[str, Any] = {}
    for step in range(11):
        zs, hs = forward(weights, biases, multipliers, activation, y)
        off = (zs[-1] - first) / gamma - x
        theta = [weights[i] for i in moving] + [biases[i] for i in moving]
        from_start = [begun[i] for i in moving] + [decayed[i] for i in moving]
        norm = sum(np.sum(each**2) for each in theta)
        wanted = {
            "loss": 0.5 * np.sum(off**2) + decay / 2 * norm,
            "parameter_norm": norm**0.5,
            "parameter_distance": sum(np.sum((a - b) ** 2) for a, b in zip(
                theta, from_start, strict=True)) ** 0.5,
            "regression_error": np.linalg.norm(off) / np.linalg.norm(x),
        }  # fmt: skip
        for key, value in wanted.items():
            assert found[key][step] == pytest.approx(value, rel=ROUNDING, abs=1e-14), (key, step)
        of_weights, of_biases = backward(weights, multipliers, activation, zs, hs, off / gamma)
        for i in moving:
            weights[i] = weights[i] - eta * fast[i] * (of_weights[i] + decay * weights[i])
            if keys.get("biases"):
                biases[i] = biases[i] - eta * fast_biases[i] * (of_biases[i] + decay * biases[i])
    assert wanted["loss"] < 0.99 * found["loss"][0]


# Sizes whose steps are made otherwise: rows of samples, and factors that are written down.
@pytest.mark.parametrize(("depth", "by_rows"), [(2, True), (3, False)])
def test_steps_of_larger_networks_are_backpropagation_by_hand(
    depth: int, by_rows: bool, monkeypatch: pytest.MonkeyPatch
):
    eta, drawn = 0.01, np.random.default_rng(depth)
    sizes = [20, *[32] * (depth - 1), 3]
    pairs = list(zip(sizes[1:], sizes, strict=False))
    multipliers = [m**-0.5 for m in sizes[:-1]]
    weights = [drawn.standard_normal(shape) for shape in pairs]
    biases = [0.3 * drawn.standard_normal(size) for size in sizes[1:]]
    x, y = drawn.standard_normal((3, 70)), drawn.standard_normal((20, 70))
    params = {"weights": tuple(weights), "biases": tuple(biases)}
    asked, made = [], definition._two_layers_by_rows
    monkeypatch.setattr(
        definition, "_two_layers_by_rows", lambda *given: asked.append(1) or made(*given)
    )
    found = trained_from(
        sweep(network={"kind": "mlp", "depth": depth, "width": 32, "activation": "tanh",
                       "biases": True, "parametrization": "ntk"},
              training={"learning_rate": eta, "num_steps": 4},
              record={"observables": ["loss", "parameter_norm"]}), params, x, y, 4,
    )  # fmt: skip
    assert bool(asked) == by_rows
    for step in range(5):
        zs, hs = forward(weights, biases, multipliers, "tanh", y)
        off = zs[-1] - x
        norm = sum(np.sum(each**2) for each in [*weights, *biases]) ** 0.5
        for key, value in {"loss": 0.5 * np.sum(off**2), "parameter_norm": norm}.items():
            assert found[key][step] == pytest.approx(value, rel=ROUNDING), (key, step)
        gradients = zip(*backward(weights, multipliers, "tanh", zs, hs, off), strict=True)
        for layer, (of_weights, of_biases) in enumerate(gradients):
            weights[layer] = weights[layer] - eta * of_weights
            biases[layer] = biases[layer] - eta * of_biases
    assert found["loss"][-1] < 0.9 * found["loss"][0]


def key(_: str) -> Any:
    raise AssertionError("nothing is drawn")


def numpy_draw(monkeypatch: pytest.MonkeyPatch) -> dict[int, np.ndarray]:
    """Have fan_in_normal return NumPy's numbers, of variance 1 / fan_in."""
    made: dict[Any, np.ndarray] = {}

    def draw(shape: Any, _: Any) -> Any:
        sizes = zip(shape.dims[1:], shape.dims, strict=False)
        return [
            made.setdefault(i, np.random.default_rng(i).standard_normal(s) / s[1] ** 0.5)
            for i, s in enumerate(sizes)
        ]

    monkeypatch.setitem(INITIALIZERS, "fan_in_normal", Initializer("fan_in_normal", draw))
    return made


@pytest.mark.parametrize(
    ("parametrization", "factors"),
    [("standard", [1, 1, 1]), ("ntk", [2, K**0.5, K**0.5]), ("mean_field", [2, K**0.5, K**0.5]),
     ("mup", [1, 1, K**-0.5])],
)  # fmt: skip
def test_initial_weights_are_those_of_the_tables(
    parametrization: str, factors: list[float], monkeypatch: pytest.MonkeyPatch
):
    made = numpy_draw(monkeypatch)
    x, y = np.zeros((3, 9)), np.zeros((4, 9))
    found = drawn_by(
        sweep(network={"kind": "mlp", "depth": 3, "width": 6, "biases": True,
                       "parametrization": parametrization, "layer_init_scale": 0.5,
                       "output": "symmetrised"}), x, y, key,
    )  # fmt: skip
    wanted = [0.5 * factor * made[i] for i, factor in enumerate(factors)]
    wanted[1][3:] = wanted[1][:3]
    wanted[2][:, 3:] = -wanted[2][:, :3]
    for got, own in zip(found["weights"], wanted, strict=True):
        np.testing.assert_allclose(got, own, rtol=1e-15)
    assert [b.shape for b in found["biases"]] == [(6,), (6,), (3,)]
    assert not any(b.any() for b in found["biases"])


@pytest.mark.parametrize("imbalance", [-0.8, 1e6])
def test_unit_rows_have_the_imbalance(imbalance: float, monkeypatch: pytest.MonkeyPatch):
    from dlnsweep.numerics import streams

    drawn = np.random.default_rng(0)
    monkeypatch.setattr(streams, "gaussian", lambda _, *shape: drawn.standard_normal(shape))
    found = drawn_by(
        sweep(network={"kind": "mlp", "depth": 2, "width": 6, "initializer": "unit_rows",
                       "layer_init_scale": 0.7, "imbalance": imbalance, "output": "symmetrised"}),
        np.zeros((1, 9)), np.zeros((4, 9)), lambda purpose: purpose,
    )  # fmt: skip
    rows, readouts = found["weights"]
    norms, entries = np.linalg.norm(rows, axis=1), readouts[0]
    np.testing.assert_allclose(entries**2 - norms**2, imbalance, rtol=1e-12, atol=1e-14)
    # scale alpha times scale / alpha.
    np.testing.assert_allclose(norms * np.abs(entries), 0.49, rtol=1e-12)
    # The public code's formula, which cancels where the imbalance is large.
    if imbalance < 1:
        alpha = math.sqrt((math.sqrt(4 + (imbalance / 0.49) ** 2) - imbalance / 0.49) / 2)
        np.testing.assert_allclose(norms, 0.7 * alpha, rtol=1e-12)
    np.testing.assert_array_equal(rows[3:], rows[:3])
    np.testing.assert_array_equal(entries[3:], -entries[:3])


def test_a_linear_one_is_deep_linear_by_its_dense_kernel():
    drawn = np.random.default_rng(6)
    x, y = drawn.standard_normal((3, 7)), drawn.standard_normal((4, 7))
    sizes = ((5, 4), (5, 5), (3, 5))
    weights = tuple(drawn.standard_normal(shape) / shape[1] ** 0.5 for shape in sizes)
    dense = dlnsweep.train(
        weights, x, y, learning_rate=0.02, weight_decay=0.1, record_steps=list(range(31)),
        kernel="dense",
    )  # fmt: skip
    found = trained_from(
        sweep(network={"kind": "mlp", "depth": 3, "width": 5, "activation": "linear"},
              training={"learning_rate": 0.02, "num_steps": 30, "weight_decay": 0.1},
              record={"observables": ["loss", "regression_error"]}),
        {"weights": weights}, x, y, 30,
    )  # fmt: skip
    # Reduced samples against all of them, thirty steps.
    wanted = dense.regression_error
    np.testing.assert_allclose(found["regression_error"], wanted, rtol=ROUNDING)
    norms = sum(np.sum(np.square(w)) for w in dense.weights)
    end = 0.5 * (wanted[-1] * np.linalg.norm(x)) ** 2 + 0.05 * norms
    assert found["loss"][-1] == pytest.approx(end, rel=ROUNDING)
    assert wanted[-1] < 0.8 * wanted[0]


def direct(width: int, x: Any, y: Any, seed: int, **keys: Any) -> Any:
    """Return a network's functions on given samples, jitted, and its weights as drawn by NumPy."""
    settings = MlpSettings(depth=3, width=width, activation="tanh", **keys)
    sizes = [len(y), width, width, len(x)]
    drawn = np.random.default_rng(seed)
    with numerics():
        shapes = zip(sizes[1:], sizes, strict=False)
        made = [drawn.standard_normal(shape) / shape[1] ** 0.5 for shape in shapes]
        scales = definition.scales_of(settings.parametrization, sizes)
        weights = tuple(jnp.asarray(s.deviation * w) for s, w in zip(scales, made, strict=True))

    def loss(params):
        outputs = definition.predict(params, y, settings)
        return 0.5 * jnp.sum((outputs - x) ** 2), outputs

    grad = jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options=LEAN)
    return SimpleNamespace(params={"weights": weights}, grad=grad, settings=settings)


def first_change(one: Any, eta: float, optimizer: str = "gradient_descent") -> float:
    """Return the root mean square change of the outputs by the first step."""
    with numerics():
        (_, before), gradients = one.grad(one.params)
        rates = definition.rates(one.params, one.settings, optimizer)
        # Of Adam the first direction is the sign of the gradient.
        made = jnp.sign if optimizer == "adam" else (lambda g: g)
        moved = jax.tree.map(lambda p, g, r: p - eta * r * made(g), one.params, gradients, rates)
        (_, after), _ = one.grad(moved)
    return float(np.sqrt(np.mean(np.square(np.asarray(after - before)))))


def test_a_step_of_mup_changes_the_output_alike_at_all_widths():
    """Its effect neither vanishes nor grows with the width; that of standard networks grows."""
    drawn = np.random.default_rng(3)
    x, y = drawn.standard_normal((1, 6)), drawn.standard_normal((5, 6))
    ratios = {}
    for name, optimizers in (("mup", ("gradient_descent", "adam")),
                             ("standard", ("gradient_descent",))):  # fmt: skip
        ones = [direct(width, x, y, 0, parametrization=name) for width in (64, 1024)]
        for optimizer in optimizers:
            narrow, wide = (first_change(one, 0.01, optimizer) for one in ones)
            ratios[name, optimizer] = wide / narrow
    # What is left are fluctuations of a sum over 64 neurons, and the output at the start.
    assert 0.7 < ratios["mup", "gradient_descent"] < 1.4
    assert 0.7 < ratios["mup", "adam"] < 1.4
    # The features' part of the tangent kernel grows with the width, by a factor of 16 here.
    assert ratios["standard", "gradient_descent"] > 8


def test_ntk_is_standard_with_rates_over_fan_in():
    """W = theta / sqrt(fan_in): a step of theta by eta is one of W by eta / fan_in."""
    drawn = np.random.default_rng(4)
    x, y = drawn.standard_normal((2, 6)), drawn.standard_normal((5, 6))
    ntk, standard = (direct(6, x, y, 0, parametrization=name) for name in ("ntk", "standard"))
    a, b, fan_ins = ntk.params, standard.params, (5, 6, 6)
    loss = np.inf
    with numerics():
        for _ in range(5):
            ((loss, _), g), ((wanted, _), h) = ntk.grad(a), standard.grad(b)
            assert float(loss) == pytest.approx(float(wanted), rel=1e-12)
            moved = zip(b["weights"], h["weights"], fan_ins, strict=True)
            a = jax.tree.map(lambda p, d: p - 0.1 * d, a, g)
            b = {"weights": tuple(w - 0.1 / f * d for w, d, f in moved)}
    assert float(loss) < 0.9 * float(np.sum(x**2) / 2)


def test_little_richness_is_kernel_regression():
    """f(t + 1) = f(t) + eta K (x - f(t)) with the kernel of step 0; what differs is linear in γ.

    K = sum over layers of J J^T at the start, by hand: of tanh, depth 2, ntk.
    """
    drawn = np.random.default_rng(5)
    x, y = drawn.standard_normal((1, 5)), drawn.standard_normal((4, 5))
    a, b = drawn.standard_normal((16, 4)), drawn.standard_normal((1, 16))
    hidden = np.tanh(a @ y / 2)
    slopes = (b.T / 4) * (1 - hidden**2) / 2
    kernel = hidden.T @ hidden / 16 + (slopes.T @ slopes) * (y.T @ y)
    params: dict[str, Any] = {"weights": (a, b)}
    params["initial"] = dict(params)
    distances = []
    for gamma in (1e-2, 1e-3):
        found = trained_from(
            sweep(network={"kind": "mlp", "depth": 2, "width": 16, "activation": "tanh",
                           "parametrization": "ntk", "output": "centred", "richness": gamma},
                  training={"learning_rate": 0.2, "num_steps": 12},
                  record={"observables": ["loss"]}), params, x, y, 12,
        )  # fmt: skip
        f, losses = np.zeros(5), []
        for _ in range(13):
            losses.append(0.5 * np.sum((f - x[0]) ** 2))
            f = f + 0.2 * kernel @ (x[0] - f)
        distances.append(np.max(np.abs(found["loss"] - losses)) / losses[0])
    assert losses[-1] < 0.5 * losses[0]
    assert distances[0] < 0.05
    assert 5 < distances[0] / distances[1] < 20


def test_the_cost_goes_with_depth_and_width():
    def flops(**keys: Any) -> int:
        row = make_plan(sweep(network={"kind": "mlp", "depth": 3, "width": 16} | keys)).row(0)
        return network_of(row).cost(row, row["network.width"]).flops

    # Six operations for each sample (5 of them) and weight: 4 x 16, 16 x 16, 16 x 8.
    assert flops() == 6 * 5 * (64 + 256 + 128)
    assert flops(depth=4, width=32) == 6 * 5 * (128 + 2 * 1024 + 256)
    # Once more forward, for the initial weights.
    assert flops(output="centred") == pytest.approx(8 * 5 * (64 + 256 + 128), rel=1e-2)


MLP = {"kind": "mlp", "depth": 2, "width": 4}


@pytest.mark.parametrize(
    ("keys", "optimizer", "sentence"),
    [
        ({"depth": 0}, "", "network.depth is 0; it must be at least 1."),
        ({"activation": "sigmoid"}, "",
         "network.activation is 'sigmoid'; it must be 'linear', 'tanh', 'relu', 'gelu', 'erf', "
         "'quadratic' or 'softplus'."),
        ({"parametrization": "mup"}, "adagrad",
         "network.parametrization is 'mup' and training.optimizer is 'adagrad', whose learning "
         "rates are not known for it; take one of gradient_descent, momentum, nesterov, adam, "
         "adamw, or another parametrization."),
        ({"parametrization": "mean_field"}, "adam",
         "network.parametrization is 'mean_field' and training.optimizer is 'adam', whose "
         "learning rates are not known for it; take one of gradient_descent, momentum, nesterov, "
         "or another parametrization."),
        ({"richness": 2.0}, "adadelta",
         "network.richness is 2.0 and training.optimizer is 'adadelta', whose learning rate is "
         "not known to go with it; take one of gradient_descent, momentum, nesterov, adam, adamw, "
         "or leave it out."),
        ({"richness": 0.0}, "", "network.richness is 0.0; it must be positive."),
        ({"initializer": "unit_rows", "depth": 3}, "",
         "network.initializer is 'unit_rows' and network.depth is 3; it is for a row and a "
         "readout of each neuron: set network.depth to 2."),
        ({"initializer": "unit_rows", "parametrization": "ntk"}, "",
         "network.initializer is 'unit_rows' and network.parametrization is 'ntk'; it says the "
         'sizes of the weights itself: set network.parametrization to "standard".'),
        ({"imbalance": 0.5}, "",
         "network.imbalance is given, but fan_in_normal does not use it; it belongs to "
         "unit_rows."),
        ({"initializer": "balanced", "width": 3}, "",
         "network.initializer is 'balanced' and network.width is 3; balanced weights need a width "
         "of at least min(signal_dim, measurement_dim) of 8 and 4."),
        ({"output": "symmetrised", "width": 5}, "",
         "network.output is 'symmetrised' and network.width is 5; neurons come in pairs: the "
         "width must be even."),
        ({"output": "symmetrised", "depth": 1}, "",
         "network.output is 'symmetrised' and network.depth is 1; there is no hidden neuron to "
         'double: take two layers or more, or "centred".'),
        ({"trained_layers": "last", "depth": 1}, "",
         "network.trained_layers is 'last' and network.depth is 1; one layer is first and last at "
         "once: leave it out, or take two layers or more."),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_a_sentence(
    keys: dict[str, Any], optimizer: str, sentence: str
):
    changes = {"training__optimizer": optimizer} if optimizer else {}
    assert problems(network=MLP | keys, **changes) == [sentence]
