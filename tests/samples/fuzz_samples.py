"""The folder that the fuzz tests damage, and the commands that they give it to."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sweep_samples import SMALL

from dlnsweep import run
from dlnsweep.store import Store
from dlnsweep.store.packing import pack

SWEEP = (
    SMALL.replace('"off_subspace_error"]', '"off_subspace_error", "singular_values"]').partition(
        "[figure]"
    )[0]
    + """
[[figure]]
kind = "curves"
y = "regression_error"
hue = "training.weight_decay"
formats = ["png"]
[[figure]]
kind = "final"
y = "regression_error"
x = "training.num_steps"
formats = ["png"]
"""
)
X = ["--x", "training.num_steps", "--success", "regression_error < 0.5"]
# Those that the guide lists; 70 would be a bug.
STATUSES = (0, 2, 3, 4, 6)
Arguments = Callable[[Path, Path], list[str]]
COMMANDS: dict[str, Arguments] = {
    "status": lambda root, _: ["status", str(root)],
    "summary": lambda root, _: ["summary", str(root)],
    "summary at min": lambda root, _: ["summary", str(root), "--at", "min"],
    "figure": lambda root, _: ["figure", str(root)],
    "claims": lambda root, _: [
        "claims",
        str(root),
        "--isometry",
        "inf",
        "--any-width",
        "--any-decay",
    ],
    "transition": lambda root, _: ["transition", str(root), *X],
    "verify": lambda root, _: ["verify", str(root)],
    "gc": lambda root, _: ["gc", str(root)],
    "run": lambda root, sweep: [
        "run",
        str(sweep),
        "--out",
        str(root.parent),
        "--workers",
        "0",
        "-q",
    ],
}


def write_sweep(folder: Path) -> Path:
    path = folder / "sweep.toml"
    path.write_text(SWEEP, encoding="utf-8")
    return path


def make_folder(root: Path, sweep: Path) -> None:
    """Make a folder with a batch that is not done but has a checkpoint, and a sign of life."""
    run(sweep, out=root.parent / "made", workers=0, figures=False)
    (root.parent / "made" / "small").rename(root)
    store = Store.open(root)
    last = max(store.done())
    for folder, suffix in (("curves", "parquet"), ("outcomes", "parquet"), ("receipts", "json")):
        (root / folder / f"batch-{last:06d}.{suffix}").unlink()
    store.checkpoint(last).write(pack({"states": [np.arange(6.0)], "step": 10}, ()))
    sign = {"host": "h", "process": 1, "how": "1 worker process", "batches": [[last, "10 steps"]]}
    (root / "runners").mkdir(exist_ok=True)
    (root / "runners" / "a.json").write_text(
        json.dumps({**sign, "beat": datetime.now(UTC).isoformat()})
    )
