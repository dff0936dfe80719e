"""A sweep file as a value: `Sweep`, checked as a whole, with every mistake reported at once."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dlnsweep import sweepfile
from dlnsweep.axes import read_values
from dlnsweep.errors import SpecError
from dlnsweep.observables import OBSERVABLES
from dlnsweep.problems import PROBLEMS
from dlnsweep.sections import HYPERPARAMETERS, SECTIONS, SweepSettings
from dlnsweep.sentences import did_you_mean, sentences, show
from dlnsweep.settings import Constraint, Describe, Settings, description

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LONGEST_TEXT = 500
_MOST_COMBINATIONS = 200_000


@dataclass(frozen=True)
class Sweep:
    """All runs of one sweep file.

    Attributes:
        name: Its name, which is also the name of its results folder.
        source: The figure or claim that it reproduces.
        values: The values of each dotted setting ("network.depth"), several for an axis.
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

    @property
    def num_runs(self) -> int:
        """Number of runs: the product of the axes' lengths and the number of seeds."""
        return math.prod(self.axis_lengths) * len(self.seeds)

    @property
    def axis_lengths(self) -> tuple[int, ...]:
        return tuple(len(self.values[group[0]]) for group in self.axes)

    @property
    def problem_kind(self) -> str:
        return self.values["problem.kind"][0]

    @property
    def observables(self) -> tuple[str, ...]:
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
        path = Path(path)
        document = sweepfile.apply_overrides(sweepfile.read(path), overrides)
        return cls.from_dict(document, where=str(path))

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], where: str = "sweep") -> Sweep:
        """Check a sweep given as nested dictionaries, with the same keys as a file.

        Raises:
            SpecError: With all mistakes at once; `where` stands before each.
        """
        reader = _Reader(document)
        sweep = reader.read()
        if reader.problems or sweep is None:
            raise SpecError(*(f"{where}: {problem}" for problem in reader.problems))
        return sweep


class _Reader:
    """One reading of a document; collects the mistakes."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.problems: list[str] = []
        self.values: dict[str, tuple[Any, ...]] = {}
        self.varying: list[str] = []
        self.given: set[str] = set()

    def read(self) -> Sweep | None:
        document = self.document
        known = ["name", "source", "problem", *SECTIONS, "figure"]
        for key in document:
            if key not in known:
                self.problems.append(f"{key} is not a section or key{did_you_mean(key, known)}")
        name = self._text("name", required=True)
        if name is not None and not _NAME.fullmatch(name):
            self.problems.append(
                f"name is {show(name)}; it must be letters, digits, '.', '_' and '-', "
                "100 at most, and begin with a letter or digit (it names the results folder)."
            )
        source = self._text("source", required=False) or ""
        classes = self._classes()
        for section, settings in classes.items():
            self._section(section, settings)
        if self.problems:
            # Conditions on several settings make sense only where each alone is right.
            self._check_names(strict=False)
            self._read_figures(strict=False)
            return None
        options = SweepSettings(
            **{k: self.values[f"sweep.{k}"][0] for k in SweepSettings.model_fields}
        )
        axes = self._axes(options)
        seeds = self._seeds(options)
        if self.problems or axes is None:
            return None
        self._check_names(strict=True)
        figures = self._read_figures(strict=True)
        count = math.prod(len(self.values[g[0]]) for g in axes) * len(seeds)
        if count > options.max_runs:
            self.problems.append(
                f"the sweep has {count} runs; at most {options.max_runs} are allowed; give fewer "
                "values, or raise sweep.max_runs."
            )
            return None
        self._check_hyperparameters()
        self._check_constraints(classes, axes)
        if self.problems:
            return None
        outside = {"sweep.seeds", "sweep.zip", "sweep.max_runs"}
        values = {k: v for k, v in self.values.items() if k not in outside}
        assert name is not None
        return Sweep(name, source, values, axes, seeds, options, figures)

    def _text(self, key: str, *, required: bool) -> str | None:
        value = self.document.get(key)
        if value is None:
            if required:
                self.problems.append(f"{key} is missing; it has no default.")
            return None
        if not isinstance(value, str) or not value.isprintable() or len(value) > _LONGEST_TEXT:
            self.problems.append(
                f"{key} is {show(value)}; it must be a line of at most {_LONGEST_TEXT} characters."
            )
            return None
        return value

    def _classes(self) -> dict[str, type[Settings]]:
        classes: dict[str, type[Settings]] = {}
        problem = self.document.get("problem")
        kind = problem.get("kind") if isinstance(problem, dict) else None
        if problem is None:
            self.problems.append("[problem] is missing; it must name a kind, such as 'subspace'.")
        elif not isinstance(problem, dict):
            self.problems.append(f"problem is {show(problem)}; it must be a table.")
        elif kind is None:
            self.problems.append(
                f"problem.kind is missing; known are {', '.join(map(repr, PROBLEMS))}."
            )
        elif not isinstance(kind, str) or kind not in PROBLEMS:
            hint = did_you_mean(str(kind), PROBLEMS)
            self.problems.append(f"problem.kind is {show(kind)}, which is not known{hint}")
        else:
            classes["problem"] = PROBLEMS[kind].settings
        return classes | SECTIONS

    def _section(self, section: str, settings: type[Settings]) -> None:
        raw = self.document.get(section, {})
        if not isinstance(raw, dict):
            self.problems.append(f"{section} is {show(raw)}; it must be a table, [{section}].")
            return
        for key in raw:
            if key not in settings.model_fields:
                hint = did_you_mean(key, settings.model_fields)
                self.problems.append(f"{section}.{key} is not a key of [{section}]{hint}")
        for key, field in settings.model_fields.items():
            dotted = f"{section}.{key}"
            if key not in raw:
                if field.is_required():
                    info = description(settings, key)
                    what = f" ({info.text})" if info else ""
                    self.problems.append(f"{dotted} is missing; it has no default{what}.")
                else:
                    self.values[dotted] = (field.get_default(call_default_factory=True),)
                continue
            values, several, problems = read_values(settings, key, raw[key], dotted)
            self.problems += problems
            self.values[dotted] = values
            self.given.add(dotted)
            if several and len(values) > 1:
                self.varying.append(dotted)
        # Axes nest in the file's order, which `raw` has kept.
        order = {f"{section}.{key}": i for i, key in enumerate(raw)}
        mine = [v for v in self.varying if v in order]
        rest = [v for v in self.varying if v not in order]
        self.varying = rest + sorted(mine, key=lambda v: order[v])

    def _seeds(self, options: SweepSettings) -> tuple[int, ...] | range:
        if isinstance(options.seeds, int):
            return range(options.seeds)
        if not options.seeds:
            self.problems.append("sweep.seeds is an empty list; give at least one seed.")
        if len(set(options.seeds)) != len(options.seeds):
            self.problems.append("sweep.seeds names a seed twice; give each seed once.")
        return tuple(options.seeds)

    def _axes(self, options: SweepSettings) -> tuple[tuple[str, ...], ...] | None:
        before = len(self.problems)
        group_of: dict[str, tuple[str, ...]] = {}
        for i, group in enumerate(options.zip):
            place = f"sweep.zip[{i}]"
            if len(group) < 2:
                self.problems.append(f"{place} names {len(group)} keys; it must name two or more.")
            for key in group:
                if key not in self.values:
                    hint = did_you_mean(key, self.values)
                    self.problems.append(f"{place} names '{key}', which is not a setting{hint}")
                elif key not in self.varying:
                    self.problems.append(f"{place} names '{key}', which has one value only.")
                elif key in group_of:
                    self.problems.append(f"{place} names '{key}', which is zipped already.")
                group_of[key] = tuple(group)
            lengths = {key: len(self.values[key]) for key in group if key in self.values}
            if len(set(lengths.values())) > 1:
                listed = ", ".join(f"{key} has {count}" for key, count in lengths.items())
                self.problems.append(f"{place} zips axes of unequal lengths: {listed} values.")
        if len(self.problems) > before:
            return None
        axes: list[tuple[str, ...]] = []
        for key in self.varying:
            group = group_of.get(key, (key,))
            if group not in axes:
                axes.append(group)
        return tuple(axes)

    def _check_names(self, *, strict: bool) -> None:
        """Check the observables, and what refers to them."""
        recorded = self.values.get("record.observables", ((),))
        names = recorded[0] if recorded and recorded[0] else []
        if strict and not names:
            self.problems.append("record.observables is empty; name at least one observable.")
        for i, name in enumerate(names):
            if name not in OBSERVABLES:
                hint = did_you_mean(name, OBSERVABLES)
                self.problems.append(
                    f"record.observables[{i}] is {show(name)}, which is not known{hint}"
                )
        if len(set(names)) != len(names):
            self.problems.append("record.observables names an observable twice.")
        if not strict:
            return
        condition = self.values["training.stop_when"][0]
        if condition is not None:
            scalars = [n for n in names if n in OBSERVABLES and OBSERVABLES[n].size is None]
            if condition.observable not in scalars:
                self.problems.append(
                    f"training.stop_when.observable is {show(condition.observable)}; it must be a "
                    f"recorded scalar observable: {', '.join(scalars) or 'none is recorded'}."
                )
        spacing, steps = self.values["record.spacing"][0], self.values["record.steps"][0]
        if spacing == "explicit" and not steps:
            self.problems.append('record.steps is empty; spacing = "explicit" needs it.')
        if spacing != "explicit" and steps:
            self.problems.append(
                f'record.steps is given, which needs record.spacing = "explicit"; it is '
                f"{show(spacing)}."
            )
        if "noisy_test_error" in names and 0.0 in self.values["record.test_noise"]:
            self.problems.append(
                "record.test_noise is 0; noisy_test_error needs it to be positive."
            )

    def _check_hyperparameters(self) -> None:
        used = set(self.values["training.optimizer"])
        for key, optimizers in HYPERPARAMETERS.items():
            if f"training.{key}" in self.given and not used.intersection(optimizers):
                self.problems.append(
                    f"training.{key} is given, but {', '.join(sorted(used))} does not use it; "
                    f"it belongs to {', '.join(optimizers)}."
                )

    def _check_constraints(
        self, classes: Mapping[str, type[Settings]], axes: Sequence[tuple[str, ...]]
    ) -> None:
        constraints = [c for settings in classes.values() for c in settings.constraints]
        for constraint in (*constraints, *_CROSS_CONSTRAINTS):
            if all(key in self.values for key in constraint.keys):
                self._check_constraint(constraint, axes)

    def _check_constraint(
        self, constraint: Constraint, axes: Sequence[tuple[str, ...]]
    ) -> None:
        involved = [group for group in axes if set(group) & set(constraint.keys)]
        places = {key: 0 for key in constraint.keys}
        choices = [range(len(self.values[group[0]])) for group in involved]
        for combination in itertools.islice(itertools.product(*choices), _MOST_COMBINATIONS):
            for group, index in zip(involved, combination, strict=True):
                places.update({key: index for key in group if key in places})
            found = [self.values[key][places[key]] for key in constraint.keys]
            if not constraint.holds(*found):
                self.problems.append(constraint.sentence.format(*(show(v) for v in found)))
                return

    def _read_figures(self, *, strict: bool) -> tuple[Any, ...]:
        raw = self.document.get("figure")
        if raw is None:
            return ()
        from dlnsweep.figures.check import check
        from dlnsweep.figures.settings import FIGURES

        tables = raw if isinstance(raw, list) else [raw]
        figures: list[Any] = []
        for i, table in enumerate(tables):
            place = f"figure[{i}]" if isinstance(raw, list) else "figure"
            kind = table.get("kind") if isinstance(table, dict) else None
            if not isinstance(kind, str) or kind not in FIGURES:
                self.problems.append(
                    f"{place}.kind is {show(kind)}; it must be one of {', '.join(FIGURES)}."
                )
                continue
            try:
                figure = FIGURES[kind].model_validate(table)
            except ValidationError as error:
                self.problems += sentences(error, place, FIGURES[kind])
                continue
            figures.append(figure)
            if strict:
                names = [n for n in self.values["record.observables"][0] if n in OBSERVABLES]
                vectors = [n for n in names if OBSERVABLES[n].size is not None]
                settings = [*self.values, "seed"]
                varying = [*self.varying, "seed"]
                self.problems += check(figure, names, settings, vectors, varying, place)
        return tuple(figures)


_CROSS_CONSTRAINTS = (
    Constraint(
        (
            "network.initializer",
            "network.width",
            "network.depth",
            "problem.signal_dim",
            "problem.measurement_dim",
        ),
        lambda init, width, depth, d, m: init != "balanced" or depth == 1 or width >= min(d, m),
        "network.initializer is {0} and network.width is {1}; balanced weights need a width of at "
        "least min(signal_dim, measurement_dim) of {3} and {4}.",
    ),
)


def setting_classes() -> dict[str, list[type[Settings]]]:
    """Return the settings classes of each section, the problems of every kind included."""
    classes: dict[str, list[type[Settings]]] = {
        "problem": [problem.settings for problem in PROBLEMS.values()]
    }
    return classes | {section: [settings] for section, settings in SECTIONS.items()}


def describe_setting(dotted: str) -> Describe | None:
    """Return what a dotted setting is, or None if no section knows it."""
    section, _, key = dotted.partition(".")
    for settings in setting_classes().get(section, ()):
        if key in settings.model_fields:
            return description(settings, key)
    return None


def known_settings() -> Iterable[str]:
    """Return every dotted setting of every section and kind."""
    for section, classes in setting_classes().items():
        for settings in classes:
            yield from (f"{section}.{key}" for key in settings.model_fields)
