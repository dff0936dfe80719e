"""Figures of final values: what is divided by x, and points that stand aside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from figure_samples import DECAY, DECAYS, DEPTH, DEPTHS, INIT, make_tables

from dlnsweep.contracts.figure import read_figure
from dlnsweep.figures.draw import draw
from dlnsweep.figures.overlays import Overlay
from dlnsweep.spec.figures.check import check

# A quotient of float64 is rounded once.
ROUNDING = 1e-15


def drawn(tables: Any = None, overlays: Any = (), **keys: Any) -> Any:
    table = {"kind": "final", "x": DECAY, "hue": DEPTH, "dpi": 50, **keys}
    return draw(tables or make_tables(), read_figure(table), overlays)


def points(ax: Any) -> list[np.ndarray]:
    return [np.array(container[0].get_xydata()) for container in ax.containers]


def test_an_observable_over_x_is_divided_with_its_bars_and_formulas() -> None:
    tables, places = make_tables(), np.array(sorted(DECAYS))
    formula = Overlay("loss", "a formula", places, 3 * places)
    other = Overlay("regression_error", "another", places, 3 * places)
    figure = drawn(tables, [formula, other], y=["loss", "regression_error"], over_x=["loss"])
    divided, plain = figure.axes
    for i, decay in enumerate(places.tolist()):
        for number, depth in enumerate(DEPTHS):
            settings = {"training__weight_decay": decay, "network__depth": depth}
            for ax, name, by in ((divided, "loss", decay), (plain, "regression_error", 1.0)):
                values = tables.values(name, **settings)[-1] / by
                line, _, (bars,) = ax.containers[number]
                assert line.get_ydata()[i] == pytest.approx(np.median(values), rel=ROUNDING)
                edges = np.quantile(values, [0.25, 0.75])
                # What bars are drawn of are differences to the median.
                np.testing.assert_allclose(bars.get_segments()[i][:, 1], edges, rtol=1e-14)
    (level,) = [line for line in divided.get_lines() if line.get_label() == "a formula"]
    np.testing.assert_allclose(level.get_ydata(), 3.0, rtol=ROUNDING)
    (rising,) = [line for line in plain.get_lines() if line.get_label() == "another"]
    np.testing.assert_array_equal(rising.get_ydata(), 3 * places)
    assert divided.get_ylabel().replace("\n", " ") == "loss over $λ$"
    assert "over" not in plain.get_ylabel()


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_points_that_are_shifted_keep_their_order_and_their_distance(scale: str) -> None:
    still, aside = (drawn(y="loss", x_scale=scale, dodge=dodge) for dodge in (False, True))
    places = np.array(sorted(DECAYS))
    assert all(np.array_equal(each[:, 0], places) for each in points(still.axes[0]))
    first, second = (each[:, 0] for each in points(aside.axes[0]))
    assert np.all(first < places)
    assert np.all(places < second)
    # Alike in the units of the axis, and nearer to their own place than to the next.
    on_axis = np.log if scale == "log" else np.asarray
    shifts = np.array([on_axis(each) - on_axis(places) for each in (first, second)])
    np.testing.assert_allclose(shifts, shifts[:, :1] * np.ones(3), rtol=1e-9)
    np.testing.assert_allclose(shifts[0], -shifts[1], rtol=1e-9)
    assert 4 * np.max(shifts) < np.min(np.diff(on_axis(places)))
    words = "\n".join(text.get_text() for text in aside.texts)
    assert "points beside each other: the same value" in words
    (alone,) = (drawn(y="loss", x_scale=scale, dodge=True, hue=None).caption,)
    assert "beside each other" not in alone
    for a, b in zip(points(still.axes[0]), points(aside.axes[0]), strict=True):
        np.testing.assert_array_equal(a[:, 1], b[:, 1])


def test_a_zero_at_the_left_edge_is_not_shifted() -> None:
    decays = (0.0, 0.001, 0.1)
    figure = drawn(make_tables(decays=decays), y="loss", dodge=True)
    for each in points(figure.axes[0]):
        assert each[0, 0] == 0.0
        assert 0.0 < abs(np.log(each[1, 0] / 0.001)) < np.log(100) / 4


@pytest.mark.parametrize(
    ("keys", "values", "said"),
    [
        ({"over_x": "loss"}, [0.1], "over_x names 'loss', which is not drawn"),
        ({"over_x": "regression_error"}, [0.0, 0.1], "which has the value 0.0 here"),
        ({"over_x": "regression_error", "x": INIT}, ["balanced"], "has the value 'balanced' here"),
        ({"over_x": "regression_error", "at": "argmin"}, [0.1], "at is 'argmin'"),
        ({"over_x": "regression_error", "band": "until"}, [0.1], "band is 'until'"),
    ],
)
def test_what_cannot_be_divided_is_told(keys: Any, values: list[Any], said: str) -> None:
    figure = read_figure({"kind": "final", "x": DECAY, "y": "regression_error", **keys})
    names = [DECAY, DEPTH, INIT, "seed"]
    found = check(figure, ["loss", "regression_error"], names, values={figure.x: values})
    assert any(said in sentence for sentence in found), found
    assert all(sentence.startswith("figure.") for sentence in found)
