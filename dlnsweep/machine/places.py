"""Which core or GPU of this machine a worker process takes, so that no two take the same one.

Each worker holds a lock in a folder of the user's until it ends, however it ends. So runners that
know nothing of each other (two shards on one node, the workers of a Dask cluster) share a machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9._:-]{1,80}")


class Place:
    """A core or GPU that this process has taken; `release` gives it back, as does its end."""

    def __init__(self, name: str, descriptor: int | None) -> None:
        self.name = name
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the place back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def claim(kind: str, names: Sequence[str]) -> Place | None:
    """Take the first of some cores or GPUs that no other process has taken.

    Args:
        kind: "core" or "gpu".
        names: Their names, the preferred one first.

    Returns:
        The place, or None if all are taken. Where no locks can be made, the first.
    """
    folder = _lock_folder()
    if folder is None:
        return Place(names[0], None)
    for name in names:
        if not _NAME.fullmatch(name):
            return Place(names[0], None)
        try:
            descriptor = os.open(
                folder / f"{kind}-{name}",
                os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
                0o600,
            )
        except OSError:
            return Place(names[0], None)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        except OSError:
            os.close(descriptor)
            return Place(names[0], None)
        else:
            return Place(name, descriptor)
    return None


def _lock_folder() -> Path | None:
    with contextlib.suppress(OSError):
        # Where no folder for temporary files can be written, this raises.
        folder = Path(tempfile.gettempdir()) / f"dlnsweep-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = os.lstat(folder)
        foreign = found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if stat.S_ISDIR(found.st_mode) and not foreign:
            return folder
    return None
