"""Tables of what is registered under a name, by this package and by others, on one road."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Generic, TypeVar

from dlnsweep.settings.words import OURS

K = TypeVar("K")
V = TypeVar("V")


def must_be(given: object, kind: type, by: str) -> None:
    """Refuse what is of another type than a function registers.

    Args:
        given: What it was given.
        kind: The type.
        by: The function's name.

    Raises:
        ValueError: If it is none of that type.
    """
    if not isinstance(given, kind):
        found = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
        raise ValueError(
            f"{by} was given {found}; it takes a dlnsweep.{kind.__name__}, made with its fields"
        )


class Registry(MutableMapping[K, V], Generic[K, V]):
    """What is registered, in the order in which it was; this package's own comes first.

    Its own entries are there as soon as anyone looks.
    """

    # Whether all that this package brings stands in its registries: looked up ten thousand times.
    complete = False

    def __init__(self) -> None:
        self._entries: dict[K, V] = {}

    def _known(self) -> dict[K, V]:
        if not Registry.complete:
            # While it is being imported, this returns at once; in another thread, when it has been.
            import_module(OURS)
        return self._entries

    def __getitem__(self, key: K) -> V:
        return self._known()[key]

    def __setitem__(self, key: K, value: V) -> None:
        self._known()[key] = value

    def __delitem__(self, key: K) -> None:
        del self._known()[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def __contains__(self, key: object) -> bool:
        return key in self._known()
