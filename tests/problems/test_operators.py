"""Measurement operators against transcriptions in NumPy and SciPy.

Statistical bounds are 5 standard deviations wide for fixed keys: a correct draw would fail one
with a probability below 6e-7.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
from batch_samples import plan_of, train_rows
from worker_samples import told_by_a_worker

from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.engine.programs import PROGRAMS
from dlnsweep.execution.preparing import prepare
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import gaussian, purpose_key
from dlnsweep.problems.operators import draw_operator, has_full_rank, resolve_file
from dlnsweep.problems.subspace import SubspaceSettings
from dlnsweep.settings.base import static_text, with_numbers

SIGMAS = 5.0
# Cosines and exponentials of two libraries, each rounded at 1.1e-16.
EXACT = 1e-13


def settings(m: int, d: int, operator: Any, **more) -> SubspaceSettings:
    sizes = {"signal_dim": d, "measurement_dim": m, "subspace_dim": 1, "num_samples": 2}
    return SubspaceSettings(**sizes, operator=operator, **more)


@cache
def compiled(text: str, m: int, d: int, operator: str, file: str):
    own = settings(m, d, operator, operator_file=file)

    def draw(seed, width):
        return draw_operator(with_numbers(own, {"blur_width": width}), partial(purpose_key, seed))

    return jax.jit(draw)


def operator(m: int, d: int, name: str, seed: int = 0, width: float = 1.0, file: str = ""):
    text = static_text(settings(m, d, name, operator_file=file))
    with numerics():
        return np.asarray(compiled(text, m, d, name, file)(np.int64(seed), width))


def test_gaussian_is_as_before_there_were_others():
    @jax.jit
    def before(seed):
        return gaussian(purpose_key(seed, "data/operator"), 5, 8) / jnp.sqrt(5)

    with numerics():
        assert np.array_equal(operator(5, 8, "gaussian", 3), np.asarray(before(np.int64(3))))


@pytest.mark.parametrize(("m", "d"), [(3, 3), (4, 9), (12, 40), (1, 5), (5, 1000)])
def test_dct_has_rows_of_the_orthonormal_cosine_transform(m: int, d: int):
    whole = np.sqrt(d / m) * scipy.fft.dct(np.eye(d), type=2, norm="ortho", axis=0)
    for seed in range(3):
        found = operator(m, d, "dct", seed)
        rows = [int(np.argmin(np.max(np.abs(whole - row), axis=1))) for row in found]
        assert rows == sorted(set(rows)), "without replacement, in ascending order"
        assert np.max(np.abs(found - whole[rows])) < EXACT * np.sqrt(d / m)


def test_every_row_of_the_cosine_transform_is_as_likely():
    m, d, seeds = 3, 8, 400
    whole = np.sqrt(d / m) * scipy.fft.dct(np.eye(d), type=2, norm="ortho", axis=0)
    counts = np.zeros(d)
    for seed in range(seeds):
        # A product of 1 with itself, of 0 with the others.
        counts += np.sum(np.abs(operator(m, d, "dct", seed) @ whole.T) * m / d > 0.5, axis=0)
    assert np.sum(counts) == m * seeds
    share = m / d
    assert np.max(np.abs(counts / seeds - share)) < SIGMAS * np.sqrt(share * (1 - share) / seeds)
    few, more = operator(2, 8, "dct", 5), operator(6, 8, "dct", 5)
    scaled = few * np.sqrt(2 / 6)
    assert all(np.min(np.max(np.abs(more - row), axis=1)) < EXACT for row in scaled)


def test_signs_are_independent_and_scaled():
    found = operator(60, 80, "random_signs", 1)
    assert set(np.unique(found)) == {-1 / np.sqrt(60), 1 / np.sqrt(60)}
    signs = np.sign(found)
    assert abs(np.mean(signs)) < SIGMAS / np.sqrt(signs.size)
    for other in (signs[1:] * signs[:-1], signs[:, 1:] * signs[:, :-1]):
        assert abs(np.mean(other)) < SIGMAS / np.sqrt(other.size)
    assert not np.array_equal(found, operator(60, 80, "random_signs", 2))


def blur(m: int, d: int, width: float) -> np.ndarray:
    """Convolve each unit signal round the circle, and keep m samples."""
    kernel = [np.exp(-(min(t, d - t) ** 2) / (2 * width**2)) for t in range(d)]
    length = np.sqrt(sum(h * h for h in kernel))
    result = np.zeros((m, d))
    for k in range(m):
        place = int(np.floor(k * d / m))
        for j in range(d):
            result[k, j] = np.sqrt(d / m) * kernel[abs(place - j)] / length
    return result


@pytest.mark.parametrize("width", [0.3, 1.0, 2.5, 40.0])
@pytest.mark.parametrize(("m", "d"), [(4, 4), (3, 8), (5, 13)])
def test_blur_is_a_convolution_that_is_sampled(m: int, d: int, width: float):
    found = operator(m, d, "blur", 7, width)
    assert np.max(np.abs(found - blur(m, d, width))) < EXACT
    assert np.array_equal(found, operator(m, d, "blur", 8, width)), "the same for every seed"


def test_a_blur_of_almost_no_width_keeps_samples():
    for width in (1e-3, 1e-200):
        expected = np.zeros((3, 8))
        expected[[0, 1, 2], [0, 2, 5]] = np.sqrt(8 / 3)
        assert np.array_equal(operator(3, 8, "blur", 0, width), expected)


@pytest.mark.parametrize("name", ["gaussian", "dct", "random_signs", "blur"])
def test_operators_keep_the_size_of_signals(name: str):
    m, d, seeds = 6, 10, 300
    shares = []
    rng = np.random.default_rng(0)
    for seed in range(seeds):
        x = rng.normal(size=d)
        shares.append(np.sum((operator(m, d, name, seed, 1.5) @ x) ** 2) / np.sum(x**2))
    assert abs(np.mean(shares) - 1) < SIGMAS * np.std(shares) / np.sqrt(seeds)
    assert has_full_rank(settings(m, d, name)) == (name in ("gaussian", "dct"))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.random.default_rng(1).normal(size=(4, 6)))
    return "a.npy"


def test_a_file_is_used_as_it_is(file: str):
    resolved = resolve_file(file)
    assert np.array_equal(operator(4, 6, "file", 3, file=resolved), np.load(file))


def test_a_sweep_measures_with_its_file_and_notices_a_change(file: str, tmp_path: Path):
    problem = {"operator": "file", "operator_file": file}
    made = plan_of(problem=problem, training={"num_steps": 20})
    row = made.row(0)
    own = SubspaceSettings(**{
        k: row[f"problem.{k}"] for k in SubspaceSettings.model_fields if k != "blur_width"
    })  # fmt: skip
    with numerics():
        x, y = jax.jit(lambda: PROBLEMS["subspace"].draw(own, partial(purpose_key, jnp.int64(0))))()
    assert np.max(np.abs(np.load(file) @ np.asarray(x) - np.asarray(y))) < EXACT
    first = train_rows(made).observables["regression_error"]
    np.save(file, 2 * np.load(file))
    again = plan_of(problem=problem, training={"num_steps": 20})
    # Compiled programs are kept in the process; this one is not the first sweep's.
    assert not np.any(train_rows(again).observables["regression_error"][:, 1:] == first[:, 1:])
    prepare(again.sweep, tmp_path / "results")
    np.save(file, 3 * np.load(file))
    (failed,) = [e for e in told_by_a_worker(tmp_path / "results") if e["kind"] == "failed"]
    assert failed["text"].startswith("problem.operator_file is '")
    assert "it was changed. Restore the file, or run the changed one into" in failed["text"]


def test_runs_planned_before_there_were_operators_go_on():
    made = plan_of(training={"num_steps": 20})
    wanted = train_rows(made)
    for key in ("problem.operator", "problem.blur_width", "problem.operator_file"):
        del made.settings[key]
    found = train_rows(made)
    for name, values in wanted.observables.items():
        assert np.array_equal(found.observables[name], values)
    row = made.row(0)
    with numerics():
        assert PROGRAMS.draw(row, 8)._arguments(row)["problem.blur_width"] == 1.0
