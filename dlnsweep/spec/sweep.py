"""A sweep file as a value: `Sweep`, checked as a whole, with every mistake reported at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dlnsweep.contracts.keys import sweep_classes
from dlnsweep.errors import SpecError
from dlnsweep.machine.paths import user_path
from dlnsweep.settings.base import Settings
from dlnsweep.settings.sections import SweepSettings
from dlnsweep.settings.sentences import (
    bounded,
    printable,
    show,
)
from dlnsweep.spec import file as sweepfile
from dlnsweep.spec.documents import plain
from dlnsweep.spec.reader import Reader
from dlnsweep.spec.repeats import num_combinations
from dlnsweep.theory import prescription


@dataclass(frozen=True)
class Sweep:
    """All runs of one sweep file.

    Attributes:
        name: Its name, which is also the name of its results folder.
        source: The figure or claim that it reproduces.
        values: The values of each dotted setting ("network.depth"), several for an axis; without
            those that a prescription sets, which the plan finds.
        axes: The settings that vary, in the file's order; those in one tuple move together.
        seeds: The seeds, crossed with all axes.
        options: The settings of [sweep].
        figures: The figures that the file asks for.
    """

    name: str
    source: str
    values: Mapping[str, tuple[Any, ...]]
    axes: tuple[tuple[str, ...], ...]
    seeds: tuple[int, ...] | range
    options: SweepSettings
    figures: tuple[Any, ...]

    @cached_property
    def num_runs(self) -> int:
        """Number of runs; combinations that differ only in what they do not use are one."""
        return num_combinations(self.classes, self.values, self.axes) * len(self.seeds)

    @property
    def axis_lengths(self) -> tuple[int, ...]:
        """Number of values of each axis."""
        return tuple(len(self.values[group[0]]) for group in self.axes)

    @property
    def figure_notes(self) -> list[str]:
        """What to know of the figures, which can be drawn: settings that they do not show."""
        from dlnsweep.spec.figures.chosen import notes

        values = {**self.values, "seed": self.seeds}
        prescribed = self.values.get(prescription.HOW[0], ("none",))[0] != "none"
        several = len(self.figures) > 1
        return [
            printable(sentence)
            for index, figure in enumerate(self.figures)
            for sentence in notes(
                figure, values, self.axes, prescribed, f"figure[{index}]" if several else "figure"
            )
        ]

    @property
    def problem_kind(self) -> str:
        """The kind of problem, the same for all runs."""
        return self.values["problem.kind"][0]

    @property
    def classes(self) -> dict[str, type[Settings]]:
        """The settings class of each section."""
        return sweep_classes(self.problem_kind, self.values["network.kind"][0])

    @property
    def observables(self) -> tuple[str, ...]:
        """What is recorded, the same for all runs."""
        return tuple(self.values["record.observables"][0])

    @classmethod
    def from_file(cls, path: str | Path, overrides: Sequence[str] = ()) -> Sweep:
        """Read and check a sweep file.

        Args:
            path: The TOML file.
            overrides: "KEY=VALUE" strings, as for `--set`.

        Raises:
            SpecError: With all mistakes at once.
        """
        path = user_path(path, "the sweep file")
        document = sweepfile.apply_overrides(sweepfile.read(path), overrides)
        return cls.from_dict(document, where=str(path))

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], where: str = "sweep") -> Sweep:
        """Check a sweep given as nested dictionaries, with the same keys as a file.

        Tuples, ranges and NumPy's arrays are lists, and whole numbers may be floats.

        Raises:
            SpecError: With all mistakes at once; `where` stands before each.
        """
        name = printable(where)
        if not isinstance(document, Mapping):
            raise SpecError(
                f"{name}: {show(document)} is no sweep; give a dictionary with the keys of a file."
            )
        try:
            reader = Reader(plain(document))
            read = reader.read()
        except SpecError as error:
            raise SpecError(*(f"{name}: {problem}" for problem in error.problems)) from None
        if read is None:
            raise SpecError(*(f"{name}: {problem}" for problem in bounded(reader.problems)))
        return cls(**read)
