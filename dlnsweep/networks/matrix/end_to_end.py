"""The end-to-end update of a deep linear network, carried out beside the network.

Gradient flow on n balanced layers moves W = W_n ... W_1 by

    dW/dt = -sum_{j=1}^{n} [W W^T]^((j-1)/n) grad l(W) [W^T W]^((n-j)/n)

(Arora, Cohen, Hazan 2018, arXiv:1802.06509, Theorem 1; Theorem 1 of arXiv:2408.13767). A step of
the update is eta times that; with eta -> 0 at a fixed time both end at the same matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.contracts.descent import Carry, Inputs
from dlnsweep.networks.matrix.descent import (
    Constants,
    FactorizationKernel,
    FactorizationView,
    State,
    Weights,
    partial_products,
)
from dlnsweep.numerics.compensated import Matrices, add_all, nothing_lost
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.products import multiply


class TwinState(NamedTuple):
    """The state of a network, with the matrix beside it; for the rest see `descent.State`.

    Attributes:
        matrix: What the end-to-end update has made of the initial product.
        matrix_lost: What has been rounded off it so far.
    """

    weights: Weights
    optimizer: Any
    steps: Int[Array, ""]
    active: Bool[Array, ""]
    diverged_step: Int[Array, ""]
    lost: Matrices
    matrix: Float[Array, "d m"]
    matrix_lost: Matrices


def _network(state: Any) -> State:
    """Return the state of the network alone."""
    return State(*state[:-2])


def preconditioned(
    matrix: Float[Array, "d m"], gradient: Float[Array, "d m"], depth: int
) -> Float[Array, "d m"]:
    """Return sum_j [W W^T]^((j-1)/n) G [W^T W]^((n-j)/n).

    Args:
        matrix: W.
        gradient: G.
        depth: n.
    """
    left, values, right = jnp.linalg.svd(matrix, full_matrices=False)
    total = jnp.zeros_like(matrix)
    for j in range(1, depth + 1):
        part = gradient
        # The power zero is the identity, also off the range.
        if j > 1:
            powers = values ** (2 * (j - 1) / depth)
            part = multiply(left * powers, multiply(left.T, part))
        if j < depth:
            powers = values ** (2 * (depth - j) / depth)
            part = multiply(multiply(part, right.T) * powers, right)
        total += part
    return total


@dataclass(frozen=True)
class EndToEndKernel(FactorizationKernel):
    """Gradient descent on all layers, and the end-to-end update beside it."""

    def _begun(self, carry: Carry) -> Carry:
        """Return the state at step 0 with the matrix beside the network."""
        product = partial_products(carry.state.weights)[-1]
        beside = {"matrix": product, "matrix_lost": nothing_lost((product,))}
        return carry._replace(state=TwinState(**carry.state._asdict(), **beside))

    def view(self, inputs: Inputs, carry: Carry) -> EndToEndView:
        """Return the view of the state that observables see."""
        return EndToEndView(carry.state, inputs.constants, self.power)

    def weights(self, inputs: Inputs, carry: Carry) -> dict[str, Any]:
        """Return W_1, ..., W_L, and the matrix beside them."""
        del inputs
        return {"weights": carry.state.weights, "matrix": carry.state.matrix}

    def step(self, constants: Constants, state: Any, now: Int[Array, ""]) -> Any:
        """Return the state after one step."""
        matrix, dtype = state.matrix, state.matrix.dtype
        factor = constants.numbers["data_fit_scale"].astype(dtype)
        gradient, residual = constants.fit.gradient(matrix, self.power, streamed=self.streamed)
        # Of what has blown up beside the network nothing can be said any more either.
        within = jnp.sum(residual**2) <= constants.limit
        ended = state._replace(
            active=state.active & within,
            diverged_step=jnp.where(state.active & ~within, now, state.diverged_step),
        )
        deep = super().step(constants, _network(ended), now)
        gradient = factor * gradient
        rate = constants.learning_rates[0].astype(dtype)
        change = -rate * preconditioned(matrix, gradient, len(state.weights))
        moved = add_all(matrix, state.matrix_lost, change)
        before = (matrix, state.matrix_lost)
        kept, lost = jax.tree.map(lambda x, y: jnp.where(deep.active, x, y), moved, before)
        return TwinState(**deep._asdict(), matrix=kept, matrix_lost=lost)


class EndToEndView(FactorizationView):
    """The state of a network and of the matrix beside it; see `FactorizationView`."""

    def __init__(self, state: TwinState, constants: Constants, power: float) -> None:
        weights, numbers = state.weights, constants.numbers
        super().__init__(weights, constants.first, constants.fit, numbers, power, state.steps)
        self.twin = state.matrix

    @cached_property
    def squared_residual(self) -> Float[Array, ""]:
        """The larger of the squares of the network's residual and of the matrix's beside it."""
        beside = jnp.sum(self.fit.observed.residual(self.twin) ** 2)
        return jnp.maximum(super().squared_residual, beside)

    @cached_property
    def twin_loss(self) -> Float[Array, ""]:
        """C l of the matrix beside the network."""
        return self.data_fit_scale * self.fit.loss(self.twin, self.power)
