"""Sharpness-aware steps of diagonal networks: what they multiply each u_j v_j by."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kept.sharpness_aware import product_factor

import dlnsweep

NUM_INPUTS, NUM_SAMPLES, RATE, RADIUS, STEPS = 6, 4, 0.05, 0.2, 3


def _file(folder: Path) -> dict[str, Any]:
    return {
        "name": "products",
        "problem": {"kind": "from_file", "data_file": str(folder / "data.npz"),
                    "num_samples": NUM_SAMPLES},
        "network": {"kind": "diagonal_linear", "layer_init_scale": 0.3},
        "training": {"loss": "mean_squared", "learning_rate": RATE, "sam_radius": RADIUS,
                     "num_steps": STEPS},
        "record": {"spacing": "linear", "count": STEPS + 1, "observables": ["loss"],
                   "weights": list(range(STEPS + 1))},
        "sweep": {"seeds": 1, "kernel": "generic"},
    }  # fmt: skip


def test_the_product_of_u_and_v_changes_by_the_derived_factor(tmp_path: Path):
    generator = np.random.default_rng(0)
    # A row more, which tests.
    inputs = generator.standard_normal((NUM_SAMPLES + 1, NUM_INPUTS))
    targets = generator.standard_normal(NUM_SAMPLES + 1)
    np.savez(tmp_path / "data.npz", inputs=inputs, targets=targets)
    x, y = inputs[:NUM_SAMPLES], targets[:NUM_SAMPLES]
    results = dlnsweep.run(_file(tmp_path), out=tmp_path, progress=False)
    (run_id,) = results.runs()["run_id"]
    steps = [results.weights(run_id, step=step) for step in range(STEPS + 1)]

    def pull(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return h, the derivative of |x beta - y|^2 / 2n in beta: dL/du = 2 u h."""
        return x.T @ (x @ (u * u - v * v) - y) / NUM_SAMPLES

    for before, after in pairwise(steps):
        u, v = (np.asarray(before[name]).ravel() for name in "uv")
        h = pull(u, v)
        gradient = np.concatenate([2 * u * h, -2 * v * h])
        norm = float(np.linalg.norm(gradient))
        up, down = u + RADIUS * 2 * u * h / norm, v - RADIUS * 2 * v * h / norm
        factor = product_factor(h, pull(up, down), norm, RATE, RADIUS)
        # Some ten roundings of numbers of size one.
        found = (after["u"] * after["v"]).ravel() / (u * v)
        assert found == pytest.approx(factor, rel=1e-13)
        assert np.ptp(factor) > 0.01
