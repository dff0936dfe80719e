"""What a deep linear network on a loss of its matrix is, in pure functions: its kernel's judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Array, Float

from dlnsweep.contracts.descent import Carry, Inputs
from dlnsweep.contracts.drawing import Sections
from dlnsweep.contracts.network import Network
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.networks.generic.descent import GenericKernel
from dlnsweep.networks.generic.draw import Drawn, GenericDrawing
from dlnsweep.networks.generic.state import Constants, Samples
from dlnsweep.networks.layered.definition import LayerRates, Weights, linear
from dlnsweep.networks.layered.initializers import Shape
from dlnsweep.networks.matrix.draw import initial_weights, power_of
from dlnsweep.networks.matrix.kind import FactorizationSettings, layer_sizes
from dlnsweep.networks.matrix.view import FactorizationView
from dlnsweep.numerics.divergence import squared_limit
from dlnsweep.numerics.lazy import jnp
from dlnsweep.problems.losses import Entries, Fit
from dlnsweep.problems.losses import Samples as LinearSamples
from dlnsweep.settings.run_settings import RunSettings


def factorization(dims: tuple[int, ...], power: float) -> Network:
    """Return the network of given layer sizes, for a loss with a given exponent.

    There are no inputs; the targets are the loss of the matrix itself (`problems/losses.py`).
    """

    def init(settings: FactorizationSettings, data: Samples, key: Any) -> Weights:
        width = max(dims[1:-1] or (1,))
        return initial_weights(settings, Shape(dims, width), key, data.targets)

    def predict(weights: Weights, inputs: None, settings: Any) -> Float[Array, "d m"]:
        del inputs
        return linear(weights[1:], weights[0], settings)

    def loss(matrix: Float[Array, "d m"], fit: Fit, settings: Any) -> Float[Array, ""]:
        del settings
        return fit.loss(matrix, power)

    return Network("deep_linear", FactorizationSettings, init, predict, loss)


@dataclass(frozen=True)
class MatrixLoss(GenericKernel):
    """The generic way on the parameters of a matrix, for a loss of the matrix.

    Attributes:
        power: The exponent of the loss.
        observed: How many entries are observed, where entries are and it is known.
    """

    power: float
    observed: int | None

    @property
    def is_squared(self) -> bool:
        """Whether the loss is half the squared error of all entries: it is the problem's own."""
        return False

    def outputs(self, params: Any, constants: Constants) -> Float[Array, " K"]:
        """Return the residual: of entries those that are observed."""
        fit: Fit = constants.samples.targets
        residual = fit.observed.residual(self.predict(params, None, constants)).reshape(-1)
        if not isinstance(fit.observed, Entries) or self.observed is None:
            return residual
        places = jnp.nonzero(fit.observed.mask.reshape(-1), size=self.observed)[0]
        return residual[places]

    def loss_of(self, outputs: Float[Array, " K"], params: Any, constants: Constants) -> Any:
        """Return the loss of a residual."""
        del params
        return constants.samples.targets.loss_of(outputs, self.power)

    def watched(self, fit: Any, outputs: Any, samples: Samples) -> Float[Array, ""]:
        """Return what must not exceed the limit: the sum of the squared residuals."""
        del fit
        return jnp.sum(samples.targets.observed.residual(outputs) ** 2)

    def limit(self, params: Any, constants: Constants, factor: Any) -> Float[Array, ""]:
        """Return the limit of that; see `Kernel.bounded`."""
        watched = self.fit_and_watched(params, constants)[1]
        norm = constants.samples.targets.observed.norm
        return squared_limit(watched, norm**2, factor, norm.dtype)


class MatrixKernel(MatrixLoss, LayerRates):
    """The generic way on the layers of a matrix."""

    def as_layers(self, constants: Constants) -> tuple[Any, Any] | None:
        """Return the inputs of samples, or 1 where all entries are observed, and the loss's s."""
        fit: Fit = constants.samples.targets
        if self.power != 2:
            return None
        if isinstance(fit.observed, LinearSamples):
            return fit.observed.inputs, fit.scale
        targets = fit.observed.targets if isinstance(fit.observed, Entries) else None
        if targets is not None and self.observed == targets.size:
            return jnp.eye(targets.shape[1], dtype=targets.dtype), fit.scale
        return None

    def view(self, inputs: Inputs, carry: Carry) -> Any:
        """Return the view that the kind's own kernel gives observables."""
        given = inputs.constants
        fit, numbers = given.samples.targets, given.numbers
        view = FactorizationView(carry.state.recorded, given.aside, fit, numbers, self.power)
        view.fan_in_steps = self.training.step_rule == "fan_in"
        return view


class OnMatrix(GenericDrawing):
    """How the runs of a batch draw a loss of a matrix, for the generic way."""

    def kernel_fields(self) -> dict[str, Any]:
        """Return what else the kernel is made with."""
        problem: Any = self.sections.problem
        counts = {
            "matrix_completion": lambda: problem.num_observed,
            "matrix_approximation": lambda: problem.num_rows * problem.num_columns,
            "divergent_completion": lambda: 3,
        }
        observed = counts.get(problem.kind, lambda: None)()
        return {"power": power_of(problem), "observed": observed}

    def examples(self, sections: Sections, key: Any) -> tuple[Samples, Any]:
        """Draw a run's loss."""
        return Samples(None, PROBLEMS[sections.problem.kind].draw(sections.problem, key)), None


@dataclass(frozen=True)
class MatrixDefinition(OnMatrix):
    """How the runs of a batch draw a target and weights, for the generic way.

    Attributes:
        dims: The layer sizes.
    """

    dims: tuple[int, ...]
    trained_by: ClassVar[type[GenericKernel]] = MatrixKernel
    is_named: ClassVar[bool] = False

    @classmethod
    def from_row(cls, row: RunSettings, padded_width: int) -> MatrixDefinition:
        """Read a run's dotted settings."""
        sections, dims = Sections.from_row(row), layer_sizes(row, padded_width)
        network = factorization(dims, power_of(sections.problem))
        return cls(sections, network, padded_width, dims)

    @property
    def lasting_key(self) -> str:
        """A text that is equal for runs which one program can train, sizes of arrays aside."""
        return f"{self.sections.static_key()} generic"

    def draw(self, arguments: Mapping[str, Any]) -> Drawn:
        """Draw a run, float64; its view looks back at the weights of step 0."""
        drawn = super().draw(arguments)
        return drawn._replace(aside=drawn.params)
