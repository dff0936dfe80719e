"""Classes that are Gaussian clouds round means of equal distances.

Q (m, k)    k columns from the Haar measure of orthonormal frames
mu_c (m)    orthogonal: separation / sqrt(2) times column c of Q; simplex: the same minus the mean
            of all. Two of them are `separation` apart
y_i (m)     mu_c + noise g_i, g_i with independent entries N(0, 1); c = i mod k for sample i, so
            that classes are balanced
x_i         the class as targets (labels.py): one_hot, or signs

For two classes "simplex" is y = x mu + noise g with |mu| = separation / 2.

By their law (by_law.py) the g_i and k Gaussian vectors, whose frame is Q, are drawn by coordinates
in a basis in which they come first; reflections of that make the inputs come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.by_law import CONSTRAINTS, InputDimension, Inputs, coordinates
from dlnsweep.problems.labels import LOSS_FITS, Labels, num_outputs, targets_of
from dlnsweep.problems.operators import Dimension
from dlnsweep.problems.scalar import NonNegative, Positive
from dlnsweep.settings.base import Constraint, Describe, Follows, Settings

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int

    from dlnsweep.numerics.streams import Keys, Words

_Classes = Annotated[int, Field(ge=2, le=10_000)]


class GaussianMixtureSettings(Settings):
    """[problem] kind = "gaussian_mixture": Gaussian classes."""

    kind: Annotated[
        Literal["gaussian_mixture"], Describe("static", "which problem", axis=False)
    ] = "gaussian_mixture"
    num_classes: Annotated[_Classes, Describe("static", "number of classes", "k")]
    measurement_dim: Annotated[
        InputDimension,
        Describe("static", "number of inputs; by their law it is traced, and free", "m"),
    ]
    num_samples: Annotated[Dimension, Describe("static", "number of training samples", "n")]
    inputs: Inputs = "gaussian"
    separation: Annotated[Positive, Describe("traced", "distance of the means of two classes")] = (
        1.0
    )
    noise: Annotated[
        NonNegative, Describe("traced", "standard deviation of each input within a class", "σ")
    ] = 1.0
    means: Annotated[
        Literal["simplex", "orthogonal"],
        Describe("static", "simplex: the classes' means have mean 0; orthogonal: they are that"),
    ] = "simplex"
    labels: Annotated[
        Labels,
        Describe(
            "static",
            "one_hot: a target a class, 1 and 0; signs: 1 and -1, one target for two classes",
        ),
    ] = "one_hot"
    signal_dim: Annotated[Dimension, Describe("static", "number of targets", "d")]

    follows: ClassVar[Mapping[str, Follows]] = {
        "signal_dim": Follows(("num_classes", "labels"), num_outputs)
    }
    constraints: ClassVar[tuple[Constraint, ...]] = (
        LOSS_FITS,
        *CONSTRAINTS,
        Constraint(
            ("problem.num_classes", "problem.measurement_dim"),
            lambda k, m: k <= m,
            "problem.num_classes is {0}; means of equal distances need problem.measurement_dim, "
            "which is {1}, to be as large.",
        ),
    )


def class_means(settings: GaussianMixtureSettings, key: Keys) -> Float[Array, "m k"]:
    """Draw the means of the classes."""
    from dlnsweep.numerics.streams import haar

    return _means(settings, haar(key("data/basis"), settings.measurement_dim, settings.num_classes))


def _means(settings: GaussianMixtureSettings, frame: Float[Array, "m k"]) -> Float[Array, "m k"]:
    """Return the means of the classes, of k orthonormal vectors."""
    if settings.means == "simplex":
        frame = frame - jnp.mean(frame, axis=1, keepdims=True)
    return settings.separation / 2**0.5 * frame


def draw(
    settings: GaussianMixtureSettings, key: Keys
) -> tuple[Float[Array, "d n"], Float[Array, "m n"]]:
    """Draw the targets X and the inputs Y.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    return _samples(settings, key, key("data/signals"), settings.num_samples)


def stream(
    settings: GaussianMixtureSettings, means: Float[Array, "m c"], key: Keys, count: int
) -> tuple[Float[Array, "d k"], Float[Array, "m k"]]:
    """Draw samples of given means, each of a random class."""
    from dlnsweep.numerics.streams import below

    classes = below(key("data/members"), settings.num_classes, count)
    return _around(settings, means, classes, key("data/signals"))


def draw_test(
    settings: GaussianMixtureSettings, key: Keys, count: int
) -> tuple[Float[Array, "d k"], Float[Array, "m k"]]:
    """Draw fresh samples of the same classes."""
    return _samples(settings, key, key("test/signals"), count)


def law(settings: GaussianMixtureSettings, key: Keys, count: int) -> tuple[Any, ...]:
    """Draw the samples by their coordinates, where the number of inputs may be a tracer.

    Returns:
        The fields of `contracts.problem.Coordinates`.
    """
    from dlnsweep.numerics.products import multiply

    n, classes = settings.num_samples, settings.num_classes
    within, spread, fresh, noise = coordinates(
        key, settings.measurement_dim, (n, classes, count, count)
    )
    # Orthonormal ones of Gaussian ones are from the Haar measure, if signs are as in `haar`.
    frame, triangle = jnp.linalg.qr(spread)
    means = _means(settings, frame * jnp.where(jnp.diagonal(triangle) < 0, -1.0, 1.0))
    own, other = (jnp.arange(k) % classes for k in (n, count))
    inputs, fresh = (
        means[:, chosen] + settings.noise * each for chosen, each in ((own, within), (other, fresh))
    )
    # Where a vector of the basis does not exist all have zeros, and reflections leave it alone.
    turn = jnp.linalg.qr(inputs[: n + classes], mode="complete")[0].T
    inputs, fresh, noise = (
        jnp.concatenate([multiply(turn, each[: n + classes]), each[n + classes :]])
        for each in (inputs, fresh, noise)
    )
    targets, tests = (targets_of(k, settings.signal_dim, settings.labels) for k in (own, other))
    return targets, inputs[:n], tests, fresh, noise


def _samples(
    settings: GaussianMixtureSettings, key: Keys, own: Words, count: int
) -> tuple[Float[Array, "d k"], Float[Array, "m k"]]:
    classes = jnp.arange(count) % settings.num_classes
    return _around(settings, class_means(settings, key), classes, own)


def _around(
    settings: GaussianMixtureSettings,
    means: Float[Array, "m c"],
    classes: Int[Array, " k"],
    own: Words,
) -> tuple[Float[Array, "d k"], Float[Array, "m k"]]:
    from dlnsweep.numerics.streams import gaussian

    noise = settings.noise * gaussian(own, settings.measurement_dim, len(classes))
    inputs = means[:, classes] + noise
    return targets_of(classes, settings.signal_dim, settings.labels), inputs
