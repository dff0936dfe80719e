"""Steps as vector instructions: against NumPy, and against JAX, primitive by primitive."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("llvmlite")

from jax import lax
from simd_samples import called, steps_of

from dlnsweep.errors import RunError
from dlnsweep.numerics.runtime import numerics
from dlnsweep.simd import blocks
from dlnsweep.simd.entries import Refused
from dlnsweep.simd.llvm import asked, check_installed, instruction_set, why_not_here
from dlnsweep.simd.machine import lanes_of

# Some ten operations, each rounded once, here and there in another order.
ROUNDING = 1e-14
RUNS = 11


def drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((RUNS, *shape))


def running() -> np.ndarray:
    return np.ones(RUNS, bool)


def descent(constants: Any, state: Any, now: Any) -> Any:
    """A step on half the squared error of A B y, until the error is below a limit."""
    a, b = state["a"], state["b"]
    off = a @ b @ constants["y"] - constants["x"]
    active = state["active"] & (jnp.sum(off**2) > constants["limit"])
    eta = constants["eta"] / (1 + now)
    moved = a - eta * off @ (b @ constants["y"]).T, b - eta * a.T @ off @ constants["y"].T
    new = {"a": moved[0], "b": moved[1], "ended": jnp.where(active, state["ended"], now)}
    kept = {key: jnp.where(active, new[key], state[key]) for key in ("a", "b")}
    ended = jnp.where(state["active"], new["ended"], state["ended"])
    return {**kept, "active": active, "ended": ended}


def by_numpy(*given, steps):
    a, b, x, y, eta, limit = given
    for step in range(steps):
        off = a @ b @ y - x
        if np.sum(off**2) <= limit:
            return a, b, step
        rate = eta / (1 + step)
        a, b = a - rate * off @ (b @ y).T, b - rate * a.T @ off @ y.T
    return a, b, -1


def problem() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    constants = {"x": drawn(1, 3, 4), "y": drawn(2, 2, 4), "eta": np.linspace(0.005, 0.03, RUNS),
                 "limit": np.where(np.arange(RUNS) % 3, 0.0, 11.0)}  # fmt: skip
    state = {"a": drawn(3, 3, 5), "b": drawn(4, 5, 2), "active": running(),
             "ended": np.full(RUNS, -1)}  # fmt: skip
    return constants, state


def test_a_loop_is_that_of_numpy_run_by_run():
    constants, state = problem()
    found = called(descent, constants, state, 0, 20)
    for i in range(RUNS):
        a, b, ended = by_numpy(
            *(state[k][i] for k in "ab"),
            *(constants[k][i] for k in ("x", "y", "eta", "limit")), steps=20,
        )  # fmt: skip
        np.testing.assert_allclose(found["a"][i], a, rtol=ROUNDING, atol=ROUNDING)
        np.testing.assert_allclose(found["b"][i], b, rtol=ROUNDING, atol=ROUNDING)
        assert found["ended"][i] == ended
    assert 0 < np.sum(~found["active"]) < RUNS


def test_a_run_has_the_same_bits_in_every_lane_and_however_the_steps_are_cut():
    constants, state = problem()
    whole = called(descent, constants, state, 0, 20)
    order = np.random.default_rng(5).permutation(RUNS)
    turned = [jax.tree.map(lambda leaf: leaf[order], each) for each in (constants, state)]
    alone = [jax.tree.map(lambda leaf: leaf[4:5], each) for each in (constants, state)]
    every = list(range(RUNS))
    for other, places in (
        (called(descent, turned[0], turned[1], 0, 20), order.tolist()),
        (called(descent, constants, called(descent, constants, state, 0, 7), 7, 20), every),
        (called(descent, alone[0], alone[1], 0, 20), [4]),
        # Twice as many runs in a vector than its registers hold.
        (called(descent, constants, state, 0, 20, lanes=2 * lanes_of(8)), every),
    ):
        for key, values in other.items():
            np.testing.assert_array_equal(values, whole[key][places])


def test_what_runs_have_in_common_lies_there_once_and_changes_no_bit():
    constants, state = problem()
    for key in ("x", "y"):
        constants[key] = np.broadcast_to(constants[key][:1], constants[key].shape)
    common = [key in ("x", "y") for key in sorted(constants)]
    jax.tree.map(
        np.testing.assert_array_equal,
        called(descent, constants, state, 0, 20),
        called(descent, constants, state, 0, 20, shared=common),
    )


def many_things(c: Any, state: Any, now: Any) -> Any:
    """A step with most primitives in it."""
    x, y = c["x"], c["y"]
    positive = jnp.abs(x) + 0.1
    whole = jnp.int64 if x.dtype == jnp.float64 else jnp.int32
    each = lambda function: jax.vmap(jax.vmap(jax.grad(function)))  # noqa: E731
    (first, second, *_), (left, *_, right) = x, x[0]
    batched = jnp.einsum("bij,bjk->bik", y.reshape(2, 3, 2), x[:2, :2].reshape(2, 2, 1))
    pieces = [
        jnp.sum(x, axis=0), jnp.max(x, axis=1), jnp.min(x), jnp.prod(x[:1], axis=1),
        jnp.sign(x), jnp.sqrt(positive), lax.rsqrt(positive), x**3, x**-2, positive**1.5,
        lax.pow(positive, (now + 2).astype(jnp.int32)), jnp.exp(x), jnp.log(positive),
        jnp.log1p(positive), jnp.expm1(x), jnp.tanh(x), lax.erf(x), lax.erfc(x),
        jax.nn.sigmoid(x), jax.nn.softplus(x), jax.nn.gelu(x, approximate=False),
        jax.nn.relu(x), jax.nn.log_softmax(x, axis=0), jax.nn.silu(x),
        jnp.concatenate([x, x[::-1]], axis=0), jnp.pad(x, ((1, 0), (0, 2)), constant_values=2.0),
        jnp.cumsum(x, axis=1), lax.cumsum(x, axis=0, reverse=True), jnp.squeeze(x[:1, 1:]),
        jnp.stack([x, 2 * x]), x.T, x[1:4:2], jnp.clip(x, -0.5, 0.5),
        jnp.minimum(x, 0.3 * x.T[0, 0]),
        jnp.where(x > 0.2, x, -x), jnp.where((x < 0) | ~(x <= 1) & (x != 3), 1.0, x),
        jnp.floor(3 * x), jnp.ceil(3 * x), batched, x / positive, lax.stop_gradient(x),
        jnp.arange(4.0)[:, None] * x, jnp.isfinite(x / (x - x)).astype(x.dtype),
        jnp.maximum(x, x[0, 0]), first * second, left / right,
        jnp.any(x > 2).astype(x.dtype), jnp.all(x == x).astype(x.dtype),
        jnp.split(x, 2)[1], (now + 3).astype(x.dtype) * x,
        # Derivatives have primitives of their own in later versions of JAX.
        *(each(function)(x) for function in (jnp.tanh, lax.erf, jax.nn.sigmoid, jax.nn.softplus)),
        getattr(lax, "one_minus_square", lambda v: (1 + v) * (1 - v))(x),
        getattr(lax, "polynomial", lambda v, c: c[0] + v * (c[1] + v * c[2]))(x, [0.5, 2, 3]),
        lax.bitcast_convert_type(lax.bitcast_convert_type(x, whole) & whole(-4096), x.dtype),
        ((now.astype(jnp.uint32) << 3 ^ jnp.uint32(5)) >> 1).astype(x.dtype),
    ]  # fmt: skip
    vector = jnp.concatenate([jnp.ravel(piece).astype(x.dtype) for piece in pieces])
    return {"active": state["active"], "vector": vector}


@pytest.mark.parametrize("dtype", [np.float64, pytest.param(np.float32, marks=pytest.mark.slow)])
def test_primitives_are_those_of_jax(dtype: Any):
    constants = {"x": drawn(1, 4, 3).astype(dtype), "y": drawn(2, 12).astype(dtype)}
    length = jax.eval_shape(
        many_things, *jax.tree.map(lambda leaf: leaf[0], (constants, {"active": running()})),
        np.int64(0),
    )["vector"].shape  # fmt: skip
    state = {"active": running(), "vector": np.zeros((RUNS, *length), dtype)}
    found = called(many_things, constants, state, 5, 6, itemsize=np.dtype(dtype).itemsize)
    with numerics():
        each = jax.jit(jax.vmap(many_things, in_axes=(0, 0, None)))
        wanted = np.asarray(each(constants, state, np.int64(5))["vector"])
    # Cubes, powers and exponentials of numbers around 1; in float32 XLA's functions are right to
    # some ten units.
    tolerance = ROUNDING if dtype == np.float64 else 2e-5
    np.testing.assert_allclose(found["vector"], wanted, rtol=tolerance, atol=tolerance)


PRODUCTS = {
    # Blocks of sums with rests on both sides, and sums whose terms are cut into rounds.
    "ij,jk->ik": ((7, 11), (11, 13)),
    "ij,kj->ki": ((5, 3), (6, 3)),
    # One factor is a row: sums that stand alone, and few side by side.
    "j,j->": ((19,), (19,)),
    "ij,j->i": ((2, 21), (21,)),
    # No sums at all.
    "i,j->ij": ((4,), (5,)),
    # Together, and over several axes.
    "bij,bjk->bik": ((2, 3, 4), (2, 4, 5)),
    "ijk,lkj->il": ((3, 4, 5), (2, 5, 4)),
    "aib,bc->aic": ((2, 3, 4), (4, 5)),
    # Cut otherwise where there are more registers.
    "il,lk->ik": ((5, 6), (6, 5)),
    "xy,yz->xz": ((4, 3), (3, 5)),
}


def test_products_are_those_of_numpy():
    constants = {
        name: (drawn(2 * i, *a), drawn(2 * i + 1, *b))
        for i, (name, (a, b)) in enumerate(PRODUCTS.items())
    }

    def step(c: Any, state: Any, now: Any) -> Any:
        products = {name: jnp.einsum(name, *c[name], precision="highest") for name in PRODUCTS}
        return {"active": state["active"], "found": products}

    empty = {
        k: np.zeros((RUNS, *np.einsum(k, *(x[0] for x in v)).shape)) for k, v in constants.items()
    }
    found = called(step, constants, {"active": running(), "found": empty}, 0, 1)["found"]
    for name, (a, b) in constants.items():
        for run in range(RUNS):
            wanted = np.einsum(name, a[run], b[run])
            # Sums of some twenty products of numbers of size 1.
            np.testing.assert_allclose(found[name][run], wanted, rtol=ROUNDING, atol=ROUNDING)


def test_how_many_registers_there_are_changes_no_bit(monkeypatch: pytest.MonkeyPatch):
    constants = {"a": drawn(1, 5, 5), "b": drawn(2, 5, 4), "c": drawn(3, 13, 5)}

    def step(c: Any, state: Any, now: Any) -> Any:
        return {"active": state["active"], "x": c["c"] @ (c["a"] @ c["a"] @ c["b"])}

    found = []
    for count in (16, 32):
        monkeypatch.setattr(blocks, "registers", lambda count=count: count)
        state = {"active": running(), "x": np.zeros((RUNS, 13, 4))}
        found.append(called(step, constants, state, 0, 1)["x"])
    np.testing.assert_array_equal(*found)


def test_of_a_choice_each_run_has_its_own_branch():
    """Where the others are NaN, or have no meaning, too."""
    state = {"active": running(), "x": drawn(1, 3), "which": np.arange(RUNS, dtype=np.int32) % 4}

    def step(c: Any, state: Any, now: Any) -> Any:
        x = lax.cond(
            state["x"][0] > 0, lambda x: jnp.sqrt(x[0]) * x, lambda x: jnp.exp(-x), state["x"]
        )
        branches = [lambda x: x + 1, lambda x: 3 * x, lambda x: jnp.sum(x) * jnp.ones(3)]
        # What lies beyond the last one is the last one.
        return {**state, "x": lax.switch(state["which"], branches, x)}

    found = called(step, np.zeros(RUNS), state, 0, 1)["x"]
    for run in range(RUNS):
        x = state["x"][run]
        x = np.sqrt(x[0]) * x if x[0] > 0 else np.exp(-x)
        wanted = (x + 1, 3 * x, np.full(3, np.sum(x)))[min(run % 4, 2)]
        np.testing.assert_allclose(found[run], wanted, rtol=ROUNDING)


def test_leaves_that_are_made_of_each_other_are_read_before_they_are_written():
    state = {"active": running(), "a": drawn(1, 6, 6), "b": drawn(2, 6, 6), "c": drawn(3, 6, 6)}

    def step(c: Any, state: Any, now: Any) -> Any:
        a, b = state["a"], state["b"]
        return {**state, "a": b.T, "b": a + 1, "c": state["c"].T[::-1]}

    found = called(step, {"unused": np.zeros(RUNS)}, state, 0, 3)
    a, b, c = (state[k] for k in "abc")
    for _ in range(3):
        a, b, c = b.transpose(0, 2, 1), a + 1, c.transpose(0, 2, 1)[:, ::-1]
    for key, wanted in (("a", a), ("b", b), ("c", c)):
        np.testing.assert_array_equal(found[key], wanted)


def test_entries_at_indices_that_each_run_has_of_its_own():
    places = np.random.default_rng(7).integers(0, 5, (RUNS, 3)).astype(np.int32)
    constants = {"x": drawn(1, 4, 5), "places": places, "common": drawn(2, 5)}
    constants["common"] = np.broadcast_to(constants["common"][:1], (RUNS, 5))
    state = {"active": running(), "columns": drawn(3, 4, 3), "piece": drawn(4, 2, 5),
             "numbers": drawn(5, 3)}  # fmt: skip

    def step(c: Any, state: Any, now: Any) -> Any:
        options: Any = {"mode": "promise_in_bounds"}
        return {
            "active": state["active"],
            "columns": c["x"].at[:, c["places"]].get(**options),
            "piece": lax.dynamic_slice(c["x"], (c["places"][0], np.int32(0)), (2, 5)),
            "numbers": c["common"].at[c["places"]].get(**options),
        }

    shared = [key == "common" for key in sorted(constants)]
    found = called(step, constants, state, 0, 1, shared=shared)
    for run, chosen in enumerate(places):
        x = constants["x"][run]
        np.testing.assert_array_equal(found["columns"][run], x[:, chosen])
        # What begins too late begins as late as it can.
        first = min(chosen[0], 2)
        np.testing.assert_array_equal(found["piece"][run], x[first : first + 2])
        np.testing.assert_array_equal(found["numbers"][run], constants["common"][run][chosen])


def test_memory_is_used_again():
    def chain(length: int) -> int:
        def step(c: Any, state: Any, now: Any) -> Any:
            x = state["x"]
            for _ in range(length):
                x = jnp.tanh(c @ x)
            return {**state, "x": x}

        return steps_of(step, np.eye(8), {"active": True, "x": np.eye(8)}).memory_bytes

    assert chain(9) == chain(3)


def test_not_a_number_stays_none():
    constants = {"x": np.array([[np.nan, 1.0, -np.inf]])}
    state = {"active": np.ones(1, bool), "y": np.zeros((1, 9))}

    def step(c: Any, state: Any, now: Any) -> Any:
        x = c["x"]
        larger = jnp.maximum(x, jnp.array([0.0, jnp.inf, 0.0])), jnp.maximum(x[1:], x[:1])
        smaller = jnp.minimum(x, x[::-1])
        return {"active": state["active"], "y": jnp.concatenate([*larger, smaller, x[1:2]])}

    found = called(step, constants, state, 0, 1)["y"][0]
    np.testing.assert_array_equal(found, [np.nan, np.inf, 0, np.nan, np.nan, np.nan, 1, np.nan, 1])


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (jnp.sinh, "its step has the operation 'sinh', which is not known here"),
        (lambda x: x % 2, "its step has 'rem' of float64"),
        (
            lambda x: jnp.ones((2, 999)) * x[0] @ jnp.ones((999, 600)),
            "operations, more than 1,000,000",
        ),
        (lambda x: x.astype(jnp.bfloat16), "has numbers of the type bfloat16"),
    ],
)
def test_what_is_not_known_is_refused_by_name(function: Any, reason: str):
    def step(c: Any, state: Any, now: Any) -> Any:
        return {"active": state["active"], "x": jnp.sum(function(c)) * state["x"]}

    with pytest.raises(Refused, match=reason):
        steps_of(step, np.ones(3), {"active": True, "x": 1.0})


def test_this_machine_says_what_it_has():
    assert why_not_here() == ""
    assert why_not_here("gpu") == "it computes on the CPU, and JAX's device here is a gpu"
    assert instruction_set() in ("AVX-512", "AVX2", "NEON")


def test_where_llvm_is_missing_that_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dlnsweep.simd.llvm.is_installed", lambda: False)
    with pytest.raises(RunError, match=r"which needs llvmlite: install it \(pip install 'dlnsweep"):
        check_installed(asked("simd_samples"))
