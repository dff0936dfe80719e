"""A sweep file as a value: `Sweep`, checked as a whole, with every mistake reported at once."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dlnsweep.contracts.keys import sweep_classes
from dlnsweep.errors import SpecError
from dlnsweep.machine.paths import user_path
from dlnsweep.settings.base import Settings
from dlnsweep.settings.html_card import html_card
from dlnsweep.settings.refine import Refine
from dlnsweep.settings.sections import SweepSettings
from dlnsweep.settings.sentences import (
    bounded,
    printable,
    shorten,
    show,
)
from dlnsweep.settings.until import Until
from dlnsweep.spec import file as sweepfile
from dlnsweep.spec.derived import shown_values
from dlnsweep.spec.documents import plain
from dlnsweep.spec.reader import Reader
from dlnsweep.spec.refine import most_values
from dlnsweep.spec.repeats import num_combinations
from dlnsweep.spec.samples import Sample
from dlnsweep.spec.space import Derived
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
        derived: Those that formulas set, and how their values are spread over the axes.
        samples: How those are distributed that are sampled; they are one axis.
        blocks: Those that blocks name; they are one axis.
        seeds: The seeds, crossed with all axes.
        seed_counts: With how many of the first seeds each combination of the axes is crossed, the
            last axis fastest; empty for all.
        options: The settings of [sweep].
        figures: The figures that the file asks for.
        document: The file as it was read.
    """

    name: str
    source: str
    values: Mapping[str, tuple[Any, ...]]
    axes: tuple[tuple[str, ...], ...]
    derived: Mapping[str, Derived]
    samples: Mapping[str, Sample]
    blocks: tuple[str, ...]
    seeds: tuple[int, ...] | range
    options: SweepSettings
    figures: tuple[Any, ...]
    seed_counts: tuple[int, ...] = ()
    document: Mapping[str, Any] = field(repr=False, compare=False, default_factory=dict)

    def _repr_html_(self) -> str:
        rows = [("runs", f"{self.num_runs:,}"), ("crossed", self.crossed)]
        rows += [("computed", line) for line in self.computed]
        rows += [("records", ", ".join(self.observables))]
        return html_card(self.name, self.source, rows)

    @cached_property
    def num_runs(self) -> int:
        """Number of runs; combinations that differ only in what they do not use are one."""
        if self.seed_counts:
            return sum(self.seed_counts)
        return num_combinations(self.classes, self.values, self.axes) * len(self.seeds)

    @property
    def axis_lengths(self) -> tuple[int, ...]:
        """Number of values of each axis."""
        return tuple(len(self.values[group[0]]) for group in self.axes)

    @property
    def crossed(self) -> str:
        """What is crossed with what, as a line of text."""
        texts = []
        for axis, length in zip(self.axes, self.axis_lengths, strict=True):
            if {*axis} & {*self.samples}:
                texts.append(f"samples of {', '.join(axis)} ({length})")
            elif {*axis} & {*self.blocks}:
                texts.append(f"blocks of {', '.join(axis)} ({length})")
            else:
                texts.append(f"{' with '.join(axis)} ({length})")
        return " x ".join([*texts, f"seed ({len(self.seeds)})"])

    @property
    def computed(self) -> list[str]:
        """Each formula and each sampled setting with the values that it has, as lines of text."""
        own = self.options
        samples = [
            f"{key}: {own.samples} samples, {sample.text} ({own.sampler}, seed {own.sample_seed}): "
            f"{shown_values(self.values[key])}"
            for key, sample in self.samples.items()
        ]
        refine = own.refine
        if refine is not None:
            samples.append(self._told_refine(refine))
        if own.until is not None:
            samples.append(self._told_until(own.until))
        if any(self.values.get("training.stop_when", ())):
            samples.append("training.stop_when may end runs early: what is told is the most")
        return samples + [
            f"{key} = {printable(own.text)}: {shown_values(self.values[key])}"
            for key, own in self.derived.items()
            if own.text
        ]

    def _told_refine(self, refine: Refine) -> str:
        told = (
            f"{refine.between} is refined: up to {refine.max_rounds} rounds of {refine.points} "
            f"values a boundary, to {100 * refine.tolerance:g} %"
        )
        values = self.values[refine.between]
        if refine.between in self.blocks:
            # Each block has values of its own, and as many rounds.
            return told
        combinations = self.num_runs // (len(self.seeds) * len({*values}))
        more = most_values(values, refine) * combinations * len(self.seeds)
        runs = min(self.num_runs + more, self.options.max_runs)
        steps = max(self.values["training.num_steps"])
        return (
            f"{told}; with one in each combination at most {runs} runs, "
            f"{shorten(runs * steps)} run-steps"
        )

    def _told_until(self, until: Until) -> str:
        combinations = self.num_runs // len(self.seeds)
        runs = combinations * until.most_seeds
        steps = max(self.values["training.num_steps"])
        return (
            f"seeds are added to {len(self.seeds)}, by a factor of {until.growth:g} a round, up to "
            f"{until.most_seeds}, until {until.sentence}: at most {runs} runs, "
            f"{shorten(runs * steps)} run-steps"
        )

    @property
    def figure_notes(self) -> list[str]:
        """What to know of the figures, which can be drawn: settings that they do not show."""
        from dlnsweep.spec.figures.chosen import notes

        values = {key: tuple(dict.fromkeys(self.values[key])) for key in self.blocks}
        values = {**self.values, **values, "seed": self.seeds}
        # Blocks say which combinations there are, not that one of their settings tells the others.
        axes = [
            [(key,) for key in axis] if {*axis} <= {*self.blocks} else [axis] for axis in self.axes
        ]
        axes = tuple(itertools.chain.from_iterable(axes))
        told = {
            key: [each for axis in self.axes if axis[0] in own.axes for each in axis]
            for key, own in self.derived.items()
            if len(self.values[key]) == len(own.places)
        }
        prescribed = self.values.get(prescription.HOW[0], ("none",))[0] != "none"
        several = len(self.figures) > 1
        return [
            printable(sentence)
            for index, figure in enumerate(self.figures)
            for sentence in notes(
                figure, values, axes, prescribed, f"figure[{index}]" if several else "figure", told
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
