"""The samples of sweeps/random_search.toml and their errors, as a table to keep.

python -m tests.kept.asking results/random_search --csv FILE
"""

from __future__ import annotations

import pandas as pd

import dlnsweep

from .writing import write

SAMPLED = ("layer_init_scale", "learning_rate", "weight_decay")
ERRORS = ("regression_error", "off_subspace_error")


def samples(results: dlnsweep.Results) -> pd.DataFrame:
    """Return one row a sample: its settings, and the median over the seeds of each error."""
    runs = results.runs()
    sections = {"layer_init_scale": "network"}
    names = [f"{sections.get(key, 'training')}.{key}" for key in SAMPLED]
    found = runs.groupby(names)[[f"final_{each}" for each in ERRORS]].median().reset_index()
    return found.set_axis([*SAMPLED, *ERRORS], axis="columns")


if __name__ == "__main__":
    write(__doc__, samples, 6)
