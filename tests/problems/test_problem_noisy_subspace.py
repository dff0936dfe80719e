"""Problem "noisy_subspace": its draws, and its training by both kernels against NumPy.

Statistical bounds are 5 standard deviations wide for fixed keys: a correct draw would fail one
with a probability below 6e-7.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import numpy as np
import oracle
import pytest
from batch_samples import AGREEMENT, drawn, expected, plan_of, train_rows

from dlnsweep.contracts.drawing import Sections
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import haar, purpose_key
from dlnsweep.problems import noisy_subspace, subspace
from dlnsweep.problems.operators import draw_operator
from dlnsweep.settings.base import with_numbers

SIGMAS = 5.0
# Products of orthonormal factors, rounded at 1.1e-16 an entry.
EXACT = 1e-12
# Errors are differences of numbers of size 1, rounded at 1.1e-16 in some hundred steps.
ROUNDING = 1e-13
TOLERANCE, SAFETY = 1e-4, 3.0
# Draws are compiled with less care, in half the time.
QUICKLY = {"xla_backend_optimization_level": 0}
# The observables whose range is that of the clean measurements are checked apart.
OBSERVED = [
    "loss", "regression_error", "off_subspace_error", "singular_values", "weight_norms",
    "gradient_norm", "oracle_distance", "stable_rank", "test_error",
]  # fmt: skip
# (d, m, s, n): many samples; fewer than measurements; fewer than dimensions of the subspace.
MANY, FEW, FEWEST = (9, 6, 3, 40), (9, 6, 3, 5), (9, 6, 4, 2)


@cache
def compiled(kind: str, sizes: tuple[int, int, int, int]):
    d, m, s, n = sizes
    problem: Any = PROBLEMS[kind]
    own = problem.settings(signal_dim=d, measurement_dim=m, subspace_dim=s, num_samples=n)

    def draw(seed, numbers):
        mine, key = with_numbers(own, numbers), partial(purpose_key, seed)
        operator, basis = draw_operator(mine, key), haar(key("data/basis"), d, s)
        return (operator, basis, *problem.draw(mine, key), *problem.draw_test(mine, key, 50))

    return jax.jit(draw, compiler_options=QUICKLY)


def draw(sizes, seed=0, kind: Any = "noisy_subspace", **numbers):
    """Return A, R, X, Y, test signals and test measurements."""
    with numerics():
        values = {k: np.float64(v) for k, v in numbers.items()}
        return [np.asarray(a) for a in compiled(kind, sizes)(np.int64(seed), values)]


@pytest.mark.parametrize("sizes", [pytest.param(MANY, marks=pytest.mark.slow), FEWEST])
def test_without_noise_and_tail_it_is_the_subspace(sizes):
    plain = draw(sizes, seed=4, kind="subspace", condition_number=3.0)
    noisy = draw(
        sizes, 4, condition_number=3.0, measurement_noise=0.0, tail_level=0.0, tail_power=2.0
    )
    for a, b in zip(plain, noisy, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("sizes", [MANY, FEW, FEWEST])
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
    seeds = 300
    total, means = np.zeros((9, 9)), np.zeros((9, 5))
    numbers = {"measurement_noise": 0.0, "condition_number": 1.0, "tail_power": 0.0}
    for seed in range(seeds):
        inside = draw(FEW, seed, tail_level=0.0, **numbers)[2]
        tail = draw(FEW, seed, tail_level=1.0, **numbers)[2] - inside
        means += tail / seeds
        total += tail @ tail.T / seeds
    # The tail has two singular values of 1. Its range is a random plane (beyond a random R), so
    # the mean of tail tail^T is (2/9) I, and an entry of the tail has mean 0 and variance
    # (2/9) / 5. A squared number below 1 has a variance below its mean. 45 and 45 entries are
    # tested, so 6 deviations.
    assert np.max(np.abs(total - 2 / 9 * np.eye(9))) < 6 * np.sqrt(2 / 9 / seeds)
    assert np.max(np.abs(means)) < 6 * np.sqrt(2 / 9 / 5 / seeds)


def test_noise_is_relative_to_the_signals():
    n, noises = MANY[-1], []
    numbers = {"condition_number": 2.0, "tail_power": 1.0}
    # (1^2 + 0.75^2 + 0.5^2) / n is the mean square norm of a signal.
    size = np.sqrt((1 + 0.75**2 + 0.5**2) / n)
    operator = x = np.empty(0)
    for seed in range(40):
        operator, _, x, clean, *_ = draw(
            MANY, seed, measurement_noise=0.0, tail_level=0.0, **numbers
        )
        noisy = draw(MANY, seed, measurement_noise=0.3, tail_level=0.0, **numbers)
        noises.append(noisy[3] - clean)
        assert np.mean(np.sum(x**2, axis=0)) == pytest.approx(size**2)
    scaled = np.array(noises) / (0.3 * size)
    assert abs(np.mean(scaled)) < SIGMAS / np.sqrt(scaled.size)
    assert abs(np.mean(scaled**2) - 1) < SIGMAS * np.sqrt(2 / scaled.size)
    assert abs(np.mean(scaled**4) - 3) < SIGMAS * np.sqrt(96 / scaled.size)
    # Neither the tail nor the size of the noise changes its draw.
    _, _, more, with_tail, *_ = draw(MANY, 39, measurement_noise=0.6, tail_level=0.5, **numbers)
    assert np.max(np.abs(with_tail - operator @ more - 2 * noises[-1])) < EXACT
    assert np.linalg.norm(more - x) > 0.5


def test_test_signals_are_clean():
    sizes = MANY
    numbers = {"condition_number": 1.0, "tail_power": 1.0}
    noisy = draw(sizes, 3, measurement_noise=0.5, tail_level=0.5, **numbers)
    plain = draw(sizes, 3, kind="subspace", condition_number=1.0)
    assert np.array_equal(noisy[4], plain[4])
    assert np.array_equal(noisy[5], plain[5])
    assert noisy_subspace.draw_test is subspace.draw_test


@cache
def measured_with(seed: int, m: int, d: int, s: int) -> tuple[np.ndarray, np.ndarray]:
    """Return A and R, which noise and tail do not change."""
    own = subspace.SubspaceSettings(signal_dim=d, measurement_dim=m, subspace_dim=s, num_samples=1)

    def both(seed):
        key = partial(purpose_key, seed)
        return draw_operator(own, key), haar(key("data/basis"), d, s)

    with numerics():
        operator, basis = jax.jit(both, compiler_options=QUICKLY)(np.int64(seed))
    return np.asarray(operator), np.asarray(basis)


def clean_measurements(made, row: int) -> np.ndarray:
    """Return A R R^T X of a run: what lies in the subspace, measured without noise."""
    problem = Sections.from_row(made.row(row)).problem
    x = drawn(made, row)[2]
    operator, basis = measured_with(
        made.row(row)["seed"], problem.measurement_dim, problem.signal_dim, problem.subspace_dim
    )
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


# None at all, and so little that it counts as none; noise and tail together.
LEVELS = {"measurement_noise": [0.0, 1e-14, 0.05, 0.5], "tail_level": [0.0, 1e-15, 0.1, 0.2]}


def plan(kernel: str, width: int, kind: str = "noisy_subspace", **problem):
    noisy = LEVELS if kind == "noisy_subspace" else {}
    axes = [[f"problem.{key}" for key in noisy]] if noisy else []
    return plan_of(
        problem={"kind": kind, "condition_number": 2.0, **noisy, **problem},
        network={"width": width},
        training={"learning_rate": 0.05, "weight_decay": 0.1, "num_steps": 200},
        record={"count": 8, "observables": OBSERVED, "num_test_samples": 20},
        sweep={"seeds": 1, "kernel": kernel, "tolerance": TOLERANCE, "zip": axes},
    )


# Y of full rank; fewer samples than measurements, and the second, than dimensions.
@pytest.mark.parametrize(
    "sizes", [pytest.param({}, marks=pytest.mark.slow), {"subspace_dim": 3, "num_samples": 2}]
)
def test_dense_training_is_that_of_all_samples(sizes):
    made = plan("dense", 8, **sizes)
    trained = train_rows(made)
    for row in range(4):
        assert_follows(made, row, trained, AGREEMENT)
    if not sizes:
        plain = train_rows(plan("dense", 8, kind="subspace"))
        for name, values in plain.observables.items():
            apart = np.abs(trained.observables[name][:2] - values)
            assert np.all(apart <= AGREEMENT * np.abs(values) + ROUNDING), name


@pytest.mark.slow
def test_reduced_training_is_that_of_all_samples():
    made = plan("reduced", 40)
    trained = train_rows(made)
    refused = "complete bases: the measurements are nearly rank-deficient"
    assert trained.kernel == ["reduced"] * 4
    assert trained.kernel_reason == [refused, refused, "certified", "certified"]
    for row in range(4):
        estimate = trained.truncation_error[row] if row > 1 else 0.0
        assert_follows(made, row, trained, max(TOLERANCE, SAFETY * estimate))
