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
# Seeds are added, and a value is searched for: what `intervals` and `boundary` are about.
ROUNDS = {
    "until": """
[sweep.until]
observable = "regression_error"
width = 0.5
relative = true
most_seeds = 12
""",
    "refined": """
[sweep.refine]
between = "training.weight_decay"
success = { observable = "regression_error", below = 0.5 }
tolerance = 0.5
""",
}
# Runs begin with the weights of "kept", whose figures nobody needs.
KEPT = SWEEP.partition("[[figure]]")[0].replace("[record]\n", '[record]\nweights = "final"\n')
X = ["--x", "training.num_steps", "--success", "regression_error < 0.5"]
# Those that the guide lists; 70 would be a bug.
STATUSES = (0, 2, 3, 4, 6)
# What is no mistake of a command is one of another: `diff` ends with 1 where there is a difference.
OWN_STATUSES = {"diff": (1,)}
# Which folder is damaged, where it is not "good".
DAMAGED = {
    "boundary": "refined",
    "intervals": "until",
    "extrapolate": "until",
    "report of until": "until",
    "check from": "kept",
    "run from": "kept",
    "run warm": "warm",
    "summary warm": "warm",
}
Arguments = Callable[[Path, Path], list[str]]


def _beside(root: Path, name: str) -> str:
    return str(root.parent / name)


def _from(root: Path) -> list[str]:
    return ["--set", f'sweep.warm_start="{root}"']


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
    "boundary": lambda root, _: ["boundary", str(root)],
    "intervals": lambda root, _: ["intervals", str(root)],
    "extrapolate": lambda root, _: [
        "extrapolate",
        str(root),
        "--in",
        "training.num_steps",
        "--of",
        "regression_error",
    ],
    "ls": lambda root, _: ["ls", str(root.parent)],
    "diff": lambda root, sweep: ["diff", str(sweep), str(root)],
    "report": lambda root, _: ["report", str(root), "--out", _beside(root, "r.html")],
    "report of until": lambda root, _: ["report", str(root), "--out", _beside(root, "r.html")],
    "check from": lambda root, sweep: ["check", str(sweep.parent / "kept.toml"), *_from(root)],
    "run from": lambda root, sweep: [
        *("run", str(sweep.parent / "kept.toml"), *_from(root), "--out", _beside(root, "new")),
        *("--workers", "0", "-q"),
    ],
    "run warm": lambda root, sweep: [
        *("run", str(sweep.parent / "kept.toml"), *_from(sweep.parent / "kept")),
        *("--out", str(root.parent), "--workers", "0", "-q"),
    ],
    "summary warm": lambda root, _: ["summary", str(root)],
    "cite": lambda root, _: ["cite", str(root)],
    "export curves": lambda root, _: ["export", str(root), _beside(root, "curves.csv")],
    "export outcomes": lambda root, _: ["export", str(root), _beside(root, "outcomes.parquet")],
    "export runs": lambda root, _: [
        "export",
        str(root),
        _beside(root, "runs.csv"),
        "--where",
        "training.num_steps=[30, 40]",
    ],
    "summary latex": lambda root, _: ["summary", str(root), "--format", "latex"],
    "summary markdown": lambda root, _: ["summary", str(root), "--format", "markdown"],
    "summary json": lambda root, _: ["summary", str(root), "--format", "json"],
    "summary pivot": lambda root, _: ["summary", str(root), "--pivot", "training.weight_decay"],
    "summary A B": lambda root, sweep: ["summary", str(root), str(sweep.parent / "good")],
    "figure A B": lambda root, sweep: [
        "figure",
        str(root),
        str(sweep.parent / "good"),
        "--set",
        "figure.hue=sweep",
        "--out",
        _beside(root, "together"),
    ],
}


def write_sweep(folder: Path) -> Path:
    path = folder / "sweep.toml"
    path.write_text(SWEEP, encoding="utf-8")
    return path


def make_folder(root: Path, sweep: Path) -> None:
    """Make a folder with a batch that is not done but has a checkpoint, and a sign of life.

    Folders of `ROUNDS`, which are done, are made beside it, and one that keeps weights with one
    whose runs begin with them.
    """
    kept = root.parent / "kept.toml"
    kept.write_text(KEPT, encoding="utf-8")
    for name, start in (("kept", ""), ("warm", root.parent / "kept")):
        asked = [f'sweep.warm_start="{start}"']
        run(kept, out=root.parent / "made", overrides=asked, workers=0, figures=False)
        (root.parent / "made" / "small").rename(root.parent / name)
    for name, table in ROUNDS.items():
        asked = root.parent / f"{name}.toml"
        asked.write_text(SWEEP.partition("[[figure]]")[0] + table, encoding="utf-8")
        run(asked, out=root.parent / "made", workers=0, figures=False)
        (root.parent / "made" / "small").rename(root.parent / name)
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
