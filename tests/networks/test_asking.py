"""Optimizers that ask for the loss, the rate or random numbers: runs against plain loops in NumPy.

Each loop is the paper's that is named, on two linear layers, with gradients written out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch_samples import drawn, plan_of, same_bits, train_rows
from resumed import assert_goes_on

import dlnsweep
from dlnsweep.errors import SpecError
from dlnsweep.numerics.lazy import jnp
from dlnsweep.numerics.runtime import numerics
from dlnsweep.numerics.streams import gaussian, purpose_key, step_keys
from dlnsweep.optimizers.asking import scale_by_polyak
from dlnsweep.spec.sweep import Sweep

STEPS = 40
# Roundings of forty steps, 1e-16 each, and what a norm's quotient magnifies of them.
ROUNDING = 1e-11
ASKING: dict[str, dict[str, Any]] = {
    "fromage": {"learning_rate": [0.01, 0.05], "weight_decay": 0.01},
    "noisy_sgd": {
        "learning_rate": 0.02,
        "noisy_sgd_variance": [0.1, 0.5],
        "noisy_sgd_decay": 0.7,
        "weight_decay": 0.01,
    },
    "polyak_sgd": {
        "learning_rate": 0.5,
        "polyak_largest_rate": [0.05, 1.0],
        "polyak_least_loss": 0.02,
        "polyak_epsilon": 0.1,
        "data_fit_scale": 0.7,
        "weight_decay": 0.05,
    },
}


def plan_with(optimizer: str, seeds: int = 2, **training: Any):
    return plan_of(
        network={"depth": 2, "width": 5},
        training={"num_steps": STEPS, "optimizer": optimizer, **ASKING[optimizer], **training},
        record={"count": 2, "observables": ["loss"]},
        sweep={"seeds": seeds, "kernel": "generic"},
    )


def norm(matrix: np.ndarray) -> float:
    return float(np.sqrt(np.sum(matrix**2)))


def noise(seed: int, t: int, layer: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return a layer's random numbers of a step: its place in the tuple names them."""
    keys = step_keys(purpose_key(jnp.int64(seed), "training/optimizer"), jnp.int64(t))
    return np.asarray(gaussian(keys(f"[{layer}]"), *shape))


def objective(training: Any, weights: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> float:
    fit = 0.5 * norm(weights[1] @ weights[0] @ y - x) ** 2
    decayed = 0.5 * training.weight_decay * sum(norm(w) ** 2 for w in weights)
    return training.data_fit_scale * fit + decayed


def rate_of(training: Any, t: int) -> float:
    """Return eta of step t; the only schedule here falls along a line to a tenth."""
    if training.schedule == "constant":
        return training.learning_rate
    return training.learning_rate * (1 - 0.9 * min(t / training.schedule_steps, 1.0))


def plain_loss(plan: Any, row: int) -> float:
    """Train a run in NumPy; return its objective at the end."""
    sections, weights, x, y, _ = drawn(plan, row, tests=False)
    own, seed = sections.training, int(plan.row(row)["seed"])
    for t in range(STEPS):
        residual = own.data_fit_scale * (weights[1] @ weights[0] @ y - x)
        found = [weights[1].T @ residual @ y.T, residual @ (weights[0] @ y).T]
        found = [g + own.weight_decay * w for g, w in zip(found, weights, strict=True)]
        eta = rate_of(own, t)
        if own.optimizer == "fromage":
            # arXiv:2002.03432, Algorithm 1.
            weights = [
                (w - eta * norm(w) / norm(g) * g) / np.sqrt(1 + eta**2)
                for w, g in zip(weights, found, strict=True)
            ]
        elif own.optimizer == "noisy_sgd":
            # arXiv:1511.06807, section 3: variances eta / (1 + t)^gamma.
            size = np.sqrt(own.noisy_sgd_variance / (1 + t) ** own.noisy_sgd_decay)
            weights = [
                w - eta * (g + size * noise(seed, t, layer, w.shape))
                for layer, (w, g) in enumerate(zip(weights, found, strict=True))
            ]
        else:
            # arXiv:2002.10542, (3), of the whole loss.
            square = sum(norm(g) ** 2 for g in found) + own.polyak_epsilon
            gap = max(objective(own, weights, x, y) - own.polyak_least_loss, 0.0)
            rate = min(gap / square, own.polyak_largest_rate)
            weights = [w - eta * rate * g for w, g in zip(weights, found, strict=True)]
    return objective(own, weights, x, y)


@pytest.mark.parametrize("schedule", [{}, {"schedule": "linear", "schedule_end": 0.1}])
@pytest.mark.parametrize("optimizer", ASKING)
def test_a_run_is_that_of_a_plain_loop(optimizer: str, schedule: dict[str, Any]):
    more = {**schedule, "schedule_steps": 30} if schedule else {}
    plan = plan_with(optimizer, **more)
    assert len(plan.program_widths) == 1, "numbers do not compile anew"
    found = train_rows(plan)
    with numerics():
        for row in range(plan.num_runs):
            wanted = plain_loss(plan, row)
            assert found.observables["loss"][row, -1] == pytest.approx(wanted, rel=ROUNDING)


def test_noise_is_a_runs_own_in_any_batch():
    plan = plan_with("noisy_sgd", 3)
    together = train_rows(plan)
    alone = train_rows(plan, [plan.num_runs - 1])
    # Another number of lanes rounds otherwise.
    np.testing.assert_allclose(
        alone.observables["loss"][0], together.observables["loss"][-1], rtol=ROUNDING
    )
    turned = train_rows(plan, list(range(plan.num_runs))[::-1])
    assert same_bits(turned, together, slice(None, None, -1))


def test_noise_without_variance_is_gradient_descent():
    noisy = plan_with("noisy_sgd", noisy_sgd_variance=0.0)
    plain = plan_of(
        network={"depth": 2, "width": 5},
        training={"num_steps": STEPS, "learning_rate": 0.02, "weight_decay": 0.01},
        record={"count": 2, "observables": ["loss"]},
        sweep={"seeds": 2, "kernel": "generic"},
    )
    np.testing.assert_allclose(
        train_rows(noisy).observables["loss"], train_rows(plain).observables["loss"], rtol=ROUNDING
    )


def sweep_of(**training: Any) -> Sweep:
    return Sweep.from_dict(
        {
            "name": "written",
            "problem": {
                "kind": "subspace", "signal_dim": 6, "measurement_dim": 4, "subspace_dim": 2,
                "num_samples": 12,
            },
            "network": {"depth": 2, "width": 5},
            "training": {"learning_rate": 0.02, **training},
            "record": {"observables": ["loss"]},
            "sweep": {"seeds": 2, "kernel": "generic"},
        }
    )  # fmt: skip


def test_noise_goes_on_bit_for_bit_where_a_run_was_stopped(tmp_path: Path):
    assert_goes_on(sweep_of(optimizer="noisy_sgd", num_steps=4000), tmp_path)


def test_one_folder_has_runs_that_read_no_choice(tmp_path: Path):
    choices = {"adafactor_factored_from": [4, 6], "adafactor_steps": "absolute"}
    own = sweep_of(optimizer=["adafactor", "adam"], num_steps=5, **choices)
    results = dlnsweep.run(own, tmp_path, workers=0)
    runs: Any = results.runs()
    assert sorted(runs["training.optimizer"]) == ["adafactor"] * 4 + ["adam"] * 2
    read = runs[runs["training.optimizer"] == "adafactor"]
    assert sorted(read["training.adafactor_factored_from"]) == [4, 4, 6, 6]
    assert read["final_loss"].nunique() == 4
    # What is there is found again, and none is computed anew.
    told: list[str] = []
    dlnsweep.run(own, tmp_path, workers=0, on_event=lambda event: told.append(event.kind))
    assert "batch_done" not in told


def test_adafactor_sees_the_shapes_of_one_run():
    """Of 5 rows and 4 columns: eight runs at once are no more of them."""
    plan = plan_of(
        network={"depth": 2, "width": 5},
        training={"num_steps": 20, "optimizer": "adafactor", "learning_rate": 0.01,
                  "weight_decay": 0.1, "adafactor_factored_from": [5, 6],
                  "adafactor_steps": ["relative", "absolute"]},
        record={"count": 2, "observables": ["loss"]},
        sweep={"seeds": 8, "kernel": "generic"},
    )  # fmt: skip
    assert len(plan.program_widths) == 4, "choices are programs"
    for first in range(0, plan.num_runs):
        row, settings = first, plan.row(first)
        if settings["seed"]:
            continue
        same = [i for i in range(plan.num_runs) if plan.programs[i] == plan.programs[row]]
        found = train_rows(plan, same).observables["loss"][same.index(row), -1]
        sections, weights, x, y, _ = drawn(plan, row, tests=False)
        own = sections.training
        rows, columns, moments = ([np.zeros(())] * 2 for _ in range(3))
        for t in range(1, 21):
            residual = weights[1] @ weights[0] @ y - x
            gradients = [weights[1].T @ residual @ y.T, residual @ (weights[0] @ y).T]
            b = 1 - t**-0.8
            for i, g in enumerate(gradients):
                squares = g**2 + 1e-30
                rows[i] = b * rows[i] + (1 - b) * squares.sum(axis=1)
                columns[i] = b * columns[i] + (1 - b) * squares.sum(axis=0)
                moments[i] = b * moments[i] + (1 - b) * squares
                v = np.outer(rows[i], columns[i]) / rows[i].sum()
                if min(g.shape) < own.adafactor_factored_from:
                    v = moments[i]
                u = g / np.sqrt(v)
                u = u / max(1, norm(u) / np.sqrt(u.size))
                size = max(1e-3, norm(weights[i]) / np.sqrt(u.size))
                u = u * (size if own.adafactor_steps == "relative" else 1)
                weights[i] = weights[i] - 0.01 * (u + 0.1 * weights[i])
        assert found == pytest.approx(objective(own, weights, x, y), rel=ROUNDING)


def test_polyak_stands_where_there_is_no_gap_and_no_gradient():
    low = train_rows(plan_with("polyak_sgd", polyak_least_loss=1e9))
    assert (low.observables["loss"][:, 0] == low.observables["loss"][:, -1]).all()
    with numerics():
        for epsilon in (0.0, 0.1):
            direction: Any = scale_by_polyak(0.0, 2.0, epsilon)
            # The square of 1e-200 is zero: without epsilon the step is the largest one.
            rate = 0.1 / 0.1 if epsilon else 2.0
            for gradient in (0.0, 1e-200):
                given = jnp.full(3, gradient)
                found, _ = direction.update(given, direction.init(given), value=jnp.asarray(0.1))
                np.testing.assert_allclose(found, np.full(3, rate * gradient), rtol=1e-15)


@pytest.mark.parametrize(
    ("training", "sentence"),
    [
        ({"optimizer": "rprop", "rprop_shrink": 1.0}, "rprop_shrink is 1"),
        ({"optimizer": "rprop", "rprop_grow": 1.0}, "rprop_grow is 1"),
        ({"optimizer": "rprop", "rprop_least": 2.0}, "rprop_least is 2"),
        ({"optimizer": "rprop", "rprop_most": 0.5}, "rprop_most is 0.5"),
        ({"optimizer": "adafactor", "adafactor_decay": 1.5}, "adafactor_decay is 1.5"),
        ({"optimizer": "adafactor", "adafactor_epsilon": 0.0}, "adafactor_epsilon is 0"),
        ({"optimizer": "adafactor", "adafactor_clipping": 0.0}, "adafactor_clipping is 0"),
        ({"optimizer": "adafactor", "adafactor_least_scale": -1.0}, "adafactor_least_scale is -1"),
        ({"optimizer": "adafactor", "adafactor_factored_from": 0}, "adafactor_factored_from is 0"),
        ({"optimizer": "adafactor", "adafactor_factored_from": 2.5}, "factored_from is 2.5"),
        ({"optimizer": "adafactor", "adafactor_steps": "own"}, "adafactor_steps is 'own'"),
        ({"optimizer": "noisy_sgd", "noisy_sgd_variance": -1.0}, "noisy_sgd_variance is -1"),
        ({"optimizer": "noisy_sgd", "noisy_sgd_decay": -1.0}, "noisy_sgd_decay is -1"),
        ({"optimizer": "polyak_sgd", "polyak_largest_rate": 0.0}, "polyak_largest_rate is 0"),
        ({"optimizer": "polyak_sgd", "polyak_epsilon": -1.0}, "polyak_epsilon is -1"),
        ({"optimizer": "polyak_sgd", "polyak_least_loss": float("nan")}, "polyak_least_loss is"),
        ({"adafactor_steps": "absolute"}, "it belongs to adafactor"),
        ({"optimizer": "lbfgs"}, "is 'lbfgs', which evaluates the loss anew along each step"),
        ({"optimizer": "schedule_free_sgd"}, "training.ema_decay records an average"),
        ({"optimizer": "sophia"}, "is 'sophia', which asks for the diagonal of the Hessian"),
        ({"optimizer": "prodigy"}, "is one line of a plug-in"),
        ({"optimizer": "sgd"}, "is 'sgd', which is called gradient_descent here"),
        ({"optimizer": ["adam", "lbfgs"]}, "is 'lbfgs', which evaluates"),
        ({"optimizer": "adamm"}, "or one of a plug-in that is named, --plugin FILE."),
    ],
)
def test_bad_numbers_get_a_sentence(training: dict[str, Any], sentence: str):
    with pytest.raises(SpecError) as raised:
        plan_of(training=training, sweep={"kernel": "generic"})
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("optimizer", "what"),
    [("fromage", "the learning rate"), ("noisy_sgd", "random numbers"), ("polyak_sgd", "the loss")],
)
def test_other_ways_than_the_generic_one_refuse_them(optimizer: str, what: str):
    for kernel in ("auto", "dense"):
        with pytest.raises(SpecError) as raised:
            plan_of(training={"optimizer": optimizer}, sweep={"kernel": kernel})
        assert f"which asks for {what}" in str(raised.value)
        assert 'set sweep.kernel = "generic"' in str(raised.value)
    with pytest.raises(SpecError, match="optimizer"):
        plan_of(
            network={"kind": "linear_then_relu"},
            training={"optimizer": optimizer},
            sweep={"kernel": "generic"},
        )
    with pytest.raises(SpecError) as raised:
        dlnsweep.train(
            [np.eye(3)], np.eye(3), np.eye(3), learning_rate=0.1, record_steps=[1],
            optimizer=optimizer,
        )  # fmt: skip
    assert "asks for more than gradients" in str(raised.value)


def test_an_optimizer_that_asks_for_what_there_is_not_is_refused():
    wrong = dlnsweep.Optimizer("my_own", lambda _: None, asks=("hessian",), version="1")
    with pytest.raises(ValueError, match="'hessian'; an optimizer is given value, rates, key"):
        dlnsweep.register_optimizer(wrong)
    both = dlnsweep.Optimizer(
        "my_own", lambda _: None, asks=("value",), isotropic=True, version="1"
    )
    with pytest.raises(ValueError, match="leave isotropic out"):
        dlnsweep.register_optimizer(both)
