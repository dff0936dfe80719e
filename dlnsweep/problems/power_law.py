"""Random features of data with a power-law spectrum (arXiv:2405.15074, section 1).

z_i (v)      independent entries, entry j is N(0, j^(-2 alpha))
b (v)        b_j = j^(-beta)
W (v, m)     independent entries N(0, 1/m)
y_i (m)      W^T z_i, the features that a network is given
x_i          b . z_i, the target

The paper's v and d are `ambient_dim` and `measurement_dim`. Its loss is E (theta . y - x)^2: twice
that of training.loss = "mean_squared" on fresh samples.
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

    from dlnsweep.numerics.streams import Keys, Words


class PowerLawSettings(ScalarSettings):
    """[problem] kind = "power_law": random features, spectrum and target by power laws."""

    kind: Annotated[Literal["power_law"], Describe("static", "which problem", axis=False)] = (
        "power_law"
    )
    ambient_dim: Annotated[Dimension, Describe("static", "dimension of the data", "v")]
    data_exponent: Annotated[
        NonNegative, Describe("traced", "coordinate j of the data has deviation j^-α", "α")
    ]
    target_exponent: Annotated[
        NonNegative, Describe("traced", "coordinate j of the target is j^-β", "β")
    ]

    constraints: ClassVar[tuple[Constraint, ...]] = (
        loss_fits("none"),
        Constraint(
            ("problem.measurement_dim", "problem.ambient_dim"),
            lambda m, v: m <= v,
            "problem.measurement_dim is {0}; it must not exceed problem.ambient_dim, which is {1}.",
        ),
    )


def draw(settings: PowerLawSettings, key: Keys) -> tuple[Float[Array, "1 n"], Float[Array, "m n"]]:
    """Draw the targets X and the features Y.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    return stream(settings, common(settings, key), key, settings.num_samples)


def common(settings: PowerLawSettings, key: Keys) -> tuple[Float[Array, "_ _"], ...]:
    """Return the deviations of z's entries as a column, b as a row, and the random W."""
    from dlnsweep.numerics.streams import gaussian

    v, m = settings.ambient_dim, settings.measurement_dim
    places = jnp.arange(1, v + 1, dtype=jnp.float64)
    features = gaussian(key("data/operator"), v, m) / m**0.5
    deviations = places**-settings.data_exponent
    return deviations[:, None], (places**-settings.target_exponent)[None], features


def stream(
    settings: PowerLawSettings, shared: tuple[Float[Array, "_ _"], ...], key: Keys, count: int
) -> tuple[Float[Array, "1 k"], Float[Array, "m k"]]:
    """Draw training targets and features of a given W."""
    return _samples(settings, shared, key("data/signals"), count)


def draw_test(
    settings: PowerLawSettings, key: Keys, count: int
) -> tuple[Float[Array, "1 k"], Float[Array, "m k"]]:
    """Draw fresh targets and features."""
    return _samples(settings, common(settings, key), key("test/signals"), count)


def _samples(
    settings: PowerLawSettings, shared: tuple[Float[Array, "_ _"], ...], own: Words, count: int
) -> tuple[Float[Array, "1 k"], Float[Array, "m k"]]:
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.streams import gaussian

    deviations, target, features = shared
    data = deviations * gaussian(own, settings.ambient_dim, count)
    return multiply(target, data), multiply(features.T, data)
