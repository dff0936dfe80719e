"""Steps of networks as others write them: right beside XLA, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("llvmlite")

from jax import lax
from simd_samples import RUNS, called, steps_of

from dlnsweep.numerics.runtime import numerics
from dlnsweep.simd.entries import Refused

# Five steps of numbers around 1, and sums of some ten terms.
ROUNDING = 1e-13
INPUTS, HIDDEN, SAMPLES, OUTPUTS, WORDS = 4, 5, 6, 3, 7
_RANDOM = np.random.default_rng(0)
PARAMS = {
    name: 0.5 * _RANDOM.standard_normal((RUNS, *shape))
    for name, shape in (("a", (HIDDEN, INPUTS)), ("b", (OUTPUTS, HIDDEN)), ("e", (WORDS, INPUTS)))
}
DATA = {
    "x": _RANDOM.standard_normal((RUNS, SAMPLES, INPUTS)),
    "y": _RANDOM.standard_normal((RUNS, SAMPLES, OUTPUTS)),
    "labels": _RANDOM.integers(0, OUTPUTS, (RUNS, SAMPLES)).astype(np.int32),
    "words": _RANDOM.integers(0, WORDS, (RUNS, SAMPLES)).astype(np.int32),
}
Loss = Callable[[Any, Any, Any], Any]
LOSSES: dict[str, Loss] = {}
REFUSED: dict[str, tuple[Loss, str]] = {}


def known(function: Loss) -> Loss:
    LOSSES[function.__name__] = function
    return function


def refused(name: str) -> Callable[[Loss], Loss]:
    def named(function: Loss) -> Loss:
        REFUSED[function.__name__] = function, name
        return function

    return named


def outputs(p: Any, x: Any, phi: Any = jnp.tanh) -> Any:
    return phi(x @ p["a"].T) @ p["b"].T


def error(found: Any, c: Any) -> Any:
    return jnp.mean((found - c["y"]) ** 2) / 2


@known
def calls_within_calls(p: Any, c: Any, now: Any) -> Any:
    inner = jax.jit(jax.checkpoint(lambda p, x: jax.jit(outputs)(p, x)))
    return error(inner(p, c["x"]), c)


@known
def a_derivative_of_its_own(p: Any, c: Any, now: Any) -> Any:
    @jax.custom_jvp
    def phi(x: Any) -> Any:
        return jnp.log1p(jnp.exp(x))

    phi.defjvp(lambda x, t: (phi(x[0]), jax.nn.sigmoid(x[0]) * t[0]))

    @jax.custom_vjp
    def psi(x: Any) -> Any:
        return jnp.tanh(x)

    psi.defvjp(lambda x: (psi(x), x), lambda x, g: (g * (1 - jnp.tanh(x) ** 2),))
    return error(psi(outputs(p, c["x"], phi)), c)


@known
def choices(p: Any, c: Any, now: Any) -> Any:
    hidden = c["x"] @ p["a"].T
    hidden = lax.cond(now % 2 == 0, jnp.tanh, jax.nn.relu, hidden)
    ways = [jnp.tanh, jax.nn.relu, jnp.sin]
    return error(lax.switch((now % 3).astype(jnp.int32), ways, hidden) @ p["b"].T, c)


@known
def a_recurrent_network(p: Any, c: Any, now: Any) -> Any:
    def cell(state: Any, x: Any) -> Any:
        state = jnp.tanh(p["a"] @ x + 0.5 * state)
        return state, state

    _, forth = lax.scan(cell, jnp.zeros(HIDDEN), c["x"])
    _, back = lax.scan(cell, jnp.zeros(HIDDEN), c["x"], reverse=True)
    return error((forth + back) @ p["b"].T, c)


@known
def a_loop(p: Any, c: Any, now: Any) -> Any:
    def once(_: Any, hidden: Any) -> Any:
        return jnp.tanh(hidden + 0.1 * hidden @ p["a"] @ p["a"].T)

    return error(lax.fori_loop(0, 3, once, c["x"] @ p["a"].T) @ p["b"].T, c)


@known
def labels(p: Any, c: Any, now: Any) -> Any:
    logits = outputs(p, c["x"])
    likely = jnp.take_along_axis(jax.nn.log_softmax(logits), c["labels"][:, None], 1)
    chosen = jax.nn.logsumexp(logits, axis=1) - logits[jnp.arange(SAMPLES), c["labels"]]
    hot = jnp.sum(logits * jax.nn.one_hot(c["labels"], OUTPUTS), 1)
    return jnp.mean(chosen) - jnp.mean(likely) - jnp.mean(hot) / 9


@known
def an_embedding(p: Any, c: Any, now: Any) -> Any:
    return error(outputs(p, p["e"][c["words"]]), c)


@known
def entries_that_are_set(p: Any, c: Any, now: Any) -> Any:
    a = p["a"].at[0, 0].set(1.0).at[:, 1].add(p["b"][0])
    a = a[jnp.array([0, 2, 2, 4, 1])]
    piece = lax.dynamic_update_slice(c["x"], jnp.ones((1, INPUTS)), (now % SAMPLES, 0))
    return error(outputs({"a": a, "b": p["b"].at[1].mul(2.0)}, piece), c)


@known
def attention(p: Any, c: Any, now: Any) -> Any:
    hidden = c["x"] @ p["a"].T
    hidden = (hidden - hidden.mean(1, keepdims=True)) / jnp.sqrt(
        hidden.var(1, keepdims=True) + 1e-5
    )
    scores = jnp.einsum("nh,mh->nm", hidden, hidden) / jnp.sqrt(5.0)
    seen = jnp.where(jnp.tril(jnp.ones((SAMPLES, SAMPLES))) > 0, scores, -jnp.inf)
    return error(jax.nn.softmax(seen, axis=-1) @ hidden @ p["b"].T, c)


@known
def sorts(p: Any, c: Any, now: Any) -> Any:
    found = outputs(p, c["x"])
    largest = jnp.where(jnp.arange(OUTPUTS) == jnp.argmax(found, 1)[:, None], found, 0.0)
    weights = lax.top_k(jnp.abs(p["a"]).ravel(), 3)[0]
    middle = jnp.median(jnp.sum((found - c["y"]) ** 2, 1))
    return error(jnp.sort(found, 1), c) + jnp.mean(largest) + jnp.sum(weights) + middle


@known
def whole_numbers(p: Any, c: Any, now: Any) -> Any:
    count = (c["words"] * 3 + now.astype(jnp.int32)) % 5 // 2
    weights = p["a"] + lax.stop_gradient(jnp.round(4 * p["a"]) / 4 - p["a"])
    signs = (3 * c["x"][:, :1]).astype(jnp.int32)
    return error(outputs({**p, "a": weights}, c["x"]) * (1 + count[:, None] + signs), c)


@known
def sums_on_the_way(p: Any, c: Any, now: Any) -> Any:
    found = outputs(p, c["x"])
    along = jnp.cumsum(found, 0) + jnp.cumprod(1 + 0.1 * found, 0) + lax.cummax(found)
    groups = jax.ops.segment_sum(found, c["labels"], OUTPUTS)
    return error(along, c) + jnp.sum(lax.associative_scan(jnp.multiply, 1 + 0.1 * groups) ** 2)


@known
def derivatives_inside(p: Any, c: Any, now: Any) -> Any:
    def one(x: Any) -> Any:
        return outputs(p, x[None])[0, 0]

    slopes = jax.vmap(jax.grad(one))(c["x"])
    return jnp.sum(slopes**2) + jnp.sum(jax.vmap(lambda x: jnp.trace(jax.hessian(one)(x)))(c["x"]))


@known
def clipped_and_guarded(p: Any, c: Any, now: Any) -> Any:
    found = jnp.clip(outputs(p, c["x"]), -0.5, 0.5)
    found = jnp.where(jnp.isnan(found) | (found > 3), 0.0, found)
    off = jnp.abs(found - c["y"])
    found = jnp.roll(found, 1, axis=0) / (1e-3 + found.max() - found.min())
    return jnp.mean(jnp.where(off < 1, off**2 / 2, off - 0.5)) + error(found, c)


@known
def activations(p: Any, c: Any, now: Any) -> Any:
    nn: Any = jax.nn
    every = (nn.elu, nn.selu, nn.leaky_relu, nn.hard_tanh, nn.mish, nn.soft_sign, nn.gelu,
             nn.squareplus, nn.silu, nn.softplus, jnp.arctan, jnp.cos, jnp.abs)  # fmt: skip
    return error(sum(outputs(p, c["x"], phi) for phi in every) / len(every), c)


@refused("while")
def a_loop_of_any_length(p: Any, c: Any, now: Any) -> Any:
    hidden = lax.while_loop(lambda v: jnp.sum(v**2) > 1, lambda v: 0.5 * v, c["x"] @ p["a"].T)
    return error(lax.stop_gradient(hidden) @ p["b"].T, c)


@refused("conv_general_dilated")
def a_convolution(p: Any, c: Any, now: Any) -> Any:
    return jnp.mean(jnp.convolve(c["x"][:, 0], p["a"][0, :3], mode="same") ** 2)


@refused("complex|conj")
def complex_numbers(p: Any, c: Any, now: Any) -> Any:
    return error(jnp.abs(outputs(p, c["x"]) + 1j), c)


@refused("float16")
def half_precision(p: Any, c: Any, now: Any) -> Any:
    short = jax.tree.map(lambda leaf: leaf.astype(jnp.float16), (p, c["x"]))
    return error(outputs(*short).astype(jnp.float64), c)


@refused("lu|triangular_solve|cholesky")
def a_linear_system(p: Any, c: Any, now: Any) -> Any:
    return jnp.sum(jnp.linalg.solve(p["a"].T @ p["a"] + jnp.eye(INPUTS), p["e"].T) ** 2)


@refused("random_seed|random_wrap|threefry2x32")
def numbers_drawn_within(p: Any, c: Any, now: Any) -> Any:
    key = jax.random.fold_in(jax.random.key(0), now)
    return error(outputs(p, c["x"]) * jax.random.bernoulli(key, 0.5, (SAMPLES, 1)), c)


@refused("scan")
def a_long_loop(p: Any, c: Any, now: Any) -> Any:
    return error(lax.fori_loop(0, 1000, lambda _, v: 0.999 * v, outputs(p, c["x"])), c)


@refused("scan")
def loops_within_loops(p: Any, c: Any, now: Any) -> Any:
    def often(_: Any, v: Any) -> Any:
        return lax.fori_loop(0, 9, lambda _, w: 0.999 * w, v)

    return error(lax.fori_loop(0, 9, often, outputs(p, c["x"])), c)


@refused("of an array that has no entries")
def an_empty_piece(p: Any, c: Any, now: Any) -> Any:
    return error(jnp.tanh(jnp.pad(outputs(p, c["x"])[:0], ((2, 4), (0, 0)))), c)


def step_on(loss: Loss) -> Callable[..., Any]:
    def step(c: Any, state: Any, now: Any) -> Any:
        slopes = jax.grad(loss)(state["p"], c, now)
        moved = jax.tree.map(lambda p, g: p - 0.05 * g, state["p"], slopes)
        return {"active": state["active"], "p": moved}

    return step


@pytest.mark.parametrize(
    "name",
    [n if n in ("labels", "sorts") else pytest.param(n, marks=pytest.mark.slow) for n in LOSSES],
)
def test_steps_are_right_beside_xla(name: str):
    step = step_on(LOSSES[name])
    state = {"active": np.ones(RUNS, bool), "p": PARAMS}
    found = called(step, DATA, state, 0, 5)["p"]
    wanted: Any = state
    with numerics():
        each = jax.jit(jax.vmap(step, in_axes=(0, 0, None)))
        for now in range(5):
            wanted = each(DATA, wanted, np.int64(now))
    for key, values in wanted["p"].items():
        largest = np.max(np.abs(values))
        assert np.max(np.abs(found[key] - np.asarray(values))) <= ROUNDING * largest, key


@pytest.mark.parametrize("name", REFUSED)
def test_others_are_refused_by_name(name: str):
    loss, why = REFUSED[name]
    first = jax.tree.map(lambda leaf: leaf[0], (DATA, PARAMS))
    with pytest.raises(Refused, match=why):
        steps_of(step_on(loss), first[0], {"active": True, "p": first[1]})
