"""Batches of the reduced kernel: against NumPy, mixed with the dense one, and of any width."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import oracle
import pytest
from batch_samples import drawn, expected, plan_of, train_rows

from dlnsweep.contracts.network import find_network
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.engine import batch, descent
from dlnsweep.engine.probe import measure
from dlnsweep.engine.programs import PROGRAMS, Programs
from dlnsweep.networks.layered import kind as layered
from dlnsweep.numerics.runtime import numerics
from dlnsweep.reduced import lane as lanes
from dlnsweep.reduced import program as reducing
from dlnsweep.reduced.prepare import prepare as prepare_network
from dlnsweep.reduced.program import ReducedDraw

TOLERANCE = 1e-4
# The estimate may be a third of the true error.
SAFETY = 3.0
# Relative errors are differences of numbers of size 1.
ROUNDING = 1e-14
# Those of the operator, constants of a run, have their test in test_events.py.
WITHOUT_LAYERS = [
    name
    for name in find_network("subspace").known_observables()
    if not OBSERVABLES[name].needs_layers and not OBSERVABLES[name].needs_isometry
]
NOISE, LEVELS = 0.3, [0.0, 0.06, 3.0]
# The factors of the noise that stands for record.test_noise.
FRESH = {
    "test_error": np.zeros(1),
    "noisy_test_error": np.ones(1),
    "noisy_test_errors": np.array(LEVELS) / NOISE,
}


def plan(kernel: str = "reduced", **sections):
    """Four runs, of which two have a larger weight decay."""
    defaults = {
        "network": {"depth": 3, "width": 60},
        "training": {"learning_rate": 0.03, "weight_decay": [0.05, 0.2], "num_steps": 300},
        "record": {"count": 12},
        "sweep": {"seeds": 2, "tolerance": TOLERANCE, "kernel": kernel},
    }
    return plan_of(**{name: defaults.get(name, {}) | sections.get(name, {}) for name in defaults})


# All tests of these observables share their programs.
RECORD = {
    "observables": WITHOUT_LAYERS,
    "test_noise": NOISE,
    "noise_levels": LEVELS,
    "num_test_samples": 20,
}


@pytest.fixture(scope="module")
def four():
    made = plan(record=RECORD)
    return made, train_rows(made)


# Enough to tell runs and kernels apart; the programs are compiled in a third of the time.
FEW = {"observables": ["regression_error", "off_subspace_error", "weight_norms"]}


@pytest.fixture(scope="module")
def few():
    return train_rows(plan(record=FEW))


def test_a_probe_measures_the_reduced_kernel():
    made = plan(record=FEW)
    columns = {key: column.tolist() for key, column in made.settings.items()}
    found = measure(columns, made.shared, 60)
    assert (found["lanes"], found["way"]) == (1, "reduced")
    assert 0 < found["seconds_a_run_step"] < 1


@pytest.fixture(scope="module")
def exact():
    """Each run's regression errors, in plain NumPy."""
    made, error = plan(record=FEW), oracle.OBSERVABLES["regression_error"]
    return np.array([[error(state) for state in expected(made, row)] for row in range(4)])


def test_a_batch_agrees_with_the_plain_recursion(four):
    made, trained = four
    assert trained.kernel == ["reduced"] * 4
    assert trained.kernel_reason == ["certified"] * 4
    assert trained.status == ["finished"] * 4
    assert np.all((trained.truncation_error > 0) & (trained.truncation_error <= TOLERANCE))
    assert sorted(trained.observables) == sorted(WITHOUT_LAYERS)
    for row in range(4):
        allowed = max(TOLERANCE, SAFETY * trained.truncation_error[row])
        signals, measurements, noise = drawn(made, row)[-1]
        for k, state in enumerate(expected(made, row)):
            for name in WITHOUT_LAYERS:
                if name in FRESH:
                    network = oracle.product(state.weights)
                    errors = [network @ (measurements + a * noise) - signals for a in FRESH[name]]
                    wanted = np.array([np.linalg.norm(e) for e in errors]) / np.linalg.norm(signals)
                    # Off the range, where these look too, a product is right beside the whole.
                    size = 1 + wanted
                else:
                    wanted = oracle.OBSERVABLES[name](state)
                    size = np.max(np.abs(wanted))
                got = trained.observables[name][row, k]
                assert np.all(np.abs(got - wanted) <= allowed * size + ROUNDING), (name, row, k)


@pytest.mark.slow
def test_a_batch_follows_the_dense_kernel(few):
    """As both follow NumPy."""
    dense = train_rows(plan("dense", record=FEW))
    assert dense.kernel == ["dense"] * 4
    assert np.all(np.isnan(dense.truncation_error))
    assert np.array_equal(dense.steps, few.steps)
    for name, values in dense.observables.items():
        size = np.max(np.abs(values), axis=-1, keepdims=True) if values.ndim > 2 else np.abs(values)
        apart = np.abs(few.observables[name] - values)
        assert np.all(apart <= SAFETY * TOLERANCE * size + ROUNDING), name


def test_a_batch_equals_its_runs_alone(few):
    made = plan(record=FEW)
    for row in (0, 3):
        alone = train_rows(made, [row])
        assert alone.kernel == ["reduced"]
        for name in FEW["observables"]:
            # A run alone finds its own thresholds, where in the batch it takes the first run's.
            one, whole = alone.observables[name][0], few.observables[name][row]
            assert np.all(np.abs(one - whole) <= 2 * SAFETY * TOLERANCE * np.abs(whole))
    again = train_rows(made)
    assert all(np.array_equal(again.observables[n], found) for n, found in few.observables.items())


def test_a_mixed_batch_keeps_the_order_of_its_runs(exact, monkeypatch):
    monkeypatch.setattr(layered, "_FEWEST_STEPS", 0)
    monkeypatch.setattr(layered, "_LEAST_FLOPS", 0)
    monkeypatch.setattr(lanes, "_WORSE", 0.0)
    monkeypatch.setattr("dlnsweep.reduced.prepare._LARGEST_WORK", np.inf)
    seen = []

    def some(network, *arguments, **options):
        found = prepare(network, *arguments, **options)
        seen.append(network)
        return replace(found, refusal="refused here") if len(seen) % 2 else found

    prepare = lanes.prepare
    monkeypatch.setattr(lanes, "prepare", some)
    trained = train_rows(plan("auto", record=FEW))
    assert len(seen) == 4
    assert trained.kernel == ["dense", "reduced"] * 2
    assert trained.kernel_reason == ["refused here", "certified"] * 2
    assert np.isnan(trained.truncation_error).tolist() == [True, False] * 2
    wanted = exact
    apart = np.max(np.abs(trained.observables["regression_error"] / wanted - 1), axis=1)
    # The dense runs leave nothing out.
    assert np.all(apart[::2] <= 1e-9)
    assert np.all(apart[1::2] <= SAFETY * TOLERANCE)
    assert np.all(apart[1::2] > 0)
    others = np.max(np.abs(wanted[[0, 2]] / wanted[[1, 3]] - 1))
    assert others > 100 * SAFETY * TOLERANCE, "runs out of order would be noticed"
    # Asked for by name, all are reduced, and say why they are not certified.
    seen.clear()
    forced = train_rows(plan("reduced", record=FEW), [1, 2])
    assert forced.kernel == ["reduced"] * 2
    assert forced.kernel_reason == ["complete bases: refused here", "certified"]


@pytest.fixture
def float64():
    with numerics():
        yield


@pytest.mark.parametrize("kernel", ["auto", "reduced"])
def test_a_run_that_leaves_its_rehearsal_is_trained_again(kernel, exact, few, monkeypatch):
    monkeypatch.setattr(layered, "_FEWEST_STEPS", 0)
    monkeypatch.setattr(layered, "_LEAST_FLOPS", 0)
    monkeypatch.setattr(lanes, "_WORSE", 0.0)
    monkeypatch.setattr("dlnsweep.reduced.prepare._LARGEST_WORK", np.inf)
    asked = []

    def second_leaves(*arguments):
        asked.append(lanes.left_its_rehearsal(*arguments))
        return "it left" if len(asked) == 2 else asked[-1]

    monkeypatch.setattr(batch, "left_its_rehearsal", second_leaves)
    trained = train_rows(plan(kernel, record=FEW))
    # All four as rehearsed, then, with complete bases, the second again.
    assert asked == [""] * (5 if kernel == "reduced" else 4)
    again = "it left" if kernel == "auto" else "complete bases: it left"
    assert trained.kernel_reason == ["certified", again, "certified", "certified"]
    assert trained.kernel[1] == ("dense" if kernel == "auto" else "reduced")
    errors, first = (t.observables["regression_error"] for t in (trained, few))
    assert np.array_equal(errors[[0, 2, 3]], first[[0, 2, 3]])
    # Nothing is left out the second time.
    assert np.max(np.abs(errors[1] / exact[1] - 1)) <= 1e-9
    assert np.max(np.abs(first[1] / exact[1] - 1)) > 1e-9, "the test needs a difference to see"


@pytest.mark.usefixtures("float64")
def test_a_run_is_compared_with_its_rehearsal():
    made = plan(sweep={"seeds": 1})
    row = made.row(0) | made.shared
    lane = PROGRAMS.draw(row, 60).lane(row)
    assert not lane.prepared.refusal
    expected = lane.prepared.reduction.records[-1].error
    for share, left in [(1.0, False), (1.02, False), (0.98, False), (1.05, True), (0.9, True)]:
        found = lanes.left_its_rehearsal(lane, share * expected)
        assert bool(found) == left
        assert not left or found == (
            f"the reduced run ended at a residual of {share * expected:.2e}, "
            f"rehearsed {expected:.2e}"
        )
    assert lanes.left_its_rehearsal(lane, np.nan)
    # An excursion between, at a recorded step after the exact ones.
    steps = np.array([0, 150, 250, 280])
    norms = lane.prepared.reduction.rehearsed(steps)
    assert np.isnan(norms).tolist() == [True, True, False, False]
    errors = np.nan_to_num(norms, nan=7.0) / lane.start.data.signal_norm
    assert not lanes.left_its_rehearsal(lane, expected, steps, errors)
    found = lanes.left_its_rehearsal(lane, expected, steps, errors * [1, 1, 1.6, 1])
    assert found.startswith("the reduced run had a residual of ")
    assert f"at step 250, rehearsed {norms[2]:.2e}" in found
    assert not lanes.left_its_rehearsal(lanes.complete(lane, "so"), np.nan)
    # One that was stopped is compared where it stood, and before.
    for share, left in [(1.0, False), (1.4, False), (0.6, False), (1.6, True), (np.nan, True)]:
        assert bool(lanes.left_its_rehearsal(lane, share * norms[2], (), (), 250)) == left
    assert not lanes.left_its_rehearsal(lane, 7.0, (), (), 150)
    wrong = errors[:3] * [1, 1, 1.6]
    assert lanes.left_its_rehearsal(lane, norms[3], steps[:3], wrong, 280)


@pytest.mark.parametrize("kernel", ["auto", "reduced"])
def test_patience_does_not_end_a_run_that_left_its_rehearsal(kernel, monkeypatch):
    monkeypatch.setattr(layered, "_FEWEST_STEPS", 0)
    monkeypatch.setattr(layered, "_LEAST_FLOPS", 0)
    monkeypatch.setattr(lanes, "_WORSE", 0.0)
    monkeypatch.setattr("dlnsweep.reduced.prepare._LARGEST_WORK", np.inf)

    def leaves(lane, *arguments):
        return "" if lane.prepared.refusal else "it left"

    monkeypatch.setattr(batch, "left_its_rehearsal", leaves)
    condition = {"observable": "regression_error", "patience": 1, "direction": "maximise"}
    found = train_rows(plan(kernel, record=FEW, training={"stop_when": condition}), [0])
    assert found.status == ["stopped"]
    assert found.kernel == ["dense" if kernel == "auto" else "reduced"]
    assert "it left" in found.kernel_reason[0]


# Drawn by the program of the test of any width.
LAW = {
    "network": {"width": [50, 10**6], "initial_weights": "law"},
    "training": {"step_rule": "fan_in", "learning_rate": 0.4, "weight_decay": 0.02},
    "record": {"observables": ["regression_error"]},
    "sweep": {"seeds": 2, "tolerance": 1e-3},
}


@pytest.mark.usefixtures("float64")
def test_a_network_of_too_coarse_a_level_is_drawn_deeper(monkeypatch):
    made = plan(**LAW)
    rows = [made.row(i) | made.shared for i in range(made.num_runs)]
    draw = ReducedDraw(rows[0], int(made.settings["network.width"].max()))
    usual, deeper = (draw.draw(rows[1], k) for k in (0, 1))
    # The same numbers, and more of them: what the first level reveals stays as it is.
    assert len(usual.first) < len(deeper.first)
    assert np.array_equal(usual.first, deeper.first[: len(usual.first)])
    sizes = [w.shape for w in usual.rest]
    assert sizes != [w.shape for w in deeper.rest]
    for small, large in zip(usual.rest, deeper.rest, strict=True):
        both = tuple(slice(min(a, b)) for a, b in zip(small.shape, large.shape, strict=True))
        assert np.count_nonzero(small[both] == large[both]) > 0.5 * small[both].size
    asked = []

    def coarse_twice(network, *arguments, **options):
        found = prepare(network, *arguments, **options)
        asked.append(network.first.shape[0])
        return replace(found, refusal="so", coarse=True) if len(asked) < 3 else found

    prepare = lanes.prepare
    plain = draw.lane(rows[1])
    monkeypatch.setattr(lanes, "prepare", coarse_twice)
    lane = draw.lane(rows[1])
    assert not lane.prepared.refusal
    assert len(asked) == 3
    assert lane.start.rest[1].shape > plain.start.rest[1].shape
    # What one run needed is not what the next one gets.
    asked += [0] * 3
    other = draw.lane(rows[1])
    assert all(
        np.array_equal(a, b) for a, b in zip(other.start.rest, plain.start.rest, strict=True)
    )


@pytest.mark.usefixtures("float64")
def test_a_level_that_lacks_too_much_says_so():
    made = plan(**LAW)
    row = made.row(1) | made.shared
    draw = ReducedDraw(row, int(made.settings["network.width"].max()))
    lane = draw.lane(row)
    assert 0 < lane.prepared.missing <= lane.prepared.estimate <= 1e-3
    network = lane.prepared.reduction.pilot.network
    # One neuron a layer: next to nothing is left of the network.
    found = prepare_network(
        network, 300, 1e-3, however_large=True, coarser=(1,) * (network.depth - 1)
    )
    assert found.coarse
    assert found.refusal.startswith("the compressed network is too coarse (")
    assert found.missing > 1e-3


@pytest.mark.usefixtures("float64")
def test_runs_use_what_was_rehearsed_and_nothing_else():
    made = plan(record=FEW)
    rows = [made.row(i) | made.shared for i in range(2)]
    with numerics():
        draw = PROGRAMS.draw(rows[0], 60)
        lane = draw.lane(rows[0])
        small = replace(lane.prepared.sizes, forward=tuple(
            n - 1 for n in lane.prepared.sizes.forward))  # fmt: skip
        fewer = replace(lane, prepared=replace(lane.prepared, sizes=small))
        program = PROGRAMS.reduced(rows[0], draw, [lane, fewer])
        for one in (lane, fewer):
            inputs, _ = program.start([one])
            for j, size in enumerate(one.prepared.sizes.forward):
                block = np.asarray(inputs.constants.forward[j])[0]
                assert np.any(block[size - 1] != 0)
                assert np.all(block[size:] == 0)


@pytest.mark.usefixtures("float64")
def test_kept_draws_know_what_they_draw_for():
    made = plan("auto")
    row = made.row(0) | made.shared
    asked = PROGRAMS.draw(row | {"sweep.kernel": "reduced"}, 60)
    assert PROGRAMS.draw(row, 60) is not asked
    assert PROGRAMS.draw(row | {"sweep.tolerance": 1e-5}, 60).tolerance == 1e-5
    assert asked.forced
    assert not PROGRAMS.draw(row, 60).forced


def test_runs_of_a_reduced_batch_diverge_and_stop_one_by_one():
    condition = {"observable": "regression_error", "below": 0.5}
    made = plan(
        training={"learning_rate": [0.03, 40.0], "weight_decay": 0.01, "stop_when": condition},
        record={"observables": ["regression_error"]},
    )
    reports = []
    trained = train_rows(made, on_progress=reports.append)
    rates = made.settings["training.learning_rate"]
    for lane in range(4):
        if rates[lane] > 1:
            assert trained.status[lane] == "diverged"
            assert 0 < trained.diverged_step[lane] < 30
            assert trained.num_rows[lane] == np.sum(trained.steps < trained.diverged_step[lane])
            assert trained.kernel_reason[lane] == "complete bases: the pilot run diverged"
        else:
            assert trained.status[lane] == "stopped"
            rows = trained.num_rows[lane]
            kept = trained.observables["regression_error"][lane, :rows]
            assert np.flatnonzero(kept < 0.5).tolist() == [rows - 1]
    assert reports[-1].diverged == 2


def test_networks_of_any_width_come_from_their_law():
    widths = [50, 10**3, 10**6, 10**9]
    made = plan(
        "auto",
        network={"width": widths, "initial_weights": "law"},
        # Under the fan-in rule a wide network trains like any other.
        training={
            "learning_rate": 0.4,
            "weight_decay": 0.02,
            "num_steps": 200,
            "step_rule": "fan_in",
        },
        record={"observables": ["regression_error"]},
        sweep={"seeds": 1, "tolerance": 1e-3},
    )
    assert (made.num_runs, made.num_programs) == (4, 1)
    programs = Programs()
    trained = train_rows(made, programs=programs)
    assert len(programs) == 2, "one draws, one trains"
    assert trained.status == ["finished"] * 4
    assert trained.kernel == ["reduced"] * 4
    assert trained.kernel_reason == ["certified"] * 4
    errors = trained.observables["regression_error"]
    assert np.all(errors[:, -1] < 0.3 * errors[:, 0])
    # Two wide networks differ by their fluctuations, of relative size 1 / sqrt(width).
    assert np.max(np.abs(errors[3] / errors[2] - 1)) < 0.02
    assert np.max(np.abs(errors[1] / errors[0] - 1)) > 0.02


def test_a_relative_scale_moves_between_the_layers_of_a_law():
    made = plan(
        network={"width": 10**6, "initial_weights": "law", "relative_init_scale": [1.0, 4.0]},
        training={"learning_rate": 0.4, "weight_decay": 0.02, "step_rule": "fan_in"},
        record={"observables": ["regression_error", "weight_norms"]},
        sweep={"seeds": 1, "tolerance": 1e-3},
    )
    found = train_rows(made).observables
    # Powers of two: a norm is scaled without rounding.
    plain, moved = (found["weight_norms"][i, 0] for i in (0, 1))
    assert np.array_equal(moved, plain * [4.0, 1.0, 0.25])
    ratio = found["regression_error"][1] / found["regression_error"][0]
    # Each run has bases of its own, and is right to the tolerance.
    assert abs(ratio[0] - 1) < 2 * 1e-3
    assert abs(ratio[-1] - 1) > 0.05, "another balance is another trajectory"


def test_where_segments_are_cut_does_not_change_bits(monkeypatch):
    monkeypatch.setattr(reducing, "_STOP_FLOPS", 1.0)
    made = plan(network={"depth": 2}, sweep={"seeds": 1})
    found = []
    for first, seconds in [(10**6, 1e3), (1, 1e-12), (37, 1e-12)]:
        monkeypatch.setattr(descent, "_FIRST_SEGMENT_STEPS", first)
        monkeypatch.setattr(descent, "_SEGMENT_SECONDS", seconds)
        reports = []
        trained = train_rows(made, on_progress=reports.append)
        found.append((trained, len(reports)))
    whole, fewest = found[0]
    for trained, segments in found[1:]:
        assert segments > fewest + 3, "the cuts were made"
        for name, values in whole.observables.items():
            assert np.array_equal(trained.observables[name], values), name
