"""Which kernel a run gets, the reason that is recorded, and what cannot be asked for."""

from __future__ import annotations

import itertools
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from spec_samples import problems, sweep

from dlnsweep import train
from dlnsweep.contracts.network import find_network, network_of
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.errors import SpecError
from dlnsweep.networks.layered import kind as layered
from dlnsweep.plan.plan import make_plan
from dlnsweep.reduced import lane as lanes

LAW = {"network__initial_weights": "law"}
LONG = {"network__width": 500, "network__depth": 3, "training__num_steps": 100_000}
SHORT = "too short or too narrow for a pilot to pay"


def reason(**changes: Any) -> str:
    plan = make_plan(sweep(**changes))
    row = plan.row(0)
    found = network_of(row).why_full(row, int(plan.program_widths[0]))
    if found is None:
        return ""
    # What helps is a key of a file, and the word is one.
    assert found.code.isidentifier()
    assert all("." in key for key in found.remedy)
    return found.sentence


# What a sweep asks for


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"sweep__kernel": "reduced", "training__optimizer": "adam"},
            'sweep.kernel is "reduced", but adam does not keep to the spaces that gradient descent '
            'visits: set training.optimizer = "gradient_descent".',
        ),
        (
            {"sweep__kernel": "reduced", "training__optimizer": ["nesterov", "rmsprop"]},
            'sweep.kernel is "reduced", but rmsprop does not keep to the spaces that gradient '
            'descent visits: set training.optimizer = "gradient_descent".',
        ),
        (
            {"sweep__kernel": "reduced", "network__depth": [2, 1]},
            'sweep.kernel is "reduced", but a network of depth 1 has no hidden layer: set '
            "network.depth = 2.",
        ),
        (
            {"sweep__kernel": "reduced", "record__observables": ["loss", "unbalancedness"]},
            'sweep.kernel is "reduced", but unbalancedness needs the weights themselves: set '
            'record.observables = ["loss"].',
        ),
        (
            {**LAW, "record__observables": ["unbalancedness_nuclear"]},
            'network.initial_weights is "law", but unbalancedness_nuclear needs the weights '
            'themselves: set record.observables = ["regression_error"].',
        ),
        (
            {"network__initial_weights": ["drawn", "law"], "training__optimizer": "adamw"},
            'network.initial_weights is "law", but adamw does not keep to the spaces that gradient '
            'descent visits: set training.optimizer = "gradient_descent".',
        ),
        (
            {**LAW, "sweep__kernel": "dense"},
            'sweep.kernel is "dense"; network.initial_weights = "law" has no weights to train it '
            'on: take "auto" or "reduced".',
        ),
        (
            {**LAW, "network__initializer": ["fan_in_normal", "orthogonal"]},
            'network.initial_weights is "law", which is known for Gaussian weights only: set '
            'network.initializer to "fan_in_normal".',
        ),
        (
            {"network__width": [64, 65_537]},
            "network.width is 65537; drawn weights are limited to 65536. Set "
            'network.initial_weights = "law" for wider networks.',
        ),
        ({"sweep__kernel": "fast"}, None),
        ({"sweep__tolerance": 0.2}, None),
        ({"sweep__tolerance": 1e-10}, None),
        ({"sweep__tolerance": [1e-3, 1e-4]}, None),
        ({"network__initial_weights": "mean"}, None),
    ],
)
def test_what_cannot_be_asked_for_has_its_sentence(changes: dict[str, Any], sentence: str | None):
    (found,) = problems(**changes)
    if sentence is not None:
        assert found == sentence
    else:
        # The key and its value, in the words of all settings.
        key = next(iter(changes)).replace("__", ".")
        assert found.startswith(key)


def test_what_may_be_asked_for_is_taken():
    for changes in (
        {**LAW, "network__width": [50, 10**12]},
        {"network__width": 65_536},
        {"sweep__kernel": "reduced", "training__optimizer": ["momentum", "nesterov"]},
        {"sweep__tolerance": 1e-9},
        {"sweep__tolerance": 0.1},
    ):
        assert make_plan(sweep(**changes)).num_runs >= 1


# What a run of a sweep gets


def test_auto_goes_by_the_settings_alone():
    assert reason(**LONG) == ""
    assert reason(**LONG, sweep__kernel="dense") == "asked for"
    assert reason() == SHORT
    assert reason(sweep__kernel="reduced") == ""
    assert reason(**LAW) == ""
    assert reason(**LONG | {"network__depth": 1}) == "a network of depth 1 has no hidden layer"
    for optimizer, dense in [("momentum", False), ("nesterov", False), ("adam", True)]:
        found = reason(**LONG, training__optimizer=optimizer)
        words = f"{optimizer} does not keep to the spaces that gradient descent visits"
        assert found == (words if dense else "")


@pytest.mark.parametrize("name", find_network("subspace").known_observables())
def test_auto_takes_dense_for_what_needs_layers(name: str):
    needs = name in (
        "unbalancedness", "unbalancedness_nuclear", "upper_gain_min", "upper_gain_max",
        "lower_gain_min", "lower_gain_max", "middle_gain_max", "curvature_min", "curvature_max",
        "higher_order_term", "displacement", "sharpness", "hessian_eigenvalues", "hessian_trace",
        "gradient_rounding",
    )  # fmt: skip
    noise: dict[str, Any] = {"record__test_noise": 0.1}
    if OBSERVABLES[name].over_noise_levels:
        noise["record__noise_levels"] = [0.1]
    found = reason(
        **LONG, record__observables=["loss", name] if name != "loss" else [name], **noise
    )
    said = f"{name} needs the weights themselves" if needs else ""
    if name == "gradient_norm":
        said = f"its estimate does not cover {name}, which keeps a floor near a stationary point"
    assert found == said


def test_only_what_is_asked_for_must_reduce():
    for changes, must in [
        ({}, False),
        (LONG, False),
        ({"sweep__kernel": "reduced"}, True),
        ({"sweep__kernel": "dense"}, False),
        (LAW, True),
    ]:
        row = make_plan(sweep(**changes)).row(0)
        assert network_of(row).must_reduce(row) == must


def test_a_reduced_run_costs_no_more_for_its_width():
    def seconds(width: int, **changes: Any) -> float:
        return make_plan(sweep(**LONG | {"network__width": width}, **changes)).cost(0).seconds

    assert seconds(2000, sweep__kernel="dense") > 3 * seconds(500, sweep__kernel="dense")
    assert seconds(10**9, **LAW) < 2 * seconds(10**3, **LAW)
    plan = make_plan(sweep(**LONG))
    assert plan.cost(0).reduced
    assert not make_plan(sweep()).cost(0).reduced


def test_law_widths_share_one_program():
    plan = make_plan(sweep(**LAW, network__width=[50, 10**3, 10**6, 10**9], sweep__seeds=2))
    assert (plan.num_runs, plan.num_programs) == (8, 1)


# What `train` does


@pytest.fixture(scope="module")
def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    sizes = (5, 70, 60, 6)
    signals = rng.normal(size=(6, 2)) @ rng.normal(size=(2, 9))
    return {
        "weights": [rng.normal(size=(b, a)) / np.sqrt(a) for a, b in itertools.pairwise(sizes)],
        "signals": signals / np.linalg.norm(signals),
        "measurements": rng.normal(size=(5, 6)) @ signals / np.linalg.norm(signals),
        "learning_rate": 0.01,
        "weight_decay": 0.02,
        "record_steps": [0, 10, 100, 400],
        "tolerance": 1e-4,
    }


@pytest.fixture
def worth_it(monkeypatch: pytest.MonkeyPatch):
    """Let `auto` try the reduced kernel however short a run is."""
    monkeypatch.setattr(layered, "_FEWEST_STEPS", 0)
    monkeypatch.setattr(layered, "_LEAST_FLOPS", 0)


def test_auto_takes_dense_for_a_short_run(arrays: dict[str, Any]):
    found = train(**arrays)
    assert (found.kernel, found.kernel_reason) == ("dense", SHORT)
    assert np.isnan(found.truncation_error)
    found = train(**arrays, kernel="dense")
    assert (found.kernel, found.kernel_reason) == ("dense", "asked for")


@pytest.mark.usefixtures("worth_it")
def test_auto_takes_reduced_where_it_is_certified_and_smaller(
    arrays: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    found, dense = train(**arrays), train(**arrays, kernel="dense")
    assert (found.kernel, found.kernel_reason) == ("reduced", "certified")
    assert 0 < found.truncation_error <= 1e-4
    # The estimate may be a third of the true error.
    assert np.max(np.abs(found.regression_error / dense.regression_error - 1)) <= 3e-4
    assert np.max(np.abs(found.off_subspace_error / dense.off_subspace_error - 1)) <= 3e-4
    monkeypatch.setattr(lanes, "_WORSE", 1e3)
    found = train(**arrays)
    assert (found.kernel, found.kernel_reason) == (
        "dense",
        "the bases are too large beside the network",
    )
    named = train(**arrays, kernel="reduced")
    assert (named.kernel, named.kernel_reason) == ("reduced", "certified")


@pytest.mark.usefixtures("worth_it")
def test_train_repeats_a_run_that_leaves_its_rehearsal(
    arrays: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    exact = train(**arrays, kernel="dense")
    seen: list[float] = []

    def leaves(lane: lanes.Lane, norm: float, *_: Any) -> str:
        seen.append(norm)
        return "" if lane.prepared.refusal else "it left"

    monkeypatch.setattr(lanes, "left_its_rehearsal", leaves)
    for kernel, reason in [("auto", "it left"), ("reduced", "complete bases: it left")]:
        found = train(**arrays, kernel=kernel)
        assert found.kernel == ("dense" if kernel == "auto" else "reduced")
        assert found.kernel_reason == reason
        for name in ("regression_error", "off_subspace_error"):
            apart = getattr(found, name) / getattr(exact, name) - 1
            assert np.max(np.abs(apart)) <= 1e-9
    # The norm that is judged is the residual's own.
    size = np.linalg.norm(arrays["signals"])
    assert abs(seen[0] / (exact.regression_error[-1] * size) - 1) <= 3e-4


@pytest.mark.usefixtures("worth_it")
def test_auto_takes_dense_where_nothing_is_certified(arrays: dict[str, Any]):
    changed: dict[str, Any] = arrays | {"learning_rate": 1e3}
    found = train(**changed)
    assert (found.kernel, found.kernel_reason) == ("dense", "the pilot run diverged")
    assert found.status == "diverged"


@pytest.mark.usefixtures("worth_it")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": "adam"}, "adam does not keep to the spaces that gradient descent visits"),
        (
            {"observables": ["loss", "unbalancedness"]},
            "unbalancedness needs the weights themselves",
        ),
    ],
)
def test_train_is_dense_where_reduced_cannot_be(
    arrays: dict[str, Any], changes: dict[str, Any], words: str
):
    found = train(**arrays | changes, kernel="auto")
    assert (found.kernel, found.kernel_reason) == ("dense", words)
    with pytest.raises(SpecError, match=re.escape(f"kernel is 'reduced', but {words}.")):
        train(**arrays | changes, kernel="reduced")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kernel": "nonsense"}, "kernel is 'nonsense'; it must be 'auto', 'dense' or 'reduced'."),
        ({"tolerance": 1}, "tolerance is 1; it must lie between 1e-9 and 0.1."),
        ({"tolerance": float("nan")}, "tolerance is nan; it must lie between 1e-9 and 0.1."),
    ],
)
def test_train_refuses_with_a_sentence(
    arrays: dict[str, Any], changes: dict[str, Any], sentence: str
):
    with pytest.raises(SpecError, match=re.escape(sentence)):
        train(**arrays | changes)


def test_a_reason_is_recorded_for_every_reduced_run():
    for refusal, words in [("", "certified"), ("so", "complete bases: so")]:
        assert lanes.outcome_of(SimpleNamespace(refusal=refusal)) == words  # type: ignore[arg-type]
