"""What "deep_linear" and "linear_then_relu" are, in pure functions: the judge of their kernels.

The generic way trains them by value-and-grad of the loss on all samples, with none of what makes
the kernels fast: no reduced samples, no scales beside matrices, no delayed updates, no gradients
by hand. Only what is recorded of the weights is computed by the same code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Array, Float

from dlnsweep.contracts.descent import Carry, Inputs
from dlnsweep.contracts.drawing import Sections
from dlnsweep.contracts.network import Network
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.contracts.structure import Structure
from dlnsweep.networks.generic.descent import GenericKernel
from dlnsweep.networks.generic.draw import GenericDrawing
from dlnsweep.networks.generic.state import Constants, Samples
from dlnsweep.networks.layered.draw import reduced_samples
from dlnsweep.networks.layered.initializers import Shape, draw_weights
from dlnsweep.networks.layered.kind import NetworkSettings, problem_rank
from dlnsweep.networks.layered.rates import fan_in_numbers, layer_rates
from dlnsweep.networks.layered.relu import ReluView, keep_samples
from dlnsweep.networks.layered.view import LinearView, NetworkView
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.products import multiply
from dlnsweep.settings.run_settings import RunSettings

Weights = tuple[Float[Array, "..."], ...]


def init(settings: NetworkSettings, data: Samples, key: Any) -> Weights:
    """Draw W_1, ..., W_L."""
    hidden = (settings.width,) * (settings.depth - 1)
    dims = (data.inputs.shape[0], *hidden, data.targets.shape[0])
    return draw_weights(settings, Shape(dims, settings.width), key)


def linear(weights: Weights, inputs: Float[Array, "m n"], settings: Any) -> Float[Array, "d n"]:
    """Return W_L ... W_1 Y."""
    del settings
    for weight in weights:
        inputs = multiply(weight, inputs)
    return inputs


def with_relu(weights: Weights, inputs: Float[Array, "m n"], settings: Any) -> Float[Array, "d n"]:
    """Return W_L (W_{L-1} ... W_1 Y)_+; the ReLU's derivative at 0 is 0."""
    return multiply(weights[-1], jax.nn.relu(linear(weights[:-1], inputs, settings)))


_LAYERED = Structure(layer_of=lambda weights: tuple(range(len(weights))))
DEEP_LINEAR = Network("deep_linear", NetworkSettings, init, linear, structure=_LAYERED)
LINEAR_THEN_RELU = Network("linear_then_relu", NetworkSettings, init, with_relu, structure=_LAYERED)


def fan_ins(weights: Weights) -> tuple[int, ...]:
    """Return the number of inputs of each layer."""
    return tuple(weight.shape[1] for weight in weights)


class LayerRates(GenericKernel):
    """The generic way on a tuple of weight matrices: its step rules."""

    def rates(self, params: Weights, constants: Constants) -> tuple[Float[Array, ""], ...]:
        """Return eta_i of each layer, float64."""
        eta = constants.numbers["learning_rate"]
        numbers = self.training.model_copy(update={"learning_rate": eta})
        found = layer_rates(self.training, numbers, fan_ins(params))
        return tuple(found[i] for i in range(len(params)))


class LayeredKernel(LayerRates):
    """The generic way on the layers of a network on samples."""

    def as_layers(self, constants: Constants) -> tuple[Any, Any] | None:
        """Return the samples' inputs and 1, of a linear network and squared error."""
        if self.network is not DEEP_LINEAR or not self.is_squared:
            return None
        return constants.samples.inputs, 1.0

    def seen(self, *arguments: Any) -> NetworkView:
        """Return the view; `aside` holds the reduced samples."""
        return LinearView(*arguments)

    def view(self, inputs: Inputs, carry: Carry) -> Any:
        """Return the view that the kind's own kernel gives observables."""
        weights: Weights = carry.state.recorded
        constants, first = inputs.constants, weights[0]
        reduced = getattr(constants.aside, "reduced", constants.aside)
        decay = constants.numbers["weight_decay"]
        if constants.decays is not None:
            decay = decay * jnp.stack(constants.decays)
        view = self.seen(
            (multiply(first, reduced.range_basis), *weights[1:]),
            multiply(first, reduced.off_basis),
            constants.aside,
            decay.astype(first.dtype),
            constants.numbers["data_fit_scale"].astype(first.dtype),
            inputs.test,
        )
        view.fan_ins = fan_in_numbers(fan_ins(weights)).astype(first.dtype)
        view.fan_in_steps = self.training.step_rule == "fan_in"
        view.rates = jnp.stack(constants.rates)
        if self.training.learning_rate_factors:
            view.rate_factors = constants.numbers["learning_rate_factors"].astype(first.dtype)
        view.initial = inputs.initial
        return view


class ReluGenericKernel(LayeredKernel):
    """The same with a ReLU."""

    def seen(self, *arguments: Any) -> NetworkView:
        """Return the view; `aside` holds the samples as its kernel has them."""
        return ReluView(*arguments)


@dataclass(frozen=True)
class LinearDefinition(GenericDrawing):
    """How the runs of a batch draw samples and weights, for the generic way.

    Attributes:
        rank: The rank of the measurements.
    """

    rank: int
    trained_by: ClassVar[type[GenericKernel]] = LayeredKernel
    defined: ClassVar[Network] = DEEP_LINEAR

    @classmethod
    def from_row(cls, row: RunSettings, padded_width: int) -> LinearDefinition:
        """Read a run's dotted settings."""
        return cls(Sections.from_row(row), cls.defined, padded_width, problem_rank(row))

    def examples(self, sections: Sections, key: Any) -> tuple[Samples, Any]:
        """Draw a run's samples, and beside them the reduced ones."""
        signals, measurements = PROBLEMS[sections.problem.kind].draw(sections.problem, key)
        reduced = reduced_samples(sections, key, signals, measurements, self.rank)
        return Samples(measurements, signals), self.aside(reduced, signals, measurements)

    def aside(self, reduced: Any, signals: Any, measurements: Any) -> Any:
        """Return the samples as the view of the kind has them."""
        del signals, measurements
        return reduced


@dataclass(frozen=True)
class ReluDefinition(LinearDefinition):
    """The same with a ReLU."""

    trained_by: ClassVar[type[GenericKernel]] = ReluGenericKernel
    defined: ClassVar[Network] = LINEAR_THEN_RELU

    def aside(self, reduced: Any, signals: Any, measurements: Any) -> Any:
        """Return the samples as the view of the kind has them."""
        return keep_samples(reduced, signals, measurements)
