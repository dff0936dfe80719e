"""The weights that are kept of the runs of one call, at the steps that [record] asks for."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlnsweep.contracts.schedule import weight_steps
from dlnsweep.numerics.lazy import jax
from dlnsweep.settings.sections import RecordSettings


class KeptWeights:
    """Gathers weights while the runs of a call are trained.

    A run that has diverged has none from there on: its state is no longer one of training. One
    that was stopped has those of the step at which it was.

    Args:
        record: The settings of [record].
        num_steps: The number of steps of the runs.
        count: How many runs there are.
    """

    def __init__(self, record: RecordSettings, num_steps: int, count: int) -> None:
        self._wanted = weight_steps(record, num_steps)
        self._final = record.weights == "final"
        self._count = count
        self._parts: list[dict[str, np.ndarray]] = []
        self._steps = np.empty((count, 0), np.int64)

    @property
    def ends(self) -> list[int]:
        """The steps at which a segment must end, so that the weights can be looked at."""
        return [] if self._final else self._wanted.tolist()

    def go_on(self, weights: dict[str, np.ndarray], steps: np.ndarray) -> None:
        """Take what an earlier process has kept of the same call."""
        self._parts, self._steps = ([weights] if weights else []), steps

    def look(self, program: Any, inputs: Any, carry: Any, step: int) -> None:
        """Keep the weights if this is one of the steps."""
        if step in self.ends:
            self._add(program, inputs, carry, np.full(self._count, step))

    def end(self, program: Any, inputs: Any, carry: Any) -> None:
        """Keep the last weights, or note that runs had ended before the steps asked for."""
        missing = len(self._wanted) - self._steps.shape[1]
        for _ in range(missing):
            stopped = np.asarray(carry.stopped_step)[: self._count]
            last = np.where(stopped >= 0, stopped, self._wanted[-1])
            self._add(program, inputs, carry, last if self._final else np.full_like(last, -1))

    def state(self, program: Any, carry: Any) -> list[np.ndarray]:
        """Return what a run that goes on needs beside its inputs, which are drawn again.

        Only beside the final weights, and of programs that can go on. Of a run that has diverged
        the numbers are nobody's; that it has, they say.
        """
        if not self._final or not program.goes_on:
            return []
        diverged = np.asarray(carry.state.diverged_step)[: self._count] >= 0
        found = []
        for leaf in jax.tree.leaves(carry):
            own = np.asarray(leaf)[: self._count]
            gone = diverged.reshape(-1, *[1] * (own.ndim - 1)) & (own.dtype.kind in "fc")
            found.append(np.where(gone, np.zeros((), own.dtype), own))
        return found

    def values(self) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return what is kept by name, (runs, steps, ...), and the steps, -1 where nothing is."""
        names = self._parts[0] if self._parts else {}
        whole = {k: np.concatenate([part[k] for part in self._parts], axis=1) for k in names}
        return whole, self._steps

    def _add(self, program: Any, inputs: Any, carry: Any, steps: np.ndarray) -> None:
        stopped = np.asarray(carry.stopped_step)[: self._count]
        ended = np.asarray(carry.state.diverged_step)[: self._count] >= 0
        ended |= (stopped >= 0) & (stopped != steps)
        steps = np.where(ended, -1, steps)
        found = program.weights(inputs, carry)
        part = {}
        for name, array in found.items():
            own = array[: self._count, None]
            # What a run that has ended holds is nobody's, and shall not differ from file to file.
            none = (steps < 0).reshape(-1, *[1] * (own.ndim - 1))
            part[name] = np.where(none, np.zeros((), own.dtype), own)
        self._parts.append(part)
        self._steps = np.concatenate([self._steps, steps[:, None]], axis=1)
