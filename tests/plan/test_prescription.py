"""`training.prescription`: the numbers of (8) and (9b), found for each run when it is planned."""

# ruff: noqa: E501  (a mistake and its sentence stand in one line of a table)

from __future__ import annotations

from math import ceil, log, sqrt
from typing import Any

import numpy as np
import pytest
from spec_samples import document, problems

from dlnsweep.errors import SpecError
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.sweep import Sweep

# Some ten float64 roundings of products and one logarithm.
ROUNDING = 1e-14


def made(**changes: Any) -> dict[str, Any]:
    theorem = {
        "training__prescription": "theorem_2_3",
        "training__gamma": 0.25,
        "training__step_rule": "fan_in",
    }
    result = document(**(theorem | changes))
    for key in ("learning_rate", "num_steps"):
        if f"training__{key}" not in changes:
            result["training"].pop(key)
    return result


def rows(**changes: Any) -> list[dict[str, Any]]:
    plan = make_plan(Sweep.from_dict(made(**changes)))
    return [plan.row(i) for i in range(plan.num_runs)]


def test_every_run_gets_the_theorems_numbers():
    found = rows(
        network__depth=[2, 3],
        network__width=[64, 1000],
        problem__condition_number=[1.0, 3.0],
        problem__measurement_dim=[2, 4],
        training__gamma=[1.0, 0.125],
        sweep__seeds=2,
    )
    assert len(found) == 64
    for row in found:
        m, d, depth = row["problem.measurement_dim"], 8, row["network.depth"]
        kappa, gamma = row["problem.condition_number"], row["training.gamma"]
        # (8) with sigma_max = 1 and sigma_min = 1 / kappa.
        assert row["training.learning_rate"] == m / depth
        decay = gamma / kappa**2 * sqrt(m / d)
        assert row["training.weight_decay"] == pytest.approx(decay, rel=ROUNDING)
        # (9b) as it stands: T = 2 L kappa^2 log(d_w) / gamma sqrt(d / m).
        steps = 2 * depth * kappa**2 * log(row["network.width"]) / gamma * sqrt(d / m)
        assert row["training.num_steps"] == ceil(steps)


def test_a_run_given_the_same_numbers_by_hand_is_the_same_run():
    by_theorem = make_plan(Sweep.from_dict(made()))
    numbers = by_theorem.row(0)
    by_hand = document(
        training__step_rule="fan_in",
        **{
            f"training__{key}": numbers[f"training.{key}"]
            for key in ("learning_rate", "weight_decay", "num_steps")
        },
    )
    plan = make_plan(Sweep.from_dict(by_hand))
    np.testing.assert_array_equal(plan.run_ids, by_theorem.run_ids)
    assert plan.row(0)["training.gamma"] is None


def test_gamma_compiles_nothing_apart():
    assert make_plan(Sweep.from_dict(made(training__gamma=[0.5, 0.25, 0.125]))).num_programs == 1


def test_a_figure_may_tell_runs_apart_by_what_is_prescribed():
    figure = {"kind": "final", "y": "regression_error", "x": "training.weight_decay"}
    Sweep.from_dict(made(training__gamma=[0.5, 0.25], figure=figure))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"training__learning_rate": 0.1}, ['training.learning_rate is given, but training.prescription = "theorem_2_3" sets it; leave one of them out.']),
        ({"training__weight_decay": [0.1, 0.2]}, ['training.weight_decay is given, but training.prescription = "theorem_2_3" sets it; leave one of them out.']),
        ({"training__num_steps": 3}, ['training.num_steps is given, but training.prescription = "theorem_2_3" sets it; leave one of them out.']),
        ({"training__step_rule": "uniform"}, ["training.step_rule is 'uniform'; training.prescription = \"theorem_2_3\" is about 'fan_in' only."]),
        ({"training__optimizer": ["gradient_descent", "adam"]}, ["training.optimizer is 'adam'; training.prescription = \"theorem_2_3\" is about 'gradient_descent' only."]),
        ({"training__minibatch_size": 2}, ['training.minibatch_size is 2; training.prescription = "theorem_2_3" is about 0 only.']),
        ({"network__layer_init_scale": 0.5}, ['network.layer_init_scale is 0.5; training.prescription = "theorem_2_3" is about 1.0 only.']),
        ({"training__gamma": 1.5}, ["training.gamma is 1.5; it must be at most 1."]),
        ({"training__gamma": 0}, ["training.gamma is 0; it must be positive."]),
        ({"training__prescription": ["none", "theorem_2_3"]}, ["training.prescription is ['none', 'theorem_2_3']; it must be 'none' or 'theorem_2_3', one value for all runs of the file."]),
        ({"network__depth": [1, 2]}, ['network.depth is 1; training.prescription = "theorem_2_3" needs at least 2.']),
        ({"network__width": 1}, ['network.width is 1; training.prescription = "theorem_2_3" needs at least 2.']),
        ({"training__gamma": [1.0, 1e-300]}, ['training.prescription = "theorem_2_3" asks for 1.6e+301 steps; at most 2^53 can be counted.']),
    ],
)  # fmt: skip
def test_a_prescription_that_does_not_fit_is_refused(changes: dict[str, Any], expected: list[str]):
    with pytest.raises(SpecError) as caught:
        Sweep.from_dict(made(**changes))
    assert [p.removeprefix("sweep: ") for p in caught.value.problems] == expected


def test_gamma_needs_a_prescription():
    expected = ['training.gamma is given, which needs training.prescription = "theorem_2_3".']
    assert problems(training__gamma=0.5) == expected
