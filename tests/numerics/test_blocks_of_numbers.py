"""Blocks of random numbers: traced once a shape, and compiled as if written out each time."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnsweep.numerics import streams
from dlnsweep.numerics.runtime import numerics


def test_a_block_is_traced_once_for_each_shape(monkeypatch: pytest.MonkeyPatch):
    traced = []

    def rounds(key: Any, counter: Any) -> Any:
        traced.append(counter[0].shape)
        return counter

    monkeypatch.setattr(streams, "_rounds", rounds)
    streams._block.cache_clear()
    try:

        def draw(seed: Any) -> Any:
            key = (seed, seed)
            return [streams.gaussian(key, *shape) for shape in ((3, 4), (3, 4), (2, 5), (3, 4))]

        with numerics():
            jaxpr = jax.make_jaxpr(draw)(jnp.uint32(0))
    finally:
        streams._block.cache_clear()
    assert sorted(traced) == [(2, 5), (3, 4)]
    # A call that stays one would be a function of its own in what is compiled.
    assert "name=rounds" not in str(jaxpr)


def test_known_answers_of_threefry():
    """Of the authors' tests (Random123's known answers of threefry2x32, 20 rounds)."""
    ones = 0xFFFFFFFF
    for key, counter, block in (
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((ones, ones), (ones, ones), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ):
        words = [tuple(jnp.uint32(word) for word in pair) for pair in (key, counter)]
        found: Any = streams.threefry2x32(words[0], words[1])
        np.testing.assert_array_equal([int(word) for word in found], block)
