"""What a kind of figure is, and the table of all of them. No matplotlib, pandas or NumPy."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from dlnsweep.contracts.registry import Registry
from dlnsweep.errors import SpecError
from dlnsweep.settings.figure_look import Figure
from dlnsweep.settings.sentences import show

# What stands on the horizontal axis; of "cells" there are settings on both.
Axis = Literal["", "step", "noise", "setting", "observable", "cells"]
# What an observable must have at a step, or in the end, so that a kind can draw it.
Entries = Literal["number", "vector", "noise levels"]


@dataclass(frozen=True)
class FigureKind:
    """A kind of figure: its keys, what they ask of a sweep, and what draws it.

    This class is of a kind whose keys only its drawing understands: `register_figure` makes it of
    what a stranger gives. A kind whose keys are to be held against a sweep before anything runs is
    of a class of its own, which says `described = True` and what else is not as here.

    Attributes:
        settings: Its keys; the default of the field `kind` is its name.
        draw: What draws it, or where that stands, as "module:function", which is imported when a
            figure is drawn. It takes `Results` and the settings, and returns a matplotlib figure.
    """

    settings: type[Figure]
    draw: Callable[..., Any] | str

    # Whether its keys are checked here; else only its drawing knows most of them.
    described: ClassVar[bool] = False
    # Whether it can be of one sweep only.
    of_one_sweep: ClassVar[bool] = True
    # Whether curves of formulas, and others, can be laid over it.
    takes_overlays: ClassVar[bool] = False
    # The key of the observables that it draws: several with a vertical axis each, or one.
    several_in: ClassVar[str] = ""
    one_in: ClassVar[str] = ""
    entries: ClassVar[Entries] = "number"
    # The keys of its axes that name a setting in every figure of the kind.
    setting_keys: ClassVar[tuple[str, ...]] = ()
    # What runs that differ in a setting which it does not show are mixed in; nothing if empty.
    mixes: ClassVar[str] = ""
    # Whether the setting of its horizontal axis must be of numbers.
    of_numbers: ClassVar[bool] = False
    # Whether it has the intervals that [sweep.until] asks for.
    has_intervals: ClassVar[bool] = False
    # Whether it shows the boundary that [sweep.refine] finds.
    shows_boundary: ClassVar[bool] = False
    # Whether the runs behind a median can be drawn beside it by themselves.
    shows_single_runs: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Its name, as [figure] has it under kind.

        Raises:
            ValueError: If it has none.
        """
        field = self.settings.model_fields.get("kind")
        if field is None or not isinstance(field.default, str):
            raise ValueError(f"{self.settings.__name__} has no field kind with its name as default")
        return field.default

    def drawing(self) -> Callable[..., Any]:
        """Return what draws it."""
        if not isinstance(self.draw, str):
            return self.draw
        module, _, name = self.draw.partition(":")
        return getattr(importlib.import_module(module), name)

    def has(self, key: str) -> bool:
        """Return whether its figures have a key."""
        return key in self.settings.model_fields

    def axis(self, figure: Any) -> Axis:
        """Return what stands on the horizontal axis of one of its figures."""
        del figure
        return ""

    def axes(self, figure: Any) -> tuple[str, ...]:
        """Return the keys of a figure's axes that name a setting."""
        del figure
        return self.setting_keys

    def drawn(self, figure: Any) -> tuple[str, ...]:
        """Return the observables of a figure that have a vertical axis each."""
        found = getattr(figure, self.several_in or self.one_in or "y", ())
        if isinstance(found, str):
            return (found,)
        # What y is in a kind that is not described, only its drawing knows.
        names = isinstance(found, list | tuple) and all(isinstance(each, str) for each in found)
        return tuple(found) if names else ()

    def observables(self, figure: Any) -> Iterator[tuple[str, str]]:
        """Yield the observables that a figure reads, each after the key that names it."""
        key = self.several_in or self.one_in
        found = getattr(figure, key) if key else ()
        if isinstance(found, str):
            yield key, found
        else:
            yield from ((f"{key}[{index}]", name) for index, name in enumerate(found))

    def contradictions(self, figure: Any) -> Iterator[str]:
        """Yield what two keys of a figure say against each other, as sentences."""
        del figure
        yield from ()

    def wrong_values(self, figure: Any, values: Mapping[str, Sequence[Any]]) -> Iterator[str]:
        """Yield what cannot be drawn of the values that settings have, as sentences.

        Args:
            figure: The figure's settings.
            values: The values of the settings in the runs that it draws, as far as they are known;
                "sweep.refine" and "sweep.until" are among them, and are missing in a folder.
        """
        del figure, values
        yield from ()


# By name.
FIGURES: Registry[str, FigureKind] = Registry()


def register(kind: FigureKind) -> FigureKind:
    """Make a kind of figure known.

    Raises:
        ValueError: If its name is taken, or it has none.
    """
    if kind.name in FIGURES:
        raise ValueError(f"a figure of kind {kind.name!r} is registered already")
    FIGURES[kind.name] = kind
    return kind


def register_figure(
    settings: type[Figure], draw: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], Any]:
    """Make a kind of figure known.

    Args:
        settings: Its keys; the default of its field `kind` is its name.
        draw: Takes `Results` and the settings; returns a matplotlib figure.

    Raises:
        ValueError: If the kind is taken, or has no name.
    """
    if not (isinstance(settings, type) and issubclass(settings, Figure)):
        raise ValueError(
            f"register_figure was given {show(settings)} for its settings; they are a subclass of "
            "dlnsweep.figures.settings.Figure"
        )
    register(FigureKind(settings, draw))
    return draw


def kind_of(figure: Any) -> FigureKind:
    """Return the kind of a figure's settings."""
    return FIGURES[figure.kind]


def default_kind() -> str:
    """Return the name of the kind that a figure has which says none: the first."""
    return next(iter(FIGURES))


def read_figure(table: Mapping[str, Any]) -> Any:
    """Return the settings of one `[figure]` table, such as stands in sweep.json.

    Raises:
        SpecError: If it is of no kind that is known.
        ValidationError: Of pydantic's, if one of its keys is wrong.
    """
    if problem := wrong_kind(table.get("kind")):
        raise SpecError(f"figure.{problem}")
    return FIGURES[table["kind"]].settings.model_validate(table)


def wrong_kind(kind: Any) -> str:
    """Return what is wrong with a kind as the end of a sentence; nothing if it is known."""
    if isinstance(kind, str) and kind in FIGURES:
        return ""
    found = "missing" if kind is None else show(kind)
    return f"kind is {found}; it must be one of {', '.join(FIGURES)}."
