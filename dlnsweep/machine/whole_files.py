"""Files that are there whole or not at all: written beside their place, then moved into it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dlnsweep.errors import SpecError
from dlnsweep.machine.paths import is_special


@contextlib.contextmanager
def whole_file(path: Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """Open a new file that stands at its path once the block has ended well.

    Args:
        path: Where it shall be.
        force: Whether to put it in the place of a file that is there.

    Raises:
        SpecError: If there is something already, or the system refuses.
    """
    if not force:
        _check_free(path)
    if is_special(path):
        raise SpecError(f"{path}: is a device or a pipe, which a file cannot replace; name a file.")
    try:
        descriptor, made = tempfile.mkstemp(".part", f".{path.name[:100]}.", path.parent)
    except OSError as error:
        raise _refused(path, error) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _allow_as_usual(made)
        _move(Path(made), path, force=force)
    except OSError as error:
        raise _refused(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            Path(made).unlink()


def _check_free(path: Path) -> None:
    if os.path.lexists(path):
        raise SpecError(
            f"{path}: there is a file of this name already, which is kept; give another name, or "
            "--force to write over it."
        )


def _allow_as_usual(made: str) -> None:
    """Give a file the permissions that any other new file has; `mkstemp` keeps it to the user."""
    mask = os.umask(0)
    os.umask(mask)
    Path(made).chmod(0o666 & ~mask)


def _move(made: Path, path: Path, *, force: bool) -> None:
    if not force:
        try:
            # Unlike a rename it fails where another process has made the file meanwhile.
            path.hardlink_to(made)
            return
        except FileExistsError:
            _check_free(path)
        except OSError:
            # A file system without hard links.
            _check_free(path)
    made.replace(path)


def _refused(path: Path, error: OSError) -> SpecError:
    return SpecError(
        f"{path}: cannot be written ({error.strerror or error}); name a file in a folder that you "
        "may write, on a disk with room."
    )
