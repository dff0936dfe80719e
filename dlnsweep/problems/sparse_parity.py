"""The parity of a few of many signs (as in arXiv:2207.08799).

y_i (m)    independent entries 1 or -1, each with probability 1/2
S          k of the m places, at random
x_i        the product of the entries of y_i at the places in S: 1 or -1
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.labels import loss_fits
from dlnsweep.problems.operators import Dimension
from dlnsweep.problems.scalar import ScalarSettings
from dlnsweep.settings.base import Constraint, Describe

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys


class SparseParitySettings(ScalarSettings):
    """[problem] kind = "sparse_parity": the product of k of m signs."""

    kind: Annotated[Literal["sparse_parity"], Describe("static", "which problem", axis=False)] = (
        "sparse_parity"
    )
    parity_size: Annotated[Dimension, Describe("static", "number of signs that count", "k")]

    constraints: ClassVar[tuple[Constraint, ...]] = (
        loss_fits("signs"),
        Constraint(
            ("problem.parity_size", "problem.measurement_dim"),
            lambda k, m: k <= m,
            "problem.parity_size is {0}; it must not exceed problem.measurement_dim, which is {1}.",
        ),
    )


def draw(
    settings: SparseParitySettings, key: Keys
) -> tuple[Float[Array, "1 n"], Float[Array, "m n"]]:
    """Draw the parities X and the signs Y.

    Args:
        settings: The settings.
        key: The run's PRNG key for a named purpose.
    """
    return _samples(settings, key, "data/signals", settings.num_samples)


def draw_test(
    settings: SparseParitySettings, key: Keys, count: int
) -> tuple[Float[Array, "1 k"], Float[Array, "m k"]]:
    """Draw fresh signs and their parities."""
    return _samples(settings, key, "test/signals", count)


def _samples(
    settings: SparseParitySettings, key: Keys, purpose: str, count: int
) -> tuple[Float[Array, "1 k"], Float[Array, "m k"]]:
    from dlnsweep.numerics.streams import gaussian

    m = settings.measurement_dim
    places = jnp.argsort(gaussian(key("data/members"), m, 1)[:, 0])[: settings.parity_size]
    inputs = jnp.where(gaussian(key(purpose), m, count) < 0, -1.0, 1.0)
    return jnp.prod(inputs[places], axis=0, keepdims=True), inputs
