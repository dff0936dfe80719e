"""The table of networks that learn a ReLU neuron of many inputs, to keep.

python -m tests.kept.reduced_inputs results/high_dimensional_teacher --csv FILE
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

import dlnsweep

_KEYS = ["network.trained_layers", "network.richness", "problem.measurement_dim"]


def errors(results: dlnsweep.Results) -> pd.DataFrame:
    """Return, for each network and dimension, the errors at the end: medians and quartiles."""
    runs = results.runs()
    assert set(runs["status"]) == {"finished"}
    groups = runs.groupby(_KEYS)
    found = groups.agg(
        num_samples=("problem.num_samples", "first"),
        num_runs=("seed", "size"),
        training_error=("final_regression_error", "median"),
        test_error=("final_test_error", "median"),
        test_q25=("final_test_error", lambda values: values.quantile(0.25)),
        test_q75=("final_test_error", lambda values: values.quantile(0.75)),
    )
    return found.reset_index()


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results")
    parser.add_argument("--csv", type=Path, required=True)
    arguments = parser.parse_args()
    found = errors(dlnsweep.open_results(arguments.results))
    found.to_csv(arguments.csv, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
