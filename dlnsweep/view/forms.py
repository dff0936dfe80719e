"""The controls of the page's form: which a kind of figure has, and what each offers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from dlnsweep.contracts.figure import FIGURES, default_kind
from dlnsweep.settings.figure_keys import AutoScale, Band, is_number
from dlnsweep.settings.sentences import printable
from dlnsweep.view.sweeps import Offer
from dlnsweep.view.tables import BY, CHOICES, has, is_fixed, names_setting

_BY_WORDS = {
    "hue": "colours: hue",
    "style_by": "kinds of lines: style_by",
    "panel_by": "panels: panel_by",
    "row_by": "rows: row_by",
    "column_by": "columns: column_by",
}


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes:
        name: Its id, which is its key but for `y_setting` (the y of a heatmap).
        label: What stands above it.
        several: Whether several values can be chosen.
        clearable: Whether none can be.
        placeholder: What stands in it where there is none.
    """

    name: str
    label: str
    several: bool = False
    clearable: bool = True
    placeholder: str = "none"


CONTROLS = (
    Control("kind", "kind", clearable=False),
    Control("x", "horizontal: x", clearable=False),
    Control("y", "vertical: y", several=True, clearable=False),
    Control("y_setting", "vertical: y", clearable=False),
    Control("value", "number in a cell: value", clearable=False),
    *(Control(name, _BY_WORDS[name]) for name in BY if any(has(k, name) for k in FIGURES)),
    Control("at", "step: at", placeholder="final"),
    Control("where", "only runs with: where", several=True, placeholder="all runs"),
    *(
        Control(name, name.replace("_", " "), placeholder="as usual")
        for name in CHOICES
        if any(has(k, name) for k in FIGURES)
    ),
)


def shown(control: Control, form: Mapping[str, Any]) -> bool:
    """Return whether a kind of figure has a control."""
    kind = str(form.get("kind"))
    name = control.name
    if name == "kind":
        return True
    if name == "y_setting":
        return names_setting(kind, "y")
    if name == "y":
        return has(kind, "y") and not names_setting(kind, "y")
    if name == "x":
        return has(kind, "x") and not is_fixed(kind, "x")
    return has(kind, name)


def options_of(control: Control, form: Mapping[str, Any], offer: Offer) -> list[dict[str, Any]]:
    """Return what a control offers."""
    return [{"label": _label(each), "value": value} for each, value in _pairs(control, form, offer)]


def settled(form: Mapping[str, Any], offer: Offer) -> dict[str, Any]:
    """Return a form with something in each control that must have it, and nothing unknown."""
    found = dict(form)
    if not isinstance(found.get("kind"), str) or found["kind"] not in FIGURES:
        found["kind"] = default_kind()
    if names_setting(found["kind"], "y") and isinstance(found.get("y"), str):
        found["y_setting"], found["y"] = found["y"], []
    if isinstance(found.get("at"), int):
        found["at"] = str(found["at"])
    where = found.get("where") or []
    found["where"] = [each if isinstance(each, str) else json.dumps(each) for each in where]
    if isinstance(found.get("y"), str):
        found["y"] = [found["y"]]
    for control in CONTROLS[1:]:
        if not shown(control, found):
            continue
        values = [value for _, value in _pairs(control, found, offer)]
        value = found.get(control.name)
        if control.several:
            kept = [each for each in value or [] if each in values]
            found[control.name] = kept or ([] if control.clearable else values[:1])
        elif value not in values:
            taken = (found.get("x"), found.get("hue")) if control.name == "y_setting" else ()
            free = [each for each in values if each not in taken]
            found[control.name] = None if control.clearable else next(iter(free), None)
    return found


def _pairs(control: Control, form: Mapping[str, Any], offer: Offer) -> list[tuple[str, Any]]:
    kind, name = str(form.get("kind")), control.name
    settings = [each for each in offer.settings if each != "seed"]
    if name == "kind":
        names = list(FIGURES)
    elif name == "x":
        numbers = [each for each in settings if all(map(is_number, offer.settings[each]))]
        both = FIGURES[kind].described and not names_setting(kind, "x")
        names = [*offer.observables, *numbers] if both else settings
    elif name in ("y", "value"):
        names = offer.observables
    elif name == "y_setting":
        names = [*settings, *(each for each in offer.settings if each == "seed")]
    elif name in BY:
        names = list(offer.settings)
    elif name == "at":
        steps = [(f"step {step}", str(step)) for step in offer.steps]
        return [("final", "final"), ("min", "min"), ("argmin", "argmin"), *steps]
    elif name == "where":
        return [
            (f"{setting} = {value}", json.dumps([setting, value]))
            for setting, values in offer.settings.items()
            for value in values
            if isinstance(value, bool | int | float | str)
        ]
    elif name == "band":
        names = list(get_args(Band))
    else:
        scales = list(get_args(AutoScale))
        default = FIGURES[kind].settings.model_fields[name].default if has(kind, name) else "log"
        names = scales if default == "auto" else [each for each in scales if each != "auto"]
    return [(each, each) for each in names]


def _label(text: str) -> str:
    return printable(text, 80)
