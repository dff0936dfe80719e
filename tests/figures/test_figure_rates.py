"""Decay rates of an observable, against closed forms and plain loops."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import pytest
from figure_samples import DECAYS, STEPS, make_tables
from matplotlib.figure import Figure

from dlnsweep.contracts.figure import read_figure
from dlnsweep.errors import SpecError
from dlnsweep.figures.draw import draw
from dlnsweep.figures.overlays import Overlay
from dlnsweep.figures.rates import decay_rates

DECAY = "training.weight_decay"
# Differences of logarithms of order one, in float64.
ROUNDING = 1e-12


def drawn(overlays: Any = (), **table: Any) -> Figure:
    tables = make_tables()
    sizes = {
        "problem.measurement_dim": 32,
        "problem.subspace_dim": 4,
        "training.step_rule": "uniform",
    }
    tables.run_table = tables.run_table.assign(**sizes)
    keys = {"kind": "curves", "y": "loss", "hue": DECAY, "quantity": "decay_rate", **table}
    return draw(tables, read_figure(keys), overlays)


def test_an_exponential_has_one_rate():
    steps = np.unique(np.geomspace(1, 1e5, 200).astype(int))
    values = np.stack([np.exp(-3e-4 * steps), 7 * np.exp(-1e-4 * steps)], axis=1)
    middles, rates = decay_rates(steps, values, np.array([1e-4, 1e-4]))
    # Over a few steps the logarithm changes by 1e-4 only: 1e-16 / 1e-4 of it is rounding.
    np.testing.assert_allclose(rates, [[3.0, 1.0]] * len(rates), rtol=1e-10)
    assert np.all((middles > 1) & (middles < 1e5))


def test_what_is_not_positive_has_no_rate():
    _, rates = decay_rates(np.array([0, 1, 2]), np.array([[1.0], [0.0], [0.5]]), np.ones(1))
    assert np.isnan(rates).all()


def test_medians_of_rates_in_units_of_each_runs_own_decay():
    figure = drawn(band="none", y_scale="linear")
    tables = make_tables()
    for line, decay in zip(figure.axes[0].get_lines(), sorted(DECAYS), strict=True):
        values = tables.values("loss", training__weight_decay=decay)
        unit = -log(1 - 1e-3 * decay)
        wanted = [
            np.median(
                [-log(late / early) / (t - s) / unit for early, late in zip(a, b, strict=True)]
            )
            for a, b, s, t in zip(values, values[1:], STEPS, STEPS[1:], strict=False)
        ]
        np.testing.assert_allclose(np.asarray(line.get_ydata()), wanted, rtol=ROUNDING)
        np.testing.assert_array_equal(np.asarray(line.get_xdata()), (STEPS[1:] + STEPS[:-1]) / 2)
    label = figure.axes[0].get_ylabel()
    assert "decay rate of the loss" in label.replace("\n", " ")
    assert "units of" in label


def test_formulas_become_rates_too():
    y = np.exp(-2e-3 * STEPS)
    mine = Overlay("loss", "free", STEPS.astype(float), y, {DECAY: 0.1})
    tau = Overlay("loss", "tau", np.array([10.0]), np.array([np.nan]), vertical=True)
    (ax,) = drawn([mine, tau], band="none").axes
    dashed = [line for line in ax.get_lines() if line.get_label() == "free"]
    np.testing.assert_allclose(np.asarray(dashed[0].get_ydata()), 2e-3 / -log(1 - 1e-4), rtol=1e-9)
    assert [
        np.asarray(line.get_xdata())[0] for line in ax.get_lines() if line.get_label() == "tau"
    ] == [10.0]


def test_without_weight_decay_there_is_no_unit():
    tables = make_tables()
    tables.run_table[DECAY] = 0.0
    keys = read_figure({"kind": "curves", "y": "loss", "quantity": "decay_rate"})
    with pytest.raises(SpecError, match="has the weight decay as its unit; leave runs without it"):
        draw(tables, keys)
