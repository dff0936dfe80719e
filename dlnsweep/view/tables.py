"""What the page's form says, as the table of a `[figure]`, and that table as TOML."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from dlnsweep.contracts.figure import FIGURES, default_kind
from dlnsweep.errors import SpecError
from dlnsweep.settings.sentences import printable

# Keys that stand for a setting, which the form offers where a kind has them.
BY = ("hue", "style_by", "panel_by", "row_by", "column_by")
CHOICES = ("band", "x_scale", "y_scale", "value_scale")
FORM = ("kind", "x", "y", "value", *BY, "at", *CHOICES, "where")
_LONGEST_MORE = 4000


def has(kind: str, key: str) -> bool:
    """Return whether a kind of figure has a key."""
    return kind in FIGURES and FIGURES[kind].has(key)


def takes_several(kind: str, key: str) -> bool:
    """Return whether a key takes a list of names."""
    return has(kind, key) and "tuple" in str(_field(kind, key).annotation)


def is_fixed(kind: str, key: str) -> bool:
    """Return whether a key can have one value only."""
    if not has(kind, key):
        return False
    annotation = _field(kind, key).annotation
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def names_setting(kind: str, key: str) -> bool:
    """Return whether a key of an axis names a setting in every figure of a kind."""
    return kind in FIGURES and key in FIGURES[kind].setting_keys


def _field(kind: str, key: str) -> Any:
    return FIGURES[kind].settings.model_fields[key]


def table_of(form: Mapping[str, Any], more: str = "") -> dict[str, Any]:
    """Return the table of a `[figure]` that a form stands for.

    Args:
        form: Values by key; empty ones are left to their defaults, and those that the kind does
            not have are dropped. `where` is a list of (setting, value).
        more: Further keys as TOML, which come before the form's.

    Raises:
        SpecError: If that is no TOML.
    """
    kind = str(form.get("kind") or default_kind())
    table: dict[str, Any] = {"kind": kind}
    for key in FORM[1:]:
        value = form.get(key)
        if value in (None, "", [], ()) or not has(kind, key) or is_fixed(kind, key):
            continue
        if value == _field(kind, key).default:
            continue
        if key == "where":
            table[key] = _where(value)
        elif isinstance(value, list):
            table[key] = value if len(value) > 1 else value[0]
        else:
            table[key] = value
    return {**table, **_read_more(more)}


def form_of(table: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the form that stands for the table of a `[figure]`, and its further keys as TOML."""
    form = {key: table.get(key) for key in FORM}
    kind = str(table.get("kind", default_kind()))
    for key in ("y",):
        value = form[key]
        if takes_several(kind, key) and isinstance(value, str):
            form[key] = [value]
        elif isinstance(value, tuple):
            form[key] = list(value)
    # A table of its own, which no list of choices has.
    kept = {k for k in FORM if not isinstance(form[k], dict) or k == "where"}
    where = form["where"] or {}
    form["where"] = [
        [name, value]
        for name, wanted in where.items()
        for value in (wanted if isinstance(wanted, list | tuple) else [wanted])
    ]
    left = {
        key: value
        for key, value in table.items()
        if key not in kept and key not in ("file", "formats")
    }
    return {key: form[key] for key in kept}, toml_lines(left)


def _where(pairs: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(str(name), []).append(value)
    return found


def _read_more(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    if len(text) > _LONGEST_MORE:
        raise SpecError(f"The further keys are longer than {_LONGEST_MORE} characters.")
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SpecError(
            f"The further keys are no TOML ({printable(str(error), 200)}); write lines such as "
            'title = "width 64" or quantiles = [0.1, 0.9].'
        ) from None
    if "figure" in found:
        inner = found["figure"]
        if set(found) == {"figure"} and isinstance(inner, dict):
            return inner
        raise SpecError("The further keys are those of one [figure], without its heading.")
    return found


def figure_toml(table: Mapping[str, Any]) -> str:
    """Return a table as the `[figure]` of a file: read again, it is the same table."""
    return f"[figure]\n{toml_lines(table)}"


def toml_lines(table: Mapping[str, Any]) -> str:
    """Return the lines of a TOML table."""
    return "".join(
        f"{_key(key)} = {toml_value(value)}\n" for key, value in table.items() if value is not None
    )


def toml_value(value: Any) -> str:
    """Return a value as TOML.

    Raises:
        SpecError: If TOML has no such value.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
        return repr(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(k)} = {toml_value(v)}" for k, v in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    raise SpecError(f"A value of type {type(value).__name__} cannot be written as TOML.")


def _key(name: str) -> str:
    plain = name.replace("_", "").replace("-", "")
    return name if plain.isascii() and plain.isalnum() else _string(name)


def _string(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which TOML wants escaped, and halves of characters.
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return json.dumps(whole, ensure_ascii=False).replace("\x7f", "\\u007f")
