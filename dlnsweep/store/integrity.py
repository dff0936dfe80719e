"""Whether every file of a results folder still holds what was committed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlnsweep.errors import StoreError
from dlnsweep.store.address import join
from dlnsweep.store.description import is_receipt
from dlnsweep.store.interface import Files
from dlnsweep.store.layout import (
    CHECKPOINTS,
    FAILURES,
    PLAN_RECEIPT,
    RUNS,
    SWEEP,
    WEIGHTS,
    batch_name,
    batches_in,
)
from dlnsweep.store.records import integers
from dlnsweep.store.seals import is_sealed

_COMPUTE = "its batch does not count as done; run the sweep again, which computes it again"
_REDO = "remove this batch's files in curves, outcomes and receipts and run the sweep again"


@dataclass(frozen=True)
class Problem:
    """Something in a results folder that is not as it was committed.

    Attributes:
        path: The file: a path, or an address.
        sentence: What is wrong, and what to do.
        leftover: Whether it is only what an interrupted commit left (harmless; `gc` removes it).
    """

    path: Any
    sentence: str
    leftover: bool = False


def verify(
    files: Files, run_ids_of: Callable[[], dict[int, np.ndarray]], *, weights: bool = False
) -> list[Problem]:
    """Return all problems of a results folder; an empty list means that every byte is right.

    Args:
        files: The folder.
        run_ids_of: Returns the run ids of each planned batch.
        weights: Whether the weights of runs are kept.
    """
    problems = _verify_plan(files)
    done = batches_in(files, "curves")
    tables = ("curves", "outcomes", *([WEIGHTS] if weights else []))
    found = {number: _verify_batch(files, number, tables) for number in done}
    if not problems:
        intact = [number for number in done if not found[number]]
        problems += _verify_places(files, intact, run_ids_of)
    problems += [problem for number in done for problem in found[number]]
    return problems + _foreign(files) + _leftovers(files, set(done))


def _foreign(files: Files) -> list[Problem]:
    problems = []
    for folder in ("curves", "outcomes"):
        ours = {batch_name(folder, number) for number in batches_in(files, folder)}
        for name in files.names(folder):
            # A reader of curves/*.parquet would take it for results.
            if name.endswith(".parquet") and f"{folder}/{name}" not in ours:
                path = join(files.root, folder, name)
                problems.append(
                    Problem(path, f"{path}: was not written by this sweep; move it elsewhere.")
                )
    return problems


def _leftovers(files: Files, done: set[int]) -> list[Problem]:
    problems = []
    for folder in ("outcomes", "receipts", WEIGHTS):
        for number in sorted(set(batches_in(files, folder)) - done):
            path = files.path(batch_name(folder, number))
            problems.append(
                Problem(
                    path,
                    f"{path}: has no file of curves beside it, because its commit was interrupted; "
                    "run the sweep again to complete it, or `dlnsweep gc` to remove this file.",
                    leftover=True,
                )
            )
    return problems


def _verify_plan(files: Files) -> list[Problem]:
    receipt, problems = _receipt(files, PLAN_RECEIPT, "run the sweep again in another folder")
    for name in (SWEEP, RUNS):
        accepted = receipt["files"].get(name, []) if receipt else None
        problems += _verify_file(files, name, accepted, "restore it from a copy")
    return problems


def _verify_batch(files: Files, number: int, tables: Sequence[str]) -> list[Problem]:
    name = batch_name("receipts", number)
    names = [batch_name(folder, number) for folder in ("receipts", *tables)]
    missing = [files.path(name) for name in names if not files.exists(name)]
    if missing:
        return [Problem(path, f"{path}: is missing; {_COMPUTE}.") for path in missing]
    receipt, problems = _receipt(files, name, _REDO)
    if receipt and receipt.get("batch") != number:
        path = files.path(name)
        problems.append(Problem(path, f"{path}: belongs to batch {receipt.get('batch')}; {_REDO}."))
        receipt = None
    if receipt and not set(tables) <= receipt["files"].keys():
        path = files.path(name)
        problems.append(Problem(path, f"{path}: does not say what weights were kept; {_REDO}."))
        receipt = None
    for folder in tables:
        accepted = [receipt["files"][folder]["sha256"]] if receipt else None
        problems += _verify_file(files, batch_name(folder, number), accepted, _REDO)
    return problems


def _receipt(files: Files, name: str, advice: str) -> tuple[dict[str, Any] | None, list[Problem]]:
    path = files.path(name)
    if not files.exists(name):
        return None, [Problem(path, f"{path}: is missing; {advice}.")]
    try:
        data = files.read_bytes(name)
    except StoreError as error:
        return None, [Problem(path, str(error))]
    if is_sealed(data):
        receipt = json.loads(data)
        if is_receipt(receipt, of_plan=name == PLAN_RECEIPT):
            return receipt, []
    return None, [Problem(path, f"{path}: was changed after it was written; {advice}.")]


def _verify_file(files: Files, name: str, accepted: list[str] | None, advice: str) -> list[Problem]:
    path = files.path(name)
    if not files.exists(name):
        return [Problem(path, f"{path}: is missing; {advice}.")]
    # Without a receipt nothing can be said of the file; the receipt's own problem is listed.
    if accepted is None:
        return []
    try:
        found = files.committed_sha256(name)
    except StoreError as error:
        return [Problem(path, str(error))]
    if found in accepted:
        return []
    sentence = f"{path}: was changed after it was written (its SHA-256 is not the receipt's)"
    return [Problem(path, f"{sentence}; {advice}.")]


def _verify_places(
    files: Files, numbers: list[int], run_ids_of: Callable[[], dict[int, np.ndarray]]
) -> list[Problem]:
    try:
        planned = run_ids_of()
    except StoreError as error:
        return [Problem(files.path(RUNS), str(error))]
    problems = []
    for number in numbers:
        name = batch_name("outcomes", number)
        try:
            table = files.read_table(name, ["run_id"], required=["run_id"])
        except StoreError as error:
            problems.append(Problem(files.path(name), str(error)))
            continue
        found = np.sort(integers(table["run_id"]))
        if not np.array_equal(found, np.sort(planned.get(number, np.empty(0, np.int64)))):
            path = files.path(name)
            problems.append(
                Problem(path, f"{path}: holds other runs than {RUNS} plans for it; {_REDO}.")
            )
    return problems


def leftovers(files: Files, done_now: Callable[[], set[int]]) -> list[str]:
    """Return the files that interrupted commits left, and checkpoints that nothing needs.

    Args:
        files: The folder.
        done_now: Returns the numbers of the committed batches.
    """
    # What has no curves is read before what has them: a commit in between only spares files.
    orphans = {
        batch_name(folder, number): number
        for folder in ("receipts", "outcomes", WEIGHTS)
        for number in batches_in(files, folder)
    }
    kept = batches_in(files, CHECKPOINTS)
    failed = batches_in(files, FAILURES)
    staged, done = files.staged(), done_now()
    curves = set(batches_in(files, "curves"))
    left = [name for name, number in orphans.items() if number not in curves]
    # A checkpoint is of use until its batch is done, and so is why it failed.
    left += [batch_name(CHECKPOINTS, n) for n in kept if n in done]
    return staged + left + [batch_name(FAILURES, n) for n in failed if n in done]
