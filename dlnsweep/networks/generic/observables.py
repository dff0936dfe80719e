"""Observables of networks in pure functions: of their parameters as one vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlnsweep.contracts.observable import observable
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.settings.sections import RecordSettings

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    from dlnsweep.networks.generic.descent import GenericView


@observable(
    "parameter_norm",
    r"norm of the parameters $\|\theta\|$",
    "square root of the sum of the squares of all parameters",
    views=("parameters",),
)
def _parameter_norm(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    return jnp.sqrt(view.squared_norm)


@observable(
    "parameter_distance",
    r"distance of the parameters $\|\theta(t)-\theta(0)\|$",
    "distance of all parameters from those of step 0",
    views=("parameters",),
    needs_initial=True,
)
def _parameter_distance(view: GenericView, record: RecordSettings) -> Float[Array, ""]:
    from dlnsweep.networks.generic.steps import sum_of_squares

    moved = jax.tree.map(jnp.subtract, view.params, view.initial)
    return jnp.sqrt(sum_of_squares(moved))
