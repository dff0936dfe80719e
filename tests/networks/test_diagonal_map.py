"""The map of diagonal networks beside plain NumPy, and what label noise leaves of the scale."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from kept.diagonal_map import descent, effective_scale, table
from kept.tables import sweep
from kept.tables import table as kept

SWEEP = sweep("diagonal_map")


@pytest.mark.parametrize(
    ("scale", "learning_rate"), [(0.1, 0.46415888), (0.031622777, 0.1), (0.46415888, 0.01)]
)
def test_a_cell_of_the_kept_map_is_what_numpy_finds(scale: float, learning_rate: float):
    rows = kept("feature_learning/diagonal_map.csv", label_noise=0.0).rows
    (row,) = (
        row
        for row in rows
        if math.isclose(row["training.learning_rate"], learning_rate, rel_tol=1e-4)
        and math.isclose(row["network.layer_init_scale"], scale, rel_tol=1e-4)
    )
    errors = descent(range(row["num_runs"]), scale, learning_rate, SWEEP)
    assert row["num_diverged"] == 0
    for name, share in (("median", 0.5), ("q25", 0.25), ("q75", 0.75)):
        # The table has six digits, and so have the scale and the rate here.
        assert np.quantile(errors, share) == pytest.approx(row[f"test_error_{name}"], rel=1e-5)


def test_label_noise_shrinks_the_product_of_u_and_v_at_the_derived_rate():
    sigma, eta, steps, n, m = 1.0, 0.05, 4000, 20, 30
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((m, n))
    # Targets of zero: what moves u and v is the noise alone.
    u, v = np.full(m, 0.3), np.full(m, 0.3)
    for step in range(steps):
        residuals = (u * u - v * v) @ inputs - sigma * generator.standard_normal(n)
        gradient = 2 / n * inputs @ residuals
        rate = eta * (1 - step / steps)
        u, v = u * (1 - rate * gradient), v * (1 + rate * gradient)
    shrunk = math.log(0.3) - np.mean(np.log(u * v)) / 2
    expected = math.log(0.3 / effective_scale(0.3, eta, sigma, steps, n))
    # Derived for inputs of squared norm n; what is drawn differs. Residuals add to the noise's
    # gradients: 1 to 4 % over five seeds.
    assert shrunk == pytest.approx(expected * np.mean(inputs**2), rel=0.05)


def test_medians_leave_out_what_diverged():
    cell = {
        "training.label_noise": 0.0, "training.learning_rate": 0.1,
        "network.layer_init_scale": 0.1,
    }  # fmt: skip
    ends = [("finished", 1.0), ("finished", 3.0), ("diverged", 9.0)]
    runs = pd.DataFrame(
        {**cell, "seed": i, "status": status, "final_test_error": error}
        for i, (status, error) in enumerate(ends)
    )
    (row,) = table(runs).to_dict("records")
    assert (row["num_runs"], row["num_diverged"], row["test_error_median"]) == (3, 1, 2.0)
