"""The files in which unfinished batches keep how far they have come: `checkpoints/batch-*.npz`.

They are written by the same rules as results and are no results: a batch that is done has none,
and one that is damaged is not used.
"""

from __future__ import annotations

from dlnsweep.errors import StoreError
from dlnsweep.numerics.runtime import available_memory
from dlnsweep.store.integrity import Problem
from dlnsweep.store.interface import Files
from dlnsweep.store.layout import CHECKPOINTS, batch_name, batches_in
from dlnsweep.store.packing import DIGITS, HEAD, looks_intact


class CheckpointFile:
    """The file of one batch.

    Args:
        files: The results folder.
        number: The batch.
    """

    def __init__(self, files: Files, number: int) -> None:
        self._files = files
        self.name = batch_name(CHECKPOINTS, number)
        self.path = files.path(self.name)

    def read(self) -> bytes | None:
        """Return what is kept, None if nothing is.

        Raises:
            StoreError: If it cannot be read, is none, or does not fit into memory.
        """
        self._files.check_no_links([CHECKPOINTS])
        if not self._files.exists(self.name):
            return None
        # Before it is read: it may claim to be larger than any memory.
        if not looks_intact(*self._files.read_ends(self.name, HEAD, DIGITS)):
            raise StoreError("its checksum is wrong")
        size, free = self._files.size(self.name), available_memory()
        if 2 * size > free:
            raise StoreError(f"it has {size / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free")
        return self._files.read_whole(self.name)

    def write(self, data: bytes) -> None:
        """Put this in the place of what is kept, whole or not at all.

        Raises:
            StoreError: If the system refuses; what was kept then stays.
        """
        self._files.check_no_links([CHECKPOINTS])
        self._files.create_folders([CHECKPOINTS])
        with self._files.locked(exclusive=False, required=False):
            self._files.write_in_order([(self.name, data)])

    def remove(self) -> None:
        """Remove the file if it is there."""
        self._files.remove(self.name)


def verify_checkpoints(files: Files, done: set[int]) -> list[Problem]:
    """Return the checkpoints that are damaged, or that nothing needs any more."""
    problems = []
    for number in batches_in(files, CHECKPOINTS):
        name = batch_name(CHECKPOINTS, number)
        path = files.path(name)
        if number in done:
            found = "its batch is done, so nothing needs it; `dlnsweep gc` removes it."
            problems.append(Problem(path, f"{path}: {found}", leftover=True))
        elif not _is_intact(files, name):
            found = (
                "was changed after it was written; remove it, or run the sweep again, which "
                "removes it and computes this batch from its beginning."
            )
            problems.append(Problem(path, f"{path}: {found}"))
    return problems


def _is_intact(files: Files, name: str) -> bool:
    try:
        head, digits = files.read_ends(name, HEAD, DIGITS)
        return looks_intact(head, digits) and files.sha256(name, DIGITS).encode() == digits
    except StoreError:
        return False
