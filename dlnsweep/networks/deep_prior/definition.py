"""What "deep_prior" is, in pure functions: g(u) = V phi(W u) / sqrt(k), its kernel's judge.

Here W (k, d) itself is trained, and V (n, k), by value-and-grad of L_y(A g(u)): that only z = W u
and C with V(t) = V(0) + A^T C move is what the kernel knows. The input is u = (1, ..., 1) / sqrt(d)
and W(0) = z(0) u^T: the part of W(0) beyond u has no gradient, and the network does not see it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Array, Float

from dlnsweep.contracts.descent import Carry, Inputs
from dlnsweep.contracts.network import Network
from dlnsweep.networks.deep_prior.draw import PriorDrawing
from dlnsweep.networks.deep_prior.kind import DeepPriorNetworkSettings
from dlnsweep.networks.deep_prior.view import (
    Constants as PriorConstants,
)
from dlnsweep.networks.deep_prior.view import (
    PriorView,
    activate,
    loss_curvature,
    loss_value,
)
from dlnsweep.networks.generic.descent import GenericKernel
from dlnsweep.networks.generic.draw import Drawn, GenericDrawing
from dlnsweep.networks.generic.state import Constants, Samples
from dlnsweep.numerics.divergence import squared_limit
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.products import multiply
from dlnsweep.numerics.spectra import guarded
from dlnsweep.settings.run_settings import RunSettings


def unit_input(dim: int) -> Float[Array, " d"]:
    """Return u."""
    return jnp.full(dim, dim**-0.5, jnp.float64)


def prior(loss_name: str, dim: int) -> Network:
    """Return the network for one of the problem's losses, with an input of some dimension.

    Its inputs are (A, V(0), z(0)), its outputs A g(u), its targets (y, the loss's power); its
    parameters are W, and V where that is trained.
    """

    def init(settings: DeepPriorNetworkSettings, data: Samples, key: Any) -> tuple[Any, ...]:
        del key
        _, last, start = data.inputs
        first = start[:, None] * unit_input(dim)
        return (first, last) if settings.trained_layers == "both" else (first,)

    def predict(
        params: tuple[Any, ...], inputs: Any, settings: DeepPriorNetworkSettings
    ) -> Float[Array, " m"]:
        operator, last, start = inputs
        hidden = multiply(params[0], unit_input(dim).astype(start.dtype))
        last = params[1] if settings.trained_layers == "both" else last
        values = activate(settings.activation, hidden)[0]
        return multiply(operator, multiply(last, values)) / math.sqrt(len(start))

    def loss(outputs: Float[Array, " m"], targets: Any, settings: Any) -> Float[Array, ""]:
        del settings
        return loss_value(loss_name, outputs, *targets)

    return Network("deep_prior", DeepPriorNetworkSettings, init, predict, loss)


@dataclass(frozen=True)
class PriorGenericKernel(GenericKernel):
    """The generic way on W, and on V where it is trained.

    Attributes:
        loss_name: L_y.
        dim: d.
    """

    loss_name: str
    dim: int

    def watched(self, fit: Any, outputs: Any, samples: Samples) -> Float[Array, ""]:
        """Return what must not exceed the limit: ||A g(u) - y||^2."""
        del fit
        return jnp.sum((outputs - samples.targets[0]) ** 2)

    def limit(self, params: Any, constants: Constants, factor: Any) -> Float[Array, ""]:
        """Return the limit of that; see `Kernel.bounded`."""
        watched, given = self.fit_and_watched(params, constants)[1], constants.samples.targets[0]
        return squared_limit(watched, jnp.sum(given**2), factor, given.dtype)

    def rates(self, params: Any, constants: Constants) -> Any:
        """Return the learning rate of each matrix, which "curvature" divides by P; see the kernel.

        P = sigma_max(A J_g(0))^2 times a bound of the curvature of L_y; the square is the largest
        eigenvalue of J J^T, J the Jacobian of A g(u) in all parameters.
        """
        eta = constants.numbers["learning_rate"]
        if self.training.step_rule == "curvature":
            fit = self.fit(params, constants)

            def outputs(params: Any) -> Array:
                return self.predict(params, constants.samples.inputs, constants)

            blocks = jax.tree.leaves(jax.jacrev(outputs)(params))
            flat = [block.reshape(block.shape[0], -1) for block in blocks]
            square = sum((multiply(b, b.T) for b in flat), jnp.zeros((), fit.dtype))
            largest = guarded(lambda s: jnp.linalg.eigvalsh(s)[-1], square)
            power = constants.samples.targets[1]
            eta = eta / (largest * loss_curvature(self.loss_name, fit, power)).astype(jnp.float64)
        return jax.tree.map(lambda _: eta, params)

    def view(self, inputs: Inputs, carry: Carry) -> PriorView:
        """Return the view that the kind's own kernel gives observables.

        It wants C of V(t) = V(0) + A^T C, the least-squares solution.
        """
        constants, params = inputs.constants, carry.state.recorded
        given: PriorConstants = constants.aside
        given = given._replace(learning_rate=jax.tree.leaves(constants.rates)[0])
        hidden, change = multiply(params[0], unit_input(self.dim).astype(given.start.dtype)), None
        if self.settings.trained_layers == "both":
            moved = params[1] - constants.samples.inputs[1]
            change = multiply(jnp.linalg.pinv(given.operator.T, rtol=1e-12), moved)
        now = jnp.zeros((), jnp.int64)
        return PriorView(given, hidden, change, now, self.settings.activation, self.loss_name)


@dataclass(frozen=True)
class PriorDefinition(GenericDrawing):
    """How the runs of a batch draw their operator, signal and network, for the generic way.

    Attributes:
        drawn_by: What draws them for the kind's own kernel.
        dim: d.
    """

    drawn_by: PriorDrawing
    dim: int
    trained_by: ClassVar[type[GenericKernel]] = PriorGenericKernel
    is_named: ClassVar[bool] = False
    # What it measures looks back at the weights that its seed draws.
    takes_weights: ClassVar[bool] = False

    @classmethod
    def from_row(cls, row: RunSettings, padded_width: int) -> PriorDefinition:
        """Read a run's dotted settings."""
        drawn_by, dim = PriorDrawing.from_row(row, padded_width), row["network.input_dim"]
        network = prior(drawn_by.sections.problem.loss, dim)
        return cls(drawn_by.sections, network, padded_width, drawn_by, dim)

    @property
    def lasting_key(self) -> str:
        """A text that is equal for runs which one program can train."""
        return f"{self.drawn_by.lasting_key} generic {self.dim}"

    def example_arguments(self) -> dict[str, Any]:
        """Return the arguments of one run."""
        return self.drawn_by.example_arguments()

    def kernel_fields(self) -> dict[str, Any]:
        """Return what else the kernel is made with."""
        return {"loss_name": self.sections.problem.loss, "dim": self.dim}

    def draw(self, arguments: Mapping[str, Any]) -> Drawn:
        """Draw a run, float64."""
        sections, made = self.drawn_by.draw(arguments, lambda array: array)
        last = made.output_weights * math.sqrt(self.width)
        samples = Samples((made.operator, last, made.start), (made.measurements, made.loss_power))
        params = self.params(sections.network, samples, None)
        return Drawn(sections, samples, params, None, made)
