"""Runs of one seed that share a large operator, against plain NumPy and against runs alone."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from dlnsweep.contracts.drawing import Sections
from dlnsweep.contracts.schedule import record_steps
from dlnsweep.engine import batch
from dlnsweep.networks.matrix import kind as factorized
from dlnsweep.plan.batches import make_batches
from dlnsweep.plan.plan import make_plan
from dlnsweep.problems import losses as fits
from dlnsweep.spec.sweep import Sweep

# Sums of at most 30 terms (N = 23, d m = 30) in forty contracting steps: at most some 40 * 30
# roundings of 1e-16; found 4e-16.
EXACT = 1e-13
D, M, N, STEPS, RATE = 6, 5, 23, 40, 0.02
SCALES = [0.5, 0.8, 1.0]


@pytest.fixture(autouse=True, scope="module")
def large():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factorized, "_LEAST_SHARED_BYTES", 0)
        # 4 of the 23 rows a block in float64, 8 in float32: several blocks and a shorter rest.
        patch.setattr(fits, "_BLOCK_BYTES", 4 * 8 * D * M)
        yield


def sensing(**changes):
    document = {
        "name": "sensing",
        "problem": {
            "kind": "matrix_sensing", "num_rows": D, "num_columns": M, "rank": 2,
            "target_norm": 3.0, "num_measurements": N,
        },
        "network": {"depth": 3, "width": 7, "product_init_scale": SCALES},
        "training": {"learning_rate": RATE, "num_steps": STEPS},
        "record": {"count": 5, "observables": ["train_error", "reconstruction_error"]},
        "sweep": {"seeds": 2},
    }  # fmt: skip
    return Sweep.from_dict({k: document[k] | changes.get(k, {}) if isinstance(v, dict) else v
                            for k, v in document.items()})  # fmt: skip


def batches_of(sweep):
    plan = make_plan(sweep)
    return plan, make_batches(plan, np.arange(plan.num_runs))


def trained(plan, runs):
    rows = {key: column[runs] for key, column in plan.settings.items()}
    return batch.train_batch(rows, plan.shared, plan.program_widths[0])


@pytest.fixture(scope="module")
def together(large):
    """Each run's observables, from the batch of its seed: two calls of a program of three lanes."""
    return in_batches("float64")


@pytest.fixture(scope="module")
def alone(large):
    """Each run's observables, trained by itself: the program has one lane."""
    plan, _ = batches_of(sensing())
    found = [trained(plan, np.array([run])) for run in range(6)]
    return [{name: values[0] for name, values in one.observables.items()} for one in found]


def in_batches(precision: str):
    plan, batches = batches_of(sensing(sweep={"seeds": 2, "precision": precision}))
    runs = {}
    for one in batches:
        found = trained(plan, one.runs)
        for lane, run in enumerate(one.runs):
            runs[int(run)] = {name: values[lane] for name, values in found.observables.items()}
    return [runs[run] for run in range(6)]


def test_a_batch_has_the_runs_of_one_seed():
    plan, batches = batches_of(sensing())
    assert [plan.settings["seed"][b.runs].tolist() for b in batches] == [[0] * 3, [1] * 3]
    assert sorted(np.concatenate([b.runs for b in batches])) == list(range(6))


def test_batches_of_long_runs_still_share(monkeypatch):
    monkeypatch.setattr("dlnsweep.plan.batches._BATCH_SECONDS", (1e-9, 1e-9))
    scales = np.linspace(0.1, 1, 9).tolist()
    plan, batches = batches_of(sensing(network={"product_init_scale": scales}))
    assert [len(b.runs) for b in batches] == [3] * 6
    assert all(len(set(plan.settings["seed"][b.runs])) == 1 for b in batches)


def test_small_operators_are_not_shared(monkeypatch):
    monkeypatch.setattr(factorized, "_LEAST_SHARED_BYTES", 1 + 8 * N * D * M)
    plan, batches = batches_of(sensing())
    (one,) = batches
    assert set(plan.settings["seed"][one.runs]) == {0, 1}


def test_together_as_alone(together, alone):
    # Only sums over the lanes' own numbers may be ordered otherwise: found 4e-16.
    for one, other in zip(together, alone, strict=True):
        for name, values in other.items():
            np.testing.assert_allclose(one[name], values, rtol=EXACT)


def test_float32_follows_float64(together):
    for one, other in zip(in_batches("float32"), together, strict=True):
        for name, values in other.items():
            assert one[name].dtype == np.float32
            # The same draws, rounded at 6e-8, in forty contracting steps.
            np.testing.assert_allclose(one[name], values, rtol=1e-5)


@pytest.mark.slow
def test_together_as_alone_in_float32():
    plan, batches = batches_of(sensing(sweep={"seeds": 2, "precision": "float32"}))
    for one in batches:
        found = trained(plan, one.runs)
        for lane, run in enumerate(one.runs):
            for name, values in trained(plan, np.array([run])).observables.items():
                # Found 2.4e-7.
                np.testing.assert_allclose(found.observables[name][lane], values[0], rtol=1e-5)


def test_a_batch_of_several_seeds_is_trained_seed_by_seed(alone):
    """Such as one that an earlier version has planned."""
    plan, _ = batches_of(sensing())
    # As many as a seed has, so that the program is that of the other tests.
    mixed = np.array([4, 0, 3])
    assert len(set(plan.settings["seed"][mixed])) == 2
    found = trained(plan, mixed)
    for lane, run in enumerate(mixed):
        values = found.observables["train_error"][lane]
        np.testing.assert_allclose(values, alone[run]["train_error"], rtol=EXACT)


def test_runs_are_those_of_plain_numpy(together):
    """Their operator, target and weights are those that a run draws by itself."""
    from dlnsweep.networks.matrix.draw import MatrixDrawing
    from dlnsweep.numerics.runtime import numerics

    plan, batches = batches_of(sensing())
    runs = batches[1].runs
    steps_of = record_steps(Sections.from_row(plan.row(0)).record, STEPS)
    with numerics():
        drawing = MatrixDrawing.from_row(plan.row(int(runs[0])), 7)
        # Compiled with less care, in half the time: the numbers are those of the runs all the same.
        draw = jax.jit(
            lambda arguments: drawing.draw(arguments)[1:],
            compiler_options={"xla_backend_optimization_level": 0},
        )
    for run in runs:
        arguments = {key: plan.settings[key][run] for key in drawing.example_arguments()}
        with numerics():
            fit, drawn = draw(arguments)
        operator, target = np.asarray(fit.observed.operator), np.asarray(fit.target)
        weights = [np.asarray(w) for w in drawn]
        values = operator @ target.ravel()
        errors = {}
        for step in range(STEPS + 1):
            product = weights[2] @ weights[1] @ weights[0]
            residual = operator @ product.ravel() - values
            errors[step] = np.mean(residual**2)
            whole = (2 / N) * (operator.T @ residual).reshape(D, M)
            steps = [
                (weights[2] @ weights[1]).T @ whole,
                weights[2].T @ whole @ weights[0].T,
                whole @ (weights[1] @ weights[0]).T,
            ]
            weights = [w - RATE * g for w, g in zip(weights, steps, strict=True)]
        expected = [errors[step] for step in steps_of.tolist()]
        np.testing.assert_allclose(together[run]["train_error"], expected, rtol=EXACT)


def test_the_operator_is_kept_once_in_a_call():
    plan, batches = batches_of(sensing())
    rows = {key: column[batches[0].runs] for key, column in plan.settings.items()}
    row = plan.row(int(batches[0].runs[0]))
    from dlnsweep.engine.programs import PROGRAMS
    from dlnsweep.numerics.runtime import numerics

    with numerics():
        program = PROGRAMS.dense(row, 7, 3)
        (own, operator), _ = program.start(program.arguments(rows))
    assert operator.shape == (N, D * M)
    assert own.constants.fit.observed.operator is None
    assert program.layout.vectorized == 3
    assert program.layout.streams
    kernel: Any = program.kernel
    assert kernel.streamed
