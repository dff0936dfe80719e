"""Problem "union_of_subspaces", and ranks left to chance: draws and training against NumPy.

Statistical bounds are 5 standard deviations wide for fixed keys: a correct draw would fail one
with a probability below 6e-7.
"""

from __future__ import annotations

from functools import cache, partial

import jax
import numpy as np
import oracle
import pytest
from test_batches import AGREEMENT, drawn, expected, plan_of, train_rows

from dlnsweep.problems import subspace
from dlnsweep.problems import union_of_subspaces as union
from dlnsweep.problems.operators import draw_operator
from dlnsweep.runtime import numerics
from dlnsweep.streams import haar, purpose_key

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


@cache
def compiled(sizes: tuple[int, int, int, int, int], test: int):
    d, m, s, n, count = sizes
    common = {"signal_dim": d, "measurement_dim": m, "subspace_dim": s, "num_samples": n}
    own = union.UnionOfSubspacesSettings(**common, num_subspaces=count)
    one = subspace.SubspaceSettings(**common)

    def draw(seed, kappa):
        key = partial(purpose_key, seed)
        several = own.model_copy(update={"condition_number": kappa})
        return (
            draw_operator(own, key), union._draw_bases(own, key), haar(key("data/basis"), d, s),
            *union.draw(several, key), *union.draw_test(several, key, test),
            *(subspace.draw(one.model_copy(update={"condition_number": kappa}), key)
              if count == 1 else ()),
        )  # fmt: skip

    return jax.jit(draw)


def draw(sizes, seed=0, test=600, kappa=1.0):
    """Return A, R_1 ... R_K, R of "subspace", X, Y, test samples; for K = 1 X, Y of "subspace"."""
    with numerics():
        found = compiled(sizes, test)(np.int64(seed), np.float64(kappa))
        return [np.asarray(a) for a in found]


def members(bases: np.ndarray, x: np.ndarray, s: int) -> np.ndarray:
    """Return the subspace of each column, and check that it lies in it."""
    blocks = np.split(bases, bases.shape[1] // s, axis=1)
    outside = np.array([np.linalg.norm(x - b @ (b.T @ x), axis=0) for b in blocks])
    found = np.argmin(outside, axis=0)
    assert np.max(np.min(outside, axis=0)) < EXACT
    assert np.min(np.sort(outside, axis=0)[1]) > 1e-6
    return found


def test_columns_lie_in_one_of_the_subspaces_each():
    sizes = (12, 9, 2, 900, 3)
    operator, bases, _, x, y, test_x, test_y, *_ = draw(sizes, seed=1)
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
    _, bases, _, x, *_ = draw((12, 9, 2, 900, 3), seed=2, kappa=kappa)
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


def test_figure_1b_has_data_of_norm_five():
    _, bases, _, x, *_ = draw((200, 100, 5, 300, 3))
    assert abs(np.sum(x**2) - 5) < EXACT
    assert np.linalg.matrix_rank(x) == 15
    z = coordinates(bases, x, 5)
    assert np.max(np.abs(z @ z.T - np.eye(5))) < EXACT


@pytest.mark.slow
def test_fewer_samples_than_dimensions():
    _, bases, _, x, *_ = draw((12, 9, 4, 3, 2), kappa=2.0)
    z = coordinates(bases, x, 4)
    assert np.max(np.abs(np.linalg.svd(z, compute_uv=False) - [1, 0.75, 0.5])) < EXACT


def test_test_coordinates_are_gaussian_of_mean_square_norm_one():
    _, bases, _, _, _, test_x, _ = draw((12, 9, 2, 900, 3), seed=2)
    z = coordinates(bases, test_x, 2) * np.sqrt(2)
    assert abs(np.mean(z)) < SIGMAS / np.sqrt(z.size)
    assert abs(np.mean(z**2) - 1) < SIGMAS * np.sqrt(2 / z.size)
    assert abs(np.mean(z**4) - 3) < SIGMAS * np.sqrt(96 / z.size)
    assert abs(np.mean(z[0] * z[1])) < SIGMAS / np.sqrt(z.shape[1])


def test_one_subspace_is_that_of_the_same_seed():
    _, bases, basis, x, y, _, _, one_x, one_y = draw((8, 5, 2, 30, 1), seed=3, kappa=2.0)
    assert np.max(np.abs(bases - basis)) < EXACT
    assert np.max(np.abs(x - one_x)) < EXACT
    assert np.max(np.abs(y - one_y)) < EXACT
    _, more, _, *_ = draw((8, 5, 2, 30, 3), seed=3)
    assert np.max(np.abs(more[:, :2] - basis)) < EXACT
    # Bases of several are independent Haar frames: their overlaps have mean square 1/d.
    overlaps = []
    for seed in range(200):
        two = draw((8, 5, 2, 30, 3), seed=seed)[1]
        overlaps.append(two[:, :2].T @ two[:, 2:4])
    squares = np.array(overlaps) ** 2
    assert abs(np.mean(overlaps)) < SIGMAS / np.sqrt(8 * 800)
    assert abs(np.mean(squares) - 1 / 8) < SIGMAS * np.std(squares) / np.sqrt(800)


def plan(kernel: str, width: int, problem, seeds: int | list[int] = 2):
    sizes = {"signal_dim": 8, "measurement_dim": 6, "subspace_dim": 2, "num_samples": 30}
    return plan_of(
        problem={**sizes, **problem},
        network={"width": width},
        training={"learning_rate": 0.05, "weight_decay": 0.1, "num_steps": 200},
        record={"count": 8, "observables": OBSERVED, "num_test_samples": 20},
        sweep={"seeds": seeds, "kernel": kernel, "tolerance": TOLERANCE},
    )


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


UNION = {"kind": "union_of_subspaces", "num_subspaces": 2}
SIGNS = {"operator": "random_signs", "measurement_dim": 2, "signal_dim": 2}
# A measurement that is zero.
ROWS = np.vstack([np.random.default_rng(0).normal(size=(5, 8)), np.zeros(8)])
FILE = {"operator": "file", "operator_file": "a.npy", "subspace_dim": 6}


@pytest.mark.parametrize(
    ("problem", "seeds", "ranks"),
    [
        (UNION, 2, [4, 4]),
        # Everything is in the range of the measurements.
        pytest.param({**UNION, "num_subspaces": 5}, 2, [6, 6], marks=pytest.mark.slow),
        # Few samples, of which a subspace may have one or none.
        pytest.param({**UNION, "num_samples": 4}, [0, 1, 7], [2, 3, 4], marks=pytest.mark.slow),
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
    if 6 in ranks:
        assert np.all(trained.observables["off_subspace_error"] == 0)


@pytest.mark.slow
def test_reduced_training_is_that_of_all_samples():
    made = plan("reduced", 40, UNION)
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
