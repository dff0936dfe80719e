"""Tables of what is registered under a name, by this package and by others, on one road."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Generic, TypeVar

from dlnsweep.settings.words import OURS

K = TypeVar("K")
V = TypeVar("V")


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
