"""Pydantic's findings as sentences: where, what was found, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from dlnsweep.settings import Settings

_LONGEST_VALUE = 60


def show(value: Any) -> str:
    """Return a value as it may stand in a message: TOML-like and short."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, str):
        text = f"'{value}'"
    else:
        text = str(value)
    text = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the nearest of the known words, else a list of them."""
    known = list(known)
    near = difflib.get_close_matches(word[:100], known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known are {', '.join(known)}." if known else "."


def _number(bound: Any) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def requirement(error: dict[str, Any]) -> str:
    """Return what a pydantic error asks for, as "it must be ..."."""
    context = error.get("ctx", {})
    kind = error["type"]
    bounds = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt",
              "less_than_equal": "le"}
    if kind == "greater_than" and context["gt"] == 0:
        return "it must be positive"
    if kind == "greater_than_equal" and context["ge"] == 0:
        return "it must not be negative"
    if kind in bounds:
        words = kind.replace("_equal", " or equal to").replace("_", " ")
        words = {"greater_than": "greater than", "greater_than_equal": "at least",
                 "less_than": "less than", "less_than_equal": "at most"}[kind]
        return f"it must be {words} {_number(context[bounds[kind]])}"
    if kind == "finite_number":
        return "it must be finite"
    if kind == "literal_error":
        return f"it must be {context['expected']}"
    if kind == "value_error":
        return str(context["error"]).rstrip(".")
    types = {
        "int_type": "an integer", "int_from_float": "an integer", "float_type": "a number",
        "string_type": "a string", "bool_type": "true or false", "list_type": "a list",
        "dict_type": "a table", "model_type": "a table", "model_attributes_type": "a table",
    }
    if kind in types:
        return f"it must be {types[kind]}"
    return "it is not allowed: " + error["msg"][0].lower() + error["msg"][1:]


def sentences(error: ValidationError, place: str, settings: type[Settings]) -> list[str]:
    """Return one sentence for each finding.

    Args:
        error: What pydantic raised.
        place: The dotted place of the settings, such as "training"; empty for bare arguments.
        settings: The settings class, for its keys.
    """
    found = []
    for item in error.errors():
        path = [str(p) if not isinstance(p, int) else f"[{p}]" for p in item["loc"]]
        dotted = ".".join(filter(None, [place, *path])).replace(".[", "[")
        if item["type"] == "extra_forbidden":
            name = str(item["loc"][-1])
            where = f" of [{place}]" if place else ""
            hint = did_you_mean(name, settings.model_fields)
            found.append(f"{dotted} is not a key{where}{hint}")
        elif item["type"] == "missing":
            found.append(f"{dotted} is missing; it has no default.")
        else:
            found.append(f"{dotted} is {show(item['input'])}; {requirement(dict(item))}.")
    return found
