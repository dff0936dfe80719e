"""What a results folder says of how far its sweep has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from dlnsweep.errors import StoreError
from dlnsweep.store.description import check_receipt
from dlnsweep.store.interface import Files
from dlnsweep.store.layout import batch_name


@dataclass(frozen=True)
class Status:
    """How far a sweep has come.

    Attributes:
        planned: Planned runs.
        done: Runs of committed batches, however they ended.
        diverged: Those of them that diverged, as the receipts say.
        stopped: Those of them that stopped early because they were asked to.
        batches: Planned batches.
        batches_done: Committed batches.
        seconds: Computing time of the committed batches, as their receipts say.
        run_steps: Run-steps that their runs were planned for.
        run_steps_taken: Run-steps that they took: fewer where runs ended early.
        damaged: A sentence for each receipt that is damaged. Its batch is done (its curves and
            outcomes stand), but how its runs ended and how long they took is in none of the counts.
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
    damaged: tuple[str, ...] = ()


def status_of(
    files: Files, runs_of: Mapping[int, int], done_now: Set[int], *, with_damage: bool = False
) -> Status:
    """Return how far a sweep has come.

    Args:
        files: The results folder.
        runs_of: The number of runs of each planned batch.
        done_now: The numbers of the committed batches.
        with_damage: Tell damaged receipts in `Status.damaged`, and go on.

    Raises:
        StoreError: If a receipt cannot be read or is damaged, unless it may be.
    """
    done = sorted(done_now & runs_of.keys())
    receipts, damaged = _receipts(files, done)
    if damaged and not with_damage:
        raise damaged[0]
    ended = [receipt.get("status", {}) for receipt in receipts]
    # Receipts of earlier versions do not say how many steps were taken.
    told = [receipt for receipt in receipts if "run_steps_taken" in receipt]
    return Status(
        planned=sum(runs_of.values()),
        done=sum(runs_of[number] for number in done),
        diverged=sum(counts.get("diverged", 0) for counts in ended),
        stopped=sum(counts.get("stopped", 0) for counts in ended),
        batches=len(runs_of),
        batches_done=len(done),
        seconds=float(sum(receipt.get("seconds", 0.0) for receipt in receipts)),
        run_steps=sum(receipt.get("run_steps", 0) for receipt in told),
        run_steps_taken=sum(receipt["run_steps_taken"] for receipt in told),
        damaged=tuple(map(str, damaged)),
    )


def _receipts(
    files: Files, numbers: Sequence[int]
) -> tuple[list[dict[str, Any]], list[StoreError]]:
    """Return the receipts that can be read, and what is wrong with the others."""

    def read(number: int) -> dict[str, Any] | StoreError:
        name = batch_name("receipts", number)
        try:
            receipt = files.read_json(name)
            check_receipt(receipt, files.path(name))
        except StoreError as error:
            return error
        return receipt

    if files.remote:
        # Each waits for the network, so many wait together.
        with ThreadPoolExecutor(32) as pool:
            found = list(pool.map(read, numbers))
    else:
        found = list(map(read, numbers))
    whole = [each for each in found if not isinstance(each, StoreError)]
    return whole, [each for each in found if isinstance(each, StoreError)]
