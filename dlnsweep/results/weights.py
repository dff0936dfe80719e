"""The weights that a results folder keeps, run by run."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnsweep.errors import SpecError, StoreError
from dlnsweep.settings.sentences import show
from dlnsweep.store import Store
from dlnsweep.store.layout import WEIGHTS, batch_name
from dlnsweep.store.records import integers
from dlnsweep.store.weights import Group


class KeptWeights:
    """Reads weights; the last batch that was asked for stays in memory.

    Args:
        store: The results folder.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: tuple[int, list[Group]] | None = None
        self._number_of: dict[int, int] = {}

    def weights(self, run_id: int, step: int | None = None) -> dict[str, np.ndarray]:
        """Return the weights of a run; see `Results.weights`."""
        return self.at(run_id, step)[1]

    def at(self, run_id: int, step: int | None = None) -> tuple[int, dict[str, np.ndarray]]:
        """Return the same, and before it the step that they are of."""
        store = self._store
        if not store.keeps_weights:
            raise SpecError(
                f'{store.root}: keeps no weights; set record.weights = "final", or to a list of '
                "recorded steps, and run the sweep under another name (or with --out DIR)."
            )
        group, place = self._found(run_id)
        steps = group.steps[place]
        kept = np.flatnonzero(steps >= 0)
        if not len(kept):
            raise SpecError(f"{store.root}: {self._why_none(run_id)}")
        chosen = int(kept[-1])
        if step is not None:
            is_step = isinstance(step, int | float | np.number) and not isinstance(step, bool)
            matching = [i for i in kept if steps[i] == step] if is_step else []
            if not matching:
                raise SpecError(
                    f"{store.root}: step is {show(step)}, at which run {run_id} has no weights; "
                    f"they are kept at {', '.join(str(steps[i]) for i in kept)}."
                )
            chosen = int(matching[0])
        arrays = {name: array[place, chosen].copy() for name, array in group.arrays.items()}
        return int(steps[chosen]), arrays

    def _found(self, run_id: int) -> tuple[Group, int]:
        store = self._store
        number = self._number(run_id)
        if self._last is None or self._last[0] != number:
            if number not in store.done():
                raise SpecError(
                    f"{store.root}: run {run_id} is not done yet; run the sweep again to go on."
                )
            self._last = number, store.weights_of_batch(number)
        for group in self._last[1]:
            if (place := group.place(run_id)) is not None:
                return group, place
        raise StoreError(
            f"{store.files.path(batch_name(WEIGHTS, number))}: is damaged (it has no weights of "
            f"run {run_id}, which its batch has); restore it, or remove it and run the sweep again."
        )

    def _number(self, run_id: int) -> int:
        """Return the batch of a run; all are looked up at once, as many may be asked for."""
        is_id = isinstance(run_id, int | np.integer) and not isinstance(run_id, bool)
        if not is_id or run_id not in self._number_of:
            # It says what is wrong with what is asked for, and runs may have been added.
            number = check_run(self._store, run_id)
            table = self._store.runs_table(["run_id", "batch"])
            ids, numbers = (integers(table[name]).tolist() for name in ("run_id", "batch"))
            self._number_of = dict(zip(ids, numbers, strict=True)) | {run_id: number}
        return self._number_of[run_id]

    def _why_none(self, run_id: int) -> str:
        """Return why a run that is done has no weights."""
        number = self._last[0] if self._last else 0
        table = self._store.read_batch("outcomes", number, ["run_id", "status", "last_step"])
        row = int(np.flatnonzero(integers(table["run_id"]) == run_id)[0])
        status, last = table["status"][row].as_py(), table["last_step"][row].as_py()
        return (
            f"run {run_id} {status} at step {last}, before any step at which weights are kept "
            "(of a run that diverged there are no final ones)."
        )


def check_run(store: Store, run_id: Any) -> int:
    """Return the batch of a run.

    Raises:
        SpecError: If there is no such run.
    """
    table = store.runs_table(["run_id", "batch"])
    is_id = isinstance(run_id, int | np.integer) and not isinstance(run_id, bool)
    rows = np.flatnonzero(integers(table["run_id"]) == run_id) if is_id else []
    if not len(rows):
        raise SpecError(
            f"{store.root}: run_id is {show(run_id)}, and there is no such run; runs() lists them."
        )
    return table["batch"][int(rows[0])].as_py()
