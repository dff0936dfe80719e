"""Vector instructions with samples in the lanes: beside the generic way, in any batch, unasked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from planned_runs import train
from vector_cases import ROUNDING, TRAINING, beside_generic, planned, random_family, with_samples

from dlnsweep.contracts.network import AUTO_TAKES
from dlnsweep.engine import sample_vectors
from dlnsweep.engine.batch import train_batch
from dlnsweep.execution.comparison import compare_runs
from dlnsweep.execution.ways import auto_kernel
from dlnsweep.plan.plan import Plan

TEACHER = {"kind": "teacher", "signal_dim": 1, "measurement_dim": 5, "num_samples": 20}
MLP = {"kind": "mlp", "width": 6, "depth": 3, "activation": "tanh"}
CASES: dict[str, dict[str, Any]] = {
    "gelu, adam": {"network": {**MLP, "activation": "gelu"},
                   "training": {**TRAINING, "learning_rate": 0.01, "optimizer": "adam"}},
    "softplus, sharpness-aware": {
        "network": {**MLP, "activation": "softplus"},
        "training": {**TRAINING, "learning_rate": 0.01, "sam_radius": 0.1, "clip_norm": 0.5},
    },
    "erf, centred, one layer": {
        "network": {**MLP, "activation": "erf", "output": "centred", "biases": True},
        "training": {**TRAINING, "learning_rate": 0.01},
    },
    "diagonal": {"network": {"kind": "diagonal_linear", "depth": 3, "layer_init_scale": 0.6}},
    "residual": {"network": {"kind": "deep_linear_resnet", "depth": 3, "width": 6},
                 "problem": {**TEACHER, "signal_dim": 5},
                 "training": {**TRAINING, "learning_rate": 0.001}},
}  # fmt: skip


def case_of(name: str) -> dict[str, Any]:
    return {"problem": TEACHER} | CASES[name]


@pytest.mark.parametrize(
    "name", [n if n == "gelu, adam" else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_the_steps_are_those_of_the_generic_way(name: str):
    (pair,) = compare_runs(planned(case_of(name)), [1], kernels=("simd_samples", "generic"))
    assert pair.endings == ("finished", "finished")
    assert pair.deviations["loss"].largest < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("number", range(125))
def test_the_steps_of_random_networks_are_those_of_the_generic_way(number: int):
    for run in beside_generic(with_samples(random_family(number), number), "simd_samples"):
        assert run.endings[0] == run.endings[1]
        # Of 500 the largest was 1.4e-13, where the generic way differs from itself by 2.5e-13.
        assert run.deviation < 3 * ROUNDING


GRID = {
    "problem": TEACHER,
    "network": MLP,
    "training": {**TRAINING, "learning_rate": [0.01, 30.0], "weight_decay": [0.0, 0.01]},
    "record": {"count": 6, "observables": ["loss", "parameter_norm"]},
}


def test_runs_end_as_those_of_the_generic_way_and_have_the_same_bits_alone():
    whole, judge = (train(planned(GRID, kernel=k)) for k in ("simd_samples", "generic"))
    assert set(whole.kernel) == {"simd_samples"}
    assert "samples a vector" in whole.kernel_reason[0]
    assert whole.status == judge.status
    assert len(set(judge.status)) > 1
    np.testing.assert_array_equal(whole.diverged_step, judge.diverged_step)
    plan = planned(GRID, kernel="simd_samples")
    for run in (0, len(whole.kernel) - 1):
        columns = {key: column[[run]] for key, column in plan.settings.items()}
        alone = train_batch(columns, plan.shared, plan.program_widths[plan.programs[run]])
        for name, values in alone.observables.items():
            np.testing.assert_array_equal(values[0], whole.observables[name][run])


def test_what_it_cannot_the_generic_way_trains_and_says_so():
    case = {"problem": TEACHER, "network": MLP, "training": {**TRAINING, "minibatch_size": 4}}
    trained = train(planned(case, kernel="simd_samples"))
    assert set(trained.kernel) == {"generic"}
    assert trained.kernel_reason[0].endswith("has 'gather' of samples, which is not known here")


def test_a_loss_of_a_matrix_is_the_generic_way_s():
    """Its samples are a mask, entries, and a scale without an axis."""
    completion = {"kind": "matrix_completion", "num_rows": 4, "num_columns": 4, "rank": 1,
                  "num_observed": 9}  # fmt: skip
    case = {"problem": completion, "network": {"kind": "deep_linear", "depth": 2, "width": 4}}
    trained = train(planned(case, kernel="simd_samples"))
    assert set(trained.kernel) == {"generic"}
    assert trained.kernel_reason[0].startswith("simd_samples cannot: its step takes an array")


def asked(plan: Plan, word: str) -> tuple[str, str]:
    """Return the kernel, and why, of a folder that has this word."""
    told = {**plan.shared, AUTO_TAKES: word}
    trained = train_batch(plan.settings, told, plan.program_widths[0])
    return trained.kernel[0], trained.kernel_reason[0]


def test_a_folder_keeps_the_word_that_it_was_begun_with(monkeypatch: pytest.MonkeyPatch):
    plan = planned({"problem": TEACHER, "network": MLP}, kernel="auto")
    small = sample_vectors._RUNS_UP_TO
    assert asked(plan, "simd")[0] == "simd"
    assert asked(plan, "simd_samples")[0] == "simd_samples"
    assert asked(plan, "simd_all")[0] == "simd"
    # Of more operations than runs in the lanes pay for.
    monkeypatch.setattr(sample_vectors, "_RUNS_UP_TO", 10)
    monkeypatch.setattr(sample_vectors, "_FEW_VECTORS", 0)
    from dlnsweep.engine.programs import PROGRAMS

    PROGRAMS.clear()
    assert asked(plan, "simd_all")[0] == "simd_samples"
    assert asked(plan, "simd")[0] == "simd"
    monkeypatch.setattr(sample_vectors, "_RUNS_UP_TO", small)
    monkeypatch.setattr(sample_vectors, "_LEAST_VECTORS", 100)
    PROGRAMS.clear()
    kernel, why = asked(plan, "simd_samples")
    assert kernel == "generic"
    assert "not simd_samples: its step has 20 samples" in why
    PROGRAMS.clear()


def test_of_erf_samples_are_quicker_than_runs():
    case = {"problem": TEACHER, "network": {**MLP, "activation": "gelu"}}
    assert asked(planned(case, kernel="auto"), "simd_all")[0] == "simd_samples"


def test_of_erf_in_float32_the_generic_way_is_quicker():
    case = {"problem": {**TEACHER, "num_samples": 64}, "network": {**MLP, "activation": "gelu"}}
    kernel, why = asked(planned(case, kernel="auto", precision="float32"), "simd_samples")
    assert kernel == "generic"
    assert why.endswith("operations, and erf in float32")


def test_the_word_of_a_folder_is_by_its_runs_and_its_network():
    def word(seeds: int, network: dict[str, Any]) -> dict[str, str]:
        problem = TEACHER if network["kind"] == "mlp" else {
            "kind": "subspace", "signal_dim": 5, "measurement_dim": 5, "subspace_dim": 5,
            "num_samples": 20}  # fmt: skip
        training = {**TRAINING, "num_steps": 10**7}
        case = {"problem": problem, "network": network, "training": training}
        return auto_kernel.of_new(planned(case, kernel="auto", seeds=seeds))

    assert word(8, MLP) == {"auto_takes": "simd_all"}
    assert word(7, MLP) == {"auto_takes": "simd_samples"}
    linear = {"kind": "deep_linear", "depth": 2, "width": 4}
    assert word(8, linear) in ({"auto_takes": "simd"}, {})
    assert word(7, linear) == {}
    assert auto_kernel.settings_in({"auto_takes": "another"}) == {}
