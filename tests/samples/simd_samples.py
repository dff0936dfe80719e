"""Vector functions and steps of one's own, compiled and called on NumPy's arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnsweep.numerics.runtime import numerics
from dlnsweep.simd.samples.steps import SampleSteps
from dlnsweep.simd.steps import Steps

RUNS = 11


def steps_of(step: Callable[..., Any], constants: Any, state: Any, **options: Any) -> Steps:
    """Return the machine code of a step.

    Args:
        step: Takes constants, state and the number of the step; returns the state.
        constants: Those of one run; a pytree of arrays.
        state: Likewise, as a dictionary with the truth value "active".
        options: Further arguments of `Steps`.
    """
    with numerics():
        jaxpr = jax.make_jaxpr(step)(constants, state, np.int64(0))
    count = len(jax.tree.leaves(constants))
    active = sorted(state).index("active")
    return Steps(jaxpr, count, active, **options)


def called(
    step: Callable[..., Any], constants: Any, state: Any, start: int, stop: int, **options: Any
) -> dict[str, np.ndarray]:
    """Return the states of some runs after some steps; all leaves have a leading axis of runs."""
    first = jax.tree.map(lambda leaf: leaf[0], (constants, state))
    steps = steps_of(step, *first, **options)
    leaves, structure = jax.tree.flatten(state)
    memory = steps.state(leaves)
    steps.take(memory, steps.constants(jax.tree.leaves(constants)), start, stop)
    return jax.tree.unflatten(structure, steps.arrays(memory, len(leaves[0])))


def called_by_samples(
    step: Callable[..., Any],
    constants: Any,
    state: Any,
    with_samples: Sequence[str],
    start: int,
    stop: int,
    **options: Any,
) -> dict[str, np.ndarray]:
    """Return the same by `SampleSteps`: of constants of these names samples are the last axis."""
    first = jax.tree.map(lambda leaf: leaf[0], (constants, state))
    with numerics():
        jaxpr = jax.make_jaxpr(step)(*first, np.int64(0))
    axes = {
        place: constants[key].ndim - 2
        for place, key in enumerate(sorted(constants))
        if key in with_samples
    }
    active = sorted(state).index("active")
    steps = SampleSteps(jaxpr, len(constants), axes, active, **options)
    leaves, structure = jax.tree.flatten(state)
    memory = steps.state(leaves)
    steps.take(memory, steps.constants(jax.tree.leaves(constants)), start, stop)
    return jax.tree.unflatten(structure, steps.arrays(memory, len(leaves[0])))


def assert_as_xla(step: Any, constants: Any, now: int = 5) -> None:
    """Assert that a function of constants and of a step's number gives the bits that XLA gives."""

    def whole(c: Any, state: Any, now: Any) -> Any:
        return {"active": state["active"], "made": step(c, now)}

    with numerics():
        each = jax.jit(jax.vmap(step, in_axes=(0, None)))
        wanted = jax.tree.map(np.asarray, each(constants, np.int64(now)))
    state = {"active": np.ones(RUNS, bool), "made": jax.tree.map(np.zeros_like, wanted)}
    found = called(whole, constants, state, now, now + 1)["made"]
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


@cache
def compiled(name: str, dtype: Any = np.float64, count: int = 1) -> Callable[..., np.ndarray]:
    """Return a primitive of JAX's, compiled, as a function of vectors."""
    lax: Any = jax.lax
    function = getattr(lax, name)

    def step(constants: Any, state: Any, now: Any) -> Any:
        return {"active": state["active"], "x": function(*constants)}

    example = tuple(np.zeros((), dtype) for _ in range(count))
    steps = steps_of(step, example, {"active": True, "x": np.zeros((), dtype)},
                     itemsize=np.dtype(dtype).itemsize)  # fmt: skip

    def call(*arrays: np.ndarray) -> np.ndarray:
        memory = steps.state([np.ones(len(arrays[0]), bool), np.zeros(len(arrays[0]), dtype)])
        steps.take(memory, steps.constants(arrays), 0, 1)
        return steps.arrays(memory, len(arrays[0]))[1]

    return call


__all__ = ["called", "compiled", "jnp", "steps_of"]
