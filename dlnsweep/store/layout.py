"""Where things stand in a results folder."""

from __future__ import annotations

import re
from pathlib import Path

from dlnsweep.errors import StoreError
from dlnsweep.store.files import STAGING, LocalFiles

SWEEP = "sweep.json"
RUNS = "runs.parquet"
PLAN_RECEIPT = "receipts/plan.json"
FOLDERS = (STAGING, "curves", "outcomes", "receipts")
# Made when it is needed.
CHECKPOINTS = "checkpoints"

_SUFFIX = {"curves": "parquet", "outcomes": "parquet", "receipts": "json", "checkpoints": "npz"}
_BATCH = re.compile(r"batch-(\d{6,9})\.(parquet|json|npz)")
_SWEEP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def results_folder(parent: Path, name: str) -> Path:
    """Return the folder of a sweep below `parent`.

    Raises:
        StoreError: If the name could lead out of `parent` or is no plain name.
    """
    if not _SWEEP_NAME.fullmatch(name):
        shown = repr(name if len(name) <= 100 else name[:100] + "...")
        raise StoreError(
            f"{parent}: {shown} cannot name a results folder; a sweep's name starts with a letter "
            "or digit and has at most 100 letters, digits, '.', '_' and '-'; change `name`."
        )
    return parent / name


def batch_name(folder: str, number: int) -> str:
    """Return the name of a batch's file in "curves", "outcomes", "receipts" or "checkpoints"."""
    return f"{folder}/batch-{number:06d}.{_SUFFIX[folder]}"


def batches_in(files: LocalFiles, folder: str) -> list[int]:
    """Return the numbers of the batches that have a file in the folder, ascending."""
    found = ((name, _BATCH.fullmatch(name)) for name in files.names(folder))
    numbers = ((name, int(match[1])) for name, match in found if match)
    return sorted(n for name, n in numbers if f"{folder}/{name}" == batch_name(folder, n))
