"""The keys of [figure]: what they accept, and the sentence for each mistake."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from dlnsweep.contracts.figure import read_figure
from dlnsweep.errors import SpecError
from dlnsweep.settings.base import description
from dlnsweep.settings.figure_files import file_stems
from dlnsweep.spec.figures.check import check

OBSERVABLES = ["regression_error", "loss", "singular_values"]
SETTINGS = ["network.depth", "training.weight_decay", "training.learning_rate", "seed"]
VARYING = ["network.depth", "training.weight_decay"]


def sentences(**table: object) -> list[str]:
    return check(read_figure(table), OBSERVABLES, SETTINGS, ["singular_values"], VARYING)


def test_reading_the_settings_loads_no_heavy_library() -> None:
    code = (
        "import sys, dlnsweep.settings.figures, dlnsweep.spec.figures.check\n"
        "heavy = {'matplotlib', 'pandas', 'numpy', 'jax', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_defaults_of_curves() -> None:
    figure = read_figure({"kind": "curves", "y": "loss"})
    assert figure.kind == "curves"
    assert (figure.y, figure.hue, figure.panel_by) == (("loss",), None, None)
    assert (figure.band, figure.quantiles) == ("quantile", (0.25, 0.75))
    assert (figure.x_scale, figure.y_scale) == ("log", "log")
    assert figure.formats == ("png", "pdf")


def test_settings_survive_json() -> None:
    figure = read_figure({"kind": "final", "y": ["loss"], "x": "seed", "where": {"seed": [1, 2]}})
    assert read_figure(figure.model_dump(mode="json")) == figure


@pytest.mark.parametrize("kind", ["curves", "final", "heatmap", "spectrum", "noise"])
def test_every_key_is_described_and_no_axis(kind: str) -> None:
    from dlnsweep.contracts.figure import FIGURES

    for key in FIGURES[kind].settings.model_fields:
        described = description(FIGURES[kind].settings, key)
        assert described is not None
        assert described.text
        assert described.role == "outside"
        assert not described.axis


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ({"kind": "curves", "y": []}, "a name or a list of names"),
        ({"kind": "curves", "y": 3}, "a name or a list of names"),
        ({"kind": "curves", "y": "loss", "quantiles": [0.1]}, "a list of two numbers from 0 to 1"),
        ({"kind": "curves", "y": "loss", "quantiles": [-0.1, 1]}, "greater than or equal to 0"),
        ({"kind": "curves", "y": "loss", "formats": []}, "a list with at least one value"),
        ({"kind": "curves", "y": "loss", "formats": ["jpg"]}, "'png', 'pdf' or 'svg'"),
        (
            {"kind": "curves", "y": "loss", "band": "sem"},
            "'std', 'quantile', 'bootstrap', 'until' or 'none'",
        ),
        ({"kind": "curves", "y": "loss", "file": "../up"}, "should match pattern"),
        ({"kind": "curves", "y": "loss", "where": {"seed": []}}, "'seed' must have a number"),
        ({"kind": "curves", "y": "loss", "where": 3}, "a table of settings"),
        ({"kind": "curves", "y": "loss", "widht": 3}, "Extra inputs are not permitted"),
        ({"kind": "final", "y": "loss", "x": "seed", "at": "end"}, "'final', 'min', 'argmin', {"),
        ({"kind": "final", "y": "loss", "x": "seed", "at": -1}, "'final', 'min', 'argmin', {"),
        ({"kind": "final", "y": "loss", "x": "seed", "at": True}, "'final', 'min', 'argmin', {"),
    ],
)
def test_a_wrong_value_is_refused_in_one_finding(table: dict, found: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read_figure(table)
    (error,) = caught.value.errors()
    assert found in error["msg"]


def test_an_unknown_kind_is_refused_by_name() -> None:
    for kind in ("pie", None, ["curves"]):
        with pytest.raises(SpecError, match=r"it must be one of curves, final, heatmap, spectrum"):
            read_figure({"kind": kind, "y": "loss"})


def test_a_figure_that_can_be_drawn_has_no_sentence() -> None:
    assert sentences(kind="curves", y=["loss"], hue="training.weight_decay", panel_by="seed") == []
    assert sentences(kind="spectrum") == []
    assert sentences(kind="final", y="loss", x="network.depth", at=10) == []
    table = {"kind": "heatmap", "x": "network.depth", "y": "training.weight_decay"}
    assert sentences(**table, value="loss") == []
    success = {"observable": "loss", "below": 0.1}
    assert sentences(**table, value="success", success=success) == []
    assert sentences(**table, value="success", success=[success, success]) == []
    (found,) = sentences(
        **table, value="success", success=[success, success | {"observable": "los"}]
    )
    assert found.startswith("figure.success[1].observable is 'los'; the sweep recorded")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            {"kind": "curves", "y": ["loss", "regresion_error"]},
            "figure.y[1] is 'regresion_error'; the sweep recorded regression_error, loss, "
            "singular_values; did you mean 'regression_error'?",
        ),
        (
            {"kind": "curves", "y": ["test_score"]},
            "figure.y[0] is 'test_score'; the sweep recorded regression_error, loss, "
            "singular_values.",
        ),
        (
            {"kind": "curves", "y": ["singular_values"]},
            "figure.y[0] is 'singular_values'; it is a vector, which kind = 'curves' cannot draw; "
            "use kind = 'spectrum'.",
        ),
        (
            {"kind": "spectrum", "y": "loss"},
            "figure.y is 'loss'; it is one number a step; kind = 'spectrum' draws vectors: "
            "singular_values.",
        ),
        (
            {"kind": "curves", "y": ["loss"], "hue": "training.weigth_decay"},
            "figure.hue is 'training.weigth_decay', which is not a setting; "
            "did you mean 'training.weight_decay'?",
        ),
        (
            {"kind": "curves", "y": ["loss"], "panel_by": "depth"},
            "figure.panel_by is 'depth', which is not a setting; did you mean 'network.depth'?",
        ),
        (
            {"kind": "curves", "y": ["loss"], "where": {"colour": 1}},
            "figure.where is 'colour', which is not a setting.",
        ),
        (
            {"kind": "curves", "y": ["loss"], "hue": "seed", "panel_by": "seed"},
            "figure.hue and panel_by are both 'seed'; name two different settings.",
        ),
        (
            {"kind": "curves", "y": ["loss"], "quantiles": [0.75, 0.25]},
            "figure.quantiles is [0.75, 0.25]; the first must be smaller than the second.",
        ),
        (
            {"kind": "curves", "y": ["loss"], "y_min": 1e-3, "y_max": 1e-4},
            "figure.y_min is 0.001 and y_max is 0.0001; the first must be smaller than the second.",
        ),
        (
            {"kind": "curves", "y": ["loss"], "y_min": 0},
            "figure.y_min is 0, which a logarithmic axis does not have; leave it out, or set "
            "y_scale = 'linear'.",
        ),
        (
            {"kind": "curves", "y": ["loss"], "x_min": 100, "x_max": 10},
            "figure.x_min is 100 and x_max is 10; the first must be smaller than the second.",
        ),
        (
            {"kind": "spectrum", "x_min": -1},
            "figure.x_min is -1, which a logarithmic axis does not have; leave it out, or set "
            "x_scale = 'linear'.",
        ),
        (
            {"kind": "final", "y": ["loss"], "x": "training.learning_rate"},
            "figure.x is 'training.learning_rate', which has one value in this sweep; "
            "settings with several values: network.depth, training.weight_decay.",
        ),
        (
            {"kind": "heatmap", "x": "network.depth", "y": "network.depth", "value": "loss"},
            "figure.x and y are both 'network.depth'; name two different settings.",
        ),
        (
            {
                "kind": "heatmap",
                "x": "network.depth",
                "y": "training.weight_decay",
                "value": "success",
            },
            "figure.value is 'success'; say when a run succeeds: "
            "success = { observable = 'regression_error', below = 1e-3 }.",
        ),
        (
            {
                "kind": "heatmap",
                "x": "network.depth",
                "y": "training.weight_decay",
                "value": "loss",
                "success": {"observable": "loss", "below": 1.0},
            },
            "figure.success is given, but value is 'loss'; set value = 'success'.",
        ),
        (
            {
                "kind": "heatmap",
                "x": "network.depth",
                "y": "training.weight_decay",
                "value": "success",
                "success": {"observable": "los", "below": 1.0},
            },
            "figure.success.observable is 'los'; the sweep recorded regression_error, loss, "
            "singular_values; did you mean 'loss'?",
        ),
    ],
)
def test_sentences(table: dict, sentence: str) -> None:
    assert sentences(**table) == [sentence]


@pytest.mark.parametrize("key", ["y", "hue", "panel_by", "theory", "beside"])
def test_a_long_value_is_cut(key: str) -> None:
    name = "a" * 5000
    value = [name] if key in ("y", "theory") else {name: "loss"} if key == "beside" else name
    (sentence,) = sentences(**{"kind": "curves", "y": ["loss"], key: value})
    assert "aaa..." in sentence
    assert len(sentence) < 1000


def test_the_prefix_says_which_figure() -> None:
    figure = read_figure({"kind": "curves", "y": ["los"]})
    (sentence,) = check(figure, ["loss"], SETTINGS, prefix="figure[2]")
    assert sentence.startswith("figure[2].y[0] is 'los';")


def test_file_stems_differ() -> None:
    tables = [
        {"kind": "curves", "y": "loss"},
        {"kind": "curves", "y": "loss"},
        {"kind": "curves", "y": "loss", "file": "curves-2"},
        {"kind": "spectrum"},
    ]
    stems = file_stems([read_figure(table) for table in tables])
    assert stems == ["curves", "curves-3", "curves-2", "spectrum"]
