"""The generic way: any network in pure functions, trained by value-and-grad and any direction.

With theta the parameters, L the network's loss and g = c grad L(theta) + lambda theta, a step is

    theta <- theta - eta direction(g)

with the direction of [training]'s optimizer, g itself for gradient descent; adamw's decay is its
own. A network can have factors on eta, one a leaf, and leaves that are not trained: theta is then
the tree of the others, with None in their places, and they are constants. [training] can have
factors on eta and lambda, one a layer (`factors.py`). In float32 what a step
rounds off is kept beside the parameters (`compensated.py`), so that plateaus at small eta lambda
are right.

What else [training] makes of a step, of minibatches to schedules, is in `steps.py`; the flow that
it may ask for in place of steps is in `flow.py`, the average that it may ask to be recorded in
place of the parameters in `averages.py`. Where a step draws
numbers, a run has diverged at it only if its loss is not finite, and by the factor where it is
recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from jaxtyping import Array, Float, Int

from dlnsweep.contracts.descent import Carry, Inputs, Kernel
from dlnsweep.contracts.loss import LOSSES
from dlnsweep.contracts.network import Network
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.view import View
from dlnsweep.networks.generic import averages, flow, steps
from dlnsweep.networks.generic.factors import by_leaf, decays_of, penalty
from dlnsweep.networks.generic.state import Constants, Samples, State, is_none, whole
from dlnsweep.networks.generic.view import GenericView
from dlnsweep.numerics.compensated import add_all, nothing_lost
from dlnsweep.numerics.divergence import squared_limit
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.optimizers.directions import couples_decay, direct, direction_of
from dlnsweep.settings.base import with_numbers
from dlnsweep.settings.optimizers import HYPERPARAMETERS
from dlnsweep.settings.training import BY_LAYER, OF_NETWORK, TrainingSettings

_NUMBERS = ("learning_rate", "weight_decay", "ema_decay", "flow_tolerance", *steps.NUMBERS)


@dataclass(frozen=True)
class GenericKernel(Kernel):
    """Descent on all parameters of any network.

    Attributes:
        network: The network.
        settings: Its settings; only their static fields are read.
        fresh: Takes the run's `Constants.stream`, keys by purpose and a number; returns as many
            fresh targets and inputs, float64. None where no step has samples of its own.

    Of `training` it is also read which of `training.SWITCHES` are on: of all runs of a program the
    same ones are.
    """

    network: Network
    settings: Any
    fresh: Callable[[Any, Any, int], tuple[Any, Any]] | None = field(default=None, kw_only=True)

    @property
    def reduction(self) -> str:
        """Whether the loss is a "sum" over samples or their "mean"."""
        name = self.training.loss
        return self.network.reduction if name == OF_NETWORK else LOSSES[name].reduction

    @property
    def is_squared(self) -> bool:
        """Whether the loss is half the squared error, summed over outputs and samples."""
        name = self.training.loss
        return name == "squared" or (name == OF_NETWORK and self.network.loss is None)

    def loss(self, outputs: Any, targets: Any, settings: Any) -> Any:
        """Return the loss of some outputs: that of [training], else the network's own."""
        name = self.training.loss
        if name == OF_NETWORK and self.network.loss is not None:
            return self.network.loss(outputs, targets, settings)
        return LOSSES["squared" if name == OF_NETWORK else name].function(outputs, targets)

    def predict(self, params: Any, inputs: Any, constants: Constants) -> Array:
        """Return the network's outputs."""
        settings = with_numbers(self.settings, constants.network)
        return self.network.predict(whole(params, constants), inputs, settings)

    def outputs(self, params: Any, constants: Constants) -> Float[Array, " K"]:
        """Return all that the loss is a function of, as one vector: the outputs on all samples."""
        return self.predict(params, constants.samples.inputs, constants).reshape(-1)

    def loss_of(self, outputs: Float[Array, " K"], params: Any, constants: Constants) -> Any:
        """Return the loss of that; parameters are for the shape of outputs."""
        shape = jax.eval_shape(self.predict, params, constants.samples.inputs, constants).shape
        settings = with_numbers(self.settings, constants.network)
        return self.loss(outputs.reshape(shape), constants.samples.targets, settings)

    def samples_in(self, constants: Constants) -> Constants:
        """Return which leaves of the constants have the samples as their last axis."""
        none: Constants = jax.tree.map(lambda _: False, constants)
        return none._replace(samples=jax.tree.map(lambda _: True, constants.samples))

    def as_layers(self, constants: Constants) -> tuple[Any, Any] | None:
        """Return Y and c where the loss is c ||W_L ... W_1 Y - X||^2 / 2 of layers W_i; else None.

        The layers are the parameters, in their order.
        """
        del constants

    def fit(
        self, params: Any, constants: Constants, samples: Samples | None = None
    ) -> Float[Array, ""]:
        """Return the network's loss on its samples, or on others, without decay or scale."""
        return self.fit_and_watched(params, constants, samples)[0]

    def fit_and_watched(
        self, params: Any, constants: Constants, samples: Samples | None = None
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Return that, and what must not exceed the limit beyond which a run has diverged."""
        settings = with_numbers(self.settings, constants.network)
        samples = constants.samples if samples is None else samples
        outputs = self.network.predict(whole(params, constants), samples.inputs, settings)
        fit = self.loss(outputs, samples.targets, settings)
        return fit, self.watched(fit, outputs, samples)

    def watched(self, fit: Any, outputs: Any, samples: Samples) -> Float[Array, ""]:
        """Return what must not exceed the limit: twice the loss."""
        del outputs, samples
        return 2 * fit

    def rates(self, params: Any, constants: Constants) -> Any:
        """Return the learning rate of each leaf of the parameters, float64."""
        eta = constants.numbers["learning_rate"]
        if self.network.rates is None:
            return jax.tree.map(lambda _: eta, params)
        settings = with_numbers(self.settings, constants.network)
        name = self.training.optimizer
        factors = self.network.rates(whole(params, constants), settings, name)
        # Of leaves that are not trained there is no rate.
        return jax.tree.map(
            lambda leaf, factor: None if leaf is None else eta * factor,
            params,
            factors,
            is_leaf=is_none,
        )

    def factors(self, key: str, params: Any, constants: Constants) -> Any:
        """Return the factors of each leaf under one of `training.BY_LAYER`; None if there are none.

        Args:
            key: Which.
            params: The parameters that are trained.
            constants: The run's.
        """
        layer_of = self.network.structure.layer_of
        if not getattr(self.training, key) or layer_of is None:
            return None
        return by_leaf(constants.numbers[key], layer_of(whole(params, constants)), params)

    def parts(self, params: Any, constants: Constants) -> tuple[Any, Any]:
        """Return the leaves that are trained and those that are not, each with None for the others.

        Of a network of which all are, those that are not are None.
        """
        if self.network.trained is None:
            return params, None
        settings = with_numbers(self.settings, constants.network)
        chosen = self.network.trained(params, settings)
        if all(jax.tree.leaves(chosen)):
            return params, None
        trained = jax.tree.map(lambda leaf, use: leaf if use else None, params, chosen)
        return trained, jax.tree.map(lambda leaf, use: None if use else leaf, params, chosen)

    def start(
        self,
        params: Any,
        samples: Samples,
        network: dict[str, Float[Array, ""]],
        training: TrainingSettings,
        record: dict[str, Float[Array, ""]],
        test: Any = None,
        keys: Any = None,
        aside: Any = None,
        stream: Any = None,
    ) -> tuple[Inputs, Carry]:
        """Make a run's inputs and its state at step 0.

        Args:
            params: All parameters, in the precision of training.
            samples: The samples, likewise.
            network: The traced numbers of [network], likewise.
            training: [training] with its traced fields filled in.
            record: The traced numbers of [record].
            test: Fresh samples, or None.
            keys: The run's keys for what its steps draw, by purpose, or None.
            aside: What else observables of the network's kind need, in the precision of training.
            stream: What fresh samples of each step are drawn from, float64.
        """
        numbers = {
            name: jnp.asarray(getattr(training, name), jnp.float64)
            for name in (*HYPERPARAMETERS, *_NUMBERS, *self._by_layer)
        }
        constants = Constants(samples, numbers, network, None, keys, aside, stream=stream)
        params, untrained = self.parts(params, constants)
        constants = constants._replace(untrained=untrained)
        rates, decays = self.rates(params, constants), None
        for key in self._by_layer:
            factors = self.factors(key, params, constants)
            if key == "learning_rate_factors":
                rates = jax.tree.map(lambda rate, factor: rate * factor, rates, factors)
            else:
                decays = factors
        constants = constants._replace(rates=rates, decays=decays)
        none = -jnp.ones((), jnp.int64)
        optimizer = None
        if self.training.flow_tolerance:
            optimizer = flow.begun()
        elif self.training.optimizer != "gradient_descent":
            optimizer = self._direction(numbers).init(params)
        leaves = tuple(jax.tree.leaves(params))
        average = averages.begun(params) if self.training.ema_decay else None
        state = State(params, optimizer, jnp.ones((), bool), none, nothing_lost(leaves), average)
        looks_back = any(OBSERVABLES[name].needs_initial for name in self.record.observables)
        decay, initial = numbers["weight_decay"], params if looks_back else None
        limit = self.limit(params, constants, training.divergence_factor)
        constants = constants._replace(limit=limit)
        return Inputs(constants, decay, record, test, initial=initial), self.carry(state)

    def limit(self, params: Any, constants: Constants, factor: Any) -> Float[Array, ""]:
        """Return the limit of `watched`, twice the loss, beyond which a run has diverged.

        That of outputs that are zero is the zero network's; where it is zero itself, ||X||^2.
        """
        samples = constants.samples
        settings = with_numbers(self.settings, constants.network)
        outputs = jax.eval_shape(self.predict, params, samples.inputs, constants)
        zero = 2 * self.loss(jnp.zeros(outputs.shape, outputs.dtype), samples.targets, settings)
        known = jnp.isfinite(zero) & (zero > 0)
        zero = jnp.where(known, zero, jnp.sum(samples.targets**2))
        size = jnp.linalg.norm(samples.inputs)
        return squared_limit(
            2 * self.fit(params, constants), zero, factor, samples.targets.dtype, inputs=size
        )

    @property
    def _by_layer(self) -> tuple[str, ...]:
        """Which of `training.BY_LAYER` are on."""
        return tuple(key for key in BY_LAYER if getattr(self.training, key))

    def _direction(self, numbers: dict[str, Float[Array, ""]]) -> Any:
        return direction_of(self.training.optimizer, numbers, self.training)

    def view(self, inputs: Inputs, carry: Carry) -> View:
        """Return the view of the state that observables see."""
        return GenericView(self, inputs, carry.state.recorded)

    def weights(self, inputs: Inputs, carry: Carry) -> Any:
        """Return all parameters as they are recorded, those that are not trained among them."""
        return whole(carry.state.recorded, inputs.constants)

    def step(self, constants: Constants, state: State, now: Int[Array, ""]) -> State:
        """Return the state after one step."""
        params, dtype = state.params, jax.tree.leaves(state.params)[0].dtype
        numbers = {name: value.astype(dtype) for name, value in constants.numbers.items()}
        samples, weight, draws = constants.samples, 1.0, steps.is_stochastic(self.training)
        if draws:
            fresh = None if self.fresh is None else partial(self.fresh, constants.stream)
            samples, weight = steps.draw_step(
                self.training,
                self.reduction,
                samples,
                constants.keys,
                constants.numbers,
                now,
                fresh,
            )

        def objective(params: Any) -> tuple[Array, Array]:
            fit, watched = self.fit_and_watched(params, constants, samples)
            return (fit if weight == 1.0 else fit * weight), watched

        found = steps.value_and_gradients(self.training, objective, params, numbers)
        (fit, watched), gradients = found
        within = jnp.isfinite(fit) if draws else watched <= constants.limit
        active = state.active & within
        diverged_step = jnp.where(state.active & ~within, now, state.diverged_step)
        decay = numbers["weight_decay"] * couples_decay(self.training.optimizer)
        scale = numbers["data_fit_scale"]
        decays = decays_of(decay, constants.decays, params)

        def with_decay(gradients: Any, params: Any) -> Any:
            return jax.tree.map(lambda g, p, d: scale * g + d * p, gradients, params, decays)

        rates = steps.rates_at(self.training, constants.rates, constants.numbers, now)
        if self.training.flow_tolerance:

            def velocity(params: Any) -> Any:
                gradients = jax.grad(lambda p: objective(p)[0])(params)
                downhill = with_decay(gradients, params)
                return jax.tree.map(lambda eta, d: -eta * d, rates, downhill)

            tolerance = numbers["flow_tolerance"]
            moved, optimizer = flow.moved(velocity, params, state.optimizer, tolerance, active)
            lost = state.lost
        else:
            directions, optimizer = with_decay(gradients, params), state.optimizer
            if optimizer is not None:
                asked = {
                    "value": lambda: scale * fit + penalty(decay, constants.decays, params),
                    "rates": lambda: rates,
                    "key": lambda: constants.keys[steps.OPTIMIZER],
                }
                given = self._direction(numbers), directions, optimizer, params
                directions, optimizer = direct(self.training.optimizer, *given, asked)
            moves = jax.tree.map(lambda eta, d: -eta.astype(dtype) * d, rates, directions)
            moved, lost = add_all(params, state.lost, moves)
        average = state.average
        if average is not None:
            average = averages.moved(average, moved, constants.numbers["ema_decay"])
        made = State(moved, optimizer, active, diverged_step, lost, average)
        held = state._replace(active=active, diverged_step=diverged_step)
        # What has ended stays as it was, whatever it has become.
        return jax.tree.map(lambda new, old: jnp.where(active, new, old), made, held)
