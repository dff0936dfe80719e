"""What a results folder says of how far its sweep has come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    """How far a sweep has come.

    Attributes:
        planned: Planned runs.
        done: Runs of committed batches, however they ended.
        diverged: Those of them that diverged.
        stopped: Those of them that stopped early because they were asked to.
        batches: Planned batches.
        batches_done: Committed batches.
        seconds: Computing time of the committed batches, as their receipts say.
        run_steps: Run-steps that their runs were planned for.
        run_steps_taken: Run-steps that they took: fewer where runs ended early.
    """

    planned: int
    done: int
    diverged: int
    stopped: int
    batches: int
    batches_done: int
    seconds: float
    run_steps: int
    run_steps_taken: int
