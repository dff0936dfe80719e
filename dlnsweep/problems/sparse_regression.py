"""Regression on a sparse vector, from fewer samples than inputs (as in arXiv:2002.09277).

y_i (m)    inputs, independent entries N(0, 1)
beta (m)   s entries, at random places, are 1/sqrt(s) or -1/sqrt(s), each sign with probability
           1/2; the others are 0. So |beta| = 1
x_i        beta . y_i + noise e_i, e_i independent N(0, 1); test targets have no noise

arXiv:2002.09277 has all signs positive; the law of what a network does is the same wherever it
treats an input and its negative alike, as diagonal networks u * u - v * v do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.labels import loss_fits
from dlnsweep.problems.operators import Dimension
from dlnsweep.problems.scalar import NonNegative, ScalarSettings
from dlnsweep.settings.base import Constraint, Describe

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys


class SparseRegressionSettings(ScalarSettings):
    """[problem] kind = "sparse_regression": a sparse vector from few samples."""

    kind: Annotated[
        Literal["sparse_regression"], Describe("static", "which problem", axis=False)
    ] = "sparse_regression"
    sparsity: Annotated[Dimension, Describe("static", "number of entries that are not 0", "s")]
    noise: Annotated[
        NonNegative, Describe("traced", "standard deviation of the noise on training targets", "σ")
    ] = 0.0

    constraints: ClassVar[tuple[Constraint, ...]] = (
        loss_fits("none"),
        Constraint(
            ("problem.sparsity", "problem.measurement_dim"),
            lambda s, m: s <= m,
            "problem.sparsity is {0}; it must not exceed problem.measurement_dim, which is {1}.",
        ),
    )


def coefficients(settings: SparseRegressionSettings, key: Keys) -> Float[Array, "1 m"]:
    """Draw beta."""
    from dlnsweep.numerics.streams import gaussian

    m, s = settings.measurement_dim, settings.sparsity
    # The places of sorted independent numbers are a uniformly random order.
    places = jnp.argsort(gaussian(key("data/members"), m, 1)[:, 0])[:s]
    signs = jnp.where(gaussian(key("data/weights"), s, 1)[:, 0] < 0, -1.0, 1.0)
    return jnp.zeros((1, m)).at[0, places].set(signs / s**0.5)


def draw(
    settings: SparseRegressionSettings, key: Keys
) -> tuple[Float[Array, "1 n"], Float[Array, "m n"]]:
    """Draw the targets X, with noise, and the inputs Y.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    return stream(settings, coefficients(settings, key), key, settings.num_samples)


def stream(
    settings: SparseRegressionSettings, beta: Float[Array, "1 m"], key: Keys, count: int
) -> tuple[Float[Array, "1 k"], Float[Array, "m k"]]:
    """Draw training inputs and their targets, with noise, of a given beta."""
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.streams import gaussian

    inputs = gaussian(key("data/signals"), settings.measurement_dim, count)
    noise = settings.noise * gaussian(key("data/noise"), 1, count)
    return multiply(beta, inputs) + noise, inputs


def draw_test(
    settings: SparseRegressionSettings, key: Keys, count: int
) -> tuple[Float[Array, "1 k"], Float[Array, "m k"]]:
    """Draw fresh inputs and their targets, without noise."""
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.streams import gaussian

    inputs = gaussian(key("test/signals"), settings.measurement_dim, count)
    return multiply(coefficients(settings, key), inputs), inputs
