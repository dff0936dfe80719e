"""A worker process as the engine starts it, for what another process finds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def told_by_a_worker(root: Path, batch: int = 0) -> list[dict[str, Any]]:
    """Return what a new worker process says of one batch of a results folder."""
    done = subprocess.run(
        [sys.executable, "-m", "dlnsweep.worker", str(root)],
        input=json.dumps({"batch": batch}) + "\n",
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]
