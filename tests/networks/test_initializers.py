"""Initial weights: distributions, exact structure, scales, and networks inside padded arrays.

Statistical tests fix their keys. Each bound is at least 5 standard deviations of its statistic
wide, so a correct draw would fail one with a probability below 6e-7.
"""

from __future__ import annotations

import itertools
import re
import zlib
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import oracle
import pytest
from scipy.special import ndtri

import dlnsweep
from dlnsweep.networks.layered.initializers import INITIALIZERS, Shape, draw_weights
from dlnsweep.networks.layered.kind import NetworkSettings
from dlnsweep.numerics import streams
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import gaussian, haar, keys_of, purpose_key, threefry2x32
from dlnsweep.settings.base import with_numbers

SIGMAS = 5.0
# Products of a few orthonormal factors, each rounded at 1.1e-16 an entry.
EXACT = 1e-12


@cache
def compiled_draw(initializer: Any, dims: tuple[int, ...], carefully: bool):
    """Compile a draw once for each shape; seed, width and scales are its arguments.

    Where two programs must agree in every bit, they are compiled as programs of runs are; else
    with less care, in half the time.
    """
    settings = NetworkSettings(depth=len(dims) - 1, width=1, initializer=initializer)

    def weights(seed, width, scales):
        numbers = with_numbers(settings, scales)
        return draw_weights(numbers, Shape(dims, width), partial(purpose_key, seed))

    options = {} if carefully else {"xla_backend_optimization_level": 0}
    return jax.jit(weights, compiler_options=options)


def draw(
    initializer: str, dims: tuple[int, ...], seed: int = 0, width=None, carefully=False, **scales
):
    """Draw weights in arrays of sizes `dims`, for a network of hidden width `width`."""
    width = width if width is not None else dims[len(dims) // 2]
    ones = dict.fromkeys(("layer_init_scale", "product_init_scale", "relative_init_scale"), 1.0)
    scales = ones | scales
    with numerics():
        found = compiled_draw(initializer, dims, carefully)(np.int64(seed), np.int64(width), scales)
        return [np.asarray(w) for w in found]


@cache
def compiled_matrix(purpose: str, rows: int, columns: int):
    return jax.jit(lambda seed: gaussian(purpose_key(seed, purpose), rows, columns))


def matrix(seed: int, purpose: str, rows: int, columns: int) -> np.ndarray:
    with numerics():
        return np.asarray(compiled_matrix(purpose, rows, columns)(np.int64(seed)))


def assert_standard_normal(values: np.ndarray) -> None:
    """Moments 1 to 4 of independent standard normal entries, each within 5 of its deviations."""
    count = values.size
    for power, moment, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs(np.mean(values**power) - moment) < SIGMAS * np.sqrt(variance / count), power


def test_fan_in_normal_has_variance_one_over_fan_in():
    weights = draw("fan_in_normal", (40, 90, 90, 50), seed=1)
    assert [w.shape for w in weights] == [(90, 40), (90, 90), (50, 90)]
    for weight, fan_in in zip(weights, (40, 90, 90), strict=True):
        assert weight.dtype == np.float64
        assert_standard_normal(weight * np.sqrt(fan_in))
    # Layers are independent: correlations of n pairs have deviation 1 / sqrt(n).
    pairs = np.corrcoef(weights[0][:, :40].ravel(), weights[1][:, :40].ravel())[0, 1]
    assert abs(pairs) < SIGMAS / np.sqrt(90 * 40)


def test_zero_last_is_fan_in_normal_but_for_the_last_layer():
    dims: tuple[int, ...] = (4, 6, 6, 5)
    scales: dict[str, Any] = {"layer_init_scale": 3.0, "relative_init_scale": 0.5}
    wanted = draw("fan_in_normal", dims, seed=1, width=3, **scales)
    weights = draw("zero_last", dims, seed=1, width=3, **scales)
    for weight, other in zip(weights[:-1], wanted[:-1], strict=True):
        np.testing.assert_array_equal(weight, other)
        assert np.any(weight)
    assert weights[-1].shape == (5, 6)
    assert not np.any(weights[-1])


def test_rows_and_columns_of_a_draw_are_independent():
    g = matrix(3, "x", 60, 60)
    # Inner products of different rows (columns) of n entries have deviation sqrt(n); 1770 pairs
    # of each kind are tested at once, so 6.5 deviations keep the error below 6e-7.
    for gram in (g @ g.T, g.T @ g):
        assert np.max(np.abs(gram - np.diag(np.diag(gram)))) < 6.5 * np.sqrt(60)


@pytest.mark.parametrize("dims", [(6, 20, 20, 9), (30, 12, 40), (7, 5)])
def test_orthogonal_factors_have_orthonormal_rows_or_columns(dims):
    for weight in draw("orthogonal", dims, seed=2):
        small = min(weight.shape)
        gram = weight.T @ weight if weight.shape[0] >= weight.shape[1] else weight @ weight.T
        assert np.max(np.abs(gram - np.eye(small))) < EXACT


def test_haar_frames_have_no_preferred_sign_or_direction():
    # An entry of a Haar frame in dimension k has mean 0, variance 1/k; numpy's or LAPACK's bare
    # QR would give the diagonal one sign.
    count, k = 2000, 6
    with numerics():
        draws = jax.jit(jax.vmap(lambda seed: haar(purpose_key(seed, "haar"), k, 3)))
        frames = np.asarray(draws(np.arange(count)))
    assert np.max(np.abs(np.mean(frames, axis=0))) < SIGMAS * np.sqrt(1 / k / count)
    # Var(q^2) = 2 (k - 1) / (k^2 (k + 2)) for a coordinate q of a uniform unit vector.
    spread = np.sqrt(2 * (k - 1) / (k**2 * (k + 2)) / count)
    assert np.max(np.abs(np.mean(frames**2, axis=0) - 1 / k)) < SIGMAS * spread


@pytest.mark.parametrize("dims", [(9, 12, 12, 12, 6), (6, 6, 9), (7, 5)])
def test_balanced_weights_are_balanced(dims):
    weights = draw("balanced", dims, seed=5)
    for lower, upper in itertools.pairwise(weights):
        assert np.max(np.abs(upper.T @ upper - lower @ lower.T)) < EXACT
        assert np.linalg.norm(upper) > 0.1


def test_balanced_product_is_gaussian():
    product = oracle.product(draw("balanced", (40, 60, 60, 50), seed=6))
    assert_standard_normal(product * np.sqrt(40))
    # All layers have the singular values sigma^(1/L) of the product.
    weights = draw("balanced", (8, 12, 12, 9), seed=7)
    values = np.linalg.svd(oracle.product(weights), compute_uv=False)
    for weight in weights:
        found = np.linalg.svd(weight, compute_uv=False)
        assert np.max(np.abs(found[:8] - values ** (1 / 3))) < EXACT
        assert np.all(found[8:] < EXACT)


def test_balanced_frames_are_random():
    one, two = (draw("balanced", (3, 12, 3), seed=s)[0] for s in (8, 9))
    assert np.linalg.norm(one[:3]) < 0.99 * np.linalg.norm(one)
    assert not np.allclose(one / np.linalg.norm(one), two / np.linalg.norm(two), atol=1e-3)


def test_identity_is_rectangular():
    weights = draw("identity", (3, 5, 5, 4))
    assert np.array_equal(weights[0], np.eye(5, 3))
    assert np.array_equal(weights[1], np.eye(5))
    assert np.array_equal(weights[2], np.eye(4, 5))


@pytest.mark.parametrize("initializer", list(INITIALIZERS))
def test_scales_multiply_each_layer_and_the_product(initializer):
    dims = (4, 6, 6, 5)
    plain = draw(initializer, dims, seed=10)
    layers = draw(initializer, dims, seed=10, layer_init_scale=0.25)
    assert all(np.array_equal(0.25 * a, b) for a, b in zip(plain, layers, strict=True))
    whole = draw(initializer, dims, seed=10, product_init_scale=0.1)
    product, scaled = oracle.product(plain), oracle.product(whole)
    assert np.max(np.abs(scaled - 0.1 * product)) < EXACT
    pairs = [pair for pair in zip(plain, whole, strict=True) if np.any(pair[0])]
    norms = [np.linalg.norm(b) / np.linalg.norm(a) for a, b in pairs]
    assert np.max(np.abs(np.array(norms) - 0.1 ** (1 / 3))) < EXACT
    moved = draw(initializer, dims, seed=10, relative_init_scale=4.0)
    factors = (4.0, 1.0, 0.25)
    assert all(np.array_equal(f * a, b) for f, a, b in zip(factors, plain, moved, strict=True))


@pytest.mark.parametrize("initializer", [k for k, v in INITIALIZERS.items() if v.paddable])
@pytest.mark.parametrize("dims", [(4, 7, 7, 5), (4, 3, 5)])
def test_a_padded_network_holds_the_narrow_one_bit_for_bit(initializer, dims):
    width, padded = dims[1], 33
    wide_dims = (dims[0], *[padded] * (len(dims) - 2), dims[-1])
    narrow = draw(initializer, dims, seed=11, carefully=True)
    wide = draw(initializer, wide_dims, seed=11, width=width, carefully=True)
    for a, b in zip(narrow, wide, strict=True):
        rows, columns = a.shape
        assert np.array_equal(b[:rows, :columns], a)
        assert not np.any(b[rows:])
        assert not np.any(b[:, columns:])


def test_larger_gaussian_matrices_contain_the_smaller():
    large = matrix(12, "prefix", 50, 70)
    for rows, columns in [(1, 1), (3, 70), (50, 2)]:
        assert np.array_equal(matrix(12, "prefix", rows, columns), large[:rows, :columns])


def test_draws_depend_on_seed_purpose_and_nothing_else():
    seeds = [0, 1, 2**32, 2**32 + 1, 2**63 - 1]
    firsts = [draw("fan_in_normal", (4, 7, 5), seed=s)[0] for s in seeds]
    for i in range(len(seeds)):
        for j in range(i):
            assert not np.any(firsts[i] == firsts[j]), (seeds[i], seeds[j])
    again = draw("fan_in_normal", (4, 7, 5), seed=0)
    assert np.array_equal(firsts[0], again[0])
    # Depth adds layers without moving those before.
    deeper = draw("fan_in_normal", (4, 7, 7, 5), seed=0)
    assert np.array_equal(deeper[0], again[0])


# Random123's published answers for threefry2x32 with 20 rounds: counter, key, block.
KNOWN_ANSWERS = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


def block(key: tuple[int, int], counter: tuple[int, int]) -> tuple[int, int]:
    """Threefry-2x32-20 in Python integers (Salmon et al. 2011, section 3.3)."""
    words = (key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA)
    x, y = (counter[0] + words[0]) % 2**32, (counter[1] + words[1]) % 2**32
    rotations = [13, 15, 26, 6, 17, 29, 16, 24]
    for r in range(20):
        x = (x + y) % 2**32
        k = rotations[r % 8]
        y = ((y << k) | (y >> (32 - k))) % 2**32 ^ x
        if r % 4 == 3:
            s = (r + 1) // 4
            x = (x + words[s % 3]) % 2**32
            y = (y + words[(s + 1) % 3] + s) % 2**32
    return x, y


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_threefry_gives_the_published_answers(counter, key, expected):
    assert block(key, counter) == expected
    with numerics():
        words = [(np.uint32(a), np.uint32(b)) for a, b in (key, counter)]
        found = jax.jit(threefry2x32)(*words)
    assert tuple(int(w) for w in found) == expected


@pytest.mark.parametrize("seed", [0, 7, 2**32 + 5, 2**63 - 1])
def test_gaussian_entries_are_quantiles_of_the_blocks(seed):
    purpose = "data/operator"
    found = matrix(seed, purpose, 3, 4)
    key = block((seed >> 32, seed % 2**32), (0, zlib.crc32(purpose.encode())))
    for i in range(3):
        for j in range(4):
            high, low = block(key, (i, j))
            uniform = ((high * 2**32 + low) // 2**12 + 0.5) / 2**52
            # SciPy and XLA approximate the quantile apart, each to a few units in the last place.
            assert abs(found[i, j] - ndtri(uniform)) < 1e-13


def own_purposes() -> set[str]:
    """Every purpose that the package's source names, for two layers."""
    texts = [path.read_text(encoding="utf-8") for path in Path(dlnsweep.__path__[0]).rglob("*.py")]
    found = {name for text in texts for name in re.findall(r'key\(f?"([^"]+)"\)', text)}
    # Passed on by functions that several purposes share.
    found |= {"law/{i}/chi", "law/{i}/rest", "data/signals", "test/signals"}
    found |= {"weights/1/off", "weights/1/rest"}
    found -= {"law/{i + 1}/{purpose}", "weights/1/{purpose}"}
    return {re.sub(r"\{.*?\}", layer, name) for name in found for layer in "12"}


def test_keys_that_are_computed_together_are_those_of_their_purposes() -> None:
    names = sorted(own_purposes())
    assert {"data/operator", "weights/2", "weights/frame1", "law/2/chi"} <= set(names)
    # The package does not name it: it has a key as well.
    names.append("data/of_a_plugin")

    def together(seed: Any) -> Any:
        key = keys_of(seed, 2)
        return [key(name) for name in names]

    with numerics():
        found = jax.jit(jax.vmap(together))(np.array([5, 2**40 + 7]))
    for name, words in zip(names, found, strict=True):
        for lane, seed in enumerate((5, 2**40 + 7)):
            expected = block((seed >> 32, seed % 2**32), (0, zlib.crc32(name.encode())))
            assert (int(words[0][lane]), int(words[1][lane])) == expected, name


def test_every_purpose_of_the_package_is_among_those_computed_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def alone(seed: Any, purpose: str) -> Any:
        raise AssertionError(f"{purpose} would be compiled by itself")

    monkeypatch.setattr(streams, "purpose_key", alone)
    with numerics():
        key = keys_of(jax.numpy.int64(0), 2)
        for name in own_purposes():
            key(name)
        with pytest.raises(AssertionError, match="by itself"):
            key("data/of_a_plugin")


def test_streams_are_pinned():
    # With any change here stored results would not be repeated: raise NUMERICS_VERSION.
    assert np.max(np.abs(matrix(7, "data/operator", 1, 3) - PINNED)) < 1e-13


PINNED = [-0.7205284268881292, 0.7207044429472665, -0.7956348114999293]
