"""What a sweep's workers took, as a table to keep: `python -m tests.kept.times RESULTS --csv FILE`.

The seconds by the clock that its workers were busy with batches, from the receipts of these; a
worker with a core of its own, so that they over the number of workers are those of the sweep, but
for the start of Python and the figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

_SECONDS = ("seconds", "training_seconds", "compile_seconds")


def times(folder: Path) -> pd.DataFrame:
    """Return one row: batches, runs, their steps, and the seconds of all workers."""
    found = [json.loads(path.read_text("utf-8")) for path in folder.glob("receipts/batch-*.json")]
    row: dict[str, object] = {"batches": len(found)}
    row |= {name: sum(each[name] for each in found) for name in ("runs", "run_steps")}
    row |= {name: round(sum(each[name] for each in found), 1) for name in _SECONDS}
    return pd.DataFrame([row])


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    times(arguments.results).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
