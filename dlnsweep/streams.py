"""Random numbers of a run: a stream for each named purpose, from the run's own seed alone.

Runs that differ in other settings only share their draws (paired comparisons), and a run draws
the same numbers alone, in any batch, at any place in it, on any device and with any version of
JAX. The generator is threefry2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers:
as easy as 1, 2, 3"), the one that `jax.random` uses; applied directly, because entry (i, j) of a
matrix shall depend on i and j alone, and because it compiles in a tenth of the time.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from dlnsweep.lazy import jnp, lax

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Array, Float, Int, UInt32

    Words = tuple[UInt32[Array, "..."], UInt32[Array, "..."]]
    # A run's keys by purpose.
    Keys = Callable[[str], Words]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def threefry2x32(key: Words, counter: Words) -> Words:
    """Return the 20-round Threefry-2x32 block of a key and a counter, entry by entry."""
    schedule = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(_PARITY))
    x, y = counter[0] + schedule[0], counter[1] + schedule[1]
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            x = x + y
            y = (y << rotation) | (y >> (32 - rotation))
            y = x ^ y
        x = x + schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3] + jnp.uint32(group + 1)
    return x, y


def purpose_key(seed: Int[Array, ""], purpose: str) -> Words:
    """Return the key of `seed` for `purpose`: the block of the seed and the purpose's CRC-32."""
    wide = jnp.asarray(seed, jnp.int64).astype(jnp.uint64)
    words = (wide >> 32).astype(jnp.uint32), wide.astype(jnp.uint32)
    name = jnp.uint32(zlib.crc32(purpose.encode()))
    return threefry2x32(words, (jnp.zeros_like(words[0]), jnp.full_like(words[0], name)))


def gaussian(key: Words, rows: int, columns: int) -> Float[Array, "rows columns"]:
    """Draw a standard Gaussian matrix, float64.

    Entry (i, j) is sqrt(2) erfinv(u) with u in (-1, 1) from the upper 52 bits of the block of
    (i, j). So a matrix with more rows or columns contains the smaller one, and networks of
    several widths can share a compiled program that draws at the largest width and masks.
    """
    i, j = jnp.meshgrid(
        jnp.arange(rows, dtype=jnp.uint32), jnp.arange(columns, dtype=jnp.uint32), indexing="ij"
    )
    high, low = threefry2x32(key, (i, j))
    bits = (high.astype(jnp.uint64) << 32) | low.astype(jnp.uint64)
    # Odd multiples of 2^-52 in (-1, 1): symmetric, and never -1, 0 or 1.
    uniform = ((bits >> 12).astype(jnp.float64) + 0.5) * 2.0**-51 - 1.0
    return jnp.sqrt(2.0) * lax.erf_inv(uniform)


def haar(key: Words, rows: int, columns: int) -> Float[Array, "rows columns"]:
    """Draw a matrix with orthonormal columns from the Haar measure (rows >= columns).

    The signs of R's diagonal are moved into Q: without that Q is not Haar distributed
    (Mezzadri 2007, arXiv:math-ph/0609050, section 5).
    """
    q, r = jnp.linalg.qr(gaussian(key, rows, columns))
    return q * jnp.where(jnp.diagonal(r) < 0, -1.0, 1.0)
