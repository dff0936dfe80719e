"""How what is registered becomes a word of a setting, with what its runs are known by. No JAX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlnsweep.contracts.plugins import SHARED, is_loading
from dlnsweep.contracts.sources import source_of
from dlnsweep.settings.words import Words

# Words that stand for something without being registered.
_RESERVED = ("near_target",)


def add_word(words: Words, what: str, word: str, parts: Sequence[Any], version: str) -> None:
    """Make a word of a setting known; a stranger's is checked, and has a version and a home.

    Args:
        words: The words of the setting.
        what: What it stands for, such as "optimizer".
        word: The word.
        parts: The functions that it stands for.
        version: The declared version; empty: a hash of the functions' source.

    Raises:
        ValueError: If it is no word or is taken; if no version is declared, and a function has no
            source.
    """
    module = getattr(parts[0], "__module__", "") or ""
    if module.partition(".")[0] == SHARED:
        words.add(word)
        return
    if not word.isidentifier() or word != word.lower():
        raise ValueError(f"{what} {word!r}: its name must be a lower-case identifier")
    if word in words or word in _RESERVED:
        owner = "yours" if words.version(word) else "dlnsweep's own"
        raise ValueError(f"{what} {word!r}: that word is known already, of {owner}; take another")
    example = f'{what.capitalize()}(..., version="1")'
    found = version or source_of(parts, f"{what} {word!r}", example)
    words.add(word, found, SHARED if is_loading() else module)
