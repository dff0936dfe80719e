"""Two classes that a hyperplane through 0 separates with a known margin (as in arXiv:1710.10345).

u (m)      uniform on the unit sphere
g_i (m)    independent entries N(0, 1)
x_i        the label, 1 or -1: the sign of u . g_i
y_i        g_i + margin x_i u, so that x_i (u . y_i) = |u . g_i| + margin

Support "pair": the first two samples are margin u with label 1 and -margin u with label -1. They
are 2 margin apart, so that no separating hyperplane has a larger margin than `margin`; and that of
u has it. So the max-margin direction is u, exactly, and min_i x_i (u . y_i) = margin. "random"
leaves these two as drawn: the largest margin is at least `margin`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.labels import loss_fits
from dlnsweep.problems.scalar import Positive, ScalarSettings
from dlnsweep.settings.base import Constraint, Describe

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys, Words


class SeparableSettings(ScalarSettings):
    """[problem] kind = "separable": linearly separable data, labels 1 and -1."""

    kind: Annotated[Literal["separable"], Describe("static", "which problem", axis=False)] = (
        "separable"
    )
    margin: Annotated[
        Positive, Describe("traced", "distance of the separating hyperplane from the samples", "γ")
    ] = 1.0
    support: Annotated[
        Literal["pair", "random"],
        Describe(
            "static",
            "pair: the first two samples are γ u and -γ u, so that γ is the largest margin, "
            "exactly; random: all are drawn, and the largest margin is at least γ",
        ),
    ] = "pair"

    constraints: ClassVar[tuple[Constraint, ...]] = (
        loss_fits("signs"),
        Constraint(
            ("problem.support", "problem.num_samples"),
            lambda support, n: support != "pair" or n >= 2,
            "problem.num_samples is {1}; problem.support = {0} needs two samples.",
        ),
    )


def direction(settings: SeparableSettings, key: Keys) -> Float[Array, "m 1"]:
    """Draw u, the max-margin direction of a "pair"."""
    from dlnsweep.numerics.streams import gaussian

    drawn = gaussian(key("data/weights"), settings.measurement_dim, 1)
    return drawn / jnp.linalg.norm(drawn)


def draw(settings: SeparableSettings, key: Keys) -> tuple[Float[Array, "1 n"], Float[Array, "m n"]]:
    """Draw the labels X and the inputs Y.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    labels, inputs = _samples(settings, key, key("data/signals"), settings.num_samples)
    if settings.support == "pair":
        signs = jnp.array([[1.0, -1.0]], labels.dtype)
        pair = settings.margin * direction(settings, key) * signs
        labels, inputs = labels.at[:, :2].set(signs), inputs.at[:, :2].set(pair)
    return labels, inputs


def draw_test(
    settings: SeparableSettings, key: Keys, count: int
) -> tuple[Float[Array, "1 k"], Float[Array, "m k"]]:
    """Draw fresh samples, none of them a pair."""
    return _samples(settings, key, key("test/signals"), count)


def _samples(
    settings: SeparableSettings, key: Keys, own: Words, count: int
) -> tuple[Float[Array, "1 k"], Float[Array, "m k"]]:
    from dlnsweep.numerics.products import multiply
    from dlnsweep.numerics.streams import gaussian

    normal = direction(settings, key)
    drawn = gaussian(own, settings.measurement_dim, count)
    labels = jnp.where(multiply(normal.T, drawn) < 0, -1.0, 1.0)
    return labels, drawn + settings.margin * normal * labels
