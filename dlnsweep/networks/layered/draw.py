"""What one run draws that learns signals from measurements: samples and weight matrices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from jaxtyping import Array, Float

from dlnsweep.contracts.descent import Carry, Inputs, Kernel
from dlnsweep.contracts.drawing import GIVEN, Drawing, Sections, record_numbers
from dlnsweep.contracts.network import network_of
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.networks.layered.dense import DenseKernel, delay_for
from dlnsweep.networks.layered.initializers import INITIALIZERS, Shape, draw_weights
from dlnsweep.networks.layered.kind import layer_sizes, problem_rank
from dlnsweep.networks.layered.minibatches import Minibatches, minibatches_of
from dlnsweep.networks.layered.relu import ReluKernel, keep_samples
from dlnsweep.networks.layered.samples import Reduced, reduce_samples
from dlnsweep.networks.test_samples import TestSamples, draw_test_samples
from dlnsweep.numerics.lanes import Layout
from dlnsweep.numerics.lazy import jax
from dlnsweep.numerics.streams import keys_of
from dlnsweep.settings.run_settings import RunSettings


class Drawn(NamedTuple):
    """What a run starts from, in float64.

    Attributes:
        weights: W_1, ..., W_L.
        data: The samples as the kernel takes them.
        test: Fresh samples, or None where no observable needs them.
        minibatches: What minibatches are drawn from, or None for full batches.
    """

    weights: tuple[Float[Array, "..."], ...]
    data: Any
    test: TestSamples | None
    minibatches: Minibatches | None


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
    takes_weights: ClassVar[bool] = True

    @classmethod
    def from_row(cls, row: RunSettings, padded_width: int) -> SampleDrawing:
        """Read a run's dotted settings."""
        return cls(
            Sections.from_row(row),
            layer_sizes(row, padded_width),
            problem_rank(row),
            bool(network_of(row).run_class(row, row)),
        )

    @property
    def lasting_key(self) -> str:
        """A text that is equal for runs which one program can train, sizes of arrays aside."""
        return f"{super().lasting_key} {self.keeps_roundings}"

    def example_arguments(self) -> dict[str, Any]:
        """Return the arguments of one run."""
        return {**self.sections.traced(), "seed": 0, "network.width": max(self.dims[1:-1] or (1,))}

    def read(self, arguments: Mapping[str, Any]) -> tuple[Sections, Shape, Any]:
        """Return the settings with their numbers, the shape of the network, and the run's keys.

        Args:
            arguments: The traced numbers by dotted key, the seed and the width.
        """
        numbers = {name: value for name, value in arguments.items() if name != GIVEN}
        seed, width = numbers.pop("seed"), numbers.pop("network.width")
        initializer = INITIALIZERS[self.sections.network.initializer]
        if not initializer.paddable and len(self.dims) > 2:
            width = self.dims[1]
        sections = self.sections.with_numbers(numbers, width)
        return sections, Shape(self.dims, width), keys_of(seed, len(self.dims) - 1)

    def samples(self, sections: Sections, key: Any) -> tuple[Reduced, TestSamples | None]:
        """Draw the reduced training samples, and test samples where they are needed."""
        drawn = PROBLEMS[sections.problem.kind].draw(sections.problem, key)
        return self.reduced(sections, key, *drawn), draw_test_samples(sections, key)

    def draw(self, sections: Sections, shape: Shape, key: Any) -> Drawn:
        """Draw a run's samples and weights."""
        signals, measurements = PROBLEMS[sections.problem.kind].draw(sections.problem, key)
        reduced = self.reduced(sections, key, signals, measurements)
        minibatches = None
        if self.sections.training.minibatch_size:
            own = key("training/minibatches")
            minibatches = minibatches_of(signals, measurements, reduced, own)
        weights = draw_weights(sections.network, shape, key)
        data = self.kept(reduced, signals, measurements)
        return Drawn(weights, data, draw_test_samples(sections, key), minibatches)

    def kept(
        self, reduced: Reduced, signals: Float[Array, "d n"], measurements: Float[Array, "m n"]
    ) -> Any:
        """Return the samples as the kernel takes them: the reduced ones."""
        del signals, measurements
        return reduced

    def kernel(self, layout: Layout) -> Kernel:
        """Return what trains a run."""
        return DenseKernel(
            self.sections.training,
            self.sections.record,
            delay=delay_for(self.dims, self.rank),
            early_exit=layout.vectorized == 1,
            keeps_roundings=self.keeps_roundings,
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
        drawn = drawn._replace(weights=arguments.get(GIVEN, drawn.weights))
        weights, data, test, minibatches = jax.tree.map(convert, drawn)
        fan_ins = tuple(shape.fan_in(i) for i in range(len(shape.dims) - 1))
        record = record_numbers(arguments)
        # Only the dense kernel of linear networks knows minibatches.
        more = {} if minibatches is None else {"minibatches": minibatches}
        return kernel.start(weights, data, fan_ins, sections.training, record, test, **more)

    def reduced(
        self,
        sections: Sections,
        key: Any,
        signals: Float[Array, "d n"],
        measurements: Float[Array, "m n"],
    ) -> Reduced:
        """Return the samples reduced to the rank of the measurements."""
        return reduced_samples(sections, key, signals, measurements, self.rank)


@dataclass(frozen=True)
class ReluDrawing(SampleDrawing):
    """The same for a network with a ReLU, whose last layer sees all samples."""

    def kept(
        self, reduced: Reduced, signals: Float[Array, "d n"], measurements: Float[Array, "m n"]
    ) -> Any:
        """Return the samples as the kernel takes them: reduced, and the signals."""
        return keep_samples(reduced, signals, measurements)

    def kernel(self, layout: Layout) -> Kernel:
        """Return what trains a run."""
        alone = layout.vectorized == 1
        return ReluKernel(self.sections.training, self.sections.record, early_exit=alone)


def reduced_samples(
    sections: Sections,
    key: Any,
    signals: Float[Array, "d n"],
    measurements: Float[Array, "m n"],
    rank: int,
) -> Reduced:
    """Return a run's samples reduced to the rank of the measurements, as its problem has it.

    Args:
        sections: The run's settings, with their numbers.
        key: The run's PRNG key for a named purpose.
        signals: X.
        measurements: Y.
        rank: The rank of Y, static.
    """
    problem = PROBLEMS[sections.problem.kind]
    return reduce_samples(
        signals,
        measurements,
        rank,
        certain=problem.has_certain_rank(sections.problem),
        clean=problem.clean(sections.problem, key) if problem.clean else None,
    )
