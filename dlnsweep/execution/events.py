"""What is told of a sweep while it is computed."""

from __future__ import annotations

from dataclasses import dataclass

# Of a batch that was handed to a worker that was to end; an earlier call may have kept some of it.
NOT_BEGUN = "not begun this time"


@dataclass(frozen=True)
class Event:
    """Something that happened while batches are computed.

    Attributes:
        kind: "ready" (a worker has started), "begun" (a batch), "progress", "done", "failed",
            "retry" (the batch's worker ended; what it did is told again by the next one), "note"
            (something that the user should know), "resumed" (progress that an earlier process has
            made), "stopping" (no batch is begun any more) or "kept" (a batch was stopped).
        batch: The batch, or -1.
        run_steps: Run-steps done since the batch's last event.
        runs: Runs of the batch; of "done".
        diverged: Diverged runs of the batch so far.
        saved: Those of `run_steps` that runs which ended early did not take; of "done".
        text: The device of "ready", the machine of "begun", the reason of "failed", the sentence
            of "note", and of "kept" how far the batch is kept, such as "kept at 45.2 % of its
            steps".
    """

    kind: str
    batch: int = -1
    run_steps: int = 0
    runs: int = 0
    diverged: int = 0
    saved: int = 0
    text: str = ""
