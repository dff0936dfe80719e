"""What is asked of the operating system to write durably, and its refusals as sentences."""

# Tests make each of these operations fail through the name `os`.
# ruff: noqa: PTH102, PTH105, PTH106

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from dlnsweep.errors import StoreError

Data = bytes | pa.Buffer

_NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_CHOOSE = "choose a folder that you may write with --out DIR"
_ADVICE = {
    errno.ENOSPC: "free space on this disk and run the same command again",
    errno.EDQUOT: "free space within your quota and run the same command again",
    errno.EFBIG: "raise the file size limit (ulimit -f) and run the same command again",
    errno.EACCES: _CHOOSE,
    errno.EPERM: _CHOOSE,
    errno.EROFS: _CHOOSE,
    errno.ENOTDIR: "a folder is needed, and a part of this path is a file; give another --out DIR",
    errno.EEXIST: "a folder is needed, and this is a file; give another --out DIR",
    errno.ENAMETOOLONG: "give a shorter --out DIR or a shorter sweep name",
    errno.ELOOP: "links lead out of a results folder; replace it by what it points to",
    errno.ENOENT: "it vanished meanwhile; restore it, or run the sweep again",
}


@contextlib.contextmanager
def explained(path: Path, action: str) -> Iterator[None]:
    """Turn an `OSError` of the block into a `StoreError` that says what to do.

    Args:
        path: What the block works on.
        action: What the block does, as the sentence says it ("write", "read").

    Raises:
        StoreError: If the operating system refuses.
    """
    try:
        yield
    except OSError as error:
        code = error.errno or 0
        found = error.strerror or str(error)
        advice = _ADVICE.get(code, "mend this and run the same command again")
        raise StoreError(
            f"{path}: cannot {action} it ({found}); every committed batch is kept; {advice}."
        ) from error


@contextlib.contextmanager
def only_removing() -> Iterator[None]:
    """Give other advice where a block that removes files may not write: another folder is no help.

    Raises:
        StoreError: As the block does.
    """
    try:
        yield
    except StoreError as error:
        advice = "files are removed only where you may write; --dry-run tells which would go"
        raise StoreError(str(error).replace(_CHOOSE, advice)) from error.__cause__


def refuse_link(path: Path) -> None:
    """Refuse a symbolic link within a results folder: it would lead out of it.

    Raises:
        StoreError: If it is one.
    """
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        # Whoever uses the path meets the same.
        return
    if stat.S_ISLNK(mode):
        raise StoreError(
            f"{path}: is a symbolic link, but a results folder keeps its own files and "
            "folders; replace the link by what it points to, or give another --out DIR."
        )


def open_regular(path: Path) -> int:
    """Open a file to read it; return its descriptor.

    Raises:
        OSError: If the system refuses.
        StoreError: If it is a link, a FIFO, a device or a folder: reading could hang, or act.
    """
    # O_NONBLOCK: opening a FIFO would wait for somebody who writes to it.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    refuse_link(path)
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise _not_a_file(path)
    descriptor = os.open(path, flags)
    # It may have changed since it was looked at.
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_a_file(path)
    return descriptor


def _not_a_file(path: Path) -> StoreError:
    return StoreError(
        f"{path}: is no regular file, as all files of a results folder are; remove it, or restore "
        "the file that stood there."
    )


def acquire(path: Path, exclusive: bool) -> int | None:
    """Lock a file, which is made if needed; return its descriptor, None without locks here."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    while True:
        descriptor = os.open(path, flags, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _not_a_file(path)
            fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            # A failed creation removes its lock file; a lock on a removed file excludes nobody.
            if os.fstat(descriptor).st_nlink > 0:
                return descriptor
            os.close(descriptor)
        except (OSError, StoreError) as error:
            os.close(descriptor)
            if isinstance(error, OSError) and error.errno in _NO_LOCKS_HERE:
                return None
            raise


def make_folder(path: Path) -> bool:
    """Make a folder durably; return False if it stood there."""
    # Another runner may create the same folder at the same time.
    try:
        os.mkdir(path)
    except FileExistsError:
        if not path.is_dir():
            raise
        return False
    try:
        synchronise_folder(path.parent)
    except OSError:
        os.rmdir(path)
        raise
    return True


def write_new(path: Path, data: Data) -> None:
    """Write a file that does not exist yet, down to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(data).cast("B")
        while rest:
            # One write moves at most 2 GiB, and may move less.
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move_into_place(path: Path, target: Path) -> None:
    """Give a whole file its name, durably; what had the name before is replaced at one instant."""
    os.replace(path, target)
    synchronise_folder(target.parent)


def synchronise_folder(path: Path) -> None:
    """Bring the names in a folder down to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems know no synchronisation of folders.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
