"""The command line of a script that makes one kept table of one results folder."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd

import dlnsweep


def write(
    description: str | None, table: Callable[[dlnsweep.Results], pd.DataFrame], digits: int
) -> None:
    """Read a folder, and write its table where `--csv` says."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results")
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    made = table(dlnsweep.open_results(arguments.results))
    made.to_csv(arguments.csv, index=False, float_format=f"%.{digits}g")
