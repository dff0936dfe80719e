"""The results folder of one sweep: what is planned, what is done, and how a batch is committed.

A batch is done exactly when its files of curves, outcomes and receipt stand; that of curves goes
last, whole, so a process may be killed at any instant. A batch that lost one of them afterwards is
computed again. Runners coordinate through this folder alone.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dlnsweep.errors import StoreError
from dlnsweep.store import run_table
from dlnsweep.store.address import location
from dlnsweep.store.among import among
from dlnsweep.store.checkpoints import CheckpointFile, verify_checkpoints
from dlnsweep.store.contents import check_rows, check_types
from dlnsweep.store.description import check_sweep
from dlnsweep.store.integrity import Problem, leftovers, verify
from dlnsweep.store.interface import Files
from dlnsweep.store.layout import (
    CHECKPOINTS,
    EVERY_FOLDER,
    FOLDERS,
    RUNS,
    SWEEP,
    WEIGHTS,
    batch_name,
    batches_in,
    open_files,
    results_folder,
)
from dlnsweep.store.plan_files import write_first, write_more
from dlnsweep.store.records import curves_parquet, integers, outcomes_parquet
from dlnsweep.store.seals import now, seal, sha256
from dlnsweep.store.status import Status, status_of
from dlnsweep.store.stored_plan import FORMAT, StoredPlan, check_compatible, is_setting
from dlnsweep.store.system import Data, only_removing
from dlnsweep.store.weights import Group, read_weights

__all__ = ["Problem", "Status", "Store", "StoredPlan", "results_folder"]


_REQUIRED = {"curves": ("run_id", "step"), "outcomes": ("run_id", "status")}


class Store:
    """A results folder; made by `Store.create` or `Store.open`.

    Attributes:
        root: The folder as a path, or its address in an object store as text.
        files: Its files, by name.
        sweep: The content of `sweep.json`.
    """

    def __init__(self, files: Files, sweep: dict[str, Any]) -> None:
        # Which of the two it is no type checker can know, and who opens a folder need not ask.
        self.root: Any = files.root
        self.files = files
        self.sweep = sweep

    @classmethod
    def exists(cls, root: str | Path) -> bool:
        """Tell whether the folder holds a sweep."""
        return open_files(location(root)).exists(SWEEP)

    @classmethod
    def open(cls, root: str | Path) -> Store:
        """Open the folder of a sweep, for reading or for more batches.

        Raises:
            StoreError: If it is not such a folder, or not a whole one.
        """
        files = open_files(location(root))
        files.check_no_links([*EVERY_FOLDER, SWEEP, RUNS])
        if not files.exists(SWEEP):
            found = "holds no sweep.json" if files.is_folder() else "is not a folder"
            raise StoreError(
                f"{files.root}: {found}, so it is not the results folder of a sweep; give the "
                "folder that `dlnsweep run` made (results/<name>)."
            )
        sweep = files.read_json(SWEEP)
        if "format" not in sweep:
            raise StoreError(
                f"{files.path(SWEEP)}: names no storage format, so it is damaged, or not of "
                "dlnsweep; restore it from a copy, or give another folder with --out DIR."
            )
        if sweep["format"] != FORMAT:
            raise StoreError(
                f"{files.path(SWEEP)}: has storage format {sweep['format']!r}, but this version of "
                f"dlnsweep reads format {FORMAT}; use the version that wrote it, or give another "
                "folder with --out DIR."
            )
        check_sweep(sweep, files.path(SWEEP))
        if not files.exists(RUNS):
            raise StoreError(
                f"{files.root}: holds no {RUNS} (the table of planned runs) beside its {SWEEP}; "
                "restore it, or move the folder away and run the sweep again."
            )
        return cls(files, sweep)

    @classmethod
    def create(cls, root: str | Path, plan: StoredPlan, environment: dict[str, Any]) -> Store:
        """Write a plan into a new or empty folder, before any work.

        If another runner made the same folder at the same moment, open that one; it may hold
        fewer runs, which `missing_rows` tells.

        Args:
            root: The folder; folders above it are made too.
            plan: What is to be run.
            environment: Versions, git commit and device kind, for the reader of `sweep.json`.

        Raises:
            StoreError: If the folder is not free or cannot be written; then nothing is left in
                it.
        """
        files = open_files(location(root))
        files.check_no_links([*EVERY_FOLDER, SWEEP, RUNS])
        write_first(files, plan, environment)
        store = cls.open(root)
        store.check_accepts(plan)
        return store

    def check_accepts(self, plan: StoredPlan) -> None:
        """Refuse a plan that is neither the stored sweep, nor a part of it, nor an enlargement.

        Args:
            plan: The whole plan; its batches and lanes do not matter.

        Raises:
            StoreError: If it is another sweep, or another precision or numerics version.
        """
        check_compatible(self.root, self.sweep, self._run_ids, self.runs_table, plan)

    def known_run_ids(self) -> np.ndarray:
        """Return the ids of all planned runs, in the order of `runs.parquet`."""
        return self._run_ids

    def missing_rows(self, run_ids: np.ndarray) -> np.ndarray:
        """Return the places in `run_ids` of runs that are not planned here yet."""
        return np.flatnonzero(~among(run_ids, self._run_ids))

    def extend(
        self, plan: StoredPlan, environment: dict[str, Any], whole: StoredPlan | None = None
    ) -> int:
        """Add runs to the plan; stored runs keep their places and batches.

        Runs that another runner added meanwhile are not added twice. Without new runs this only
        brings `sweep.json` up to date, if the record changed (another figure, say).

        Args:
            plan: The new runs only, their batches counted from any number; name, record and so
                on of the enlarged sweep. Batch b becomes batch (returned number) + b.
            environment: As for `create`.
            whole: The whole enlarged sweep, which must fit what other runners added meanwhile.

        Returns:
            What was added to the batch numbers: one more than the largest stored number.

        Raises:
            StoreError: If the folder cannot be written, or another runner has made it another
                sweep's meanwhile; then everything stored is as before.
        """
        unchanged = self.sweep.get("sweep_sha256") == plan.record_sha256()
        if unchanged and not len(self.missing_rows(plan.run_ids)):
            return self._next_number()
        self._prepare_to_write()
        with self.files.locked(exclusive=True, required=False):
            self._forget()
            if whole is not None:
                self.sweep = self.files.read_json(SWEEP)
                self.check_accepts(whole)
            first = self._next_number()
            self.sweep = write_more(self.files, self.runs_table(), plan, first, environment)
            self._forget()
        return first

    def runs_table(self, columns: list[str] | None = None) -> pa.Table:
        """Return `runs.parquet`, or some columns of it: run_id, batch, lane and the settings."""
        return run_table.read(self.files, columns)

    def runs_of_batch(self, number: int) -> pa.Table:
        """Return the rows of `runs.parquet` of one batch, in lane order; none if not planned."""
        return run_table.runs_of_batch(self.files, number)

    def read_batch(self, folder: str, number: int, columns: list[str] | None = None) -> pa.Table:
        """Return a committed batch's table in "curves" or "outcomes", or some columns of it.

        Raises:
            StoreError: If it cannot be read or is damaged.
        """
        required = [n for n in _REQUIRED[folder] if columns is None or n in columns]
        # Readers of many batches use a thread for each.
        name = batch_name(folder, number)
        table = self.files.read_table(name, columns, required=required, use_threads=False)
        planned = self._planned(number)
        with self.files.refusing(name):
            check_types(folder, table.schema)
            check_rows(folder, table, planned)
        return table

    def read_footer(self, folder: str, number: int) -> tuple[pa.Schema, int]:
        """Return the columns of a committed batch's table, and its number of rows."""
        name = batch_name(folder, number)
        schema, rows = self.files.read_footer(name)
        with self.files.refusing(name):
            check_types(folder, schema)
        return schema, rows

    @property
    def settings(self) -> list[str]:
        """The dotted keys of the settings, which are columns of `runs_table`."""
        return [name for name in run_table.column_names(self.files) if is_setting(name)]

    def batches(self) -> list[tuple[int, np.ndarray]]:
        """Return number and rows (of `runs_table`, in lane order) of every planned batch."""
        return list(self._rows_of_batches.items())

    def done(self) -> set[int]:
        """Return the numbers of the committed batches, none of whose files is missing."""
        # Curves are listed first, as they are written last: else a commit in between would seem
        # to lack the others.
        folders = ("curves", "outcomes", "receipts", *([WEIGHTS] if self.keeps_weights else []))
        return set.intersection(*(set(batches_in(self.files, folder)) for folder in folders))

    @property
    def keeps_weights(self) -> bool:
        """Whether the weights of its runs are kept: record.weights, the same for all of them."""
        return bool(self.sweep["sweep"].get("shared", {}).get("record.weights"))

    def commit(
        self,
        number: int,
        curves: pa.Table,
        outcomes: pa.Table,
        receipt: dict[str, Any],
        weights: bytes | None = None,
    ) -> bool:
        """Make a batch's results permanent, all or nothing.

        Args:
            number: The batch.
            curves: As `records.curves_table` returns it.
            outcomes: As `records.outcomes_table` returns it, one row for each run of the batch.
            receipt: What is volatile: seconds, steps, device, versions.
            weights: The content of the batch's file of weights, where they are kept.

        Returns:
            False if another runner had committed the batch already; its files then stay.

        Raises:
            StoreError: If the system refuses; then the batch is as if it had not been run.
        """
        self._prepare_to_write()
        planned = integers(run_table.runs_of_batch(self.files, number, ["run_id"])["run_id"])
        if not np.array_equal(np.sort(integers(outcomes["run_id"])), np.sort(planned)):
            raise ValueError(f"these are not the outcomes of the runs of batch {number}")
        if (weights is None) == self.keeps_weights:
            raise ValueError(
                f"batch {number}: weights are given where, and only where, they are kept"
            )
        # In the order in which they are written: the file of curves says that all are there.
        parts: dict[str, tuple[Data, int]] = {
            "outcomes": (outcomes_parquet(outcomes), outcomes.num_rows),
            **({} if weights is None else {WEIGHTS: (weights, outcomes.num_rows)}),
            "curves": (curves_parquet(curves), curves.num_rows),
        }
        counts = outcomes["status"].value_counts().to_pylist()
        sealed = seal(
            {
                "batch": number,
                "created": now(),
                **receipt,
                "runs": outcomes.num_rows,
                "status": {c["values"]: c["counts"] for c in counts},
                "files": {
                    folder: {"sha256": sha256(data), "bytes": len(data), "rows": rows}
                    for folder, (data, rows) in parts.items()
                },
            }
        )
        names = {folder: batch_name(folder, number) for folder in ("receipts", *parts)}
        # Shared: runners commit side by side, but not while `gc` looks for what nobody owns.
        with self.files.locked(exclusive=False, required=False):
            if all(map(self.files.exists, names.values())):
                return False
            # Of a batch that lost a file: it is not done before all of them are new.
            self.files.remove(names["curves"])
            if weights is not None:
                self.files.create_folders([WEIGHTS])
            contents = [(names[folder], data) for folder, (data, _) in parts.items()]
            self.files.write_in_order([(names["receipts"], sealed), *contents])
        return True

    def weights_of_batch(self, number: int) -> list[Group]:
        """Return the weights that are kept of a committed batch.

        Raises:
            StoreError: If the file cannot be read, is damaged, or does not fit into memory.
        """
        return read_weights(self.files, number)

    def status(self, *, with_damage: bool = False) -> Status:
        """Return how far the sweep has come; see `status_of`."""
        planned = run_table.count_runs(self.files)
        return status_of(self.files, planned, self.done(), with_damage=with_damage)

    def verify(self) -> list[Problem]:
        """Return everything in the folder that is not as it was committed."""
        self._forget()
        problems = verify(self.files, self._run_ids_of_batches, weights=self.keeps_weights)
        return problems + verify_checkpoints(self.files, self.done())

    def kept(self) -> list[int]:
        """Return the numbers of the unfinished batches that have a checkpoint."""
        return sorted(set(batches_in(self.files, CHECKPOINTS)) - self.done())

    def checkpoint(self, number: int) -> CheckpointFile:
        """Return the file in which an unfinished batch keeps how far it has come."""
        return CheckpointFile(self.files, number)

    @only_removing()
    def gc(self, *, dry_run: bool = False) -> list[Any]:
        """Remove what interrupted commits left behind; never anything committed.

        Args:
            dry_run: Only tell what would go (of a running sweep this may name files in use).

        Returns:
            The files removed, or to be removed: paths, or addresses.

        Raises:
            StoreError: If they cannot be removed, or without locks a commit could be hit.
        """
        self.files.check_no_links(EVERY_FOLDER)
        if dry_run:
            found = self.files.abandoned(leftovers(self.files, self.done))
            return [self.files.path(name) for name in found]
        self._prepare_to_write()
        with self.files.locked(exclusive=True):
            found = self.files.abandoned(leftovers(self.files, self.done))
            for name in found:
                self.files.remove(name)
        return [self.files.path(name) for name in found]

    @cached_property
    def _run_ids(self) -> np.ndarray:
        found = integers(self.runs_table(["run_id"])["run_id"])
        if len(np.unique(found)) < len(found):
            raise StoreError(
                f"{self.files.path(RUNS)}: is damaged: it plans a run twice; restore it from a "
                "copy, or move the folder away and run the sweep again."
            )
        return found

    @cached_property
    def _rows_of_batches(self) -> dict[int, np.ndarray]:
        table = self.runs_table(["batch", "lane"])
        batch = integers(table["batch"])
        if not len(batch):
            raise StoreError(
                f"{self.files.path(RUNS)}: is damaged: it plans no run; restore it from a copy, or "
                "move the folder away and run the sweep again."
            )
        order = np.lexsort((integers(table["lane"]), batch))
        numbers, starts = np.unique(batch[order], return_index=True)
        return dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))

    def _planned(self, number: int) -> np.ndarray:
        """Return the run ids of a batch, which another runner may have added meanwhile."""
        if number not in self._rows_of_batches:
            self._forget()
        rows = self._rows_of_batches.get(number)
        return self._run_ids[:0] if rows is None else self._run_ids[rows]

    def _run_ids_of_batches(self) -> dict[int, np.ndarray]:
        return {number: self._run_ids[rows] for number, rows in self._rows_of_batches.items()}

    def _next_number(self) -> int:
        return 1 + max(self._rows_of_batches, default=-1)

    def _forget(self) -> None:
        for name in ("_run_ids", "_rows_of_batches"):
            self.__dict__.pop(name, None)

    def _prepare_to_write(self) -> None:
        if not self.files.exists(SWEEP):
            raise StoreError(
                f"{self.root}: lost its {SWEEP} meanwhile, so nothing more is written to it; "
                "restore the folder or run the sweep again."
            )
        self.files.check_no_links(EVERY_FOLDER)
        # Tools that copy folders may leave out empty ones.
        self.files.create_folders(FOLDERS)
