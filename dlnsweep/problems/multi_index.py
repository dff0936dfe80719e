"""A function of one or a few directions of Gaussian inputs (as in arXiv:2003.10423).

y_i (m)           independent entries N(0, 1)
u_1, ..., u_K     orthonormal, from the Haar measure; K = 1 for "single_index"
x_i               sum_j h_k(u_j . y_i) / sqrt(K) + noise e_i, e_i independent N(0, 1)

h_k = He_k / sqrt(k!) is the normalised Hermite polynomial of degree k: h_0 = 1, h_1(z) = z and
h_(k+1)(z) = (z h_k(z) - sqrt(k) h_(k-1)(z)) / sqrt(k + 1). So E x^2 = 1 without noise, and the
information exponent is k. Test targets have no noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.by_law import CONSTRAINTS, InputDimension, Inputs, coordinates
from dlnsweep.problems.labels import loss_fits
from dlnsweep.problems.operators import Dimension
from dlnsweep.problems.scalar import NonNegative, ScalarSettings
from dlnsweep.settings.base import Constraint, Describe

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys, Words

_Degree = Annotated[int, Field(ge=1, le=20)]


class IndexSettings(ScalarSettings):
    """The settings of both."""

    measurement_dim: Annotated[
        InputDimension,
        Describe("static", "number of inputs; by their law it is traced, and free", "m"),
    ]
    inputs: Inputs = "gaussian"
    hermite_degree: Annotated[
        _Degree, Describe("static", "degree of the link, its information exponent", "k")
    ]
    noise: Annotated[
        NonNegative, Describe("traced", "standard deviation of the noise on training targets", "σ")
    ] = 0.0

    constraints: ClassVar[tuple[Constraint, ...]] = (loss_fits("none"), *CONSTRAINTS)


class SingleIndexSettings(IndexSettings):
    """[problem] kind = "single_index": a Hermite polynomial of one direction."""

    kind: Annotated[Literal["single_index"], Describe("static", "which problem", axis=False)] = (
        "single_index"
    )


class MultiIndexSettings(IndexSettings):
    """[problem] kind = "multi_index": Hermite polynomials of several directions."""

    kind: Annotated[Literal["multi_index"], Describe("static", "which problem", axis=False)] = (
        "multi_index"
    )
    num_directions: Annotated[Dimension, Describe("static", "number of directions", "K")]

    constraints: ClassVar[tuple[Constraint, ...]] = (
        *IndexSettings.constraints,
        Constraint(
            ("problem.num_directions", "problem.measurement_dim"),
            lambda k, m: k <= m,
            "problem.num_directions is {0}; it must not exceed problem.measurement_dim, which is "
            "{1}.",
        ),
    )


def directions(settings: IndexSettings, key: Keys) -> Float[Array, "m K"]:
    """Draw u_1, ..., u_K."""
    from dlnsweep.numerics.streams import haar

    return haar(key("data/basis"), settings.measurement_dim, _num_directions(settings))


def _num_directions(settings: IndexSettings) -> int:
    return settings.num_directions if isinstance(settings, MultiIndexSettings) else 1


def hermite(values: Float[Array, "..."], degree: int) -> Float[Array, "..."]:
    """Return h_k of each value, by the recursion."""
    before, found = jnp.zeros_like(values), jnp.ones_like(values)
    for k in range(degree):
        before, found = found, (values * found - k**0.5 * before) / (k + 1) ** 0.5
    return found


def draw(settings: IndexSettings, key: Keys) -> tuple[Float[Array, "1 n"], Float[Array, "m n"]]:
    """Draw the targets X, with noise, and the inputs Y.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    return stream(settings, directions(settings, key), key, settings.num_samples)


def stream(
    settings: IndexSettings, frame: Float[Array, "m K"], key: Keys, count: int
) -> tuple[Float[Array, "1 k"], Float[Array, "m k"]]:
    """Draw training inputs and their targets, with noise, of given directions."""
    from dlnsweep.numerics.streams import gaussian

    targets, inputs = _samples(settings, frame, key("data/signals"), count)
    return targets + settings.noise * gaussian(key("data/noise"), *targets.shape), inputs


def law(settings: IndexSettings, key: Keys, count: int) -> tuple[Float[Array, "_ _"], ...]:
    """Draw the samples by their coordinates, where the number of inputs may be a tracer.

    Returns:
        The fields of `contracts.problem.Coordinates`.
    """
    from dlnsweep.numerics.streams import gaussian

    n = settings.num_samples
    counts = n, _num_directions(settings), count, count
    inputs, directions, fresh, noise = coordinates(key, settings.measurement_dim, counts)
    # Orthonormal ones of Gaussian ones are from the Haar measure, if signs are as in `haar`.
    frame, triangle = jnp.linalg.qr(directions)
    frame = frame * jnp.where(jnp.diagonal(triangle) < 0, -1.0, 1.0)
    targets = _targets(settings, frame, inputs)
    targets = targets + settings.noise * gaussian(key("data/noise"), *targets.shape)
    return targets, inputs[:n], _targets(settings, frame, fresh), fresh, noise


def draw_test(
    settings: IndexSettings, key: Keys, count: int
) -> tuple[Float[Array, "1 k"], Float[Array, "m k"]]:
    """Draw fresh inputs and their targets, without noise."""
    return _samples(settings, directions(settings, key), key("test/signals"), count)


def _samples(
    settings: IndexSettings, frame: Float[Array, "m K"], own: Words, count: int
) -> tuple[Float[Array, "1 k"], Float[Array, "m k"]]:
    from dlnsweep.numerics.streams import gaussian

    inputs = gaussian(own, settings.measurement_dim, count)
    return _targets(settings, frame, inputs), inputs


def _targets(
    settings: IndexSettings, frame: Float[Array, "m K"], inputs: Float[Array, "m k"]
) -> Float[Array, "1 k"]:
    """Return sum_j h_k(u_j . y) / sqrt(K) of each input y."""
    from dlnsweep.numerics.products import multiply

    links = hermite(multiply(frame.T, inputs), settings.hermite_degree)
    return jnp.sum(links, axis=0, keepdims=True) / frame.shape[1] ** 0.5
