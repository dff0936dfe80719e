"""What counts as diverged, in every way of descent, and sizes whose squares do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from batch_samples import train_rows
from spec_samples import problems

from dlnsweep.numerics.divergence import SIZES, squared_limit
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.sweep import Sweep


@pytest.mark.parametrize(
    ("size", "precision"), [(1e-20, "float32"), (1e20, "float32"), (1e-155, "float64")]
)
def test_data_whose_squares_do_not_fit_end_at_step_0(size: float, precision: str) -> None:
    # No squared error is within NaN.
    assert np.isnan(squared_limit(1.0, np.float64(size) ** 2, 1e6, precision, np))
    assert np.isnan(squared_limit(1.0, 1.0, 1e6, precision, np, inputs=size))


@pytest.mark.parametrize("precision", SIZES)
def test_the_limit_is_a_multiple_of_the_larger_of_both(precision: str) -> None:
    for first, zero in ((4.0, 1.0), (1.0, 4.0), (1e-30, 4.0)):
        assert squared_limit(first, zero, 10.0, precision, np) == 400.0
    most = np.finfo(precision).max
    assert squared_limit(1.0, 1.0, 1e300, precision, np) == most
    for start in (np.inf, np.nan):
        limit = squared_limit(start, 1.0, 10.0, precision, np)
        assert not start <= limit


# Each optimizer by itself: test_train.py.
@pytest.mark.parametrize(
    ("kind", "optimizer"),
    [
        ("deep_linear", "gradient_descent"),
        pytest.param("deep_linear", "momentum", marks=pytest.mark.slow),
        ("deep_linear", "adam"),
        # This network has gradient descent only.
        ("linear_then_relu", "gradient_descent"),
    ],
)
def test_a_sweep_marks_the_first_step_beyond_the_factor(optimizer: str, kind: str) -> None:
    document = {
        "name": "blow_up",
        "problem": {
            "kind": "subspace",
            "signal_dim": 6,
            "measurement_dim": 4,
            "subspace_dim": 2,
            "num_samples": 12,
        },
        "network": {"kind": kind, "depth": 2, "width": 8},
        "training": {
            "optimizer": optimizer,
            "learning_rate": 3.0,
            "num_steps": 12,
            "divergence_factor": [3.0, 1e300],
        },
        "record": {"spacing": "linear", "count": 13, "observables": ["regression_error"]},
        "sweep": {"seeds": 1, "kernel": "dense"},
    }
    trained = train_rows(make_plan(Sweep.from_dict(document)))
    free = trained.observables["regression_error"][1, : trained.num_rows[1]]
    # X is what the zero network misses, so its relative error is 1. No sample is beyond the
    # network's reach here: the squared error is the residual's.
    beyond = np.flatnonzero(free > 3.0 * max(free[0], 1.0))
    assert len(beyond)
    assert trained.diverged_step[0] == beyond[0] > 0
    assert trained.num_rows[0] == beyond[0]


def test_scales_whose_squares_do_not_fit_are_refused() -> None:
    sentence = (
        "network.layer_init_scale is 1e-12; in float32 it must lie between 1e-08 and 1e+08, or "
        "squares of weights underflow or overflow."
    )
    assert problems(network__layer_init_scale=1e-12, sweep__precision="float32") == [sentence]
    [other] = problems(network__product_init_scale=1e-200)
    assert other.startswith("network.product_init_scale is 1e-200; in float64 it must lie between")
