"""What networks of kept weights make of inputs, and their variance over seeds, against NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlnsweep
from dlnsweep.errors import SpecError

# float64 products of some ten numbers, some layers one after another.
ROUNDED = 1e-12
RNG = np.random.default_rng(1)
INPUTS, TARGETS = RNG.normal(size=(9, 4)), RNG.normal(size=(9, 4))
# Points that no run sees.
POINTS = RNG.normal(size=(4, 7))
Weights = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", inputs=INPUTS, targets=TARGETS)


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("two_seeds"))
        np.savez("data.npz", inputs=INPUTS, targets=TARGETS)
        results = trained()
    return dlnsweep.open_results(results.path.resolve())


def trained(**sections: dict[str, Any]) -> Any:
    base: dict[str, dict[str, Any]] = {
        "problem": {"kind": "from_file", "data_file": "data.npz"},
        "network": {"kind": "mlp", "depth": 2, "width": 6},
        "training": {"learning_rate": 0.01, "num_steps": 20},
        "record": {"count": 3, "weights": [0, 20], "observables": ["loss"]},
        "sweep": {"seeds": 2},
    }
    merged = {name: values | sections.get(name, {}) for name, values in base.items()}
    sweep = dlnsweep.Sweep.from_dict({"name": "predicted", **merged})
    return dlnsweep.run(sweep, workers=0)


def softplus(values: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(values))


def ntk(weights: Weights) -> np.ndarray:
    """Two layers of softplus with biases, in the tangent kernel's scaling, centred, gamma = 2."""

    def at(prefix: str) -> np.ndarray:
        first, last = weights[f"{prefix}weights[0]"], weights[f"{prefix}weights[1]"]
        inner = first @ POINTS / 2 + weights[f"{prefix}biases[0]"][:, None]
        return last @ softplus(inner) / 6**0.5 + weights[f"{prefix}biases[1]"][:, None]

    return (at("") - at("initial.")) / 2


def chained(weights: Weights) -> np.ndarray:
    return weights["weights[2]"] @ weights["weights[1]"] @ weights["weights[0]"] @ POINTS


def rectified(weights: Weights) -> np.ndarray:
    inner = weights["weights[1]"] @ weights["weights[0]"] @ POINTS
    return weights["weights[2]"] @ np.maximum(inner, 0)


CASES: list[tuple[dict[str, Any], Any, dict[str, Any]]] = [
    (
        {"width": 6, "activation": "softplus", "biases": True, "parametrization": "ntk",
         "richness": 2.0, "output": "centred"},
        ntk,
        {},
    ),
    ({"kind": "deep_linear", "depth": 3}, chained, {"kernel": "dense"}),
    ({"kind": "deep_linear", "depth": 3}, chained, {"kernel": "generic", "precision": "float32"}),
    ({"kind": "linear_then_relu", "depth": 3}, rectified, {}),
]  # fmt: skip


@pytest.mark.parametrize(("network", "predicted", "sweep"), CASES)
def test_predictions_are_those_of_the_network(network, predicted, sweep):
    results = trained(network=network, sweep=sweep)
    for run_id in results.runs()["run_id"]:
        for step in (0, 20):
            wide = {k: v.astype(float) for k, v in results.weights(run_id, step).items()}
            found = results.predictions(POINTS, run_id, step)
            np.testing.assert_allclose(found, predicted(wide), rtol=ROUNDED, atol=ROUNDED)


@pytest.mark.parametrize(
    "network",
    [
        {"kind": "diagonal_linear", "depth": 2, "width": None},
        {"kind": "deep_linear_resnet", "depth": 2, "width": 4},
    ],
)
def test_predictions_give_the_recorded_loss(network):
    """Of networks whose functions other tests hold against NumPy."""
    given = {k: v for k, v in network.items() if v is not None}
    targets = TARGETS[:, :1] if "width" not in given else TARGETS
    np.savez("data.npz", inputs=INPUTS, targets=targets)
    results = dlnsweep.run(
        dlnsweep.Sweep.from_dict(
            {
                "name": "known",
                "problem": {"kind": "from_file", "data_file": "data.npz"},
                "network": given,
                "training": {"learning_rate": 0.01, "num_steps": 20},
                "record": {"count": 3, "weights": "final", "observables": ["loss"]},
                "sweep": {"seeds": 2},
            }
        ),
        workers=0,
    )
    for row in results.runs().to_dict("records"):
        apart = results.predictions(INPUTS.T, row["run_id"]) - targets.T
        assert 0.5 * np.sum(apart**2) == pytest.approx(row["final_loss"], rel=ROUNDED)


def brute(outputs: list[np.ndarray]) -> tuple[float, float, float]:
    """The variance by pairs of runs, its jackknife's error and the mean's square by pairs."""

    def pairs(chosen: list[np.ndarray]) -> float:
        both = [(a, b) for i, a in enumerate(chosen) for b in chosen[:i]]
        return float(np.mean([np.sum((a - b) ** 2) / a.shape[1] / 2 for a, b in both]))

    count = len(outputs)
    without = np.array([pairs(outputs[:i] + outputs[i + 1 :]) for i in range(count)])
    error = np.sqrt((count - 1) * np.mean((without - np.mean(without)) ** 2))
    products = [np.sum(a * b) / a.shape[1] for i, a in enumerate(outputs) for b in outputs[:i]]
    return pairs(outputs), float(error), float(np.mean(products))


def test_the_variance_is_that_of_all_pairs_of_seeds():
    results = trained(network={"width": [5, 6]}, sweep={"seeds": 5})
    table = results.prediction_variance(POINTS).set_index("network.width")
    # All groups, and those of some runs at an earlier step.
    early = results.prediction_variance(POINTS, by=[], step=0, where={"network.width": 6})
    assert list(table["num_runs"]) == [5, 5]
    for width, row, step in ((5, table.loc[5], 20), (6, table.loc[6], 20), (6, early.iloc[0], 0)):
        ids = results.runs({"network.width": width})["run_id"]
        wanted = brute([results.predictions(POINTS, each, step) for each in ids])
        found = row[["prediction_variance", "standard_error", "mean_square"]]
        np.testing.assert_allclose(found.to_numpy(float), wanted, rtol=ROUNDED)


def test_too_few_runs_have_no_variance_and_two_no_error(two_seeds):
    table = two_seeds.prediction_variance(POINTS)
    assert table["prediction_variance"][0] > 0
    assert np.isnan(table["standard_error"][0])
    one = two_seeds.prediction_variance(POINTS, where={"seed": 0})
    assert one[["prediction_variance", "mean_square"]].isna().all(axis=None)


@pytest.mark.parametrize("by", [None, []])
def test_no_runs_are_a_table_without_rows(two_seeds, by):
    table = two_seeds.prediction_variance(POINTS, by=by, where={"seed": 99})
    assert table.empty
    assert list(table) == list(two_seeds.prediction_variance(POINTS, by=by))


def test_runs_that_diverged_are_counted_and_stopped_ones_have_their_last_weights():
    # The larger rate diverges; the loss falls below the bound on the way.
    results = trained(
        network={"activation": "linear"},
        training={
            "learning_rate": [0.02, 1e3],
            "num_steps": 400,
            "stop_when": {"observable": "loss", "below": 14.0},
        },
        record={"count": 9, "spacing": "linear", "weights": [0, 400], "observables": ["loss"]},
        sweep={"seeds": 3},
    )
    runs = results.runs().set_index("run_id")
    assert set(runs["status"]) == {"diverged", "stopped"}
    table = results.prediction_variance(POINTS, step=400).set_index("training.learning_rate")
    assert list(table["num_diverged"]) == [0, 3]
    assert np.isnan(table.loc[1e3, "prediction_variance"])
    ids = runs.index[runs["training.learning_rate"] == 0.02]
    wanted = brute([results.predictions(POINTS, each) for each in ids])
    assert table.loc[0.02, "prediction_variance"] == pytest.approx(wanted[0], rel=ROUNDED)
    # At the start all had weights.
    first = results.prediction_variance(POINTS, step=0)
    assert list(first["num_diverged"]) == [0, 0]
    assert (first["prediction_variance"] > 0).all()


@pytest.mark.parametrize(
    ("inputs", "keys", "sentence"),
    [
        (POINTS.T, {}, "has 7 rows; it must have 4.*give its transpose"),
        (POINTS[:3], {}, "has 3 rows; it must have 4, one for each input"),
        ([[1.0], [2.0, 3.0]], {}, "rows have unequal lengths"),
        (POINTS[0], {}, r"shape \(7,\); it must be a non-empty matrix"),
        (POINTS * np.nan, {}, "not finite"),
        (POINTS.astype(str), {}, "must hold real numbers"),
        (POINTS, {"by": "network.widht"}, "did you mean 'network.width'"),
        (POINTS, {"step": 7}, "has no weights; they are kept at 0, 20"),
        (POINTS, {"step": True}, "step is true"),
        (POINTS, {"step": "final"}, "step is 'final'; it must be a step at which weights are kept"),
    ],
)
def test_what_does_not_fit_is_told(two_seeds, inputs, keys, sentence):
    with pytest.raises(SpecError, match=sentence):
        two_seeds.prediction_variance(inputs, **keys)


def test_a_folder_without_weights_and_networks_of_no_inputs_are_refused():
    with pytest.raises(SpecError, match="keeps no weights"):
        trained(record={"weights": []}).prediction_variance(POINTS)
    matrix = dlnsweep.Sweep.from_dict(
        {
            "name": "matrix",
            "problem": {"kind": "matrix_approximation", "num_rows": 3, "num_columns": 3},
            "network": {"depth": 2, "width": 3},
            "training": {"learning_rate": 0.01, "num_steps": 3},
            "record": {"count": 2, "weights": "final", "observables": ["loss"]},
        }
    )
    with pytest.raises(SpecError, match="makes no predictions of inputs"):
        dlnsweep.run(matrix, workers=0).prediction_variance(POINTS)
