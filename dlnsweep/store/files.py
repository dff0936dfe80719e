"""Files that appear whole or not at all, in one folder of the local file system.

What is written goes to `_staging/` first, is synchronised, and is moved to its name; nobody ever
sees a part of a file.
"""

# Tests make each of these operations fail through the name `os`.
# ruff: noqa: PTH106, PTH108, PTH208

from __future__ import annotations

import contextlib
import os
import re
import stat
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from dlnsweep.errors import StoreError
from dlnsweep.store.footers import check_footer
from dlnsweep.store.interface import STAGING, Files
from dlnsweep.store.system import (
    Data,
    acquire,
    explained,
    make_folder,
    move_into_place,
    open_regular,
    refuse_link,
    write_new,
)

_LOCK = f"{STAGING}/lock"
_STAGED = re.compile(r"[0-9a-f]{32}-[A-Za-z0-9._-]{1,64}")


class LocalFiles(Files):
    """The files below one folder of the local file system.

    Args:
        root: The folder; it need not exist before `create_folders`.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def path(self, name: str) -> Path:
        """Return the path of a file or folder by its name within the root."""
        found = super().path(name)
        assert isinstance(found, Path)
        return found

    def _inside(self, name: str) -> Path:
        """Return the path of a file; refuse a link in the place of the folder that it is in."""
        folder = name.rpartition("/")[0]
        if folder:
            refuse_link(self.path(folder))
        return self.path(name)

    def is_folder(self) -> bool:
        """Tell whether the root is a folder."""
        return self.root.is_dir()

    def exists(self, name: str) -> bool:
        """Tell whether a regular file stands under this name."""
        with explained(self.path(name), "look at"):
            try:
                return stat.S_ISREG(os.lstat(self.path(name)).st_mode)
            except (FileNotFoundError, NotADirectoryError):
                return False

    def names(self, folder: str = "") -> list[str]:
        """Return the sorted names that stand in a folder; none if there is no such folder."""
        path = self.path(folder) if folder else self.root
        if folder:
            refuse_link(path)
        with explained(path, "list"):
            try:
                return sorted(os.listdir(path))
            except FileNotFoundError:
                return []

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[tuple[BinaryIO, int]]:
        path = self._inside(name)
        with explained(path, "read"):
            descriptor = open_regular(path)
            try:
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    yield file, os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)

    @contextlib.contextmanager
    def _parquet(self, name: str) -> Iterator[tuple[pq.ParquetFile, int]]:
        with self._opened(name) as (source, size):
            check_footer(source, size)
            try:
                # By its path: pyarrow reads that without Python's lock.
                with pq.ParquetFile(self.path(name), page_checksum_verification=True) as file:
                    yield file, size
            except OSError as error:
                # Only what the system says has an error number; the rest is pyarrow's of damage.
                if error.errno:
                    raise
                raise pa.ArrowException(str(error)) from error

    def create_folders(self, folders: Sequence[str], *, anew: bool = False) -> list[Path]:
        """Create folders in the root; return the ones that did not exist, in order.

        Args:
            folders: Their names.
            anew: Whether to make the root, too, and what is missing above it.

        Raises:
            StoreError: If one cannot be made; those made before it are removed again.
        """
        made: list[Path] = []
        try:
            with explained(self.root, "create"):
                chain = (self.root, *self.root.parents) if anew else ()
                above = [p for p in chain if not p.exists()]
            for folder in folders:
                refuse_link(self.path(folder))
            for path in [*reversed(above), *(self.path(folder) for folder in folders)]:
                with explained(path, "create"):
                    if make_folder(path):
                        made.append(path)
        except StoreError:
            self.remove_folders(made)
            raise
        return made

    def remove_folders(self, made: Sequence[Any]) -> None:
        """Remove those of the folders that are empty, the last first; never raise."""
        for path in reversed(made):
            with contextlib.suppress(OSError):
                os.rmdir(path)

    def write_in_order(self, files: Sequence[tuple[str, Data]]) -> None:
        """Write files whole; each becomes visible only after those before it are on the disk.

        Args:
            files: Pairs of name and content, the one whose presence means "done" last.

        Raises:
            StoreError: If the system refuses; each file is then as before or as asked.
        """
        staged: list[Path] = []
        targets = [self._inside(name) for name, _ in files]
        refuse_link(self.path(STAGING))
        try:
            for name, data in files:
                path = self.path(f"{STAGING}/{uuid.uuid4().hex}-{name.rpartition('/')[2]}")
                staged.append(path)
                with explained(self.path(name), "write"):
                    write_new(path, data)
            for path, target in zip(staged, targets, strict=True):
                with explained(target, "write"):
                    move_into_place(path, target)
        finally:
            for path in staged:
                with contextlib.suppress(OSError):
                    os.unlink(path)

    def staged(self) -> list[str]:
        """Return the names of files that were staged and not (yet) moved to their place."""
        return [f"{STAGING}/{n}" for n in self.names(STAGING) if _STAGED.fullmatch(n)]

    def abandoned(self, names: Sequence[str]) -> list[str]:
        """Return all of the files: who writes holds the lock."""
        return list(names)

    def remove(self, name: str) -> None:
        """Remove a file if it is there; a link is removed, not what it points to."""
        path = self._inside(name)
        with explained(path, "remove"), contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def remove_lock(self) -> None:
        """Remove the lock file, of a folder that shall be left as if nothing had begun."""
        with contextlib.suppress(OSError, StoreError):
            os.unlink(self._inside(_LOCK))

    def check_no_links(self, names: Sequence[str]) -> None:
        """Refuse symbolic links within the folder: they would lead writes out of it.

        Raises:
            StoreError: If one of the names is a symbolic link.
        """
        for name in names:
            refuse_link(self.path(name))

    @contextlib.contextmanager
    def locked(self, *, exclusive: bool, required: bool = True) -> Iterator[None]:
        """Hold the folder's lock, which the kernel lets go when the process dies.

        Args:
            exclusive: Whether nobody else may hold it meanwhile; else many may share it.
            required: Whether to refuse where the file system knows no locks.

        Raises:
            StoreError: If the lock file cannot be made, or there are no locks.
        """
        path = self._inside(_LOCK)
        with explained(path, "lock"):
            descriptor = acquire(path, exclusive)
        try:
            if descriptor is None and required:
                raise StoreError(
                    f"{path}: this file system has no file locks, so this cannot be done safely; "
                    "use a folder on a file system with locks."
                )
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)
