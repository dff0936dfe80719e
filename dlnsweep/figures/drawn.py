"""Figures that are up to date need not be drawn again: what they were drawn from is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dlnsweep.errors import DlnsweepError
from dlnsweep.store import Store
from dlnsweep.store.layout import RUNS, batch_name
from dlnsweep.version import __version__

_RECORD = "figures/drawn.json"


def up_to_date(store: Store, figures: Sequence[Any]) -> list[Path]:
    """Return the files of a folder's figures if drawing them again would change nothing.

    That is: the same results, settings and versions as when they were drawn, and every file as it
    was written. None where that is not known, as in an object store.
    """
    inputs = _inputs(store, figures)
    if not inputs or not store.files.exists(_RECORD):
        return []
    try:
        record = store.files.read_json(_RECORD)
        files: Any = record.get("files")
        if record.get("inputs") != inputs or not isinstance(files, dict) or not files:
            return []
        names = [f"figures/{name}" for name in files]
        if any(
            not store.files.exists(name) or store.files.sha256(name) != digest
            for name, digest in zip(names, files.values(), strict=True)
        ):
            return []
        return [store.root / name for name in names]
    except (DlnsweepError, ValueError):
        # A record that cannot be used is none: the figures are drawn.
        return []


def remember(store: Store, figures: Sequence[Any], paths: Sequence[Any]) -> None:
    """Keep what the files of a folder's figures were drawn from."""
    inputs = _inputs(store, figures)
    if not inputs:
        return
    files = {path.name: store.files.sha256(f"figures/{path.name}") for path in paths}
    content = json.dumps({"inputs": inputs, "files": files}, indent=1) + "\n"
    store.files.write_in_order([(_RECORD, content.encode())])


def _inputs(store: Store, figures: Sequence[Any]) -> str:
    """Return a digest of all that the figures are drawn from; empty where it is not known."""
    # Nobody tells when the code of another package's figure has changed.
    ours = all(type(figure).__module__.startswith("dlnsweep.") for figure in figures)
    if not isinstance(store.root, Path) or not ours:
        return ""
    files = store.files
    receipts = [batch_name("receipts", number) for number in sorted(store.done())]
    known = {
        "versions": [__version__, version("matplotlib")],
        "figures": [figure.model_dump(mode="json") for figure in figures],
        "files": [files.sha256(name) for name in (RUNS, *receipts) if files.exists(name)],
    }
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()
