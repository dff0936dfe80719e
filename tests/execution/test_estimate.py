from __future__ import annotations

import json
import subprocess
from typing import Any

import numpy as np
import pytest
from spec_samples import sweep

from dlnsweep.errors import RunError
from dlnsweep.execution import estimate as estimates
from dlnsweep.networks.layered.kind import layer_sizes, problem_rank
from dlnsweep.plan.batches import Batch, make_batches
from dlnsweep.plan.cost import cost_of, record_length
from dlnsweep.plan.plan import Plan, make_plan


def planned(**changes: Any) -> tuple[Plan, list[Batch]]:
    plan = make_plan(sweep(**changes))
    return plan, make_batches(plan, np.arange(plan.num_runs))


def test_a_run_costs_what_its_layers_say():
    row = make_plan(sweep(network__depth=3)).row(0)
    assert layer_sizes(row, 16) == (4, 16, 16, 8)
    assert problem_rank(row) == 2
    assert record_length(row) == 2
    cost = cost_of(row, 16)
    # Gradient descent sees the samples reduced to their rank.
    entries = 2 * 16 + 16 * 16 + 16 * 8
    assert cost.state_bytes == 8 * entries
    assert cost.step_flops == 6 * 2 * entries
    # The 200 log-spaced steps of 100 are 0, 1, ..., with repetitions dropped.
    assert 50 < cost.num_records < 101
    assert cost.record_bytes == cost.num_records * (8 + 8 * 2)


def test_vector_observables_count_with_their_length():
    names = ["loss", "singular_values", "weight_norms"]
    row = make_plan(sweep(network__depth=3, record__observables=names)).row(0)
    assert record_length(row) == 1 + 4 + 3


def test_costs_grow_with_width_steps_and_precision():
    def cost(width: int = 16, **changes: Any) -> Any:
        return cost_of(make_plan(sweep(**changes)).row(0), width)

    assert cost(width=1600).seconds > cost().seconds
    assert cost(training__num_steps=1000).seconds > cost().seconds
    assert cost(sweep__precision="float32").state_bytes * 2 == cost().state_bytes
    assert cost(training__optimizer="adam").state_bytes > 3 * cost().state_bytes


def test_the_estimate_counts_rows_and_steps():
    plan, batches = planned(
        training__num_steps=[10, 1000],
        record__spacing="linear",
        record__count=11,
        sweep__seeds=3,
    )
    found = estimates.estimate(plan, batches)
    assert found.rows == 6 * 11
    assert found.run_steps == 3 * (10 + 1000)
    assert found.longest_run == plan.cost(5)
    assert found.stored_bytes == sum(int(3 * 11 * (2 * 6.5 + 0.3)) for _ in range(2))
    assert found.worker_bytes > 0


def test_the_estimate_of_the_rest_counts_the_rest():
    plan, _ = planned(sweep__seeds=10)
    rest = make_batches(plan, np.arange(4))
    assert estimates.estimate(plan, rest).run_steps == 4 * 100


class Probed:
    """Answers the probe's process: every program takes `seconds` a run-step."""

    def __init__(self, returncode: int = 0) -> None:
        self.returncode = returncode
        self.requests: list[Any] = []
        self.seconds_a_record = 0.0

    def __call__(self, command: list[str], **options: Any) -> Any:
        assert "from dlnsweep.probe import main" in command[3]
        self.requests = json.loads(options["input"])
        measured = {
            "compile_seconds": 2.0,
            "start_seconds": 0.5,
            "spent_seconds": 0.0,
            "seconds_a_run_step": 1e-3,
            "seconds_a_record": self.seconds_a_record,
            "seconds_a_run": 3.0,
            "walked": 7,
            "records": 9,
            "lanes": 4,
            "way": "simd_samples",
        }
        lines = "\n".join(json.dumps(measured) for _ in self.requests)
        return subprocess.CompletedProcess(command, self.returncode, lines, "it broke")


def test_the_probe_carries_what_it_measured_over_to_the_sweep(monkeypatch: pytest.MonkeyPatch):
    answer = Probed()
    monkeypatch.setattr(subprocess, "run", answer)
    plan, batches = planned(sweep__seeds=8)
    timing = estimates.probe(plan, batches, workers=2)
    assert (timing.probed, timing.ways) == (1, ("simd_samples",))
    assert timing.compile_seconds == 2.0
    # A batch's start is paid for each, a worker's start and compiling on each worker.
    training = (8 * 100 * 1e-3 + len(batches) * 0.5) / 2
    assert timing.seconds == pytest.approx(training + 2.0 + timing.start_seconds)
    assert timing.steps_a_second == pytest.approx(800 / training)
    (request,) = answer.requests
    assert set(request) == {"columns", "shared", "padded_width"}
    assert request["columns"]["training.momentum"] == [None] * 8
    assert request["columns"]["seed"] == list(range(8))
    assert request["shared"] == plan.shared
    assert request["padded_width"] == 16


def test_records_that_take_long_are_in_the_time(monkeypatch: pytest.MonkeyPatch):
    answer = Probed()
    monkeypatch.setattr(subprocess, "run", answer)
    plan, batches = planned(sweep__seeds=8)
    without = estimates.probe(plan, batches, workers=2)
    answer.seconds_a_record = 0.25
    timing = estimates.probe(plan, batches, workers=2)
    records = estimates.estimate(plan, batches).rows
    training = 800 / without.steps_a_second + 0.25 * records / 2
    assert timing.seconds == pytest.approx(training + 2.0 + timing.start_seconds)
    assert timing.steps_a_second == pytest.approx(800 / training)


def test_the_probe_measures_the_costliest_programs_only(monkeypatch: pytest.MonkeyPatch):
    answer = Probed()
    monkeypatch.setattr(subprocess, "run", answer)
    plan, batches = planned(network__depth=list(range(1, 11)), sweep__seeds=2)
    timing = estimates.probe(plan, batches, workers=1)
    assert timing.probed == 6
    depths = [request["columns"]["network.depth"][0] for request in answer.requests]
    assert depths == [10, 9, 8, 7, 6, 5]
    assert timing.compile_seconds == pytest.approx(20)
    # The others are scaled by their estimated cost, which is less than that of the measured.
    training = timing.seconds - timing.compile_seconds - timing.start_seconds
    a_program = 2 * 100 * 1e-3 + 0.5
    assert 6 * a_program < training < 10 * a_program


def test_of_time_jumps_runs_of_all_lengths_are_walked(monkeypatch: pytest.MonkeyPatch):
    answer = Probed()
    monkeypatch.setattr(subprocess, "run", answer)
    plan, batches = planned(
        sweep__kernel="jumps", network__depth=[1, 2], training__num_steps=[100, 10**9],
        sweep__seeds=5,
    )  # fmt: skip
    walks = estimates.walk(plan, batches, workers=2)
    # Steps are no measure: what is measured is whole runs, of each program.
    assert [request["columns"]["training.num_steps"] for request in answer.requests] == [
        [100, 100, 10**9, 10**9], [100, 100, 10**9, 10**9]
    ]  # fmt: skip
    assert (walks.runs, walks.walked, walks.records) == (8, 14, 18)
    assert walks.compile_seconds == pytest.approx(2 * 2.0)
    assert walks.seconds == pytest.approx(20 * 3.0 / 2 + 4.0, rel=0.05)
    assert walks.walking_seconds == pytest.approx(20 * 3.0 / 2)


def test_a_program_is_counted_once_however_many_sizes_its_batches_have(
    monkeypatch: pytest.MonkeyPatch,
):
    """Four programs had been told to be five."""
    monkeypatch.setattr(subprocess, "run", Probed())
    plan, _ = planned(training__num_steps=[100, 200], sweep__seeds=3)
    batches = [
        Batch(number, np.array(runs), 16) for number, runs in enumerate([[0, 1], [2], [3, 4, 5]])
    ]
    assert plan.num_programs == 1
    assert estimates.probe(plan, batches, workers=1).probed == 1


def test_a_failed_probe_says_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(subprocess, "run", Probed(returncode=1))
    with pytest.raises(RunError) as caught:
        estimates.probe(*planned(), workers=1)
    assert str(caught.value) == "the probe failed; --no-probe leaves it out.\nit broke"
