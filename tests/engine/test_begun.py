"""Runs that go on from where shorter ones ended have the bits of whole ones, by every way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from batch_samples import train_rows
from test_checkpoint import assert_same

from dlnsweep.engine.begun import Begun
from dlnsweep.engine.trained import Trained
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.sweep import Sweep

SHORT, LONG, GAP = 60, 150, 30
SUBSPACE = {
    "kind": "subspace", "signal_dim": 6, "measurement_dim": 4, "subspace_dim": 2, "num_samples": 12,
}  # fmt: skip


def document(steps: int, case: dict[str, Any]) -> dict[str, Any]:
    base: dict[str, Any] = {
        "name": "test",
        "problem": SUBSPACE,
        "network": {"depth": 3, "width": 8},
        "training": {"learning_rate": [0.01, 0.02], "num_steps": steps},
        "record": {"spacing": "linear", "count": steps // GAP + 1, "weights": "final"},
        "sweep": {"seeds": 2, "kernel": "dense"},
    }
    base |= {"problem": case.get("problem", SUBSPACE)}
    if case.get("network", {}).get("kind") == "deep_prior":
        base["network"] = {}
    for name in ("network", "training", "record", "sweep"):
        base[name] |= case.get(name, {})
    return base


def trained(steps: int, case: dict[str, Any], **more: Any) -> Trained:
    return train_rows(make_plan(Sweep.from_dict(document(steps, case))), **more)


def begun(ended: Trained) -> Begun:
    """What a folder of the shorter runs has: records where runs had not ended, and the state."""
    records = {}
    for name, values in ended.observables.items():
        late = np.arange(len(ended.steps)) >= ended.num_rows[:, None]
        records[name] = np.where(
            late.reshape(*late.shape, *[1] * (values.ndim - 2)), np.nan, values
        )
    return Begun(ended.steps, records, ended.state)


CASES: dict[str, dict[str, Any]] = {
    # One has diverged before, one stops before, one afterwards.
    "gradient descent": {
        "training": {
            "learning_rate": [0.001, 0.008, 0.1, 1e60],
            "stop_when": {"observable": "regression_error", "below": 0.6},
        },
    },
    "adam on minibatches, float32": {
        "training": {"optimizer": "adam", "minibatch_size": 3},
        "sweep": {"precision": "float32"},
    },
    "delayed updates": {"network": {"width": 400}, "training": {"learning_rate": 0.002}},
    "generic: momentum, epochs, noise, cosine": {
        "training": {
            "optimizer": "momentum",
            "minibatch_size": 3,
            "minibatch_order": "epochs",
            "label_noise": 0.1,
            "schedule": "cosine",
            "schedule_steps": 50,
            "schedule_end": 0.1,
            "warmup_steps": 5,
        },
        "sweep": {"kernel": "generic"},
    },
    # An error that falls is no improvement: the fourth such record comes after the runs went on.
    "one ReLU": {
        "network": {"kind": "linear_then_relu"},
        "training": {
            "stop_when": {
                "observable": "regression_error",
                "patience": 4,
                "direction": "maximise",
            },
        },
    },
    "a matrix": {
        "problem": {
            "kind": "matrix_completion",
            "num_rows": 5,
            "num_columns": 4,
            "rank": 2,
            "num_observed": 10,
        },
        "training": {"optimizer": "rmsprop", "learning_rate": 0.001},
        "record": {"observables": ["loss"]},
    },
    "deep prior": {
        "problem": {"kind": "deep_prior", "signal_dim": 9, "measurement_dim": 3},
        "network": {"kind": "deep_prior", "width": 20, "trained_layers": "both"},
        "training": {"learning_rate": 0.1, "step_rule": "curvature"},
        "record": {"observables": ["loss"]},
    },
}


@pytest.mark.parametrize("case", CASES)
def test_going_on_has_the_bits_of_a_whole_run(case: str) -> None:
    chosen = CASES[case]
    short, whole = trained(SHORT, chosen), trained(LONG, chosen)
    behind = begun(short)
    found = trained(LONG, chosen, begun=behind)
    assert behind.refusals == []
    assert_same(found, whole)
    if case == "gradient descent":
        assert {"diverged", "stopped", "finished"} == set(short.status)
        assert whole.status.count("stopped") > short.status.count("stopped")
    if case == "one ReLU":
        assert set(short.status) == {"finished"}
        assert set(whole.stopped_step.tolist()) == {4 * GAP}


def test_what_does_not_fit_begins_at_step_0() -> None:
    case = CASES["gradient descent"]
    short, whole = trained(SHORT, case), trained(LONG, case)
    behind = begun(short)
    for state, steps, said in (
        (behind.state[:-1], behind.steps, "other arrays"),
        ([leaf[..., None] for leaf in behind.state], behind.steps, "other arrays"),
        (behind.state, behind.steps + 1, "its recorded steps are not those"),
    ):
        wrong = Begun(steps, behind.records, state)
        assert_same(trained(LONG, case, begun=wrong), whole)
        assert said in wrong.refusals[0]
