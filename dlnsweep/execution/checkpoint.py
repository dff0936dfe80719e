"""A batch that keeps its journal in the results folder, and goes on from what it finds there."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dlnsweep.engine.begun import Begun
from dlnsweep.engine.journal import KINDS, Journal, Misfit, State, difference, is_state, origin_of
from dlnsweep.engine.trained import Trained
from dlnsweep.errors import StoreError
from dlnsweep.store.checkpoints import CheckpointFile
from dlnsweep.store.packing import PackError, pack, unpack

# Seconds between two checkpoints of a batch.
DEFAULT_SECONDS = 300.0
_LONGEST = 300
_MALFORMED = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError),
    *(ArithmeticError, RecursionError),
)


class Checkpoint:
    """How far a batch has come, in its file.

    Args:
        file: The file.
        every: Seconds between two times of writing it; infinite for never.
        on_note: Called with what the user should know.

    Attributes:
        notes: What `on_note` has been called with.
    """

    def __init__(
        self,
        file: CheckpointFile,
        every: float = DEFAULT_SECONDS,
        on_note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.notes: list[str] = []
        self._file, self._every, self._on_note = file, every, on_note
        self._origin: dict[str, Any] = {}
        self._journal = Journal()
        self._resumed_seconds = 0.0
        # Why the last one was not written; empty if it was.
        self._refused = ""

    def train(
        self,
        columns: Mapping[str, np.ndarray],
        shared: Mapping[str, Any],
        padded_width: int,
        on_progress: Callable[[Any], None],
        should_stop: Callable[[], bool],
        begun: Begun | None = None,
        given: Mapping[str, np.ndarray] | None = None,
    ) -> Trained:
        """Train a batch from where it stood; for the arguments see `train_batch`.

        Raises:
            Interrupted: If `should_stop` said so; what is done stands in the file.
        """
        from dlnsweep.engine.batch import train_batch

        self._origin = origin_of(columns, shared, padded_width)
        state = self._read()
        self._resumed_seconds = state.seconds if state else 0.0
        while True:
            save = None if math.isinf(self._every) else self._write
            self._journal = Journal(state, save, self._every)
            try:
                return train_batch(
                    columns, shared, padded_width, on_progress, should_stop, self._journal, begun,
                    given,
                )  # fmt: skip
            except Misfit as misfit:
                reason = str(misfit)
            except _MALFORMED as error:
                # Of a file that is sealed and yet not what a batch leaves. A bug comes again.
                if state is None:
                    raise
                reason = f"training failed from it with {type(error).__name__}: {error}"
            self._drop(reason.partition("\n")[0][:_LONGEST])
            state, self._resumed_seconds = None, 0.0

    def kept(self, done: int, total: int) -> str:
        """Return how far the batch is kept, after it was interrupted.

        Args:
            done: Run-steps done.
            total: Its run-steps.
        """
        if self._refused:
            return f"not kept: {self._refused}"
        if math.isinf(self._every):
            return "not kept, for want of checkpoints (--checkpoint 0)"
        if not done:
            return "kept before its first step"
        if done > total:
            return "kept, with some of its runs trained once more, to keep the tolerance"
        # Not rounded up: what is not quite done shall not seem to be.
        percent = math.floor(1000 * done / total) / 10
        return f"kept at {f'{percent:g}' if percent else 'less than 0.1'} % of its steps"

    def remove(self) -> None:
        """Remove the file, of a batch that is done."""
        # If that is refused it stays as a leftover, which does no harm.
        with contextlib.suppress(StoreError):
            self._file.remove()

    @property
    def seconds(self) -> float:
        """Seconds that the batch has taken, those of earlier processes included."""
        return self._journal.seconds

    def receipt(self) -> dict[str, Any]:
        """Return what the batch's receipt says of checkpoints."""
        return {
            "resumed_seconds": self._resumed_seconds,
            "checkpoints": self._journal.saved,
            "checkpoint_seconds": self._journal.save_seconds,
            "notes": self.notes,
        }

    def _read(self) -> State | None:
        try:
            data = self._file.read()
            if data is None:
                return None
            origin, state = unpack(data, KINDS)
            reason = difference(origin, self._origin)
        except (PackError, StoreError, ValueError, TypeError, AttributeError) as error:
            reason, state, origin = str(error), None, {}
        if not reason and is_state(state):
            if origin.get("threads") != self._origin["threads"]:
                self._note(
                    f"{self._file.path}: was written by a process of another number of threads; "
                    "its batch goes on, and numbers may differ in their last bits from those of a "
                    "batch that one process computes."
                )
            return state
        self._drop(reason or "it holds something else")
        return None

    def _drop(self, reason: str) -> None:
        self._note(
            f"{self._file.path}: cannot be used ({reason}); it is removed, and its batch begins "
            "anew."
        )
        self.remove()

    def _write(self, state: State) -> None:
        try:
            self._file.write(pack((self._origin, state), KINDS))
            self._refused = ""
        except StoreError as error:
            # The batch can do without; what is wrong with the folder its commit will tell.
            self._refused = f"no checkpoint was written: {error}"
            self._note(self._refused)

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self._on_note(text)
