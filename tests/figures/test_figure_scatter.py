"""Scatter figures: one point a run, from plain tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from figure_samples import DECAYS, make_tables
from matplotlib.figure import Figure

from dlnsweep.errors import SpecError
from dlnsweep.figures.draw import draw
from dlnsweep.figures.overlays import Overlay
from dlnsweep.settings.figures import read_figure

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
    with pytest.raises(SpecError, match="kind 'scatter' has no place for theory curves"):
        drawn(overlays=[Overlay("loss", "a", np.ones(1), np.ones(1))])
