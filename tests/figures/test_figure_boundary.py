"""Boundary figures: the middle of each boundary, its interval, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_samples import make_tables
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from spec_samples import problems, sweep

from dlnsweep.contracts.figure import read_figure
from dlnsweep.errors import SpecError
from dlnsweep.figures.draw import draw

DECAY, DEPTH = "training.weight_decay", "network.depth"
# Depth 2 trains without a divergence up to 0.01, depth 3 nowhere but at 0.001.
DIVERGED = {
    **{(0.1, 2, seed): "diverged" for seed in range(5)},
    **{(0.01, 3, seed): "diverged" for seed in range(4)},
    **{(0.1, 3, seed): "diverged" for seed in range(5)},
}


def tables(**refine: Any) -> Any:
    found = make_tables(DIVERGED)
    asked = {"between": DECAY, **refine}
    found.sweep["sweep"] = {"refine": asked, "axes": [[DECAY], [DEPTH]]}
    found.sweep["observables"] = ["regression_error", "loss"]
    return found


def drawn(found: Any, **table: Any) -> Figure:
    return draw(found, read_figure({"kind": "boundary", "x": DEPTH, **table}))


def test_each_boundary_is_a_point_with_its_interval() -> None:
    found = tables()
    # Ten seeds, of which each second one does as the one before it: five have no interval.
    again = found.run_table.assign(
        run_id=found.run_table["run_id"] + 1, seed=found.run_table["seed"] + 5
    )
    found.run_table = pd.concat([found.run_table, again], ignore_index=True)
    (ax,) = (figure := drawn(found)).axes
    (points,) = ax.get_lines()
    np.testing.assert_array_equal(np.asarray(points.get_xdata()), [2, 3])
    # Of the neighbours 0.01 and 0.1, 0.001 and 0.01; a mean of logarithms.
    middle = [10**-1.5, 10**-2.5]
    np.testing.assert_allclose(np.asarray(points.get_ydata()), middle, rtol=1e-14)
    (bars,) = [each for each in ax.collections if isinstance(each, LineCollection)]
    # Two of ten successes at 0.01 do not tell that less than half succeed: 0.1 does.
    for segment, ends in zip(bars.get_segments(), ((0.01, 0.1), (0.001, 0.1)), strict=True):
        low, high = segment[:, 1]
        np.testing.assert_allclose((low, high), ends, rtol=1e-14)
        assert ax.get_ylim()[0] <= low <= high <= ax.get_ylim()[1]
    text = "\n".join(each.get_text() for each in figure.texts)
    assert "where training does not diverge in half of the seeds, to 1 %" in text
    assert "bars: 95 % interval over the seeds" in text
    assert "28 diverged" in text
    assert "counted as failures" in text
    assert "weight decay" in ax.get_ylabel()


def test_too_few_seeds_for_an_interval_are_told() -> None:
    figure = drawn(tables())
    assert not [each for each in figure.axes[0].collections if isinstance(each, LineCollection)]
    text = "\n".join(each.get_text() for each in figure.texts)
    assert "no interval of fewer than 6 seeds" in text


def test_other_figures_tell_that_values_were_added_in_rounds() -> None:
    note = "values of weight decay λ added in rounds, close to its boundary"

    def caption(**table: Any) -> str:
        figure = draw(tables(), read_figure({"y": ["regression_error"], **table}))
        return " ".join(" ".join(each.get_text() for each in figure.texts).split())

    assert note.replace(" λ", "") in caption(kind="scatter", x=DEPTH).replace(" $λ$", "")
    assert "in rounds" in caption(kind="final", x=DECAY, hue=DEPTH)
    assert "in rounds" not in caption(kind="final", x=DEPTH, where={DECAY: 0.01})


def test_each_value_of_a_hue_has_its_colour() -> None:
    found = tables(success=[{"observable": "loss", "below": 1e9}])
    found.run_table["problem.signal_dim"] = np.where(found.run_table[DEPTH] == 2, 32, 64)
    figure = drawn(found, x="problem.signal_dim", hue=DEPTH)
    first, second = figure.axes[0].get_lines()
    assert first.get_color() != second.get_color()
    assert [float(np.asarray(line.get_xdata())[0]) for line in (first, second)] == [32, 64]
    text = "\n".join(each.get_text() for each in figure.texts)
    assert "where loss < $10^{9}$ in half of the seeds" in text


def test_a_combination_without_a_boundary_is_told() -> None:
    found = tables()
    found.run_table.loc[found.run_table[DEPTH] == 2, "status"] = "finished"
    (ax,) = (figure := drawn(found)).axes
    (points,) = ax.get_lines()
    np.testing.assert_array_equal(np.asarray(points.get_xdata()), [3])
    text = "\n".join(each.get_text() for each in figure.texts)
    assert "1 combination without a boundary" in text


def test_what_cannot_be_drawn_is_refused() -> None:
    found = tables()
    found.run_table["problem.signal_dim"] = np.where(found.run_table[DECAY] == 0.1, 32, 64)
    with pytest.raises(
        SpecError, match=f"'problem.signal_dim' moves along {DECAY}, which is refined"
    ):
        drawn(found, hue="problem.signal_dim")
    found.sweep["sweep"]["refine"] = None
    with pytest.raises(SpecError, match=r"the sweep has no \[sweep.refine\]"):
        drawn(found)
    figure = {"kind": "boundary", "x": DEPTH}
    two = {"network__depth": [2, 3]}
    (told,) = problems(**two, figure=figure)
    assert told == (
        "figure.kind is 'boundary', but nothing is refined: add [sweep.refine], or use 'heatmap'."
    )
    asked = {"sweep__refine": {"between": DECAY}, "training__weight_decay": [0.1, 0.2]}
    assert sweep(**two, **asked, figure=figure).figure_notes == []
    (told,) = problems(**two, **asked, figure={**figure, "x": DECAY})
    assert told == f"figure.x is '{DECAY}', which is refined and stands on the vertical axis."
    (told,) = problems(**asked, figure=figure)
    assert "which has one value in this sweep" in told
