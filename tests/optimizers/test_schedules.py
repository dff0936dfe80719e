"""The factor on the learning rate, beside optax's schedules."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlnsweep.numerics.runtime import numerics
from dlnsweep.optimizers.schedules import learning_rate_factor

WARMUP, STEPS, END, STAGES = 30, 130, 0.2, 4
LENGTH = STEPS - WARMUP
# optax's own arithmetic is float32 in places.
ROUNDING = 1e-6


def of_optax(name: str):
    if name == "constant":
        return optax.constant_schedule(1.0)
    if name == "linear":
        return optax.linear_schedule(1.0, END, LENGTH)
    if name == "cosine":
        return optax.cosine_decay_schedule(1.0, LENGTH, alpha=END)
    if name == "exponential":
        return optax.exponential_decay(1.0, LENGTH, END, end_value=END)
    factor = END ** (1 / STAGES)
    ends = {LENGTH * (i + 1) // STAGES: factor for i in range(STAGES)}
    return optax.piecewise_constant_schedule(1.0, ends)


@pytest.mark.parametrize("warms_up", [False, True])
@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "exponential", "steps"])
def test_a_schedule_is_that_of_optax(name: str, warms_up: bool):
    after = of_optax(name)
    warmup = WARMUP if warms_up else 0
    whole = optax.join_schedules([optax.linear_schedule(0.0, 1.0, WARMUP), after], [WARMUP])
    wanted = whole if warms_up else after
    numbers = {
        "warmup_steps": float(WARMUP), "schedule_steps": float(LENGTH + warmup),
        "schedule_end": END, "schedule_stages": float(STAGES),
    }  # fmt: skip
    with numerics():
        given = {key: jnp.asarray(value) for key, value in numbers.items()}
        for step in (0, 1, 15, 29, 30, 31, 54, 55, 56, 79, 80, 99, 105, 129, 130, 131, 1000):
            found = learning_rate_factor(name, warms_up, given, jnp.asarray(step))
            assert abs(float(found) - np.asarray(wanted(step))) <= ROUNDING, step


def test_a_stage_begins_at_its_step_whatever_a_division_rounds():
    with numerics():
        for length in (7, 49, 300, 1e9):
            numbers = {
                "schedule_steps": jnp.asarray(float(length)),
                "schedule_end": jnp.asarray(1e-3),
                "schedule_stages": jnp.asarray(7.0),
            }
            steps = [np.ceil(length * i / 7) for i in range(1, 8)]
            for i, step in enumerate(steps, start=1):
                found = learning_rate_factor("steps", False, numbers, jnp.asarray(int(step)))
                assert float(found) == pytest.approx(1e-3 ** (i / 7), rel=1e-12)
                before = learning_rate_factor("steps", False, numbers, jnp.asarray(int(step) - 1))
                assert float(before) == pytest.approx(1e-3 ** ((i - 1) / 7), rel=1e-12)
