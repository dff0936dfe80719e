"""Signals in one random subspace (arXiv:2502.15522, section 2).

A (m, d)                 a measurement operator (operators.py), Gaussian in the paper
R (d, s)                 orthogonal factor of a Gaussian matrix (Haar)
Z (s, n)                 random singular vectors, singular values equally spaced in [1/kappa, 1]
X = R Z,  Y = A X
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.labels import loss_fits
from dlnsweep.problems.operators import (
    Dimension,
    MeasurementSettings,
    draw_operator,
    has_full_rank,
)
from dlnsweep.settings.base import Constraint, Describe

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys

# Random supports behind the lower estimate of a restricted isometry constant.
_SUPPORTS = 200

DIMENSION_CONSTRAINT = Constraint(
    ("problem.subspace_dim", "problem.measurement_dim"),
    lambda s, m: s <= m,
    "problem.subspace_dim is {0}; it must not exceed problem.measurement_dim, which is "
    "{1} (else the signals cannot be told apart: s <= m).",
)


class CoordinateSettings(MeasurementSettings):
    """The settings of problems whose signals have coordinates Z in subspaces."""

    subspace_dim: Annotated[Dimension, Describe("static", "dimension of a subspace", "s")]
    num_samples: Annotated[Dimension, Describe("static", "number of training samples", "n")]
    condition_number: Annotated[
        Annotated[float, Field(ge=1)], Describe("traced", "condition number of the signals", "κ")
    ] = 1.0

    constraints: ClassVar[tuple[Constraint, ...]] = (
        *MeasurementSettings.constraints,
        DIMENSION_CONSTRAINT,
        loss_fits("none"),
    )


class SubspaceSettings(CoordinateSettings):
    """[problem] kind = "subspace"."""

    kind: Annotated[Literal["subspace"], Describe("static", "which problem", axis=False)] = (
        "subspace"
    )


class Signals(NamedTuple):
    """Signals in a subspace, and what they were made of.

    Attributes:
        basis: R.
        right: The right singular vectors of Z.
        values: X = R Z.
    """

    basis: Float[Array, "d s"]
    right: Float[Array, "n r"]
    values: Float[Array, "d n"]


def rank(settings: SubspaceSettings) -> int:
    """Return the rank of Y where A has full rank: min(s, n)."""
    return min(settings.subspace_dim, settings.num_samples)


def certain_rank(settings: SubspaceSettings) -> bool:
    """Return whether Y has its rank for certain: whether A has full rank."""
    return has_full_rank(settings)


def _operator_and_basis(
    settings: CoordinateSettings, key: Keys
) -> tuple[Float[Array, "m d"], Float[Array, "d s"]]:
    from dlnsweep.numerics.streams import haar

    d, s = settings.signal_dim, settings.subspace_dim
    return draw_operator(settings, key), haar(key("data/basis"), d, s)


def draw_coordinates(
    settings: CoordinateSettings, key: Keys
) -> tuple[Float[Array, "s n"], Float[Array, "n r"]]:
    """Draw Z, and its right singular vectors."""
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.streams import haar

    r = min(settings.subspace_dim, settings.num_samples)
    values = jnp.linspace(1.0, 1.0 / settings.condition_number, r, dtype=jnp.float64)
    left = haar(key("data/left"), settings.subspace_dim, r)
    right = haar(key("data/right"), settings.num_samples, r)
    return multiply(left * values, right.T), right


def draw_signals(settings: CoordinateSettings, key: Keys) -> Signals:
    """Draw the signals R Z."""
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.streams import haar

    basis = haar(key("data/basis"), settings.signal_dim, settings.subspace_dim)
    coordinates, right = draw_coordinates(settings, key)
    return Signals(basis, right, multiply(basis, coordinates))


def draw(settings: SubspaceSettings, key: Keys) -> tuple[Float[Array, "d n"], Float[Array, "m n"]]:
    """Draw the training signals X and measurements Y.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    from dlnsweep.numerics.products import multiply

    signals = draw_signals(settings, key).values
    return signals, multiply(draw_operator(settings, key), signals)


def draw_test(
    settings: CoordinateSettings, key: Keys, count: int
) -> tuple[Float[Array, "d k"], Float[Array, "m k"]]:
    """Draw fresh signals R z with z ~ N(0, I_s / s), of mean square norm 1, and measure them."""
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.streams import gaussian

    operator, basis = _operator_and_basis(settings, key)
    s = settings.subspace_dim
    signals = multiply(basis, gaussian(key("test/signals"), s, count) / jnp.sqrt(s))
    return signals, multiply(operator, signals)


def isometry(settings: CoordinateSettings, key: Keys) -> Float[Array, " 3"]:
    """Return the extreme singular values of A R, and a lower estimate of delta_s(A).

    delta_s(A) = max |sigma^2 - 1| over the singular values of all choices of s columns of A, its
    restricted isometry constant for s-sparse signals; here the largest of 200 random choices.
    """
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.streams import gaussian

    operator, basis = _operator_and_basis(settings, key)
    own = jnp.linalg.svd(multiply(operator, basis), compute_uv=False)
    # The places of the s largest of d independent numbers are a uniformly random choice.
    numbers = gaussian(key("operator/supports"), _SUPPORTS, settings.signal_dim)
    supports = jnp.argsort(numbers, axis=1)[:, : settings.subspace_dim]
    chosen = jnp.moveaxis(operator[:, supports], 0, 1)
    values = jnp.linalg.svd(chosen, compute_uv=False)
    return jnp.stack([own[-1], own[0], jnp.max(jnp.abs(values**2 - 1))])
