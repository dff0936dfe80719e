"""The dense kernel: gradient descent, or an optax optimizer, on all weights as they are."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from jaxtyping import Array, Float

from dlnsweep.contracts.descent import Carry, Inputs, Kernel
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.networks.layered import gradient_descent, optax_descent
from dlnsweep.networks.layered.minibatches import Minibatches
from dlnsweep.networks.layered.rates import fan_in_numbers, layer_rates
from dlnsweep.networks.layered.samples import Reduced
from dlnsweep.networks.layered.view import LinearView
from dlnsweep.networks.test_samples import TestSamples
from dlnsweep.numerics.lazy import jnp
from dlnsweep.settings.optimizers import HYPERPARAMETERS
from dlnsweep.settings.training import TrainingSettings

# See `delay_for`.
_DELAYED_ENTRIES = 400 * 400
_WIDTH_A_SAMPLE = 16


def delay_for(dims: tuple[int, ...], rank: int) -> int:
    """Return how many steps' updates are delayed, for layer sizes `dims` and `rank` samples.

    Delaying saves writes of large matrices and costs products with the delayed factors. Measured
    on two cores (tests/benchmarks/kernel_tuning.py): two steps are best where the largest matrix
    beyond the first layer is large and the factors are thin beside it, and one elsewhere.
    """
    entries = max((a * b for a, b in itertools.pairwise(dims)), default=0)
    thin = max(dims) >= _WIDTH_A_SAMPLE * rank
    return 2 if entries >= _DELAYED_ENTRIES and thin else 1


@dataclass(frozen=True)
class DenseKernel(Kernel):
    """Gradient descent (or an optax optimizer) on all weights.

    Attributes:
        delay: See `gradient_descent.advance`.
        keeps_roundings: Whether gradient descent in float32 keeps what a step rounds off; see
            `compensated.py`. An optimizer always does.
    """

    delay: int
    keeps_roundings: bool

    @property
    def grain(self) -> int:
        """Number of steps whose updates are folded in together."""
        return self.delay

    @property
    def is_gradient_descent(self) -> bool:
        """Whether the optimizer is plain gradient descent."""
        return self.training.optimizer == "gradient_descent"

    def start(
        self,
        weights: tuple[Float[Array, "..."], ...],
        data: Reduced,
        fan_ins: tuple[Any, ...],
        numbers: TrainingSettings,
        record: dict[str, Float[Array, ""]],
        test: TestSamples | None = None,
        minibatches: Minibatches | None = None,
    ) -> tuple[Inputs, Carry]:
        """Make a run's inputs and its state at step 0.

        Args:
            weights: W_1, ..., W_L, already in the precision of training.
            data: The reduced samples, in the same precision.
            fan_ins: The number of inputs of each layer.
            numbers: [training] with its traced fields filled in.
            record: The traced numbers of [record].
            test: Fresh samples, in the same precision.
            minibatches: What minibatches are drawn from, in the same precision; None for full
                batches.
        """
        decay = jnp.asarray(numbers.weight_decay, jnp.float64)
        scale = jnp.asarray(numbers.data_fit_scale, jnp.float64)
        rates = layer_rates(self.training, numbers, fan_ins)
        if self.is_gradient_descent:
            state, off = gradient_descent.start(weights, data, keeps_roundings=self.keeps_roundings)
            constants = gradient_descent.Constants(
                data, off, rates, 1.0 - rates * decay, scale, minibatches
            )
        else:
            values = {
                name: jnp.asarray(getattr(numbers, name), jnp.float64) for name in HYPERPARAMETERS
            }
            values |= {"weight_decay": decay, "data_fit_scale": scale}
            constants = optax_descent.Constants(data, rates, values, minibatches)
            state = optax_descent.start(weights, constants, self.training)
        looks_back = any(OBSERVABLES[name].needs_initial for name in self.record.observables)
        initial = weights if looks_back else None
        made = Inputs(constants, decay, record, test, fan_in_numbers(fan_ins), initial)
        carry = self.carry(state)
        size, factor = data.signal_norm, numbers.divergence_factor
        return self.bounded(made, carry, size, factor, data.inputs[0]), carry

    def view(self, inputs: Inputs, carry: Carry) -> LinearView:
        """Return the view of the state that observables see."""
        if isinstance(inputs.constants, gradient_descent.Constants):
            view = gradient_descent.view(inputs.constants, carry.state, inputs.weight_decay)
        else:
            view = optax_descent.view(inputs.constants, carry.state)
        view.test = inputs.test
        assert inputs.fan_ins is not None
        view.fan_ins = inputs.fan_ins.astype(view.dtype)
        view.fan_in_steps = self.training.step_rule == "fan_in"
        view.rates = inputs.constants.learning_rates
        view.initial = inputs.initial
        return view

    def weights(self, inputs: Inputs, carry: Carry) -> tuple[Float[Array, "..."], ...]:
        """Return W_1, ..., W_L."""
        return self.view(inputs, carry).weights

    def step(self, constants: Any, state: Any, now: Array) -> Any:
        """Return the state after one step."""
        size = self.training.minibatch_size
        if isinstance(constants, gradient_descent.Constants):
            return gradient_descent.step(constants, state, now, minibatch_size=size)
        training = self.training
        return optax_descent.step(constants, state, now, training=training, minibatch_size=size)

    def advance(self, inputs: Inputs, state: Any, step: Array, stop: Array) -> Any:
        """Return the state after the steps `step`, ..., `stop` - 1."""
        if isinstance(inputs.constants, gradient_descent.Constants):
            return gradient_descent.advance(
                inputs.constants,
                state,
                step,
                stop,
                delay=self.delay,
                early_exit=self.early_exit,
                minibatch_size=self.training.minibatch_size,
            )
        return optax_descent.advance(
            inputs.constants,
            state,
            step,
            stop,
            training=self.training,
            early_exit=self.early_exit,
            minibatch_size=self.training.minibatch_size,
        )
