"""From the tables of `[figure]` to settings, with a sentence for each mistake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from dlnsweep.settings.figures import FIGURES
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
    if not isinstance(kind, str) or kind not in FIGURES:
        found = "missing" if kind is None else show(kind)
        return None, [f"{place}.kind is {found}; it must be one of {', '.join(FIGURES)}."]
    try:
        return FIGURES[kind].model_validate(table), []
    except ValidationError as error:
        return None, sentences(error, place, FIGURES[kind])


def same_files(figures: Sequence[Any]) -> Iterator[str]:
    """Yield a sentence for each name that two figures give to their files."""
    # Some file systems take "A" and "a" for the same.
    names = [figure.file.lower() for figure in figures if figure is not None and figure.file]
    for name in sorted({each for each in names if names.count(each) > 1}):
        yield f"figure.file is '{name}' in {names.count(name)} figures; give each its own."
