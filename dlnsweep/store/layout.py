"""Where things stand in a results folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dlnsweep.errors import StoreError
from dlnsweep.store.address import Location, join, location
from dlnsweep.store.files import LocalFiles
from dlnsweep.store.interface import STAGING, Files

SWEEP = "sweep.json"
RUNS = "runs.parquet"
PLAN_RECEIPT = "receipts/plan.json"
FOLDERS = (STAGING, "curves", "outcomes", "receipts")
# Made when it is needed.
CHECKPOINTS = "checkpoints"
WEIGHTS = "weights"
RUNNERS = "runners"
FAILURES = "failures"
FIGURES = "figures"
EVERY_FOLDER = (*FOLDERS, CHECKPOINTS, WEIGHTS, RUNNERS, FAILURES, FIGURES)

_SUFFIX = {
    **dict.fromkeys(("curves", "outcomes"), "parquet"),
    **dict.fromkeys((CHECKPOINTS, WEIGHTS), "npz"),
    **dict.fromkeys(("receipts", FAILURES), "json"),
}
_BATCH = re.compile(r"batch-(\d{6,9})\.(parquet|json|npz)")
_SWEEP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def open_files(root: Location) -> Files:
    """Return the files below a folder, or below an address in an object store."""
    if isinstance(root, Path):
        return LocalFiles(root)
    # Whoever keeps results in a folder need not wait for the clients of object stores.
    from dlnsweep.store.objects import ObjectFiles

    return ObjectFiles(root)


def results_folder(parent: str | Path, name: str) -> Any:
    """Return the folder of a sweep below `parent`: a path, or an address as text.

    Raises:
        StoreError: If the name could lead out of `parent` or is no plain name.
    """
    if not _SWEEP_NAME.fullmatch(name):
        shown = repr(name if len(name) <= 100 else name[:100] + "...")
        raise StoreError(
            f"{parent}: {shown} cannot name a results folder; a sweep's name starts with a letter "
            "or digit and has at most 100 letters, digits, '.', '_' and '-'; change `name`."
        )
    return join(location(parent), name)


def check_not_within(root: Any) -> None:
    """Refuse to make a folder within another sweep's, as who names that one for its parent does.

    Only where results are files here: in an object store looking costs a request.

    Raises:
        StoreError: If the folder above is itself the results folder of a sweep.
    """
    if not isinstance(root, Path) or not (root.parent / SWEEP).is_file():
        return
    parent, name = root.parent, root.name
    whole = f"take --out {parent.parent}"
    if parent.name != name:
        whole += f", and rename {parent.name} to {name} first if it is what shall go on"
    raise StoreError(
        f"{parent}: is itself the results folder of a sweep, and the one of '{name}' would be made "
        f"anew within it: --out names the folder in which '{name}' lies; {whole}."
    )


def batch_name(folder: str, number: int) -> str:
    """Return the name of a batch's file in one of the folders that have a file a batch."""
    return f"{folder}/batch-{number:06d}.{_SUFFIX[folder]}"


def batches_in(files: Files, folder: str) -> list[int]:
    """Return the numbers of the batches that have a file in the folder, ascending."""
    found = ((name, _BATCH.fullmatch(name)) for name in files.names(folder))
    numbers = ((name, int(match[1])) for name, match in found if match)
    return sorted(n for name, n in numbers if f"{folder}/{name}" == batch_name(folder, n))
