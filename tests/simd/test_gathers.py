"""Reading and writing at indices, pieces, paddings and loops: the very bits of XLA."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("llvmlite")

from jax import lax
from simd_samples import RUNS, assert_as_xla

# Within and beyond an axis of 5.
PLACES = np.random.default_rng(7).integers(-2, 8, (RUNS, 6)).astype(np.int32)
X = np.random.default_rng(8).standard_normal((RUNS, 5, 4))
NEW = np.random.default_rng(9).standard_normal((RUNS, 6, 4))


def test_entries_are_read_at_indices():
    def step(c: Any, now: Any) -> Any:
        x, places = c
        column = jnp.abs(places[:5]) % 4
        return (
            # What is outside is no number, the nearest one, or what is asked for.
            x[places],
            x.at[places].get(mode="clip"),
            x.at[places].get(mode="fill", fill_value=3.0),
            (x > 0)[places],
            (10 * x).astype(jnp.int32)[places],
            (10 * x).astype(jnp.uint8)[places],
            x[places[0]],
            x[:, places],
            x[places[:, None], jnp.arange(4)],
            x[jnp.arange(5), column],
            jnp.take_along_axis(x, column[:, None], 1),
            x[places[:3, None], places[None, 3:]],
            x[jnp.array([0, 4, 4, -1])],
            lax.dynamic_slice(x, (places[0], places[1]), (2, 3)),
            lax.dynamic_slice(x, (now % 3, jnp.int64(0)), (2, 4)),
        )

    assert_as_xla(step, (X, PLACES))


def test_entries_are_written_at_indices():
    def step(c: Any, now: Any) -> Any:
        x, places, new = c
        at, modes = x.at[places], ("drop", "clip")
        ways = [getattr(at, way) for way in ("set", "add", "multiply", "min", "max")]
        column = jnp.abs(places[:5]) % 4
        return (
            [way(new, mode=mode) for way in ways for mode in modes],
            x.at[:, places[0]].add(new[:5, 0]),
            x.at[jnp.arange(5), column].set(new[:5, 1]),
            x.at[0, 1].set(now.astype(x.dtype)),
            x.at[1:3, places[0]].multiply(2.0),
            (x > 0).at[places].set(new > 0),
            lax.dynamic_update_slice(x, new[:2, :3], (places[0], places[1])),
            lax.dynamic_update_slice(x, new[:5], (0, 0)),
        )

    assert_as_xla(step, (X, PLACES, NEW))


def test_pieces_are_padded_cut_and_repeated():
    def step(x: Any, now: Any) -> Any:
        return (
            lax.pad(x, 2.0, [(-1, 2, 1), (1, -2, 0)]),
            lax.pad(x, 2.0, [(-2, -2, 2), (0, 0, 0)]),
            jnp.tile(x, (2, 3)),
            jnp.repeat(x, 2, axis=0),
            lax.top_k(x, 2),
            lax.top_k(-jnp.round(x), 3),
            jnp.round(2 * x),
            jnp.select([x > 1, x > 0], [x, 2 * x], -x),
            lax.select_n(jnp.clip(jnp.abs(3 * x), 0, 2).astype(jnp.int32), x, 2 * x, -x),
            lax.select_n(x > 3, x),
        )

    assert_as_xla(step, X)


def test_numbers_are_cut_to_integers():
    x = np.tile(
        np.array([0.5, -1.5, 2.5, -0.0, 300.7, -300.7, 1e30, -1e30, np.nan, np.inf]), (RUNS, 1)
    )

    def step(c: Any, now: Any) -> Any:
        kinds = jnp.int64, jnp.int32, jnp.int16, jnp.int8, jnp.uint8, jnp.uint32, bool
        known = [jnp.asarray(x[0]).astype(kind) for kind in kinds]
        small = c.astype(jnp.float32)
        return [c.astype(kind) for kind in kinds], [small.astype(kind) for kind in kinds], known

    assert_as_xla(step, x)


def test_loops_of_known_length_are_written_out():
    def step(c: Any, now: Any) -> Any:
        x, start = c

        def cell(carried: Any, given: Any) -> Any:
            row, number = given
            made = jnp.where(row > 0, carried, row) + number
            return made, (made, made[0] > 0)

        numbers = jnp.arange(5.0)
        forth = lax.scan(cell, start, (x, numbers))
        back = lax.scan(cell, start, (x, numbers), reverse=True)
        alone = lax.scan(lambda v, _: (jnp.maximum(v, -v), None), start, None, length=3)
        inner = lax.fori_loop(0, 3, lambda i, v: lax.fori_loop(0, 2, lambda j, w: w + i, v), start)
        return forth, back, alone[0], inner, lax.map(lambda row: row[::-1], x)

    assert_as_xla(step, (X, X[:, 0]))
