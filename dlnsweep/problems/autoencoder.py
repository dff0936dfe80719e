"""Gaussian data with a given spectrum, to be returned as they are: X = Y.

Q (d, d)    orthogonal, from the Haar measure
y_i (d)     Q diag(sigma) g_i with sigma_j = j^(-power / 2) and g_i of independent entries N(0, 1):
            the covariance has eigenvectors Q and eigenvalues j^(-power)
x_i         y_i
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.labels import loss_fits
from dlnsweep.problems.operators import Dimension
from dlnsweep.problems.scalar import NonNegative
from dlnsweep.settings.base import Constraint, Describe, Follows, Settings

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys


class AutoencoderSettings(Settings):
    """[problem] kind = "autoencoder": Gaussian data as inputs and targets."""

    kind: Annotated[Literal["autoencoder"], Describe("static", "which problem", axis=False)] = (
        "autoencoder"
    )
    signal_dim: Annotated[Dimension, Describe("static", "dimension of the data", "d")]
    num_samples: Annotated[Dimension, Describe("static", "number of training samples", "n")]
    spectrum_power: Annotated[
        NonNegative, Describe("traced", "eigenvalue j of the covariance is j^-power")
    ] = 1.0
    measurement_dim: Annotated[Dimension, Describe("static", "number of inputs, d", "m")]

    follows: ClassVar[Mapping[str, Follows]] = {
        "measurement_dim": Follows(("signal_dim",), lambda d: d)
    }

    constraints: ClassVar[tuple[Constraint, ...]] = (loss_fits("none"),)


def principal_directions(settings: AutoencoderSettings, key: Keys) -> Float[Array, "d d"]:
    """Draw Q, whose columns are the eigenvectors of the covariance, the largest first."""
    from dlnsweep.numerics.streams import haar

    return haar(key("data/basis"), settings.signal_dim, settings.signal_dim)


def draw(
    settings: AutoencoderSettings, key: Keys
) -> tuple[Float[Array, "d n"], Float[Array, "d n"]]:
    """Draw the data, as targets and as inputs.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    data = _data(settings, key, "data/signals", settings.num_samples)
    return data, data


def draw_test(
    settings: AutoencoderSettings, key: Keys, count: int
) -> tuple[Float[Array, "d k"], Float[Array, "d k"]]:
    """Draw fresh data, as targets and as inputs."""
    data = _data(settings, key, "test/signals", count)
    return data, data


def _data(
    settings: AutoencoderSettings, key: Keys, purpose: str, count: int
) -> Float[Array, "d k"]:
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.streams import gaussian

    places = jnp.arange(1, settings.signal_dim + 1, dtype=jnp.float64)
    deviations = places ** (-0.5 * settings.spectrum_power)
    coordinates = deviations[:, None] * gaussian(key(purpose), settings.signal_dim, count)
    return multiply(principal_directions(settings, key), coordinates)
