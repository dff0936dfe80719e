"""Signals in a union of random subspaces (Figure 1b of arXiv:2502.15522).

A (m, d)               a measurement operator (operators.py)
R_1, ..., R_K (d, s)   orthogonal factors of independent Gaussian matrices (Haar)
k_i                    uniform in 1, ..., K, independent
Z (s, n)               as for "subspace": random singular vectors, singular values equally spaced
                       in [1/kappa, 1]
x_i = R_{k_i} z_i,  Y = A X

So says the paper's Appendix C, where "Sample Z in R^{d x n}" must read s x n. So ||X||_F = ||Z||_F,
which is sqrt(s) for kappa = 1 whatever K is, and the columns of one subspace have about 1/K of
Z Z^T. K = 1 is "subspace" of the same seed.

Y has rank min(K s, m, n), or less where a subspace has fewer than s samples; "off the subspace"
is what is off range(Y), whatever its rank. With K s >= m and enough samples nothing is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.operators import draw_operator
from dlnsweep.problems.subspace import CoordinateSettings, draw_coordinates
from dlnsweep.settings.base import Describe

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.numerics.streams import Keys, Words

_Count = Annotated[int, Field(ge=1, le=10_000)]


class UnionOfSubspacesSettings(CoordinateSettings):
    """[problem] kind = "union_of_subspaces"."""

    kind: Annotated[
        Literal["union_of_subspaces"], Describe("static", "which problem", axis=False)
    ] = "union_of_subspaces"
    num_subspaces: Annotated[_Count, Describe("static", "number of subspaces", "K")] = 3


def rank(settings: UnionOfSubspacesSettings) -> int:
    """Return the largest rank that Y can have: min(K s, m, n)."""
    together = settings.num_subspaces * settings.subspace_dim
    return min(together, settings.measurement_dim, settings.num_samples)


def _draw_bases(settings: UnionOfSubspacesSettings, key: Keys) -> Float[Array, "d Ks"]:
    """Draw R_1, ..., R_K, side by side."""
    from dlnsweep.numerics.streams import gaussian

    d, s, count = settings.signal_dim, settings.subspace_dim, settings.num_subspaces
    blocks = gaussian(key("data/basis"), d, count * s).reshape(d, count, s)
    q, r = jnp.linalg.qr(blocks.transpose(1, 0, 2))
    # As in streams.haar: without the signs Q is not Haar distributed.
    signs = jnp.where(jnp.diagonal(r, axis1=1, axis2=2) < 0, -1.0, 1.0)
    return (q * signs[:, None, :]).transpose(1, 0, 2).reshape(d, count * s)


def _place(coordinates: Float[Array, "s n"], members: Words, count: int) -> Float[Array, "Ks n"]:
    """Put each column into the block of a random subspace; zeros elsewhere."""
    from dlnsweep.numerics.streams import gaussian

    s, n = coordinates.shape
    # The largest of K independent numbers is equally often any of them.
    chosen = jnp.argmax(gaussian(members, count, n), axis=0)
    belongs = jnp.arange(count)[:, None] == chosen
    return (belongs[:, None, :] * coordinates).reshape(count * s, n)


def draw(
    settings: UnionOfSubspacesSettings, key: Keys
) -> tuple[Float[Array, "d n"], Float[Array, "m n"]]:
    """Draw the training signals X and measurements Y.

    Args:
        settings: The settings; traced fields may be tracers.
        key: The run's PRNG key for a named purpose.
    """
    coordinates, _ = draw_coordinates(settings, key)
    placed = _place(coordinates, key("data/members"), settings.num_subspaces)
    return _measured(settings, key, placed)


def draw_test(
    settings: UnionOfSubspacesSettings, key: Keys, count: int
) -> tuple[Float[Array, "d k"], Float[Array, "m k"]]:
    """Draw fresh signals of the union, of mean square norm 1, and measure them."""
    from dlnsweep.numerics.streams import gaussian

    s = settings.subspace_dim
    coordinates = gaussian(key("test/signals"), s, count) / jnp.sqrt(s)
    return _measured(
        settings, key, _place(coordinates, key("test/members"), settings.num_subspaces)
    )


def _measured(
    settings: UnionOfSubspacesSettings, key: Keys, placed: Float[Array, "Ks n"]
) -> tuple[Float[Array, "d n"], Float[Array, "m n"]]:
    from dlnsweep.numerics.products import multiply

    signals = multiply(_draw_bases(settings, key), placed)
    return signals, multiply(draw_operator(settings, key), signals)
