"""Which runs of a float32 sweep keep what a step rounds off their weights."""

from __future__ import annotations

from typing import Any

import jax
import pytest
from spec_samples import sweep

from dlnsweep.engine.program import Program
from dlnsweep.networks.layered.kind import COARSE_DECAY
from dlnsweep.numerics.runtime import device_description, numerics
from dlnsweep.plan.plan import make_plan

RATE = 0.125
# On both sides of what is coarse, exactly.
DECAYS = [0.0, COARSE_DECAY / RATE / 2, COARSE_DECAY / RATE, 2 * COARSE_DECAY / RATE]
RELU = {"network__kind": "linear_then_relu", "record__observables": ["regression_error"]}


def plan_of(**changes: Any) -> Any:
    own = {
        "training__learning_rate": RATE,
        "training__weight_decay": DECAYS,
        "sweep__precision": "float32",
        "sweep__seeds": 2,
        "sweep__kernel": "dense",
    }
    return make_plan(sweep(**{**own, **changes}))


@pytest.mark.parametrize(
    ("changes", "apart"),
    [
        ({}, [[0.0, DECAYS[1]], DECAYS[2:]]),
        # The rate is divided by 4, the larger fan-in of the layers: all are slow.
        ({"network__width": 2, "training__step_rule": "fan_in"}, [DECAYS]),
        # By 4 and by 16: the largest decay is slow beside the wider network only.
        (
            {"network__width": [4, 16], "training__step_rule": "fan_in",
             "training__weight_decay": [8 * COARSE_DECAY / RATE]},
            [[8 * COARSE_DECAY / RATE]] * 2,
        ),
        ({"sweep__precision": "float64"}, [DECAYS]),
        # Optimizers, and the network with a ReLU, keep them always.
        ({"training__optimizer": "momentum"}, [DECAYS]),
        (RELU, [DECAYS]),
        ({"sweep__kernel": "reduced"}, [DECAYS]),
    ],
)  # fmt: skip
def test_runs_that_need_it_have_programs_of_their_own(
    changes: dict[str, Any], apart: list[list[float]]
) -> None:
    plan = plan_of(**changes)
    decays = plan.settings["training.weight_decay"]
    found = [sorted(set(decays[plan.programs == k])) for k in range(plan.num_programs)]
    assert sorted(found) == sorted(apart)


@pytest.mark.parametrize(("decay", "kept"), [(DECAYS[1], True), (DECAYS[2], False)])
def test_slow_runs_keep_a_second_array(
    decay: float, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the program says that starts the runs; it need not be compiled for that."""

    def traced_only(program: Program) -> None:
        program.kernel = program.drawing.kernel(program.layout)

    monkeypatch.setattr(Program, "_compile", traced_only)
    row = plan_of(training__weight_decay=decay).row(0)
    with numerics():
        program = Program(row, int(row["network.width"]), 2, device_description())
        _, carry = jax.eval_shape(program._start, program._example_arguments())
    assert bool(carry.state.lost) == kept
