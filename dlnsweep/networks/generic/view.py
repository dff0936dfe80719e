"""The state of any network in pure functions, as observables see it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from jaxtyping import Array, Float

from dlnsweep.contracts.descent import Inputs
from dlnsweep.contracts.view import Landscape, View
from dlnsweep.networks.generic.factors import penalty
from dlnsweep.networks.generic.state import Constants, whole
from dlnsweep.networks.generic.steps import sum_of_squares
from dlnsweep.numerics.lazy import jax, jnp


class ParametersView(View):
    """The state of any network's parameters, as observables see it.

    Args:
        kernel: The `GenericKernel` that trains it.
        inputs: The run's inputs.
        params: The parameters that are trained.

    Attributes:
        params: The parameters that are trained; `whole` has all.
        initial: Those of step 0, where an observable looks back at them; else None.
    """

    def __init__(self, kernel: Any, inputs: Inputs, params: Any) -> None:
        self.kernel, self.params = kernel, params
        self.constants: Constants = inputs.constants
        self.initial = inputs.initial

    @property
    def dtype(self) -> Any:
        """The precision of training."""
        return jax.tree.leaves(self.params)[0].dtype

    @property
    def whole(self) -> Any:
        """All parameters, those that are not trained among them."""
        return whole(self.params, self.constants)

    @cached_property
    def squared_norm(self) -> Float[Array, ""]:
        """||theta||^2, over all parameters that are trained."""
        return sum_of_squares(self.params)

    @cached_property
    def loss(self) -> Float[Array, ""]:
        """F(theta) = c loss + (lambda/2) ||theta||^2, or with a decay a layer."""
        return self.objective(self.params)

    def objective(self, params: Any) -> Float[Array, ""]:
        """Return F at some parameters."""
        scale, decay = (
            self.constants.numbers[name].astype(self.dtype)
            for name in ("data_fit_scale", "weight_decay")
        )
        fit, factors = self.kernel.fit(params, self.constants), self.constants.decays
        if factors is None:
            return scale * fit + 0.5 * decay * sum_of_squares(params)
        return scale * fit + penalty(decay, factors, params)

    @cached_property
    def squared_gradient_norm(self) -> Float[Array, ""]:
        """||grad F(theta)||^2, over all parameters that are trained."""
        return sum_of_squares(jax.grad(self.objective)(self.params))

    @cached_property
    def landscape(self) -> Landscape:
        """The same as a function of the parameters that are trained."""
        eta = self.constants.numbers["learning_rate"]
        rates = jax.tree.map(lambda rate: (rate / eta).astype(self.dtype), self.constants.rates)
        return Landscape(self.params, self.objective, rates)


class GenericView(ParametersView):
    """The state of any network on samples, as observables see it.

    Args:
        kernel: The `GenericKernel` that trains it.
        inputs: The run's inputs.
        params: The parameters that are trained.

    Attributes:
        data: The samples.
        test: Fresh samples, if any observable needs them.
    """

    def __init__(self, kernel: Any, inputs: Inputs, params: Any) -> None:
        super().__init__(kernel, inputs, params)
        self.data, self.test = self.constants.samples, inputs.test

    def output(self, inputs: Float[Array, "m k"]) -> Float[Array, "d k"]:
        """Return what the network makes of some inputs."""
        return self.kernel.predict(self.params, inputs, self.constants)

    @cached_property
    def residual(self) -> Float[Array, "d n"]:
        """What the network makes of the samples, less the signals."""
        return self.output(self.data.inputs) - self.data.targets

    @cached_property
    def squared_error(self) -> Float[Array, ""]:
        """The squared Frobenius norm of that."""
        return jnp.sum(self.residual**2)

    @cached_property
    def fit(self) -> Float[Array, ""]:
        """The network's loss on its samples, without decay or scale."""
        return self.kernel.fit(self.params, self.constants)

    @cached_property
    def squared_residual(self) -> Float[Array, ""]:
        """Twice that, which is the squared error for the loss that is half of it."""
        return 2 * self.fit
