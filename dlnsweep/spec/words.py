"""The words of a sweep that are not this package's own: optimizers, initializers, losses."""

from __future__ import annotations

from dlnsweep.settings.words import Words, words_of
from dlnsweep.spec.sweep import Sweep


def words_at(sweep: Sweep, dotted: str) -> Words | None:
    """Return the words that a setting can be, if others can add to them."""
    section, _, key = dotted.partition(".")
    settings = sweep.classes.get(section)
    field = settings.model_fields.get(key) if settings else None
    return words_of(field.metadata) if field else None


def foreign_words(sweep: Sweep) -> dict[str, tuple[str, str]]:
    """Return what a sweep names that strangers brought, as words, with its version and module."""
    found = {}
    for key, values in sweep.values.items():
        words = words_at(sweep, key)
        for value in values if words is not None else ():
            if words is not None and words.version(value):
                found[f"{key} '{value}'"] = words.version(value), words.home(value)
    return found
