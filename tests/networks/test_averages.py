"""The average of the weights that is recorded in their place: against averages made in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from planned_runs import train

import dlnsweep
from dlnsweep.errors import SpecError
from dlnsweep.execution.comparison import compare_runs
from dlnsweep.networks.generic import averages
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import make_plan
from dlnsweep.spec.sweep import Sweep

STEPS = 30
DECAY = 0.9
# Sums of thirty numbers, and what observables make of them.
ROUNDING = 1e-12
SUBSPACE = {"kind": "subspace", "signal_dim": 4, "measurement_dim": 3, "subspace_dim": 2,
            "num_samples": 7}  # fmt: skip
TEACHER = {"kind": "teacher", "signal_dim": 2, "measurement_dim": 9, "num_samples": 6}
MLP = {"kind": "mlp", "depth": 2, "width": 5, "activation": "tanh"}
KINDS: dict[str, dict[str, Any]] = {
    "layers": {"problem": SUBSPACE, "network": {"depth": 2, "width": 4}},
    "layers and a ReLU": {
        "problem": {**SUBSPACE, "kind": "union_of_subspaces", "num_subspaces": 2,
                    "num_samples": 8},
        "network": {"kind": "linear_then_relu", "depth": 3, "width": 4},
    },
    "a matrix": {
        "problem": {"kind": "matrix_approximation", "num_rows": 3, "num_columns": 4},
        "network": {"depth": 2, "width": 3},
    },
    "last layer of pure functions": {
        "problem": TEACHER,
        "network": {**MLP, "trained_layers": "last"},
        "training": {"minibatch_size": 2, "minibatch_order": "epochs", "label_noise": 0.1,
                     "optimizer": "momentum"},
    },
}  # fmt: skip


def document(case: dict[str, Any], **sections: dict[str, Any]) -> dict[str, Any]:
    base: dict[str, Any] = {
        "problem": TEACHER,
        "network": MLP,
        "training": {"learning_rate": 0.05, "num_steps": STEPS},
        "record": {"spacing": "linear", "count": STEPS + 1, "observables": ["loss"]},
        "sweep": {"kernel": "generic"},
    }
    for changes in (case, sections):
        base = {name: values | changes.get(name, {}) for name, values in base.items()}
    for name in ("problem", "network"):
        base[name] = sections.get(name) or case.get(name) or base[name]
    return {"name": "averaged"} | base


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_and_recorded_is_the_average(kind: str, tmp_path: Path):
    """Of a run that keeps its weights at each step, and of one that starts from the average."""
    keeping = {"record": {"weights": list(range(STEPS + 1))}}
    plain = dlnsweep.run(document(KINDS[kind], **keeping), tmp_path / "plain", workers=0)
    asked = {**KINDS[kind].get("training", {}), "learning_rate": 0.05, "num_steps": STEPS}
    with_average = document(KINDS[kind], **keeping, training={**asked, "ema_decay": DECAY})
    found = dlnsweep.run(with_average, tmp_path / "average", workers=0)
    (run,), (averaged,) = (each.runs()["run_id"] for each in (plain, found))
    average = plain.weights(run, step=0)
    for step in range(STEPS + 1):
        if step:
            now = plain.weights(run, step=step)
            average = {k: DECAY * average[k] + (1 - DECAY) * now[k] for k in now}
        for name, values in found.weights(averaged, step=step).items():
            np.testing.assert_allclose(values, average[name], rtol=ROUNDING, atol=ROUNDING)
    # What is recorded is of the weights that are kept: the loss of a run begun with them.
    begun = document(KINDS[kind], training={**asked, "num_steps": 1})
    begun["record"] = {"count": 2, "observables": ["loss"]}
    begun["sweep"] = {"kernel": "generic", "warm_start": str(tmp_path / "average/averaged")}
    losses = found.curves()["loss"].to_numpy()
    first = dlnsweep.run(begun, tmp_path / "begun", workers=0).curves()["loss"].to_numpy()[0]
    assert first == pytest.approx(losses[-1], rel=ROUNDING)
    assert losses[0] == plain.curves()["loss"].to_numpy()[0]
    assert abs(losses[-1] / plain.curves()["loss"].to_numpy()[-1] - 1) > 1e-3


def test_in_float32_small_shares_are_not_lost():
    decay = 0.99999
    with numerics():
        one = jnp.ones(3, jnp.float32)
        begun = averages.begun({"w": 100 * one})

        def step(average: Any, _: Any) -> tuple[Any, None]:
            return averages.moved(average, {"w": 101 * one}, jnp.asarray(decay)), None

        ended = jax.jit(lambda a: jax.lax.scan(step, a, None, 200_000)[0])(begun)
    wanted = 101 - decay**200_000
    # An ulp of a hundred is 8e-6. Without what is kept beside it, changes below half of that are
    # lost and the average stops 0.4 short.
    np.testing.assert_allclose(np.asarray(ended.params["w"]), wanted, atol=1e-5, rtol=0)


def test_training_on_the_span_has_the_same_average():
    names = ["loss", "test_error", "parameter_norm", "parameter_distance", "sharpness"]
    asked = document(
        {}, training={"learning_rate": 0.05, "weight_decay": 0.2, "num_steps": STEPS,
                      "ema_decay": DECAY},
        record={"count": 4, "observables": names, "num_test_samples": 4},
        sweep={"kernel": "reduced_inputs"},
    )  # fmt: skip
    plan, kernels = make_plan(Sweep.from_dict(asked)), ("reduced_inputs", "generic")
    (pair,) = compare_runs(plan, [0], kernels=kernels)
    assert set(pair.deviations) == set(names)
    assert max(each.largest for each in pair.deviations.values()) < ROUNDING


def test_a_decay_is_an_axis_of_one_program_and_none_is_another():
    plan = make_plan(Sweep.from_dict(document({}, training={
        "learning_rate": 0.05, "num_steps": STEPS, "ema_decay": [0, 0.5, 0.9]
    })))  # fmt: skip
    assert len(plan.program_widths) == 2
    rows = [[i for i in range(3) if (plan.row(i)["training.ema_decay"] > 0) == on] for on in (0, 1)]
    losses = np.concatenate([train(plan, each).observables["loss"] for each in rows])
    assert len(set(losses[:, 0])) == 1
    assert len(set(losses[:, -1])) == 3


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ({"training": {"ema_decay": 1.0}}, "training.ema_decay is 1.0; it must be less than 1."),
        ({"training": {"ema_decay": -0.5}},
         "training.ema_decay is -0.5; it must not be negative."),
        ({"problem": SUBSPACE, "network": {"depth": 2, "width": 4},
          "training": {"ema_decay": 0.5}, "sweep": {"kernel": "auto"}},
         'training.ema_decay is 0.5, which the generic way alone carries out; set sweep.kernel = '
         '"generic".'),
        ({"problem": {"kind": "population", "input_dim": 50},
          "network": {"kind": "committee", "width": 2},
          "training": {"ema_decay": 0.5, "minibatch_size": 2, "minibatch_order": "one_pass"}},
         "training.minibatch_size is 2 and training.ema_decay is 0.5; one pass turns the "
         "coordinates of the student at each step, and has no average of them: leave one of them "
         "out."),
    ],
)  # fmt: skip
def test_what_has_no_average_is_refused(sections: dict[str, Any], sentence: str):
    training = {"learning_rate": 0.05, "num_steps": STEPS, **sections["training"]}
    with pytest.raises(SpecError) as caught:
        make_plan(Sweep.from_dict(document({}, **{**sections, "training": training})))
    assert f"sweep: {sentence}" in caught.value.problems


def test_steps_that_raise_the_loss_are_not_of_an_average():
    asked = document({}, training={"learning_rate": 0.05, "num_steps": STEPS, "ema_decay": 0.5},
                     record={"count": 3, "observables": ["loss_increase"]})  # fmt: skip
    with pytest.raises(SpecError, match=r"training\.ema_decay records an average that no step"):
        train(make_plan(Sweep.from_dict(asked)))
