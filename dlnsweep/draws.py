"""What one run draws: its settings as a program sees them, its data and its initial weights.

`Drawing` is what every kind of network gives a program; `SampleDrawing` is that of the networks
that learn signals from measurements.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from jaxtyping import Array, Float

from dlnsweep.initializers import INITIALIZERS, Shape, draw_weights
from dlnsweep.kernels.dense import DenseKernel, delay_for
from dlnsweep.kernels.kernel import Carry, Inputs, Kernel
from dlnsweep.kernels.layout import Layout, choose_layout
from dlnsweep.kernels.minibatches import Minibatches, minibatches_of
from dlnsweep.kernels.relu import ReluKernel, keep_samples
from dlnsweep.kernels.samples import Reduced, TestSamples, reduce_samples
from dlnsweep.lazy import jax
from dlnsweep.networks import network_of
from dlnsweep.networks.layered import layer_sizes, problem_rank
from dlnsweep.observables import OBSERVABLES
from dlnsweep.problems import PROBLEMS
from dlnsweep.sections import RecordSettings, TrainingSettings
from dlnsweep.settings import static_text, traced_numbers, with_numbers
from dlnsweep.streams import gaussian, purpose_key


@dataclass(frozen=True)
class Sections:
    """The settings of one run, section by section; traced fields may hold tracers."""

    problem: Any
    network: Any
    training: TrainingSettings
    record: RecordSettings

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Sections:
        """Read a run's dotted settings; NaN and None stand for "not used by this run"."""
        classes = (
            PROBLEMS[row["problem.kind"]].settings,
            network_of(row).settings,
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


class Drawn(NamedTuple):
    """What a run starts from, in float64.

    Attributes:
        weights: W_1, ..., W_L.
        data: The samples as the kernel takes them: `Reduced`, or `relu.Samples`.
        test: Fresh samples, or None where no observable needs them.
        minibatches: What minibatches are drawn from, or None for full batches.
    """

    weights: tuple[Float[Array, "..."], ...]
    data: Any
    test: TestSamples | None
    minibatches: Minibatches | None


@dataclass(frozen=True)
class Drawing:
    """How the runs of a batch draw and start, with arrays of one size.

    Attributes:
        sections: The settings of one of the runs.
        one_seed: Whether the runs of a call must have one seed, for they share what it draws.
    """

    sections: Sections
    one_seed: bool = field(default=False, kw_only=True)

    @classmethod
    def from_row(cls, row: Mapping[str, Any], padded_width: int) -> Drawing:
        """Read a run's dotted settings."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """A text that is equal for runs which one program can train, sizes of arrays aside."""
        return self.sections.static_key()

    def layout(self, platform: str, run_bytes: int, lanes: int) -> Layout:
        """Choose how the lanes of a call are executed; see `choose_layout`."""
        return choose_layout(platform, run_bytes, lanes)

    def example_arguments(self) -> dict[str, float]:
        """Return the arguments of one run: its traced numbers, its seed and its sizes."""
        raise NotImplementedError

    def kernel(self, layout: Layout) -> Kernel:
        """Return what trains a run."""
        raise NotImplementedError

    def shared(self, arguments: Mapping[str, Any]) -> Any:
        """Draw what the runs of a call have in common, float64; None where there is no such thing.

        Args:
            arguments: The `example_arguments` of one of them; tracers.
        """
        del arguments
        return None

    def joined(self, inputs: Inputs, shared: Any) -> Inputs:
        """Return a run's inputs with what it has in common with others.

        Args:
            inputs: What `start` returned.
            shared: What `shared` returned, in the precision of training.
        """
        del shared
        return inputs

    def start(
        self,
        kernel: Any,
        arguments: Mapping[str, Any],
        convert: Callable[[Any], Any],
        shared: Any = None,
    ) -> tuple[Inputs, Carry]:
        """Draw a run; return its inputs, without what it shares, and its state at step 0.

        Args:
            kernel: What `kernel` returned.
            arguments: The run's own `example_arguments`; tracers.
            convert: Takes an array to the precision of training.
            shared: What `shared` returned.
        """
        raise NotImplementedError


def drawing_of(row: Mapping[str, Any], padded_width: int) -> Drawing:
    """Return how the runs of a batch draw, as their kind of network says."""
    module, _, name = network_of(row).drawing.partition(":")
    return getattr(importlib.import_module(module), name).from_row(row, padded_width)


@dataclass(frozen=True)
class SampleDrawing(Drawing):
    """How the runs of a batch draw samples and weight matrices.

    Attributes:
        dims: The layer sizes of the arrays.
        rank: The rank of the measurements.
        keeps_roundings: See `DenseKernel`.
    """

    dims: tuple[int, ...]
    rank: int
    keeps_roundings: bool

    @classmethod
    def from_row(cls, row: Mapping[str, Any], padded_width: int) -> SampleDrawing:
        """Read a run's dotted settings."""
        return cls(
            Sections.from_row(row),
            layer_sizes(row, padded_width),
            problem_rank(row),
            bool(network_of(row).run_class(row, row)),
        )

    @property
    def key(self) -> str:
        """A text that is equal for runs which one program can train, sizes of arrays aside."""
        return f"{super().key} {self.keeps_roundings}"

    def example_arguments(self) -> dict[str, float]:
        """Return the arguments of one run."""
        return {**self.sections.traced(), "seed": 0, "network.width": max(self.dims[1:-1] or (1,))}

    def read(self, arguments: Mapping[str, Any]) -> tuple[Sections, Shape, Any]:
        """Return the settings with their numbers, the shape of the network, and the run's keys.

        Args:
            arguments: The traced numbers by dotted key, the seed and the width.
        """
        numbers = dict(arguments)
        seed, width = numbers.pop("seed"), numbers.pop("network.width")
        initializer = INITIALIZERS[self.sections.network.initializer]
        if not initializer.paddable and len(self.dims) > 2:
            width = self.dims[1]
        sections = self.sections.with_numbers(numbers, width)
        return sections, Shape(self.dims, width), partial(purpose_key, seed)

    def samples(self, sections: Sections, key: Any) -> tuple[Reduced, TestSamples | None]:
        """Draw the reduced training samples, and test samples where they are needed."""
        drawn = PROBLEMS[sections.problem.kind].draw(sections.problem, key)
        return self._reduced(sections, key, *drawn), self._test(sections, key)

    def draw(self, sections: Sections, shape: Shape, key: Any) -> Drawn:
        """Draw a run's samples and weights."""
        signals, measurements = PROBLEMS[sections.problem.kind].draw(sections.problem, key)
        data: Any = self._reduced(sections, key, signals, measurements)
        minibatches = None
        if self.sections.training.minibatch_size:
            own = key("training/minibatches")
            minibatches = minibatches_of(signals, measurements, data, own)
        if sections.network.kind == "linear_then_relu":
            data = keep_samples(data, signals, measurements)
        weights = draw_weights(sections.network, shape, key)
        return Drawn(weights, data, self._test(sections, key), minibatches)

    def kernel(self, layout: Layout) -> DenseKernel | ReluKernel:
        """Return what trains a run."""
        training, record = self.sections.training, self.sections.record
        alone = layout.vectorized == 1
        if self.sections.network.kind == "linear_then_relu":
            return ReluKernel(training, record, early_exit=alone)
        delay = delay_for(self.dims, self.rank)
        return DenseKernel(
            training, record, delay=delay, early_exit=alone, keeps_roundings=self.keeps_roundings
        )

    def start(
        self,
        kernel: Any,
        arguments: Mapping[str, Any],
        convert: Callable[[Any], Any],
        shared: Any = None,
    ) -> tuple[Inputs, Carry]:
        """Draw a run; return its inputs and its state at step 0."""
        del shared
        sections, shape, key = self.read(arguments)
        drawn = self.draw(sections, shape, key)
        weights, data, test, minibatches = jax.tree.map(convert, drawn)
        fan_ins = tuple(shape.fan_in(i) for i in range(len(shape.dims) - 1))
        record = record_numbers(arguments)
        # Only the dense kernel of linear networks knows minibatches.
        more = {} if minibatches is None else {"minibatches": minibatches}
        return kernel.start(weights, data, fan_ins, sections.training, record, test, **more)

    def _reduced(
        self,
        sections: Sections,
        key: Any,
        signals: Float[Array, "d n"],
        measurements: Float[Array, "m n"],
    ) -> Reduced:
        problem = PROBLEMS[sections.problem.kind]
        return reduce_samples(
            signals,
            measurements,
            self.rank,
            certain=problem.has_certain_rank(sections.problem),
            clean=problem.clean(sections.problem, key) if problem.clean else None,
        )

    def _test(self, sections: Sections, key: Any) -> TestSamples | None:
        problem = PROBLEMS[sections.problem.kind]
        observables = [OBSERVABLES[name] for name in sections.record.observables]
        examined = any(item.needs_isometry for item in observables)
        if not examined and not any(item.needs_test_samples for item in observables):
            return None
        count = sections.record.num_test_samples
        assert problem.draw_test is not None
        signals, measurements = problem.draw_test(sections.problem, key, count)
        noise = gaussian(key("test/noise"), measurements.shape[0], count)
        isometry = None
        if examined:
            assert problem.isometry is not None
            isometry = problem.isometry(sections.problem, key)
        scaled = sections.record.test_noise * noise
        return TestSamples(signals, measurements, scaled, noise, isometry)


def record_numbers(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the traced numbers of [record], by name."""
    return {k.partition(".")[2]: v for k, v in arguments.items() if k.startswith("record.")}
