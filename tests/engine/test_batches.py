"""Batches through the plan: lanes, padding, segments, recompilation, and agreement with NumPy."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import jax
import numpy as np
import oracle
import pytest
from batch_samples import (
    AGREEMENT,
    ROUNDING,
    assert_follows,
    distance,
    drawn,
    expected,
    plan_of,
    same_bits,
    train_rows,
)

from dlnsweep.engine import descent
from dlnsweep.engine.programs import PROGRAMS, Programs
from dlnsweep.errors import Interrupted
from dlnsweep.plan.batches import make_batches

GRID = {
    "problem": {
        "kind": "subspace",
        "signal_dim": 6,
        "measurement_dim": 4,
        "subspace_dim": 2,
        "num_samples": 12,
        "condition_number": [1.0, 3.0],
    },
    "training": {
        "learning_rate": [0.02, 0.05],
        "weight_decay": [0.0, 0.1],
        "data_fit_scale": 0.8,
        "num_steps": 150,
    },
}
# Thirteen runs take as many lanes as the grid's sixteen, so most tests share its program; three
# lanes hold copies of the last run.
THIRTEEN = {"seeds": 13}


@pytest.fixture(scope="module")
def grid():
    """Sixteen runs in one batch, trained once for several tests."""
    plan = plan_of(**GRID, sweep={"seeds": 2})
    return plan, train_rows(plan)


def test_a_batch_agrees_with_the_plain_recursion(grid):
    plan, trained = grid
    assert plan.num_runs == 16
    assert plan.num_programs == 1
    assert trained.status == ["finished"] * 16
    for row in range(0, 16, 3):
        assert_follows(plan, row, trained, row)
    assert np.all(trained.num_rows == len(trained.steps))


def test_a_batch_equals_its_runs_alone(grid):
    plan, trained = grid
    for row in (0, 9):
        alone = train_rows(plan, [row])
        for name, values in trained.observables.items():
            assert alone.observables[name].shape[0] == 1
            assert distance(alone.observables[name][0], values[row]) < ROUNDING


def test_the_same_batch_twice_gives_the_same_bits(grid, monkeypatch):
    plan, trained = grid
    assert same_bits(trained, train_rows(plan))
    # Nor from the cache of this session's processes.
    monkeypatch.setenv("DLNSWEEP_COMPILE_CACHE", "off")
    with Compilations() as seen:
        again = train_rows(plan, programs=Programs())
    assert same_bits(trained, again), "also from a program compiled afresh"
    assert seen.count > 0


def test_a_runs_place_in_the_batch_does_not_matter(grid):
    plan, trained = grid
    order = np.random.default_rng(0).permutation(16)
    assert same_bits(train_rows(plan, order), trained, lanes_b=order)


class Compilations:
    """Counts what JAX compiles while it is entered."""

    def __enter__(self):
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def __exit__(self, *_):
        jax.monitoring.unregister_event_duration_listener(self._listen)

    def _listen(self, event: str, duration_secs: float, **_: str | int) -> None:
        self.count += event.endswith("backend_compile_duration")


def test_traced_numbers_do_not_recompile(grid):
    plan, _ = grid
    train_rows(plan)
    others = plan_of(
        problem=GRID["problem"] | {"condition_number": [2.0, 5.0]},
        network={
            "depth": 3,
            "width": 8,
            "layer_init_scale": 0.9,
            "product_init_scale": 0.5,
            "relative_init_scale": 1.5,
        },
        training={
            "learning_rate": [0.01, 0.03],
            "weight_decay": [0.2, 0.3],
            "data_fit_scale": 1.2,
            "num_steps": 90,
        },
        record={"count": 12, "rank_threshold": 0.1, "test_noise": 0.5},
        sweep={"seeds": [5, 77]},
    )
    with Compilations() as seen:
        trained = train_rows(others)
    assert trained.compile_seconds < 0.5
    assert seen.count == 0


# Adam has a program of its own for 4 lanes, which the tests below share.
@pytest.mark.parametrize(("seeds", "optimizer"), [(4, "gradient_descent"), (1, "adam")])
def test_a_diverging_lane_leaves_the_others_bit_identical(seeds, optimizer):
    numbers = {"optimizer": optimizer, "num_steps": 100}
    calm = plan_of(
        training=numbers | {"learning_rate": [0.01, 0.02, 0.03, 0.04]}, sweep={"seeds": seeds}
    )
    rough = plan_of(
        training=numbers | {"learning_rate": [0.01, 1e60, 0.03, 0.04]}, sweep={"seeds": seeds}
    )
    a, b = train_rows(calm), train_rows(rough)
    is_rough = rough.settings["training.learning_rate"] == 1e60
    others = np.flatnonzero(~is_rough)
    assert len(others) == 3 * seeds
    assert b.status == ["diverged" if rough else "finished" for rough in is_rough]
    assert same_bits(a, b, others, others)
    assert np.all(b.diverged_step[others] == -1)
    for lane in np.flatnonzero(is_rough):
        assert b.diverged_step[lane] > 0
        valid = int(b.num_rows[lane])
        assert valid == int(np.sum(b.steps < b.diverged_step[lane]))
        assert np.all(np.isfinite(b.observables["regression_error"][lane, :valid]))
    assert b.num_rows[others].tolist() == [len(b.steps)] * len(others)


def test_a_batch_ends_when_all_its_runs_have_diverged():
    plan = plan_of(training={"learning_rate": 1e6, "num_steps": 10**9}, sweep=THIRTEEN)
    reports = []
    trained = train_rows(plan, on_progress=reports.append)
    assert trained.status == ["diverged"] * 13
    assert reports[-1].diverged == 13
    assert trained.observables["regression_error"].shape == (13, len(trained.steps))
    assert np.all(np.isnan(trained.observables["regression_error"][:, -1]))
    assert np.all(trained.num_rows < len(trained.steps))


@pytest.mark.parametrize(
    ("width", "seeds", "optimizer", "kind"),
    [
        (8, 13, "gradient_descent", "vmap"),
        (400, 4, "gradient_descent", "delayed"),
        (8, 4, "adam", "optax"),
    ],
)
def test_where_segments_are_cut_does_not_change_bits(monkeypatch, width, seeds, optimizer, kind):
    steps = 533 if width == 8 else 67
    plan = plan_of(
        network={"depth": 3, "width": width},
        training={"optimizer": optimizer, "learning_rate": 0.002, "num_steps": steps},
        sweep={"seeds": seeds},
    )
    whole, fewest = None, 0
    for first, seconds in [(10**6, 1e3), (1, 1e-12), (37, 1e-12), (64, 1e-3)]:
        monkeypatch.setattr(descent, "_FIRST_SEGMENT_STEPS", first)
        monkeypatch.setattr(descent, "_SEGMENT_SECONDS", seconds)
        reports = []
        trained = train_rows(plan, on_progress=reports.append)
        assert sum(r.run_steps for r in reports) == seeds * steps
        if whole is None:
            whole, fewest = trained, len(reports)
        assert same_bits(whole, trained)
    monkeypatch.setattr(descent, "_FIRST_SEGMENT_STEPS", 1)
    monkeypatch.setattr(descent, "_SEGMENT_SECONDS", 1e-12)
    reports = []
    train_rows(plan, on_progress=reports.append)
    assert len(reports) > fewest + 3, "the cuts were made"
    # Adam amplifies rounding; that its lanes follow NumPy is tested apart, over fewer steps.
    if kind != "optax":
        assert_follows(plan, 1, whole, 1)


ADAMW = {"beta1": 0.8, "beta2": [0.9, 0.97], "epsilon": 1e-3}


def assert_all_differ(values: np.ndarray) -> None:
    """What differs between runs, a hyperparameter for one, reaches its lane."""
    assert len({lane.tobytes() for lane in values}) == len(values)


def test_padded_widths_equal_their_own():
    plan = plan_of(network={"depth": 3, "width": [5, 8]}, sweep={"seeds": 7})
    padded = train_rows(plan, padded_width=8)
    narrow = np.flatnonzero(plan.settings["network.width"] == 5)
    own = train_rows(plan, narrow, padded_width=5)
    for name, values in own.observables.items():
        assert distance(padded.observables[name][narrow], values) < ROUNDING, name
    for row in range(plan.num_runs):
        assert_follows(plan, row, padded, row)


# Each with one of the initializers.
@pytest.mark.parametrize(
    ("name", "initializer", "numbers"),
    [
        # Nesterov's is momentum, and looks ahead.
        pytest.param("momentum", "fan_in_normal", {"momentum": [0.5, 0.8]}, marks=pytest.mark.slow),
        ("nesterov", "balanced", {"momentum": [0.5, 0.8]}),
        ("adam", "fan_in_normal", {"beta1": [0.7, 0.9], "beta2": 0.95, "epsilon": 1e-3}),
        pytest.param("adamw", "fan_in_normal", ADAMW, marks=pytest.mark.slow),
        ("rmsprop", "orthogonal", {"rmsprop_decay": [0.7, 0.9], "epsilon": 1e-2}),
    ],
)
def test_optimizers_follow_their_textbook_forms(name, initializer, numbers):
    training = {"optimizer": name, "learning_rate": 0.004, "weight_decay": 0.1, "num_steps": 60}
    plan = plan_of(
        network={"initializer": initializer, "layer_init_scale": 0.7},
        training=training | numbers,
        sweep={"seeds": 2},
    )
    assert plan.num_runs == 4
    assert plan.num_programs == 1
    trained = train_rows(plan)
    for row in range(4):
        assert_follows(plan, row, trained, row)
    assert_all_differ(trained.observables["regression_error"])


@pytest.mark.slow
@pytest.mark.parametrize("initializer", ["orthogonal", "balanced"])
def test_other_initializers_train(initializer):
    plan = plan_of(
        network={"depth": 2, "width": 8, "initializer": initializer, "layer_init_scale": 0.7},
        record={"count": 5},
    )
    trained = train_rows(plan)
    assert_follows(plan, 1, trained, 1)


def test_stop_when_ends_runs_one_by_one():
    condition = {"observable": "regression_error", "below": 0.5}
    numbers = {"learning_rate": [0.01, 0.03], "weight_decay": 0.0, "num_steps": 400}
    seeds = {"seeds": 7}
    free = train_rows(plan_of(training=numbers, sweep=seeds))
    plan = plan_of(training=numbers | {"stop_when": condition}, sweep=seeds)
    trained = train_rows(plan)
    assert trained.status == ["stopped"] * 14
    for lane in range(14):
        errors = free.observables["regression_error"][lane]
        first = int(np.argmax(errors < 0.5))
        assert trained.stopped_step[lane] == free.steps[first]
        assert trained.num_rows[lane] == first + 1
        kept = trained.observables["regression_error"][lane, : first + 1]
        assert np.array_equal(kept, errors[: first + 1])
    assert len(set(trained.num_rows.tolist())) > 1


def test_runs_that_take_their_steps_alone_do_not_see_the_batch():
    numbers = {"learning_rate": 0.002, "num_steps": 60}
    plan = plan_of(network={"depth": 3, "width": 400}, training=numbers)
    whole = train_rows(plan)
    programs = len(PROGRAMS)
    for row in range(3):
        assert same_bits(train_rows(plan, [row]), whole, lanes_b=[row])
    assert len(PROGRAMS) == programs, "batches of any size share their program"


NOISE, LEVELS = 0.2, [0.5, 0.0, 0.2]
TESTED = ["noisy_test_errors", "test_error", "noisy_test_error"]


@cache
def seen_in_tests(precision: str):
    """Four runs with test samples and half of each array unused, trained once for several tests.

    AdamW in its textbook form has a number of its own in each lane.
    """
    names = ["loss", "singular_values", "weight_norms", "unbalancedness", "gradient_norm"]
    plan = plan_of(
        network={"depth": 3, "width": 5},
        training={
            "learning_rate": 0.05,
            "num_steps": 40,
            "step_rule": "fan_in",
            "optimizer": "adamw",
        }
        | ADAMW,
        record={
            "count": 4,
            "observables": [
                *TESTED,
                *([*names, "unbalancedness_nuclear"] if precision == "float64" else []),
                "regression_error",
                "off_subspace_error",
            ],
            "num_test_samples": 50,
            "test_noise": NOISE,
            "noise_levels": LEVELS,
        },
        sweep={"seeds": 2, "precision": precision},
    )
    assert plan.num_runs == 4
    return plan, train_rows(plan, padded_width=11)


def test_padding_keeps_every_observable():
    plan, trained = seen_in_tests("float64")
    untested = {n: v for n, v in trained.observables.items() if n not in TESTED}
    for row in range(plan.num_runs):
        assert_follows(plan, row, replace(trained, observables=untested), row)
    assert_all_differ(trained.observables["loss"])


def test_test_errors_are_those_of_fresh_samples():
    plan, trained = seen_in_tests("float64")
    for row in range(plan.num_runs):
        _, _, _, _, (signals, measurements, noise) = drawn(plan, row)
        assert abs(np.std(noise) - NOISE) < 0.05  # 200 entries: 5 standard deviations
        for k, state in enumerate(expected(plan, row)):
            network = oracle.product(state.weights)
            for name, extra in [("test_error", 0), ("noisy_test_error", noise)]:
                error = network @ (measurements + extra) - signals
                wanted = np.linalg.norm(error) / np.linalg.norm(signals)
                assert abs(trained.observables[name][row, k] - wanted) < AGREEMENT * wanted


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_noise_levels_scale_one_draw(precision: str):
    plan, trained = seen_in_tests(precision)
    found = trained.observables["noisy_test_errors"]
    assert found.shape == (plan.num_runs, len(trained.steps), len(LEVELS))
    assert found.dtype == precision
    # In float32 forty steps and the products of a test are rounded at 6e-8 each.
    allowed = AGREEMENT if precision == "float64" else 1e-4
    for row in range(plan.num_runs):
        _, _, _, _, (signals, measurements, noise) = drawn(plan, row)
        for k, state in enumerate(expected(plan, row)):
            network = oracle.product(state.weights)
            for j, level in enumerate(LEVELS):
                error = network @ (measurements + level / NOISE * noise) - signals
                wanted = np.linalg.norm(error) / np.linalg.norm(signals)
                assert abs(found[row, k, j] - wanted) < allowed * wanted
    for j, name in ((1, "test_error"), (2, "noisy_test_error")):
        assert distance(found[:, :, j], trained.observables[name]) < allowed


def test_float32_batches_record_float32():
    (_, double), (_, single) = seen_in_tests("float64"), seen_in_tests("float32")
    for name, values in single.observables.items():
        assert values.dtype == np.float32
        # The same data and weights, rounded at 6e-8 over 40 steps.
        assert 0 < distance(values, double.observables[name]) < 1e-4


def test_a_run_draws_the_same_in_any_sweep():
    lone = plan_of(sweep={"seeds": [1]})
    trained = train_rows(plan_of(sweep={"seeds": [4, 1, 0, *range(20, 30)]}))
    alone = train_rows(lone)
    for name, values in alone.observables.items():
        assert distance(values[0], trained.observables[name][1]) < ROUNDING


def test_asking_to_stop_raises_and_reports():
    asked = []

    def should_stop():
        asked.append(True)
        return len(asked) == 2

    plan = plan_of(training={"learning_rate": 0.01, "num_steps": 10**7}, sweep=THIRTEEN)
    with pytest.raises(Interrupted):
        train_rows(plan, should_stop=should_stop)
    assert len(asked) == 2


def test_batches_of_a_plan_cover_it_once_and_share_their_steps():
    plan = plan_of(
        network={"depth": [2, 3], "width": [8, 9]},
        training={"learning_rate": [0.01, 0.02], "num_steps": [50, 60]},
        sweep={"seeds": 3},
    )
    batches = make_batches(plan, np.arange(plan.num_runs))
    assert sorted(np.concatenate([b.runs for b in batches]).tolist()) == list(range(plan.num_runs))
    for item in batches:
        assert len(set(plan.settings["training.num_steps"][item.runs])) == 1
        assert len(set(plan.settings["network.depth"][item.runs])) == 1
        assert np.all(plan.settings["network.width"][item.runs] <= item.padded_width)
