"""Time jumps in the engine: beside the generic way, whose steps they are."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import jump_samples as samples
import numpy as np
import pytest
from planned_runs import assert_end_alike, train
from spec_samples import problems, sweep
from sweep_samples import PATIENCE, data_files, start, trained_apart, write
from test_checkpoint import assert_same, in_pieces

import dlnsweep
from dlnsweep.engine import jumps, rungs
from dlnsweep.engine.probe import measure
from dlnsweep.engine.trained import Trained
from dlnsweep.errors import SpecError
from dlnsweep.execution.comparison import compare_runs
from dlnsweep.execution.comparison_text import summary, table
from dlnsweep.execution.judges import choose_kernels
from dlnsweep.execution.trial import check_network
from dlnsweep.plan.plan import Plan, make_plan

GRID: dict[str, Any] = {
    "problem": {"kind": "subspace", "signal_dim": 3, "measurement_dim": 3, "subspace_dim": 1,
                "num_samples": 5},
    "network": {"depth": 2, "width": 3},
    # Of the rates the last one diverges.
    "training": {"learning_rate": [0.1, 0.2, 300.0], "weight_decay": [1e-4, 0.01],
                 "num_steps": 6000, "stop_when": {"observable": "loss", "below": 1e-3}},
    "record": {"count": 40, "observables": ["regression_error", "off_subspace_error", "loss"]},
}  # fmt: skip


def planned(case: dict[str, Any], **options: Any) -> Plan:
    return make_plan(sweep(**case, sweep={"kernel": "jumps"} | options))


def _counts(reason: str) -> list[int]:
    """Return the steps taken, those jumped over, and the jumps."""
    return [int(part.replace(",", "")) for part in re.findall(r"[\d,]*\d", reason)]


@pytest.fixture(scope="module")
def grid() -> tuple[Plan, Trained]:
    """Runs of which some diverge and some stop; trained once."""
    plan = planned(GRID)
    return plan, train(plan)


def test_a_probe_walks_a_run_to_its_end_where_that_is_soon(grid: tuple[Plan, Trained]):
    plan, _ = grid
    columns = {key: column[:1].tolist() for key, column in plan.settings.items()}
    found = measure(columns, plan.shared, 3)
    assert found["walked"] == found["records"] > 20
    assert 0 < found["seconds_a_run"] < 1e3


def test_records_are_those_of_gradient_descent(grid: tuple[Plan, Trained]):
    _, found = grid
    judge = train(planned(GRID, kernel="generic"))
    assert_end_alike(found, judge)
    # Of numbers that blow up nothing is estimated, and where there is no record nothing differs.
    diverged = [each == "diverged" for each in found.status]
    np.testing.assert_array_equal(np.isnan(found.truncation_error), diverged)
    nothing = np.zeros(0)
    assert jumps._apart({"loss": (nothing, nothing)}) == 0.0
    assert jumps._apart({"loss": (np.ones(2), np.array([1.0, 2.0]))}) == np.inf
    for run, count in enumerate(found.num_rows):
        if found.status[run] == "diverged":
            continue
        allowed = max(samples.TOLERANCE, samples.ESTIMATES * found.truncation_error[run])
        for name, values in judge.observables.items():
            mine = found.observables[name][run, :count]
            assert np.max(samples.judged(name, mine, values[run, :count])) <= allowed


@pytest.mark.parametrize("optimizer", ["momentum", "nesterov"])
def test_records_are_those_of_momentum(optimizer: str):
    """Some of these runs oscillate as they begin; the last ones diverge."""
    rates = {"optimizer": optimizer, "momentum": [0.6, 0.97], "learning_rate": [0.02, 0.05, 300.0]}
    more = {"weight_decay": 1e-3, "num_steps": 20_000}
    case = GRID | {"training": GRID["training"] | rates | more}
    del case["training"]["stop_when"]
    found, judge = (train(planned(case, kernel=kernel)) for kernel in ("jumps", "generic"))
    assert found.status == judge.status
    np.testing.assert_array_equal(found.diverged_step, judge.diverged_step)
    assert found.status.count("diverged") == 2
    for run, count in enumerate(found.num_rows):
        if found.status[run] == "diverged":
            continue
        assert found.truncation_error[run] <= samples.TOLERANCE
        assert _counts(found.kernel_reason[run])[0] < 8000
        for name, values in judge.observables.items():
            mine = found.observables[name][run, :count]
            assert np.max(samples.judged(name, mine, values[run, :count])) <= samples.TOLERANCE


def test_outcomes_say_how_many_steps_were_jumped_over(grid: tuple[Plan, Trained]):
    _, found = grid
    assert set(found.kernel) == {"jumps"}
    for run, reason in enumerate(found.kernel_reason):
        parts = re.fullmatch(r"asked for; ([\d,]+) steps taken, ([\d,]+) in ([\d,]+) jumps", reason)
        assert parts
        taken, beyond, count = (int(part.replace(",", "")) for part in parts.groups())
        if found.status[run] == "finished":
            assert taken + beyond == 6000
            assert beyond > 3000
            assert 1 < count < 100
            assert 0 < found.truncation_error[run] <= samples.TOLERANCE


def test_what_a_looser_jump_was_wrong_by_is_not_followed():
    """Two time constants of a decay of 1e-8: once 51,491 steps, then some 1,500 jumps."""
    training = {"learning_rate": 0.1, "weight_decay": 1e-8, "num_steps": 2 * 10**9}
    found = train(planned(GRID | {"training": training, "record": {"count": 20}}, seeds=2))
    for reason in found.kernel_reason:
        taken, _, count = _counts(reason)
        assert taken < 2000, reason
        assert count < 200, reason
    assert max(found.truncation_error) < samples.TOLERANCE


def test_a_run_has_the_same_bits_in_every_batch(grid: tuple[Plan, Trained]):
    plan, found = grid
    rows = [3, 0]
    other = train(plan, rows)
    for name, values in other.observables.items():
        for run, row in enumerate(rows):
            count = found.num_rows[row]
            assert values[run, :count].tobytes() == found.observables[name][row, :count].tobytes()


def test_a_batch_in_pieces_has_the_bits_of_a_whole_one(
    grid: tuple[Plan, Trained], monkeypatch: pytest.MonkeyPatch
):
    """Walks that rest between two recorded steps are kept there, and go on from there."""
    plan, found = grid
    few = property(lambda _: 100, lambda *_: None)
    monkeypatch.setattr(jumps.JumpProgram, "_gradients", few)
    pieces, kept, told = in_pieces(plan)
    assert len(kept) > sum(found.num_rows)
    # How far they are is told between two recorded steps, too.
    assert {each % 6000 for each in told} - {*found.steps.tolist()}
    assert_same(pieces, found)


def test_trials_that_may_not_be_finer_are_alike_without_being_one_walk():
    """Of a tolerance of 1e-10 the last two trials may be wrong by the same, float64's least."""
    assert rungs.tolerances(1e-10)[1] == rungs.tolerances(1e-10)[2]
    found = rungs._of_all([1e-8, 3e-10, 3e-10], 1e-10, rungs.tolerances(1e-10))
    assert found == 3e-10


def test_what_misses_the_tolerance_is_walked_again(monkeypatch: pytest.MonkeyPatch):
    def trained(indices: list[int], tolerance: float) -> Trained:
        asked.append((indices, tolerance))
        # The run of a place needs so many trials.
        errors = [0.0 if len(asked) > i else 1e-5 / len(asked) for i in indices]
        count, none = len(indices), np.full(len(indices), -1)
        return Trained(
            np.array([0]), {"loss": np.array(indices, float)[:, None]}, np.ones(count, int), none,
            none, ["jumps"] * count, [""] * count, np.array(errors), np.full(count, np.nan), 0, 0,
        )  # fmt: skip

    asked: list[Any] = []
    whole = rungs.train_jumping(5, 1e-6, trained)
    assert [places for places, _ in asked] == [[0, 1, 2, 3, 4], [1, 2, 3, 4], [2, 3, 4]]
    tolerances = [tolerance for _, tolerance in asked]
    assert tolerances == sorted(tolerances, reverse=True)
    assert whole.observables["loss"][:, 0].tolist() == [0, 1, 2, 3, 4]
    # The last trial is kept, and says by how much it may be wrong.
    assert whole.truncation_error.tolist() == [0, 0, 0, 1e-5, 1e-5]


@pytest.mark.parametrize(
    ("trials", "estimate"),
    [
        # As jumps become finer.
        ([3e-3, 1e-4, 4e-6], 4e-6),
        ([math.inf, 3e-3, 5e-5], 5e-5),
        # Of rounding: what is found last is a draw as the others are.
        ([9e-5, 2e-5, 6e-5], 6e-5),
        ([3e-3, 1e-4, 9e-5], 1e-4),
        ([8e-3, math.inf, 6e-4], math.inf),
        ([math.inf, math.inf, 6e-4], math.inf),
        # The same real steps before all jumps, or no jumps: one draw; a run was wrong by 3.4 of it.
        ([6.2e-6, 6.2e-6, 6.2e-6], math.inf),
        ([2e-5, 6e-6, 6.01e-6], math.inf),
        # Of so much nothing is known.
        ([7e-5, 4e-4, 1e-4], math.inf),
        ([math.inf, 9e-3, 2e-4], math.inf),
        # What keeps the tolerance is as it was found.
        ([8e-3, math.inf, 6e-7], 6e-7),
        ([math.nan], math.nan),
    ],
)
def test_an_estimate_that_does_not_shrink_is_the_largest(trials: list[float], estimate: float):
    def trained(indices: list[int], tolerance: float) -> Trained:
        del tolerance
        found = np.array([next(left)])
        count, none = len(indices), np.full(len(indices), -1)
        return Trained(
            np.array([0]), {"loss": np.zeros((count, 1))}, np.ones(count, int), none,
            none, ["jumps"] * count, [""] * count, found, np.full(count, np.nan), 0, 0,
        )  # fmt: skip

    left = iter(trials)
    np.testing.assert_equal(rungs.train_jumping(1, 1e-6, trained).truncation_error, [estimate])
    assert not list(left)


WHY = 'sweep.kernel is "jumps", which follows the flow of one smooth map; '
TAKE = 'take "generic".'


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"training__minibatch_size": 2}, "training.minibatch_size is 2, and it must be 0"),
        ({"training__label_noise": 0.1}, "training.label_noise is 0.1, and it must be 0"),
        ({"training__sam_radius": 0.1}, "training.sam_radius is 0.1, and it must be 0"),
        ({"training__clip_norm": 1.0}, "training.clip_norm is 1.0, and it must be 0"),
        ({"training__warmup_steps": 5}, "training.warmup_steps is 5.0, and it must be 0"),
        (
            {"training__optimizer": "adam"},
            "training.optimizer is 'adam', and it must be 'gradient_descent', 'momentum' or "
            "'nesterov'",
        ),
        ({"sweep__precision": "float32"}, "sweep.precision is 'float32', and it must be 'float64'"),
    ],
)
def test_what_is_no_smooth_map_is_refused(changes: dict[str, Any], sentence: str):
    found = problems(**changes, **{"sweep__kernel": "jumps"})
    assert f'{WHY}{sentence}, or take "generic".' in found


def test_kinks_are_refused():
    (sentence,) = problems(network__kind="linear_then_relu", sweep__kernel="jumps")
    assert (
        sentence == f"{WHY}network.kind is 'linear_then_relu', which has a kink: take \"generic\"."
    )
    found = problems(
        network={"kind": "mlp", "width": 3, "depth": 2, "activation": "relu"},
        record={"observables": ["loss"]}, sweep__kernel="jumps",
    )  # fmt: skip
    assert f"{WHY}network.activation is {'relu'!r}, which has a kink: {TAKE}" in found


def test_too_many_outputs_are_refused_before_anything_is_written():
    network = {"kind": "mlp", "width": 3, "depth": 2, "activation": "tanh"}
    case = GRID | {"network": network, "record": {"observables": ["loss"]}}
    large = planned(case | {"problem": GRID["problem"] | {"num_samples": 200}})
    with pytest.raises(SpecError, match=r"a matrix of 600 rows.* it may have 512"):
        check_network(large)
    # A linear network sees its samples as few as they have directions.
    check_network(planned(GRID | {"problem": GRID["problem"] | {"num_samples": 2000}}))


def test_many_outputs_are_those_of_gradient_descent_on_linear_layers():
    """The sentence says so; completion of some entries, and momentum, are refused."""
    layers = samples.of_layers(1, runs=2, steps=3000)
    case = {key: layers[key] for key in ("problem", "network", "training", "record")}
    check_network(make_plan(sweep(**case, sweep={"kernel": "jumps"})))
    momentum = case | {"training": {**case["training"], "optimizer": "momentum"}}
    problem = {"kind": "matrix_completion", "num_rows": 23, "num_columns": 23, "rank": 1}
    some = case | {"problem": problem | {"num_observed": 528}}
    for refused in (momentum, some):
        with pytest.raises(SpecError, match=r"it may have 512 \(any number by gradient descent on"):
            check_network(make_plan(sweep(**refused, sweep={"kernel": "jumps"})))
    all_of_them = case | {"problem": problem | {"num_observed": 529}}
    check_network(make_plan(sweep(**all_of_them, sweep={"kernel": "jumps"})))


def test_of_a_completion_observed_entries_count():
    """29 x 29 entries, of which 80 are observed."""
    layers = samples.of_layers(0, runs=2, steps=3000)
    problem = layers["problem"] | {"num_rows": 29, "num_columns": 29, "num_observed": 80}
    cases = samples.outcomes(layers | {"problem": problem})
    assert max(case.share for case in cases) <= 1, cases
    assert any(_counts(case.steps)[1] > 1000 for case in cases), cases


@pytest.mark.parametrize("number", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_errors_of_runs_with_many_outputs_are_within_what_is_promised(number: int):
    cases = samples.outcomes(samples.of_layers(number, runs=2, steps=4000))
    assert max(case.share for case in cases) <= 1, cases
    assert any(_counts(case.steps)[1] > 2000 for case in cases), cases


def test_the_generic_way_is_its_judge(grid: tuple[Plan, Trained]):
    plan, _ = grid
    assert choose_kernels(plan, [0]) == ("jumps", "generic")
    assert choose_kernels(planned(GRID, kernel="auto"), [0], "jumps") == ("jumps", "generic")


@pytest.mark.slow
def test_it_is_compared_with_the_generic_way():
    (pair,) = compare_runs(planned(GRID), [1], kernels=("jumps", "generic"))
    assert pair.is_right(samples.TOLERANCE)
    assert "steps taken" in table([pair])
    assert summary([pair], samples.TOLERANCE).endswith(
        "right: on 1 run the jumps kernel agrees with the generic way to the tolerance."
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", range(8))
def test_errors_of_random_runs_are_within_what_is_promised(number: int):
    cases = samples.outcomes(samples.family(100 + number, runs=3, steps=8000))
    assert max(case.share for case in cases) <= 1, cases


SHORT = """
name = "short"
[problem]
kind = "subspace"
signal_dim = 3
measurement_dim = 3
subspace_dim = 1
num_samples = 5
[network]
depth = 2
width = 3
[training]
learning_rate = [0.1, 0.2]
weight_decay = 0.01
num_steps = 5000
[record]
count = 20
[sweep]
seeds = 3
kernel = "jumps"
"""


@pytest.mark.slow
def test_worker_processes_write_the_same_bytes(tmp_path: Path):
    path = write(tmp_path, SHORT)
    alone = trained_apart(path, tmp_path / "alone")
    process = start("run", path, "--out", tmp_path / "out", "--workers", "2", cwd=tmp_path)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert data_files(tmp_path / "out" / "short") == data_files(alone)
    assert set(dlnsweep.open_results(alone).runs()["kernel"]) == {"jumps"}


def test_a_long_run_is_planned_at_what_its_jumps_cost():
    seconds = [
        planned(GRID | {"training": {"learning_rate": 0.1, "num_steps": steps}}).cost(0).seconds
        for steps in (10**6, 10**12)
    ]
    assert seconds[0] == pytest.approx(seconds[1])
    assert seconds[1] < 60


def test_a_run_that_has_arrived_is_held():
    """2 * 10^5 time constants of the decay, which took a jump for every four of them.

    What only decays has gone to rounding by then, of which estimates are not made.
    """
    training = {"learning_rate": 0.1, "weight_decay": 1e-3, "num_steps": 2 * 10**9}
    case = GRID | {"training": training, "record": {"count": 20}}
    found = train(planned(case, seeds=2))
    short = train(planned(case | {"training": training | {"num_steps": 2 * 10**6}}, seeds=2))
    for run, reason in enumerate(found.kernel_reason):
        _, _, count, holds = _counts(reason)
        assert count < 200, reason
        assert 3 < holds < 20, reason
        assert found.truncation_error[run] <= samples.TOLERANCE
    ends = (each.observables["regression_error"][:, -1] for each in (found, short))
    np.testing.assert_allclose(*ends, rtol=samples.TOLERANCE)
    assert np.all(found.observables["off_subspace_error"][:, -1] < 1e-13)
