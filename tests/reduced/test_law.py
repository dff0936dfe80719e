"""The law of compressed Gaussian networks, against drawn networks that are whole.

Keys and seeds are fixed. All Kolmogorov-Smirnov tests of this file together (fewer than
`COMPARISONS`) would fail a correct law with a probability of at most 1e-3. They were seen to fail
for laws broken on purpose, and the last tests repeat some of these breakages.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from dlnsweep.numerics import streams
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import chi_squared, purpose_key
from dlnsweep.reduced.law import Plan, draw_compressed, level_plan, squared_norms

M, R, D = 6, 2, 8
COMPARISONS = 400
P_VALUE = 1e-3 / COMPARISONS
LANES = 100


def assert_same_law(found: np.ndarray, expected: np.ndarray, what: object = "") -> None:
    """Compare two samples, or each column of two tables of them."""
    found, expected = found.reshape(len(found), -1), expected.reshape(len(expected), -1)
    for column, (one, two) in enumerate(zip(found.T, expected.T, strict=True)):
        compared: Any = stats.ks_2samp(one, two)
        assert compared.pvalue > P_VALUE, (what, column)


# Draws from the law


def scales(width: int, depth: int) -> np.ndarray:
    """Another standard deviation in every layer, so that none can stand for another."""
    return np.linspace(0.8, 1.2, depth) / np.sqrt(width + D)


@cache
def compiled_law(plan: Plan):
    def one(seed, width, sigmas):
        key = partial(purpose_key, seed)
        matrices = draw_compressed(plan, width, sigmas, key)
        return matrices, squared_norms(plan, matrices, width, sigmas, key)

    # Compiling with less care takes half the time; the numbers are compared with usual ones below.
    return jax.jit(jax.vmap(one), compiler_options={"xla_backend_optimization_level": 0})


def from_law(plan: Plan, width: int, count: int, seed: int = 0):
    """Draw `count` networks: matrices with a leading axis, and squared norms (count, L)."""
    parts = []
    with numerics():
        sigmas = np.tile(scales(width, plan.depth), (LANES, 1))
        for start in range(0, count, LANES):
            # Always as many lanes, so that each plan is compiled once.
            seeds = np.arange(seed + start, seed + start + LANES)
            matrices, norms = compiled_law(plan)(seeds, np.full(LANES, width), sigmas)
            parts.append([*map(np.asarray, matrices), np.asarray(norms)])
    *matrices, norms = [np.concatenate(part)[:count] for part in zip(*parts, strict=True)]
    return matrices, norms


# Whole networks, in plain NumPy


def drawn(depth: int, width: int, count: int, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    dims = [M, *[width] * (depth - 1), D]
    return [
        sigma * rng.normal(size=(count, rows, columns))
        for sigma, columns, rows in zip(scales(width, depth), dims, dims[1:], strict=False)
    ]


def words(weights: list[np.ndarray]) -> np.ndarray:
    """Norms, inner products and singular values of products up to W^T W W^T W_L^T, (count, k).

    The bases of level 3 hold all of them: 2 for going back and forth, one more for the part along
    vectors of off-range directions, which come late.
    """
    if len(weights) == 1:
        return np.linalg.svd(weights[0], compute_uv=False)
    forward = weights[0]
    for weight in weights[1:-1]:
        forward = weight @ forward
    on, off = forward[:, :, :R], forward[:, :, R:]
    back = np.swapaxes(weights[-1], 1, 2)
    found = [np.sum(on**2, (1, 2)), np.sum(off**2, (1, 2)), np.sum(back**2, (1, 2))]
    found.append(np.einsum("nij,nij->n", back[:, :, :R], on))
    if len(weights) > 2:
        below = np.swapaxes(weights[-2], 1, 2)
        # Level 1: pulled what was pushed, and pushed what was pulled.
        returned, again = below @ on, weights[-2] @ (below @ back)
        found += [np.sum(returned**2, (1, 2)), np.sum(again**2, (1, 2))]
        if len(weights) == 3:
            found.append(np.einsum("nij,nij->n", returned, weights[0][:, :, :R]))
        # Level 2.
        twice, thrice = weights[-2] @ returned, below @ again
        found += [np.sum(twice**2, (1, 2)), np.sum(thrice**2, (1, 2))]
        found.append(np.einsum("nij,nij->n", twice, back[:, :, :R]))
    product = weights[-1] @ forward
    # Below the rank there is only rounding.
    rank = min(M, D, weights[0].shape[1])
    return np.column_stack([*found, np.linalg.svd(product, compute_uv=False)[:, :rank]])


def train(weights: list[np.ndarray], steps: list[int]) -> np.ndarray:
    """Train by gradient descent; return errors and singular values at `steps`, (count, k)."""
    rate, decay = 0.1, 0.02
    values = np.diag([1.0, 0.6])
    rng = np.random.default_rng(5)
    targets = np.linalg.qr(rng.normal(size=(D, R)))[0] @ values
    first_off, layers = weights[0][:, :, R:], [weights[0][:, :, :R].copy(), *weights[1:]]
    layers[1:] = [layer.copy() for layer in layers[1:]]
    rows = []
    for step in range(steps[-1] + 1):
        active = [np.broadcast_to(values, (len(first_off), R, R))]
        for layer in layers:
            active.append(layer @ active[-1])
        signal = active[-1] - targets
        if step in steps:
            off = (1 - rate * decay) ** step * first_off
            for layer in layers[1:]:
                off = layer @ off
            whole = np.concatenate([active[-1] / np.diag(values), off], axis=2)
            spectrum = np.linalg.svd(whole, compute_uv=False)
            error = np.sqrt(np.sum(signal**2, (1, 2)))
            off_error = np.linalg.svd(off, compute_uv=False)[:, 0]
            rows.append(np.column_stack([error, off_error, spectrum[:, [0, 1, 2, 5]]]))
        for i in reversed(range(len(layers))):
            change = signal @ np.swapaxes(active[i], 1, 2)
            signal = np.swapaxes(layers[i], 1, 2) @ signal
            layers[i] *= 1 - rate * decay
            layers[i] -= rate * change
    return np.hstack(rows)


def train_all(weights: list[np.ndarray], steps: list[int]) -> np.ndarray:
    # A few networks at a time stay in cache.
    groups = [[w[i : i + 10] for w in weights] for i in range(0, len(weights[0]), 10)]
    return np.vstack([train(group, steps) for group in groups])


def reveal(weights: list[np.ndarray], plan: Plan) -> list[np.ndarray]:
    """Build the plan's bases of a drawn network by Gram-Schmidt; return all bases.

    Only the order of the plan is used: which vector is multiplied when.
    """
    depth = plan.depth
    events = []
    for space in range(depth + 1):
        for step, times in ((1, plan.pushed[space]), (-1, plan.pulled[space])):
            events += [(t, space, step, v) for v, t in enumerate(times) if t < 2**31 - 1]
    bases = [np.eye(M), *[np.zeros((w.shape[0], 0)) for w in weights[:-1]], np.eye(D)]
    for _, space, step, vector in sorted(events):
        matrix = weights[space] if step == 1 else weights[space - 1].T
        image = matrix @ bases[space][:, vector]
        basis = bases[space + step]
        for _ in range(2):
            image = image - basis @ (basis.T @ image)
        bases[space + step] = np.column_stack([basis, image / np.linalg.norm(image)])
    return bases


# Chi-squared numbers


@cache
def compiled_chi_squared(count: int):
    def numbers(seed, degrees):
        places = jnp.arange(count, dtype=jnp.uint32), jnp.zeros(count, jnp.uint32)
        return chi_squared(purpose_key(seed, "chi"), places, jnp.full(count, degrees))

    return jax.jit(numbers)


@pytest.mark.parametrize("degrees", [1, 2, 3, 7, 100, 10**6, 10**12, 10**24])
def test_chi_squared_numbers_have_their_law(degrees: int):
    with numerics():
        found = np.asarray(compiled_chi_squared(20_000)(jnp.int64(3), jnp.float64(degrees)))
    assert found.dtype == np.float64
    if degrees < 10**9:
        expected = stats.chi2(degrees).cdf
    else:
        # SciPy's is not accurate there; the two differ by less than 1 / sqrt(degrees) = 1e-6.
        found, expected = (found - degrees) / np.sqrt(2.0 * degrees), stats.norm.cdf
    assert stats.kstest(found, expected).pvalue > P_VALUE


def test_chi_squared_without_degrees_of_freedom_is_zero():
    with numerics():
        for degrees in (0.0, -1.0, -50.0):
            found = compiled_chi_squared(20_000)(jnp.int64(0), jnp.float64(degrees))
            assert not np.any(np.asarray(found))


def test_a_chi_squared_number_depends_on_its_place_key_and_degrees_alone():
    with numerics():
        key = purpose_key(jnp.int64(0), "a")
        places = jnp.array([3, 9, 4], jnp.uint32), jnp.array([2, 2, 7], jnp.uint32)
        degrees = jnp.array([5.0, 8.0, 1.0])
        draw = jax.jit(chi_squared)
        found = np.asarray(draw(key, places, degrees))
        for other in ([2, 1, 0], [0, 0, 1]):
            order = np.array(other)
            again = draw(key, (places[0][order], places[1][order]), degrees[order])
            assert np.allclose(again, found[order], rtol=1e-14, atol=0)
        assert len({float(x) for x in draw(key, places, jnp.full(3, 5.0))}) == 3


def test_tries_for_a_chi_squared_number_fail_rarely_enough():
    # The shape that fails most is the smallest, 1; a shape of 1/2 is drawn by way of 3/2.
    def kept(x: float, shape: float) -> float:
        h = shape - 1 / 3
        y = x / (3 * np.sqrt(h))
        if y <= -1:
            return 0.0
        ratio = h * (4.5 * y**2 + 1 - (1 + y) ** 3 + 3 * np.log1p(y))
        return float(min(1.0, np.exp(ratio)) * stats.norm.pdf(x))

    failures = [1 - integrate.quad(kept, -9, 9, (a,), limit=200)[0] for a in (1, 1.5, 2, 10)]
    assert failures == sorted(failures, reverse=True)
    assert failures[0] ** streams._TRIES < 1e-15


def test_the_logarithm_of_the_acceptance_is_right_where_it_cancels():
    from decimal import Decimal, getcontext

    getcontext().prec = 60
    ys = [-0.9, -0.3, -0.051, -0.049, -1e-3, 1e-6, 1e-12, 0.02, 0.0499, 0.0501, 0.5, 3.0]
    with numerics():
        found = np.asarray(jax.jit(streams._log_ratio)(jnp.array(ys)))
    for y, value in zip(map(Decimal, ys), found, strict=True):
        exact = Decimal("4.5") * y**2 + 1 - (1 + y) ** 3 + 3 * (1 + y).ln()
        assert abs(Decimal(float(value)) / exact - 1) < Decimal("1e-10"), y


# Structure


@pytest.mark.parametrize(("depth", "levels"), [(2, 1), (3, 3), (4, 2), (5, 2)])
def test_bases_of_drawn_networks_have_the_plans_zeros(depth: int, levels: int):
    plan = level_plan(depth, M, R, D, levels)
    weights = [w[0] for w in drawn(depth, 110, 1)]
    bases = reveal(weights, plan)
    assert plan.sizes == tuple(b.shape[1] for b in bases)
    for i, weight in enumerate(weights):
        matrix = bases[i + 1].T @ weight @ bases[i]
        rows, columns = plan.diagonals[i]
        assert np.max(np.abs(matrix[~plan.patterns[i]]), initial=0) < 1e-10
        assert np.min(np.abs(matrix[plan.patterns[i]])) > 1e-7
        assert np.min(matrix[rows, columns], initial=1) > 0.1
        # What is marked complete has no part outside the bases, and the rest has.
        right = np.linalg.norm(weight @ bases[i] - bases[i + 1] @ matrix, axis=0)
        left = np.linalg.norm(bases[i + 1].T @ weight - matrix @ bases[i].T, axis=1)
        assert np.array_equal(right < 1e-10, plan.complete_columns[i])
        assert np.array_equal(left < 1e-10, plan.complete_rows[i])
        assert np.min(right[~plan.complete_columns[i]], initial=1) > 0.1


def test_sizes_of_the_bases():
    sizes = [[level_plan(depth, 32, 4, 64, n).sizes[1:-1] for n in range(4)] for depth in (2, 3, 4)]
    assert sizes == [
        [(96,)] * 4,
        [(96, 96), (100, 160), (164, 164), (196, 228)],
        [(96, 96, 96), (100, 164, 160), (168, 232, 228), (264, 396, 296)],
    ]


def test_a_deeper_level_extends_a_shallower():
    shallow, deep = (level_plan(3, M, R, D, levels) for levels in (1, 3))

    def first(seed, width, sigmas):
        return draw_compressed(shallow, width, sigmas, partial(purpose_key, seed))

    # With as little care as the deeper one is compiled; see `compiled_law`.
    draw = jax.jit(first, compiler_options={"xla_backend_optimization_level": 0})
    for width in (9, 40, 10**7):
        with numerics():
            drawn_small = draw(jnp.int64(4), jnp.int64(width), jnp.asarray(scales(width, 3)))
        small = [np.asarray(w) for w in drawn_small]
        for one, two in zip(small, from_law(deep, width, 1, seed=4)[0], strict=True):
            part = two[0, : one.shape[0], : one.shape[1]]
            # The same numbers, from two compiled programs.
            assert np.any(part)
            assert np.max(np.abs(part - one)) <= 1e-14 * np.max(np.abs(one))


def test_vectors_that_do_not_exist_are_zero():
    plan = level_plan(3, M, R, D, 3)
    assert plan.sizes == (6, 30, 32, 8)
    for width in (1, 2, 5, 20, 29, 31, 50):
        weights, norms = from_law(plan, width, 3)
        assert all(np.all(np.isfinite(w)) for w in weights)
        for i, weight in enumerate(weights):
            rows = width if i < plan.depth - 1 else D
            columns = width if i > 0 else M
            assert not np.any(weight[:, rows:])
            assert not np.any(weight[:, :, columns:])
            exists = plan.patterns[i][:rows, :columns]
            assert np.all((weight[0, :rows, :columns] != 0) == exists)
            if width <= min(plan.sizes[1:-1]):
                assert np.max(np.abs(norms[:, i] / np.sum(weight**2, (1, 2)) - 1)) < 1e-14


def test_one_program_draws_all_widths_and_lanes_alike():
    plan = level_plan(3, M, R, D, 3)
    traces = []

    def one(seed, width, sigmas):
        traces.append(seed)
        key = partial(purpose_key, seed)
        matrices = draw_compressed(plan, width, sigmas, key)
        return matrices, squared_norms(plan, matrices, width, sigmas, key)

    widths = [10**k for k in range(13)]
    with numerics():
        single = jax.jit(one)
        alone = [
            single(jnp.int64(7), jnp.int64(w), jnp.asarray(scales(w, plan.depth))) for w in widths
        ]
        assert len(traces) == 1
        lanes = np.resize(widths, LANES)
        sigmas = np.array([scales(w, plan.depth) for w in lanes])
        together = compiled_law(plan)(np.full(LANES, 7), lanes, sigmas)
    for k, (matrices, norms) in enumerate(alone):
        for found, expected in zip(together[0], matrices, strict=True):
            assert found.dtype == np.float64
            assert np.allclose(found[k], expected, rtol=1e-13, atol=0)
        assert np.allclose(together[1][k], norms, rtol=1e-13, atol=0)
    # ||W_2||_F^2 is (d_w sigma_2)^2 up to a relative deviation of sqrt(2) / d_w.
    for width, (_, norms) in list(zip(widths, alone, strict=True))[2:]:
        mean = width**2 / (width + D)
        assert abs(float(norms[1]) / mean - 1) < 7 * np.sqrt(2) / width + 1e-15


# The law


@pytest.mark.parametrize(
    ("depth", "width"),
    [
        *[(1, 1), (2, 60), (3, 60), (2, 1), (3, 1), (2, 2), (3, 2), (2, 5), (3, 5)],
        # Their programs are the largest, and depth 3 has all kinds of layers.
        *[pytest.param(*case, marks=pytest.mark.slow) for case in ((4, 60), (4, 2), (5, 50))],
    ],
)
def test_products_and_norms_have_the_law_of_drawn_networks(depth: int, width: int):
    count = 2000
    compressed, norms = from_law(level_plan(depth, M, R, D, 3), width, count)
    whole = drawn(depth, width, count)
    all_norms = np.column_stack([np.sum(w**2, (1, 2)) for w in whole])
    assert_same_law(norms, all_norms, "norms")
    expected = words(whole)
    found = words(compressed)[:, : expected.shape[1]]
    assert_same_law(found, expected, "words")
    # Norms belong to their matrices.
    assert_same_law(found[:, :1] / norms, expected[:, :1] / all_norms, "shares")


@pytest.mark.parametrize(
    ("depth", "width"),
    [
        *[(2, 60), (3, 60), (3, 5)],
        *[
            pytest.param(*case, marks=pytest.mark.slow)
            for case in ((2, 150), (3, 100), (4, 80), (5, 60))
        ],
    ],
)
def test_trained_networks_have_the_law_of_drawn_networks(depth: int, width: int):
    count, steps = 400, [5, 20, 60, 150]
    compressed = from_law(level_plan(depth, M, R, D, 3), width, count, seed=10_000)[0]
    found, expected = train_all(compressed, steps), train_all(drawn(depth, width, count), steps)
    # Training went somewhere, and stayed finite.
    assert np.median(expected[:, 18]) < 0.5 * np.median(expected[:, 0])
    assert_same_law(found, expected)


@pytest.mark.parametrize("width", [3, 100, 10**6, 10**12])
def test_moments_of_products_at_any_width(width: int):
    count = 2000
    first, second, _ = scales(width, 3)
    weights, _ = from_law(level_plan(3, M, R, D, 3), width, count, seed=20_000)
    forward = weights[1] @ weights[0][:, :, :1]
    back = np.swapaxes(weights[1], 1, 2) @ forward
    n = float(width)
    # E ||W_2 W_1 u||^2 and E ||W_2^T W_2 W_1 u||^2, from E tr (W_2^T W_2)^2 = n^2 (2 n + 1).
    for found, expected in [
        (forward, n**2 * first**2 * second**2),
        (back, n**2 * (2 * n + 1) * first**2 * second**4),
    ]:
        values = np.sum(found**2, (1, 2)) / expected
        # Five standard errors: a false alarm has a probability below 6e-7. At large widths the
        # deviation falls like 1 / sqrt(n), down to rounding.
        assert abs(np.mean(values) - 1) < 5 * np.std(values) / np.sqrt(count) + 1e-13


# Laws broken on purpose


def broken(plan: Plan, weights: list[np.ndarray], width: int, how: str) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    sigmas = scales(width, plan.depth)
    changed = [weight.copy() for weight in weights]
    for i, weight in enumerate(changed):
        rows, columns = plan.diagonals[i]
        if how == "entries after a reveal are Gaussian":
            noise = sigmas[i] * rng.normal(size=weight.shape)
            weight[:, ~plan.patterns[i]] = noise[:, ~plan.patterns[i]]
        elif how == "degrees of freedom do not fall":
            weight[:, rows, columns] = sigmas[i] * np.sqrt(
                rng.chisquare(width, size=(len(weight), len(rows)))
            )
        elif how == "the diagonal is Gaussian":
            weight[:, rows, columns] = sigmas[i] * rng.normal(size=(len(weight), len(rows)))
        else:
            noise = sigmas[i] * rng.normal(size=weight.shape)
            changed[i] = np.where(rng.random(weight.shape) < 0.5, weight, weight + noise)
    return changed


BREAKAGES = [
    "entries after a reveal are Gaussian",
    "degrees of freedom do not fall",
    "the diagonal is Gaussian",
    "entries are too large",
]


@pytest.mark.parametrize("how", BREAKAGES)
@pytest.mark.parametrize("depth", [2, 3])
def test_the_comparison_of_products_notices_a_broken_law(depth: int, how: str):
    plan, width, count = level_plan(depth, M, R, D, 3), 60, 1000
    weights = broken(plan, from_law(plan, width, count)[0], width, how)
    with pytest.raises(AssertionError):
        assert_same_law(words(weights), words(drawn(depth, width, count)))


@pytest.mark.parametrize("how", BREAKAGES)
def test_the_comparison_of_trained_networks_notices_a_broken_law(how: str):
    plan, width, count, steps = level_plan(3, M, R, D, 3), 60, 200, [5, 20]
    weights = broken(plan, from_law(plan, width, count)[0], width, how)
    with pytest.raises(AssertionError):
        assert_same_law(train_all(weights, steps), train_all(drawn(3, width, count), steps))
