"""Steps as vector instructions in the engine: beside the generic way, whose steps they are."""

from __future__ import annotations

import importlib.metadata
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from planned_runs import assert_end_alike, train
from spec_samples import document, problems, sweep
from sweep_samples import PATIENCE, data_files, start, trained_apart, write
from test_checkpoint import assert_same, in_pieces
from vector_cases import ROUNDING, TRAINING, beside_generic, planned, random_family

import dlnsweep
from dlnsweep.contracts.network import AUTO_TAKES, network_of
from dlnsweep.engine import descent, probe, vectors
from dlnsweep.engine.programs import PROGRAMS, Programs
from dlnsweep.engine.trained import Trained
from dlnsweep.errors import RunError, SpecError
from dlnsweep.execution.comparison import compare_runs
from dlnsweep.execution.judges import choose_kernels
from dlnsweep.execution.preparing import prepare
from dlnsweep.numerics.lanes import Layout
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.plan import Plan
from dlnsweep.settings.run_settings import RunSettings
from dlnsweep.simd.entries import Refused
from dlnsweep.simd.llvm import instruction_set
from dlnsweep.simd.rules.elementwise import ELEMENTWISE
from dlnsweep.simd.steps import Steps

MLP = {"kind": "mlp", "width": 3, "depth": 2}
CASES: dict[str, dict[str, Any]] = {
    "tanh, adam": {
        "network": {**MLP, "activation": "tanh"},
        "training": {**TRAINING, "optimizer": "adam"},
    },
    "linear": {"network": {"depth": 3, "width": 3}},
    "tanh, novograd": {
        "network": {**MLP, "activation": "tanh"},
        "training": {**TRAINING, "optimizer": "novograd"},
    },
    "relu, momentum, logistic": {
        "problem": {"kind": "gaussian_mixture", "num_classes": 2, "labels": "signs",
                    "measurement_dim": 3, "num_samples": 4},
        "network": {**MLP, "activation": "relu"},
        "training": {**TRAINING, "optimizer": "momentum", "loss": "logistic"},
    },
    "gelu, rmsprop, schedule": {
        "network": {**MLP, "activation": "gelu"},
        "training": {**TRAINING, "learning_rate": 0.01, "optimizer": "rmsprop",
                     "schedule": "linear", "schedule_steps": 30, "schedule_end": 0.1},
    },
    "softplus, sharpness-aware": {
        "network": {**MLP, "activation": "softplus"},
        "training": {**TRAINING, "sam_radius": 0.1, "clip_norm": 0.5},
    },
    "diagonal, nesterov": {
        "network": {"kind": "diagonal_linear", "depth": 3, "layer_init_scale": 0.6},
        "training": {**TRAINING, "optimizer": "nesterov"},
    },
    "minibatches, cosine": {
        "network": {**MLP, "activation": "tanh"},
        "training": {**TRAINING, "minibatch_size": 2, "schedule": "cosine", "schedule_steps": 30,
                     "schedule_end": 0.1},
    },
    "minibatches in epochs": {
        "network": {**MLP, "activation": "tanh"},
        "training": {**TRAINING, "minibatch_size": 2, "minibatch_order": "epochs"},
    },
    "label noise": {
        "network": {**MLP, "activation": "tanh"},
        "training": {**TRAINING, "label_noise": 0.1},
    },
    "one pass": {
        "problem": {"kind": "gaussian_mixture", "num_classes": 2, "labels": "signs",
                    "measurement_dim": 3, "num_samples": 4},
        "network": {**MLP, "activation": "relu"},
        "training": {**TRAINING, "loss": "logistic", "minibatch_size": 2,
                     "minibatch_order": "one_pass"},
    },
    **{
        f"committee, {activation}": {
            "problem": {"kind": "population", "input_dim": 1000, "num_teacher_neurons": 2},
            "network": {"kind": "committee", "width": 3, "activation": activation,
                        "trained_layers": "both", "layer_init_scale": 0.5},
        }
        for activation in ("erf", "relu")
    },
    "completion": {
        "problem": {"kind": "matrix_completion", "num_rows": 3, "num_columns": 3, "rank": 1,
                    "num_observed": 5, "target_norm": 1.0},
        "network": {"kind": "deep_linear", "depth": 2, "width": 3, "layer_init_scale": 0.5},
    },
}  # fmt: skip
FAST = ("tanh, adam", "minibatches in epochs")


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_the_steps_are_those_of_the_generic_way(name: str):
    (pair,) = compare_runs(planned(CASES[name]), [1], kernels=("simd", "generic"))
    assert pair.endings == ("finished", "finished")
    assert pair.deviations["loss"].largest < ROUNDING
    assert pair.is_right(1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(125))
def test_the_steps_of_random_networks_are_those_of_the_generic_way(number: int):
    for run in beside_generic(random_family(number)):
        assert run.endings[0] == run.endings[1]
        # The generic way differs from itself by as much there, where XLA optimizes more.
        assert run.deviation < (1e-12 if number == 36 else ROUNDING)


GRID = {
    "network": {**MLP, "activation": "tanh"},
    "training": {**TRAINING, "learning_rate": [0.02, 0.05, 300.0], "num_steps": 60,
                 "weight_decay": [0.0, 0.01],
                 "stop_when": {"observable": "loss", "below": 0.05}},
    "record": {"count": 12, "observables": ["loss", "parameter_norm"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def grid() -> tuple[Plan, Trained]:
    """Runs of which some diverge and some stop, and every traced number differs; trained once."""
    plan = planned(GRID)
    return plan, train(plan)


def test_runs_end_where_those_of_the_generic_way_do(grid: tuple[Plan, Trained]):
    _, trained = grid
    judge = train(planned(GRID, kernel="generic"))
    assert_end_alike(trained, judge)
    for name, values in trained.observables.items():
        for run, count in enumerate(trained.num_rows):
            found, wanted = values[run, :count], judge.observables[name][run, :count]
            assert np.max(np.abs(found - wanted)) < ROUNDING * np.max(np.abs(wanted)), name


def test_a_run_has_the_same_bits_in_every_batch(grid: tuple[Plan, Trained]):
    plan, trained = grid
    order = np.random.default_rng(3).permutation(plan.num_runs)
    for rows in (order, order[:9]):
        other = train(plan, rows)
        for name, values in other.observables.items():
            for run, row in enumerate(rows):
                count = trained.num_rows[row]
                assert other.num_rows[run] == count
                whole = trained.observables[name][row, :count]
                assert values[run, :count].tobytes() == whole.tobytes()


def test_a_batch_in_pieces_has_the_bits_of_a_whole_one(
    grid: tuple[Plan, Trained], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(descent, "_FIRST_SEGMENT_STEPS", 20)
    monkeypatch.setattr(descent, "_SEGMENT_SECONDS", 1e-12)
    plan, trained = grid
    pieces, kept, _ = in_pieces(plan)
    assert len(kept) > 2
    assert_same(pieces, trained)


TINY = """
name = "tiny"
[problem]
kind = "teacher"
signal_dim = 2
measurement_dim = 3
num_samples = 4
[network]
kind = "mlp"
depth = 2
width = 3
activation = "tanh"
[training]
learning_rate = [0.02, 0.05]
num_steps = 500
[record]
observables = ["loss", "parameter_norm"]
[sweep]
seeds = 8
kernel = "simd"
"""


def test_worker_processes_write_the_same_bytes(tmp_path: Path):
    path = write(tmp_path, TINY)
    alone = trained_apart(path, tmp_path / "alone")
    process = start("run", path, "--out", tmp_path / "out", "--workers", "2", cwd=tmp_path)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert data_files(tmp_path / "out" / "tiny") == data_files(alone)
    assert set(dlnsweep.open_results(alone).runs()["kernel"]) == {"simd"}
    for folder in (alone, tmp_path / "out" / "tiny"):
        for receipt in receipts(folder):
            assert receipt["versions"]["llvmlite"] == importlib.metadata.version("llvmlite")
            assert receipt["instructions"] == instruction_set() != ""


def test_receipts_of_other_kernels_name_no_instructions(tmp_path: Path):
    document = TINY.replace('"simd"', '"generic"').replace("seeds = 8", "seeds = 1")
    dlnsweep.run(write(tmp_path, document), tmp_path / "out", workers=0)
    for receipt in receipts(tmp_path / "out" / "tiny"):
        assert "instructions" not in receipt
        assert "llvmlite" not in receipt["versions"]


def receipts(folder: Path) -> list[dict[str, Any]]:
    paths = list(folder.glob("receipts/batch-*.json"))
    assert paths
    return [json.loads(path.read_text()) for path in paths]


def test_outcomes_name_the_instructions(grid: tuple[Plan, Trained]):
    _, trained = grid
    assert set(trained.kernel) == {"simd"}
    (reason,) = set(trained.kernel_reason)
    parts = reason.split(", ", 2)
    assert parts[0].removeprefix("asked for; ") in ("AVX-512", "AVX2", "NEON")
    assert parts[1].endswith("runs a vector")
    assert parts[2].endswith("operations a step")


def test_what_it_cannot_another_program_does(monkeypatch: pytest.MonkeyPatch):
    def refuse(*given: Any) -> Any:
        raise Refused("its step has the operation 'sort', which is not known here")

    monkeypatch.setattr(vectors, "VectorProgram", refuse)
    monkeypatch.setattr(vectors, "Program", lambda *given: given)
    on_cpu, on_gpu = {"platform": "cpu"}, {"platform": "gpu"}
    assert vectors.program_of_vectors(RunSettings({}), 3, 2, on_cpu) == (
        {}, 3, 2, on_cpu,
        "simd cannot: its step has the operation 'sort', which is not known here",
    )  # fmt: skip
    # Beside it stands why it is not on the span of its samples, as where nothing was tried.
    row = planned(CASES["tanh, adam"], kernel="auto").row(0)
    monkeypatch.setattr(vectors, "Program", lambda *given, refusal: refusal)
    assert vectors.program_where_it_pays(row, 3, 2, on_cpu) == (
        "not simd: its step has the operation 'sort', which is not known here"
    )
    monkeypatch.setattr(vectors, "Program", lambda *given: given)
    refused: Any = vectors.program_of_vectors(RunSettings({}), 3, 2, on_gpu)
    assert refused[-1] == ("simd cannot: it computes on the CPU, and JAX's device here is a gpu")


def test_unasked_it_takes_what_pays_alone(monkeypatch: pytest.MonkeyPatch):
    plan = planned(CASES["tanh, adam"], kernel="auto")
    row = plan.row(0)
    folder = {AUTO_TAKES: "simd"}

    def program(row: RunSettings) -> Any:
        with numerics():
            return Programs().dense(row, 3, 2)

    whole = network_of(row).why_full(row, 3)
    assert whole is not None
    why = whole.sentence
    monkeypatch.setattr(vectors, "PAYS_UP_TO", 0)
    said = program(row | folder).reason_for(why)
    count = int(said.partition(" operations, more than 0")[0].rpartition(" ")[2].replace(",", ""))
    # A step of one operation more than pays is the generic way's, which says why.
    monkeypatch.setattr(vectors, "PAYS_UP_TO", count - 1)
    assert program(row | folder).reason_for(why) == (
        f"its inputs span all their dimensions; not simd: its step has {count:,} operations, more "
        f"than {count - 1:,}"
    )
    monkeypatch.setattr(vectors, "PAYS_UP_TO", count)
    paid = program(row | folder)
    assert paid.way == "simd"
    assert paid.reason.startswith("it pays; ")
    assert paid.reason.endswith(f", {count:,} operations a step")
    # A folder that says nothing of it, one that says something else, and a kernel asked for.
    for other in (row, row | {AUTO_TAKES: "other"}, row | folder | {"sweep.kernel": "generic"}):
        assert not network_of(other).takes_vectors(other, 3)
    # Of what has a kernel by hand, a step that is far too long is not tried.
    dense = planned(CASES["linear"], kernel="auto").row(0) | folder
    assert network_of(dense).takes_vectors(dense, 3)
    assert not network_of(dense).takes_vectors(dense, 300)


@pytest.mark.slow
def test_what_it_cannot_the_generic_way_trains_and_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(ELEMENTWISE, "tanh")
    # A width that no other test has, so that no program is there.
    case = CASES["tanh, adam"] | {"network": {**MLP, "activation": "tanh", "width": 5}}
    trained = train(planned(case))
    assert trained.kernel == ["generic"] * 2
    reason = "simd cannot: its step has the operation 'tanh', which is not known here"
    assert trained.kernel_reason == [reason] * 2
    with pytest.raises(SpecError) as caught:
        compare_runs(planned(case), [0], kernels=("simd", "generic"))
    assert caught.value.problems == (
        f"there is nothing to compare: the generic way trains this: {reason}.",
    )


@pytest.mark.slow
def test_a_function_that_is_wrong_by_a_millionth_is_found(monkeypatch: pytest.MonkeyPatch):
    right = ELEMENTWISE["tanh"]

    def wrong(emit: Any, params: Any, types: Any, x: Any) -> Any:
        bent = emit.multiply(x, np.float64(1 + 1e-6), types[0])
        return right(emit, params, types, bent)

    monkeypatch.setitem(ELEMENTWISE, "tanh", wrong)
    # A width that no other test has, so that the wrong program serves no other.
    case = CASES["tanh, adam"] | {"network": {**MLP, "activation": "tanh", "width": 2}}
    (pair,) = compare_runs(planned(case), [0], kernels=("simd", "generic"))
    assert not pair.is_right(1e-6)


def test_the_generic_way_is_its_judge():
    plan = planned(CASES["linear"])
    assert choose_kernels(plan, [0]) == ("simd", "generic")
    assert choose_kernels(planned(CASES["linear"], kernel="generic"), [0], "simd") == (
        "simd", "generic",
    )  # fmt: skip
    assert choose_kernels(planned(CASES["tanh, adam"], kernel="auto"), [0], "simd")[1] == "generic"


def test_a_network_without_gradients_has_no_such_steps():
    found = problems(
        problem={"kind": "matrix_completion", "num_rows": 3, "num_columns": 3, "rank": 1,
                 "num_observed": 5},
        network={"kind": "end_to_end", "depth": 2, "width": 3}, sweep={"kernel": "simd"},
    )  # fmt: skip
    assert "sweep.kernel is 'simd'; with network.kind = 'end_to_end' it must be 'auto'" in found[0]


def test_nothing_is_begun_without_llvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dlnsweep.simd.llvm.is_installed", lambda: False)
    with pytest.raises(RunError, match=r'sweep\.kernel is "simd", which needs llvmlite'):
        prepare(sweep(**document(sweep={"kernel": "simd"})), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_what_the_probe_compiles_is_no_training(monkeypatch: pytest.MonkeyPatch):
    """On a clock of its own: compiling takes 100 seconds, and between two looks passes 1 ms."""
    now, compile_steps = [0.0], Steps.compile

    def clock() -> float:
        now[0] += 1e-3
        return now[0]

    def slow(steps: Steps) -> None:
        now[0] += 100.0 * (steps._train is None)
        compile_steps(steps)

    monkeypatch.setattr(time, "perf_counter", clock)
    monkeypatch.setattr(Steps, "compile", slow)
    plan = planned(CASES["linear"] | {"training": {**TRAINING, "num_steps": 5000}})
    columns = {key: column.tolist() for key, column in plan.settings.items()}
    # As they are sent to it: what is not used is no number.
    columns = {key: [None if v != v else v for v in values] for key, values in columns.items()}
    measured = probe.measure(columns, plan.shared, plan.program_widths[0])
    assert measured["compile_seconds"] > 100
    assert measured["seconds_a_run_step"] < 1e-3
    assert measured["seconds_a_record"] == 0
    assert measured["way"] == "simd"


def test_records_that_take_long_are_measured_and_made_run_by_run():
    def both(observable: str) -> tuple[float, Layout]:
        record = {"count": 3, "observables": ["loss", observable]}
        case = {"network": {**MLP, "activation": "tanh"}, "record": record}
        plan, columns = planned(case, seeds=3), dict[str, list[Any]]()
        for key, column in plan.settings.items():
            columns[key] = [None if v != v else v for v in column.tolist()]
        width = plan.program_widths[0]
        measured = probe.measure(columns, plan.shared, width)
        with numerics():
            program: Any = PROGRAMS.dense(plan.row(0), width, 3)
        return measured["seconds_a_record"], program._layout_of_records

    seconds, layout = both("sharpness")
    assert seconds > 0
    assert layout == Layout(1)
    seconds, layout = both("parameter_norm")
    assert seconds == 0
    assert layout.vectorized > 1
