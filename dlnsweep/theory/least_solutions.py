"""Least l1 and l2 solutions of the samples of a sweep's own runs, seed by seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import purpose_key
from dlnsweep.problems.sparse_regression import SparseRegressionSettings, draw, draw_test
from dlnsweep.theory.least_l1 import least_l1
from dlnsweep.theory.setup import Setup

# A certified solution's norm is known to this part; one that is not is no line.
_CERTIFIED = 1e-6
# A relative error below is that of the truth, up to rounding.
_TRUTH = 1e-9

# s, m, n and the noise on the targets.
_Problem = tuple[int, int, int, float]


class LeastSolutions(NamedTuple):
    """What the least solutions of one seed's samples are.

    Attributes:
        l2_error: ||beta_2 Y' - X'|| / ||X'|| of the least l2 solution, on the run's fresh samples.
        l1_error: The same of the least l1 solution; 0 where that is the truth, up to rounding.
        distance: ||(beta_1 - beta_2) Y'|| / ||X'||.
        l1_norm: ||beta_1||_1.
    """

    l2_error: float
    l1_error: float
    distance: float
    l1_norm: float


def least_solutions(run: Setup) -> LeastSolutions:
    """Return those of a run of problem.kind = "sparse_regression"; NaN of more samples than inputs.

    Where the least l1 solution is not certified to be the only one, what is about it is NaN.
    """
    names = ("sparsity", "measurement_dim", "num_samples")
    sparsity, inputs, samples = (int(run[f"problem.{name}"]) for name in names)
    if samples > inputs:
        return LeastSolutions(*[np.nan] * 4)
    problem = sparsity, inputs, samples, float(run["problem.noise"])
    return _solved(problem, int(run["record.num_test_samples"]), int(run["seed"]))


@lru_cache(maxsize=16)
def _drawing(problem: _Problem, count: int) -> Callable[[Any], Any]:
    sparsity, inputs, samples, noise = problem
    settings = SparseRegressionSettings(
        sparsity=sparsity, measurement_dim=inputs, num_samples=samples, noise=noise
    )

    def drawn(seed: Any) -> Any:
        key = partial(purpose_key, seed)
        return draw(settings, key), draw_test(settings, key, count)

    # One program: what is not compiled whole is compiled operation by operation.
    return jax.jit(drawn)


@lru_cache(maxsize=4096)
def _solved(problem: _Problem, count: int, seed: int) -> LeastSolutions:
    with numerics():
        arrays = jax.tree.map(np.asarray, _drawing(problem, count)(jnp.asarray(seed)))
    (x, y), (fresh_x, fresh_y) = arrays
    second, found = x[0] @ np.linalg.pinv(y), least_l1(y, x[0])
    first, norm = found.coefficients, found.l1_norm
    certified = max(found.gap, found.infeasibility) < _CERTIFIED
    if not (certified and found.elsewhere < 1 - _CERTIFIED and found.least_singular_value > 0):
        first, norm = np.full(len(first), np.nan), norm if certified else np.nan

    def relative(values: np.ndarray) -> float:
        return float(np.linalg.norm(values) / np.linalg.norm(fresh_x))

    error = relative(first @ fresh_y - fresh_x)
    return LeastSolutions(
        relative(second @ fresh_y - fresh_x),
        0.0 if error < _TRUTH else error,
        relative((first - second) @ fresh_y),
        norm,
    )
