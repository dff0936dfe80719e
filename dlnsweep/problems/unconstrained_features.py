"""Neural collapse's model: features that are free for each sample (as in arXiv:2011.11619).

Y    the identity (n, n), n = k samples_per_class: the first layer's columns are the features H
X    one-hot targets (k, n), the samples of a class one after another

So a deep linear network W_L ... W_2 H on squared error is an unconstrained features model of L - 1
layers. Nothing is drawn: all seeds have the same data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.labels import loss_fits, targets_of
from dlnsweep.problems.operators import Dimension
from dlnsweep.settings.base import Constraint, Describe, Follows, Settings

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys

_Count = Annotated[int, Field(ge=1, le=10_000)]


def _num_samples(num_classes: int, samples_per_class: int) -> int:
    return num_classes * samples_per_class


class UnconstrainedFeaturesSettings(Settings):
    """[problem] kind = "unconstrained_features": identity data, balanced classes."""

    kind: Annotated[
        Literal["unconstrained_features"], Describe("static", "which problem", axis=False)
    ] = "unconstrained_features"
    num_classes: Annotated[_Count, Describe("static", "number of classes", "k")]
    samples_per_class: Annotated[_Count, Describe("static", "number of samples of a class")]
    num_samples: Annotated[Dimension, Describe("static", "number of samples", "n")]
    signal_dim: Annotated[Dimension, Describe("static", "number of targets, k", "d")]
    measurement_dim: Annotated[Dimension, Describe("static", "number of inputs, n", "m")]

    follows: ClassVar[Mapping[str, Follows]] = {
        "num_samples": Follows(("num_classes", "samples_per_class"), _num_samples),
        "signal_dim": Follows(("num_classes",), lambda k: k),
        "measurement_dim": Follows(("num_classes", "samples_per_class"), _num_samples),
    }

    constraints: ClassVar[tuple[Constraint, ...]] = (loss_fits("one_hot"),)


def rank(settings: UnconstrainedFeaturesSettings) -> int:
    """Return the rank of the identity."""
    return settings.num_samples


def draw(
    settings: UnconstrainedFeaturesSettings, key: Keys
) -> tuple[Float[Array, "d n"], Float[Array, "n n"]]:
    """Return the one-hot targets X and the identity.

    Args:
        settings: The settings.
        key: The run's PRNG key for a named purpose; not used.
    """
    del key
    classes = jnp.arange(settings.num_samples) // settings.samples_per_class
    targets = targets_of(classes, settings.num_classes, "one_hot")
    return targets, jnp.eye(settings.num_samples, dtype=jnp.float64)
