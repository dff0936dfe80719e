"""Runs that go on from where runs of fewer steps ended, bit for bit as if they had not ended there.

That a run of more steps passes through the state in which one of fewer ends takes that both are
recorded at the same steps so far: divergence and `stop_when` are looked at where a run is recorded,
and some kernels fold their updates there. So the recorded steps of the shorter run must be the
first of the longer one's, its last step among them.

What has been recorded keeps the bits that it has, which XLA may have made otherwise in a call of
another number of runs: measured, states agree to the bit, and observables to 1e-15.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dlnsweep.engine.journal import Call
from dlnsweep.numerics.lazy import jax, jnp


@dataclass(frozen=True)
class Begun:
    """Where the runs of a batch stand before they begin.

    Attributes:
        steps: The recorded steps that lie behind, ascending; the last is where they stand.
        records: The values recorded there, by name, (runs, steps, ...); NaN where a run had ended.
        state: All that changes during a run, (runs, ...), as `Trained.state`.
        refusals: Why calls began at step 0 nevertheless.
    """

    steps: np.ndarray
    records: dict[str, np.ndarray]
    state: list[np.ndarray]
    refusals: list[str] = field(default_factory=list)

    def call(
        self, program: Any, piece: slice, steps: np.ndarray, started: tuple[Any, Any]
    ) -> tuple[tuple[Any, Any], Call | None]:
        """Return inputs and carry of a call where it stands, and that as a call to resume.

        Args:
            program: The program.
            piece: Which of the runs it takes.
            steps: The recorded steps of the longer runs.
            started: Its inputs and carry at step 0, which are returned where it cannot go on.
        """
        inputs, carry = started
        leaves, structure = jax.tree.flatten(carry)
        own = [leaf[piece] for leaf in self.state]
        reason = self._why_not(program, own, leaves, steps)
        if reason:
            self.refusals.append(reason)
            return started, None
        count = len(own[0])
        # As the program does with fewer runs than lanes.
        places = np.minimum(np.arange(len(leaves[0])), count - 1)
        gone_on = [jnp.array(leaf[places], copy=True) for leaf in own]
        position = len(self.steps), int(self.steps[-1]), int(self.steps[-1])
        records = {name: values[piece] for name, values in self.records.items()}
        call = Call([], position, records, {}, np.empty((count, 0), np.int64))
        return (inputs, jax.tree.unflatten(structure, gone_on)), call

    def _why_not(
        self, program: Any, own: list[np.ndarray], leaves: list[Any], steps: np.ndarray
    ) -> str:
        if not program.goes_on:
            return "no run of this way of descent can go on"
        same = len(own) == len(leaves) and all(
            kept.shape[1:] == leaf.shape[1:] and kept.dtype == leaf.dtype
            for kept, leaf in zip(own, leaves, strict=True)
        )
        if not same:
            return "what is kept has other arrays than the programs here"
        if not np.array_equal(steps[: len(self.steps)], self.steps):
            return "its recorded steps are not those of the longer runs"
        return ""
