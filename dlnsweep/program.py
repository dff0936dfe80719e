"""The compiled programs of a batch: one that draws and starts runs, one that trains a segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dlnsweep.cost import cost_of, layer_sizes, problem_rank
from dlnsweep.initializers import INITIALIZERS, Shape, draw_weights
from dlnsweep.kernels.dense import DenseKernel, delay_for
from dlnsweep.kernels.layout import Layout, choose_layout
from dlnsweep.kernels.linear import TestSamples, reduce_samples
from dlnsweep.lazy import jax
from dlnsweep.observables import OBSERVABLES
from dlnsweep.problems import PROBLEMS
from dlnsweep.sections import NetworkSettings, RecordSettings, TrainingSettings
from dlnsweep.settings import static_text, traced_numbers, with_numbers
from dlnsweep.streams import gaussian, purpose_key

# Stops a call: enough that dispatch is nothing beside the records, few enough that a short
# schedule wastes little.
STOPS_A_SEGMENT = 16
# Share of the free memory that one call may take.
_MEMORY_SHARE = 0.6


@dataclass(frozen=True)
class Sections:
    """The settings of one run, section by section; traced fields may hold tracers."""

    problem: Any
    network: NetworkSettings
    training: TrainingSettings
    record: RecordSettings

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Sections:
        """Read a run's dotted settings; NaN and None stand for "not used by this run"."""
        classes = (
            PROBLEMS[row["problem.kind"]].settings,
            NetworkSettings,
            TrainingSettings,
            RecordSettings,
        )
        names = ("problem", "network", "training", "record")
        made = []
        for name, settings in zip(names, classes, strict=True):
            fields = {k: row.get(f"{name}.{k}") for k in settings.model_fields}
            used = {k: v for k, v in fields.items() if v is not None and v == v}
            made.append(settings.model_validate(used))
        return cls(*made)

    def traced(self) -> dict[str, float]:
        """Return the traced numbers by dotted key."""
        return {
            f"{name}.{key}": value
            for name, section in vars(self).items()
            for key, value in traced_numbers(section).items()
        }

    def static_key(self) -> str:
        """Return a text that is equal for runs which one program can train."""
        return " ".join(
            (
                static_text(self.problem),
                static_text(self.network, without=["width"]),
                static_text(self.training, without=["num_steps"]),
                static_text(self.record),
            )
        )

    def with_numbers(self, numbers: Mapping[str, Any], width: Any) -> Sections:
        """Return the same settings with tracers in the places of the traced numbers."""

        def fill(name: str, **more: Any) -> Any:
            mine = {k.partition(".")[2]: v for k, v in numbers.items() if k.startswith(f"{name}.")}
            return with_numbers(getattr(self, name), mine | more)

        return Sections(
            fill("problem"), fill("network", width=width), fill("training"), fill("record")
        )


class Program:
    """What is compiled for a batch of runs with the same static settings.

    Args:
        row: The settings of one of the runs.
        padded_width: The width of the arrays.
        lanes: The number of runs that the batch has.
        device: What `runtime.device_description` says.
    """

    def __init__(
        self, row: Mapping[str, Any], padded_width: int, lanes: int, device: Mapping[str, Any]
    ) -> None:
        self.sections = Sections.from_row(row)
        self.padded_width = padded_width
        self.precision = row["sweep.precision"]
        self.rank = problem_rank(row)
        self.dims = layer_sizes(row, padded_width)
        self._memory = device["memory_bytes"] * _MEMORY_SHARE
        self.layout = _wanted_layout(row, padded_width, lanes, device)
        self._compile()

    @staticmethod
    def key(
        row: Mapping[str, Any], padded_width: int, lanes: int, device: Mapping[str, Any]
    ) -> str:
        """Return a text that is equal for batches which can share a program."""
        sections = Sections.from_row(row)
        layout = _wanted_layout(row, padded_width, lanes, device)
        return f"{sections.static_key()} {row['sweep.precision']} {padded_width} {layout}"

    @property
    def delay(self) -> int:
        """Number of steps whose weight decay the kernel applies together."""
        return self.kernel.delay

    def _compile(self) -> None:
        """Compile for as many lanes a call as the layout wants and the memory holds."""
        while True:
            self.kernel = DenseKernel(
                self.sections.training,
                self.sections.record,
                delay=delay_for(self.dims, self.rank),
                early_exit=self.layout.vectorized == 1,
            )
            start = jax.jit(self.layout.batch(self._start, 1))
            arguments = self._example_arguments()
            self._start_compiled = start.lower(arguments).compile()
            inputs, carry = jax.eval_shape(start, arguments)
            segment = jax.jit(self.layout.batch(self.kernel.segment, 2), donate_argnums=1)
            stops = np.zeros(STOPS_A_SEGMENT, np.int64)
            lowered = segment.lower(inputs, carry, np.int64(0), stops, stops.astype(bool))
            self._segment_compiled = lowered.compile()
            self.call_bytes = max(
                _bytes_of(self._start_compiled), _bytes_of(self._segment_compiled)
            )
            if self.call_bytes <= self._memory or self.layout.lanes <= 2:
                return
            if self.layout.groups > 1:
                self.layout = Layout(self.layout.vectorized, self.layout.groups // 2)
            else:
                self.layout = Layout(self.layout.vectorized // 2)

    def _example_arguments(self) -> dict[str, np.ndarray]:
        numbers = {k: np.full(self.layout.lanes, v) for k, v in self.sections.traced().items()}
        seeds = np.zeros(self.layout.lanes, np.int64)
        return {**numbers, "seed": seeds, "network.width": seeds + self.padded_width}

    def arguments(self, rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the arguments of `start` for runs given as columns of settings.

        Fewer runs than lanes are filled up with copies of the last one.
        """
        count = len(rows["seed"])
        places = np.minimum(np.arange(self.layout.lanes), count - 1)
        columns = {}
        for key, example in self._example_arguments().items():
            values = np.asarray(rows[key]).astype(example.dtype)
            # NaN marks a hyperparameter that the optimizer does not use.
            columns[key] = np.where(np.isnan(values), example[0], values)[places]
        return columns

    def start(self, arguments: dict[str, np.ndarray]) -> tuple[Any, Any]:
        """Draw data and initial weights; return the runs' inputs and their state at step 0."""
        return self._start_compiled(arguments)

    def segment(
        self, inputs: Any, carry: Any, start: int, stops: np.ndarray, recorded: np.ndarray
    ) -> tuple[Any, dict[str, Any]]:
        """Train all lanes; see `DenseKernel.segment`. The carry is given away."""
        return self._segment_compiled(inputs, carry, np.int64(start), stops, recorded)

    def _start(self, arguments: dict[str, Any]) -> tuple[Any, Any]:
        arguments = dict(arguments)
        seed, width = arguments.pop("seed"), arguments.pop("network.width")
        initializer = INITIALIZERS[self.sections.network.initializer]
        width = width if initializer.paddable else self.padded_width
        sections = self.sections.with_numbers(arguments, width)
        key = partial(purpose_key, seed)
        problem = PROBLEMS[sections.problem.kind]
        signals, measurements = problem.draw(sections.problem, key)
        data = reduce_samples(signals, measurements, self.rank)
        shape = Shape(self.dims, width)
        weights = draw_weights(sections.network, shape, key)
        test = self._draw_test(sections, key)
        weights, data, test = jax.tree.map(
            lambda x: x.astype(self.precision), (weights, data, test)
        )
        fan_ins = tuple(shape.fan_in(i) for i in range(len(self.dims) - 1))
        record = {k.partition(".")[2]: v for k, v in arguments.items() if k.startswith("record.")}
        return self.kernel.start(weights, data, fan_ins, sections.training, record, test)

    def _draw_test(self, sections: Sections, key: Any) -> TestSamples | None:
        if not any(OBSERVABLES[n].needs_test_samples for n in sections.record.observables):
            return None
        problem, count = PROBLEMS[sections.problem.kind], sections.record.num_test_samples
        signals, measurements = problem.draw_test(sections.problem, key, count)
        noise = gaussian(key("test/noise"), measurements.shape[0], count)
        return TestSamples(signals, measurements, sections.record.test_noise * noise)


def _wanted_layout(
    row: Mapping[str, Any], padded_width: int, lanes: int, device: Mapping[str, Any]
) -> Layout:
    return choose_layout(device["platform"], cost_of(row, padded_width).state_bytes, lanes)


def _bytes_of(compiled: Any) -> int:
    """Return the bytes that a call of a compiled program takes, as the compiler measured them."""
    memory = compiled.memory_analysis()
    if memory is None:
        return 0
    return (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        + memory.temp_size_in_bytes
        - memory.alias_size_in_bytes
    )
