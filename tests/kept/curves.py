"""Medians along the way, as a table to keep: `python -m tests.kept.curves RESULTS --csv FILE`."""

from __future__ import annotations

import argparse
from pathlib import Path

import dlnsweep
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.figures.statistics import setting_columns


def main() -> None:
    """Write the median over the seeds of every observable, for each setting and recorded step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    results = dlnsweep.open_results(str(arguments.results))
    settings = setting_columns(results.runs())
    curves = results.curves()
    varying = [n for n in settings if n != "seed" and n in curves]
    observables = [n for n in curves if n in OBSERVABLES]
    found = curves.groupby([*varying, "step"])[observables].median()
    found.to_csv(arguments.csv, float_format="%.6g")


if __name__ == "__main__":
    main()
