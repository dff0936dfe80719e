"""Matrices of which some entries are observed (arXiv:1905.13655, arXiv:2005.06398).

matrix_completion      a target of low rank, `num_observed` of its entries, drawn uniformly without
                       replacement; those of a smaller number are among those of a larger one
matrix_approximation   all entries of a target with singular values equally spaced in [1/kappa, 1]
                       and random singular vectors, its determinant positive if it is square: what
                       regression on whitened data is (arXiv:1810.02281)
divergent_completion   the three observed entries of [[*, 1], [1, 0]]: every completion of rank 1
                       is infinite (section 3 of arXiv:2005.06398)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.matrices import (
    Dimension,
    LowRankSettings,
    MatrixSettings,
    loss_scale,
    low_rank_target,
)
from dlnsweep.settings.base import Constraint, Describe, Settings

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys
    from dlnsweep.problems.losses import Fit


class MatrixCompletionSettings(LowRankSettings):
    """[problem] kind = "matrix_completion"."""

    kind: Annotated[
        Literal["matrix_completion"], Describe("static", "which problem", axis=False)
    ] = "matrix_completion"
    num_observed: Annotated[Dimension, Describe("static", "number of observed entries", "N")]

    constraints: ClassVar[tuple[Constraint, ...]] = (
        *LowRankSettings.constraints,
        Constraint(
            ("problem.num_observed", "problem.num_rows", "problem.num_columns"),
            lambda count, d, m: count <= d * m,
            "problem.num_observed is {0}; a matrix of {1} rows and {2} columns has fewer entries.",
        ),
    )


class MatrixApproximationSettings(MatrixSettings):
    """[problem] kind = "matrix_approximation"."""

    kind: Annotated[
        Literal["matrix_approximation"], Describe("static", "which problem", axis=False)
    ] = "matrix_approximation"
    loss: Annotated[
        Literal["mean", "half_sum"],
        Describe(
            "static",
            "mean: mean squared error over what is observed; half_sum: half the sum of squares",
        ),
    ] = "half_sum"
    condition_number: Annotated[
        Annotated[float, Field(ge=1)], Describe("traced", "condition number of the target", "κ")
    ] = 1.0


class DivergentCompletionSettings(Settings):
    """[problem] kind = "divergent_completion"; always 2 x 2, with half the sum of squares."""

    kind: Annotated[
        Literal["divergent_completion"], Describe("static", "which problem", axis=False)
    ] = "divergent_completion"


def observed_entries(settings: MatrixCompletionSettings, key: Keys) -> Float[Array, "d m"]:
    """Draw which entries are observed: 1 for those, else 0."""
    from dlnsweep.numerics.streams import gaussian

    d, m = settings.num_rows, settings.num_columns
    # The places of the smallest of d m independent numbers are a uniformly random choice.
    order = jnp.argsort(gaussian(key("data/observed"), d, m).reshape(-1))
    flat = jnp.zeros(d * m, jnp.float64).at[order[: settings.num_observed]].set(1.0)
    return flat.reshape(d, m)


def draw_completion(settings: MatrixCompletionSettings, key: Keys) -> Fit:
    """Draw the target and its observed entries, float64.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    target = low_rank_target(settings, key)
    scale = loss_scale(settings, settings.num_observed)
    return _fit(target, observed_entries(settings, key), scale)


def draw_approximation(settings: MatrixApproximationSettings, key: Keys) -> Fit:
    """Draw the target, all of it observed, float64."""
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.streams import haar

    d, m = settings.num_rows, settings.num_columns
    size = min(d, m)
    values = jnp.linspace(1.0, 1.0 / settings.condition_number, size, dtype=jnp.float64)
    left, right = haar(key("data/left"), d, size), haar(key("data/right"), m, size)
    if d == m:
        sign = jnp.sign(jnp.linalg.det(left) * jnp.linalg.det(right))
        left = left.at[:, 0].multiply(sign)
    target = multiply(left * values, right.T)
    return _fit(target, jnp.ones((d, m), jnp.float64), loss_scale(settings, d * m))


def draw_divergent(settings: DivergentCompletionSettings, key: Keys) -> Fit:
    """Return the three observed entries of [[*, 1], [1, 0]]; nothing is random."""
    del settings, key
    target = jnp.array([[0.0, 1.0], [1.0, 0.0]], jnp.float64)
    mask = jnp.array([[0.0, 1.0], [1.0, 1.0]], jnp.float64)
    # The target's free entry is no number, so there is no target to compare with.
    return _fit(target, mask, jnp.ones((), jnp.float64))._replace(target=None)


def _fit(target: Float[Array, "d m"], mask: Float[Array, "d m"], scale: Float[Array, ""]) -> Fit:
    from dlnsweep.problems.losses import Entries, Fit

    return Fit(Entries(mask, mask * target), scale, target)
