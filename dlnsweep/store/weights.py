"""The files in which the weights of a batch's runs are kept: `weights/batch-*.npz`.

Runs whose arrays have the same shapes stand together, as a `Group`, in plain arrays that NumPy
reads; see packing.py for the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnsweep.errors import StoreError
from dlnsweep.machine.memory import available_memory
from dlnsweep.store.interface import Files
from dlnsweep.store.layout import WEIGHTS, batch_name
from dlnsweep.store.packing import DIGITS, HEAD, PackError, looks_intact, pack, unpack


@dataclass(frozen=True)
class Group:
    """The weights of runs of the same shapes.

    Attributes:
        run_ids: The runs, (runs,), int64.
        steps: The steps that they are of, (runs, k), int64; -1 where a run had ended before.
        arrays: By name, (runs, k, ...); zeros where there is no step.
        state: All that changes during a run, after its last step, as the engine's arrays,
            (runs, ...); in the place of one that is the last of `arrays`, that one's name. Empty
            where only some steps are kept, or nothing can go on from them.
    """

    run_ids: np.ndarray
    steps: np.ndarray
    arrays: dict[str, np.ndarray]
    state: list[Any]

    def state_of(self, place: int) -> list[np.ndarray]:
        """Return the state of a run."""
        return [self.arrays[x][place, -1] if isinstance(x, str) else x[place] for x in self.state]

    def place(self, run_id: int) -> int | None:
        """Return the place of a run; None if it is not among them."""
        found = np.flatnonzero(self.run_ids == run_id)
        return int(found[0]) if len(found) else None


def packed(groups: Sequence[Group]) -> bytes:
    """Return groups as the content of a file."""
    return pack(list(groups), [Group])


def unpacked(data: bytes) -> list[Group]:
    """Return the groups in the content of a file.

    Raises:
        PackError: If it is no such file, or a byte was changed.
    """
    groups = unpack(data, [Group])
    if not isinstance(groups, list) or not all(map(_is_group, groups)):
        raise PackError("it holds something else than weights")
    return groups


def _is_group(value: Any) -> bool:
    if not isinstance(value, Group) or not isinstance(value.arrays, dict):
        return False
    if not isinstance(value.state, list) or not all(
        each in value.arrays and value.steps.shape[-1:] > (0,)
        if isinstance(each, str)
        else _is_column(each, value.run_ids)
        for each in value.state
    ):
        return False
    ids, steps = value.run_ids, value.steps
    arrays = list(value.arrays.values())
    if not all(isinstance(each, np.ndarray) for each in (ids, steps, *arrays)):
        return False
    whole = ids.dtype == np.int64 and steps.dtype == np.int64
    return (
        whole
        and ids.ndim == 1
        and steps.shape[:1] == ids.shape
        and steps.ndim == 2
        and all(isinstance(name, str) for name in value.arrays)
        and all(each.shape[:2] == steps.shape for each in arrays)
    )


def _is_column(array: Any, run_ids: Any) -> bool:
    both = isinstance(array, np.ndarray) and isinstance(run_ids, np.ndarray)
    return both and array.shape[:1] == run_ids.shape


def read_weights(files: Files, number: int) -> list[Group]:
    """Return the weights that are kept of a batch.

    Args:
        files: The results folder.
        number: The batch.

    Raises:
        StoreError: If the file cannot be read, is damaged, or does not fit into memory.
    """
    name = batch_name(WEIGHTS, number)
    path, size, free = files.path(name), files.size(name), available_memory()
    # The file, and the arrays of it.
    if 2 * size > free:
        raise StoreError(
            f"{path}: does not fit into the memory that is free: {2 * size / 1e9:.3g} GB are "
            f"needed and {free / 1e9:.3g} GB are free; use a machine with more."
        )
    try:
        if not looks_intact(*files.read_ends(name, HEAD, DIGITS)):
            raise PackError("its checksum is wrong")
        return unpacked(files.read_whole(name))
    except PackError as error:
        raise StoreError(
            f"{path}: is damaged ({error}); `dlnsweep verify` tells all damage; restore it, or "
            "remove it and run the sweep again, which computes its batch anew."
        ) from error
