"""Results whose columns are held in memory, so that a change of the picture reads no file twice.

Only Arrow tables of the columns that were asked for: what a batch has recorded never changes once
it is committed, unless another sweep takes the folder's place (`sweeps.py` lets go of them then).
What is drawn from them is none the wiser: these are `Results` like any others.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from dlnsweep.errors import StoreError
from dlnsweep.results import Results
from dlnsweep.results.tables import map_in_threads
from dlnsweep.store import Store
from dlnsweep.store.layout import PLAN_RECEIPT, RUNS

# Of all folders of a page together; beyond it what was not asked for lately is read again.
MOST_BYTES = 256 * 2**20
_KEYS = ("run_id", "step")


class Columns:
    """Columns of batches, those that were asked for lately.

    Args:
        most_bytes: How much they may take.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        self._held: OrderedDict[tuple[str, int, str], pa.ChunkedArray | None] = OrderedDict()

    def missing(self, folder: str, batch: int, names: Sequence[str]) -> list[str]:
        """Return which columns of a batch are not held."""
        return [name for name in names if (folder, batch, name) not in self._held]

    def put(self, folder: str, batch: int, name: str, column: pa.ChunkedArray | None) -> None:
        """Hold a column of a batch; None where the batch has none of that name."""
        self._held[folder, batch, name] = column
        self.bytes += column.nbytes if column is not None else 0

    def get(self, folder: str, batch: int, name: str) -> pa.ChunkedArray | None:
        """Return a column that is held."""
        self._held.move_to_end((folder, batch, name))
        return self._held[folder, batch, name]

    def forget(self, folder: str) -> None:
        """Let go of all columns of a folder."""
        for key in [key for key in self._held if key[0] == folder]:
            column = self._held.pop(key)
            self.bytes -= column.nbytes if column is not None else 0

    def trim(self) -> None:
        """Let go of what was not asked for lately, as far as there is too much."""
        while self.bytes > self.most_bytes and self._held:
            _, column = self._held.popitem(last=False)
            self.bytes -= column.nbytes if column is not None else 0


class HeldResults(Results):
    """Results of a folder, for drawing them again and again.

    Args:
        store: The folder's store.
        columns: Where columns are held.
    """

    def __init__(self, store: Store, columns: Columns) -> None:
        super().__init__(store)
        self._columns = columns
        self._frame: tuple[Any, pd.DataFrame] | None = None

    def mark(self) -> tuple[Any, ...]:
        """Return what changes whenever there is something new to draw."""
        return (*_plan_mark(self.store), frozenset(self.store.done()))

    def runs(self, where: Mapping[str, Any] | None = None, *, unused: bool = False) -> pd.DataFrame:
        """Return one row a planned run, as `Results.runs` does; not to be changed."""
        if where is not None or not unused:
            return super().runs(where, unused=unused)
        mark = self.mark()
        if self._frame is None or self._frame[0] != mark:
            self._frame = (mark, super().runs(unused=True))
        return self._frame[1]

    def curve_batches(
        self,
        observables: Sequence[str] | str | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> Iterator[pa.Table]:
        """Yield the curves of one batch after another, as `Results.curve_batches` does."""
        if where is not None:
            yield from super().curve_batches(observables, where)
            return
        names = [*_KEYS, *self._recorded.observables(observables)]
        batches = sorted(self.store.done())
        folder = str(self.path)
        # A few at once, so that no more is in memory than is held.
        for first in range(0, len(batches), 16):
            few = batches[first : first + 16]
            self._read([n for n in few if self._columns.missing(folder, n, names)], names)
            tables = [
                {name: self._columns.get(folder, number, name) for name in names} for number in few
            ]
            self._columns.trim()
            for table in tables:
                yield pa.table({name: c for name, c in table.items() if c is not None})

    def _read(self, batches: list[int], names: list[str]) -> None:
        folder = str(self.path)

        def read(number: int) -> pa.Table:
            missing = self._columns.missing(folder, number, names)
            return self.store.read_batch("curves", number, ["run_id", *missing])

        for number, table in zip(batches, map_in_threads(read, batches), strict=True):
            for name in self._columns.missing(folder, number, names):
                there = name in table.column_names
                self._columns.put(folder, number, name, table[name] if there else None)


def _plan_mark(store: Store) -> tuple[Any, ...]:
    """Return what tells that a sweep was enlarged, or that another one has its place."""
    root = store.root
    if not isinstance(root, Path):
        # Objects have no time that all stores tell alike; the receipt says when it was written.
        try:
            return (hashlib.sha256(store.files.read_bytes(PLAN_RECEIPT)).hexdigest(),)
        except StoreError:
            return ("",)
    try:
        found = (root / RUNS).lstat()
    except OSError:
        return (0, 0)
    return found.st_size, found.st_mtime_ns
