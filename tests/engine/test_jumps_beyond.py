"""Runs of more steps than a float can tell apart, beside gradient descent in sixty digits."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from exact_descent import motion
from planned_runs import train
from spec_samples import sweep

from dlnsweep.engine.trained import Trained
from dlnsweep.plan.plan import make_plan

DEPTH, RATE = 4, 4e-8
# Odd ones: no float64 beyond 2^53 is.
LATE = [10**18 + k * 75 * 10**16 + 1 for k in range(5)]
EARLY = np.unique(np.rint(np.geomspace(1, 9e17, 100)).astype(np.int64)).tolist()
CASE: dict[str, Any] = {
    "problem": {"kind": "divergent_completion"},
    "network": {"depth": DEPTH, "width": 2, "initializer": "balanced", "product_init_scale": 1e-2,
                "product_determinant": "positive"},
    "training": {"learning_rate": RATE, "num_steps": LATE[-1]},
    "record": {"spacing": "explicit", "steps": [*EARLY, *LATE], "weights": LATE,
               "observables": ["loss", "free_entry", "free_entry_bound", "determinant"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def run() -> Trained:
    """A run of depth 4 to a loss below 1e-10."""
    return train(make_plan(sweep(**CASE, sweep={"kernel": "jumps"})))


def test_it_comes_to_its_last_step_exactly(run: Trained):
    counts = re.findall(r"[\d,]*\d", run.kernel_reason[0])
    taken, beyond, _ = (int(count.replace(",", "")) for count in counts)
    assert taken + beyond == LATE[-1]
    assert run.steps.tolist() == [0, *EARLY, *LATE]
    assert run.num_rows[0] == len(run.steps)


def test_the_entry_is_above_its_bound_at_a_loss_of_1e_10(run: Trained):
    values = {name: each[0] for name, each in run.observables.items()}
    assert values["loss"][-1] < 1e-10
    assert np.all(values["determinant"] > 0)
    assert np.all(values["free_entry"] > values["free_entry_bound"])
    assert 0 < run.truncation_error[0] < 1e-4


def test_it_moves_as_gradient_descent_in_sixty_digits_does(run: Trained):
    """|w_11|^(5/2) grows by 10 eta a step, to leading order: its speed is nearly constant.

    By Boole's rule over the five late records the exact speeds give what the walk has made of them.
    The rule itself is wrong by 1e-11 there; the walk keeps a tolerance of 1e-6 times what a jump
    may be wrong by in the last trial.
    """
    power, weights = (2 * DEPTH + 2) / DEPTH, np.array([7, 32, 12, 32, 7]) / 90
    assert run.weights is not None
    found = [
        motion([run.weights[f"weights[{i}]"][0, place] for i in range(DEPTH)], RATE)
        for place in range(len(LATE))
    ]
    entry, determinant, loss, faster, falling = (
        np.array([float(each[k]) for each in found]) for k in range(5)
    )
    late = {name: each[0, -len(LATE) :] for name, each in run.observables.items()}
    # Of the weights nothing is magnified; the determinant is recorded as a difference of numbers
    # near 1, of some roundings each.
    np.testing.assert_allclose(late["free_entry"], entry, rtol=1e-12)
    np.testing.assert_allclose(late["determinant"], determinant, rtol=0, atol=2e-15)
    np.testing.assert_allclose(late["loss"], loss, rtol=1e-8)
    span = LATE[-1] - LATE[0]
    speed = weights @ (power * entry ** (power - 1) * faster)
    grown = late["free_entry"][-1] ** power - late["free_entry"][0] ** power
    assert grown == pytest.approx(span * speed, rel=1e-6)
    # The determinant falls as |w_11|^-2, so that its power of -5/4 grows alike.
    power = -power / 2
    speed = weights @ (power * determinant ** (power - 1) * falling)
    grown = determinant[-1] ** power - determinant[0] ** power
    assert grown == pytest.approx(span * speed, rel=1e-6)


def test_single_steps_of_float64_would_stand_still(run: Trained):
    """What a step adds to a weight is less than half a unit in its last place."""
    assert run.weights is not None
    layers = [run.weights[f"weights[{i}]"][0, -1] for i in range(DEPTH)]
    found = motion(layers, RATE)
    assert 0 < float(found.entry_speed / found.entry) < 1e-18
