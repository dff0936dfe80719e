"""Steps with samples in the lanes: against NumPy run by run, and against JAX."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("llvmlite")

from simd_samples import called_by_samples

from dlnsweep.simd.entries import Refused

# Sums of some hundred terms, each rounded once, in another order, over some steps that contract.
ROUNDING = 1e-13
RUNS = 3


def drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((RUNS, *shape))


def network(inputs: int, width: int, outputs: int, samples: int) -> tuple[Any, Any]:
    """Return constants and state of three layers with biases."""
    constants = {"eta": np.full(RUNS, 0.02 / samples), "limit": np.full(RUNS, np.inf),
                 "x": drawn(1, outputs, samples), "y": drawn(2, inputs, samples)}  # fmt: skip
    sizes = (inputs, width, width, outputs)
    state: dict[str, Any] = {"active": np.ones(RUNS, bool)}
    for layer, (a, b) in enumerate(itertools.pairwise(sizes)):
        state[f"w{layer}"] = drawn(3 + layer, b, a) / np.sqrt(a)
        state[f"b{layer}"] = drawn(7 + layer, b) / 10
    return constants, state


def descent(c: Any, state: Any, now: Any) -> Any:
    """A step on half the squared error of tanh layers, with biases, by jax.grad."""
    weights = {key: leaf for key, leaf in state.items() if key != "active"}

    def loss(weights: Any) -> Any:
        values = c["y"]
        for layer in range(3):
            values = weights[f"w{layer}"] @ values + weights[f"b{layer}"][:, None]
            values = jnp.tanh(values) if layer < 2 else values
        return 0.5 * jnp.sum((values - c["x"]) ** 2)

    found, gradients = jax.value_and_grad(loss)(weights)
    active = state["active"] & (found <= c["limit"])
    moved = {
        k: jnp.where(active, weights[k] - c["eta"] * gradients[k], weights[k]) for k in weights
    }
    return {**moved, "active": active}


def by_numpy(c: Any, state: Any, *, steps: int) -> tuple[dict[str, np.ndarray], bool]:
    """The same by hand, with the gradient written out."""
    w = [state[f"w{i}"].copy() for i in range(3)]
    b = [state[f"b{i}"].copy() for i in range(3)]
    for _ in range(steps):
        values = [c["y"]]
        for layer in range(3):
            z = w[layer] @ values[-1] + b[layer][:, None]
            values.append(np.tanh(z) if layer < 2 else z)
        delta = values[-1] - c["x"]
        if not 0.5 * np.sum(delta**2) <= c["limit"]:
            return {f"w{i}": w[i] for i in range(3)} | {f"b{i}": b[i] for i in range(3)}, False
        for layer in (2, 1, 0):
            back = w[layer].T @ delta
            w[layer] = w[layer] - c["eta"] * delta @ values[layer].T
            b[layer] = b[layer] - c["eta"] * delta.sum(axis=1)
            if layer:
                delta = back * (1 - values[layer] ** 2)
    return {f"w{i}": w[i] for i in range(3)} | {f"b{i}": b[i] for i in range(3)}, True


# Less than a vector, whole vectors, blocks with empty vectors, tiles cut in all ways, sums that
# grow from block to block and others.
SIZES = [
    (2, 3, 1, 1),
    (3, 5, 2, 7),
    (4, 6, 3, 8),
    (20, 30, 1, 72),
    (13, 21, 5, 137),
    (7, 9, 11, 200),
]


@pytest.mark.parametrize("sizes", SIZES)
def test_a_loop_is_that_of_numpy_run_by_run(sizes: tuple[int, int, int, int]):
    constants, state = network(*sizes)
    constants["limit"][1] = 0.0
    found = called_by_samples(descent, constants, state, ("x", "y"), 0, 10)
    for run in range(RUNS):
        own = [{key: leaf[run] for key, leaf in tree.items()} for tree in (constants, state)]
        wanted, goes_on = by_numpy(*own, steps=10)
        assert found["active"][run] == goes_on == (run != 1)
        for key, leaf in wanted.items():
            np.testing.assert_allclose(found[key][run], leaf, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("lanes", [2, 4, 16])
def test_vectors_of_other_processors_round_alone_otherwise(lanes: int):
    constants, state = network(5, 6, 2, 37)
    found = called_by_samples(descent, constants, state, ("x", "y"), 0, 6)
    other = called_by_samples(descent, constants, state, ("x", "y"), 0, 6, lanes=lanes)
    for key, leaf in found.items():
        np.testing.assert_allclose(other[key], leaf, rtol=ROUNDING, atol=ROUNDING)


def test_a_run_has_the_same_bits_alone_and_however_the_steps_are_cut():
    constants, state = network(5, 6, 2, 37)
    whole = called_by_samples(descent, constants, state, ("x", "y"), 0, 9)
    half = called_by_samples(descent, constants, state, ("x", "y"), 0, 4)
    rest = called_by_samples(descent, constants, half, ("x", "y"), 4, 9)
    one, other = (jax.tree.map(lambda leaf: leaf[2:], tree) for tree in (constants, state))
    last = called_by_samples(descent, one, other, ("x", "y"), 0, 9)
    for key, leaf in whole.items():
        np.testing.assert_array_equal(rest[key], leaf)
        np.testing.assert_array_equal(last[key][0], leaf[2])


def test_what_lies_behind_the_last_sample_counts_nowhere():
    """Copies of the last sample are there: with a large one, sums that had them would show it."""
    constants, state = network(3, 4, 2, 11)
    constants["x"][:, :, -1] *= 1e3
    found = called_by_samples(descent, constants, state, ("x", "y"), 0, 1)
    wanted, _ = by_numpy(
        *({k: leaf[0] for k, leaf in t.items()} for t in (constants, state)), steps=1
    )
    for key, leaf in wanted.items():
        np.testing.assert_allclose(found[key][0], leaf, rtol=ROUNDING, atol=ROUNDING)


def many_things(c: Any, state: Any, now: Any) -> Any:
    """Arrays of samples in most ways that are known: rows, columns, softmax, two passes."""
    x, y, w = c["x"], c["y"], state["w"]
    rows = jnp.maximum(y.T @ w.T, 0.1)
    both = jnp.concatenate([rows.T[:2], jnp.square(y)], axis=0)
    soft = jax.nn.log_softmax(w @ y, axis=0) * x[:1]
    first = jnp.sum(soft) + jnp.sum(both) / (1 + now).astype(x.dtype)
    # A second pass, on which the first one's sum has an effect, and reads what that one made.
    counts = jnp.arange(4, dtype=x.dtype)[None, :] * jnp.ones(rows.shape, x.dtype)
    again = jnp.tanh(rows * first / 1e3 + counts)
    made = (again.T @ y.T)[:, :3] + jnp.sum(again, axis=0)[:, None] + jnp.sum(x**2, axis=1)[0]
    return {"active": state["active"], "w": made, "s": first + jnp.sum(x * x)}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("samples", [5, 41])
def test_many_things_are_as_jax_makes_them(samples: int, dtype: str):
    from dlnsweep.numerics.runtime import numerics

    constants = {"x": drawn(1, 2, samples).astype(dtype), "y": drawn(2, 3, samples).astype(dtype)}
    state = {"active": np.ones(RUNS, bool), "s": np.zeros(RUNS, dtype),
             "w": drawn(3, 4, 3).astype(dtype)}  # fmt: skip
    with numerics():
        wanted = jax.vmap(many_things, in_axes=(0, 0, None))(constants, state, np.int64(2))
        wanted = {key: np.asarray(leaf) for key, leaf in wanted.items()}
    found = called_by_samples(
        many_things, constants, state, ("x", "y"), 2, 3, itemsize=np.dtype(dtype).itemsize
    )
    # Sums of some hundred numbers of size 1, each rounded at half a unit of its precision.
    allowed = 200 * float(np.finfo(dtype).eps)
    for key, leaf in wanted.items():
        assert found[key].dtype == leaf.dtype
        np.testing.assert_allclose(found[key], leaf, rtol=allowed, atol=10 * allowed)


REFUSED = {
    "chooses among the samples": lambda c: jnp.sum(c["y"][:, 1:]),
    "joins the samples": lambda c: jnp.sum(c["y"].reshape(-1)),
    "multiplies arrays with samples": lambda c: jnp.sum(c["y"].T @ c["y"]),
    "'reduce_max' over the samples": lambda c: jnp.max(c["y"]),
    "along two axes": lambda c: jnp.sum(jnp.sum(c["z"] * c["z"].T, axis=1)),
    "'cumsum' of samples": lambda c: jnp.sum(jnp.cumsum(c["y"], axis=1)),
    # Whole numbers are counted in another arithmetic than tiles of sums have.
    "sums int64 over the samples": lambda c: jnp.sum(c["y"] > 0) / 1.0,
    "multiplies matrices of int64": lambda c: jnp.sum(_signs(c["y"]) @ _signs(c["y"]).T) / 1.0,
    # Of one sample: what it is repeated along counts no samples, though it stands on their axis.
    "repeats a sample": lambda c: jnp.sum(jnp.broadcast_to(c["one"], (3, 5))),
    "known numbers of each sample": lambda c: jnp.sum(c["y"] * np.arange(18.0).reshape(3, 6)),
}


def _signs(array: Any) -> Any:
    return (array > 0).astype(np.int64)


@pytest.mark.parametrize("why", REFUSED)
def test_what_mixes_samples_is_refused_with_a_sentence(why: str):
    constants = {"y": drawn(1, 3, 6), "z": drawn(2, 6, 6)}
    if why == "repeats a sample":
        constants = {"one": drawn(1, 3, 1)}
    state = {"active": np.ones(RUNS, bool), "s": np.zeros(RUNS)}

    def step(c: Any, state: Any, now: Any) -> Any:
        return {"active": state["active"], "s": REFUSED[why](c)}

    with pytest.raises(Refused, match=why):
        called_by_samples(step, constants, state, tuple(constants), 0, 1)


def test_a_state_of_each_sample_is_refused():
    constants, state = {"y": drawn(1, 6)}, {"active": np.ones(RUNS, bool), "s": drawn(2, 6)}

    def step(c: Any, state: Any, now: Any) -> Any:
        return {"active": state["active"], "s": 2 * c["y"]}

    with pytest.raises(Refused, match="a state of each sample"):
        called_by_samples(step, constants, state, ("y",), 0, 1)
