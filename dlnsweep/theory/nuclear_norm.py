"""The matrix of least nuclear norm that fits what is known of one: the classical baseline.

    minimise ||W||_*   subject to   A(W) = y

by Douglas-Rachford splitting (Lions and Mercier 1979; relaxed). With P the projection onto
A(W) = y and S the soft threshold of singular values by gamma,

    X = P(Z),   V = S(2 X - Z),   Z <- Z + rho (V - X).

Every iterate certifies itself: X fits exactly, and D = (X - Z) / gamma lies in the range of A*, so
that D / max(1, ||D||_op) is feasible for the dual problem, max <D, X> over ||D||_op <= 1. Hence

    <D, X> / max(1, ||D||_op)  <=  least nuclear norm  <=  ||X||_*

(derived; weak duality). Iterations end when the two sides agree to a tolerance.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from dlnsweep.errors import SpecError
from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.runtime import numerics
from dlnsweep.problems.losses import Entries, Measurements

# The threshold gamma in units of ||P(0)||_op, and the relaxation rho in (0, 2): found by trying on
# 100 x 100 matrices of rank 5; any values converge.
_THRESHOLD, _RELAXATION = 0.2, 1.5
# The certificate costs three singular value decompositions, a third of which an iteration does.
_CHECKED_EVERY = 10


class NuclearNormSolution(NamedTuple):
    """What was found, and how good it is at least: NumPy arrays, an axis of instances in front.

    Attributes:
        matrix: X, (b, d, m), float64.
        nuclear_norm: ||X||_*.
        lower_bound: No matrix that fits has a smaller nuclear norm.
        gap: (nuclear_norm - lower_bound) / nuclear_norm; the tolerance was met where it is below.
        infeasibility: ||A(X) - y|| / ||y||.
        iterations: Iterations taken.
    """

    matrix: Any
    nuclear_norm: Any
    lower_bound: Any
    gap: Any
    infeasibility: Any
    iterations: Any


class _State(NamedTuple):
    point: Float[Array, "d m"]
    iterations: Int[Array, ""]
    gap: Float[Array, ""]


def least_nuclear_norm(
    observed: Entries | Measurements,
    shape: tuple[int, int],
    *,
    tolerance: float = 1e-6,
    max_iterations: int = 10_000,
) -> NuclearNormSolution:
    """Find the matrices of least nuclear norm that fit.

    Args:
        observed: What is known of each matrix, with a leading axis of instances: entries, or
            measurements whose operator has full row rank.
        shape: (d, m).
        tolerance: The relative duality gap at which to end, in [1e-12, 1).
        max_iterations: When to end in any case, at least 1.

    Raises:
        SpecError: If an argument is out of its range.
    """
    problems = []
    if not 1e-12 <= tolerance < 1:
        problems.append(f"tolerance is {tolerance}; it must be in [1e-12, 1).")
    if max_iterations < 1:
        problems.append(f"max_iterations is {max_iterations}; it must be at least 1.")
    if problems:
        raise SpecError(*problems)
    with numerics():
        instances = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), observed)
        found = _program(tuple(shape))(instances, tolerance, max_iterations)
        return jax.tree.map(np.asarray, found)


@lru_cache(maxsize=32)
def _program(shape: tuple[int, int]) -> Any:
    """Return what solves all instances, compiled once for each kind and size of them."""

    def solve(instances: Any, tolerance: Any, max_iterations: Any) -> NuclearNormSolution:
        one = partial(_solve, shape=shape, tolerance=tolerance, max_iterations=max_iterations)
        # One after another: each ends when it is done, and a decomposition fills a core.
        return lax.map(one, instances)

    return jax.jit(solve)


def _solve(
    observed: Entries | Measurements,
    shape: tuple[int, int],
    tolerance: Any,
    max_iterations: Any,
) -> NuclearNormSolution:
    project = _projection(observed, shape)
    first = project(jnp.zeros(shape, jnp.float64))
    largest = jnp.linalg.svd(first, compute_uv=False)[0]
    # Nothing but zeros is observed: the zero matrix is the answer, with any threshold.
    gamma = _THRESHOLD * jnp.where(largest > 0, largest, 1.0)

    def iterate(_: Int[Array, ""], point: Float[Array, "d m"]) -> Float[Array, "d m"]:
        fitting = project(point)
        return point + _RELAXATION * (_shrink(2 * fitting - point, gamma) - fitting)

    def unfinished(state: _State) -> Bool[Array, ""]:
        return (state.gap > tolerance) & (state.iterations < max_iterations)

    def several(state: _State) -> _State:
        count = jnp.minimum(_CHECKED_EVERY, max_iterations - state.iterations)
        point = lax.fori_loop(0, count, iterate, state.point)
        upper, lower, _ = _certificate(project, point, gamma)
        return _State(point, state.iterations + count, _relative_gap(upper, lower))

    blank = _State(first, jnp.zeros((), jnp.int64), jnp.full((), jnp.inf))
    state = lax.while_loop(unfinished, several, blank)
    upper, lower, matrix = _certificate(project, state.point, gamma)
    wanted = jnp.linalg.norm(_values(observed))
    missed = jnp.linalg.norm(observed.residual(matrix)) / jnp.where(wanted > 0, wanted, 1.0)
    return NuclearNormSolution(
        matrix, upper, lower, _relative_gap(upper, lower), missed, state.iterations
    )


def _values(observed: Entries | Measurements) -> Float[Array, "..."]:
    return observed.targets if isinstance(observed, Entries) else observed.values


def _projection(observed: Entries | Measurements, shape: tuple[int, int]) -> Any:
    """Return the projection onto the matrices that fit."""
    if isinstance(observed, Entries):
        return lambda point: point - observed.residual(point)
    gram = multiply(observed.operator, observed.operator.T)
    factor = jax.scipy.linalg.cho_factor(gram)

    def project(point: Float[Array, "d m"]) -> Float[Array, "d m"]:
        signal = jax.scipy.linalg.cho_solve(factor, observed.residual(point))
        return point - observed.adjoint(signal).reshape(shape)

    return project


def _shrink(matrix: Float[Array, "d m"], gamma: Float[Array, ""]) -> Float[Array, "d m"]:
    """Subtract gamma from all singular values, down to zero."""
    left, values, right = jnp.linalg.svd(matrix, full_matrices=False)
    return multiply(left * jnp.maximum(values - gamma, 0.0), right)


def _certificate(
    project: Any, point: Float[Array, "d m"], gamma: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, "d m"]]:
    """Return ||X||_*, a lower bound of the least nuclear norm, and X."""
    matrix = project(point)
    dual = (matrix - point) / gamma
    largest = jnp.linalg.svd(dual, compute_uv=False)[0]
    lower = jnp.sum(dual * matrix) / jnp.maximum(largest, 1.0)
    return jnp.sum(jnp.linalg.svd(matrix, compute_uv=False)), lower, matrix


def _relative_gap(upper: Float[Array, ""], lower: Float[Array, ""]) -> Float[Array, ""]:
    return jnp.where(upper > 0, (upper - lower) / jnp.where(upper > 0, upper, 1.0), 0.0)
