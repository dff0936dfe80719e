"""What records that take many steps are told to cost."""

from __future__ import annotations

from typing import Any

from spec_samples import sweep

from dlnsweep.execution.record_price import told_records
from dlnsweep.plan.plan import make_plan

TEACHER = {"kind": "teacher", "signal_dim": 1, "measurement_dim": 4, "num_samples": 6}
MLP = {"kind": "mlp", "depth": 2, "width": 5}


def told(**record: Any) -> list[str]:
    plan = make_plan(
        sweep(
            problem=TEACHER,
            network=MLP,
            training={"learning_rate": [0.1, 0.2], "num_steps": 1000},
            record=record,
        )
    )
    return told_records(plan)


def test_sharpness_at_every_step_is_told_and_a_few_records_are_not():
    every = {"spacing": "linear", "count": 1001}
    assert told(observables=["loss", "sharpness"], **every) == [
        "record.observables names 'sharpness', of which a record takes some 200 steps by the "
        "generic way, and more of vector instructions: 2002 records take at least about 200 times "
        'as long as the 2000 steps. Fewer cost less: record.spacing = "log", or a smaller '
        "record.count."
    ]
    assert told(observables=["loss"], **every) == []
    assert told(observables=["loss", "sharpness"], spacing="log", count=4) == []
