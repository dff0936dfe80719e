"""`auto` tries time jumps where they are certified and pay, and falls back to steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jump_samples as samples
import numpy as np
import pytest
from planned_runs import train
from spec_samples import sweep
from sweep_samples import PATIENCE, data_files, start, trained_apart, write
from test_checkpoint import assert_same, in_pieces

import dlnsweep
from dlnsweep.contracts.network import ALL_STEPS, AUTO_JUMPS, AUTO_TAKES
from dlnsweep.engine import jumps
from dlnsweep.engine.programs import Programs
from dlnsweep.engine.trained import Trained
from dlnsweep.execution.comparison import AS_JUMPS, compare_runs
from dlnsweep.execution.comparison_text import summary, table
from dlnsweep.execution.estimate import probe, walk
from dlnsweep.execution.judges import choose_kernels
from dlnsweep.execution.preparing import DASK, prepare
from dlnsweep.execution.ways import auto_jumps, auto_kernel, jumps_here, reduced_steps
from dlnsweep.execution.workers.worker import _inputs
from dlnsweep.numerics.runtime import numerics
from dlnsweep.plan.batches import make_batches
from dlnsweep.plan.plan import Plan, make_plan
from dlnsweep.reduced.jumping.may_jump import may_jump
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store

LONG = 10**10
LINEAR: dict[str, Any] = {
    "problem": {"kind": "subspace", "signal_dim": 12, "measurement_dim": 8, "subspace_dim": 2,
                "num_samples": 40},
    "network": {"kind": "deep_linear", "depth": 2, "width": 32},
    "training": {"learning_rate": 0.05, "weight_decay": 1e-6, "num_steps": LONG},
    "record": {"count": 40, "observables": ["regression_error", "off_subspace_error"]},
}  # fmt: skip
TEACHER = {"kind": "teacher", "signal_dim": 2, "measurement_dim": 4, "num_samples": 8}
MLP: dict[str, Any] = {
    "problem": TEACHER,
    "network": {"kind": "mlp", "depth": 2, "width": 10, "activation": "tanh"},
    "record": {"count": 40, "observables": ["loss"]},
}


def planned(*cases: dict[str, Any], **changes: Any) -> Plan:
    whole = dict(LINEAR)
    for case in (*cases, changes):
        for section, values in case.items():
            fresh = section in ("problem", "network") and "kind" in values
            whole[section] = values if fresh else whole.get(section, {}) | values
    return make_plan(sweep(**whole))


def tried(*cases: dict[str, Any], **changes: Any) -> list[bool]:
    return auto_jumps.taken_by(planned(*cases, **changes)).tolist()


def test_they_are_tried_of_long_runs_that_are_certified():
    assert tried() == [True]
    assert tried(MLP) == [True]
    assert tried(MLP, training={"optimizer": "nesterov"}) == [True]
    assert tried(MLP, network={"kind": "diagonal_linear", "depth": 3}) == [True]
    completion = {"kind": "matrix_completion", "num_rows": 5, "num_columns": 5, "rank": 1,
                  "num_observed": 10}  # fmt: skip
    factors = {"kind": "deep_linear", "depth": 3, "width": 5}
    loss = {"observables": ["loss"]}
    assert tried(problem=completion, network=factors, record=loss) == [True]
    shorter = {"num_steps": 10**9}
    assert tried(problem=completion, network=factors, record=loss, training=shorter) == [False]
    assert tried(training=shorter) == [True]
    # Each run of a sweep by itself.
    several = planned(training={"num_steps": [10**6, LONG]}, sweep={"seeds": 2})
    assert auto_jumps.taken_by(several).tolist() == [False, False, True, True]
    (said,) = jumps_here.told(several)
    assert said.startswith("time jumps are tried for 2 of its 4 runs, which are long enough")
    assert jumps_here.told(planned(training={"num_steps": 10**6})) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"num_steps": 10**8}},
        {"training": {"optimizer": "adam"}},
        {"training": {"minibatch_size": 4}},
        {"training": {"weight_decay_factors": "1, 2"}, "sweep": {"kernel": "generic"}},
        {"training": {"stop_when": {"observable": "regression_error", "below": 1e-3}}},
        {"record": {"weights": "final"}},
        {"record": {"count": 200_000, "spacing": "linear"}},
        {"sweep": {"precision": "float32"}},
        {"sweep": {"kernel": "dense"}},
        {"sweep": {"kernel": "jumps"}},
        {"network": {"initial_weights": "law"}},
        {"network": {"depth": 7}},
        {"network": {"kind": "linear_then_relu", "depth": 2, "width": 32},
         "record": {"observables": ["regression_error"]}},
        {"problem": {**LINEAR["problem"], "kind": "noisy_subspace"}},
        # More than 64 outputs on samples of this rank.
        {"problem": {"signal_dim": 40}},
        {**MLP, "network": {**MLP["network"], "activation": "relu"}},
        {**MLP, "network": {**MLP["network"], "activation": "linear"}},
        {**MLP, "problem": {**TEACHER, "num_samples": 40}},
        {**MLP, "training": {"loss": "mean_squared"}, "problem": TEACHER},
    ],
)  # fmt: skip
def test_they_are_not_tried_of_others(changes: dict[str, Any]):
    assert not any(tried(changes))


def test_a_folder_keeps_what_it_was_begun_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def told(root: Path) -> set[bool]:
        store = Store.open(root)
        return {AUTO_JUMPS in _inputs(store, number)[1] for number, _ in store.batches()}

    def asked(seeds: int, **more: Any) -> Sweep:
        return sweep(**LINEAR, sweep={"seeds": seeds, **more})

    root, old = tmp_path / "new", tmp_path / "old"
    prepare(asked(2), root)
    prepare(asked(3), root)
    assert told(root) == {True}
    # It is no setting: runs are what they were.
    assert AUTO_JUMPS not in Store.open(root).runs_table().column_names
    assert AUTO_JUMPS not in Store.open(root).sweep["sweep"]["shared"]
    # Begun by a version that tried none, or on other machines.
    with monkeypatch.context() as before:
        before.setattr(auto_jumps, "_LEAST_SECONDS", np.inf)
        prepare(asked(2), old)
    prepare(asked(3), old)
    assert told(old) == {False}
    prepare(asked(2), tmp_path / "dask", how=f"{DASK}of two")
    assert told(tmp_path / "dask") == {False}
    # Runs that go on have the bits of whole ones, step by step.
    later = make_plan(asked(2, go_on_from=str(root)))
    assert auto_jumps.of_new(later) == {}
    # Nor does `plan` walk them.
    assert not auto_jumps.taken_by(later).any()
    assert jumps_here.told(later) == []
    for value in (True, "simd", ["by_cost"], None):
        description = json.loads((root / "sweep.json").read_text())
        description["sweep"]["auto_jumps"] = value
        (root / "sweep.json").write_text(json.dumps(description))
        assert told(root) == {False}


def test_plan_tells_what_run_does_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In the folder that is there, and on this machine."""

    def asked() -> Sweep:
        return sweep(**LINEAR, sweep={"kernel": "auto", "check_jumps": 2})

    def told() -> list[str]:
        return [said.partition(":")[0] for said in jumps_here.told(make_plan(asked()))]

    both = [
        "time jumps are tried for its runs, which are long enough for them; a run that they do not "
        'hold for is trained step by step (outcomes say which; sweep.kernel = "dense" or '
        '"generic" takes all steps)',
        "jumps of 1 run are checked",
    ]
    nothing = ["sweep.check_jumps finds nothing to check"]
    monkeypatch.chdir(tmp_path)
    assert told() == both
    with monkeypatch.context() as here:
        here.setattr(jumps_here, "accelerators", lambda: ["a GPU"])
        assert told() == nothing
    root = Path("results") / asked().name
    prepare(asked(), root)
    assert told() == both
    description = json.loads((root / "sweep.json").read_text())
    for word in ("auto_jumps", "reduced_jumps"):
        del description["sweep"][word]
    (root / "sweep.json").write_text(json.dumps(description))
    assert told() == nothing
    # It is for `run` to say what is wrong with a folder.
    (root / "sweep.json").write_text("{")
    assert told() == both
    # Of the reduced kernel likewise.
    plan = make_plan(asked())
    assert jumps_here.reduced(plan).all()
    # By another method their records would be others, to the tolerance.
    for word, same in ((None, False), ("by_trials", False), ("third_order", True)):
        record = {"reduced_jumps": word} if word else {}
        monkeypatch.setattr(jumps_here, "record_here", lambda _, record=record: record)
        assert jumps_here.reduced(plan).all() == same
    monkeypatch.setattr(jumps_here, "accelerators", lambda: ["a GPU"])
    assert not jumps_here.reduced(plan).any()


def test_reduced_runs_of_a_folder_begun_before_they_jumped_take_all_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def told(root: Path) -> set[bool]:
        store = Store.open(root)
        return {ALL_STEPS in _inputs(store, number)[1] for number, _ in store.batches()}

    def asked(seeds: int) -> Sweep:
        return sweep(**LINEAR, sweep={"seeds": seeds, "kernel": "reduced"})

    prepare(asked(2), tmp_path / "dask", how=f"{DASK}of two")
    assert told(tmp_path / "dask") == {False}
    root, old = tmp_path / "new", tmp_path / "old"
    prepare(asked(2), root)
    prepare(asked(3), root)
    assert told(root) == {False}
    with monkeypatch.context() as before:
        before.setattr(reduced_steps, "KERNELS", ())
        prepare(asked(2), old)
    prepare(asked(3), old)
    assert told(old) == {True}
    row = make_plan(asked(1)).row(0)
    assert may_jump(row)
    assert not may_jump(row | {ALL_STEPS: True})
    # Neither the bases nor the program are those of jumps.
    programs, told_row = Programs(), row | {ALL_STEPS: True}
    with numerics():
        drawn = [programs.draw(each, 32) for each in (row, told_row)]
    assert drawn[0] is not drawn[1]


# Of the rates one has a smooth path, one is beyond the edge of stability and one diverges.
MIXED: dict[str, Any] = {
    "problem": {"kind": "subspace", "signal_dim": 3, "measurement_dim": 3, "subspace_dim": 1,
                "num_samples": 5},
    "network": {"depth": 2, "width": [3, 4]},
    "training": {"learning_rate": [0.1, 300.0], "weight_decay": 1e-3, "num_steps": 6000},
    "record": {"count": 20, "observables": ["regression_error", "off_subspace_error", "loss"]},
    "sweep": {"seeds": 2},
}  # fmt: skip


def mixed(most: int, **changes: Any) -> Plan:
    """Return runs, all of one batch, whose walks may take so many gradients."""
    plan = make_plan(sweep(**MIXED | changes))
    plan.settings[AUTO_JUMPS] = np.full(plan.num_runs, most)
    return plan


@pytest.fixture(scope="module")
def steps() -> Trained:
    return train(make_plan(sweep(**MIXED)))


@pytest.fixture(scope="module")
def both() -> Trained:
    return train(mixed(10**6))


def rows_of(found: Trained, run: int) -> dict[str, bytes]:
    count = found.num_rows[run]
    return {name: each[run, :count].tobytes() for name, each in found.observables.items()}


def test_runs_that_they_hold_for_are_kept_and_others_take_their_steps(
    both: Trained, steps: Trained
):
    plan = mixed(10**6)
    assert both.kernel == [
        "jumps" if rate < 1 else "dense" for rate in plan.settings["training.learning_rate"]
    ]
    assert both.status == steps.status
    for run, kernel in enumerate(both.kernel):
        if kernel == "jumps":
            assert both.kernel_reason[run].startswith("it pays; ")
            assert " steps taken, " in both.kernel_reason[run]
            assert 0 < both.truncation_error[run] <= samples.TOLERANCE
            for name, judge in steps.observables.items():
                mine = both.observables[name][run]
                assert np.max(samples.judged(name, mine, judge[run])) <= samples.TOLERANCE
        else:
            assert both.kernel_reason[run].endswith("; no time jumps: it diverges")
            assert rows_of(both, run) == rows_of(steps, run)
            assert np.isnan(both.truncation_error[run])
    # Those that are kept are those of a sweep that asks for jumps, bit for bit.
    for width in (3, 4):
        network = {"depth": 2, "width": width}
        asked = train(
            make_plan(
                sweep(**MIXED | {"network": network, "sweep": {"seeds": 2, "kernel": "jumps"}})
            )
        )
        at = np.flatnonzero(plan.settings["network.width"] == width)
        same = [k for k, run in enumerate(at) if both.kernel[run] == "jumps"]
        assert len(same) == 2
        for k in same:
            assert rows_of(both, at[k]) == rows_of(asked, k)


def test_momentum_is_kept_where_it_holds():
    training = {"optimizer": "momentum", "momentum": 0.6, "learning_rate": [0.05, 300.0],
                "weight_decay": 1e-3, "num_steps": 6000}  # fmt: skip
    case = {"network": {"depth": 2, "width": 3}, "training": training, "sweep": {"seeds": 1}}
    found, judge = train(mixed(10**6, **case)), train(make_plan(sweep(**MIXED | case)))
    assert found.kernel == ["jumps", "dense"]
    assert found.status == judge.status == ["finished", "diverged"]
    for name, values in judge.observables.items():
        mine = found.observables[name][0]
        assert np.max(samples.judged(name, mine, values[0])) <= samples.TOLERANCE


def test_a_walk_that_takes_more_than_its_share_is_given_up(
    steps: Trained, monkeypatch: pytest.MonkeyPatch
):
    found = train(mixed(1000))
    # They have the bits of steps.
    for run in range(len(steps.num_rows)):
        assert rows_of(found, run) == rows_of(steps, run)
    assert found.kernel == steps.kernel
    why = "no time jumps: a walk takes more than 1,000 gradients"
    assert [reason.rpartition("; ")[2] for reason in found.kernel_reason] == [
        why if status == "finished" else "no time jumps: it diverges" for status in found.status
    ]
    # Wherever the walks rest.
    monkeypatch.setattr(jumps.JumpProgram, "_gradients", property(lambda _: 70, lambda *_: None))
    assert_same(train(mixed(1000)), found)


def test_what_magnifies_rounding_takes_its_steps():
    """Of a network beyond the edge of stability nobody knows the numbers."""
    case = MLP | {"training": {"learning_rate": 0.9, "weight_decay": 0.0, "num_steps": 3000}}
    plan = planned(case)
    plan.settings[AUTO_JUMPS] = np.array([10**6])
    found, judge = train(plan), train(planned(case))
    assert found.kernel == judge.kernel == ["generic"]
    assert found.kernel_reason[0].startswith(judge.kernel_reason[0] + "; no time jumps: ")
    assert rows_of(found, 0) == rows_of(judge, 0)


def test_a_batch_in_pieces_has_the_bits_of_a_whole_one(
    both: Trained, monkeypatch: pytest.MonkeyPatch
):
    few = property(lambda _: 300, lambda *_: None)
    monkeypatch.setattr(jumps.JumpProgram, "_gradients", few)
    monkeypatch.setattr("dlnsweep.engine.descent._FIRST_SEGMENT_STEPS", 2000)
    monkeypatch.setattr("dlnsweep.engine.descent._SEGMENT_SECONDS", 1e-12)
    pieces, kept, _ = in_pieces(mixed(10**6))
    assert len(kept) > 20
    assert_same(pieces, both)
    monkeypatch.setattr(jumps.JumpProgram, "_gradients", property(lambda _: 1e9, lambda *_: None))
    pieces, kept, _ = in_pieces(mixed(1000))
    assert_same(pieces, train(mixed(1000)))


def test_those_that_are_left_are_tried_by_the_reduced_kernel_and_by_vectors(
    monkeypatch: pytest.MonkeyPatch,
):
    """By whatever `auto` takes for them."""
    monkeypatch.setattr("dlnsweep.networks.layered.kind._LEAST_FLOPS", 0.0)
    wide: dict[str, Any] = {
        "problem": LINEAR["problem"],
        "network": {"depth": 2, "width": 60},
        "training": {"learning_rate": 0.05, "weight_decay": 1e-3, "num_steps": 4000},
        "sweep": {"seeds": 1},
    }
    found, judge = train(mixed(10, **wide)), train(make_plan(sweep(**MIXED | wide)))
    assert found.kernel == judge.kernel == ["reduced"]
    assert found.kernel_reason[0] == (
        f"{judge.kernel_reason[0]}; no time jumps: a walk takes more than 10 gradients"
    )
    assert rows_of(found, 0) == rows_of(judge, 0)
    assert found.truncation_error[0] == judge.truncation_error[0]
    pytest.importorskip("llvmlite")
    case = planned(MLP, training={"num_steps": 2000})
    case.settings[AUTO_JUMPS] = np.array([10])
    case.settings[AUTO_TAKES] = np.array(["simd"])
    assert train(case).kernel == ["simd"]


def test_compare_holds_what_auto_takes_against_the_generic_way(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(auto_kernel, "is_usable", lambda: False)
    monkeypatch.setattr(auto_jumps, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(auto_jumps, "_SHARE", 1e6)
    case = MIXED | {"network": {"depth": 2, "width": 3}, "sweep": {"seeds": 1}}
    plan = make_plan(sweep(**case))
    assert choose_kernels(plan, [0, 1]) == (AS_JUMPS, "generic")
    pairs = compare_runs(plan, [0, 1], kernels=(AS_JUMPS, "generic"))
    assert [pair.kernels for pair in pairs] == [("jumps", "generic")] * 2
    assert all(pair.is_right(samples.TOLERANCE) for pair in pairs)
    assert pairs[0].kernel_reason.startswith("it pays; ")
    assert "; no time jumps: it diverges" in table(pairs)
    assert "right: on 2 runs the jumps kernel agrees with" in summary(pairs, samples.TOLERANCE)
    monkeypatch.setattr(auto_jumps, "_LEAST_SECONDS", np.inf)
    assert choose_kernels(plan, [0, 1])[0] != AS_JUMPS


@pytest.mark.slow
def test_a_plan_walks_the_runs_that_jumps_are_tried_of():
    plan = planned(training={"num_steps": [1000, LONG]}, network={"width": [16, 32]})
    batches = make_batches(plan, np.arange(plan.num_runs))
    tried = auto_jumps.taken_by(plan)
    by_jumps = [batch for batch in batches if tried[batch.runs[0]]]
    walks = walk(plan, by_jumps, 1)
    assert walks.runs == 2
    assert walks.walked == walks.records > 2 * 40 - 1
    rest = [batch for batch in batches if not tried[batch.runs[0]]]
    assert walks.seconds + probe(plan, rest, 1).seconds < 600


SWEEP = """
name = "auto"
[problem]
kind = "subspace"
signal_dim = 12
measurement_dim = 8
subspace_dim = 2
num_samples = 40
[network]
depth = 2
width = 32
[training]
learning_rate = [0.05, 3.0]
weight_decay = 1e-6
num_steps = 800000000
[record]
count = 30
[sweep]
seeds = 2
"""


@pytest.mark.slow
def test_workers_shards_and_a_killed_process_write_the_same_bytes(tmp_path: Path):
    path = write(tmp_path, SWEEP)
    alone = trained_apart(path, tmp_path / "alone")
    runs = dlnsweep.open_results(alone).runs()
    kernels = dict(zip(runs["training.learning_rate"], runs["kernel"], strict=True))
    assert kernels == {0.05: "jumps", 3.0: "dense"}
    assert {*runs["status"]} == {"finished", "diverged"}

    def run(out: str, *more: str, kill_after: float = 0.0) -> None:
        process = start("run", path, "--out", tmp_path / out, *more, cwd=tmp_path)
        if kill_after:
            try:
                process.wait(kill_after)
            except Exception:
                process.kill()
                process.communicate()
            return
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said

    run("workers", "--workers", "2")
    assert data_files(tmp_path / "workers" / "auto") == data_files(alone)
    for shard in ("1/2", "2/2"):
        run("shards", "--shard", shard, "--workers", "1")
    assert data_files(tmp_path / "shards" / "auto") == data_files(alone)
    for seconds in (4.0, 8.0, 12.0):
        run("killed", "--workers", "0", "--checkpoint", "0.1", kill_after=seconds)
    run("killed", "--workers", "0", "--checkpoint", "0.1")
    assert data_files(tmp_path / "killed" / "auto") == data_files(alone)
