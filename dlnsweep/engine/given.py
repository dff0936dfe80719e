"""Initial weights that are given: as columns of runs, and as the tree that a drawing starts from.

A column of a batch's runs holds one array of all runs, under its name among the kept weights with
`PREFIX` before it: so whoever takes some of the runs takes their weights, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnsweep.contracts.drawing import Drawing
from dlnsweep.errors import StoreError
from dlnsweep.numerics.lanes import Layout
from dlnsweep.numerics.lazy import jax
from dlnsweep.numerics.trees import name_of

PREFIX = "initial_weights:"


@dataclass(frozen=True)
class WeightTree:
    """What the weights of a run look like in the arrays of its program.

    Attributes:
        shapes: The shape of each array by its name, in the tree's order.
        structure: The tree.
    """

    shapes: dict[str, tuple[int, ...]]
    structure: Any

    def example(self, lanes: int) -> Any:
        """Return such a tree for some lanes, all zero."""
        return self._tree([np.zeros((lanes, *shape)) for shape in self.shapes.values()])

    def of(self, rows: Mapping[str, np.ndarray], places: np.ndarray) -> Any:
        """Return the tree of some runs' weights, float64, zero beyond their own arrays.

        Args:
            rows: The columns of runs.
            places: Which of them.

        Raises:
            StoreError: If they are not of this network, as a damaged folder may say.
        """
        found = []
        for name, shape in self.shapes.items():
            own = rows.get(PREFIX + name)
            if own is None or own.ndim != 1 + len(shape) or np.any(own.shape[1:] > np.array(shape)):
                raise StoreError(
                    f"the weights that its runs are to begin with have no {name} of this network: "
                    "the results folder is damaged; move it away and run the sweep again."
                )
            whole = np.zeros((len(places), *shape))
            whole[(slice(None), *map(slice, own.shape[1:]))] = own[places]
            found.append(whole)
        return self._tree(found)

    def _tree(self, leaves: list[np.ndarray]) -> Any:
        return jax.tree.unflatten(self.structure, leaves)


def weight_tree(drawing: Drawing) -> WeightTree:
    """Return what the weights of a run look like, without drawing any."""
    arguments = {k: np.asarray(v) for k, v in drawing.example_arguments().items()}

    def made(given: Any) -> Any:
        kernel, shared = drawing.kernel(Layout(1)), drawing.shared(given)
        inputs, carry = drawing.start(kernel, given, lambda array: array, shared)
        return kernel.weights(drawing.joined(inputs, shared), carry)

    leaves, structure = jax.tree_util.tree_flatten_with_path(jax.eval_shape(made, arguments))
    return WeightTree({name_of(path): leaf.shape for path, leaf in leaves}, structure)
