"""The compiled programs of a batch: one that draws and starts runs, one that trains a segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from dlnsweep.contracts.drawing import GIVEN, Drawing, drawing_of
from dlnsweep.contracts.network import AUTO_TAKES, BY_VECTORS, CHECK_JUMPS, network_of
from dlnsweep.engine.given import weight_tree
from dlnsweep.errors import RunError
from dlnsweep.machine.memory import said
from dlnsweep.numerics import executables
from dlnsweep.numerics.compiled import STOPS_A_SEGMENT, bytes_of, with_whole_vectors
from dlnsweep.numerics.lanes import Layout
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.trees import name_of
from dlnsweep.settings.by_layer import numbers_of
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.warm_start import WARM_START

# Share of the free memory that one call may take.
_MEMORY_SHARE = 0.6


class Program:
    """What is compiled for a batch of runs with the same static settings.

    Args:
        row: The settings of one of the runs.
        padded_width: The width of the arrays.
        lanes: The number of runs that the batch has.
        device: What `runtime.device_description` says.
        reason: Why it is this program, where that is known; as outcomes have it.
        refusal: Why it is not another one, which was tried first.

    Attributes:
        late_seconds: What compiling has taken after it was made, for what it was given.
    """

    # Whether its compiled programs are all that is made when it is.
    _keeps_whole: ClassVar[bool] = True

    def __init__(
        self,
        row: RunSettings,
        padded_width: int,
        lanes: int,
        device: Mapping[str, Any],
        reason: str = "",
        refusal: str = "",
    ) -> None:
        self.reason, self._refusal = reason, refusal
        self.late_seconds = 0.0
        self.drawing = drawing_of(row, padded_width)
        self.precision = row["sweep.precision"]
        self._weights_given = weight_tree(self.drawing) if row.get(WARM_START) else None
        self._memory = device["memory_bytes"] * _MEMORY_SHARE
        self.layout = _wanted_layout(self.drawing, row, padded_width, lanes, device)
        self._name = (
            f"{type(self)} {type(self.drawing)} "
            f"{_key(self.drawing.lasting_key, self.layout, row, padded_width)}"
        )
        self._compile()

    @staticmethod
    def key(row: RunSettings, padded_width: int, lanes: int, device: Mapping[str, Any]) -> str:
        """Return a text that is equal for batches which can share a program."""
        drawing = drawing_of(row, padded_width)
        layout = _wanted_layout(drawing, row, padded_width, lanes, device)
        return _key(drawing.key, layout, row, padded_width)

    @property
    def way(self) -> str:
        """The name of the way of descent, as outcomes have it."""
        return self.drawing.way

    def reason_for(self, otherwise: str) -> str:
        """Return why it is this program, as outcomes have it.

        Args:
            otherwise: Why a run is not for another kernel, where the program knows nothing.
        """
        return "; ".join(filter(None, (self.reason or otherwise, self._refusal)))

    @property
    def goes_on(self) -> bool:
        """Whether a run of more steps is that of fewer, gone on with; see `Begun`."""
        return not self.drawing.one_seed

    @property
    def grain(self) -> int:
        """Number of steps that the kernel carries out together."""
        return self.kernel.grain

    def _compile(self) -> None:
        """Compile for as many lanes a call as the layout wants and the memory holds."""
        while True:
            self.kernel = self._kernel()
            arguments = self._example_arguments()
            make = partial(self._made, arguments)
            if self._keeps_whole:
                made = executables.once(f"{self._name} {self.layout}", arguments, make)
            else:
                made = make()
            self._segment_compiled, self._start_compiled = made
            self.call_bytes = max(bytes_of(self._start_compiled), bytes_of(self._segment_compiled))
            if self.call_bytes <= self._memory or self.layout.lanes <= 2:
                self._check_fits()
                return
            if self.layout.groups > 1:
                self.layout = replace(self.layout, groups=self.layout.groups // 2)
            else:
                self.layout = replace(self.layout, vectorized=self.layout.vectorized // 2)

    def _made(self, arguments: dict[str, Any]) -> tuple[Any, Any]:
        start = jax.jit(self._start)
        # First what may turn out to be impossible.
        segment = self._compile_segment(*jax.eval_shape(start, arguments))
        return segment, start.lower(arguments).compile()

    def _kernel(self) -> Any:
        """Return what trains a run."""
        return self.drawing.kernel(self.layout)

    def _compile_segment(self, inputs: Any, carry: Any) -> Any:
        """Compile what trains from step to step, for inputs and a state of these shapes."""
        segment = jax.jit(self._segment, donate_argnums=1)
        stops = np.zeros(STOPS_A_SEGMENT, np.int64)
        lowered = segment.lower(inputs, carry, np.int64(0), stops, stops.astype(bool))
        return with_whole_vectors(lowered) if self.drawing.fills_vectors else lowered.compile()

    def _check_fits(self) -> None:
        """Refuse what would have this process, or another one, killed."""
        free = self._memory / _MEMORY_SHARE
        if self.call_bytes > free:
            raise RunError(
                f"a call of its program needs {said(self.call_bytes)} of memory, and {said(free)} "
                "are free; take fewer workers with --workers, smaller networks, or a machine with "
                "more."
            )

    def _example_arguments(self) -> dict[str, Any]:
        lanes = self.layout.lanes
        given = {} if self._weights_given is None else {GIVEN: self._weights_given.example(lanes)}
        return {**self._example_numbers(), **given}

    def _example_numbers(self) -> dict[str, np.ndarray]:
        example = self.drawing.example_arguments()
        return {k: np.full((self.layout.lanes, *np.shape(v)), v) for k, v in example.items()}

    def arguments(self, rows: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Return the arguments of `start` for runs given as columns of settings.

        Fewer runs than lanes are filled up with copies of the last one. Initial weights that are
        given are columns, too; see `given.py`.
        """
        count = len(rows["seed"])
        assert not self.drawing.one_seed or len(np.unique(rows["seed"])) == 1
        places = np.minimum(np.arange(self.layout.lanes), count - 1)
        columns: dict[str, Any] = {}
        for key, example in self._example_numbers().items():
            # What was planned before there was a setting has its default.
            values = np.asarray(rows.get(key, np.full(count, np.nan)))
            if example.ndim > 1:
                # Of a program of these runs all have as many numbers.
                values = np.array([numbers_of(text) for text in values])
            values = values.astype(example.dtype)
            # NaN marks a hyperparameter that the optimizer does not use.
            columns[key] = np.where(np.isnan(values), example[0], values)[places]
        if self._weights_given is not None:
            columns[GIVEN] = self._weights_given.of(rows, places)
        return columns

    def start(self, arguments: dict[str, Any]) -> tuple[Any, Any]:
        """Draw data and initial weights; return the runs' inputs and their state at step 0.

        Where runs share what their seed draws, the inputs are a pair: their own, and that.
        """
        return self._start_compiled(arguments)

    def segment(
        self, inputs: Any, carry: Any, start: int, stops: np.ndarray, recorded: np.ndarray
    ) -> tuple[Any, dict[str, Any]]:
        """Train all lanes; see `DenseKernel.segment`. The carry is given away."""
        return self._segment_compiled(inputs, carry, np.int64(start), stops, recorded)

    def weights(self, inputs: Any, carry: Any) -> dict[str, np.ndarray]:
        """Return the weights of all lanes by name, (lanes, ...); padded as the state is.

        A name says where an array stands among the parameters: "weights[0]", "bias", "b.gain".
        """
        found = self._weights_compiled(inputs, carry)
        leaves = jax.tree_util.tree_flatten_with_path(found)[0]
        return {name_of(path): np.asarray(leaf) for path, leaf in leaves}

    @cached_property
    def _weights_compiled(self) -> Any:
        def weights(inputs: Any, carry: Any) -> Any:
            def one(own: Any, carry: Any, shared: Any) -> Any:
                return self.kernel.weights(self.drawing.joined(own, shared), carry)

            own, shared = inputs if self.drawing.one_seed else (inputs, None)
            return self.layout.batch(one, 2)(own, carry, shared)

        return jax.jit(weights)

    def _start(self, arguments: dict[str, Any]) -> tuple[Any, Any]:
        drawn = {key: values[0] for key, values in arguments.items() if key != GIVEN}
        shared = self.drawing.shared(drawn)

        def one(own: dict[str, Any], shared: Any) -> tuple[Any, Any]:
            return self.drawing.start(self.kernel, own, self._in_precision, shared)

        inputs, carry = self.layout.batch(one, 1)(arguments, shared)
        if not self.drawing.one_seed:
            return inputs, carry
        return (inputs, jax.tree.map(self._in_precision, shared)), carry

    def _segment(self, inputs: Any, carry: Any, *span: Any) -> tuple[Any, dict[str, Any]]:
        def one(own: Any, carry: Any, shared: Any, *span: Any) -> tuple[Any, dict[str, Any]]:
            return self.kernel.segment(self.drawing.joined(own, shared), carry, *span)

        own, shared = inputs if self.drawing.one_seed else (inputs, None)
        return self.layout.batch(one, 2)(own, carry, shared, *span)

    def _in_precision(self, array: Any) -> Any:
        # Keys are integers.
        return array.astype(self.precision) if jnp.issubdtype(array.dtype, jnp.floating) else array


def _key(drawing: str, layout: Layout, row: RunSettings, padded_width: int) -> str:
    way = f"{row['sweep.kernel']} " if row["sweep.kernel"] in (*BY_VECTORS, "jumps") else ""
    taken = network_of(row).takes_vectors(row, padded_width)
    way += f"{row[AUTO_TAKES]} if it pays " if taken else ""
    way += f"checked {row[CHECK_JUMPS]} " if row.get(CHECK_JUMPS) else ""
    way += "given " if row.get(WARM_START) else ""
    return f"{way}{drawing} {row['sweep.precision']} {padded_width} {layout}"


def _wanted_layout(
    drawing: Drawing,
    row: RunSettings,
    padded_width: int,
    lanes: int,
    device: Mapping[str, Any],
) -> Layout:
    if row["sweep.kernel"] == "jumps":
        # Each run has jumps of its own.
        return Layout(1)
    run_bytes = network_of(row).cost(row, padded_width).state_bytes
    return drawing.layout(device["platform"], run_bytes, lanes)
