"""Directions of the optimizers that come from optax, against their published recursions.

Each is written out here in NumPy, for one layer, in float64, of the paper that is named: with g the
gradient, a step is w <- w - eta direction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from dlnsweep.numerics.lazy import jax
from dlnsweep.numerics.runtime import numerics
from dlnsweep.optimizers.directions import OURS, direction_of
from dlnsweep.optimizers.trial import why_not_paddable

STEPS = 25
# Some dozen sums and roots of numbers of size 1, a step after the other.
ROUNDING = 1e-12

Rule = Callable[[Any, list[np.ndarray], np.ndarray], Iterator[np.ndarray]]
NUMBERS = {
    "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "lion_beta2": 0.9, "adabelief_epsilon": 1e-4,
    "yogi_epsilon": 1e-2, "novograd_beta2": 0.4, "weight_decay": 0.1,
    "adan_beta1": 0.9, "adan_beta2": 0.7, "adan_beta3": 0.95, "muon_beta": 0.8,
    "group_rmsprop_decay": 0.9, "group_rmsprop_epsilon": 1e-3,
    "momentum": 0.7, "optimism": 0.6, "trust_coefficient": 0.02,
    "rprop_shrink": 0.4, "rprop_grow": 1.5, "rprop_least": 0.1, "rprop_most": 3.0,
    "adafactor_decay": 0.7, "adafactor_epsilon": 1e-3, "adafactor_clipping": 0.9,
    "adafactor_least_scale": 0.02, "adafactor_factored_from": 2, "adafactor_steps": "relative",
}  # fmt: skip


def sign_descent(p, gradients, w):
    """arXiv:1802.04434."""
    for g in gradients:
        yield np.sign(g)


def lion(p, gradients, w):
    """arXiv:2302.06675, Algorithm 2."""
    m = 0.0
    for g in gradients:
        yield np.sign(p.beta1 * m + (1 - p.beta1) * g)
        m = p.lion_beta2 * m + (1 - p.lion_beta2) * g


def adamax(p, gradients, w):
    """arXiv:1412.6980, Algorithm 2; optax adds epsilon to |g|, so that nothing is divided by 0."""
    m, u = 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        m = p.beta1 * m + (1 - p.beta1) * g
        u = np.maximum(p.beta2 * u, np.abs(g) + p.epsilon)
        yield m / (1 - p.beta1**t) / u


def nadam(p, gradients, w):
    """Dozat 2016, with a constant beta1: the average is looked at a step ahead."""
    m, v = 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        m = p.beta1 * m + (1 - p.beta1) * g
        v = p.beta2 * v + (1 - p.beta2) * g**2
        ahead = p.beta1 * m / (1 - p.beta1 ** (t + 1)) + (1 - p.beta1) * g / (1 - p.beta1**t)
        yield ahead / (np.sqrt(v / (1 - p.beta2**t)) + p.epsilon)


def amsgrad(p, gradients, w):
    """arXiv:1904.09237, Algorithm 2, with Adam's bias corrections."""
    m, v, most = 0.0, 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        m = p.beta1 * m + (1 - p.beta1) * g
        v = p.beta2 * v + (1 - p.beta2) * g**2
        most = np.maximum(most, v / (1 - p.beta2**t))
        yield m / (1 - p.beta1**t) / (np.sqrt(most) + p.epsilon)


def radam(p, gradients, w):
    """arXiv:1908.03265, Algorithm 2, whose threshold is 4 there and 5 in its authors' code."""
    m, v, longest = 0.0, 0.0, 2 / (1 - p.beta2) - 1
    for t, g in enumerate(gradients, start=1):
        m = p.beta1 * m + (1 - p.beta1) * g
        v = p.beta2 * v + (1 - p.beta2) * g**2
        length = longest - 2 * t * p.beta2**t / (1 - p.beta2**t)
        average = m / (1 - p.beta1**t)
        if length < 5:
            yield average
            continue
        r = (length - 4) * (length - 2) * longest
        r /= (longest - 4) * (longest - 2) * length
        yield np.sqrt(r) * average / (np.sqrt(v / (1 - p.beta2**t)) + p.epsilon)


def adabelief(p, gradients, w):
    """arXiv:2010.07468, Algorithm 2."""
    m, s = 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        m = p.beta1 * m + (1 - p.beta1) * g
        s = p.beta2 * s + (1 - p.beta2) * (g - m) ** 2 + p.adabelief_epsilon
        root = np.sqrt(s / (1 - p.beta2**t))
        yield m / (1 - p.beta1**t) / (root + p.adabelief_epsilon)


def yogi(p, gradients, w):
    """Zaheer et al. 2018, Algorithm 2; as in optax moments begin at 1e-6 and are unbiased."""
    m, v = 1e-6, 1e-6
    for t, g in enumerate(gradients, start=1):
        m = p.beta1 * m + (1 - p.beta1) * g
        v = v - (1 - p.beta2) * np.sign(v - g**2) * g**2
        yield m / (1 - p.beta1**t) / (np.sqrt(v / (1 - p.beta2**t)) + p.yogi_epsilon)


def novograd(p, gradients, w):
    """arXiv:1905.11286, Algorithm 1, which begins at the first gradient itself."""
    m = v = None
    for g in gradients:
        square = np.sum(g**2)
        v = square if v is None else p.novograd_beta2 * v + (1 - p.novograd_beta2) * square
        scaled = g / (np.sqrt(v) + 1e-8)
        m = scaled if m is None else p.beta1 * m + scaled
        yield m


def lamb(p, gradients, w):
    """arXiv:1904.00962, Algorithm 2, its function of the norm the identity."""
    m, v = 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        m = p.beta1 * m + (1 - p.beta1) * g
        v = p.beta2 * v + (1 - p.beta2) * g**2
        r = m / (1 - p.beta1**t) / (np.sqrt(v / (1 - p.beta2**t)) + p.epsilon)
        r = r + p.weight_decay * w
        yield np.linalg.norm(w) / np.linalg.norm(r) * r


def adan(p, gradients, w):
    """arXiv:2208.06677, Algorithm 1, each average without the bias of its start as in optax.

    The decay is decoupled as AdamW's, which is the published one to first order in eta lambda.
    """
    m, v, n, last = 0.0, 0.0, 0.0, gradients[0]
    b1, b2, b3 = p.adan_beta1, p.adan_beta2, p.adan_beta3
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * (g - last)
        n = b3 * n + (1 - b3) * (g + (1 - b2) * (g - last)) ** 2
        last = g
        found = m / (1 - b1**t) + (1 - b2) * v / (1 - b2**t)
        yield found / (np.sqrt(n / (1 - b3**t)) + p.epsilon) + p.weight_decay * w


def muon(p, gradients, w):
    """Jordan et al. 2024: singular values by their polynomial, of what averages look ahead to."""
    m, b = 0.0, p.muon_beta
    for t, g in enumerate(gradients, start=1):
        m = b * m + (1 - b) * g
        ahead = b * m / (1 - b ** (t + 1)) + (1 - b) * g / (1 - b**t)
        left, s, right = np.linalg.svd(ahead, full_matrices=False)
        s = s / (np.sqrt(np.sum(s**2)) + p.epsilon)
        for _ in range(5):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        factor = np.sqrt(max(1, w.shape[0] / w.shape[1]))
        yield factor * (left * s) @ right + p.weight_decay * w


def nadamw(p, gradients, w):
    """Nadam, with the decay of arXiv:1711.05101."""
    for direction in nadam(p, gradients, w):
        yield direction + p.weight_decay * w


def adamaxw(p, gradients, w):
    """Adamax, with the decay of arXiv:1711.05101."""
    for direction in adamax(p, gradients, w):
        yield direction + p.weight_decay * w


def optimistic_gradient_descent(p, gradients, w):
    """arXiv:1711.00141, optimistic mirror descent; the first step is that of plain descent."""
    last = gradients[0]
    for g in gradients:
        yield g + p.optimism * (g - last)
        last = g


def optimistic_adam(p, gradients, w):
    """arXiv:1711.00141, Algorithm 1; the first step as Adam's."""
    m, v, found = 0.0, 0.0, []
    for t, g in enumerate(gradients, start=1):
        m = p.beta1 * m + (1 - p.beta1) * g
        v = p.beta2 * v + (1 - p.beta2) * g**2
        found.append(m / (1 - p.beta1**t) / (np.sqrt(v / (1 - p.beta2**t)) + p.epsilon))
        yield found[-1] + p.optimism * (found[-1] - found[max(t - 2, 0)])


def sm3(p, gradients, w):
    """arXiv:1901.11150, SM3-II with rows and columns as sets, and averaged directions."""
    rows, columns = np.zeros((w.shape[0], 1)), np.zeros((1, w.shape[1]))
    m = 0.0
    for g in gradients:
        squares = np.minimum(rows, columns) + g**2
        rows = squares.max(axis=1, keepdims=True)
        columns = squares.max(axis=0, keepdims=True)
        m = p.beta1 * m + (1 - p.beta1) * g / np.sqrt(squares)
        yield m


def lars(p, gradients, w):
    """arXiv:1708.03888, Algorithm 1; a constant learning rate, which may stand before the sum."""
    m = 0.0
    for g in gradients:
        m = p.momentum * m + p.trust_coefficient * np.linalg.norm(w) / np.linalg.norm(g) * g
        yield m


def rprop(p, gradients, w):
    """Igel and Huesken 2000, iRprop-: where the sign changes no step is made, and none is known."""
    step, last = np.ones_like(w), np.zeros_like(w)
    for g in gradients:
        same, turned = g * last > 0, g * last < 0
        step[same] = np.minimum(p.rprop_grow * step[same], p.rprop_most)
        step[turned] = np.maximum(p.rprop_shrink * step[turned], p.rprop_least)
        last = np.where(turned, 0, g)
        yield np.sign(last) * step


def adafactor(p, gradients, w):
    """arXiv:1804.04235, Algorithms 4 and 5, by sums over rows and columns; AdamW's decay beside."""
    rows = columns = v = 0.0
    for t, g in enumerate(gradients, start=1):
        b = 1 - t**-p.adafactor_decay
        squares = g**2 + p.adafactor_epsilon
        if w.ndim == 2 and min(w.shape) >= p.adafactor_factored_from:
            rows = b * rows + (1 - b) * squares @ np.ones(w.shape[1])
            columns = b * columns + (1 - b) * np.ones(w.shape[0]) @ squares
            v = np.outer(rows, columns) / np.sum(rows)
        else:
            v = b * v + (1 - b) * squares
        u = g / np.sqrt(v)
        u = u / max(1, np.sqrt(np.mean(u**2)) / p.adafactor_clipping)
        if p.adafactor_steps == "relative":
            u = max(p.adafactor_least_scale, np.sqrt(np.mean(w**2))) * u
        yield u + p.weight_decay * w


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        sign_descent, lion, adamax, nadam, amsgrad, radam, adabelief, yogi, novograd, lamb, adan,
        muon, nadamw, adamaxw, optimistic_gradient_descent, optimistic_adam, sm3, lars,
        rprop, adafactor,
    )
}  # fmt: skip


class Numbers:
    """NUMBERS with some of them changed, by attribute."""

    def __init__(self, **changes: Any) -> None:
        self.all = NUMBERS | changes

    def __getattr__(self, name: str) -> Any:
        return self.all[name]


def assert_published(name: str, weights: list[np.ndarray], **changes: Any) -> None:
    """Assert that a direction is that of RULES, layer by layer."""
    rng, own = np.random.default_rng(1), Numbers(**changes)
    # Layers of very different gradients: what is done by layer shows.
    scales = np.logspace(0, -2, len(weights))
    gradients = [
        [scale * rng.normal(size=w.shape) for w, scale in zip(weights, scales, strict=True)]
        for _ in range(STEPS)
    ]
    wanted = [
        list(RULES[name](own, [g[layer] for g in gradients], w)) for layer, w in enumerate(weights)
    ]
    with numerics():
        direction: Any = direction_of(name, own.all, own)
        params = [jax.numpy.asarray(w) for w in weights]
        state = direction.init(params)
        for step, gradient in enumerate(gradients):
            given = [jax.numpy.asarray(g) for g in gradient]
            found, state = direction.update(given, state, params)
            for layer, value in enumerate(found):
                scale = np.max(np.abs(wanted[layer][step]))
                np.testing.assert_allclose(
                    value, wanted[layer][step], rtol=0, atol=ROUNDING * scale
                )


@pytest.mark.parametrize("name", RULES)
def test_a_direction_is_the_published_one(name: str):
    rng = np.random.default_rng(0)
    assert_published(name, [rng.normal(size=(3, 2)), rng.normal(size=(2, 4))])


@pytest.mark.parametrize(
    "changes",
    [
        {"adafactor_factored_from": 3},
        {"adafactor_steps": "absolute"},
        {"adafactor_least_scale": 2.0},
    ],
)
def test_what_adafactor_can_be_told(changes: dict[str, Any]):
    """With biases; of 3 the matrix of two columns is not factored, the other one is."""
    rng = np.random.default_rng(0)
    assert_published("adafactor", [rng.normal(size=s) for s in ((3, 2), (4,), (3, 5))], **changes)


def test_adafactor_factors_the_two_longest_axes():
    """An array (2, 5, 4) is two matrices, each of which is factored by itself."""
    rng, own = np.random.default_rng(3), Numbers(adafactor_steps="absolute", adafactor_clipping=1e9)
    w, gradients = rng.normal(size=(2, 5, 4)), [rng.normal(size=(2, 5, 4)) for _ in range(4)]
    wanted = [list(adafactor(own, [g[i] for g in gradients], w[i])) for i in range(2)]
    with numerics():
        direction: Any = direction_of("adafactor", own.all, own)
        params = {"all": jax.numpy.asarray(w)}
        state = direction.init(params)
        for step, gradient in enumerate(gradients):
            found, state = direction.update({"all": jax.numpy.asarray(gradient)}, state, params)
            expected = np.stack([each[step] for each in wanted])
            np.testing.assert_allclose(found["all"], expected, rtol=ROUNDING * 10)


@pytest.mark.parametrize("beta2", [0.0, 0.5, 0.9, 0.999, 0.9999, 0.99999])
def test_radam_knows_in_float32_when_its_second_moment_comes_in(beta2: float):
    """Differences of numbers of size 2 / (1 - beta2) were made in float32: wrong by 4e-3 and 1."""
    rng = np.random.default_rng(4)
    near, own = float(np.float32(beta2)), float(np.float32(0.8))
    gradients = [rng.normal(size=(3, 2)).astype(np.float32) for _ in range(12)]
    given = [gradient.astype(np.float64) for gradient in gradients]
    wanted = list(radam(Numbers(beta1=own, beta2=near, epsilon=1e-8), given, np.zeros((3, 2))))
    with numerics():
        numbers = NUMBERS | {"beta1": own, "beta2": near, "epsilon": 1e-8}
        in_float32 = {
            key: jax.numpy.float32(value) for key, value in numbers.items()
            if not isinstance(value, str)
        }  # fmt: skip
        direction: Any = direction_of("radam", in_float32)
        params = (jax.numpy.zeros((3, 2), np.float32),)
        state = direction.init(params)
        for gradient, right in zip(gradients, wanted, strict=True):
            (found,), state = direction.update((jax.numpy.asarray(gradient),), state, params)
            assert found.dtype == np.float32
            # A dozen roundings of 6e-8.
            np.testing.assert_allclose(found, right, rtol=0, atol=1e-6 * np.max(np.abs(right)))


@pytest.mark.parametrize("name", ["group_rmsprop", "muon", "adafactor", "adam", "radam"])
def test_a_count_of_steps_ends_where_int32_does(name: str):
    """Some went on at -2^31: steps 6000 times as long, of nothing, and NaN."""
    gradient = (np.random.default_rng(0).normal(size=(3, 2)),)
    with numerics():
        direction: Any = direction_of(name, NUMBERS)
        params = (jax.numpy.full((3, 2), 0.5),)
        state = direction.init(params)

        def counted(leaf: Any) -> Any:
            is_count = leaf.dtype == np.int32 and leaf.shape == ()
            return jax.numpy.full_like(leaf, 2**31 - 2) if is_count else leaf

        for _ in range(30):
            _, state = direction.update(gradient, state, params)
        found = []
        for _ in range(3):
            state = jax.tree.map(counted, state) if not found else state
            moved, state = direction.update(gradient, state, params)
            found.append(np.asarray(moved[0]))
    for later in found[1:]:
        np.testing.assert_allclose(later, found[0], rtol=0.05)


@pytest.mark.parametrize("optimizer", OURS, ids=lambda optimizer: optimizer.name)
def test_ours_are_paddable_where_they_say_so(optimizer):
    with numerics():
        wrong = why_not_paddable(optimizer.name)
    assert optimizer.paddable == (not wrong), wrong


def test_what_muon_does_is_that_of_optax_on_transposed_matrices_and_on_vectors():
    """Where the installed optax has it; matrices act from the right there."""
    contrib = pytest.importorskip("optax.contrib", reason="an old optax has no muon")
    if not hasattr(contrib, "muon"):
        pytest.skip("an old optax has no muon")
    rng = np.random.default_rng(2)
    shapes = {"tall": (5, 3), "wide": (2, 4), "bias": (3,)}
    numbers = NUMBERS | {"weight_decay": 0.0}
    with numerics():
        params = {name: jax.numpy.asarray(rng.normal(size=s)) for name, s in shapes.items()}
        ours: Any = direction_of("muon", numbers)
        theirs = contrib.muon(
            1.0, beta=NUMBERS["muon_beta"], eps=NUMBERS["epsilon"], adam_b1=NUMBERS["beta1"],
            adam_b2=NUMBERS["beta2"],
        )  # fmt: skip
        turned = {name: value.T for name, value in params.items()}
        state, other = ours.init(params), theirs.init(turned)
        for _ in range(4):
            given = {name: jax.numpy.asarray(rng.normal(size=s)) for name, s in shapes.items()}
            found, state = ours.update(given, state, params)
            transposed = {name: value.T for name, value in given.items()}
            wanted, other = theirs.update(transposed, other, turned)
            for name, value in found.items():
                np.testing.assert_allclose(value, -wanted[name].T, rtol=0, atol=ROUNDING)


def test_the_guide_names_those_whose_decay_is_apart_from_the_gradient():
    text = (files("dlnsweep") / "guide" / "choosing.md").read_text(encoding="utf-8")
    (named,) = re.findall(r"apart from the gradient, as AdamW's, with ([^;]*);", text)
    apart = {optimizer.name for optimizer in OURS if optimizer.decoupled_decay}
    assert set(re.findall(r"`(\w+)`", named)) == apart
