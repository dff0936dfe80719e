"""From the tables of `[figure]` to settings, with a sentence for each mistake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from dlnsweep.contracts.figure import FIGURES, wrong_kind
from dlnsweep.settings.sentences import sentences, show


def tables_of(raw: Any) -> list[tuple[str, Any]]:
    """Return each figure's place in the file and its table; `raw` is what stands under "figure"."""
    if raw is None:
        return []
    if isinstance(raw, list):
        return [(f"figure[{i}]", table) for i, table in enumerate(raw)]
    return [("figure", raw)]


def read_table(table: Any, place: str) -> tuple[Any, list[str]]:
    """Return a figure's settings (None if they are wrong), and what is wrong as sentences.

    Args:
        table: One `[figure]` table.
        place: Where it stands, such as "figure[1]".
    """
    if not isinstance(table, dict):
        return None, [f"{place} is {show(table)}; it must be a table, [figure]."]
    kind = table.get("kind")
    if problem := wrong_kind(kind):
        return None, [f"{place}.{problem}"]
    own = FIGURES[str(kind)]
    not_here = {key: _kinds_with(key) for key in table if not own.has(key)}
    elsewhere = {key: kinds for key, kinds in not_here.items() if kinds}
    problems = [
        f"{place}.{key} is a key of figures of kind {_listed(kinds)}; kind = '{kind}' cannot "
        f"honour it: leave it out (--set {_set_key(place, key)}= takes it out)."
        for key, kinds in elsewhere.items()
    ]
    try:
        kept = {key: value for key, value in table.items() if key not in elsewhere}
        settings = own.settings.model_validate(kept)
    except ValidationError as error:
        return None, [*problems, *sentences(error, place, own.settings)]
    if settings.style is None:
        return (None if problems else settings), problems
    settings, wrong = with_style(settings)
    problems += [f"{place}.{sentence}" for sentence in wrong]
    return (None if problems else settings), problems


def _set_key(place: str, key: str) -> str:
    """Return what `--set` calls a key of a figure: figure.1.hue for that of figure[1]."""
    return f"{place.replace('[', '.').replace(']', '')}.{key}"


def _kinds_with(key: str) -> list[str]:
    """Return the kinds of figures, of those that are described, that have a key."""
    return [name for name, kind in FIGURES.items() if kind.described and kind.has(key)]


def _listed(kinds: Sequence[str]) -> str:
    *most, last = (f"'{kind}'" for kind in kinds)
    return f"{', '.join(most)} or {last}" if most else last


def with_style(settings: Any) -> tuple[Any, list[str]]:
    """Return a figure's settings with what its style says in the place of the style's name.

    What its own `rc` says comes first.

    Returns:
        The settings, and what is wrong with the style, as sentences without the figure's place.
    """
    # It loads matplotlib.
    from dlnsweep.spec.figures.styles import read_style

    found, problems = read_style(settings.style)
    changed = settings.model_copy(update={"style": None, "rc": {**found, **settings.rc}})
    return changed, [f"style is {show(settings.style)}; {each}" for each in problems]


def same_files(figures: Sequence[Any]) -> Iterator[str]:
    """Yield a sentence for each name that two figures give to their files."""
    # Some file systems take "A" and "a" for the same.
    names = [figure.file.lower() for figure in figures if figure is not None and figure.file]
    for name in sorted({each for each in names if names.count(each) > 1}):
        yield f"figure.file is '{name}' in {names.count(name)} figures; give each its own."
