"""Problem "noisy_subspace": its draws, and its training by both kernels against NumPy.

Statistical bounds are 5 standard deviations wide for fixed keys: a correct draw would fail one
with a probability below 6e-7.
"""

from __future__ import annotations

from functools import cache, partial

import jax
import numpy as np
import oracle
import pytest
from test_batches import drawn, expected, plan_of, train_rows

from dlnsweep import cost, lanes
from dlnsweep.draws import Sections
from dlnsweep.problems import PROBLEMS, noisy_subspace, subspace
from dlnsweep.problems.operators import draw_operator
from dlnsweep.runtime import numerics
from dlnsweep.settings import with_numbers
from dlnsweep.streams import haar, purpose_key

SIGMAS = 5.0
# Products of orthonormal factors, rounded at 1.1e-16 an entry.
EXACT = 1e-12
# What issue 2 promises on well-posed instances.
AGREEMENT = 1e-9
# Errors are differences of numbers of size 1, rounded at 1.1e-16 in some hundred steps.
ROUNDING = 1e-13
TOLERANCE, SAFETY = 1e-4, 3.0
# The observables whose range is that of the clean measurements are checked apart.
OBSERVED = [
    "loss", "regression_error", "off_subspace_error", "singular_values", "weight_norms",
    "gradient_norm", "oracle_distance", "stable_rank", "test_error",
]  # fmt: skip
# (d, m, s, n): many samples; fewer than d; fewer than m; fewer than s; s = m.
SIZES = [(9, 6, 3, 40), (9, 6, 3, 8), (9, 6, 3, 5), (9, 6, 4, 2), (7, 4, 4, 30)]


@cache
def compiled(kind: str, sizes: tuple[int, int, int, int]):
    d, m, s, n = sizes
    problem = PROBLEMS[kind]
    own = problem.settings(signal_dim=d, measurement_dim=m, subspace_dim=s, num_samples=n)

    def draw(seed, numbers):
        mine, key = with_numbers(own, numbers), partial(purpose_key, seed)
        operator, basis = draw_operator(mine, key), haar(key("data/basis"), d, s)
        return (operator, basis, *problem.draw(mine, key), *problem.draw_test(mine, key, 50))

    return jax.jit(draw)


def draw(sizes, seed=0, kind="noisy_subspace", **numbers):
    """Return A, R, X, Y, test signals and test measurements."""
    with numerics():
        values = {k: np.float64(v) for k, v in numbers.items()}
        return [np.asarray(a) for a in compiled(kind, sizes)(np.int64(seed), values)]


@pytest.mark.parametrize("sizes", SIZES)
def test_without_noise_and_tail_it_is_the_subspace(sizes):
    plain = draw(sizes, seed=4, kind="subspace", condition_number=3.0)
    noisy = draw(
        sizes, 4, condition_number=3.0, measurement_noise=0.0, tail_level=0.0, tail_power=2.0
    )
    for a, b in zip(plain, noisy, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("sizes", SIZES)
def test_the_tail_has_its_singular_values_beyond_the_subspace(sizes):
    d, _, s, n = sizes
    numbers = {"condition_number": 4.0, "measurement_noise": 0.0}
    _, basis, inside, *_ = draw(sizes, 1, tail_level=0.0, tail_power=1.0, **numbers)
    _, _, x, y, *_ = draw(sizes, 1, tail_level=0.2, tail_power=1.5, **numbers)
    operator = draw(sizes, 1, tail_level=0.0, tail_power=0.0, **numbers)[0]
    r = min(s, n)
    count = min(d - s, n - r)
    tail = x - inside
    values = np.linalg.svd(tail, compute_uv=False)
    wanted = [0.2 * k**-1.5 for k in range(1, count + 1)]
    assert np.max(np.abs(values[:count] - wanted), initial=0.0) < EXACT
    assert np.all(values[count:] < EXACT)
    assert np.max(np.abs(basis.T @ tail)) < EXACT
    assert np.max(np.abs(inside @ tail.T)) < EXACT
    assert np.max(np.abs(operator @ x - y)) < EXACT
    # So the singular values of X are those of both.
    both = np.sort([*np.linspace(1, 1 / 4, r), *wanted])[::-1]
    assert np.max(np.abs(np.linalg.svd(x, compute_uv=False)[: len(both)] - both)) < EXACT
    assert len(both) == min(d, n) if n > s else n


def test_tails_are_drawn_from_the_haar_measure():
    # The tail of two values is left diag right^T; entries of a Haar frame in the complement of R
    # have mean 0, and E left left^T is the projector beyond R, over d - s.
    sizes, seeds = (6, 5, 2, 4), 300
    total, means = np.zeros((6, 6)), np.zeros((6, 4))
    for seed in range(seeds):
        numbers = {"measurement_noise": 0.0, "condition_number": 1.0, "tail_power": 0.0}
        _, basis, inside, *_ = draw(sizes, seed, tail_level=0.0, **numbers)
        x = draw(sizes, seed, tail_level=1.0, **numbers)[2]
        tail = x - inside
        means += tail / seeds
        # In coordinates of a fixed frame that begins with R, each pair of directions is alike.
        total += tail @ tail.T / seeds
        assert np.max(np.abs(basis.T @ tail)) < EXACT
    # E over R of the projector beyond R, times 2 / (d - s) values: (2 / d) I. A squared entry has
    # a variance below its mean.
    assert np.max(np.abs(total - np.eye(6) / 3)) < SIGMAS * np.sqrt(1 / 3 / seeds)
    assert np.max(np.abs(means)) < SIGMAS * np.sqrt(1 / 3 / 4 / seeds) * 1.2


def test_noise_is_relative_to_the_signals():
    sizes = (9, 6, 3, 2000)
    numbers = {"condition_number": 2.0, "tail_power": 1.0}
    operator, _, x, clean, *_ = draw(sizes, 2, measurement_noise=0.0, tail_level=0.0, **numbers)
    noise = draw(sizes, 2, measurement_noise=0.3, tail_level=0.0, **numbers)[3] - clean
    # (1^2 + 0.75^2 + 0.5^2) / n is the mean square norm of a signal.
    deviation = 0.3 * np.sqrt((1 + 0.75**2 + 0.5**2) / 2000)
    scaled = noise / deviation
    assert abs(np.mean(scaled)) < SIGMAS / np.sqrt(noise.size)
    assert abs(np.mean(scaled**2) - 1) < SIGMAS * np.sqrt(2 / noise.size)
    assert abs(np.mean(scaled**4) - 3) < SIGMAS * np.sqrt(96 / noise.size)
    # Neither the tail nor the size of the noise changes its draw.
    _, _, more, with_tail, *_ = draw(sizes, 2, measurement_noise=0.6, tail_level=0.5, **numbers)
    assert np.max(np.abs(with_tail - operator @ more - 2 * noise)) < EXACT
    assert np.linalg.norm(more - x) > 0.5
    # The noise of test measurements is the same beside test signals of mean square norm 1.
    assert np.mean(np.sum(x**2, axis=0)) == pytest.approx((deviation / 0.3) ** 2)


def test_test_signals_are_clean():
    sizes = SIZES[0]
    numbers = {"condition_number": 1.0, "tail_power": 1.0}
    noisy = draw(sizes, 3, measurement_noise=0.5, tail_level=0.5, **numbers)
    plain = draw(sizes, 3, kind="subspace", condition_number=1.0)
    assert np.array_equal(noisy[4], plain[4])
    assert np.array_equal(noisy[5], plain[5])
    assert noisy_subspace.draw_test is subspace.draw_test


def clean_measurements(made, row: int) -> np.ndarray:
    """Return A R R^T X of a run: what lies in the subspace, measured without noise."""
    sections = Sections.from_row(made.row(row))
    x = drawn(made, row)[2]
    d, s = sections.problem.signal_dim, sections.problem.subspace_dim
    with numerics():
        key = partial(purpose_key, np.int64(made.row(row)["seed"]))
        operator = np.asarray(draw_operator(sections.problem, key))
        basis = np.asarray(haar(key("data/basis"), d, s))
    return operator @ (basis @ (basis.T @ x))


def assert_follows(made, row: int, trained, allowed: float) -> None:
    off = oracle.off_projector(clean_measurements(made, row))
    signals, measurements, _ = drawn(made, row)[-1]
    for k, state in enumerate(expected(made, row)):
        matrix = oracle.product(state.weights)
        for name, values in trained.observables.items():
            if name == "off_subspace_error":
                wanted = np.linalg.norm(matrix @ off, 2)
            elif name == "test_error":
                error = matrix @ measurements - signals
                wanted = np.linalg.norm(error) / np.linalg.norm(signals)
            else:
                wanted = oracle.OBSERVABLES[name](state)
            apart = np.abs(values[row, k] - wanted)
            assert np.all(apart <= allowed * np.max(np.abs(wanted)) + ROUNDING), (name, row, k)


NOISE = {"measurement_noise": [0.05, 0.5], "tail_level": 0.1, "condition_number": 2.0}


def plan(kernel: str, width: int, **problem):
    return plan_of(
        problem={"kind": "noisy_subspace", **problem},
        network={"width": width},
        training={"learning_rate": 0.05, "weight_decay": 0.1, "num_steps": 200},
        record={"count": 8, "observables": OBSERVED, "num_test_samples": 20},
        sweep={"seeds": 2, "kernel": kernel, "tolerance": TOLERANCE},
    )


# Y of full rank; fewer samples than measurements; fewer than dimensions of the subspace.
@pytest.mark.parametrize("sizes", [{}, {"num_samples": 3}, {"subspace_dim": 3, "num_samples": 2}])
def test_dense_training_is_that_of_all_samples(sizes):
    made = plan("dense", 8, **NOISE, **sizes)
    trained = train_rows(made)
    for row in range(made.num_runs):
        assert_follows(made, row, trained, AGREEMENT)


def test_reduced_training_is_that_of_all_samples():
    made = plan("reduced", 40, **NOISE)
    trained = train_rows(made)
    assert trained.kernel == ["reduced"] * 4
    assert trained.kernel_reason == ["certified"] * 4
    for row in range(made.num_runs):
        allowed = max(TOLERANCE, SAFETY * trained.truncation_error[row])
        assert_follows(made, row, trained, allowed)


@pytest.mark.parametrize(("kernel", "width"), [("dense", 8), ("reduced", 20)])
def test_training_without_noise_is_that_of_the_subspace(kernel: str, width: int):
    made = plan(kernel, width, measurement_noise=[0.0, 1e-14])
    trained = train_rows(made)
    for row in range(2):
        assert_follows(made, row, trained, AGREEMENT)
    plain = plan_of(
        network={"width": width},
        training={"learning_rate": 0.05, "weight_decay": 0.1, "num_steps": 200},
        record={"count": 8, "observables": OBSERVED, "num_test_samples": 20},
        sweep={"seeds": 2, "kernel": "dense"},
    )
    of_subspace = train_rows(plain)
    for name, values in of_subspace.observables.items():
        found = trained.observables[name]
        assert np.all(np.isfinite(found)), name
        apart = np.abs(found[:2] - values)
        assert np.all(apart <= AGREEMENT * np.abs(values) + ROUNDING), name
    if kernel == "reduced":
        reason = "complete bases: the measurements are nearly rank-deficient"
        assert trained.kernel_reason == [reason] * 4


def test_what_cannot_be_certified_is_trained_by_the_dense_kernel(monkeypatch):
    monkeypatch.setattr(cost, "_FEWEST_STEPS", 0)
    monkeypatch.setattr(cost, "_LEAST_FLOPS", 0)
    monkeypatch.setattr(lanes, "_WORSE", 0.0)
    made = plan("auto", 40, measurement_noise=[0.0, 0.5])
    trained = train_rows(made)
    assert trained.kernel == ["dense", "dense", "reduced", "reduced"]
    assert trained.kernel_reason[:2] == ["the measurements are nearly rank-deficient"] * 2
    for row in range(4):
        assert_follows(made, row, trained, max(TOLERANCE, AGREEMENT))
