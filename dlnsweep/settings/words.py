"""The words that a setting can be, to which others can add theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from pydantic_core import PydanticCustomError, core_schema

# Registers what this package brings. Named, not imported: it stands above all that it registers,
# and those who look something up must not load every kind before they have to.
OURS = "dlnsweep.builtins"


class Words(Sequence[str]):
    """The words of a setting, in the order in which they became known; a field is annotated by it.

    Where a `Literal` is closed, this is open: what is registered under a new word (an optimizer,
    an initializer, a loss) can be named in sweep files. A stranger's word has a version, which is
    part of the ids of the runs that it is used in, and a home, of which worker processes must know.

    Args:
        ours: This package's own words.
        others: Words that are also known, in front of these.

    Attributes:
        texts: What words say, of those that say it themselves.
        absent: Words that are looked for here and are none, each with why not and what to do, as
            the end of a sentence.
    """

    def __init__(self, *ours: str, others: Words | None = None) -> None:
        self._others = others
        self._versions = dict.fromkeys(ours, "")
        self._homes: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.absent: dict[str, str] = {}

    def add(self, word: str, version: str = "", home: str = "", text: str = "") -> None:
        """Make a word known.

        Args:
            word: The word.
            version: What tells its runs from those of another thing of this name; empty for this
                package's own.
            home: The module that brings it; empty for this package's own.
            text: What it says, where the setting itself does not.
        """
        self._versions[word] = version
        if home:
            self._homes[word] = home
        if text:
            self.texts[word] = text

    def version(self, word: str) -> str:
        """Return a word's version; empty for this package's own."""
        own = self._versions.get(word)
        if own is None and self._others is not None:
            return self._others.version(word)
        return own or ""

    def home(self, word: str) -> str:
        """Return the module that brings a word; empty for this package's own."""
        own = self._homes.get(word, "")
        return own or (self._others.home(word) if self._others is not None else "")

    def _all(self) -> tuple[str, ...]:
        return (*(self._others or ()), *self._versions)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __getitem__(self, place: Any) -> Any:
        return self._all()[place]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Return pydantic's schema of a field that must be one of the words."""
        del source, handler
        return core_schema.no_info_plain_validator_function(self._check)

    def _check(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self._all():
            # What this package brings may not be registered yet; if it is, this returns at once.
            import_module(OURS)
        known = self._all()
        if isinstance(value, str) and value in known:
            return value
        quoted = [repr(word) for word in known]
        expected = " or ".join([", ".join(quoted[:-1]), quoted[-1]] if quoted[1:] else quoted)
        # The error of a closed list of words, so that both are told alike.
        raise PydanticCustomError(
            "literal_error", "Input should be {expected}", {"expected": expected}
        )


def words_of(metadata: Sequence[Any]) -> Words | None:
    """Return the words of a field, from its metadata; None if it has none."""
    return next((item for item in metadata if isinstance(item, Words)), None)
