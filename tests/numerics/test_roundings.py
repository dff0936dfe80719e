"""Which runs of a float32 batch keep what a step rounds off their weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from spec_samples import sweep
from test_batches import train_rows

from dlnsweep.batch import program_for
from dlnsweep.draws import drawing_of
from dlnsweep.kernels.compensated import COARSE_DECAY
from dlnsweep.plan import make_plan
from dlnsweep.runtime import numerics

RATE = 0.125
# On both sides of what is coarse, exactly.
DECAYS = [0.0, COARSE_DECAY / RATE / 2, COARSE_DECAY / RATE, 2 * COARSE_DECAY / RATE]


def plan_of(**changes: Any) -> Any:
    own = {
        "training__learning_rate": RATE,
        "training__weight_decay": DECAYS,
        "training__num_steps": 2_000,
        "sweep__precision": "float32",
        "sweep__seeds": 1,
        "sweep__kernel": "dense",
    }
    return make_plan(sweep(**{**own, **changes}))


def labels(plan: Any) -> list[Any]:
    first = plan.row(0)
    return drawing_of(first, int(first["network.width"])).labels(plan.settings).tolist()


def test_a_run_does_what_it_does_alone() -> None:
    """Half of the batch keeps its roundings; its neighbours change neither half's bits."""
    plan = plan_of()
    together = train_rows(plan)
    for pair in ([0, 1], [2, 3]):
        apart = train_rows(plan, pair)
        for name, values in apart.observables.items():
            assert values.tobytes() == together.observables[name][pair].tobytes(), name


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [True, True, False, False]),
        # Divided by 4, the larger fan-in of its layers.
        ({"network__width": 2, "training__step_rule": "fan_in"}, [True, True, True, True]),
        ({"sweep__precision": "float64"}, [False] * 4),
        # Optimizers keep them always, in programs without that choice.
        ({"training__optimizer": "momentum"}, [False] * 4),
    ],
)
def test_which_runs_are_slow(changes: dict[str, Any], expected: list[bool]) -> None:
    assert [bool(label) for label in labels(plan_of(**changes))] == expected


def test_slow_runs_keep_a_second_array() -> None:
    plan = plan_of()
    for row, kept in ((0, True), (3, False)):
        settings = plan.row(row)
        with numerics():
            program = program_for(settings, int(settings["network.width"]), 1)
            rows = {name: np.asarray([value]) for name, value in settings.items()}
            _, carry = program.start(program.arguments(rows))
        assert bool(carry.state.lost) == kept
