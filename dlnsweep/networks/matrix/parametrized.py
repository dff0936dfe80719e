"""A matrix as a function of parameters, W(theta), as a kind that the engine can ask. No JAX.

How a researcher's network for problems of finding a matrix comes: `register_network` of one with
`task="matrix"`.
"""

from __future__ import annotations

from dlnsweep.contracts.network import StepCost
from dlnsweep.contracts.observable import Dimensions
from dlnsweep.networks.generic.kind import GenericKind
from dlnsweep.networks.matrix.kind import RECORDED, TASK, matrix_shape, operator_entries
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.training import OF_NETWORK

# One core: products of small matrices, reading an operator, the dispatch of a step's operations.
_FLOPS_A_SECOND = 8e9
_BYTES_A_SECOND = 10e9
_DISPATCH_SECONDS = 1e-5


class ParametrizedMatrix(GenericKind):
    """W(theta) on the problem's loss of W, trained by the generic way."""

    task = TASK
    views = ("matrix", "parametrized")
    constraints = RECORDED
    drawing = generic = "dlnsweep.networks.matrix.parametrized_draw:ParametrizedDrawing"
    honoured = {  # noqa: RUF012 - the same for all, and never changed
        **GenericKind.honoured,
        "training.minibatch_size": (0,),
    }

    @property
    def losses(self) -> tuple[str, ...]:
        """The values of training.loss with which it is trained: the problem's loss alone."""
        return (OF_NETWORK,)

    def step_cost(self, row: RunSettings, width: int) -> StepCost:
        """Estimate a step of a run, by what W takes; else as of a product of two factors."""
        rows, columns = matrix_shape(row)
        item = 8 if row["sweep.precision"] == "float64" else 4
        count = self.network.multiplications
        inner = width if row.get("network.width") else min(rows, columns)
        products = rows * inner * columns
        if count is not None:
            products = count(row.section("network", self.settings), columns, rows)
        read = operator_entries(row)
        # Forward, backward and for the gradient; the operator is read twice.
        flops = 6 * products + 4 * read
        state = item * (3 * (rows + columns) * inner + 3 * rows * columns + read)
        seconds = 6 * products / _FLOPS_A_SECOND + 2 * item * read / _BYTES_A_SECOND
        return StepCost(flops, state, seconds + _DISPATCH_SECONDS)

    def dimensions(self, row: RunSettings) -> Dimensions:
        """Return the sizes that the length of an observable can depend on."""
        return Dimensions(*matrix_shape(row), int(row.get("network.depth") or 0))

    def label(self, name: str, label: str) -> str:
        """Return a label with W in place of W_{L:1}, and of the problem's loss."""
        if name == "loss":
            return r"loss $c\,\ell(W)+\frac{\lambda}{2}\|\theta\|^2$"
        return label.replace("W_{L:1}", "W")
