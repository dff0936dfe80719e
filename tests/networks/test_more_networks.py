"""Networks "diagonal_linear", "deep_linear_resnet", "linear_attention": against NumPy by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from generic_samples import drawn_by, trained_from
from spec_samples import problems, sweep

import dlnsweep
from dlnsweep.numerics import streams

# float64: sums of some ten terms in another order, ten steps of it.
ROUNDING = 1e-11
ETA, DECAY, STEPS = 0.02, 0.1, 10


def of_prompts(length: int) -> dict[str, Any]:
    """Return a problem of one output whose inputs have some length; nothing of it is drawn."""
    return {"kind": "teacher", "signal_dim": 1, "measurement_dim": length, "num_samples": 6}


def losses_of(network: dict[str, Any], params: Any, x: Any, y: Any) -> np.ndarray:
    """Return the losses of ten steps of a network."""
    changes: dict[str, Any] = {}
    if network["kind"] == "linear_attention":
        changes = {"problem": of_prompts(len(y))}
    made = sweep(
        network=network,
        training={"learning_rate": ETA, "num_steps": STEPS, "weight_decay": DECAY},
        record={"observables": ["loss"]},
        **changes,
    )
    found = trained_from(made, params, x, y, STEPS)["loss"]
    assert found[-1] < 0.99 * found[0]
    return found


def loss_of(off: np.ndarray, *moving: np.ndarray) -> float:
    return 0.5 * np.sum(off**2) + DECAY / 2 * sum(np.sum(each**2) for each in moving)


@pytest.mark.parametrize("depth", [3, pytest.param(2, marks=pytest.mark.slow)])
def test_diagonal_linear(depth: int):
    drawn = np.random.default_rng(0)
    x, y = drawn.standard_normal((2, 7)), drawn.standard_normal((4, 7))
    u, v = (0.7 + 0.2 * drawn.standard_normal((2, 4)) for _ in range(2))
    network = {"kind": "diagonal_linear", "depth": depth}
    found = losses_of(network, {"u": u, "v": v}, x, y)
    for step in range(STEPS + 1):
        off = (u**depth - v**depth) @ y - x
        assert found[step] == pytest.approx(loss_of(off, u, v), rel=ROUNDING)
        slope = depth * off @ y.T
        u, v = (u - ETA * (slope * u ** (depth - 1) + DECAY * u),
                v - ETA * (-slope * v ** (depth - 1) + DECAY * v))  # fmt: skip


def test_diagonal_linear_begins_at_zero():
    network = {"kind": "diagonal_linear", "layer_init_scale": 0.3}
    found = drawn_by(sweep(network=network), np.zeros((2, 7)), np.zeros((4, 7)), None)
    assert all((found[name] == 0.3).all() and found[name].shape == (2, 4) for name in ("u", "v"))


@pytest.mark.parametrize("ends", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_deep_linear_resnet(ends: bool):
    drawn = np.random.default_rng(1)
    x, y = drawn.standard_normal((3, 7)), drawn.standard_normal((4, 7))
    a, b, c, d = (0.3 * drawn.standard_normal(shape) for shape in ((5, 4), (5, 5), (5, 5), (3, 5)))
    network = {"kind": "deep_linear_resnet", "depth": 2, "width": 5, "ends": "gaussian",
               "trained_ends": ends}  # fmt: skip
    found = losses_of(network, {"blocks": (b, c), "first": a, "last": d}, x, y)
    eye = np.eye(5)
    for step in range(STEPS + 1):
        low, high = eye + b, eye + c
        off = d @ high @ low @ a @ y - x
        moving = (a, b, c, d) if ends else (b, c)
        assert found[step] == pytest.approx(loss_of(off, *moving), rel=ROUNDING)
        grad_a = (d @ high @ low).T @ off @ y.T + DECAY * a
        grad_b = (d @ high).T @ off @ (a @ y).T + DECAY * b
        grad_c = d.T @ off @ (low @ a @ y).T + DECAY * c
        grad_d = off @ (high @ low @ a @ y).T + DECAY * d
        b, c = b - ETA * grad_b, c - ETA * grad_c
        if ends:
            a, d = a - ETA * grad_a, d - ETA * grad_d


@pytest.fixture
def gaussians(monkeypatch: pytest.MonkeyPatch) -> dict[Any, np.ndarray]:
    """Draw NumPy's numbers in place of ours, by purpose, and keep them."""
    made: dict[Any, np.ndarray] = {}

    def gaussian(purpose: str, rows: int, columns: int) -> np.ndarray:
        drawn = np.random.default_rng(len(made))
        return made.setdefault(purpose, drawn.standard_normal((rows, columns)))

    monkeypatch.setattr(streams, "gaussian", gaussian)
    return made


def test_how_a_resnet_begins(gaussians: Any):
    x, y = np.zeros((3, 7)), np.zeros((4, 7))
    network = {"kind": "deep_linear_resnet", "depth": 2, "width": 8}
    found = drawn_by(sweep(network=network), x, y, str)
    assert [block.any() for block in found["blocks"]] == [False, False]
    np.testing.assert_array_equal(found["first"], np.eye(8)[:, :4])
    np.testing.assert_array_equal(found["last"], np.eye(8)[:3])
    assert not gaussians
    network |= {"initializer": "fan_in_normal", "layer_init_scale": 0.5, "ends": "gaussian"}
    found = drawn_by(sweep(network=network), x, y, str)
    for got, purpose, factor in (
        (found["blocks"][1], "weights/2", 0.5 / 8**0.5), (found["first"], "weights/hidden", 0.5),
        (found["last"], "weights/output", 8**-0.5),
    ):  # fmt: skip
        np.testing.assert_allclose(got, factor * gaussians[purpose], rtol=1e-15)


N, D, H, R = 3, 2, 4, 2


def prompts(count: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return targets, flattened prompts and, for each, its tokens (x_n, y_n), (x_q, 0)."""
    drawn = np.random.default_rng(2)
    tokens, inputs, targets = [], [], []
    for _ in range(count):
        w, xs = drawn.standard_normal(D), drawn.standard_normal((N + 1, D))
        tokens.append(np.vstack([xs.T, [*(xs[:N] @ w), 0.0]]))
        inputs.append([*np.ravel([[*x, x @ w] for x in xs[:N]]), *xs[N]])
        targets.append(xs[N] @ w)
    return np.array([targets]), np.array(inputs).T, tokens


def read_at_the_query(tokens: np.ndarray, v: float, u: np.ndarray) -> float:
    """Return E + W^V E (E^T W^KQ E) / N at the last row and column (arXiv:2306.09927, (3.1))."""
    value, key_query = np.zeros((D + 1, D + 1)), np.zeros((D + 1, D + 1))
    value[D, D], key_query[:D, :D] = v, u
    return (tokens + value @ tokens @ (tokens.T @ key_query @ tokens) / N)[D, N]


def test_separate_attention():
    x, inputs, tokens = prompts(6)
    drawn = np.random.default_rng(3)
    v = 0.5 * drawn.standard_normal((1, H))
    k, q = (0.6 * drawn.standard_normal((H, R, D)) for _ in range(2))
    network = {"kind": "linear_attention", "context_length": N, "heads": H,
               "key_query": "separate", "head_rank": R}  # fmt: skip
    found = losses_of(network, {"value": v, "key": k, "query": q}, x, inputs)
    betas = [e[:D, :N] @ e[D, :N] / N for e in tokens]
    for step in range(STEPS + 1):
        grad_v, grad_k, grad_q = DECAY * v, DECAY * k, DECAY * q
        offs = []
        for e, beta, target in zip(tokens, betas, x[0], strict=True):
            query = e[:D, N]
            out = sum(read_at_the_query(e, v[0, h], k[h].T @ q[h]) for h in range(H))
            offs.append(out - target)
            for h in range(H):
                grad_v[0, h] += offs[-1] * (k[h] @ beta) @ (q[h] @ query)
                grad_k[h] += offs[-1] * v[0, h] * np.outer(q[h] @ query, beta)
                grad_q[h] += offs[-1] * v[0, h] * np.outer(k[h] @ beta, query)
        assert found[step] == pytest.approx(loss_of(np.array(offs), v, k, q), rel=ROUNDING)
        v, k, q = v - ETA * grad_v, k - ETA * grad_k, q - ETA * grad_q


@pytest.mark.parametrize("judge", ["numpy", pytest.param("dense", marks=pytest.mark.slow)])
def test_merged_attention_is_a_linear_network_on_cubic_features(gaussians: Any, judge: str):
    """Of two layers of a width of H, on z = (1/N) sum y_n x_n x_q^T: by hand, and by its kernel."""
    x, inputs, tokens = prompts(6)
    network = {"kind": "linear_attention", "context_length": N, "heads": H,
               "layer_init_scale": 0.8}  # fmt: skip
    made = sweep(network=network, problem=of_prompts(len(inputs)))
    params = drawn_by(made, x, inputs, str)
    # What deep_linear draws of the same names on D^2 inputs.
    weights = 0.8 * gaussians["weights/1"] / D, 0.8 * gaussians["weights/2"] / H**0.5
    features = np.array([np.outer(e[:D, :N] @ e[D, :N] / N, e[:D, N]).ravel() for e in tokens]).T
    outs = [sum(read_at_the_query(e, v, u) for v, u in zip(
        weights[1][0], weights[0].reshape(H, D, D), strict=True)) for e in tokens]  # fmt: skip
    np.testing.assert_allclose((weights[1] @ weights[0] @ features)[0], outs, rtol=1e-12)
    found = losses_of(network, params, x, inputs)
    if judge == "dense":
        dense = dlnsweep.train(
            weights, x, features, learning_rate=ETA, weight_decay=DECAY,
            record_steps=list(range(STEPS + 1)), observables=["loss"], kernel="dense",
        )  # fmt: skip
        np.testing.assert_allclose(found, dense.loss, rtol=ROUNDING)
        return
    u, v = weights
    for step in range(STEPS + 1):
        off = v @ u @ features - x
        assert found[step] == pytest.approx(loss_of(off, u, v), rel=ROUNDING)
        u, v = (u - ETA * (v.T @ off @ features.T + DECAY * u),
                v - ETA * (off @ (u @ features).T + DECAY * v))  # fmt: skip


@pytest.mark.parametrize(
    ("network", "changes", "sentences"),
    [
        ({"kind": "diagonal_linear", "layer_init_scale": 0.0}, {},
         ["network.layer_init_scale is 0.0; it must be positive."]),
        ({"kind": "diagonal_linear", "depth": 1}, {},
         ["network.depth is 1; it must be at least 2."]),
        ({"kind": "deep_linear_resnet", "depth": 2, "width": 4}, {},
         ["network.ends is 'identity' and network.width is 4; such ends leave out what the width "
          "does not hold: it must be at least signal_dim and measurement_dim, 8 and 4, or take "
          '"gaussian".']),
        ({"kind": "deep_linear_resnet", "depth": 2, "width": 8, "layer_init_scale": 0.1}, {},
         ["network.layer_init_scale is given, but zero does not use it; it belongs to "
          "fan_in_normal."]),
        ({"kind": "linear_attention", "context_length": 3}, {"problem": of_prompts(4)},
         ["network.context_length is 3 and inputs have 4 entries; a prompt of N examples and a "
          "query in R^D has N (D + 1) + D: 7, 11, 15, ..., one for each D."]),
        ({"kind": "linear_attention", "context_length": 3}, {"problem": {
            "kind": "icl_regression", "input_dim": 3, "context_length": 4, "num_samples": 6}},
         ["network.context_length is 3 and problem.context_length is 4; they must be equal."]),
        ({"kind": "linear_attention", "context_length": 1, "head_rank": 2},
         {"problem__measurement_dim": 3},
         ["network.head_rank is given, but merged does not use it; it belongs to separate.",
          "network.kind is 'linear_attention', which has one output, and problem.signal_dim is 8; "
          "it must be 1."]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_a_sentence(network: Any, changes: Any, sentences: list[str]):
    assert problems(network=network, **changes) == sentences


def test_prompts_that_do_not_fit_are_told_whatever_the_problem_says():
    network = {"kind": "linear_attention", "context_length": 1}
    made = sweep(network=network, problem=of_prompts(3))
    with pytest.raises(ValueError, match=r"^network.context_length is 1 and inputs have 4 entries"):
        drawn_by(made, np.zeros((1, 5)), np.zeros((4, 5)), str)
