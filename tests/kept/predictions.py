"""How far trained networks of several seeds differ, over the width, as a table.

python -m tests.kept.predictions --csv FILE

Two layers of relu in the tangent kernel's scaling, whose output is centred, on the same samples for
all seeds; the points at which they are compared are fresh ones of the same law.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import dlnsweep

WIDTHS, SEEDS, STEPS, RATE = (16, 32, 64, 128, 256, 512), 100, 4000, 1.0
SAMPLES, POINTS, INPUTS = 20, 200, 5


def on_sphere(count: int, key: int) -> np.ndarray:
    """Return points on the sphere of radius sqrt(m), a row each."""
    rows = np.random.default_rng(key).normal(size=(count, INPUTS))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True) * INPUTS**0.5


def document() -> dict[str, object]:
    """Return the sweep."""
    return {
        "name": "prediction_variance",
        "problem": {"kind": "from_file", "data_file": "samples.npz"},
        "network": {
            "kind": "mlp", "depth": 2, "width": list(WIDTHS), "activation": "relu",
            "parametrization": "ntk", "output": "centred",
        },
        "training": {"learning_rate": RATE / SAMPLES, "num_steps": STEPS},
        "record": {"count": 2, "observables": ["loss"], "weights": "final"},
        "sweep": {"seeds": SEEDS},
    }  # fmt: skip


def measured() -> pd.DataFrame:
    """Return the variance over the seeds for each width, and the largest loss in the end."""
    inputs = on_sphere(SAMPLES, 0)
    np.savez("samples.npz", inputs=inputs, targets=np.sign(inputs[:, 0] * inputs[:, 1]))
    results = dlnsweep.run(dlnsweep.Sweep.from_dict(document()), workers=1)
    table = results.prediction_variance(on_sphere(POINTS, 1).T).set_index("network.width")
    losses = results.runs().groupby("network.width")["final_loss"].max()
    return table.assign(largest_loss=losses).reset_index()


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path, required=True)
    file = parser.parse_args().csv.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        table = measured()
    table.to_csv(file, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
