"""Training a deep linear network with an optimizer from optax, on the reduced samples.

Adaptive optimizers work entry by entry, so the first layer keeps its own coordinates; only the
samples are reduced (the gradient sees them through X Y^T and Y Y^T whatever the optimizer).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.contracts.descent import one_by_one
from dlnsweep.networks.layered.minibatches import Minibatches, stochastic
from dlnsweep.networks.layered.samples import Reduced, reduced_measurements
from dlnsweep.networks.layered.view import LinearView
from dlnsweep.numerics.compensated import Matrices, add_all, nothing_lost
from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.numerics.products import multiply
from dlnsweep.optimizers.directions import couples_decay, direction_of
from dlnsweep.settings.training import TrainingSettings


class Constants(NamedTuple):
    """A run's data and numbers.

    Attributes:
        data: The reduced samples.
        learning_rates: eta_i of each layer, float64.
        numbers: The traced numbers of [training], by name.
        minibatches: What minibatches are drawn from; None for full batches.
        limit: See `divergence.squared_limit`.
    """

    data: Reduced
    learning_rates: Float[Array, " L"]
    numbers: dict[str, Float[Array, ""]]
    minibatches: Minibatches | None = None
    limit: Any = None


class State(NamedTuple):
    """What changes during a run; see `gradient_descent.State` for the last two.

    Attributes:
        weights: W_1, ..., W_L.
        optimizer: The state of the optax transformation.
        lost: What has been rounded off the weights so far; see `compensated.py`.
    """

    weights: tuple[Float[Array, "..."], ...]
    optimizer: Any
    active: Bool[Array, ""]
    diverged_step: Int[Array, ""]
    lost: Matrices


def start(
    weights: tuple[Float[Array, "..."], ...], constants: Constants, training: TrainingSettings
) -> State:
    """Make the state at step 0; of [training] the optimizer and its choices are read."""
    transformation = direction_of(training.optimizer, constants.numbers, training)
    return State(
        weights,
        transformation.init(weights),
        jnp.ones((), bool),
        -jnp.ones((), jnp.int64),
        nothing_lost(weights),
    )


def view(constants: Constants, state: State) -> LinearView:
    """Return the view of the state that observables see."""
    data = constants.data
    first = state.weights[0]
    return LinearView(
        (multiply(first, data.range_basis), *state.weights[1:]),
        multiply(first, data.off_basis),
        data,
        constants.numbers["weight_decay"].astype(first.dtype),
        constants.numbers["data_fit_scale"].astype(first.dtype),
    )


def advance(
    constants: Constants,
    state: State,
    begin: Int[Array, ""],
    stop: Int[Array, ""],
    *,
    training: TrainingSettings,
    early_exit: bool,
    minibatch_size: int = 0,
) -> State:
    """Carry out the steps `begin`, ..., `stop` - 1; see `gradient_descent.advance`."""
    of_run = partial(step, constants, training=training, minibatch_size=minibatch_size)
    return one_by_one(of_run, state, begin, stop, early_exit=early_exit)


def step(
    constants: Constants,
    state: State,
    now: Int[Array, ""],
    *,
    training: TrainingSettings,
    minibatch_size: int = 0,
) -> State:
    """Return the state after one step; see `advance`."""
    data, dtype = constants.data, state.weights[0].dtype
    numbers = {key: value.astype(dtype) for key, value in constants.numbers.items()}
    rates = constants.learning_rates.astype(dtype)
    name = training.optimizer
    transformation = direction_of(name, numbers, training)
    measurements = reduced_measurements(data)
    coupled_decay = numbers["weight_decay"] if couples_decay(name) else 0.0

    def objective(
        weights: tuple[Float[Array, "..."], ...],
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        output = measurements
        for weight in weights:
            output = multiply(weight, output)
        residual = output - data.targets
        squared_error = fit = jnp.sum(residual**2)
        if constants.minibatches is not None:
            # Linear in the residual, with the gradient of the minibatch's half squared error.
            source = stochastic(
                constants.minibatches, lax.stop_gradient(residual), now, minibatch_size
            )
            fit = 2 * jnp.sum(residual * source)
        decay = sum(jnp.sum(weight**2) for weight in weights)
        loss = 0.5 * (numbers["data_fit_scale"] * fit + coupled_decay * decay)
        return loss, squared_error

    gradients, squared_error = jax.grad(objective, has_aux=True)(state.weights)
    within = squared_error <= constants.limit
    active = state.active & within
    diverged_step = jnp.where(state.active & ~within, now, state.diverged_step)
    updates, optimizer = transformation.update(gradients, state.optimizer, state.weights)
    directions: Any = updates
    scaled = tuple(-rate * d for rate, d in zip(rates, directions, strict=True))
    weights, lost = add_all(state.weights, state.lost, scaled)

    def keep(new: Array, old: Array) -> Array:
        return jnp.where(active, new, old)

    weights, optimizer, lost = jax.tree.map(
        keep, (weights, optimizer, lost), (state.weights, state.optimizer, state.lost)
    )
    return State(weights, optimizer, active, diverged_step, lost)
