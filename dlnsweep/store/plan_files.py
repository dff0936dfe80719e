"""`sweep.json`, `runs.parquet` and their receipt, which are written together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from dlnsweep.errors import StoreError
from dlnsweep.store.among import among
from dlnsweep.store.description import is_receipt
from dlnsweep.store.interface import Files
from dlnsweep.store.layout import (
    CHECKPOINTS,
    FAILURES,
    FOLDERS,
    PLAN_RECEIPT,
    RUNNERS,
    RUNS,
    SWEEP,
    WEIGHTS,
)
from dlnsweep.store.records import integers, runs_parquet
from dlnsweep.store.seals import is_sealed, now, render_json, seal, sha256
from dlnsweep.store.stored_plan import ROWS_AT_ONCE, StoredPlan
from dlnsweep.store.system import Data


def write_first(files: Files, plan: StoredPlan, environment: dict[str, Any]) -> None:
    """Write a plan into a new or empty folder, unless another runner does so meanwhile.

    Args:
        files: The folder; it is made where needed.
        plan: The plan.
        environment: For the reader of `sweep.json`.

    Raises:
        StoreError: If the folder is not free or cannot be written; then nothing is left in it.
    """
    _check_free(files)
    contents: dict[str, Data] = {
        RUNS: runs_parquet(plan.runs_tables()),
        SWEEP: render_json(plan.description(environment)),
    }
    made = files.create_folders(FOLDERS, anew=True)
    try:
        with files.locked(exclusive=True, required=False):
            if not files.exists(SWEEP):
                with _undone_on_error(files):
                    files.write_in_order([_receipt(contents), *contents.items()])
    except StoreError:
        if not files.exists(SWEEP):
            files.remove_lock()
            files.remove_folders(made)
        raise


def write_more(
    files: Files, stored: pa.Table, plan: StoredPlan, first: int, environment: dict[str, Any]
) -> dict[str, Any]:
    """Append runs to `runs.parquet` and renew `sweep.json`; the caller holds the folder's lock.

    Args:
        files: The folder.
        stored: Its `runs.parquet`, as it stands now.
        plan: New runs; those that are stored already are left out.
        first: What is added to their batch numbers.
        environment: For the reader of `sweep.json`.

    Returns:
        The new content of `sweep.json`.

    Raises:
        StoreError: If the folder is damaged or cannot be written.
    """
    accepted = _intact_hashes(files)
    table = pa.concat_tables(replace(plan, batch=np.asarray(plan.batch) + first).runs_tables())
    new = ~among(plan.run_ids, integers(stored["run_id"]))
    whole = pa.concat_tables([stored, table.filter(pa.array(new))], promote_options="permissive")
    pieces = (whole.slice(i, ROWS_AT_ONCE) for i in range(0, whole.num_rows, ROWS_AT_ONCE))
    sweep = plan.description(environment)
    contents: dict[str, Data] = {RUNS: runs_parquet(pieces), SWEEP: render_json(sweep)}
    # Two files cannot change at one instant, so meanwhile the receipt accepts both states.
    files.write_in_order([_receipt(contents, accepted), *contents.items()])
    files.write_in_order([_receipt(contents)])
    return sweep


def _check_free(files: Files) -> None:
    names = set(files.names())
    if not names or files.exists(SWEEP):
        return
    if SWEEP in names:
        raise StoreError(
            f"{files.path(SWEEP)}: is no file (a folder, a pipe or a device); restore it, or give "
            "another folder with --out DIR."
        )
    # A creation that was killed leaves its own files, but never a file of curves or outcomes; and
    # where a folder was moved away under a runner, earlier versions left signs of life.
    receipts = set(files.names("receipts")) if "receipts" in names else set()
    ours = (
        names <= {*FOLDERS, RUNS, CHECKPOINTS, WEIGHTS, RUNNERS, FAILURES}
        and receipts <= {"plan.json"}
        and (RUNS not in names or receipts)
    )
    if not ours or any(files.names(f) for f in ("curves", "outcomes", WEIGHTS) if f in names):
        shown = ", ".join(sorted(names - set(FOLDERS))[:3]) or "files of batches"
        raise StoreError(
            f"{files.root}: is not empty ({shown}) and holds no {SWEEP}; results go into a new or "
            "empty folder; give another one with --out DIR."
        )


@contextlib.contextmanager
def _undone_on_error(files: Files) -> Iterator[None]:
    try:
        yield
    except StoreError:
        # With sweep.json in its place everything else is too, and others may use the folder.
        if not files.exists(SWEEP):
            for name in (RUNS, PLAN_RECEIPT):
                with contextlib.suppress(StoreError):
                    files.remove(name)
        raise


def _receipt(
    contents: dict[str, Data], accepted: dict[str, list[str]] | None = None
) -> tuple[str, bytes]:
    old = accepted or {}
    hashes = {n: list(dict.fromkeys([sha256(c), *old.get(n, [])])) for n, c in contents.items()}
    return PLAN_RECEIPT, seal({"created": now(), "files": hashes})


def check_intact(files: Files) -> None:
    """Refuse to compute what a folder plans if the plan is not as it was written.

    Where its receipt is lost nobody can tell, and the runs' settings are held against the sweep.

    Raises:
        StoreError: If it was changed.
    """
    while files.exists(PLAN_RECEIPT):
        seen = files.read_bytes(PLAN_RECEIPT)
        try:
            _accepted(files, "nothing is computed by it")
            return
        except StoreError:
            # Another runner may add runs meanwhile; it renews the receipt before what that is of.
            if files.read_bytes(PLAN_RECEIPT) == seen:
                raise


def _intact_hashes(files: Files) -> dict[str, list[str]]:
    if not files.exists(PLAN_RECEIPT):
        raise StoreError(
            f"{files.path(PLAN_RECEIPT)}: is missing, so nobody can tell whether {RUNS} is as it "
            "was written, and no runs are added to it; restore it, give another folder with --out "
            "DIR, or run the sweep that the folder holds."
        )
    return _accepted(files, "no runs are added to it")


def _accepted(files: Files, consequence: str) -> dict[str, list[str]]:
    """Return the hashes of the receipt, all of which the files have."""
    receipt = files.read_json(PLAN_RECEIPT)
    sealed = is_sealed(files.read_bytes(PLAN_RECEIPT)) and is_receipt(receipt, of_plan=True)
    accepted = receipt["files"] if sealed else {}
    for name in (RUNS, SWEEP):
        if files.committed_sha256(name) not in accepted.get(name, []):
            raise StoreError(
                f"{files.path(name)}: was changed after it was written, so {consequence}; restore "
                "it, or give another folder with --out DIR."
            )
    return accepted
