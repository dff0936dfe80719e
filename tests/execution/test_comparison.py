"""`dlnsweep compare`: what it compares, what it finds, what it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spec_samples import sweep
from sweep_samples import REPOSITORY, SMALL, everything_below, write

from dlnsweep.cli import app as cli
from dlnsweep.engine.batch import Trained
from dlnsweep.engine.deviations import deviations_of
from dlnsweep.errors import Interrupted, SpecError
from dlnsweep.execution import comparison, comparison_text
from dlnsweep.execution.comparison import (
    Deviation,
    Pair,
    choose_sample,
    compare,
    compare_runs,
)
from dlnsweep.execution.events import Event
from dlnsweep.execution.judges import choose_kernels
from dlnsweep.plan.plan import make_plan

TINY = SMALL
for before, after in (
    ("signal_dim = 8", "signal_dim = 12"),
    ("measurement_dim = 4", "measurement_dim = 8"),
    ("width = 8", "width = 60"),
    ("num_steps = [30, 40, 50]", "num_steps = 1500"),
):
    TINY = TINY.replace(before, after)


def trained(kernel: str = "dense", **changes: Any) -> Trained:
    """Return one run as `train_batch` does; `loss=[...]` is an observable."""
    fields: dict[str, Any] = {
        "steps": np.array([0, 10, 100]),
        "num_rows": 3,
        "diverged_step": -1,
        "stopped_step": -1,
        "kernel_reason": "certified" if kernel == "reduced" else "asked for",
        "truncation_error": 2e-7 if kernel == "reduced" else np.nan,
        "seconds": 0.5 if kernel == "reduced" else 2.0,
    }
    values = {"off_subspace_error": [1.0, 0.5, 1e-9], "singular_values": np.ones((3, 4))}
    values |= {k: v for k, v in changes.items() if k not in fields}
    fields |= {k: v for k, v in changes.items() if k in fields}
    return Trained(
        steps=fields["steps"],
        observables={name: np.asarray(value, float)[None] for name, value in values.items()},
        num_rows=np.array([fields["num_rows"]]),
        diverged_step=np.array([fields["diverged_step"]]),
        stopped_step=np.array([fields["stopped_step"]]),
        kernel=[kernel],
        kernel_reason=[fields["kernel_reason"]],
        truncation_error=np.array([fields["truncation_error"]]),
        residual_norm=np.array([np.nan]),
        compile_seconds=1.0,
        seconds=fields["seconds"],
    )


def pair(reduced: Trained | None = None, dense: Trained | None = None, seed: int = 0) -> Pair:
    return compare({"seed": str(seed)}, reduced or trained("reduced"), dense or trained())


def deviating(by: float) -> Pair:
    return pair(trained("reduced", off_subspace_error=[1.0, 0.5 * (1 + by), 1e-9]))


@pytest.mark.parametrize(
    ("num_runs", "wanted", "chosen"),
    [
        (1, 4, [0]),
        (3, 4, [0, 1, 2]),
        (4, 4, [0, 1, 2, 3]),
        (40, 4, [0, 13, 26, 39]),
        (40, 1, [0]),
        (40, 2, [0, 39]),
        (10_000_000, 3, [0, 4_999_999, 9_999_999]),
    ],
)
def test_the_sample_is_spread_evenly(num_runs: int, wanted: int, chosen: list[int]):
    assert choose_sample(num_runs, wanted) == chosen


def test_deviations_are_relative_to_the_dense_kernel():
    found = deviations_of("weight", np.array([1.5, 2.0, -3.0]), np.array([1.0, 2.0, -4.0]))
    np.testing.assert_allclose(found, [0.5, 0, 0.25])
    dense = np.array([[3.0, 4.0], [6.0, 8.0]])
    found = deviations_of("singular_values", dense + np.array([0, 1.0]), dense)
    np.testing.assert_allclose(found, [0.2, 0.1])


def test_what_has_no_number_agrees_with_its_like_only():
    nan = np.nan
    reduced, dense = [nan, nan, 1, 1, 0, np.inf], [nan, 1, nan, 0, 0, np.inf]
    found = deviations_of("x", np.array(reduced), np.array(dense))
    assert found.tolist() == [0, np.inf, np.inf, np.inf, 0, 0]


@pytest.mark.parametrize(
    ("name", "dense", "difference", "alarms"),
    [
        ("regression_error", 2e-15, 5e-14, False),
        ("regression_error", 2e-10, 2e-13, True),
        ("oracle_distance", 2e-15, 5e-14, False),
        # What decays by itself stays exact, however small.
        ("off_subspace_error", 2e-15, 1e-18, True),
        # The root of a loss of 50 is known to 7e-13, so a loss of 1e-22 to 1.5e-23.
        ("loss", 1e-22, 1.4e-23, False),
        ("loss", 1e-22, 1.6e-23, True),
        ("gradient_norm", 1e-14, 4e-12, False),
        ("gradient_norm", 1e-14, 6e-12, True),
    ],
)
def test_rounding_is_no_deviation(name: str, dense: float, difference: float, alarms: bool):
    values = np.array([50.0, dense])
    found = deviations_of(name, values + np.array([0, difference]), values)
    assert (found[1] > 1e-6) == alarms


@pytest.mark.parametrize(("difference", "alarms"), [(0.9e-13, False), (1.1e-13, True)])
def test_a_gradient_is_known_to_what_rounding_the_parameters_makes_of_it(
    difference: float, alarms: bool
):
    values = np.array([1e-4, 1e-15])
    # ||H theta|| = 1, of which one rounding is 2^-53.
    known_to = np.full(2, 2.0**-53)
    apart = values + np.array([0, difference])
    found = deviations_of("gradient_norm", apart, values, known_to=known_to)
    assert (found[1] > 1e-6) == alarms
    assert deviations_of("gradient_norm", apart, values)[1] > 1


def test_each_step_rounds_what_the_generic_way_has_off_the_subspace():
    values, apart = np.array([1.0, 1e-20, 1e-20]), np.array([0, 2e-12, 2e-12])
    rounded = np.array([0, 1e4, 1e5])
    found = deviations_of(
        "off_subspace_error", values + apart, values, judge="generic", rounded=rounded
    )
    # 1e-13, and 1.1e-16 a step: 1.2e-12 and 1.1e-11.
    assert (found > 1).tolist() == [False, True, False]
    # Of both walks of a run by jumps 1e-12.
    found = deviations_of("off_subspace_error", values + apart / 3, values, judge="jumps")
    assert not np.any(found)


@pytest.mark.parametrize("kernel", ["dense", "reduced"])
def test_a_gradient_that_falls_to_rounding_from_near_a_saddle_is_right(kernel: str):
    """Small weights, whose gradient is small, and then none but rounding: no large one is known."""
    made = sweep(
        network={"depth": 3, "width": 12, "layer_init_scale": 0.01},
        training={"learning_rate": 0.2, "weight_decay": 0.0, "num_steps": 40_000},
        record={
            "observables": ["gradient_norm"], "spacing": "explicit", "steps": [30_000, 39_000]
        },
    )  # fmt: skip
    judge = "generic" if kernel == "dense" else "dense"
    (found,) = compare_runs(make_plan(made), [0], kernels=(kernel, judge))
    assert list(found.deviations) == ["gradient_norm"]
    assert found.is_right(1e-6)


def test_a_pair_names_the_worst_step_of_each_observable():
    found = pair(
        trained("reduced", off_subspace_error=[1.0, 0.5 + 5e-8, 1e-9 + 5e-17]),
        trained(seconds=4.0),
    )
    assert found.deviations["singular_values"] == Deviation(0.0, 0)
    assert found.deviations["off_subspace_error"].step == 10
    assert found.deviations["off_subspace_error"].largest == pytest.approx(1e-7)
    assert (found.kernel_reason, found.estimate, found.seconds) == ("certified", 2e-7, (0.5, 4.0))


@pytest.mark.parametrize(("by", "right"), [(9e-7, True), (1.1e-6, False), (np.nan, False)])
def test_the_tolerance_decides(by: float, right: bool):
    assert deviating(by).is_right(1e-6) == right


@pytest.mark.parametrize(("by", "right"), [(5.9e-7, True), (6.1e-7, False)])
def test_three_times_the_estimate_decides_where_it_is_more(by: float, right: bool):
    assert deviating(by).is_right(1e-8) == right


def test_a_run_without_an_estimate_has_the_tolerance():
    assert not pair(trained("reduced", truncation_error=np.nan, off_subspace_error=[1, 1, 1])
    ).is_right(1e-6)  # fmt: skip


def test_there_is_nothing_to_hold_a_run_to_that_promises_nothing():
    unknown = pair(
        trained("reduced", truncation_error=np.inf, off_subspace_error=[1, 1, 1]), seed=3
    )
    assert unknown.promises_nothing
    verdict = comparison_text.summary([unknown], 1e-6).splitlines()[1]
    assert verdict == (
        "nothing to hold 1 run to: an infinite estimate says that nothing is known of the "
        "numbers (seed 3)."
    )
    # What is worst of others does not count its deviations.
    verdict = comparison_text.summary([deviating(5e-7), unknown], 1e-6).splitlines()[1]
    assert verdict == (
        "right: on 1 run the reduced kernel agrees with the dense one to the tolerance; nothing "
        "to hold 1 of 2 runs to: an infinite estimate says that nothing is known of the numbers "
        "(seed 3)."
    )
    # Nor does it hide what is wrong.
    verdict = comparison_text.summary([deviating(1.1e-6), unknown], 1e-6).splitlines()[1]
    assert verdict.startswith("NOT right: on 1 of 2 runs the kernels disagree")
    assert verdict.count("seed") == 1


def test_diverged_runs_are_compared_by_their_ends():
    def diverged(kernel: str, step: int, value: float) -> Trained:
        values = [1.0, value, np.nan]
        return trained(kernel, diverged_step=step, num_rows=2, off_subspace_error=values)

    reduced = diverged("reduced", 17, 1e200)
    same = pair(reduced, diverged("dense", 17, 1e190))
    assert same.is_right(1e-6)
    assert (same.endings, same.deviations) == (("diverged at 17",) * 2, {})
    for other in (diverged("dense", 18, 1e200), trained()):
        assert not pair(reduced, other).is_right(1e-6)


def test_stopped_runs_are_compared_up_to_their_stop():
    beyond = trained("reduced", stopped_step=10, num_rows=2, off_subspace_error=[1.0, 0.5, 7.0])
    assert pair(beyond, trained(stopped_step=10, num_rows=2)).is_right(1e-6)
    assert not pair(beyond, trained(stopped_step=100)).is_right(1e-6)


def test_the_table_has_a_line_a_run():
    diverged = pair(
        trained("reduced", diverged_step=17, kernel_reason="complete bases: it diverged"),
        trained(diverged_step=18),
        seed=3,
    )
    lines = comparison_text.table([deviating(1e-7), diverged]).splitlines()
    cells = [re.split(r"  +", line) for line in lines]
    assert cells == [
        ["seed", "off_subspace_error", "singular_values", "estimate", "ending", "reduced",
         "dense", "dense/reduced", "bases"],
        ["0", "1.0e-07 at 10", "0.0e+00 at 0", "2.0e-07", "finished", "0.5 s", "2 s", "4",
         "certified"],
        ["3", "-", "-", "2.0e-07", "diverged at 17, dense diverged at 18", "0.5 s", "2 s", "4",
         "complete bases: it diverged"],
    ]  # fmt: skip


def test_the_verdict():
    said = comparison_text.summary([pair(), deviating(1e-7)], 1e-6)
    assert said == (
        "worst deviation 1.0e-07 (off_subspace_error, seed 0, step 10); tolerance 1.0e-06, "
        "largest estimate 2.0e-07\n"
        "right: on 2 runs the reduced kernel agrees with the dense one to the tolerance."
    )
    assert "one to three times its estimate." in comparison_text.summary([deviating(5e-7)], 1e-8)
    said = comparison_text.summary([pair(), deviating(1e-3)], 1e-6)
    assert "NOT right: on 1 of 2 runs" in said
    assert "--set sweep.kernel=dense" in said
    diverged = pair(trained("reduced", diverged_step=1), trained(diverged_step=1))
    assert comparison_text.summary([diverged], 1e-6).startswith("no deviation to measure (all")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Let every training end at once; what was asked for is returned. Seed 1 is wrong."""
    asked: list[tuple[Any, ...]] = []

    def train_batch(
        rows: Any, shared: Any, width: int, on_progress: Any, should_stop: Any, given: Any
    ) -> Any:
        assert given is None
        kernel, seed = rows["sweep.kernel"][0], int(rows["seed"][0])
        asked.append((kernel, rows["sweep.precision"][0], rows["seed"].tolist(), width))
        assert "record.observables" in shared
        if should_stop():
            raise Interrupted("stopped")
        wrong = 1e-3 if kernel == "reduced" and seed == 1 else 0.0
        return trained(kernel, off_subspace_error=[1.0, 0.5 + wrong, 1e-9])

    monkeypatch.setattr("dlnsweep.engine.batch.train_batch", train_batch)
    return asked


def test_each_run_is_trained_by_both_kernels_in_float64(fake: list[Any]):
    plan = make_plan(sweep(sweep__seeds=3, sweep__precision="float32"))
    events: list[Event] = []
    pairs = compare_runs(plan, [0, 2], events.append)
    assert fake == [
        ("reduced", "float64", [0], 16),
        ("reduced", "float64", [2], 16),
        ("dense", "float64", [0], 16),
        ("dense", "float64", [2], 16),
    ]
    assert [p.label for p in pairs] == [{"seed": "0"}, {"seed": "2"}]
    assert [e.kind for e in events] == ["ready", *["done"] * 4]
    assert sum(e.run_steps for e in events) == comparison.run_steps(plan, [0, 2]) == 400


def test_labels_are_short_but_not_ambiguous(fake: list[Any]):
    plan = make_plan(
        sweep(
            training__optimizer=["gradient_descent", "momentum"],
            training__momentum=[0.5, 0.9],
            network__depth=[2, 3],
        )
    )
    labels = [p.label for p in compare_runs(plan, [0, plan.num_runs - 1])]
    assert labels == [
        {"seed": "0", "depth": "2", "optimizer": "gradient_descent", "momentum": "-"},
        {"seed": "0", "depth": "3", "optimizer": "momentum", "momentum": "0.9"},
    ]


def test_the_estimate_of_the_time_is_that_of_the_kernel():
    plan = make_plan(sweep(network__width=2000, network__depth=4, training__num_steps=10**6))
    dense = comparison.seconds_of(plan, [0], "dense")
    assert dense > 10 * comparison.seconds_of(plan, [0], "reduced")
    assert comparison.seconds_of(plan, [0, 0], "dense") == pytest.approx(2 * dense)


@pytest.mark.parametrize(
    ("changes", "reason", "remedy"),
    [
        ({"training__optimizer": "adam"}, "adam does not keep", "training.optimizer=gradient_"),
        ({"network__depth": [1, 2]}, "depth 1 has no hidden layer", "--set network.depth=2"),
        (
            {"record__observables": ["unbalancedness", "loss"]},
            "unbalancedness needs the weights",
            "--set 'record.observables=[\"loss\"]'",
        ),
        (
            {"record__observables": ["unbalancedness"]},
            "unbalancedness needs the weights",
            "--set 'record.observables=[\"regression_error\"]'",
        ),
        (
            {"network__initial_weights": "law"},
            "draws no weights",
            "--set network.initial_weights=drawn",
        ),
    ],
)
def test_what_one_kernel_cannot_train_is_refused(changes: Any, reason: str, remedy: str):
    plan = make_plan(sweep(sweep__seeds=2, **changes))
    with pytest.raises(SpecError) as caught:
        choose_kernels(plan, choose_sample(plan.num_runs, 4), "reduced")
    (problem,) = caught.value.problems
    assert reason in problem
    assert remedy in problem
    assert problem.startswith("there is nothing to compare: ")


def test_all_reasons_are_said_at_once():
    plan = make_plan(
        sweep(
            training__optimizer="rmsprop", network__depth=1, record__observables=["unbalancedness"]
        )
    )
    with pytest.raises(SpecError) as caught:
        choose_kernels(plan, [0], "reduced")
    assert len(caught.value.problems) == 3


def said_by(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["dlnsweep", "compare", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_a_wrong_kernel_ends_with_1(
    fake: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    path = write(tmp_path, TINY)
    status, out, err = said_by(monkeypatch, capsys, path, "--kernel", "reduced")
    assert status == 1
    assert "NOT right: on 2 of 4 runs" in out
    assert "seed 1, weight_decay 0.001" in out
    assert "NOT right" not in err
    status, out, _ = said_by(monkeypatch, capsys, path, "--kernel", "reduced", "--runs", "1")
    assert (status, len(out.splitlines())) == (0, 4)


def test_a_wish_to_stop_ends_with_130(
    fake: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def refuse(*_: Any, **__: Any) -> Any:
        raise Interrupted("stopped")

    monkeypatch.setattr("dlnsweep.engine.batch.train_batch", refuse)
    status, out, err = said_by(monkeypatch, capsys, write(tmp_path, TINY))
    assert (status, out) == (130, "")
    assert err.endswith("dlnsweep: stopped: nothing was compared, and nothing is kept.\n")


def test_the_kernels_agree_on_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    asked = ("--kernel", "reduced", "--runs", "2", "--set", "sweep.seeds=1")
    status, out, err = said_by(monkeypatch, capsys, write(tmp_path, TINY), *asked)
    assert status == 0
    lines = out.splitlines()
    assert re.split(r"  +", lines[0])[:2] == ["seed", "weight_decay"]
    assert len(lines) == 2 + 3
    assert lines[1].endswith("certified")
    assert re.match(r"worst deviation \S+ \(\w+, seed 0, step \d+\); tolerance 1.0e-06", lines[3])
    assert lines[4].startswith("right: on 2 runs")
    assert err.startswith(
        "dlnsweep: 2 runs by the reduced kernel and by the dense one, which will take about 1 s\n"
    )
    assert everything_below(tmp_path) == ["sweep.toml"]


def test_a_refusal_starts_nothing(tmp_path: Path):
    """Exit status 2, no JAX."""
    code = (
        "import sys\nfrom dlnsweep.cli.app import main\n"
        "try:\n    main()\nfinally:\n    print('jax' in sys.modules)\n"
    )
    path = write(tmp_path, TINY)
    ended = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-c", code),
            *("compare", path, "--kernel=reduced", "--set", "training.optimizer=adam"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "False\n")
    assert ended.stderr.startswith("dlnsweep: there is nothing to compare: ")
    assert everything_below(tmp_path) == ["sweep.toml"]
