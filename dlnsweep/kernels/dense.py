"""The dense kernel: a run of a deep linear network from its inputs to its records.

Written for one run; `layout.py` puts `vmap` or `lax.map` round it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.kernels import gradient_descent, optax_descent
from dlnsweep.kernels.linear import LinearView, Reduced, TestSamples, multiply
from dlnsweep.lazy import jax, jnp, lax
from dlnsweep.observables import OBSERVABLES
from dlnsweep.sections import RecordSettings, TrainingSettings
from dlnsweep.settings import with_numbers

# See `delay_for`.
_DELAYED_ENTRIES = 400 * 400
_WIDTH_A_SAMPLE = 16


class Inputs(NamedTuple):
    """What one run is given; nothing in it changes during training.

    Attributes:
        constants: The constants of the way of descent.
        weight_decay: lambda, float64.
        record: The traced numbers of [record], by name.
        test: Fresh samples, or None.
    """

    constants: gradient_descent.Constants | optax_descent.Constants
    weight_decay: Float[Array, ""]
    record: dict[str, Float[Array, ""]]
    test: TestSamples | None


class Carry(NamedTuple):
    """What changes during a run.

    Attributes:
        state: The State of `gradient_descent` or of `optax_descent`.
        stopped_step: The recorded step at which `stop_when` was met, or -1.
    """

    state: Any
    stopped_step: Int[Array, ""]


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
class DenseKernel:
    """Gradient descent (or an optax optimizer) on all weights.

    Attributes:
        training: The settings of [training]; only its static fields are read.
        record: The settings of [record]; only its static fields are read.
        delay: See `gradient_descent.advance`.
        early_exit: Whether a run may leave its loop once it is inactive; not under `vmap`.
    """

    training: TrainingSettings
    record: RecordSettings
    delay: int
    early_exit: bool

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
    ) -> tuple[Inputs, Carry]:
        """Make a run's inputs and its state at step 0.

        Args:
            weights: W_1, ..., W_L, already in the precision of training.
            data: The reduced samples, in the same precision.
            fan_ins: The number of inputs of each layer.
            numbers: [training] with its traced fields filled in.
            record: The traced numbers of [record].
            test: Fresh samples, in the same precision.
        """
        eta = jnp.asarray(numbers.learning_rate, jnp.float64)
        decay = jnp.asarray(numbers.weight_decay, jnp.float64)
        scale = jnp.asarray(numbers.data_fit_scale, jnp.float64)
        fan_in = jnp.stack([jnp.asarray(f, jnp.float64) for f in fan_ins])
        rates = eta / fan_in if self.training.step_rule == "fan_in" else eta * jnp.ones_like(fan_in)
        if self.is_gradient_descent:
            state, off = gradient_descent.start(weights, data)
            constants = gradient_descent.Constants(data, off, rates, 1.0 - rates * decay, scale)
        else:
            names = ("momentum", "beta1", "beta2", "epsilon", "rmsprop_decay")
            values = {k: jnp.asarray(getattr(numbers, k), jnp.float64) for k in names}
            values |= {"weight_decay": decay, "data_fit_scale": scale}
            constants = optax_descent.Constants(data, rates, values)
            state = optax_descent.start(weights, constants, self.training.optimizer)
        return Inputs(constants, decay, record, test), Carry(state, -jnp.ones((), jnp.int64))

    def view(self, inputs: Inputs, carry: Carry) -> LinearView:
        """Return the view of the state that observables see."""
        if isinstance(inputs.constants, gradient_descent.Constants):
            view = gradient_descent.view(inputs.constants, carry.state, inputs.weight_decay)
        else:
            view = optax_descent.view(inputs.constants, carry.state)
        view.test = inputs.test
        return view

    def weights(self, inputs: Inputs, carry: Carry) -> tuple[Float[Array, "..."], ...]:
        """Return W_1, ..., W_L."""
        view = self.view(inputs, carry)
        on_range = multiply(view.layers[0], view.data.range_basis.T)
        off_range = multiply(view.first_off_range, view.data.off_basis.T)
        return (on_range + off_range, *view.layers[1:])

    def _advance(self, inputs: Inputs, carry: Carry, step: Array, stop: Array) -> Carry:
        if isinstance(inputs.constants, gradient_descent.Constants):
            state = gradient_descent.advance(
                inputs.constants,
                carry.state,
                step,
                stop,
                delay=self.delay,
                early_exit=self.early_exit,
            )
        else:
            state = optax_descent.advance(
                inputs.constants,
                carry.state,
                step,
                stop,
                name=self.training.optimizer,
                early_exit=self.early_exit,
            )
        return carry._replace(state=state)

    def observe(self, inputs: Inputs, carry: Carry) -> tuple[Bool[Array, ""], dict[str, Array]]:
        """Return whether the squared error is finite, and the recorded observables."""
        view = self.view(inputs, carry)
        record = with_numbers(self.record, inputs.record)
        dtype = view.layers[0].dtype
        values = {
            name: OBSERVABLES[name].compute(view, record).astype(dtype)
            for name in self.record.observables
        }
        return jnp.isfinite(jnp.sum(view.residual**2)), values

    def segment(
        self,
        inputs: Inputs,
        carry: Carry,
        start: Int[Array, ""],
        stops: Int[Array, " k"],
        recorded: Bool[Array, " k"],
    ) -> tuple[Carry, dict[str, Float[Array, "k ..."]]]:
        """Train from step `start` to each of `stops` in turn, recording where `recorded` says so.

        A stop that is not recorded gives zeros. `start`, `stops` and `recorded` are shared by all
        runs of a batch.
        """

        def blank(carry: Carry) -> tuple[Bool[Array, ""], dict[str, Array]]:
            shapes = jax.eval_shape(lambda c: self.observe(inputs, c), carry)
            return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

        def part(
            scanned: tuple[Carry, Array], target: tuple[Array, Array]
        ) -> tuple[tuple[Carry, Array], dict[str, Array]]:
            carry, step = scanned
            stop, record = target
            carry = self._advance(inputs, carry, step, stop)
            finite, values = lax.cond(record, lambda c: self.observe(inputs, c), blank, carry)
            return (self._settle(carry, stop, record, finite, values), stop), values

        (carry, _), values = lax.scan(part, (carry, start), (stops, recorded))
        return carry, values

    def _settle(
        self, carry: Carry, step: Array, record: Array, finite: Array, values: dict[str, Array]
    ) -> Carry:
        """Mark a run that a record shows to have diverged, or to have met `stop_when`."""
        state = carry.state
        diverged = state.active & record & ~finite
        state = state._replace(
            active=state.active & ~diverged,
            diverged_step=jnp.where(diverged, step, state.diverged_step),
        )
        condition = self.training.stop_when
        if condition is None:
            return carry._replace(state=state)
        met = state.active & record & (values[condition.observable] < condition.below)
        return Carry(
            state._replace(active=state.active & ~met),
            jnp.where(met, step, carry.stopped_step),
        )
