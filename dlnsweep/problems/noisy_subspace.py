"""Signals near a subspace, measured with noise (questions that arXiv:2502.15522 leaves open).

X = R Z + T,  Y = A X + E

A, R, Z    as for "subspace", and drawn alike: without tail and noise X and Y are those
T (d, n)   the tail: singular values tail_level k^(-tail_power) for k = 1, 2, ..., with left vectors
           orthonormal to R and right ones orthonormal to those of Z (Haar), as many as there are:
           min(d - s, n - min(s, n))
E (m, n)   independent entries N(0, (sigma ||R Z||_F / sqrt(n))^2), sigma the measurement noise

||R Z||_F / sqrt(n) is the root mean square norm of a signal in the subspace: sqrt(s / n) for
condition number 1 and n >= s. So sigma is relative to the signals as record.test_noise is, whose
test signals have mean square norm 1. It does not change with the tail.

Y has rank min(m, n), so that nothing is off its range. `off_subspace_error` is about the range of
the measurements A R Z of the signals in the subspace instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.operators import draw_operator
from dlnsweep.problems.subspace import CoordinateSettings, draw_signals, draw_test
from dlnsweep.settings.base import Describe

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys, Words

__all__ = ["NoisySubspaceSettings", "clean", "draw", "draw_test", "rank"]

_NonNegative = Annotated[float, Field(ge=0)]


class NoisySubspaceSettings(CoordinateSettings):
    """[problem] kind = "noisy_subspace"."""

    kind: Annotated[Literal["noisy_subspace"], Describe("static", "which problem", axis=False)] = (
        "noisy_subspace"
    )
    measurement_noise: Annotated[
        _NonNegative,
        Describe(
            "traced",
            "standard deviation of the noise on each training measurement, relative to the root "
            "mean square norm of the signals in the subspace",
            "σ",
        ),
    ] = 0.0
    tail_level: Annotated[
        _NonNegative,
        Describe("traced", "largest singular value of the signals off the subspace"),
    ] = 0.0
    tail_power: Annotated[
        _NonNegative, Describe("traced", "the k-th of these values is tail_level k^(-tail_power)")
    ] = 1.0


def rank(settings: NoisySubspaceSettings) -> int:
    """Return the rank of Y where there is noise: min(m, n)."""
    return min(settings.measurement_dim, settings.num_samples)


def _beyond(key: Words, frame: Float[Array, "p r"], count: int) -> Float[Array, "p count"]:
    """Draw orthonormal columns orthogonal to those of `frame`, from the Haar measure there."""
    from dlnsweep.numerics.streams import gaussian

    given = frame.shape[1]
    columns = jnp.concatenate([frame, gaussian(key, frame.shape[0], count)], axis=1)
    q, r = jnp.linalg.qr(columns)
    signs = jnp.where(jnp.diagonal(r)[given:] < 0, -1.0, 1.0)
    return q[:, given:] * signs


def draw(
    settings: NoisySubspaceSettings, key: Keys
) -> tuple[Float[Array, "d n"], Float[Array, "m n"]]:
    """Draw the training signals X, with their tail, and the noisy measurements Y.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.streams import gaussian

    d, n = settings.signal_dim, settings.num_samples
    basis, right, inside = draw_signals(settings, key)
    signals = inside
    size = min(d - basis.shape[1], n - right.shape[1])
    if size > 0:
        places = jnp.arange(1, size + 1, dtype=jnp.float64)
        values = settings.tail_level * places**-settings.tail_power
        left = _beyond(key("data/tail_left"), basis, size)
        signals = inside + multiply(left * values, _beyond(key("data/tail_right"), right, size).T)
    deviation = settings.measurement_noise * jnp.linalg.norm(inside) / jnp.sqrt(n)
    noise = gaussian(key("data/noise"), settings.measurement_dim, n)
    return signals, multiply(draw_operator(settings, key), signals) + deviation * noise


def clean(settings: NoisySubspaceSettings, key: Keys) -> Float[Array, "m n"]:
    """Return A R Z, the measurements of the signals in the subspace, without noise."""
    from dlnsweep.numerics.products import multiply

    return multiply(draw_operator(settings, key), draw_signals(settings, key).values)
