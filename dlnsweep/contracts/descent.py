"""What all kernels share: a run from its inputs to its records, segment by segment.

Written for one run; `numerics/lanes.py` puts `vmap` or `lax.map` round it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int

from dlnsweep.contracts import patience
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.view import View
from dlnsweep.numerics.divergence import squared_limit
from dlnsweep.numerics.lazy import jax, jnp, lax
from dlnsweep.settings.base import with_numbers
from dlnsweep.settings.sections import RecordSettings
from dlnsweep.settings.training import TrainingSettings


class Inputs(NamedTuple):
    """What one run is given; nothing in it changes during training.

    Attributes:
        constants: The constants of the way of descent.
        weight_decay: lambda, float64.
        record: The traced numbers of [record], by name.
        test: Fresh samples, or None.
        fan_ins: The number of inputs of each layer, float64; None where there are no layers.
        initial: W_1(0), ..., W_L(0), where an observable looks back at them; else None.
    """

    constants: Any
    weight_decay: Float[Array, ""]
    record: dict[str, Float[Array, ""]]
    test: Any
    fan_ins: Float[Array, " L"] | None = None
    initial: tuple[Float[Array, "..."], ...] | None = None


class Carry(NamedTuple):
    """What changes during a run.

    Attributes:
        state: The state of the way of descent; it has `active` and `diverged_step`.
        stopped_step: The recorded step at which `stop_when` was met, or -1.
        waiting: Under `stop_when.patience`, how long a run has waited for an improvement.
    """

    state: Any
    stopped_step: Int[Array, ""]
    # Without patience no leaf, so that programs and checkpoints are what they were.
    waiting: patience.Waiting | None = None


def one_by_one(
    step: Callable[[Any, Array], Any], state: Any, begin: Array, stop: Array, *, early_exit: bool
) -> Any:
    """Return the state after the steps `begin`, ..., `stop` - 1.

    Args:
        step: Returns the state after a step, by the state and the step's number.
        state: The state at `begin`; it has `active`.
        begin: Number of the first step. All runs of a `vmap` must share it and `stop`; else every
            loop iteration would have to select between old and new states.
        stop: Number of the step at which to end.
        early_exit: Leave the loop when the run has become inactive; only where it is not under
            `vmap`.
    """

    def unfinished(carry: tuple[Array, Any]) -> Bool[Array, ""]:
        within = carry[0] < stop
        return within & carry[1].active if early_exit else within

    def once(carry: tuple[Array, Any]) -> tuple[Array, Any]:
        return carry[0] + 1, step(carry[1], carry[0])

    return lax.while_loop(unfinished, once, (begin, state))[1]


@dataclass(frozen=True)
class Kernel:
    """A way to carry out gradient descent.

    Attributes:
        training: The settings of [training]; only its static fields are read.
        record: The settings of [record]; only its static fields are read.
        early_exit: Whether a run may leave its loop once it is inactive; not under `vmap`.
    """

    training: TrainingSettings
    record: RecordSettings
    early_exit: bool

    @property
    def grain(self) -> int:
        """Number of steps that the kernel carries out together."""
        return 1

    def carry(self, state: Any) -> Carry:
        """Return what changes during a run as it is at step 0, by the state of its descent."""
        return Carry(state, -jnp.ones((), jnp.int64), patience.begun(self.training.stop_when))

    def view(self, inputs: Inputs, carry: Carry) -> View:
        """Return the view of the state that observables see."""
        raise NotImplementedError

    def weights(self, inputs: Inputs, carry: Carry) -> Any:
        """Return the parameters as they are kept: any pytree of arrays, padded as the state is."""
        raise NotImplementedError

    def advance(self, inputs: Inputs, state: Any, step: Array, stop: Array) -> Any:
        """Return the state after the steps `step`, ..., `stop` - 1."""
        of_run = partial(self.step, inputs.constants)
        return one_by_one(of_run, state, step, stop, early_exit=self.early_exit)

    def step(self, constants: Any, state: Any, now: Int[Array, ""]) -> Any:
        """Return the state after one step, of which `advance` takes many.

        Not all kernels have it; those without have an `advance` of their own.

        Args:
            constants: The run's `Inputs.constants`.
            state: The state at step `now`.
            now: The number of the step.
        """
        raise NotImplementedError

    @property
    def has_step(self) -> bool:
        """Whether it has a step by itself."""
        return type(self).step is not Kernel.step

    def samples_in(self, constants: Any) -> Any:
        """Return which leaves of the constants have all samples as their last axis.

        A tree as they are, of truth values; None if none has.
        """
        del constants

    def bounded(
        self,
        inputs: Inputs,
        carry: Carry,
        size: Float[Array, ""],
        factor: Any,
        given: Any = 1.0,
    ) -> Inputs:
        """Return a run's inputs with the squared error beyond which it has diverged.

        Args:
            inputs: The inputs.
            carry: The state at step 0.
            size: The norm of what the network is to give.
            factor: `training.divergence_factor`.
            given: The size of what the network is given.
        """
        view = self.view(inputs, carry)
        limit = squared_limit(view.squared_residual, size**2, factor, view.dtype, inputs=given)
        return inputs._replace(constants=inputs.constants._replace(limit=limit))

    def observe(
        self, inputs: Inputs, carry: Carry, step: Int[Array, ""]
    ) -> tuple[Bool[Array, ""], dict[str, Array]]:
        """Return whether the run has not diverged, and the recorded observables."""
        view = self.view(inputs, carry)
        view.step = step
        record = with_numbers(self.record, inputs.record)
        values = {
            name: OBSERVABLES[name].computed(view, record) for name in self.record.observables
        }
        return view.squared_residual <= inputs.constants.limit, values

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

        def part(
            scanned: tuple[Carry, Array], target: tuple[Array, Array]
        ) -> tuple[tuple[Carry, Array], dict[str, Array]]:
            carry, step = scanned
            stop, record = target
            carry = carry._replace(state=self.advance(inputs, carry.state, step, stop))
            carry, values = self._recorded(inputs, carry, stop, record)
            return (carry, stop), values

        (carry, _), values = lax.scan(part, (carry, start), (stops, recorded))
        return carry, values

    def records(
        self,
        inputs: Inputs,
        carry: Carry,
        states: Any,
        stops: Int[Array, " k"],
        recorded: Bool[Array, " k"],
    ) -> tuple[Carry, dict[str, Float[Array, "k ..."]]]:
        """Record states that were reached otherwise; see `segment`.

        Args:
            inputs: The run's inputs.
            carry: The state before them.
            states: The state at each of `stops`, had no record ended the run before it.
            stops: Their steps.
            recorded: Which of them are recorded.
        """

        def part(carry: Carry, target: Any) -> tuple[Carry, dict[str, Array]]:
            state, stop, record = target
            going = carry.state.active
            kept = jax.tree.map(lambda new, old: jnp.where(going, new, old), state, carry.state)
            return self._recorded(inputs, carry._replace(state=kept), stop, record)

        return lax.scan(part, carry, (states, stops, recorded))

    def _recorded(
        self, inputs: Inputs, carry: Carry, step: Array, record: Array
    ) -> tuple[Carry, dict[str, Array]]:
        """Return the state with what the record of a step ends, and the record; else zeros."""

        def blank(carry: Carry) -> tuple[Bool[Array, ""], dict[str, Array]]:
            shapes = jax.eval_shape(lambda c: self.observe(inputs, c, step), carry)
            return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

        observed = lax.cond(record, lambda c: self.observe(inputs, c, step), blank, carry)
        return self._settle(carry, step, record, *observed), observed[1]

    def _settle(
        self, carry: Carry, step: Array, record: Array, within: Array, values: dict[str, Array]
    ) -> Carry:
        """Mark a run that a record shows to have diverged, or to have met `stop_when`."""
        state = carry.state
        diverged = state.active & record & ~within
        state = state._replace(
            active=state.active & ~diverged,
            diverged_step=jnp.where(diverged, step, state.diverged_step),
        )
        condition = self.training.stop_when
        if condition is None:
            return carry._replace(state=state)
        value, looks = values[condition.observable], state.active & record
        met, waiting = jnp.zeros_like(looks), carry.waiting
        if condition.below is not None:
            met |= looks & (value < condition.below)
        if waiting is not None:
            waiting, over = patience.looked(condition, waiting, value, looks)
            met |= over
        return Carry(
            state._replace(active=state.active & ~met),
            jnp.where(met, step, carry.stopped_step),
            waiting,
        )
