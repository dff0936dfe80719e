"""What a run on a loss of its end-to-end matrix draws, and how it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Array, Float

from dlnsweep.contracts.descent import Carry, Inputs
from dlnsweep.contracts.drawing import GIVEN, Drawing, Sections, record_numbers
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.networks.layered.initializers import (
    INITIALIZERS,
    Shape,
    balanced_factors,
    draw_weights,
)
from dlnsweep.networks.matrix.descent import FactorizationKernel, partial_products
from dlnsweep.networks.matrix.end_to_end import EndToEndKernel
from dlnsweep.networks.matrix.kind import layer_sizes, shares_operator
from dlnsweep.numerics.lanes import Layout, sharing_layout
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.streams import gaussian, keys_of
from dlnsweep.problems.losses import Fit
from dlnsweep.settings.run_settings import RunSettings

_NEAR_TARGET = "near_target"


@dataclass(frozen=True)
class MatrixDrawing(Drawing):
    """How the runs of a batch draw a target and weight matrices.

    Attributes:
        dims: The layer sizes of the arrays.
    """

    dims: tuple[int, ...]
    trained_by: ClassVar[type[FactorizationKernel]] = FactorizationKernel
    takes_weights: ClassVar[bool] = True

    @classmethod
    def from_row(cls, row: RunSettings, padded_width: int) -> MatrixDrawing:
        """Read a run's dotted settings."""
        dims = layer_sizes(row, padded_width)
        return cls(Sections.from_row(row), dims, one_seed=shares_operator(row))

    def layout(self, platform: str, run_bytes: int, lanes: int) -> Layout:
        """Choose how the lanes of a call are executed."""
        if self.one_seed:
            return sharing_layout(platform, lanes)
        return super().layout(platform, run_bytes, lanes)

    def example_arguments(self) -> dict[str, Any]:
        """Return the arguments of one run: its traced numbers and its seed."""
        return {**self.sections.traced(), "seed": 0, "network.width": max(self.dims[1:-1] or (1,))}

    def kernel(self, layout: Layout) -> FactorizationKernel:
        """Return what trains a run."""
        return self.trained_by(
            self.sections.training,
            self.sections.record,
            early_exit=layout.vectorized == 1,
            power=power_of(self.sections.problem),
            streamed=layout.streams,
        )

    def shared(self, arguments: Mapping[str, Any]) -> Float[Array, "N dm"] | None:
        """Draw the operator of all runs of a call, if they share it."""
        draw = PROBLEMS[self.sections.problem.kind].shared
        if not self.one_seed or draw is None:
            return None
        return draw(self.sections.problem, keys_of(arguments["seed"]))

    def joined(self, inputs: Inputs, shared: Float[Array, "N dm"] | None) -> Inputs:
        """Return a run's inputs with its operator."""
        return inputs if shared is None else _with_operator(inputs, shared)

    def draw(
        self, arguments: Mapping[str, Any], shared: Float[Array, "N dm"] | None = None
    ) -> tuple[Sections, Fit, tuple[Any, ...]]:
        """Draw a run: its settings with their numbers, its loss and its initial weights."""
        numbers = {name: value for name, value in arguments.items() if name != GIVEN}
        seed, _ = numbers.pop("seed"), numbers.pop("network.width")
        width = max(self.dims[1:-1] or (1,))
        sections = self.sections.with_numbers(numbers, width)
        key = keys_of(seed, len(self.dims) - 1)
        drawn = () if shared is None else (shared,)
        fit = PROBLEMS[sections.problem.kind].draw(sections.problem, key, *drawn)
        weights = arguments.get(GIVEN)
        if weights is None:
            weights = initial_weights(sections.network, Shape(self.dims, width), key, fit)
        return sections, fit, weights

    def start(
        self,
        kernel: Any,
        arguments: Mapping[str, Any],
        convert: Callable[[Any], Any],
        shared: Float[Array, "N dm"] | None = None,
    ) -> tuple[Inputs, Carry]:
        """Draw a run; return its inputs, without a shared operator, and its state at step 0."""
        sections, fit, weights = self.draw(arguments, shared)
        fit, weights = jax.tree.map(convert, (fit, weights))
        inputs, carry = kernel.start(
            weights, fit, self.dims[:-1], sections.training, record_numbers(arguments)
        )
        return (inputs if shared is None else _with_operator(inputs, None)), carry


@dataclass(frozen=True)
class EndToEndDrawing(MatrixDrawing):
    """The same with a matrix beside the layers."""

    trained_by: ClassVar[type[FactorizationKernel]] = EndToEndKernel
    takes_weights: ClassVar[bool] = False


def power_of(problem: Any) -> float:
    """Return the exponent of a problem's loss; a problem without the setting has squares."""
    return float(getattr(problem, "power", 2.0))


def _with_operator(inputs: Inputs, operator: Any) -> Inputs:
    constants = inputs.constants
    observed = constants.fit.observed._replace(operator=operator)
    fit = constants.fit._replace(observed=observed)
    return inputs._replace(constants=constants._replace(fit=fit))


def initial_weights(
    settings: Any, shape: Shape, key: Any, fit: Fit
) -> tuple[Float[Array, "..."], ...]:
    """Draw the initial weights that [network] asks for, float64.

    Args:
        settings: The settings of [network].
        shape: The shape of the network.
        key: The run's PRNG key for a named purpose.
        fit: The loss, for its target.
    """
    if settings.initializer == _NEAR_TARGET:
        assert fit.target is not None
        product = near_target(fit.target, settings.deficiency_margin, key)
        weights = tuple(balanced_factors(product, shape.dims, key))
    else:
        assert settings.initializer in INITIALIZERS
        weights = draw_weights(settings, shape, key)
    if settings.product_determinant == "any":
        return weights
    wanted = 1.0 if settings.product_determinant == "positive" else -1.0
    found = jnp.sign(jnp.linalg.det(partial_products(weights)[-1]))
    # Turning a row of the last layer keeps what balanced weights have in common.
    return (*weights[:-1], weights[-1].at[-1].multiply(jnp.where(found == wanted, 1.0, -1.0)))


def near_target(
    target: Float[Array, "d m"], margin: Float[Array, ""] | float, key: Any
) -> Float[Array, "d m"]:
    """Return M + (1 - margin) sigma_min(M) E / ||E||_F with E Gaussian.

    Every matrix that is no farther from M has singular values of at least margin sigma_min(M): its
    deficiency margin (Definition 2 of arXiv:1810.02281).
    """
    smallest = jnp.linalg.svd(target, compute_uv=False)[-1]
    direction = gaussian(key("weights/direction"), *target.shape)
    return target + (1 - margin) * smallest * direction / jnp.linalg.norm(direction)
