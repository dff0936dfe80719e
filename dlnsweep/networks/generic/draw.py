"""What one run of a network in pure functions draws: its samples and its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

from dlnsweep.contracts.descent import Carry, Inputs
from dlnsweep.contracts.drawing import GIVEN, Drawing, Sections, record_numbers
from dlnsweep.contracts.network import Network, network_of
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.networks.generic.descent import GenericKernel
from dlnsweep.networks.generic.state import Samples
from dlnsweep.networks.generic.steps import PURPOSES, is_one_pass, takes_keys
from dlnsweep.networks.test_samples import draw_test_samples
from dlnsweep.numerics.lanes import Layout
from dlnsweep.numerics.lazy import jax, jnp
from dlnsweep.numerics.streams import keys_of
from dlnsweep.settings.base import with_numbers
from dlnsweep.settings.run_settings import RunSettings

# Purposes "weights/1" to this one are compiled faster; any other name is as good.
_LAYERS = 4


class Drawn(NamedTuple):
    """What a run starts from, in float64.

    Attributes:
        sections: Its settings with their numbers.
        samples: What it learns from.
        params: Its parameters.
        test: Fresh samples, or None where no observable needs them.
        aside: What else observables of its kind need.
    """

    sections: Sections
    samples: Samples
    params: Any
    test: Any
    aside: Any = None


def fresh(settings: Any, stream: Any, key: Any, count: int) -> tuple[Any, Any]:
    """Return fresh targets and inputs, float64.

    Args:
        settings: The settings of [problem]; only their static fields are read.
        stream: What `GenericDrawing.stream` returned.
        key: The PRNG key for a named purpose, as a function.
        count: How many.
    """
    common, numbers = stream
    drawn_by = PROBLEMS[settings.kind].stream
    assert drawn_by is not None
    return drawn_by.draw(with_numbers(settings, numbers), common, key, count)


@dataclass(frozen=True)
class GenericDrawing(Drawing):
    """How the runs of a batch draw samples and parameters.

    Attributes:
        network: The network.
        width: The width of its arrays, if it has one.
    """

    network: Network
    width: int
    way: ClassVar[str] = "generic"
    takes_weights: ClassVar[bool] = True
    fills_vectors: ClassVar[bool] = True
    trained_by: ClassVar[type[GenericKernel]] = GenericKernel
    # Whether the network is one that [network] names, and not made from settings.
    is_named: ClassVar[bool] = True

    @classmethod
    def from_row(cls, row: RunSettings, padded_width: int) -> GenericDrawing:
        """Read a run's dotted settings."""
        kind: Any = network_of(row)
        return cls(Sections.from_row(row), kind.network, padded_width)

    @property
    def key(self) -> str:
        """A text that is equal for runs which one program can train, sizes of arrays aside."""
        # In one process a name can stand for one network after another.
        return f"{self.lasting_key} {id(self.network)}" if self.is_named else self.lasting_key

    def example_arguments(self) -> dict[str, Any]:
        """Return the arguments of one run: its traced numbers and its seed."""
        return {**self.sections.traced(), "seed": 0}

    def layout(self, platform: str, run_bytes: int, lanes: int) -> Layout:
        """Choose how the lanes of a call are executed, by what a run holds as JAX finds it."""
        del run_bytes
        return super().layout(platform, self.run_bytes(), lanes)

    def kernel(self, layout: Layout) -> GenericKernel:
        """Return what trains a run."""
        return self.trained_by(
            self.sections.training,
            self.sections.record,
            early_exit=layout.vectorized == 1,
            network=self.trained_network,
            settings=self.sections.network,
            fresh=partial(fresh, self.sections.problem) if self._one_pass else None,
            **self.kernel_fields(),
        )

    @property
    def trained_network(self) -> Network:
        """The network whose parameters are trained."""
        return self.network

    def kernel_fields(self) -> dict[str, Any]:
        """Return what else the kernel of a kind of network is made with."""
        return {}

    def key_of(self, arguments: Mapping[str, Any]) -> Any:
        """Return a run's PRNG key for a named purpose, as a function."""
        return keys_of(jnp.asarray(arguments["seed"]), _LAYERS)

    def traced_network(
        self, arguments: Mapping[str, Any], convert: Callable[[Any], Any]
    ) -> dict[str, Any]:
        """Return the traced numbers of [network], by name, in the precision of training."""
        return {
            name.partition(".")[2]: convert(jnp.asarray(value, jnp.float64))
            for name, value in arguments.items()
            if name.startswith("network.")
        }

    @property
    def output_shape(self) -> tuple[int, ...] | None:
        """The shape that outputs must have; None where that of the targets and the loss say it."""
        return None

    def params(self, settings: Any, samples: Samples, key: Any) -> Any:
        """Draw the parameters."""
        return self.initial(settings, samples, key)

    def initial(self, settings: Any, data: Any, key: Any) -> Any:
        """Return what `init` makes of some data: its numbers and NumPy's arrays as JAX's."""
        return jax.tree.map(jnp.asarray, self.network.init(settings, data, key))

    def draw(self, arguments: Mapping[str, Any]) -> Drawn:
        """Draw a run, float64."""
        numbers = {name: value for name, value in arguments.items() if name != "seed"}
        key = self.key_of(arguments)
        sections = self.sections.with_numbers(numbers, self.width)
        samples, aside = self.examples(sections, key)
        params = arguments.get(GIVEN)
        if params is None:
            params = self.params(sections.network, samples, key)
        return Drawn(sections, samples, params, draw_test_samples(sections, key), aside)

    def examples(self, sections: Sections, key: Any) -> tuple[Samples, Any]:
        """Draw what a run learns from, and what else observables of its kind need."""
        signals, measurements = PROBLEMS[sections.problem.kind].draw(sections.problem, key)
        return Samples(measurements, signals), None

    def start(
        self,
        kernel: Any,
        arguments: Mapping[str, Any],
        convert: Callable[[Any], Any],
        shared: Any = None,
    ) -> tuple[Inputs, Carry]:
        """Draw a run; return its inputs and its state at step 0."""
        del shared
        sections, *drawn = self.draw(arguments)
        samples, params, test, aside = jax.tree.map(convert, drawn)
        network = self.traced_network(arguments, convert)
        record = record_numbers(arguments)
        keys = None
        if takes_keys(self.sections.training):
            key = self.key_of(arguments)
            keys = {purpose: key(purpose) for purpose in PURPOSES}
        stream = None
        if self._one_pass:
            stream = self.stream(sections, arguments)
        return kernel.start(
            params, samples, network, sections.training, record, test, keys, aside, stream
        )

    @property
    def _one_pass(self) -> bool:
        return is_one_pass(self.sections.training)

    def stream(self, sections: Sections, arguments: Mapping[str, Any]) -> Any:
        """Return what fresh samples are drawn from: what they share, and [problem]'s numbers."""
        stream = PROBLEMS[sections.problem.kind].stream
        assert stream is not None
        numbers = {
            name.partition(".")[2]: jnp.asarray(value, jnp.float64)
            for name, value in arguments.items()
            if name.startswith("problem.")
        }
        return stream.common(sections.problem, self.key_of(arguments)), numbers

    def run_bytes(self) -> int:
        """Return about how many bytes a step of a run works on: parameters, outputs, samples."""
        arguments = {k: jnp.asarray(v) for k, v in self.example_arguments().items()}

        def made(arguments: Mapping[str, Any]) -> Any:
            drawn = self.draw(arguments)
            outputs = self.trained_network.predict(
                drawn.params, drawn.samples.inputs, drawn.sections.network
            )
            return drawn.params, drawn.samples, outputs

        leaves = jax.tree.leaves(jax.eval_shape(made, arguments))
        return sum(8 * math.prod(leaf.shape) for leaf in leaves)
