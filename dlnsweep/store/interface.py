"""What the store asks of the storage below it; how files are parsed is the same for all of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dlnsweep.errors import StoreError
from dlnsweep.store.address import Location, join
from dlnsweep.store.bounds import Unfit, check_columns, check_rows, read
from dlnsweep.store.packing import DIGITS, HEAD, looks_intact
from dlnsweep.store.seals import render_json
from dlnsweep.store.system import Data

# Of what is not whole yet, and of locks.
STAGING = "_staging"
MAX_JSON_BYTES = 16 * 2**20
_CHUNK = 8 * 2**20
# How a Parquet file begins and ends.
_PARQUET = b"PAR1"
# How JSON may hold half of a character, a surrogate, which is no text that can be written.
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class Files(ABC):
    """The files below one place, by names relative to it, each whole or not there.

    Attributes:
        root: The place: a local folder as a path, or an address as text.
        remote: Whether every operation waits for a network, so that many should wait together.
    """

    root: Any
    remote: bool = False

    def path(self, name: str) -> Location:
        """Return where a file or folder stands by its name within the root."""
        parts = name.split("/")
        if not all(_SAFE_NAME.fullmatch(part) for part in parts):
            raise ValueError(f"{name!r} is not a name within a results folder")
        return join(self.root, *parts)

    @abstractmethod
    def is_folder(self) -> bool:
        """Tell whether there is anything at the root."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Tell whether a regular file stands under this name."""

    @abstractmethod
    def names(self, folder: str = "") -> list[str]:
        """Return the sorted names that stand in a folder; none if there is no such folder."""

    @abstractmethod
    def create_folders(self, folders: Sequence[str], *, anew: bool = False) -> list[Path]:
        """Make room for files in folders below the root; return the folders made.

        Args:
            folders: Their names.
            anew: Whether to make the root, too: else one that was moved away would leave a stub
                in its old place.
        """

    @abstractmethod
    def remove_folders(self, made: Sequence[Any]) -> None:
        """Remove those of the folders that are empty, the last first; never raise."""

    @abstractmethod
    def write_in_order(self, files: Sequence[tuple[str, Data]]) -> None:
        """Write files whole; each becomes visible only after those before it are permanent.

        Args:
            files: Pairs of name and content, the one whose presence means "done" last.

        Raises:
            StoreError: If the storage refuses; each file is then as before or as asked.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file if it is there."""

    @abstractmethod
    def staged(self) -> list[str]:
        """Return the names of files that an interrupted write left, which are no results."""

    @abstractmethod
    def abandoned(self, names: Sequence[str]) -> list[str]:
        """Return those of the files that nobody can be writing; the caller has the lock."""

    @abstractmethod
    def check_no_links(self, names: Sequence[str]) -> None:
        """Refuse what would lead writes out of the root."""

    @abstractmethod
    def remove_lock(self) -> None:
        """Remove the lock file, of a folder that shall be left as if nothing had begun."""

    @abstractmethod
    def locked(
        self, *, exclusive: bool, required: bool = True
    ) -> contextlib.AbstractContextManager[None]:
        """Hold the lock of the root, which does not outlive its holder (for long).

        Args:
            exclusive: Whether nobody else may hold it meanwhile; else many may share it.
            required: Whether to refuse where the storage knows no locks.
        """

    @abstractmethod
    def _opened(self, name: str) -> contextlib.AbstractContextManager[tuple[Any, int]]:
        """Open a file to read it from its beginning; with its size in bytes."""

    @abstractmethod
    def _parquet(self, name: str) -> contextlib.AbstractContextManager[tuple[pq.ParquetFile, int]]:
        """Open a Parquet file; what the storage says is a StoreError, what pyarrow says is not."""

    def size(self, name: str) -> int:
        """Return the size of a file in bytes."""
        with self._opened(name) as (_, size):
            return size

    def sha256(self, name: str, but_last: int = 0) -> str:
        """Return the SHA-256 of a file's content, of all but so many of its last bytes."""
        found = hashlib.sha256()
        with self._opened(name) as (file, size):
            rest = size - but_last
            while rest > 0 and (chunk := file.read(min(rest, _CHUNK))):
                found.update(chunk)
                rest -= len(chunk)
        return found.hexdigest()

    def committed_sha256(self, name: str) -> str | None:
        """Return the SHA-256 of a table, of weights or of JSON; None if it is none by its ends.

        A file that was made long afterwards, such as a hole of a terabyte, is not read.

        Raises:
            StoreError: If it cannot be read, or is larger than any JSON file of ours.
        """
        if name.endswith(".parquet"):
            ends = self.read_ends(name, len(_PARQUET), len(_PARQUET))
            return self.sha256(name) if ends == (_PARQUET, _PARQUET) else None
        if name.endswith(".npz"):
            return self.sha256(name) if looks_intact(*self.read_ends(name, HEAD, DIGITS)) else None
        return hashlib.sha256(self.read_bytes(name)).hexdigest()

    def read_bytes(self, name: str, most: int = MAX_JSON_BYTES) -> bytes:
        """Return the content of a small file (JSON).

        Raises:
            StoreError: If it cannot be read or is larger than any such file of ours.
        """
        with self._opened(name) as (file, _):
            data = file.read(most + 1)
        if len(data) > most:
            raise StoreError(
                f"{self.path(name)}: is larger than {most} bytes, the most that such a "
                "file of a results folder may have; restore it, or choose another folder with "
                "--out DIR."
            )
        return data

    def read_ends(self, name: str, first: int, last: int) -> tuple[bytes, bytes]:
        """Return a file's first and last bytes."""
        with self._opened(name) as (file, size):
            head = file.read(first)
            file.seek(max(0, size - last))
            return head, file.read(last)

    def read_whole(self, name: str) -> bytes:
        """Return the content of a file of any size.

        Raises:
            StoreError: If it cannot be read.
        """
        with self._opened(name) as (file, _):
            return file.read()

    def read_json(self, name: str, most: int = MAX_JSON_BYTES) -> dict[str, Any]:
        """Return the JSON object in a file of at most so many bytes.

        Raises:
            StoreError: If it cannot be read or is not a JSON object.
        """
        try:
            value = json.loads(data := self.read_bytes(name, most))
            if _HALF.search(data):
                render_json(value)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise StoreError(
                f"{self.path(name)}: is damaged: it must hold a JSON object; restore it, or move "
                "the folder away and run the sweep again."
            )
        return value

    def read_table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        *,
        required: Sequence[str] = (),
        use_threads: bool = True,
    ) -> pa.Table:
        """Return the table in a Parquet file, its page checksums verified.

        Args:
            name: The file.
            columns: The columns to read; those that the file lacks are left out.
            required: Those that it must have.
            use_threads: Whether pyarrow may use several threads for this file.

        Raises:
            StoreError: If it cannot be read or is damaged.
        """
        with self._checked(name) as (file, size):
            there = file.schema_arrow.names
            if missing := [column for column in required if column not in there]:
                raise Unfit(f"it has no column {missing[0]!r}")
            if columns is not None:
                columns = [column for column in columns if column in there]
            return read(file, size, columns, use_threads=use_threads)

    def read_footer(self, name: str) -> tuple[pa.Schema, int]:
        """Return the columns of a Parquet file, and its number of rows."""
        with self.parquet(name) as file:
            return file.schema_arrow, file.metadata.num_rows

    @contextlib.contextmanager
    def parquet(self, name: str) -> Iterator[pq.ParquetFile]:
        """Open a Parquet file to read parts of it, page checksums verified.

        Raises:
            StoreError: If it, or what the block reads of it, cannot be read or is damaged.
        """
        with self._checked(name) as (file, _):
            yield file

    @contextlib.contextmanager
    def refusing(self, name: str) -> Iterator[None]:
        """Say of a file what the block finds unfit in what was read of it.

        Raises:
            StoreError: If it finds anything.
        """
        try:
            yield
        except Unfit as error:
            raise StoreError(
                f"{self.path(name)}: is damaged ({error}); `dlnsweep verify` tells all damage; "
                "restore it, or remove its batch's files and run the sweep again."
            ) from error

    @contextlib.contextmanager
    def _checked(self, name: str) -> Iterator[tuple[pq.ParquetFile, int]]:
        try:
            with self._parquet(name) as (file, size):
                check_columns(file.schema_arrow)
                check_rows(file.schema_arrow, file.metadata.num_rows, size)
                yield file, size
        except MemoryError as error:
            raise StoreError(
                f"{self.path(name)}: does not fit into the memory that is free; use a machine "
                "with more, or read a part of it."
            ) from error
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise StoreError(
                f"{self.path(name)}: is damaged and cannot be read as Parquet "
                f"({str(error).partition(chr(10))[0].rstrip('.')}); `dlnsweep verify` tells "
                "all damage; restore it, or remove its batch's files and run the sweep again."
            ) from error
