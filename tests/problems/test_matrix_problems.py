# ruff: noqa: E501  (a mistake and its sentence stand in one line of a table)
"""Sweeps of problems of finding a matrix: what is drawn, what is refused, what small ones show."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnsweep.contracts.network import find_network
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.engine.batch import train_batch
from dlnsweep.errors import SpecError
from dlnsweep.plan.plan import make_plan
from dlnsweep.problems.losses import Fit
from dlnsweep.spec.sweep import Sweep

COMPLETION: dict[str, Any] = {
    "problem__kind": "matrix_completion",
    "problem__num_rows": 8,
    "problem__num_columns": 7,
    "problem__rank": 2,
    "problem__num_observed": 40,
    "problem__target_norm": 8.0,
    "network__depth": 2,
    "network__width": 8,
    "training__learning_rate": 0.1,
    "training__num_steps": 20,
    "record__count": 5,
    # To compile a decomposition takes longer than all the rest.
    "record__observables": ["loss", "train_error", "reconstruction_error"],
}
APPROXIMATION = {
    **{k: v for k, v in COMPLETION.items() if not k.startswith("problem")},
    "problem__kind": "matrix_approximation",
    "problem__num_rows": 4,
    "problem__num_columns": 4,
    "network__width": 4,
}
BALANCED = {
    **APPROXIMATION,
    "network__initializer": "balanced",
    "record__observables": ["loss", "determinant", "unbalancedness", "speed_exponent"],
    "sweep__seeds": 3,
}
DIVERGENT = {
    **{k: v for k, v in COMPLETION.items() if not k.startswith("problem")},
    "problem__kind": "divergent_completion",
    "network__width": 2,
    "network__product_determinant": "positive",
    "record__observables": ["loss", "free_entry", "free_entry_bound", "determinant"],
}
REGRESSION = {
    **{k: v for k, v in COMPLETION.items() if not k.startswith("problem")},
    "problem__kind": "regression",
    "problem__num_inputs": 5,
    "problem__num_samples": 20,
    "network__width": 1,
    "record__observables": ["loss", "train_error"],
}


def document(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": "small"}
    for key, value in {**base, **changes}.items():
        section, _, name = key.partition("__")
        if value is not None:
            found.setdefault(section, {})[name] = value
    return found


def trained(base: dict[str, Any], **changes: Any):
    plan = make_plan(Sweep.from_dict(document(base, **changes)))
    rows = {key: np.asarray(column) for key, column in plan.settings.items()}
    return plan, train_batch(rows, plan.shared, plan.program_widths[0])


def problems(base: dict[str, Any], **changes: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        Sweep.from_dict(document(base, **changes))
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("base", "changes", "sentence"),
    [
        (COMPLETION, {"problem__rank": 9}, "sweep: problem.rank is 9; a matrix of 8 rows and 7 columns has at most the smaller of them."),
        (COMPLETION, {"problem__num_observed": 57}, "sweep: problem.num_observed is 57; a matrix of 8 rows and 7 columns has fewer entries."),
        (COMPLETION, {"sweep__kernel": "reduced"}, "sweep: sweep.kernel is 'reduced'; with network.kind = 'deep_linear' it must be 'auto' or 'dense' or 'generic' or 'simd' or 'simd_samples' or 'jumps'."),
        (COMPLETION, {"training__minibatch_size": 3}, "sweep: training.minibatch_size is 3; with network.kind = 'deep_linear' it must be 0."),
        (COMPLETION, {"training__step_rule": "curvature"}, "sweep: training.step_rule is 'curvature'; with network.kind = 'deep_linear' it must be 'uniform' or 'fan_in'."),
        (COMPLETION, {"training__weight_decay": 0.1, "sweep__precision": "float32"}, "sweep: training.weight_decay is 0.1 and sweep.precision is 'float32'; a small decay would be lost in rounding: set sweep.precision = \"float64\"."),
        (COMPLETION, {"network__kind": "end_to_end", "training__optimizer": "adagrad"}, "sweep: training.optimizer is 'adagrad'; with network.kind = 'end_to_end' it must be 'gradient_descent'."),
        (COMPLETION, {"network__kind": "end_to_end", "training__weight_decay": 0.1}, "sweep: training.weight_decay is 0.1; with network.kind = 'end_to_end' it must be 0.0."),
        (COMPLETION, {"network__kind": "end_to_end", "training__step_rule": "fan_in"}, "sweep: training.step_rule is 'fan_in'; with network.kind = 'end_to_end' it must be 'uniform'."),
        (COMPLETION, {"network__initializer": "balanced", "network__width": 6}, "sweep: network.initializer is 'balanced' and network.width is 6; it needs a width of at least min(num_rows, num_columns) of 8 and 7."),
        (COMPLETION, {"network__product_determinant": "positive"}, "sweep: network.product_determinant is 'positive'; a matrix of 8 rows and 7 columns has none: leave it out."),
        (APPROXIMATION, {"network__product_determinant": "negative", "network__initializer": "zero_last"}, "sweep: network.product_determinant is 'negative' and network.initializer is 'zero_last', whose product is zero: leave network.product_determinant out."),
        (COMPLETION, {"network__deficiency_margin": 0.5}, "sweep: network.deficiency_margin is given, but fan_in_normal does not use it; it belongs to near_target."),
        (APPROXIMATION, {"network__initializer": "near_target"}, "sweep: network.deficiency_margin is missing; network.initializer = 'near_target' has no default for it."),
        (APPROXIMATION, {"network__initializer": "near_target", "network__deficiency_margin": 0.5, "network__layer_init_scale": 0.5}, "sweep: network.layer_init_scale is given, but near_target does not use it; it belongs to fan_in_normal, orthogonal, balanced, identity, zero_last."),
        (APPROXIMATION, {"network__depth": 1, "network__relative_init_scale": 2.0}, "sweep: network.depth is 1 and network.relative_init_scale is 2.0; one layer is first and last at once: leave it out, or take two layers or more."),
        (DIVERGENT, {"record__observables": ["reconstruction_error"]}, "sweep: record.observables names 'reconstruction_error'; the target of problem.kind = 'divergent_completion' has a free entry: leave it out."),
        (DIVERGENT, {"network__initializer": "near_target", "network__deficiency_margin": 0.5}, "sweep: network.initializer is 'near_target'; problem.kind = 'divergent_completion' has no target of full rank, which only 'matrix_approximation' has."),
        (COMPLETION, {"record__observables": ["free_entry"]}, "sweep: record.observables names 'free_entry', 'free_entry_bound' or 'free_entry_excess', which are about problem.kind = 'divergent_completion'; it is 'matrix_completion'."),
        (COMPLETION, {"record__observables": ["determinant"]}, "sweep: record.observables names 'determinant'; a matrix of 8 rows and 7 columns has none: leave it out."),
        (REGRESSION, {"problem__num_inputs": 21}, "sweep: problem.num_inputs is 21; it must not exceed problem.num_samples, which is 20."),
        (REGRESSION, {"problem__data": "gas_sensor"}, "sweep: problem.data_file is missing; problem.data = 'gas_sensor' has no default for it."),
        (REGRESSION, {"problem__data_file": "gas.dat"}, "sweep: problem.data_file is 'gas.dat'; there is no such file; name one, relative to this folder."),
        (REGRESSION, {"network__initializer": "near_target", "network__deficiency_margin": 0.5}, "sweep: network.initializer is 'near_target'; problem.kind = 'regression' has no target of full rank, which only 'matrix_approximation' has."),
    ],
)  # fmt: skip
def test_what_is_refused(base: dict[str, Any], changes: dict[str, Any], sentence: str):
    assert sentence in problems(base, **changes)


def test_observables_of_samples_are_refused():
    (sentence, *_) = problems(COMPLETION, record__observables=["regression_error"])
    assert sentence.startswith("sweep: record.observables names 'regression_error', which is for ")


def test_the_loss_is_labelled_as_that_of_a_matrix():
    network = find_network("matrix_completion", "deep_linear")
    assert "ell" in network.label("loss", OBSERVABLES["loss"].label)
    other = OBSERVABLES["end_to_end_loss"].label
    assert network.label("end_to_end_loss", other) == other


@pytest.mark.parametrize("base", [COMPLETION, pytest.param(REGRESSION, marks=pytest.mark.slow)])
def test_a_batch_is_its_singles_and_seeds_are_paired(base: dict[str, Any]):
    plan, found = trained(base, sweep__seeds=3, training__learning_rate=[0.05, 0.1])
    assert plan.num_programs == 1
    assert set(found.kernel) == {"dense"}
    assert found.status == ["finished"] * 6
    start = found.observables["loss"][:, 0]
    # What differs in the learning rate only starts alike.
    np.testing.assert_array_equal(start[:3], start[3:])
    alone = trained(base, sweep__seeds=[2], training__learning_rate=0.1)[1]
    for name, values in alone.observables.items():
        # Other lanes, other orders of summation.
        np.testing.assert_allclose(found.observables[name][5], values[0], rtol=1e-9, atol=1e-12)


def test_targets_are_as_published():
    # The program of a run alone, above.
    _, found = trained(COMPLETION, network__layer_init_scale=1e-9)
    # With W = 0 the reconstruction error is 1, and the loss the mean square of what is observed.
    assert found.observables["reconstruction_error"][0, 0] == pytest.approx(1, abs=1e-9)
    from functools import partial

    from dlnsweep.numerics.runtime import numerics
    from dlnsweep.numerics.streams import purpose_key
    from dlnsweep.problems.matrix_completion import MatrixCompletionSettings, draw_completion

    def draw(seed: Any) -> list[Fit]:
        counted = partial(
            MatrixCompletionSettings, num_rows=8, num_columns=7, rank=2, target_norm=8.0
        )
        key = partial(purpose_key, seed)
        return [draw_completion(counted(num_observed=count), key) for count in (40, 50)]

    with numerics():
        masks = []
        # One program: eagerly each operation would be compiled by itself.
        fits = jax.jit(draw)(jnp.int64(0))
        for count, fit in zip((40, 50), fits, strict=True):
            target = np.asarray(fit.target)
            assert np.linalg.norm(target) == pytest.approx(8)
            assert np.linalg.matrix_rank(target) == 2
            mask = np.asarray(fit.observed.mask)
            masks.append(mask)
            assert np.sum(mask) == count
            np.testing.assert_array_equal(fit.observed.targets, mask * target)
    assert np.all(masks[0] <= masks[1])
    values = np.sum((masks[0] * np.asarray(fits[0].target)) ** 2) / 40
    assert found.observables["train_error"][0, 0] == pytest.approx(values, rel=1e-7)
    assert found.observables["loss"][0, 0] == pytest.approx(values, rel=1e-7)


def test_sensing_measures_the_target():
    base = {k: v for k, v in COMPLETION.items() if k != "problem__num_observed"}
    sizes = {"problem__kind": "matrix_sensing", "problem__num_measurements": 2000}
    _, found = trained(base, **sizes, network__layer_init_scale=1e-9)
    # <A, M> has variance ||M||^2 / (d m); 2000 measurements know it to 6 % (two deviations).
    assert found.observables["train_error"][0, 0] == pytest.approx(64 / 56, rel=0.15)
    assert found.observables["reconstruction_error"][0, 0] == pytest.approx(1, abs=1e-9)


def test_the_end_to_end_update_and_the_drift_are_of_first_order():
    names = ["end_to_end_distance", "unbalancedness_drift"]
    ends: dict[str, list[float]] = {name: [] for name in names}
    for rate, steps in ((0.04, 50), (0.02, 100), (0.01, 200)):
        _, found = trained(
            APPROXIMATION,
            network__kind="end_to_end",
            network__depth=3,
            network__initializer="balanced",
            training__learning_rate=rate,
            training__num_steps=steps,
            record__observables=names,
        )
        for name in names:
            ends[name].append(float(found.observables[name][0, -1]))
    for name, values in ends.items():
        orders = np.log2(np.array(values[:-1]) / np.array(values[1:]))
        # Convergence of order one: within 0.1, as the next order is a step of 0.01 smaller.
        np.testing.assert_allclose(orders, 1, atol=0.1, err_msg=name)


@pytest.mark.parametrize("depth", [3])
def test_the_loss_stays_below_theorem_2(depth: int):
    margin, rate = 0.5, 1e-3
    _, found = trained(
        APPROXIMATION,
        problem__condition_number=2.0,
        network__depth=depth,
        network__initializer="near_target",
        network__deficiency_margin=margin,
        training__learning_rate=rate,
        training__num_steps=3000,
        record__observables=["loss"],
        sweep__seeds=3,
    )
    loss, steps = found.observables["loss"], found.steps
    # sigma_min = 1/2, so that delta = 1/4; the start is at (1 - margin) sigma_min from the target.
    np.testing.assert_allclose(loss[:, 0], 0.5 * (0.5 * 0.5) ** 2, rtol=1e-9)
    envelope = np.exp(-2 * 0.25 ** (2 - 2 / depth) * rate * steps)
    assert np.all(loss <= loss[:, :1] * envelope * (1 + 1e-12))
    assert np.all(loss[:, -1] < 0.9 * loss[:, 0])


# Of depth 3 there is the program of the test below.
@pytest.mark.parametrize("depth", [3, pytest.param(5, marks=pytest.mark.slow)])
def test_singular_values_move_with_the_exponent_of_theorem_3(depth: int):
    _, found = trained(
        BALANCED,
        problem__condition_number=5.0,
        network__depth=depth,
        network__product_determinant="positive",
        training__learning_rate=1e-4,
    )
    # Drift of the balance in twenty steps of 1e-4.
    np.testing.assert_allclose(found.observables["speed_exponent"], 2 - 2 / depth, atol=1e-4)


def test_no_norm_stays_bounded_where_none_can():
    _, found = trained(
        DIVERGENT,
        network__depth=[3],
        network__initializer="balanced",
        network__product_init_scale=1e-2,
        training__learning_rate=1e-2,
        training__num_steps=30_000,
        sweep__seeds=2,
        record__count=60,
    )
    at = found.observables
    positive = at["determinant"] > 0
    assert np.all(positive)
    low = at["loss"] < 0.5
    loss, entry = at["loss"][low], at["free_entry"][low]
    bound = (1 - np.sqrt(2 * loss)) ** 2 / np.sqrt(2 * loss)
    assert np.all(entry > bound)
    np.testing.assert_allclose(at["free_entry_bound"][low], bound, rtol=1e-9)
    assert np.all(at["loss"][:, -1] < 2e-3)
    assert np.all(at["free_entry"][:, -1] > 14)


@pytest.mark.parametrize("sign", ["positive", "negative"])
def test_the_sign_of_the_determinant_decides(sign: str):
    _, found = trained(
        BALANCED,
        network__depth=3,
        network__product_init_scale=0.1,
        network__product_determinant=sign,
        training__learning_rate=0.05,
        training__num_steps=1500,
    )
    at = found.observables
    assert np.all(np.sign(at["determinant"][:, 0]) == (1 if sign == "positive" else -1))
    # Turning a row of the last layer keeps the balance.
    assert np.all(at["unbalancedness"][:, 0] < 1e-12)
    assert (
        np.all(at["loss"][:, -1] < 1e-6) if sign == "positive" else np.all(at["loss"][:, -1] > 0.4)
    )


def test_ill_conditioned_data_are_as_described():
    from functools import partial

    from dlnsweep.numerics.runtime import numerics
    from dlnsweep.numerics.streams import purpose_key
    from dlnsweep.problems.regression import RegressionSettings, draw

    settings = RegressionSettings(num_inputs=5, num_samples=20, condition_number=50.0, power=4.0)
    with numerics():
        fit = jax.jit(lambda seed: draw(settings, partial(purpose_key, seed)))(jnp.int64(3))
        x, y, w = (np.asarray(a) for a in (fit.observed.inputs, fit.observed.targets, fit.target))
    values = np.linalg.svd(x, compute_uv=False) / 20**0.5
    np.testing.assert_allclose(values, np.geomspace(1, 1 / 50, 5), rtol=1e-10)
    np.testing.assert_allclose(w @ x, y, atol=1e-12)
    assert np.mean(y**2) == pytest.approx(1)
    assert float(fit.scale) == pytest.approx(1 / 20)


def test_the_uci_file_runs(tmp_path, monkeypatch):
    from test_gas_sensor import lines, written

    monkeypatch.chdir(tmp_path)
    written(tmp_path, "".join(lines(200)))
    given = {"problem__data": "gas_sensor", "problem__data_file": "gas.dat"}
    base = {
        k: v
        for k, v in REGRESSION.items()
        if k not in ("problem__num_inputs", "problem__num_samples")
    }
    plan, found = trained(base, **given, problem__power=4.0, training__learning_rate=1e-4)
    assert found.status == ["finished"]
    other = written(tmp_path, "".join(lines(200, seed=1)))
    assert other
    again, _ = trained(base, **given, problem__power=4.0, training__learning_rate=1e-4)
    assert again.run_ids[0] != plan.run_ids[0]
