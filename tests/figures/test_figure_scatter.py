"""Scatter figures: one point a run, from plain tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from figure_samples import DECAYS, make_tables
from matplotlib.figure import Figure

from dlnsweep.contracts.figure import read_figure
from dlnsweep.errors import SpecError
from dlnsweep.figures.draw import draw
from dlnsweep.figures.overlays import Overlay

DECAY = "training.weight_decay"


def drawn(tables: Any = None, overlays: Any = (), **table: Any) -> Figure:
    keys = {"kind": "scatter", "x": "regression_error", "y": "loss", **table}
    return draw(tables or make_tables(), read_figure(keys), overlays)


def test_each_run_is_a_point():
    tables = make_tables()
    (ax,) = drawn(tables, hue=DECAY).axes
    assert len(ax.get_lines()) == len(DECAYS)
    for line, decay in zip(ax.get_lines(), sorted(DECAYS), strict=True):
        runs = tables.run_table[tables.run_table[DECAY] == decay]
        np.testing.assert_array_equal(np.asarray(line.get_xdata()), runs["final_regression_error"])
        np.testing.assert_array_equal(np.asarray(line.get_ydata()), runs["final_loss"])
        assert line.get_linestyle() == "None"
    assert "regression error" in ax.get_xlabel()
    assert "loss" in ax.get_ylabel()


def test_against_a_setting_with_medians_in_bins():
    tables = make_tables()
    figure = drawn(tables, x=DECAY, y=["loss"], bins=2)
    (ax,) = figure.axes
    median, points = ax.get_lines()
    order = np.argsort(np.asarray(points.get_xdata()), kind="stable")
    np.testing.assert_array_equal(np.asarray(points.get_xdata()), tables.run_table[DECAY])
    y = np.asarray(points.get_ydata())[order]
    half = len(y) // 2
    middle = np.asarray(points.get_xdata())[order]
    expected = [np.median(middle[:half]), np.median(middle[half:])]
    np.testing.assert_allclose(np.asarray(median.get_xdata()), expected, rtol=1e-15)
    np.testing.assert_allclose(
        np.asarray(median.get_ydata()), [np.median(y[:half]), np.median(y[half:])], rtol=1e-15
    )
    (band,) = ax.collections
    corners = np.asarray(band.get_paths()[0].vertices)
    assert corners[:, 1].min() == pytest.approx(
        min(np.quantile(y[:half], 0.25), np.quantile(y[half:], 0.25))
    )
    assert corners[:, 1].max() == pytest.approx(
        max(np.quantile(y[:half], 0.75), np.quantile(y[half:], 0.75))
    )
    assert "weight decay" in ax.get_xlabel()
    text = "\n".join(each.get_text() for each in figure.texts)
    assert "median in 2 bins of equally many runs; band: quartiles" in text
    assert "varies with" not in text


def test_partial_dependence_with_the_others_averaged_out():
    """In three bins of eight decays each, beside two depths, by the plain formulas of a balance."""
    decays = np.logspace(-4, -1, 24).tolist()
    tables = make_tables(decays=decays)
    keys = {"x": DECAY, "bins": 3, "partial_dependence": True}
    figure = drawn(tables, y=["loss"], **keys)
    (ax,) = figure.axes
    line, _ = ax.get_lines()
    runs = tables.run_table
    bins = [runs[runs[DECAY].isin(decays[start : start + 8])] for start in (0, 8, 16)]
    # Each depth is as frequent in each bin: the means need no correction.
    means = [10 ** np.log10(part["final_loss"]).mean() for part in bins]
    np.testing.assert_allclose(np.asarray(line.get_ydata()), means, rtol=1e-12)
    np.testing.assert_allclose(
        np.asarray(line.get_xdata()), [part[DECAY].median() for part in bins], rtol=1e-15
    )
    text = "\n".join(each.get_text() for each in figure.texts)
    assert "partial dependence in 3 bins, the geometric mean over what" in text
    (ax,) = drawn(tables, y=["loss"], y_scale="linear", **keys).axes
    means = [part["final_loss"].mean() for part in bins]
    np.testing.assert_allclose(np.asarray(ax.get_lines()[0].get_ydata()), means, rtol=1e-12)
    refused = {
        "partial_dependence has 24 bins along 'training.weight_decay', which has 24 values": {
            "x": DECAY, "bins": 24,
        },
        "is of a setting, but x is 'regression_error'": {"bins": 3},
        "say how many, such as bins = 8": {"x": DECAY},
        "24 sampled points for 11 means to estimate": {"x": DECAY, "bins": 9},
    }  # fmt: skip
    for sentence, wrong in refused.items():
        with pytest.raises(SpecError, match=sentence):
            drawn(tables, y=["loss"], partial_dependence=True, **wrong)


def test_at_a_step_and_what_it_says():
    tables = make_tables({(0.1, 2, 0): "diverged"})
    figure = drawn(tables, at=10)
    (line,) = figure.axes[0].get_lines()
    np.testing.assert_array_equal(
        np.asarray(line.get_xdata()), tables.values("regression_error")[2]
    )
    text = "\n".join(each.get_text() for each in figure.texts)
    assert "each point is one run" in text
    assert "at step 10" in text
    assert "30 runs: 1 diverged, left out" in text


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(SpecError, match="x and y are both 'loss'; name two different observables"):
        drawn(x="loss", y=["loss"])
    with pytest.raises(SpecError, match=r"figure\.x is 'los'; the sweep recorded .* 'loss'"):
        drawn(x="los")
    with pytest.raises(SpecError, match="singular_values'; it is a vector"):
        drawn(x="singular_values")
    with pytest.raises(SpecError, match=r"x is 'training.momentm', which is not a setting"):
        drawn(x="training.momentm")
    with pytest.raises(SpecError, match="kind 'scatter' has no place for theory curves"):
        drawn(overlays=[Overlay("loss", "a", np.ones(1), np.ones(1))])
