"""Training deep linear networks W_L ... W_1 on a loss of their end-to-end matrix alone.

With grad l the gradient of the loss at W = W_{L:1} (`problems/losses.py`), layer i has the gradient

    W_{L:i+1}^T grad l(W) W_{i-1:1}^T + lambda W_i

(Arora, Cohen, Hazan 2018, arXiv:1802.06509, proof of Theorem 1). On the thinner side of W the
products W_{i:1} (or, transposed, W_{L:i}) are kept, so a step takes 3 (L - 1) products of matrices
but no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.contracts.descent import Carry, Inputs, Kernel
from dlnsweep.networks.layered.rates import fan_in_numbers, layer_rates
from dlnsweep.networks.matrix.products import (
    Weights,
    layer_gradients,
    partial_products,
    transposed,
)
from dlnsweep.networks.matrix.view import FactorizationView
from dlnsweep.numerics.compensated import Matrices, add_all, nothing_lost
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.optimizers.directions import couples_decay, direction_of
from dlnsweep.problems.losses import Fit
from dlnsweep.settings.optimizers import HYPERPARAMETERS
from dlnsweep.settings.training import TrainingSettings


class Constants(NamedTuple):
    """What a run is given.

    Attributes:
        fit: The loss.
        learning_rates: eta_i of each layer, float64.
        numbers: The traced numbers of [training], by name.
        first: The weights at step 0.
        limit: See `divergence.squared_limit`.
    """

    fit: Fit
    learning_rates: Float[Array, " L"]
    numbers: dict[str, Float[Array, ""]]
    first: Weights
    limit: Any = None


class State(NamedTuple):
    """What changes during a run; see `gradient_descent.State` for the rest.

    Attributes:
        weights: W_1, ..., W_L.
        optimizer: The state of the optax transformation; None for gradient descent.
        steps: Steps taken; a run that has ended takes none.
        lost: What has been rounded off the weights so far; see `compensated.py`.
    """

    weights: Weights
    optimizer: Any
    steps: Int[Array, ""]
    active: Bool[Array, ""]
    diverged_step: Int[Array, ""]
    lost: Matrices


def fit_gradients(
    fit: Fit, power: float, weights: Weights, factor: Float[Array, ""], *, streamed: bool
) -> tuple[Weights, Float[Array, ""]]:
    """Return the layers' gradients of factor l(W_{L:1}), and the sum of the squared residuals.

    Args:
        fit: The loss l.
        power: Its exponent, static.
        weights: W_1, ..., W_L.
        factor: The factor c; where it is 0 the gradients are, whatever the residual.
        streamed: See `Fit.gradient`.
    """
    shape = (weights[-1].shape[0], weights[0].shape[1])
    turned = shape[0] < shape[1]
    chain = transposed(weights) if turned else weights
    products = partial_products(chain)
    matrix = products[-1].T if turned else products[-1]
    gradient, residual = fit.gradient(matrix, power, streamed=streamed)
    # A run that has ended may hold anything: 0 times infinity would not be 0.
    gradient = jnp.where(factor == 0, 0.0, factor * gradient)
    if turned:
        gradients = transposed(layer_gradients(chain, products, gradient.T))
    else:
        gradients = layer_gradients(chain, products, gradient)
    return gradients, jnp.sum(residual**2)


@dataclass(frozen=True)
class FactorizationKernel(Kernel):
    """Gradient descent (or an optax optimizer) on all layers, for a loss of their product.

    Attributes:
        power: The exponent p of the loss.
        streamed: See `Fit.gradient`.
    """

    power: float = 2.0
    streamed: bool = False

    def start(
        self,
        weights: Weights,
        fit: Fit,
        fan_ins: tuple[Any, ...],
        numbers: TrainingSettings,
        record: dict[str, Float[Array, ""]],
        test: None = None,
    ) -> tuple[Inputs, Carry]:
        """Make a run's inputs and its state at step 0.

        Args:
            weights: W_1, ..., W_L, already in the precision of training.
            fit: The loss, in the same precision.
            fan_ins: The number of inputs of each layer.
            numbers: [training] with its traced fields filled in.
            record: The traced numbers of [record].
            test: Nothing; these problems have no fresh samples.
        """
        values = {
            name: jnp.asarray(getattr(numbers, name), jnp.float64)
            for name in (*HYPERPARAMETERS, "weight_decay", "data_fit_scale")
        }
        rates = layer_rates(self.training, numbers, fan_ins)
        constants = Constants(fit, rates, values, weights)
        optimizer = self._direction(values).init(weights) if self._uses_optax else None
        state = State(
            weights,
            optimizer,
            jnp.zeros((), jnp.int64),
            jnp.ones((), bool),
            -jnp.ones((), jnp.int64),
            nothing_lost(weights),
        )
        decay = values["weight_decay"]
        made = Inputs(constants, decay, record, test, fan_in_numbers(fan_ins))
        carry = self._begun(self.carry(state))
        return self.bounded(made, carry, fit.observed.norm, numbers.divergence_factor), carry

    def _begun(self, carry: Carry) -> Carry:
        """Return the state at step 0 with what else a kernel carries along."""
        return carry

    @property
    def _uses_optax(self) -> bool:
        return self.training.optimizer != "gradient_descent"

    def _direction(self, numbers: dict[str, Float[Array, ""]]) -> Any:
        return direction_of(self.training.optimizer, numbers, self.training)

    def view(self, inputs: Inputs, carry: Carry) -> FactorizationView:
        """Return the view of the state that observables see."""
        state, given = carry.state, inputs.constants
        view = FactorizationView(
            state.weights, given.first, given.fit, given.numbers, self.power, state.steps
        )
        view.fan_in_steps = self.training.step_rule == "fan_in"
        return view

    def weights(self, inputs: Inputs, carry: Carry) -> Any:
        """Return W_1, ..., W_L."""
        del inputs
        return carry.state.weights

    def step(self, constants: Constants, state: State, now: Int[Array, ""]) -> State:
        """Return the state after one step."""
        weights, dtype = state.weights, state.weights[0].dtype
        numbers = {name: value.astype(dtype) for name, value in constants.numbers.items()}
        factor = jnp.where(state.active, numbers["data_fit_scale"], 0.0)
        gradients, squared_error = fit_gradients(
            constants.fit, self.power, weights, factor, streamed=self.streamed
        )
        within = squared_error <= constants.limit
        active = state.active & within
        diverged_step = jnp.where(state.active & ~within, now, state.diverged_step)
        if couples_decay(self.training.optimizer):
            decay = numbers["weight_decay"]
            gradients = tuple(g + decay * w for g, w in zip(gradients, weights, strict=True))
        directions, optimizer = gradients, None
        if self._uses_optax:
            directions, optimizer = self._direction(numbers).update(
                gradients, state.optimizer, weights
            )
        rates = constants.learning_rates.astype(dtype)
        scaled = tuple(-rate * d for rate, d in zip(rates, directions, strict=True))
        moved, lost = add_all(weights, state.lost, scaled)
        made = State(moved, optimizer, state.steps + 1, active, diverged_step, lost)
        held = state._replace(active=active, diverged_step=diverged_step)
        return jax.tree.map(lambda new, old: jnp.where(active, new, old), made, held)
