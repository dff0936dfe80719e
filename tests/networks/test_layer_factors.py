"""Factors on learning rate and weight decay, one a layer: `training.learning_rate_factors`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from batch_samples import drawn, plan_of, train_rows
from spec_samples import problems, sweep

import dlnsweep
from dlnsweep.contracts.network import NETWORKS
from dlnsweep.contracts.structure import Structure
from dlnsweep.figures.labels import format_settings, setting_label
from dlnsweep.figures.layout import constants
from dlnsweep.figures.statistics import Selection
from dlnsweep.networks.deep_linear_resnet import layer_of as blocks_of
from dlnsweep.networks.generic.trial import why_not
from dlnsweep.networks.layered.definition import with_relu
from dlnsweep.networks.mlp.definition import layer_of as layers_of
from dlnsweep.plan.plan import make_plan
from dlnsweep.settings.by_layer import numbers_of
from dlnsweep.spec.sweep import Sweep

RATE, DECAY, STEPS = 0.1, 0.05, 40
# Forty steps of rounding, 1e-16 each, on losses of size 1.
ROUNDING = 1e-12
NAMES = ["loss", "gradient_norm", "hessian_trace"]
FACTORS = "training.learning_rate_factors"
DOCUMENT: dict[str, Any] = {
    "name": "features",
    "problem": {"kind": "unconstrained_features", "num_classes": 3, "samples_per_class": 2},
    "network": {"kind": "deep_linear", "depth": 2, "width": 5},
    "training": {
        "learning_rate": RATE,
        "learning_rate_factors": ["1, 0.5", "0.25,2.0", ""],
        "weight_decay": DECAY,
        "weight_decay_factors": "0.1, 2",
        "num_steps": STEPS,
    },
    "record": {"observables": NAMES, "spacing": "explicit", "steps": [0, 7]},
    "sweep": {"seeds": 2, "kernel": "generic"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    where = tmp_path_factory.mktemp("factors") / "out"
    return dlnsweep.run(Sweep.from_dict(DOCUMENT), where, workers=0)


def free_features(weights: list[np.ndarray], factors: tuple[float, ...]) -> dict[int, Any]:
    """Train (1/2) ||W H - X||^2 + (a / 2) ||H||^2 + (b / 2) ||W||^2 by features H and W."""
    (features, classifier), (slow, fast) = weights, factors
    targets, (a, b), states = np.repeat(np.eye(3), 2, axis=1), (0.1 * DECAY, 2 * DECAY), {}
    for step in range(STEPS + 1):
        error = classifier @ features - targets
        moves = classifier.T @ error + a * features, error @ features.T + b * classifier
        squares = np.sum(features**2), np.sum(classifier**2)
        # Of the Hessian's diagonal, each entry times the factor on its learning rate.
        diagonal = slow * (6 * squares[1] + a * features.size)
        diagonal += fast * (3 * squares[0] + b * classifier.size)
        states[step] = (
            0.5 * np.sum(error**2) + 0.5 * (a * squares[0] + b * squares[1]),
            sum(np.sum(move**2) for move in moves) ** 0.5,
            diagonal,
        )
        features = features - slow * RATE * moves[0]
        classifier = classifier - fast * RATE * moves[1]
    return states


def test_unconstrained_features_are_a_deep_linear_network_with_a_decay_a_layer(folder: Any):
    plan = make_plan(Sweep.from_dict(DOCUMENT))
    assert plan.num_programs == 2, "numbers do not compile anew; what is off is another program"
    runs, curves = folder.runs().set_index("run_id"), folder.curves().set_index("run_id")
    for row in range(6):
        settings = plan.row(row)
        _, weights, _, _, _ = drawn(plan, row, tests=False)
        states = free_features(weights, numbers_of(settings[FACTORS] or "") or (1.0, 1.0))
        own = curves.loc[[int(plan.run_ids[row])]]
        assert runs.loc[int(plan.run_ids[row]), FACTORS] == (settings[FACTORS] or "")
        assert list(own["step"]) == [0, 7, STEPS]
        for _, record in own.iterrows():
            np.testing.assert_allclose(
                record[NAMES].astype(float), states[record["step"]], rtol=ROUNDING
            )


def test_they_are_a_column_of_texts_that_goes_round(folder: Any):
    assert set(folder.runs()[FACTORS]) == {"1, 0.5", "0.25, 2", ""}
    table = pd.read_parquet(Path(folder.path) / "runs.parquet", columns=[FACTORS])
    assert set(table[FACTORS]) == {"1, 0.5", "0.25, 2", ""}
    again = dlnsweep.run(Sweep.from_dict(DOCUMENT), Path(folder.path).parent, workers=0)
    assert len(again.runs()) == 6, "nothing is computed again"


def test_one_text_is_one_run_and_none_changes_no_id():
    def ids(**training: Any) -> list[int]:
        document = DOCUMENT | {"training": {"learning_rate": RATE, "num_steps": STEPS} | training}
        return make_plan(Sweep.from_dict(document)).run_ids.tolist()

    assert ids(learning_rate_factors="1,0.50") == ids(learning_rate_factors=" 1.0, 5e-1")
    assert ids(learning_rate_factors="") == ids(weight_decay_factors="") == ids()
    assert len({ids()[0], ids(learning_rate_factors="1, 1")[0],
                ids(weight_decay_factors="1, 1")[0]}) == 3  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["deep_linear", "linear_then_relu"])
def test_the_views_of_samples_have_a_decay_and_a_rate_a_layer(kind: str):
    """Of three layers with steps by fan-in: by derivatives of the loss as it is defined."""
    names = ["loss", "gradient_norm", "hessian_trace", "sharpness"]
    plan = plan_of(
        network={"kind": kind, "width": 4},
        training={"num_steps": 5, "learning_rate_factors": "1, 0.5, 2", "step_rule": "fan_in",
                  "weight_decay_factors": "3, 0, 1"},
        record={"observables": names, "count": 2},
        sweep={"kernel": "generic", "seeds": 2},
    )  # fmt: skip
    found = train_rows(plan).observables
    with jax.enable_x64(True):
        _, weights, x, y, _ = drawn(plan, 1, tests=False)
        shapes = [weight.shape for weight in weights]
        edges = np.cumsum([weight.size for weight in weights])[:-1]
        factors = zip(weights, (1, 0.5, 2), strict=True)
        rates = np.concatenate([np.full(w.size, factor / w.shape[1]) for w, factor in factors])

        def objective(point: Any) -> Any:
            parts = jax.numpy.split(point, edges)
            layers = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
            samples = jax.numpy.asarray(y)
            last = layers[2] @ (layers[1] @ layers[0] @ samples)
            output = with_relu(tuple(layers), samples, None) if kind == "linear_then_relu" else last
            decay = 3 * jax.numpy.sum(layers[0] ** 2) + jax.numpy.sum(layers[2] ** 2)
            return 0.5 * jax.numpy.sum((output - x) ** 2) + 0.05 * decay

        point = np.concatenate([weight.ravel() for weight in weights])
        norm = np.linalg.norm(jax.grad(objective)(point))
        hessian = np.sqrt(rates)[:, None] * jax.hessian(objective)(point) * np.sqrt(rates)
        largest = np.linalg.eigvalsh(hessian)[-1]
        wanted = float(objective(point)), norm, np.trace(hessian), largest
    for name, value in zip(names, wanted, strict=True):
        # Lanczos promises 1e-10 of the largest eigenvalue.
        assert found[name][1, 0] == pytest.approx(float(value), rel=1e-10), name


def test_networks_say_which_parameters_are_a_layer():
    params = {"weights": (0, 0), "biases": (0, 0), "initial": {"weights": (0, 0)}}
    assert layers_of(params) == {
        "weights": (0, 1), "biases": (0, 1), "initial": {"weights": (-1, -1)}
    }  # fmt: skip
    ends = {"blocks": (0, 0, 0), "first": 0, "last": 0}
    assert blocks_of(ends) == {
        "blocks": (0, 1, 2), "first": -1, "last": -1
    }  # fmt: skip


@pytest.mark.slow
def test_a_layer_with_factor_zero_is_not_trained():
    """The last layer of an mlp with biases: as `trained_layers` has it."""
    common: dict[str, Any] = {
        "network": {"kind": "mlp", "depth": 3, "width": 4, "activation": "tanh", "biases": True},
        "record": {"observables": ["regression_error"], "count": 3},
        "sweep": {"kernel": "auto", "seeds": 2},
    }
    training = {"learning_rate_factors": "0, 0, 1", "num_steps": 30, "weight_decay": 0.0}
    by_factor = train_rows(plan_of(**common, training=training))
    common["network"] = common["network"] | {"trained_layers": "last"}
    chosen = train_rows(plan_of(**common, training={"num_steps": 30, "weight_decay": 0.0}))
    np.testing.assert_array_equal(
        by_factor.observables["regression_error"], chosen.observables["regression_error"]
    )


def test_a_stranger_s_layers_must_fit(monkeypatch: pytest.MonkeyPatch):
    kind: Any = NETWORKS["samples", "deep_linear_resnet"]
    row = make_plan(
        sweep(
            network={"kind": "deep_linear_resnet", "depth": 2, "width": 8},
            training={"learning_rate": 0.1, "num_steps": 4},
            record__observables=["loss"],
        )
    ).row(0)

    wrong = Structure(layer_of=lambda _: {"blocks": (0, 2), "first": -1, "last": -1})
    monkeypatch.setattr(kind, "network", replace(kind.network, structure=wrong))
    assert why_not(row, computed=False) == (
        "network.kind 'deep_linear_resnet' cannot be trained: layer_of returns 2 for a leaf; it "
        "must be an int from 0 to depth - 1, which is 1, or -1 for none."
    )


EXPECTED = (
    "it must be a text of at most 100 numbers from 0 up, one a layer and with commas between them, "
    'such as "1, 0.1".'
)


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({"training__learning_rate_factors": [1, 0.1]},
         [f"training.learning_rate_factors[0] is 1; {EXPECTED}",
          f"training.learning_rate_factors[1] is 0.1; {EXPECTED}"]),
        ({"training__weight_decay_factors": "1; 2"},
         [f"training.weight_decay_factors is '1; 2'; {EXPECTED}"]),
        ({"training__weight_decay_factors": "1, -2"},
         [f"training.weight_decay_factors is '1, -2'; {EXPECTED}"]),
        ({"training__weight_decay_factors": "1, nan"},
         [f"training.weight_decay_factors is '1, nan'; {EXPECTED}"]),
        ({"training__weight_decay_factors": ["1, 0", "1.0, 0.0"], "network__depth": 2,
          "sweep__kernel": "generic"},
         ["training.weight_decay_factors[1] is '1, 0', as is training.weight_decay_factors[0]; "
          "give each value once."]),
        ({"training__learning_rate_factors": "1, 0.1", "network__depth": 3,
          "sweep__kernel": "generic"},
         ["training.learning_rate_factors is '1, 0.1', which has 2 numbers; network.depth is 3: "
          "give one a layer."]),
        ({"training__learning_rate_factors": "1, 0.1", "network__depth": 2},
         ["training.learning_rate_factors is '1, 0.1', which the generic way alone carries out; "
          'set sweep.kernel = "generic".']),
        ({"training__learning_rate_factors": "1, 0.1", "record__observables": ["loss"],
          "network": {"kind": "diagonal_linear"}},
         ["training.learning_rate_factors is '1, 0.1'; with network.kind = 'diagonal_linear' there "
          "are no layers that can have numbers of their own: leave it out."]),
        ({"training__weight_decay_factors": "1, 0.1", "training__optimizer": "adamw",
          "network__depth": 2, "sweep__kernel": "generic"},
         ["training.weight_decay_factors is '1, 0.1' and training.optimizer is 'adamw', which "
          "decays all weights itself; take another optimizer, or leave the factors out."]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(changes: dict[str, Any], sentences: list[str]):
    assert problems(**changes) == sentences


def test_figures_name_them():
    assert setting_label(FACTORS) == r"learning rate factors $η_{\mathrm{l}}/η$"
    assert format_settings(FACTORS, ["", "1, 0.1"]) == ["all 1", "1, 0.1"]
    runs = pd.DataFrame({FACTORS: ["1, 0.1"] * 2, "training.weight_decay_factors": ["", ""]})
    assert constants(Selection(runs, runs, len(runs), 0, 0, 0)) == [r"$η_{\mathrm{l}}/η$ = 1, 0.1"]
