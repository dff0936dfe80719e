"""Problem "teacher": its draw and a trained student against NumPy.

The statistical bounds are 5 standard deviations wide for fixed keys: a correct draw would fail one
with a probability below 6e-7.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import numpy as np
import pytest
from batch_samples import train_rows
from relu_samples import assert_follows, relu_plan

from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.errors import SpecError
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import gaussian, purpose_key
from dlnsweep.plan.plan import make_plan
from dlnsweep.problems import teacher
from dlnsweep.spec.sweep import Sweep

SIGMAS = 5.0
# A sum of a few numbers of size 1, rounded at 1.1e-16 each.
EXACT = 1e-14
SIZES: dict[str, Any] = {
    "signal_dim": 3,
    "measurement_dim": 6,
    "num_samples": 500,
    "num_teacher_neurons": 4,
}


@cache
def compiled(test: int):
    own = teacher.TeacherSettings(**SIZES)
    d, m, n, count = SIZES.values()

    def draw(seed):
        key = partial(purpose_key, seed)
        return (
            gaussian(key("data/teacher"), m, count), gaussian(key("data/teacher_signs"), d, count),
            gaussian(key("data/signals"), m, n), gaussian(key("test/signals"), m, test),
            *teacher.draw(own, key), *teacher.draw_test(own, key, test),
        )  # fmt: skip

    # Compiled with less care, in half the time.
    return jax.jit(draw, compiler_options={"xla_backend_optimization_level": 0})


def draw(seed: int, test: int = 4000) -> list[np.ndarray]:
    with numerics():
        return [np.asarray(a) for a in compiled(test)(np.int64(seed))]


def taught(directions: np.ndarray, signs: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """The teacher, neuron by neuron and sample by sample."""
    targets = np.zeros((len(signs), inputs.shape[1]))
    for i, y in enumerate(inputs.T):
        for u, c in zip(directions.T, signs.T, strict=True):
            unit = u / np.sqrt(np.sum(u * u))
            targets[:, i] += np.where(c < 0, -1.0, 1.0) * max(unit @ y, 0.0) / 2.0
    return targets


def test_a_teacher_says_what_its_formula_says():
    directions, signs, inputs, fresh, x, y, test_x, test_y = draw(seed=3)
    assert np.max(np.abs(y - inputs / np.sqrt(500))) < EXACT
    assert np.max(np.abs(x - taught(directions, signs, y))) < EXACT
    scale = np.sqrt(2 / 3)
    assert np.max(np.abs(test_y - scale * fresh)) < EXACT
    # Fresh inputs are sqrt(500) times as large, and so is their rounding.
    assert np.max(np.abs(test_x - scale * taught(directions, signs, fresh))) < 22 * EXACT


def test_targets_have_mean_square_norm_one():
    # Over teachers, whose signs are independent: E|x|^2 = 1. The mean over 40 teachers' means
    # has the deviation that these means show.
    means = np.array([np.mean(np.sum(draw(seed)[6] ** 2, axis=0)) for seed in range(40)])
    assert abs(means.mean() - 1) < SIGMAS * means.std(ddof=1) / np.sqrt(40)


def test_inputs_have_the_rank_that_is_said():
    own = teacher.TeacherSettings(**SIZES)
    assert PROBLEMS["teacher"].rank_of(own) == np.linalg.matrix_rank(draw(seed=1)[5]) == 6


def test_a_student_is_trained_as_in_numpy():
    network = {"kind": "linear_then_relu", "depth": 2, "width": 8, "product_init_scale": 0.3}
    document = {
        "name": "student",
        "problem": {"kind": "teacher"} | SIZES | {"num_samples": 30},
        "network": network | {"relative_init_scale": [0.5, 2.0]},
        "training": {"learning_rate": 0.2, "weight_decay": 0.01, "num_steps": 40},
        # All that a ReLU's runs record is compared in test_relu.py.
        "record": {
            "count": 8,
            "observables": ["loss", "regression_error", "test_error"],
            "num_test_samples": 20,
        },
        "sweep": {"seeds": 2},
    }
    plan = make_plan(Sweep.from_dict(document))
    trained = train_rows(plan)
    for row in range(2):
        assert_follows(plan, row, trained, row)


def test_a_relative_scale_needs_two_layers():
    with pytest.raises(SpecError, match="one layer is first and last at once"):
        relu_plan(network={"kind": "deep_linear", "depth": 1, "relative_init_scale": 2.0})
