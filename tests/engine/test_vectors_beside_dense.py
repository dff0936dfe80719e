"""Steps of kernels by hand as vector instructions, as `auto` has them: beside those kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from planned_runs import assert_end_alike, train
from spec_samples import sweep
from test_checkpoint import assert_same, in_pieces

from dlnsweep.contracts.network import AUTO_TAKES
from dlnsweep.engine import descent, vectors
from dlnsweep.engine.trained import Trained
from dlnsweep.errors import SpecError
from dlnsweep.execution.comparison import AS_AUTO, compare_runs
from dlnsweep.execution.comparison_text import summary, table
from dlnsweep.execution.judges import choose_kernels
from dlnsweep.execution.ways import auto_kernel
from dlnsweep.plan.plan import Plan, make_plan
from dlnsweep.simd.entries import Emitter, is_known

# Both take the same steps in float64 and round apart; of the largest value of an observable.
ROUNDING = 1e-13
TEACHER = {"kind": "teacher", "signal_dim": 2, "measurement_dim": 3, "num_samples": 7}
SUBSPACE = {"kind": "subspace", "signal_dim": 4, "measurement_dim": 3, "subspace_dim": 2,
            "num_samples": 5}  # fmt: skip
TRAINING = {"learning_rate": [0.01, 0.03], "num_steps": 40, "weight_decay": 0.01}
LINEAR = {"kind": "deep_linear", "depth": 3, "width": 3}
COMPLETION = {"kind": "matrix_completion", "num_rows": 3, "num_columns": 4, "rank": 1,
              "num_observed": 5, "target_norm": 1.0}  # fmt: skip
MATRIX = {"network": {**LINEAR, "depth": 2, "width": 4, "layer_init_scale": 0.5}}
CASES: dict[str, dict[str, Any]] = {
    "linear, fan-in steps": {
        "problem": SUBSPACE,
        "training": {**TRAINING, "step_rule": "fan_in"},
        "record": {"count": 5, "observables": ["regression_error", "off_subspace_error"]},
    },
    # One rank more than the kernel's own loop of small ones takes.
    "many ranks": {"problem": {**TEACHER, "measurement_dim": 9, "num_samples": 12}},
    "several widths in arrays of one": {"network": {**LINEAR, "width": [2, 3]}},
    "minibatches": {"training": {**TRAINING, "minibatch_size": 3}},
    "adam": {"training": {**TRAINING, "optimizer": "adam"}},
    "momentum, minibatches": {
        "training": {**TRAINING, "optimizer": "momentum", "minibatch_size": 3},
    },
    "one ReLU": {"network": {**LINEAR, "kind": "linear_then_relu"}},
    "completion": {"problem": COMPLETION, **MATRIX},
    "completion, adam": {
        "problem": COMPLETION,
        **MATRIX,
        "training": {**TRAINING, "optimizer": "adam"},
    },
    "sensing": {
        "problem": {"kind": "matrix_sensing", "num_rows": 3, "num_columns": 3, "rank": 1,
                    "num_measurements": 6, "target_norm": 1.0},
        **MATRIX,
    },
}  # fmt: skip
FAST = ("linear, fan-in steps", "several widths in arrays of one", "completion")


def planned(case: dict[str, Any], **options: Any) -> Plan:
    whole = {
        "problem": TEACHER,
        "network": LINEAR,
        "training": TRAINING,
        "record": {"count": 5, "observables": ["loss"]},
    }
    return make_plan(sweep(**(whole | case), sweep={"seeds": 2} | options))


def by_vectors(plan: Plan) -> Plan:
    """Return the plan as a folder has it where `auto` takes vector instructions."""
    plan.settings[AUTO_TAKES] = np.full(plan.num_runs, "simd")
    return plan


def assert_close(found: Trained, judge: Trained, allowed: float = ROUNDING) -> None:
    for name in ("status", "diverged_step", "stopped_step", "num_rows"):
        np.testing.assert_array_equal(getattr(found, name), getattr(judge, name))
    for name, values in found.observables.items():
        for run, count in enumerate(found.num_rows):
            here, there = values[run, :count], judge.observables[name][run, :count]
            assert np.max(np.abs(here - there)) <= allowed * np.max(np.abs(there)), name


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_the_steps_are_those_of_the_dense_kernel(name: str):
    found = train(by_vectors(planned(CASES[name])))
    assert set(found.kernel) == {"simd"}, found.kernel_reason[0]
    assert found.kernel_reason[0].startswith("it pays; the dense kernel's steps; ")
    judge = train(planned(CASES[name], kernel="dense"))
    assert set(judge.kernel) == {"dense"}
    assert_close(found, judge)


@pytest.mark.slow
def test_in_float32_it_keeps_what_a_step_rounds_off():
    # A decay of which float32 alone would lose most: 3e-9 a step.
    case = {"training": {**TRAINING, "weight_decay": 1e-7, "num_steps": 4000}}
    found = train(by_vectors(planned(case, precision="float32")))
    assert set(found.kernel) == {"simd"}
    judge = train(planned(case, precision="float32", kernel="dense"))
    # Some roundings of float32, 6e-8 each.
    assert_close(found, judge, 1e-6)


GRID = {
    "training": {"learning_rate": [0.01, 0.03, 300.0], "num_steps": 60, "weight_decay": [0.0, 0.01],
                 "stop_when": {"observable": "loss", "below": 0.1}},
    "record": {"count": 12, "observables": ["loss"]},
}  # fmt: skip


def test_runs_end_where_those_of_the_dense_kernel_do_and_go_on_from_checkpoints(
    monkeypatch: pytest.MonkeyPatch,
):
    plan = by_vectors(planned(GRID))
    trained = train(plan)
    judge = train(planned(GRID, kernel="dense"))
    assert_end_alike(trained, judge)
    assert_close(trained, judge)
    monkeypatch.setattr(descent, "_FIRST_SEGMENT_STEPS", 20)
    monkeypatch.setattr(descent, "_SEGMENT_SECONDS", 1e-12)
    pieces, kept, _ = in_pieces(plan)
    assert len(kept) > 2
    assert_same(pieces, trained)


def test_a_step_of_too_many_operations_is_the_dense_kernel_s_which_says_so(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(vectors, "PAYS_BESIDE_DENSE", 100)
    # A width that no other test has, so that the program is made here.
    found = train(by_vectors(planned({"network": {**LINEAR, "width": 4}})))
    assert set(found.kernel) == {"dense"}
    (reason,) = set(found.kernel_reason)
    why, _, said = reason.partition("; not simd: ")
    assert why == "too short or too narrow for a pilot to pay"
    assert said.endswith("operations, more than 100")


def of_auto(case: dict[str, Any], runs: list[int]) -> tuple[str, str]:
    return choose_kernels(planned(case, seeds=8), runs)


def test_compare_holds_the_very_steps_that_auto_takes(monkeypatch: pytest.MonkeyPatch):
    case = CASES["several widths in arrays of one"]
    # Eight runs of 40 steps are not worth their compiling: that kernel trains them itself.
    assert of_auto(case, [0]) == ("dense", "generic")
    monkeypatch.setattr(auto_kernel, "_LEAST_SECONDS", 0.0)
    assert of_auto(case, [0, 5]) == (AS_AUTO, "generic")
    assert choose_kernels(planned(case, seeds=8), [0], judge="dense") == (AS_AUTO, "dense")
    # Too few runs for a vector, and a folder where nothing can be compiled.
    assert choose_kernels(planned(case, seeds=1), [0]) == ("dense", "generic")
    pairs = compare_runs(planned(case, seeds=8), [0, 31], kernels=(AS_AUTO, "generic"))
    assert [pair.kernels for pair in pairs] == [("simd_dense", "generic")] * 2
    assert all(pair.is_right(1e-6) for pair in pairs)
    assert all(d.largest <= ROUNDING for pair in pairs for d in pair.deviations.values())
    _, line, _ = table(pairs).splitlines()
    assert "it pays; the dense kernel's steps; " in line
    said = "right: on 2 runs the simd_dense kernel agrees with the generic way to rounding."
    assert summary(pairs, 1e-6).endswith(said)
    monkeypatch.setattr(auto_kernel, "is_usable", lambda: False)
    assert of_auto(case, [0]) == ("dense", "generic")


@pytest.mark.slow
def test_compare_finds_a_step_of_vectors_that_is_wrong_by_a_millionth(
    monkeypatch: pytest.MonkeyPatch,
):
    right = Emitter.subtract

    def wrong(emit: Any, a: Any, b: Any, dtype: Any) -> Any:
        found = right(emit, a, b, dtype)
        bend = np.dtype(dtype).kind == "f" and not is_known(found)
        return emit.multiply(found, np.float64(1 + 1e-6), dtype) if bend else found

    monkeypatch.setattr(Emitter, "subtract", wrong)
    # A width that no other test has, so that the wrong program serves no other.
    plan = planned({"network": {**LINEAR, "width": 6}}, seeds=8)
    (pair,) = compare_runs(plan, [0], kernels=(AS_AUTO, "generic"))
    assert pair.kernels == ("simd_dense", "generic")
    assert not pair.is_right(1e-6)


def test_compare_says_which_runs_auto_leaves_to_another_kernel(monkeypatch: pytest.MonkeyPatch):
    # Of a width and depths that no other test has: what is made here serves no other.
    plan = planned({"network": {**LINEAR, "width": 7, "depth": [2, 4]}}, seeds=8)
    last = plan.num_runs - 1
    monkeypatch.setattr(vectors, "PAYS_BESIDE_DENSE", 1000)
    pairs = compare_runs(plan, [0, last], kernels=(AS_AUTO, "dense"))
    assert [pair.kernels[0] for pair in pairs] == ["simd_dense"] * 2
    reasons = [pair.kernel_reason for pair in pairs]
    assert reasons[0].startswith("it pays; the dense kernel's steps; ")
    assert reasons[1].endswith("operations, more than 1,000")
    # Of a run alone that has none it is that kernel, told by its name.
    (pair,) = compare_runs(plan, [last], kernels=(AS_AUTO, "generic"))
    assert pair.kernels == ("dense", "generic")


def test_what_auto_leaves_to_the_generic_way_has_no_other_judge(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(vectors, "PAYS_UP_TO", 10)
    tanh = {"network": {"kind": "mlp", "depth": 2, "width": 7, "activation": "tanh"}}
    plan = planned({**tanh, "training": {"learning_rate": 0.1, "num_steps": 20}}, seeds=8)
    assert choose_kernels(plan, [0]) == (AS_AUTO, "generic")
    with pytest.raises(SpecError, match=r"the generic way trains this: .*, more than 10\."):
        compare_runs(plan, [0], kernels=(AS_AUTO, "generic"))
