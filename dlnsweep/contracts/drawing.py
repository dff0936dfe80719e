"""What one run draws: its settings as a program sees them, its data and its initial weights.

`Drawing` is what every kind of network gives a program.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from dlnsweep.contracts.descent import Carry, Inputs, Kernel
from dlnsweep.contracts.network import network_of
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.numerics.lanes import Layout, choose_layout
from dlnsweep.settings.base import static_text, traced_numbers, with_numbers
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.settings.sections import RecordSettings
from dlnsweep.settings.switches import switched_on
from dlnsweep.settings.training import TrainingSettings

# Among the arguments of a run: its initial weights, float64, in a tree like that of
# `Kernel.weights`, where they are given and not drawn.
GIVEN = "initial_weights"


@dataclass(frozen=True)
class Sections:
    """The settings of one run, section by section; traced fields may hold tracers."""

    problem: Any
    network: Any
    training: TrainingSettings
    record: RecordSettings

    @classmethod
    def from_row(cls, row: RunSettings) -> Sections:
        """Read a run's dotted settings.

        Raises:
            StoreError: If they are none that a sweep can have.
        """
        return cls(
            row.section("problem", PROBLEMS[row["problem.kind"]].settings),
            row.section("network", network_of(row).settings),
            row.section("training", TrainingSettings),
            row.section("record", RecordSettings),
        )

    def traced(self) -> dict[str, Any]:
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
                *switched_on(self.training),
                static_text(self.record),
            )
        )

    def with_numbers(self, numbers: Mapping[str, Any], width: Any) -> Sections:
        """Return the same settings with tracers in the places of the traced numbers."""

        def fill(name: str, **more: Any) -> Any:
            mine = {k.partition(".")[2]: v for k, v in numbers.items() if k.startswith(f"{name}.")}
            return with_numbers(getattr(self, name), mine | more)

        sized = {"width": width} if "width" in type(self.network).model_fields else {}
        return Sections(fill("problem"), fill("network", **sized), fill("training"), fill("record"))


@dataclass(frozen=True)
class Drawing:
    """How the runs of a batch draw and start, with arrays of one size.

    Attributes:
        sections: The settings of one of the runs.
        one_seed: Whether the runs of a call must have one seed, for they share what it draws.
    """

    sections: Sections
    one_seed: bool = field(default=False, kw_only=True)
    # The name of the way of descent, as outcomes have it.
    way: ClassVar[str] = "dense"
    # Whether `start` takes initial weights that are given, among its arguments under GIVEN.
    takes_weights: ClassVar[bool] = False
    # Whether a CPU is to work on vectors as long as it has; see `with_whole_vectors`.
    fills_vectors: ClassVar[bool] = False

    @classmethod
    def from_row(cls, row: RunSettings, padded_width: int) -> Drawing:
        """Read a run's dotted settings."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """A text that is equal for runs which one program can train, sizes of arrays aside."""
        return self.lasting_key

    @property
    def lasting_key(self) -> str:
        """The same, equal in all processes where names of kinds stand for what we ship."""
        return self.sections.static_key()

    def layout(self, platform: str, run_bytes: int, lanes: int) -> Layout:
        """Choose how the lanes of a call are executed; see `choose_layout`."""
        return choose_layout(platform, run_bytes, lanes)

    def example_arguments(self) -> dict[str, Any]:
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


def drawing_of(row: RunSettings, padded_width: int) -> Drawing:
    """Return how the runs of a batch draw, as their kind of network says."""
    return drawing_named(network_of(row).drawing_for(row)).from_row(row, padded_width)


def drawing_named(drawing: str) -> type[Drawing]:
    """Return the class that a kind of network names as "module:class"."""
    module, _, name = drawing.partition(":")
    return getattr(importlib.import_module(module), name)


def record_numbers(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the traced numbers of [record], by name."""
    return {k.partition(".")[2]: v for k, v in arguments.items() if k.startswith("record.")}
