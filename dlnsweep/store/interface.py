"""What the store asks of the storage below it; how files are parsed is the same for all of it."""

from __future__ import annotations

import contextlib
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
from dlnsweep.store.system import Data

# Of what is not whole yet, and of locks.
STAGING = "_staging"
MAX_JSON_BYTES = 16 * 2**20
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
    def sha256(self, name: str) -> str:
        """Return the SHA-256 of a file's content."""

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
    def _head(self, name: str, size: int | None) -> bytes:
        """Return the first bytes of a file; all of them if `size` is None."""

    @abstractmethod
    def _parquet(self, name: str) -> contextlib.AbstractContextManager[pq.ParquetFile]:
        """Open a Parquet file; what the storage says is a StoreError, what pyarrow says is not."""

    def read_bytes(self, name: str) -> bytes:
        """Return the content of a small file (JSON).

        Raises:
            StoreError: If it cannot be read or is larger than any such file of ours.
        """
        data = self._head(name, MAX_JSON_BYTES + 1)
        if len(data) > MAX_JSON_BYTES:
            raise StoreError(
                f"{self.path(name)}: is larger than {MAX_JSON_BYTES} bytes, the most that such a "
                "file of a results folder may have; restore it, or choose another folder with "
                "--out DIR."
            )
        return data

    def read_whole(self, name: str) -> bytes:
        """Return the content of a file of any size.

        Raises:
            StoreError: If it cannot be read.
        """
        return self._head(name, None)

    def read_json(self, name: str) -> dict[str, Any]:
        """Return the JSON object in a file.

        Raises:
            StoreError: If it cannot be read or is not a JSON object.
        """
        try:
            value = json.loads(self.read_bytes(name))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise StoreError(
                f"{self.path(name)}: is damaged: it must hold a JSON object; restore it, or move "
                "the folder away and run the sweep again."
            )
        return value

    def read_table(
        self, name: str, columns: Sequence[str] | None = None, *, use_threads: bool = True
    ) -> pa.Table:
        """Return the table in a Parquet file, its page checksums verified.

        Args:
            name: The file.
            columns: The columns to read; those that the file lacks are left out.
            use_threads: Whether pyarrow may use several threads for this file.

        Raises:
            StoreError: If it cannot be read or is damaged.
        """
        with self.parquet(name) as file:
            return file.read(columns=columns, use_threads=use_threads)

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
        try:
            with self._parquet(name) as file:
                yield file
        except (pa.ArrowException, OSError) as error:
            raise StoreError(
                f"{self.path(name)}: is damaged and cannot be read as Parquet "
                f"({str(error).partition(chr(10))[0].rstrip('.')}); `dlnsweep verify` tells "
                "all damage; restore it, or remove its batch's files and run the sweep again."
            ) from error
