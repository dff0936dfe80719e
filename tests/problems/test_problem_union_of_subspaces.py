"""Problem "union_of_subspaces", and ranks left to chance: draws and training against NumPy.

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

from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import haar, purpose_key
from dlnsweep.problems import subspace
from dlnsweep.problems import union_of_subspaces as union
from dlnsweep.problems.operators import draw_operator

SIGMAS = 5.0
# Products of orthonormal factors, rounded at 1.1e-16 an entry.
EXACT = 1e-12
# Errors are differences of numbers of size 1, rounded at 1.1e-16 in some hundred steps.
ROUNDING = 1e-13
TOLERANCE, SAFETY = 1e-4, 3.0
OBSERVED = [
    "loss", "regression_error", "off_subspace_error", "singular_values", "weight_norms",
    "gradient_norm", "oracle_distance", "effective_rank", "test_error",
]  # fmt: skip


# Figure 1b has more of everything. All default tests have these sizes, so that they share the
# program that draws, and the training has what the others look at.
D, M, S, N, K = 12, 9, 2, 900, 3
TEST = 600
NUM_SEEDS = 200
UNION = {"kind": "union_of_subspaces", "num_subspaces": K}
SIZES: dict[str, Any] = {"signal_dim": D, "measurement_dim": M, "subspace_dim": S, "num_samples": N}


def plan(kernel: str, width: int, problem, seeds: int | list[int] = 2):
    return plan_of(
        problem={**SIZES, **problem},
        network={"width": width},
        training={"learning_rate": 0.05, "weight_decay": 0.1, "num_steps": 200},
        record={"count": 8, "observables": OBSERVED, "num_test_samples": TEST},
        sweep={"seeds": seeds, "kernel": kernel, "tolerance": TOLERANCE},
    )


# These draw small things: what takes long to compile is compiled with less care, which rounds
# alike within `EXACT`.
QUICKLY = {"xla_backend_optimization_level": 0}


@cache
def draw_bases(d: int = D, s: int = S, count: int = K) -> list[np.ndarray]:
    """Return A, R_1 ... R_K side by side, and R of "subspace", of each seed."""
    sizes: dict[str, Any] = SIZES | {"signal_dim": d, "subspace_dim": s}
    own = union.UnionOfSubspacesSettings(**sizes, num_subspaces=count)

    def draw(seed):
        key = partial(purpose_key, seed)
        return draw_operator(own, key), union._draw_bases(own, key), haar(key("data/basis"), d, s)

    with numerics():
        found = jax.jit(jax.vmap(draw), compiler_options=QUICKLY)(np.arange(NUM_SEEDS))
        return [np.asarray(a) for a in found]


def draw(seed=0, kappa=1.0, **problem):
    """Return A, R_1 ... R_K, X, Y and test samples."""
    made = plan("dense", 8, {**UNION, "condition_number": kappa, **problem}, [seed])
    _, _, x, y, (test_x, test_y, _) = drawn(made, 0)
    own = made.row(0)
    names = ("signal_dim", "subspace_dim", "num_subspaces")
    operators, bases, _ = draw_bases(*(own[f"problem.{name}"] for name in names))
    return operators[seed], bases[seed], x, y, test_x, test_y


def members(bases: np.ndarray, x: np.ndarray, s: int) -> np.ndarray:
    """Return the subspace of each column, and check that it lies in it."""
    blocks = np.split(bases, bases.shape[1] // s, axis=1)
    outside = np.array([np.linalg.norm(x - b @ (b.T @ x), axis=0) for b in blocks])
    found = np.argmin(outside, axis=0)
    assert np.max(np.min(outside, axis=0)) < EXACT
    assert np.min(np.sort(outside, axis=0)[1]) > 1e-6
    return found


def test_columns_lie_in_one_of_the_subspaces_each():
    operator, bases, x, y, test_x, test_y = draw(seed=1)
    assert np.linalg.matrix_rank(x) == 6
    for block in np.split(bases, 3, axis=1):
        assert np.max(np.abs(block.T @ block - np.eye(2))) < EXACT
    assert np.max(np.abs(operator @ x - y)) < EXACT
    assert np.max(np.abs(operator @ test_x - test_y)) < EXACT
    for signals, count in ((x, 900), (test_x, 600)):
        chosen = members(bases, signals, 2)
        shares = np.bincount(chosen, minlength=3) / count
        assert np.max(np.abs(shares - 1 / 3)) < SIGMAS * np.sqrt(2 / 9 / count)
        # Neighbours are independent.
        same = np.mean(chosen[1:] == chosen[:-1])
        assert abs(same - 1 / 3) < SIGMAS * np.sqrt(2 / 9 / count)
    assert not np.array_equal(members(bases, test_x, 2), members(bases, x, 2)[:600])


def coordinates(bases: np.ndarray, x: np.ndarray, s: int) -> np.ndarray:
    """Return the coordinates of each column in its own subspace."""
    blocks = np.stack(np.split(bases, bases.shape[1] // s, axis=1))
    return np.einsum("nds,dn->sn", blocks[members(bases, x, s)], x)


@pytest.mark.parametrize("kappa", [1.0, 4.0])
def test_coordinates_are_drawn_as_those_of_one_subspace(kappa):
    # Appendix C of the paper: Z by the procedure of section 3, singular values from 1/kappa to 1.
    values = np.linspace(1.0, 1 / kappa, 2)
    _, bases, x, *_ = draw(seed=2, kappa=kappa)
    z = coordinates(bases, x, 2)
    assert np.max(np.abs(np.linalg.svd(z, compute_uv=False) - values)) < EXACT
    # What makes Figure 1b's data small: the columns of all subspaces together have the norm of Z.
    assert abs(np.sum(x**2) - np.sum(values**2)) < EXACT
    # The right singular vectors are random: each column has its share of the norm, about.
    right = np.linalg.svd(z, full_matrices=False)[2] * np.sqrt(900)
    assert abs(np.mean(right**4) - 3) < SIGMAS * np.sqrt(96 / right.size)
    assert abs(np.mean(right)) < SIGMAS / np.sqrt(right.size)
    # Each subspace has a third of Z Z^T, about.
    for k, block in enumerate(np.split(bases, 3, axis=1)):
        own = block.T @ x[:, members(bases, x, 2) == k]
        assert np.max(np.abs(3 * own @ own.T - z @ z.T)) < SIGMAS * np.sqrt(3 * 3 / 900)


@pytest.mark.slow
def test_figure_1b_has_data_of_norm_five():
    sizes = {"signal_dim": 200, "measurement_dim": 100, "subspace_dim": 5, "num_samples": 300}
    _, bases, x, *_ = draw(**sizes)
    assert abs(np.sum(x**2) - 5) < EXACT
    assert np.linalg.matrix_rank(x) == 15
    z = coordinates(bases, x, 5)
    assert np.max(np.abs(z @ z.T - np.eye(5))) < EXACT


@pytest.mark.slow
def test_fewer_samples_than_dimensions():
    _, bases, x, *_ = draw(kappa=2.0, subspace_dim=4, num_samples=3, num_subspaces=2)
    z = coordinates(bases, x, 4)
    assert np.max(np.abs(np.linalg.svd(z, compute_uv=False) - [1, 0.75, 0.5])) < EXACT


def test_test_coordinates_are_gaussian_of_mean_square_norm_one():
    _, bases, _, _, test_x, _ = draw(seed=2)
    z = coordinates(bases, test_x, 2) * np.sqrt(2)
    assert abs(np.mean(z)) < SIGMAS / np.sqrt(z.size)
    assert abs(np.mean(z**2) - 1) < SIGMAS * np.sqrt(2 / z.size)
    assert abs(np.mean(z**4) - 3) < SIGMAS * np.sqrt(96 / z.size)
    assert abs(np.mean(z[0] * z[1])) < SIGMAS / np.sqrt(z.shape[1])


def test_one_subspace_is_that_of_the_same_seed():
    common: dict[str, Any] = {
        "signal_dim": 8,
        "measurement_dim": 5,
        "subspace_dim": 2,
        "num_samples": 30,
    }
    own = union.UnionOfSubspacesSettings(**common, num_subspaces=1, condition_number=2.0)
    one = subspace.SubspaceSettings(**common, condition_number=2.0)

    def both(seed):
        key = partial(purpose_key, seed)
        basis = haar(key("data/basis"), 8, 2)
        return (union._draw_bases(own, key), *union.draw(own, key)), (
            basis,
            *subspace.draw(one, key),
        )

    with numerics():
        found = jax.jit(both, compiler_options=QUICKLY)(np.int64(3))
    for a, b in zip(*found, strict=True):
        assert np.max(np.abs(np.asarray(a) - np.asarray(b))) < EXACT
    # Bases of several are independent Haar frames: their overlaps have mean square 1/d.
    _, several, alone = draw_bases()
    assert np.max(np.abs(several[:, :, :2] - alone)) < EXACT
    overlaps = np.swapaxes(several[:, :, :2], 1, 2) @ several[:, :, 2:4]
    squares = overlaps**2
    assert abs(np.mean(overlaps)) < SIGMAS / np.sqrt(D * overlaps.size)
    assert abs(np.mean(squares) - 1 / D) < SIGMAS * np.std(squares) / np.sqrt(overlaps.size)


def assert_follows(made, row: int, trained, allowed: float) -> int:
    """Compare a run with gradient descent on all samples; return the rank of Y."""
    y = drawn(made, row)[3]
    signals, measurements, _ = drawn(made, row)[-1]
    for k, state in enumerate(expected(made, row)):
        for name, values in trained.observables.items():
            if name == "test_error":
                error = oracle.product(state.weights) @ measurements - signals
                wanted = np.linalg.norm(error) / np.linalg.norm(signals)
            else:
                wanted = oracle.OBSERVABLES[name](state)
            apart = np.abs(values[row, k] - wanted)
            assert np.all(apart <= allowed * np.max(np.abs(wanted)) + ROUNDING), (name, row, k)
    return int(np.linalg.matrix_rank(y, tol=1e-10 * np.linalg.norm(y, 2)))


# The slow cases.
SMALL = {**UNION, "signal_dim": 8, "measurement_dim": 6, "num_samples": 30}
SIGNS = {"num_samples": 30, "operator": "random_signs", "measurement_dim": 2, "signal_dim": 2}
# A measurement that is zero.
ROWS = np.vstack([np.random.default_rng(0).normal(size=(5, 8)), np.zeros(8)])
FILE = {
    "signal_dim": 8,
    "measurement_dim": 6,
    "num_samples": 30,
    "operator": "file",
    "operator_file": "a.npy",
    "subspace_dim": 6,
}


@pytest.mark.parametrize(
    ("problem", "seeds", "ranks"),
    [
        (UNION, 2, [6, 6]),
        # Everything is in the range of the measurements.
        pytest.param({**SMALL, "num_subspaces": 5}, 2, [6, 6], marks=pytest.mark.slow),
        # Few samples, of which a subspace may have one or none.
        pytest.param(
            {**SMALL, "num_samples": 4, "num_subspaces": 2},
            [0, 1, 7],
            [2, 3, 4],
            marks=pytest.mark.slow,
        ),
        pytest.param(SIGNS, [3, 4], [2, 1], marks=pytest.mark.slow),
        pytest.param(FILE, 2, [5, 5], marks=pytest.mark.slow),
    ],
)
def test_dense_training_is_that_of_all_samples(problem, seeds, ranks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", ROWS)
    made = plan("dense", 8, problem, seeds)
    trained = train_rows(made)
    found = [assert_follows(made, row, trained, AGREEMENT) for row in range(made.num_runs)]
    assert found == ranks
    if set(ranks) == {made.row(0)["problem.measurement_dim"]}:
        assert np.all(trained.observables["off_subspace_error"] == 0)


@pytest.mark.slow
def test_reduced_training_is_that_of_all_samples():
    made = plan("reduced", 40, {**SMALL, "num_subspaces": 2})
    trained = train_rows(made)
    assert trained.kernel_reason == ["certified"] * 2
    for row in range(made.num_runs):
        allowed = max(TOLERANCE, SAFETY * trained.truncation_error[row])
        assert_follows(made, row, trained, allowed)


@pytest.mark.slow
def test_reduced_training_of_a_smaller_rank_has_complete_bases():
    made = plan("reduced", 12, SIGNS, [3, 4])
    trained = train_rows(made)
    assert [assert_follows(made, row, trained, TOLERANCE) for row in range(2)] == [2, 1]
    assert trained.kernel_reason[1] == "complete bases: the measurements are nearly rank-deficient"
    assert trained.kernel_reason[0] != trained.kernel_reason[1]
