"""Signals in one random subspace, seen through a Gaussian operator (arXiv:2502.15522, section 2).

A = G / sqrt(m)          G (m, d) standard Gaussian
R (d, s)                 orthogonal factor of a Gaussian matrix (Haar)
Z (s, n)                 random singular vectors, singular values equally spaced in [1/kappa, 1]
X = R Z,  Y = A X
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from dlnsweep.lazy import jnp
from dlnsweep.settings import Constraint, Describe, Settings

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.streams import Keys

# Random supports behind the lower estimate of a restricted isometry constant.
_SUPPORTS = 200

Dimension = Annotated[int, Field(ge=1, le=2**31 - 1)]


class SubspaceSettings(Settings):
    """[problem] kind = "subspace"."""

    kind: Annotated[Literal["subspace"], Describe("static", "which problem", axis=False)] = (
        "subspace"
    )
    signal_dim: Annotated[Dimension, Describe("static", "dimension of the signals", "d")]
    measurement_dim: Annotated[Dimension, Describe("static", "number of measurements", "m")]
    subspace_dim: Annotated[Dimension, Describe("static", "dimension of the subspace", "s")]
    num_samples: Annotated[Dimension, Describe("static", "number of training samples", "n")]
    condition_number: Annotated[
        Annotated[float, Field(ge=1)], Describe("traced", "condition number of the signals", "κ")
    ] = 1.0

    constraints: ClassVar[tuple[Constraint, ...]] = (
        Constraint(
            ("problem.measurement_dim", "problem.signal_dim"),
            lambda m, d: m <= d,
            "problem.measurement_dim is {0}; it must not exceed problem.signal_dim, which is {1} "
            "(the problem is underdetermined: m <= d).",
        ),
        Constraint(
            ("problem.subspace_dim", "problem.measurement_dim"),
            lambda s, m: s <= m,
            "problem.subspace_dim is {0}; it must not exceed problem.measurement_dim, which is "
            "{1} (else the signals cannot be told apart: s <= m).",
        ),
    )


def rank(settings: SubspaceSettings) -> int:
    """Return the rank of Y: min(s, n)."""
    return min(settings.subspace_dim, settings.num_samples)


def _operator_and_basis(
    settings: SubspaceSettings, key: Keys
) -> tuple[Float[Array, "m d"], Float[Array, "d s"]]:
    from dlnsweep.streams import gaussian, haar

    m, d, s = settings.measurement_dim, settings.signal_dim, settings.subspace_dim
    return gaussian(key("data/operator"), m, d) / jnp.sqrt(m), haar(key("data/basis"), d, s)


def draw(settings: SubspaceSettings, key: Keys) -> tuple[Float[Array, "d n"], Float[Array, "m n"]]:
    """Draw the training signals X and measurements Y.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    from dlnsweep.kernels.linear import multiply
    from dlnsweep.streams import haar

    operator, basis = _operator_and_basis(settings, key)
    r = rank(settings)
    values = jnp.linspace(1.0, 1.0 / settings.condition_number, r, dtype=jnp.float64)
    left = haar(key("data/left"), settings.subspace_dim, r)
    right = haar(key("data/right"), settings.num_samples, r)
    signals = multiply(basis, multiply(left * values, right.T))
    return signals, multiply(operator, signals)


def draw_test(
    settings: SubspaceSettings, key: Keys, count: int
) -> tuple[Float[Array, "d k"], Float[Array, "m k"]]:
    """Draw fresh signals R z with z ~ N(0, I_s / s), of mean square norm 1, and measure them."""
    from dlnsweep.kernels.linear import multiply
    from dlnsweep.streams import gaussian

    operator, basis = _operator_and_basis(settings, key)
    s = settings.subspace_dim
    signals = multiply(basis, gaussian(key("test/signals"), s, count) / jnp.sqrt(s))
    return signals, multiply(operator, signals)


def isometry(settings: SubspaceSettings, key: Keys) -> Float[Array, " 3"]:
    """Return the extreme singular values of A R, and a lower estimate of delta_s(A).

    delta_s(A) = max |sigma^2 - 1| over the singular values of all choices of s columns of A, its
    restricted isometry constant for s-sparse signals; here the largest of 200 random choices.
    """
    from dlnsweep.kernels.linear import multiply
    from dlnsweep.streams import gaussian

    operator, basis = _operator_and_basis(settings, key)
    own = jnp.linalg.svd(multiply(operator, basis), compute_uv=False)
    # The places of the s largest of d independent numbers are a uniformly random choice.
    numbers = gaussian(key("operator/supports"), _SUPPORTS, settings.signal_dim)
    supports = jnp.argsort(numbers, axis=1)[:, : settings.subspace_dim]
    chosen = jnp.moveaxis(operator[:, supports], 0, 1)
    values = jnp.linalg.svd(chosen, compute_uv=False)
    return jnp.stack([own[-1], own[0], jnp.max(jnp.abs(values**2 - 1))])
