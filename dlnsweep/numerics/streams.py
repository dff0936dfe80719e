"""Random numbers of a run: a stream for each named purpose, from the run's own seed alone.

Runs that differ in other settings only share their draws (paired comparisons), and a run draws
the same numbers alone, in any batch, at any place in it, on any device and with any version of
JAX. The generator is threefry2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers:
as easy as 1, 2, 3"), the one that `jax.random` uses; applied directly, because entry (i, j) of a
matrix shall depend on i and j alone, and because it compiles in a tenth of the time.
"""

from __future__ import annotations

import functools
import zlib
from typing import TYPE_CHECKING

import numpy as np

from dlnsweep.numerics.lazy import jax, jnp, lax

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Array, Float, Int, UInt32

    Words = tuple[UInt32[Array, "..."], UInt32[Array, "..."]]
    # A run's keys by purpose.
    Keys = Callable[[str], Words]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
# What runs of this package draw; `{}` counts layers from 1.
_PURPOSES = (
    "data/basis", "data/left", "data/members", "data/noise", "data/observed", "data/operator",
    "data/right", "data/rows", "data/signal", "data/signal_weights", "data/signals",
    "data/signals_chi", "data/tail_left", "data/tail_right", "data/teacher", "data/teacher_chi",
    "data/teacher_signs", "data/weights", "operator/supports", "test/members", "test/noise",
    "test/signals", "training/label_noise", "training/minibatches", "training/optimizer",
    "training/stream", "weights/direction", "weights/1/off", "weights/1/rest", "weights/hidden",
    "weights/output", "weights/product",
)  # fmt: skip
_PURPOSES_OF_LAYERS = ("weights/{}", "weights/frame{}", "law/{}", "law/{}/chi", "law/{}/rest")
# Tries for a chi-squared number.
_TRIES = 12


def threefry2x32(key: Words, counter: Words) -> Words:
    """Return the 20-round Threefry-2x32 block of a key and a counter, entry by entry.

    Its hundred operations are traced once for each shape and then repeated: a draw asks for
    dozens of blocks, and a check of a file draws each program's run. What is compiled is the same.
    """
    return _block()(key, counter)


@functools.cache
def _block() -> Callable[[Words, Words], Words]:
    return jax.jit(_rounds, inline=True)


def _rounds(key: Words, counter: Words) -> Words:
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
    name = jnp.uint32(zlib.crc32(purpose.encode()))
    return _named(_words(seed), name)


def _words(seed: Int[Array, ""]) -> Words:
    wide = jnp.asarray(seed, jnp.int64).astype(jnp.uint64)
    return (wide >> 32).astype(jnp.uint32), wide.astype(jnp.uint32)


def _named(words: Words, name: UInt32[Array, "..."]) -> Words:
    return threefry2x32(words, (jnp.zeros_like(name), name))


def keys_of(seed: Int[Array, ""], depth: int = 0) -> Keys:
    """Return the function from a purpose to its key: `purpose_key`, compiled faster.

    The keys of the package's own purposes are computed together. XLA would write the rounds of
    each key out again in the loop that draws with it: 0.2 s of compiling a purpose, half of what
    it takes to compile a whole draw.

    Args:
        seed: The run's seed.
        depth: The number of layers that have purposes of their own.
    """
    layers = [name.format(i + 1) for i in range(depth) for name in _PURPOSES_OF_LAYERS]
    places = {purpose: place for place, purpose in enumerate([*_PURPOSES, *layers])}
    words = _words(seed)
    names = np.array([zlib.crc32(purpose.encode()) for purpose in places], np.uint32)
    # Two steps of a loop, because XLA takes a loop of one step apart. What fills up the second
    # is not used.
    halves = jnp.asarray(np.resize(names, (2, -(-len(names) // 2))))
    table = [half.ravel() for half in lax.map(lambda name: _named(words, name), halves)]

    def key(purpose: str) -> Words:
        place = places.get(purpose)
        if place is None:
            return purpose_key(seed, purpose)
        return table[0][place], table[1][place]

    return key


def jax_key(key: Words) -> Array:
    """Return a key of a purpose as `jax.random` takes it, for what draws its own numbers by that.

    Its generator is the same, threefry2x32; what is drawn depends on JAX's way to use it.
    """
    return jax.random.wrap_key_data(jnp.stack(key), impl="threefry2x32")


def gaussian(key: Words, rows: int, columns: int) -> Float[Array, "rows columns"]:
    """Draw a standard Gaussian matrix, float64.

    Entry (i, j) is sqrt(2) erfinv(u) with u in (-1, 1) from the upper 52 bits of the block of
    (i, j). So a matrix with more rows or columns contains the smaller one, and networks of
    several widths can share a compiled program that draws at the largest width and masks.
    """
    i, j = jnp.meshgrid(
        jnp.arange(rows, dtype=jnp.uint32), jnp.arange(columns, dtype=jnp.uint32), indexing="ij"
    )
    return _normal(_uniform(threefry2x32(key, (i, j))))


def step_gaussian(
    key: Words, step: Int[Array, ""], rows: int, columns: int
) -> Float[Array, "rows columns"]:
    """Draw a standard Gaussian matrix for a step, float64: `gaussian` with a key of the step."""
    return gaussian(threefry2x32(key, _words(step)), rows, columns)


def step_keys(key: Words, step: Int[Array, ""]) -> Keys:
    """Return the function from a purpose to its key at a step, from a key of the run."""
    words = threefry2x32(key, _words(step))
    return lambda purpose: _named(words, jnp.uint32(zlib.crc32(purpose.encode())))


def uniform(key: Words, count: int) -> Float[Array, " count"]:
    """Draw uniform numbers in (0, 1), float64."""
    places = jnp.arange(count, dtype=jnp.uint32)
    return 0.5 + 0.5 * _uniform(threefry2x32(key, (places, jnp.zeros_like(places))))


def below(key: Words, bound: int, count: int) -> Int[Array, " count"]:
    """Draw uniform integers from 0 to `bound` - 1; one is likelier by less than bound in 2^32."""
    places = jnp.arange(count, dtype=jnp.uint32)
    block = threefry2x32(key, (places, jnp.zeros_like(places)))
    return ((block[0].astype(jnp.uint64) * bound) >> 32).astype(jnp.int32)


def _uniform(block: Words) -> Float[Array, "..."]:
    """Return a uniform number in (-1, 1) from the upper 52 bits of a block."""
    bits = (block[0].astype(jnp.uint64) << 32) | block[1].astype(jnp.uint64)
    # Odd multiples of 2^-52 in (-1, 1): symmetric, and never -1, 0 or 1.
    return ((bits >> 12).astype(jnp.float64) + 0.5) * 2.0**-51 - 1.0


def _normal(uniform: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.sqrt(2.0) * lax.erf_inv(uniform)


def chi_squared(key: Words, places: Words, degrees: Float[Array, " n"]) -> Float[Array, " n"]:
    """Draw chi-squared numbers with any degrees of freedom, float64; zero where there are none.

    Number i depends on its key, places[i] and degrees[i] alone. It is 2 Gamma(degrees / 2) by
    Marsaglia and Tsang 2000 ("A simple method for generating gamma variables"): with shape a >= 1,
    h = a - 1/3, x standard normal, u uniform and y = x / (3 sqrt(h)), h (1 + y)^3 is kept if

        log u < x^2 / 2 + h (1 - (1 + y)^3 + 3 log(1 + y)).

    A smaller shape is drawn as Gamma(a + 1) u^(1/a). A try fails with a probability of at most
    0.049 (shape 1), so all of them with one below 1e-15; then h stands in.

    Args:
        key: The key of the purpose, or one for each number.
        places: Two counters for each number.
        degrees: Degrees of freedom, whole numbers up to 1e24 or more.
    """
    own = threefry2x32(key, places)

    def uniform(attempt: int | Int[Array, ""], kind: int) -> Float[Array, " n"]:
        counter = jnp.full_like(own[0], attempt), jnp.full_like(own[0], kind)
        # XLA of jax 0.12 would write both blocks out once for every use that a logarithm makes of
        # its argument, and not end.
        return lax.optimization_barrier(_uniform(threefry2x32(own, counter)))

    shape = jnp.maximum(degrees, 1.0) / 2
    boosted = shape < 1
    h = jnp.where(boosted, shape + 1, shape) - 1 / 3

    def attempt(i: Int[Array, ""], kept: Float[Array, " n"]) -> Float[Array, " n"]:
        last_first = _TRIES - 1 - i
        y = _normal(uniform(last_first, 0)) / (3 * jnp.sqrt(h))
        log_u = jnp.log(0.5 + 0.5 * uniform(last_first, 1))
        accepted = (y > -1) & (log_u < h * _log_ratio(jnp.where(y > -1, y, 0.0)))
        return jnp.where(accepted, (1 + y) ** 3, kept)

    # From the last try to the first, so that the first success stands. A loop, because XLA takes
    # ten times longer to compile all tries at once.
    kept = lax.fori_loop(0, _TRIES, attempt, jnp.ones_like(h))
    root = jnp.where(boosted, (0.5 + 0.5 * uniform(0, 2)) ** (1 / shape), 1.0)
    return jnp.where(degrees > 0, 2 * h * kept * root, 0.0)


def _log_ratio(y: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return 9 y^2 / 2 + 1 - (1 + y)^3 + 3 log(1 + y) to full relative precision.

    At large shapes h, y is about 1 / sqrt(h): everything up to y^3 cancels, so what is left of
    the logarithm's series is summed there, -3 y^4 (1/4 - y/5 + y^2/6 - ...).
    """
    small = jnp.abs(y) < 0.05
    near = jnp.where(small, y, 0.0)
    tail = jnp.zeros_like(near)
    for power in range(14, 3, -1):
        tail = (-1) ** power / power + near * tail
    far = 3 * jnp.log1p(y) - 3 * y + 1.5 * y**2 - y**3
    return jnp.where(small, -3 * near**4 * tail, far)


def bartlett(
    key: Words, diagonal: Words, count: int, degrees: Float[Array, ""]
) -> Float[Array, "k k"]:
    """Draw the lower triangle L with L L^T the Gram matrix of Gaussian vectors.

    L L^T has the Wishart law of G G^T, G (count, degrees) with independent entries N(0, 1): below
    the diagonal entries are N(0, 1), and L_ii^2 ~ chi^2(degrees - i), i from 0 (Bartlett 1933). So
    its rows are coordinates of the vectors in the basis of the Gram-Schmidt process. More vectors
    begin with the fewer.

    Args:
        key: The key of the entries below the diagonal.
        diagonal: That of the diagonal.
        count: How many vectors; beyond `degrees` of them the diagonal is zero.
        degrees: Their dimension, a whole number.
    """
    places = jnp.arange(count, dtype=jnp.uint32)
    own = degrees - jnp.arange(count, dtype=jnp.float64)
    roots = jnp.sqrt(chi_squared(diagonal, (places, jnp.zeros_like(places)), own))
    return jnp.tril(gaussian(key, count, count), -1) + jnp.diag(roots)


def haar(key: Words, rows: int, columns: int) -> Float[Array, "rows columns"]:
    """Draw a matrix with orthonormal columns from the Haar measure (rows >= columns).

    The signs of R's diagonal are moved into Q: without that Q is not Haar distributed
    (Mezzadri 2007, arXiv:math-ph/0609050, section 5).
    """
    q, r = jnp.linalg.qr(gaussian(key, rows, columns))
    return q * jnp.where(jnp.diagonal(r) < 0, -1.0, 1.0)
