"""Plain gradient descent on a network with one ReLU, before its last layer: W_L (W_{L-1:1} y)_+.

Up to the ReLU the network is linear and acts on the r directions of range(Y), Y = U diag(S) V^T:

    P = W_{L-1:1} U diag(S)  (d_w, r),   A = W_{L-1:1} Y = P V^T  (d_w, n),   H = A_+,
    Phi = W_L H - X  (d, n),             loss (c/2) ||Phi||_F^2 + (lambda/2) sum ||W_i||_F^2.

With G = (W_L^T Phi) * [A > 0], f_0 = U diag(S), f_i = W_i f_{i-1}, b_{L-1} = G V and
b_{i-1} = W_i^T b_i its gradients are (derived; the ReLU's derivative at 0 is taken as 0)

    Phi H^T c + lambda W_L,      c b_i f_{i-1}^T + lambda W_i  for i < L,

for G Y^T = (G V) diag(S) U^T. So only the last layer sees the n samples, and W_1 off range(Y) only
decays, as in a linear network. Weights are stored as there, W_i = c_i M_i; see
`gradient_descent.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

from dlnsweep.contracts.descent import Carry, Inputs, Kernel
from dlnsweep.networks.layered import gradient_descent
from dlnsweep.networks.layered.gradient_descent import State
from dlnsweep.networks.layered.rates import fan_in_numbers, layer_rates
from dlnsweep.networks.layered.samples import Reduced, row_basis
from dlnsweep.networks.layered.view import NetworkView
from dlnsweep.networks.test_samples import TestSamples
from dlnsweep.numerics.compensated import subtract
from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.products import multiply
from dlnsweep.settings.training import TrainingSettings


class Samples(NamedTuple):
    """Signals X and measurements Y = U diag(S) V^T as this network needs them.

    Attributes:
        reduced: The reduced samples, with S and U.
        signals: X.
        columns: V.
    """

    reduced: Reduced
    signals: Float[Array, "d n"]
    columns: Float[Array, "n r"]


def keep_samples(
    reduced: Reduced, signals: Float[Array, "d n"], measurements: Float[Array, "m n"]
) -> Samples:
    """Return the samples with V beside the reduced ones; see `samples.row_basis`."""
    columns = row_basis(measurements, reduced.inputs, reduced.range_basis)
    return Samples(reduced, signals, columns)


class Constants(NamedTuple):
    """What a run is given; the last five as in `gradient_descent.Constants`.

    Attributes:
        samples: The samples.
    """

    samples: Samples
    first_off_range: Float[Array, "d_1 off"]
    learning_rates: Float[Array, " L"]
    decays: Float[Array, " L"]
    data_fit_scale: Float[Array, ""]
    limit: Any = None


class ReluView(NetworkView):
    """The state of one network, as observables see it; for the arguments see `NetworkView`."""

    def __init__(
        self,
        layers: tuple[Float[Array, "..."], ...],
        first_off_range: Float[Array, "d_1 off"],
        samples: Samples,
        weight_decay: Float[Array, "*layers"],
        data_fit_scale: Float[Array, ""],
        test: TestSamples | None = None,
    ) -> None:
        super().__init__(
            layers, first_off_range, samples.reduced, weight_decay, data_fit_scale, test
        )
        self.samples = samples

    @property
    def samples_seen(self) -> Samples:
        """The samples as this view takes them."""
        return self.samples

    @cached_property
    def _forward(self) -> list[Float[Array, "..."]]:
        """f_0 = diag(S), in the basis U, to f_{L-1} = P."""
        products = [jnp.diag(self.data.inputs)]
        for layer in self.layers[:-1]:
            products.append(multiply(layer, products[-1]))
        return products

    @cached_property
    def _before(self) -> Float[Array, "d_w n"]:
        """A, what the ReLU is given."""
        return multiply(self._forward[-1], self.samples.columns.T)

    @cached_property
    def _hidden(self) -> Float[Array, "d_w n"]:
        return jnp.maximum(self._before, 0)

    @cached_property
    def residual(self) -> Float[Array, "d n"]:
        """Phi = W_L H - X."""
        return multiply(self.layers[-1], self._hidden) - self.samples.signals

    @cached_property
    def squared_error(self) -> Float[Array, ""]:
        """||Phi||_F^2."""
        return jnp.sum(self.residual**2)

    def output(self, inputs: Float[Array, "m k"]) -> Float[Array, "d k"]:
        """Return W_L (W_{L-1:1} y)_+ of each column y of some inputs."""
        on_range = multiply(self.layers[0], multiply(self.data.range_basis.T, inputs))
        value = on_range + multiply(self.first_off_range, multiply(self.data.off_basis.T, inputs))
        for layer in self.layers[1:-1]:
            value = multiply(layer, value)
        return multiply(self.layers[-1], jnp.maximum(value, 0))

    @cached_property
    def squared_gradient_norm(self) -> Float[Array, ""]:
        """Sum over layers of the squared Frobenius norm of the loss's gradient, decay included."""
        signal = self.data_fit_scale * self.residual
        last = multiply(signal, self._hidden.T) + self.decay_of(-1) * self.layers[-1]
        total = jnp.sum(last**2) + jnp.sum((self.decay_of(0) * self.first_off_range) ** 2)
        gated = jnp.where(self._before > 0, multiply(self.layers[-1].T, signal), 0)
        backward = multiply(gated, self.samples.columns)
        for i in reversed(range(len(self.layers) - 1)):
            gradient = multiply(backward, self._forward[i].T) + self.decay_of(i) * self.layers[i]
            total += jnp.sum(gradient**2)
            backward = multiply(self.layers[i].T, backward)
        return total


@dataclass(frozen=True)
class ReluKernel(Kernel):
    """Gradient descent on the weights of a network with one ReLU, before its last layer."""

    def start(
        self,
        weights: tuple[Float[Array, "..."], ...],
        data: Samples,
        fan_ins: tuple[Any, ...],
        numbers: TrainingSettings,
        record: dict[str, Float[Array, ""]],
        test: TestSamples | None = None,
    ) -> tuple[Inputs, Carry]:
        """Make a run's inputs and its state at step 0; see `DenseKernel.start`."""
        decay = jnp.asarray(numbers.weight_decay, jnp.float64)
        scale = jnp.asarray(numbers.data_fit_scale, jnp.float64)
        rates = layer_rates(self.training, numbers, fan_ins)
        state, off = gradient_descent.start(weights, data.reduced, keeps_roundings=True)
        constants = Constants(data, off, rates, 1.0 - rates * decay, scale)
        inputs, carry = (
            Inputs(constants, decay, record, test, fan_in_numbers(fan_ins)),
            self.carry(state),
        )
        size, factor = data.reduced.signal_norm, numbers.divergence_factor
        return self.bounded(inputs, carry, size, factor, data.reduced.inputs[0]), carry

    def view(self, inputs: Inputs, carry: Carry) -> ReluView:
        """Return the view of the state that observables see."""
        constants, state = inputs.constants, carry.state
        dtype = state.matrices[0].dtype
        view = ReluView(
            tuple(m * state.scales[i].astype(dtype) for i, m in enumerate(state.matrices)),
            state.first_off_scale.astype(dtype) * constants.first_off_range,
            constants.samples,
            inputs.weight_decay.astype(dtype),
            constants.data_fit_scale.astype(dtype),
            inputs.test,
        )
        assert inputs.fan_ins is not None
        view.fan_ins = inputs.fan_ins.astype(dtype)
        view.fan_in_steps = self.training.step_rule == "fan_in"
        return view

    def weights(self, inputs: Inputs, carry: Carry) -> tuple[Float[Array, "..."], ...]:
        """Return W_1, ..., W_L."""
        return self.view(inputs, carry).weights

    def step(self, constants: Constants, state: State, now: Array) -> State:
        """Return the state after one step."""
        return _step(constants, state, now)


def _step(constants: Constants, state: State, now: Int[Array, ""]) -> State:
    """One step of gradient descent."""
    samples, dtype = constants.samples, state.matrices[0].dtype
    inputs, last = samples.reduced.inputs, len(state.matrices) - 1
    scales = state.scales.astype(dtype)
    forward = [inputs, scales[0] * state.matrices[0] * inputs]
    for i in range(1, last):
        forward.append(scales[i] * multiply(state.matrices[i], forward[i]))
    before = multiply(forward[last], samples.columns.T)
    hidden = jnp.maximum(before, 0)
    residual = scales[last] * multiply(state.matrices[last], hidden) - samples.signals
    active, diverged_step = gradient_descent.check(state, residual, constants.limit, now)
    decays = jnp.where(active, constants.decays, 1.0)
    new_scales, fold = gradient_descent.rescale(state.scales, decays)
    rates = (constants.learning_rates * constants.data_fit_scale / new_scales).astype(dtype)
    fold = fold.astype(dtype)
    matrices, lost = list(state.matrices), list(state.lost)
    subtract(matrices, lost, last, fold[last], rates[last] * multiply(residual, hidden.T))
    gated = jnp.where(before > 0, multiply(state.matrices[last].T, residual), 0)
    backward = scales[last] * multiply(gated, samples.columns)
    for i in reversed(range(last)):
        left = rates[i] * backward
        # In the basis of range(Y) the first layer's inputs are a diagonal matrix.
        update = multiply(left, forward[i].T) if i else left * inputs
        subtract(matrices, lost, i, fold[i], update)
        backward = scales[i] * multiply(state.matrices[i].T, backward) if i else backward
    # These matrices are small beside the samples, so a frozen run can afford to be kept exactly.
    kept, kept_lost = (
        tuple(jnp.where(active, new, old) for new, old in zip(made, before, strict=True))
        for made, before in ((matrices, state.matrices), (lost, state.lost))
    )
    off_scale = state.first_off_scale * decays[0]
    return State(kept, new_scales, off_scale, active, diverged_step, kept_lost)
