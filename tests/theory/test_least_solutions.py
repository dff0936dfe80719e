"""Lines of the least solutions of a sweep's own samples: against runs, and NumPy's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kept.tables import table

from dlnsweep.theory.curves import THEORY_CURVES
from dlnsweep.theory.setup import Setup

NAMES = ("least_l2_error", "least_l1_error", "least_l1_distance", "least_l1_norm")
SETTINGS: dict[str, Any] = {
    "problem.sparsity": 3, "problem.measurement_dim": 30, "problem.num_samples": 20,
    "problem.noise": 0.0, "record.num_test_samples": 1000,
}  # fmt: skip


def found(name: str, seed: int, **settings: Any) -> float:
    own = {f"problem.{key}": value for key, value in settings.items()}
    run = Setup({**SETTINGS, **own, "seed": seed}, np.nan)
    first, second = THEORY_CURVES[name].values(run, np.zeros(2))
    assert first == second or np.isnan(first + second)
    return float(first)


def test_they_are_those_of_the_kept_table():
    """Made by linear programs of its own, before these lines were."""
    rows = table("feature_learning/sparse_solutions.csv")
    for seed in range(10):
        apart = rows.one("l2_test_error", seed=seed)
        assert found("least_l2_error", seed) == pytest.approx(apart, rel=1e-7)
        # The least l1 solution is the truth.
        assert found("least_l1_error", seed) == 0
        assert found("least_l1_distance", seed) == pytest.approx(apart, rel=1e-7)
        norm = rows.one("l1_norm", seed=seed)
        assert found("least_l1_norm", seed) == pytest.approx(norm, rel=1e-7)


def test_few_samples_do_not_find_the_truth():
    few = {"num_samples": 4}
    assert 0.1 < found("least_l1_error", 0, **few) < 2
    assert found("least_l1_norm", 0, **few) < 3**0.5


@pytest.mark.parametrize("name", NAMES)
def test_more_samples_than_inputs_have_no_line(name: str):
    assert np.isnan(found(name, 0, num_samples=31))
    assert np.isnan(found(name, 0, num_samples=31, noise=0.5))
