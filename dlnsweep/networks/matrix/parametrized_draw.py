"""What a run of a matrix as a function of parameters draws, and how it is trained and seen.

With W = predict(theta, None, settings), training makes small c l(W) + (lambda / 2) ||theta||^2, l
the problem's loss of a matrix (`problems/losses.py`), by the generic way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from jaxtyping import Array, Float

from dlnsweep.contracts.descent import Carry, Inputs
from dlnsweep.contracts.drawing import Sections
from dlnsweep.contracts.network import network_of
from dlnsweep.networks.generic.descent import GenericKernel
from dlnsweep.networks.generic.state import Samples
from dlnsweep.networks.generic.view import ParametersView
from dlnsweep.networks.matrix.definition import MatrixLoss, OnMatrix
from dlnsweep.networks.matrix.kind import matrix_shape
from dlnsweep.networks.matrix.view import MatrixView
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.problems.losses import Fit
from dlnsweep.settings.run_settings import RunSettings


class MatrixData(NamedTuple):
    """What `init` is given of a problem of finding a matrix.

    Attributes:
        num_rows: d, of W.
        num_columns: m, of W.
        fit: The loss, float64: `fit.observed` has what is known of the matrix, `fit.target` the
            matrix itself, or None where there is none.
    """

    num_rows: int
    num_columns: int
    fit: Fit


class ParametrizedView(MatrixView, ParametersView):
    """The state of W(theta), as observables see it.

    Args:
        kernel: The `ParametrizedKernel` that trains it.
        inputs: The run's inputs.
        params: The parameters that are trained.
    """

    def __init__(self, kernel: Any, inputs: Inputs, params: Any) -> None:
        super().__init__(kernel, inputs, params)
        self.fit, self.power = self.constants.samples.targets, kernel.power
        self.data_fit_scale = self.constants.numbers["data_fit_scale"].astype(self.dtype)

    @property
    def end_to_end_matrix(self) -> Float[Array, "d m"]:
        """W."""
        return self._made

    @cached_property
    def _made(self) -> Float[Array, "d m"]:
        return self._matrix(self.params)

    @cached_property
    def velocity(self) -> Float[Array, "d m"]:
        """dW/dt under gradient flow on the parameters: -J grad F(theta), J the Jacobian of W."""
        back = jax.tree.map(jnp.negative, jax.grad(self.objective)(self.params))
        return jax.jvp(self._matrix, (self.params,), (back,))[1]

    def _matrix(self, params: Any) -> Float[Array, "d m"]:
        return self.kernel.predict(params, None, self.constants)


@dataclass(frozen=True)
class ParametrizedKernel(MatrixLoss):
    """The generic way on the parameters of a matrix."""

    def loss(self, outputs: Float[Array, "d m"], targets: Fit, settings: Any) -> Float[Array, ""]:
        """Return l(W), the problem's."""
        del settings
        return targets.loss(outputs, self.power)

    def view(self, inputs: Inputs, carry: Carry) -> ParametrizedView:
        """Return the view of the state that observables see."""
        return ParametrizedView(self, inputs, carry.state.recorded)


@dataclass(frozen=True)
class ParametrizedDrawing(OnMatrix):
    """How the runs of a batch draw a loss of a matrix and parameters.

    Attributes:
        shape: (d, m).
    """

    shape: tuple[int, int]
    trained_by: ClassVar[type[GenericKernel]] = ParametrizedKernel

    @classmethod
    def from_row(cls, row: RunSettings, padded_width: int) -> ParametrizedDrawing:
        """Read a run's dotted settings."""
        kind: Any = network_of(row)
        return cls(Sections.from_row(row), kind.network, padded_width, matrix_shape(row))

    @property
    def output_shape(self) -> tuple[int, int]:
        """The shape that W must have."""
        return self.shape

    def params(self, settings: Any, samples: Samples, key: Any) -> Any:
        """Draw the parameters."""
        return self.initial(settings, MatrixData(*self.shape, samples.targets), key)
