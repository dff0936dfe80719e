"""What a run's network makes of inputs, by the weights that its folder keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlnsweep.contracts.drawing import drawing_named
from dlnsweep.contracts.network import network_of
from dlnsweep.errors import SpecError, StoreError
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.trees import name_of
from dlnsweep.settings.run_settings import RunSettings

_TASK = "samples"


def inputs_of(inputs: Any) -> np.ndarray:
    """Return inputs as a matrix, float64.

    Args:
        inputs: (m, k), an input a column.

    Raises:
        SpecError: If they are none.
    """
    try:
        found = np.asarray(inputs)
    except ValueError:
        raise SpecError("inputs is not a matrix: its rows have unequal lengths.") from None
    if found.dtype.kind not in "fiu":
        raise SpecError(f"inputs has dtype {found.dtype}; it must hold real numbers.")
    if found.ndim != 2 or not found.size:
        raise SpecError(
            f"inputs has shape {found.shape}; it must be a non-empty matrix, an input a column."
        )
    wide = found.astype(np.float64)
    if not np.all(np.isfinite(wide)):
        raise SpecError("inputs holds values that are not finite; leave their columns out.")
    return wide


class Predictor:
    """The network of runs that differ in seeds and weights at most.

    Args:
        row: The settings of one of them.

    Attributes:
        num_inputs: m.

    Raises:
        SpecError: If it is no network on samples.
        StoreError: If its settings are none that a sweep can have.
    """

    def __init__(self, row: RunSettings) -> None:
        kind = network_of(row)
        if kind.task != _TASK:
            raise SpecError(
                f"network.kind is '{kind.kind}' on problem.kind = '{row['problem.kind']}', which "
                "makes no predictions of inputs; networks that learn from samples do, such as mlp "
                "and deep_linear."
            )
        # Definitions in pure functions need nothing of what is recorded.
        plain = row | {"record.observables": ["loss"], "record.weights": None}
        drawing: Any = drawing_named(kind.generic).from_row(plain, row.get("network.width") or 0)
        self._network, self._settings = drawing.network, drawing.sections.network
        problem = drawing.sections.problem
        self.num_inputs, self._num_outputs = problem.measurement_dim, problem.signal_dim
        self._num_samples = getattr(problem, "num_samples", 1)
        self._names, self._tree = self._structure()

    def _structure(self) -> tuple[list[str], Any]:
        """Return the names of the parameters' leaves, and their tree, without drawing any."""
        from dlnsweep.networks.generic.state import Samples
        from dlnsweep.numerics.streams import keys_of

        def drawn(seed: Any) -> Any:
            shapes = (self.num_inputs, self._num_samples), (self._num_outputs, self._num_samples)
            data = Samples(*map(jnp.ones, shapes))
            return self._network.init(self._settings, data, keys_of(seed))

        with numerics():
            leaves, tree = jax.tree_util.tree_flatten_with_path(jax.eval_shape(drawn, 0))
        return [name_of(path) for path, _ in leaves], tree

    def outputs(self, weights: Mapping[str, np.ndarray], inputs: np.ndarray) -> np.ndarray:
        """Return what the network makes of inputs, (d, k), float64.

        Args:
            weights: A run's, as its folder keeps them.
            inputs: (m, k).

        Raises:
            SpecError: If they are not as many as the network has.
            StoreError: If the weights are not of this network.
        """
        if len(inputs) != self.num_inputs:
            turned = ": give its transpose" if inputs.shape[1] == self.num_inputs else ""
            raise SpecError(
                f"inputs has {len(inputs)} rows; it must have {self.num_inputs}, one for each "
                f"input of the network, and a column for each point{turned}."
            )
        if set(weights) != set(self._names):
            raise StoreError(
                f"its weights are {', '.join(weights)}, and this network's "
                f"{', '.join(self._names)}: the results folder is damaged, or of another version "
                "of a plug-in; `dlnsweep verify` tells damage."
            )
        with numerics():
            leaves = [jnp.asarray(weights[name], jnp.float64) for name in self._names]
            params = jax.tree.unflatten(self._tree, leaves)
            found = self._network.predict(params, jnp.asarray(inputs), self._settings)
            return np.asarray(found, np.float64)


def place_of(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    """Return what is equal for runs that one `Predictor` is of.

    Args:
        row: A run's settings, among other columns.
    """
    own = ((k, v) for k, v in row.items() if str(k).startswith(("problem.", "network.")))
    # What is not used may be a NaN, which is equal to nothing.
    return tuple((key, None if value != value else value) for key, value in own)
