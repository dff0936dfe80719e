"""Figures of every kind are drawn here: what their drawing leaves of the controls is carried out.

A drawing, this package's own or a stranger's, takes results and settings. It need not know that a
figure can be given a title, a size, or ends of its axes. What was asked for and not looked at is
put on the axes that it returns, or refused in a sentence: nothing that stands in a file is without
effect.
"""

from __future__ import annotations

from typing import Any

from dlnsweep.contracts.figure import FigureKind
from dlnsweep.errors import SpecError
from dlnsweep.figures import looks
from dlnsweep.settings.figure_keys import Banded, ends_of
from dlnsweep.settings.figure_look import WIDTHS
from dlnsweep.spec.figures.check import check
from dlnsweep.spec.figures.wording import drawable

# What others see to: where files go and what is in them, and the settings of Matplotlib's.
_ELSEWHERE = {"kind", "file", "formats", "style", "rc"}
_COLOUR_BAR = "<colorbar>"


def carried_out(kind: FigureKind, results: Any, settings: Any) -> Any:
    """Return what a kind's drawing returns, with the controls that it leaves.

    Args:
        kind: The kind.
        results: The results of a sweep.
        settings: The figure's settings, of this kind.

    Raises:
        SpecError: A control is asked for that neither the drawing nor this honours.
    """
    if not kind.described and (sentences := check(settings, (), ())):
        raise SpecError(*sentences)
    read: set[str] = set()
    with looks.styled(settings.rc):
        made = kind.drawing()(results, _watched(settings, read))
        if not hasattr(made, "savefig"):
            # Refused where it is to be saved.
            return made
        if "__dict__" not in read and "model_dump" not in read:
            _carry_out(settings, _asked(settings) - read - _ELSEWHERE, made)
    made.rc = dict(settings.rc)
    return made


def _asked(settings: Any) -> set[str]:
    # What a folder keeps of a figure has every key, most with what they are if nobody gives them.
    fields = type(settings).model_fields
    return {
        key
        for key in settings.model_fields_set
        if getattr(settings, key) != fields[key].get_default(call_default_factory=True)
    }


def _watched(settings: Any, read: set[str]) -> Any:
    """Return the same settings, of a class that notes what is looked at."""
    own: Any = type(settings)

    def noted(self: Any, name: str) -> Any:
        read.add(name)
        return super(watched, self).__getattribute__(name)

    body = {"__getattribute__": noted, "__module__": own.__module__, "__doc__": own.__doc__}
    watched: Any = type(own.__name__, (own,), body)
    values = {name: getattr(settings, name) for name in own.model_fields}
    found = watched.model_construct(_fields_set=set(settings.model_fields_set), **values)
    read.clear()
    return found


def _carry_out(settings: Any, left: set[str], made: Any) -> None:
    panels = [ax for ax in made.axes if ax.get_label() != _COLOUR_BAR]
    if {"width", "width_inches", "height_inches"} & left:
        _size(settings, left, made)
    for key in ("dpi", "title", "x_label", "y_label", "letters"):
        if key in left:
            _put(key, getattr(settings, key), made, panels)
    if {"x_min", "x_max"} & left:
        for ax in panels:
            ax.set_xlim(settings.x_min, settings.x_max)
    if {"y_min", "y_max"} & left:
        for ax in panels:
            ax.set_ylim(*ends_of(settings, None))
    tables = {key for key in left if key[:2] == "y_" and isinstance(getattr(settings, key), dict)}
    known = {"width", "width_inches", "height_inches", "dpi", "title", "x_label", "y_label"}
    known |= {"letters", "x_min", "x_max", "y_min", "y_max"}
    shared = set(Banded.model_fields)
    if refused := sorted((left & shared) - (known - tables)):
        raise SpecError(
            *(
                f"figure.{key} is given, but what draws figures of kind '{settings.kind}' does not "
                "look at it; leave it out."
                for key in refused
            )
        )


def _size(settings: Any, left: set[str], made: Any) -> None:
    width, height = made.get_size_inches()
    if "width" in left and settings.width is not None:
        width = WIDTHS[settings.width]
    if "width_inches" in left and settings.width_inches is not None:
        width = settings.width_inches
    if "height_inches" in left and settings.height_inches is not None:
        height = settings.height_inches
    made.set_size_inches(width, height)


def _put(key: str, value: Any, made: Any, panels: list[Any]) -> None:
    if value is None or isinstance(value, dict):
        return
    if key == "dpi":
        made.set_dpi(value)
    elif key == "title":
        made.suptitle(drawable(value))
    elif key == "letters" and value:
        for number, ax in enumerate(panels):
            letter = "abcdefghijklmnopqrstuvwxyz"[number % 26] * (1 + number // 26)
            ax.set_title(f"({letter})", loc="left", fontweight="bold")
    elif key in ("x_label", "y_label"):
        for ax in panels:
            (ax.set_xlabel if key == "x_label" else ax.set_ylabel)(drawable(value))
