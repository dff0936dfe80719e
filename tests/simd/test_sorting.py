"""Sorting, places of the largest, and integers by vector instructions: the very bits of XLA."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("llvmlite")

from jax import lax
from simd_samples import RUNS, assert_as_xla

from dlnsweep.networks.layered.minibatches import draw_in_epochs
from dlnsweep.simd.comparators import comparators, num_comparators


@pytest.mark.parametrize("count", range(1, 11))
def test_a_network_of_comparisons_sorts_all_numbers(count: int):
    """What sorts all zeros and ones sorts everything (Knuth, section 5.3.4, theorem Z)."""
    for bits in range(2**count):
        row = [bits >> i & 1 for i in range(count)]
        for a, b in comparators(count):
            row[a], row[b] = sorted((row[a], row[b]))
        assert row == sorted(row)


def test_comparisons_are_counted_without_being_made():
    counted = [num_comparators(count) for count in range(150)]
    assert counted == [len(comparators(count)) for count in range(150)]


@pytest.mark.parametrize("count", [5, 70])
def test_sorting_is_that_of_xla(count: int):
    random = np.random.default_rng(count)
    x, whole = random.standard_normal((RUNS, count)), random.integers(-5, 5, (RUNS, count))
    # Equal ones keep their order, -0 is 0, and what is no number comes last.
    x[:, 1], x[0, 2], x[1, 0], x[1, 4] = x[:, 3], np.nan, 0.0, -0.0
    x[2, :3] = -np.inf, -np.nan, np.inf

    def step(c: Any, now: Any) -> Any:
        x, whole = c
        small, positive = x.astype(jnp.float32), whole.astype(jnp.uint32)
        pairs = lax.sort((whole, x, positive), num_keys=2)
        found = jnp.argmax(x), jnp.argmin(x), jnp.argmax(whole), jnp.argmin(small)
        largest = lax.top_k(x, 3), lax.top_k(whole, 1)
        sorts = jnp.sort(x), jnp.argsort(x), jnp.sort(small), jnp.argsort(positive)
        return sorts, pairs, found, largest

    assert_as_xla(step, (x, whole))


def test_any_axis_is_sorted():
    def step(x: Any, now: Any) -> Any:
        chosen = jnp.argmax(x, axis=0), jnp.argmin(x, axis=1), jnp.argmax(x > 0, axis=1)
        return jnp.sort(x, axis=0), jnp.argsort(x, axis=1), chosen

    assert_as_xla(step, np.random.default_rng(1).standard_normal((RUNS, 4, 6)))


@pytest.mark.parametrize(
    "kind", ["int64", *(pytest.param(k, marks=pytest.mark.slow) for k in ("i4", "u8", "u1"))]
)
def test_integers_are_divided_as_by_xla(kind: str):
    random = np.random.default_rng(2)
    a, b = (random.integers(-n, n, (RUNS, 40)).astype(kind) for n in (9, 4))
    # What has no quotient.
    a[0, :3], b[0, :3] = np.iinfo(kind).min, np.array([-1, 0, 1]).astype(kind)

    def step(c: Any, now: Any) -> Any:
        a, b = c
        three, seventeen = (jnp.asarray(number, a.dtype) for number in (3, 17))
        by_runs = lax.div(a, b), lax.rem(a, b), a // b, a % b, lax.div(seventeen, b)
        known = a // three, a % three, now.astype(a.dtype) // three + a, lax.div(a, -three)
        return by_runs, known, lax.sign(a), jnp.abs(a)

    assert_as_xla(step, (a, b))


@pytest.mark.parametrize(("count", "total"), [(3, 10), (7, 7), (50, 200)])
def test_an_epoch_is_drawn_as_by_xla(count: int, total: int):
    random = np.random.default_rng(3)
    keys = tuple(random.integers(0, 2**32, RUNS).astype(np.uint32) for _ in range(2))
    for now in (0, 7, 10**6 + 3):
        assert_as_xla(lambda key, now: draw_in_epochs(key, now, count, total), keys, now)
