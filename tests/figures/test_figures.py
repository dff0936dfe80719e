"""Figures, tested by the data that matplotlib is given, against plain NumPy."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from figure_samples import DECAYS, DEPTHS, NUM_SEEDS, NUM_SINGULAR_VALUES, STEPS, make_tables
from fontTools import subset
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dlnsweep.analysis.bootstrap import median_interval
from dlnsweep.analysis.success import succeeded_in_the_end
from dlnsweep.contracts.figure import read_figure
from dlnsweep.errors import SpecError, StoreError
from dlnsweep.figures.draw import draw, save
from dlnsweep.figures.labels import format_value, format_values, math_symbol, setting_label
from dlnsweep.figures.looks import colours
from dlnsweep.figures.overlays import Overlay
from dlnsweep.figures.style import cut_x
from dlnsweep.settings.figures import HeatmapFigure
from dlnsweep.settings.success import Success

DEPTH = "network.depth"
DECAY = "training.weight_decay"
# Nothing is computed twice in another order, so only the last bits may differ.
ROUNDING = 1e-12


def drawn(tables: Any = None, overlays: Any = (), **table: Any) -> Figure:
    return draw(tables or make_tables(), read_figure(table), overlays)


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def lines(ax: Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in ax.get_lines()]


def bands(ax: Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return lower and upper edge of each band, as functions of the recorded steps."""
    edges = []
    for band in ax.collections:
        if not isinstance(band, PolyCollection):
            continue
        vertices = np.asarray(band.get_paths()[0].vertices)
        found = [np.unique(vertices[vertices[:, 0] == x, 1]) for x in STEPS]
        edges.append((np.array([y[0] for y in found]), np.array([y[-1] for y in found])))
    return edges


def test_curves_are_medians_with_quantile_bands() -> None:
    tables = make_tables()
    figure = drawn(tables, kind="curves", y=["regression_error", "loss"], hue=DECAY)
    assert len(figure.axes) == 2
    for ax, name in zip(figure.axes, ["regression_error", "loss"], strict=True):
        assert len(lines(ax)) == len(bands(ax)) == len(DECAYS)
        for decay, (x, y), (low, high) in zip(sorted(DECAYS), lines(ax), bands(ax), strict=True):
            values = tables.values(name, training__weight_decay=decay)
            assert values.shape == (len(STEPS), len(DEPTHS) * NUM_SEEDS)
            np.testing.assert_array_equal(x, STEPS)
            np.testing.assert_allclose(y, np.median(values, axis=1), rtol=ROUNDING)
            np.testing.assert_allclose(low, np.quantile(values, 0.25, axis=1), rtol=ROUNDING)
            np.testing.assert_allclose(high, np.quantile(values, 0.75, axis=1), rtol=ROUNDING)
    assert "median of 10 runs, band: 25 % to 75 %" in texts(figure)
    assert "pooled over depth $L$" in texts(figure)


def test_a_standard_deviation_is_drawn_round_the_median() -> None:
    tables = make_tables()
    figure = drawn(tables, kind="curves", y="loss", hue=DECAY, band="std", y_scale="linear")
    for decay, (low, high) in zip(sorted(DECAYS), bands(figure.axes[0]), strict=True):
        values = tables.values("loss", training__weight_decay=decay)
        median, deviation = np.median(values, axis=1), np.std(values, axis=1, ddof=1)
        np.testing.assert_allclose(low, median - deviation, rtol=ROUNDING, atol=ROUNDING)
        np.testing.assert_allclose(high, median + deviation, rtol=ROUNDING)
    assert "band: ± one standard deviation" in texts(figure)


def test_an_edge_below_zero_reaches_down_to_the_frame_of_a_log_axis() -> None:
    figure = drawn(kind="curves", y="loss", hue=DECAY, band="std")
    (ax,) = figure.axes
    medians = np.concatenate([y for _, y in lines(ax)])
    lower = np.concatenate([low for low, _ in bands(ax)])
    assert lower.min() < 0
    # The frame stands near the smallest median, wherever the lower edges are.
    assert medians.min() / 20 < ax.get_ylim()[0] < medians.min()


def test_a_bootstrap_band_is_the_interval_of_the_median() -> None:
    tables = make_tables()
    figure = drawn(tables, kind="curves", y="loss", hue=DECAY, band="bootstrap")
    (ax,) = figure.axes
    for decay, (low, high) in zip(sorted(DECAYS), bands(ax), strict=True):
        # tests/analysis/test_bootstrap.py holds the interval itself against a plain loop.
        wanted = median_interval(tables.values("loss", training__weight_decay=decay))
        np.testing.assert_allclose((low, high), wanted, rtol=ROUNDING)
    assert "median of 10 runs, band: its 95 % bootstrap interval" in texts(figure)


def test_a_bootstrap_band_of_few_runs_says_how_often_it_holds_at_most() -> None:
    tables = make_tables()
    fewer = (tables.run_table["seed"] < 3) & (tables.run_table["network.depth"] == 2)
    tables.run_table = tables.run_table[fewer]
    figure = drawn(tables, kind="curves", y="loss", hue=DECAY, band="bootstrap")
    wanted = "its 95 % bootstrap interval (of 3 runs it holds the truth in 75 % at most)"
    assert f"median of 3 runs, band: {wanted}" in " ".join(texts(figure).split())


def test_what_a_prescription_sets_is_not_pooled() -> None:
    tables = make_tables()
    tables.run_table["training.num_steps"] = 10 * tables.run_table["network.depth"]
    hand = texts(drawn(tables, kind="curves", y="loss", hue=DECAY))
    assert "pooled over depth $L$, initializer, number of steps $T$" in hand
    tables.run_table["training.prescription"] = "theorem_2_3"
    theorem = texts(drawn(tables, kind="curves", y="loss", hue=DECAY))
    assert "pooled over depth $L$, initializer\n" in theorem


def test_what_is_zipped_with_a_shown_setting_is_not_pooled() -> None:
    tables = make_tables()
    tables.run_table["training.learning_rate"] = 10 * tables.run_table[DECAY]
    zipped = texts(drawn(tables, kind="curves", y="loss", hue=DECAY))
    assert "pooled over depth $L$, initializer\n" in zipped
    # In the order of the legend.
    assert "$η$ varies with $λ$: 0.01, 0.1, 1" in zipped
    shown = texts(drawn(tables, kind="curves", y="loss", hue="network.depth"))
    assert "pooled over initializer, learning rate $η$, weight decay $λ$" in shown


def test_what_is_zipped_has_its_values_by_those_of_what_is_shown() -> None:
    tables = make_tables()
    runs = tables.run_table
    words = {2: "momentum", 3: "gradient_descent"}
    runs["training.optimizer"] = runs["network.depth"].map(words)
    # Only one of them uses it.
    runs["training.momentum"] = runs["network.depth"].map({2: 0.9})
    runs["training.num_steps"] = 100 * runs["network.depth"] + 1e4 * runs[DECAY]
    keys = {"y": "loss", "where": {"network.initializer": "balanced"}}
    by_word = texts(drawn(tables, kind="curves", hue="training.optimizer", **keys))
    assert "$L$ varies with optimizer: 2, 3" in by_word
    assert "$μ$ = 0.9 where used" in by_word
    assert "momentum" not in by_word
    both = texts(drawn(tables, kind="final", x=DECAY, hue="network.depth", **keys))
    assert "$T$ varies with $λ$ and $L$: 210 to 1300" in both.replace("\n", " ")
    assert "optimizer varies with $L$: momentum, gradient descent" in both.replace("\n", " ")
    many = make_tables(decays=[1e-3 * (1 + k) for k in range(9)])
    many.run_table["training.learning_rate"] = 10 * many.run_table[DECAY]
    shown = texts(drawn(many, kind="final", x=DECAY, **keys))
    assert "$η$ varies with $λ$: 0.01 to 0.09" in shown.replace("\n", " ")


def test_no_band_when_none_is_wanted() -> None:
    figure = drawn(kind="curves", y="loss", band="none")
    assert bands(figure.axes[0]) == []
    assert "median of 30 runs" in texts(figure)
    assert "band" not in texts(figure)


def test_diverged_runs_are_left_out_and_counted() -> None:
    status = {(0.1, 2, 0): "diverged", (0.1, 3, 1): "diverged", (0.01, 2, 2): "planned"}
    tables = make_tables(status)
    figure = drawn(tables, kind="curves", y="regression_error", hue=DECAY, band="none")
    _, y = lines(figure.axes[0])[2]
    values = tables.values("regression_error", training__weight_decay=0.1)
    assert values.shape[1] == 8
    np.testing.assert_allclose(y, np.median(values, axis=1), rtol=ROUNDING)
    assert "median of 8 to 10 runs" in texts(figure)
    small = texts(figure).replace("\n", " · ")
    assert "30 runs: 2 diverged, left out · 1 not done yet" in small


def test_the_rule_of_divergence_stands_beside_the_count() -> None:
    tables = make_tables({(0.1, 2, 0): "diverged"})
    tables.run_table["training.divergence_factor"] = 1e6
    # As other numbers of the small print are written.
    expected = "30 runs: 1 diverged (error over $10^{6}$ × its start), left out"
    assert expected in texts(drawn(tables, kind="curves", y="loss"))


def test_without_divergence_the_note_says_so() -> None:
    assert "30 runs: none diverged" in texts(drawn(kind="curves", y="loss"))


def test_a_stopped_run_holds_its_last_value() -> None:
    tables = make_tables({(0.1, 2, seed): "stopped" for seed in range(3)})
    figure = drawn(
        tables, kind="curves", y="loss", band="none", where={DECAY: 0.1, "network.depth": 2}
    )
    finished = tables.values("loss", training__weight_decay=0.1, network__depth=2)
    runs = tables.runs()
    held = []
    for run_id in runs.loc[runs["status"] == "stopped", "run_id"]:
        rows = tables.curve_table[tables.curve_table["run_id"] == run_id].sort_values("step")
        held.append([*rows["loss"], rows["loss"].iloc[-1], rows["loss"].iloc[-1]])
    expected = np.median(np.concatenate([finished, np.transpose(held)], axis=1), axis=1)
    x, y = lines(figure.axes[0])[0]
    np.testing.assert_array_equal(x, STEPS)
    np.testing.assert_allclose(y, expected, rtol=ROUNDING)
    assert "3 stopped early, held at the last value" in texts(figure)


def test_runs_with_other_record_steps_enter_where_they_have_records() -> None:
    tables = make_tables()
    curves = tables.curve_table
    short = tables.runs()["run_id"][0]
    tables.curve_table = curves[(curves["run_id"] != short) | (curves["step"] != 1000)]
    figure = drawn(
        tables, kind="curves", y="loss", band="none", where={DECAY: 0.001, "network.depth": 2}
    )
    _, y = lines(figure.axes[0])[0]
    last = curves[(curves["step"] == 1000) & (curves["run_id"] != short)]
    ids = tables.runs()["run_id"][1:NUM_SEEDS]
    assert y[-1] == pytest.approx(np.median(last[last["run_id"].isin(ids)]["loss"]), rel=ROUNDING)
    assert "median of 4 to 5 runs" in texts(figure)


def test_values_that_are_not_finite_enter_no_median_and_are_counted() -> None:
    tables = make_tables()
    first = tables.runs()["run_id"][0]
    rows = (tables.curve_table["run_id"] == first) & (tables.curve_table["step"] == 10)
    tables.curve_table.loc[rows, "loss"] = np.inf
    figure = drawn(
        tables, kind="curves", y="loss", band="none", where={DECAY: 0.001, "network.depth": 2}
    )
    values = tables.values("loss", training__weight_decay=0.001, network__depth=2)[2]
    expected = np.median(values[np.isfinite(values)])
    assert lines(figure.axes[0])[0][1][2] == pytest.approx(expected, rel=ROUNDING)
    assert "1 with values that are not finite" in texts(figure)


def test_step_zero_stands_at_the_left_end_of_a_log_axis() -> None:
    (ax,) = drawn(kind="curves", y="loss").axes
    assert ax.get_xscale() == "symlog"
    assert ax.get_xlim() == (0, 1000)
    ticks = list(ax.get_xticks())
    assert ticks == [0, 1, 10, 100, 1000]
    labels = [ax.xaxis.get_major_formatter()(tick) for tick in ticks]
    assert labels == ["0", "$10^{0}$", "$10^{1}$", "$10^{2}$", "$10^{3}$"]


@pytest.mark.parametrize(
    ("steps", "labels"),
    [
        ({10: 24, 100: 26, 1000: 40}, ["0", "24", "40"]),
        # There is no room for both ends.
        ({10: 38, 100: 39, 1000: 40}, ["0", "40"]),
    ],
)
def test_steps_within_a_decade_are_labelled_though_there_is_no_power_of_ten(
    steps: dict[int, int], labels: list[str]
) -> None:
    tables = make_tables()
    curves = tables.curve_table[tables.curve_table["step"] != 1]
    tables.curve_table = curves.assign(step=curves["step"].replace(steps))
    (ax,) = (figure := drawn(tables, kind="curves", y="loss")).axes
    figure.canvas.draw()
    assert ax.get_xlim() == (0, 40)
    assert [label.get_text() for label in ax.get_xticklabels()] == labels


def test_a_median_of_zero_is_not_on_a_log_axis_and_a_note_says_so() -> None:
    tables = make_tables()
    tables.curve_table.loc[tables.curve_table["step"] == 1000, "loss"] = 0.0
    figure = drawn(tables, kind="curves", y="loss", band="none")
    y = lines(figure.axes[0])[0][1]
    assert np.isnan(y[-1])
    assert np.all(y[:-1] > 0)
    assert "zeros are not on the logarithmic axis" in texts(figure)
    # Where an error grows its rate of decay is less than zero, which was said to be zero.
    tables.curve_table.loc[tables.curve_table["step"] == 1000, "loss"] = -1.0
    figure = drawn(tables, kind="curves", y="loss", band="none")
    assert "values of zero and less are not on the logarithmic axis" in texts(figure)


def test_a_curve_of_zeros_beside_others_on_a_log_axis_is_told_and_not_an_error() -> None:
    # As loss_increase or activation_distance are of runs that train gently.
    tables = make_tables()
    gentle = tables.runs().query(f"`{DECAY}` == 0.001")["run_id"]
    tables.curve_table.loc[tables.curve_table["run_id"].isin(gentle), "loss"] = 0.0
    figure = drawn(tables, kind="curves", y="loss", hue=DECAY)
    # Its markers are spaced along what can be seen of it, which is nothing.
    figure.canvas.draw()
    assert "zeros are not on the logarithmic axis" in texts(figure)


def test_an_observable_without_positive_values_gets_a_linear_axis() -> None:
    tables = make_tables()
    tables.curve_table["loss"] = 0.0
    figure = drawn(tables, kind="curves", y="loss")
    assert figure.axes[0].get_yscale() == "linear"
    assert "no positive value, hence a linear axis" in texts(figure)


def test_legend_labels_and_small_print() -> None:
    figure = drawn(kind="curves", y=["regression_error"], hue=DECAY, panel_by="network.depth")
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "weight decay $λ$"
    entries = [text.get_text() for text in legend.get_texts()]
    assert entries == ["$10^{-3}$", "$10^{-2}$", "$10^{-1}$"]
    assert [ax.get_title() for ax in figure.axes] == ["$L$ = 2", "$L$ = 3"]
    assert figure.axes[0].get_ylabel().startswith("regression error\n$")
    assert figure.axes[0].get_xlabel() == "step $t$"
    assert "small_sweep" in texts(figure)
    assert "arXiv:2502.15522, Figure 4" in texts(figure)
    assert "$d$ = 64,  $η$ = $10^{-3}$" in texts(figure)
    assert "pooled over depth" not in texts(figure)


def test_a_legend_of_many_numbers_names_some_of_them() -> None:
    decays = np.geomspace(1e-4, 1e3, 29).tolist()
    tables = make_tables(decays=decays)
    # A colour bar, unless it is to be a legend.
    (_, bar) = (by_itself := drawn(tables, kind="curves", y="loss", hue=DECAY)).axes
    assert not by_itself.legends
    assert bar.get_ylabel() == "weight decay $λ$"
    figure = drawn(tables, kind="curves", y="loss", hue=DECAY, legend="above")
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "weight decay $λ$ (8 of 29 values named)"
    entries = [text.get_text() for text in legend.get_texts()]
    assert len(lines(figure.axes[0])) == 29
    assert entries == [f"$10^{{{power}}}$" for power in range(-4, 4)]
    colours = [line.get_color() for line in figure.axes[0].get_lines()]
    assert [line.get_color() for line in legend.get_lines()] == [
        colours[i] for i in (0, 4, 8, 12, 16, 20, 24, 28)
    ]


def test_panels_of_final_values_share_their_range_of_x() -> None:
    gone = {(0.1, 3, seed): "diverged" for seed in range(5)}
    keys = {"kind": "final", "y": "loss", "x": DECAY, "panel_by": "network.depth"}
    both, alone = drawn(make_tables(gone), **keys), drawn(make_tables(), **keys)
    (left, right), (whole, _) = both.axes, alone.axes
    assert len(lines(right)[0][0][np.isfinite(lines(right)[0][1])]) == 2
    assert left.get_xlim() == right.get_xlim() == pytest.approx(whole.get_xlim())


def test_a_title_replaces_the_name_and_an_empty_one_removes_it() -> None:
    assert "My title" in texts(drawn(kind="curves", y="loss", title="My title"))
    bare = texts(drawn(kind="curves", y="loss", title=""))
    assert "small_sweep" not in bare
    assert "arXiv" not in bare


def test_panels_of_an_observable_have_the_same_axes() -> None:
    figure = drawn(kind="curves", y="loss", panel_by="network.depth", hue=DECAY)
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_colours_are_ordered_for_numbers_and_distinct_for_words() -> None:
    def luminance(colour: str) -> float:
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return 0.299 * red + 0.587 * green + 0.114 * blue

    shades = [luminance(each) for each in colours([1e-4, 1e-3, 1e-2, 0.1])]
    assert shades == sorted(shades)
    assert shades[-1] < 0.75
    assert colours(["adam", "momentum"]) == ["#0072B2", "#D55E00"]
    assert colours([0.9, None])[1] == "#7F7F7F"


def test_final_values_against_a_setting() -> None:
    tables = make_tables({(0.1, 2, 0): "diverged"})
    figure = drawn(tables, kind="final", y="regression_error", x=DECAY, hue="network.depth")
    (ax,) = figure.axes
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "weight decay $λ$"
    for container, depth in zip(ax.containers, DEPTHS, strict=True):
        line, _, (bars,) = container
        assert list(line.get_xdata()) == sorted(DECAYS)
        for i, decay in enumerate(sorted(DECAYS)):
            settings = {"training__weight_decay": decay, "network__depth": depth}
            values = tables.values("regression_error", **settings)[-1]
            assert line.get_ydata()[i] == pytest.approx(np.median(values), rel=ROUNDING)
            edges = bars.get_segments()[i][:, 1]
            np.testing.assert_allclose(edges, np.quantile(values, [0.25, 0.75]), rtol=ROUNDING)
    assert "at the end" in texts(figure)
    assert "30 runs: 1 diverged, left out" in texts(figure)


def test_marks_are_lines_over_the_whole_height_with_their_names() -> None:
    inside, outside = 0.03, 7.0
    marks = [{"at": inside, "label": "here"}, {"at": outside, "label": "beyond all runs"}]
    plain = drawn(kind="final", y="regression_error", x=DECAY)
    figure = drawn(kind="final", y="regression_error", x=DECAY, marks=marks)
    (ax,), (other,) = figure.axes, plain.axes
    assert ax.get_ylim() == other.get_ylim()
    found = [(x, y) for x, y in lines(ax) if len(x) == 2 and x[0] == x[1]]
    assert [x[0] for x, _ in found] == [inside, outside]
    for _, y in found:
        assert tuple(y) == ax.get_ylim()
    left, right = ax.get_xlim()
    assert left < min(DECAYS)
    assert outside < right
    legend = [text.get_text() for one in figure.legends for text in one.get_texts()]
    assert {"here", "beyond all runs"} <= set(legend)


@pytest.mark.parametrize("at", ["min", 10, 1000])
def test_other_values_of_a_run(at: str | int) -> None:
    tables = make_tables()
    figure = drawn(tables, kind="final", y="loss", x=DECAY, at=at, band="none")
    _, y = lines(figure.axes[0])[0]
    for i, decay in enumerate(sorted(DECAYS)):
        values = tables.values("loss", training__weight_decay=decay)
        each = values.min(axis=0) if at == "min" else values[list(STEPS).index(at)]
        assert y[i] == pytest.approx(np.median(each), rel=ROUNDING)
    assert ("smallest value over the steps" if at == "min" else f"at step {at}") in texts(figure)


def test_a_run_stopped_before_the_step_counts_with_its_last_value() -> None:
    tables = make_tables({(0.1, 2, 0): "stopped"})
    figure = drawn(tables, kind="final", y="loss", x=DECAY, at=1000, band="none")
    runs = tables.runs()
    stopped = runs.loc[runs["status"] == "stopped", "run_id"].item()
    rows = tables.curve_table[
        (tables.curve_table["run_id"] == stopped) & (tables.curve_table["step"] == 10)
    ]
    values = tables.values("loss", training__weight_decay=0.1)[-1]
    expected = np.median([*values, rows["loss"].item()])
    assert lines(figure.axes[0])[0][1][-1] == pytest.approx(expected, rel=ROUNDING)


def test_final_against_words_shifts_the_hues_apart() -> None:
    figure = drawn(kind="final", y="loss", x="network.initializer", hue=DECAY)
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["fan in normal", "balanced"]
    starts = [container[0].get_xdata()[0] for container in ax.containers]
    assert starts == [-0.25, 0.0, 0.25]


def heatmap_cells(figure: Figure) -> np.ma.MaskedArray:
    (mesh,) = [each for each in figure.axes[0].collections if isinstance(each, QuadMesh)]
    return np.ma.asarray(mesh.get_array())


def test_heatmap_of_medians() -> None:
    tables = make_tables({(0.1, 3, seed): "diverged" for seed in range(NUM_SEEDS)})
    figure = drawn(tables, kind="heatmap", x=DECAY, y="network.depth", value="regression_error")
    cells = heatmap_cells(figure)
    assert cells.shape == (2, 3)
    for i, depth in enumerate(DEPTHS):
        for j, decay in enumerate(sorted(DECAYS)):
            if (depth, decay) == (3, 0.1):
                assert np.ma.getmaskarray(cells)[i, j]
                continue
            settings = {"training__weight_decay": decay, "network__depth": depth}
            values = tables.values("regression_error", **settings)[-1]
            assert cells[i, j] == pytest.approx(np.median(values), rel=ROUNDING)
    hatched = [each for each in figure.axes[0].patches if isinstance(each, Rectangle)]
    assert [patch.get_xy() for patch in hatched] == [(1.5, 0.5)]
    assert "median of 0 to 5 runs a cell" in texts(figure)
    assert "5 diverged, left out" in texts(figure)
    assert figure.axes[1].get_ylabel().startswith("regression error")


def test_heatmap_of_single_runs_says_so() -> None:
    def said(kept: set[tuple[float, int]]) -> str:
        status = {
            (decay, depth, seed): "diverged"
            for decay in DECAYS
            for depth in DEPTHS
            for seed in range(NUM_SEEDS)
            if seed or (decay, depth) not in kept
        }
        figure = drawn(
            make_tables(status), kind="heatmap", x=DECAY, y="network.depth",
            value="regression_error",
        )  # fmt: skip
        return texts(figure)

    cells = {(decay, depth) for decay in DECAYS for depth in DEPTHS}
    assert "one run a cell" in said(cells)
    assert "median of 0 to 1 runs a cell" in said(cells - {(0.1, 3)})


def test_heatmap_of_a_success_frequency_counts_divergence_as_failure() -> None:
    tables = make_tables({(0.1, 3, 0): "diverged", (0.01, 2, 1): "planned"})
    below = 0.01
    figure = drawn(
        tables, kind="heatmap", x=DECAY, y="network.depth", value="success",
        success={"observable": "regression_error", "below": below}, at="min",
    )  # fmt: skip
    cells = heatmap_cells(figure)
    for i, depth in enumerate(DEPTHS):
        for j, decay in enumerate(sorted(DECAYS)):
            settings = {"training__weight_decay": decay, "network__depth": depth}
            values = tables.values("regression_error", **settings)
            num_runs = 4 if (depth, decay) == (2, 0.01) else 5
            assert cells[i, j] == pytest.approx((values.min(axis=0) < below).sum() / num_runs)
    assert "success: regression error < 0.01 · 4 to 5 runs a cell" in texts(figure)
    small = texts(figure).replace("\n", " · ")
    assert "1 diverged, counted as failures · 1 not done yet" in small
    printed = [text.get_text() for text in figure.axes[0].texts]
    numbers = [format_value(float(f"{cell:.2g}")) for cell in cells.ravel()]
    # One of the five runs of the last cell diverged.
    assert printed == [*numbers[:-1], f"{numbers[-1]}\n4/5"]


def test_heatmap_of_runs_that_finished_shows_the_share_that_did_not_diverge() -> None:
    tables = make_tables({(0.1, 3, 0): "diverged", (0.01, 2, 1): "planned"})
    figure = drawn(
        tables, kind="heatmap", x=DECAY, y="network.depth", value="success", success="finished",
    )  # fmt: skip
    expected = np.ones((len(DEPTHS), len(DECAYS)))
    expected[-1, -1] = 4 / 5
    np.testing.assert_allclose(heatmap_cells(figure), expected, rtol=1e-15)
    assert "success: the run did not diverge" in texts(figure).replace("\n", " ")


def test_a_run_whose_value_is_not_finite_has_not_succeeded_in_any_count() -> None:
    tables = make_tables({(0.1, 3, 0): "diverged", (0.01, 2, 1): "planned"})
    spoilt = [(0.01, 3, 2, np.inf), (0.01, 3, 4, np.nan), (0.001, 2, 3, -np.inf)]
    runs, curves = tables.run_table, tables.curve_table
    for decay, depth, seed, value in spoilt:
        one = (runs[DECAY] == decay) & (runs[DEPTH] == depth) & (runs["seed"] == seed)
        runs.loc[one, "final_loss"] = value
        last = curves["run_id"].isin(runs["run_id"][one]) & (curves["step"] == STEPS[-1])
        curves.loc[last, "loss"] = value
    condition = {"observable": "loss", "below": 1e9}
    expected = {(2, 0.001): 4 / 5, (3, 0.01): 3 / 5, (3, 0.1): 4 / 5}
    for at in ("final", int(STEPS[-1])):
        figure = drawn(
            tables, kind="heatmap", x=DECAY, y=DEPTH, value="success", success=condition, at=at
        )
        for i, depth in enumerate(DEPTHS):
            for j, decay in enumerate(sorted(DECAYS)):
                share = expected.get((depth, decay), 1.0)
                assert heatmap_cells(figure)[i, j] == pytest.approx(share)
        told = texts(figure).replace("\n", " ")
        assert "3 whose value is not finite, counted as failures" in told
        assert "without a value" not in told
    # The rounds of [sweep.refine] and [sweep.until], and `transition`, count the same runs.
    done = runs[runs["status"] != "planned"]
    by_cell = done.assign(passed=succeeded_in_the_end(done, [Success(**condition)])).groupby(
        [DEPTH, DECAY]
    )["passed"]
    shares: Any = by_cell.mean()
    assert {place: share for place, share in shares.items() if share < 1} == expected


def test_a_run_without_a_record_at_the_step_neither_succeeds_nor_fails() -> None:
    tables = make_tables()
    runs, curves = tables.run_table, tables.curve_table
    short = runs["run_id"][(runs[DECAY] == 0.01) & (runs[DEPTH] == 2)]
    tables.curve_table = curves[~(curves["run_id"].isin(short) & (curves["step"] == 100))]
    figure = drawn(
        tables, kind="heatmap", x=DECAY, y=DEPTH, value="success", at=100,
        success={"observable": "loss", "below": 1e9},
    )  # fmt: skip
    cells = np.ma.filled(heatmap_cells(figure), np.nan)
    np.testing.assert_array_equal(cells, [[1, np.nan, 1], [1, 1, 1]])
    assert "5 without a value, left out" in texts(figure).replace("\n", " ")


def test_a_kept_heatmap_is_read_as_it_was_written() -> None:
    keys: dict[str, Any] = {"kind": "heatmap", "x": DECAY, "y": "network.depth"}
    condition = {"observable": "loss", "below": 0.5}
    for success in ("finished", condition, [condition]):
        asked = read_figure({**keys, "value": "success", "success": success})
        assert read_figure(asked.model_dump(mode="json")) == asked
    finished = read_figure({**keys, "value": "success", "success": "finished"})
    assert isinstance(finished, HeatmapFigure)
    assert finished.success == ()
    # Earlier versions wrote an empty list where no condition was given.
    of_a_value = read_figure({**keys, "value": "loss"})
    assert isinstance(of_a_value, HeatmapFigure)
    before = {**of_a_value.model_dump(mode="json"), "success": []}
    assert read_figure(before) == of_a_value
    assert of_a_value.success is None


def test_a_success_may_have_several_conditions() -> None:
    tables = make_tables({(0.1, 3, 0): "diverged"})
    limits = {"regression_error": 0.02, "loss": 1e-5}
    figure = drawn(
        tables, kind="heatmap", x=DECAY, y="network.depth", value="success",
        success=[{"observable": name, "below": limit} for name, limit in limits.items()],
    )  # fmt: skip
    cells = heatmap_cells(figure)
    for i, depth in enumerate(DEPTHS):
        for j, decay in enumerate(sorted(DECAYS)):
            settings = {"training__weight_decay": decay, "network__depth": depth}
            met = [tables.values(name, **settings)[-1] < limit for name, limit in limits.items()]
            assert cells[i, j] == pytest.approx(np.logical_and(*met).sum() / NUM_SEEDS)
    # Neither condition alone says the same.
    assert 0 < cells.mean() < 1
    assert "success: regression error < 0.02 and loss" in texts(figure).replace("\n", " ")


def test_spectrum_has_a_line_for_each_singular_value() -> None:
    tables = make_tables()
    figure = drawn(tables, kind="spectrum", where={DECAY: 0.1})
    ax, bar = figure.axes
    values = tables.values("singular_values", training__weight_decay=0.1)
    assert values.shape == (len(STEPS), 10, NUM_SINGULAR_VALUES)
    assert len(lines(ax)) == NUM_SINGULAR_VALUES
    for i, ((x, y), (low, high)) in enumerate(zip(lines(ax), bands(ax), strict=True)):
        np.testing.assert_array_equal(x, STEPS)
        np.testing.assert_allclose(y, np.median(values[:, :, i], axis=1), rtol=ROUNDING)
        edges = np.quantile(values[:, :, i], [0.25, 0.75], axis=1)
        np.testing.assert_allclose([low, high], edges, rtol=ROUNDING)
    assert bar.get_ylabel() == "index $i$"


def test_spectrum_of_the_largest_values_by_hue() -> None:
    figure = drawn(kind="spectrum", hue=DECAY, num_values=2)
    assert len(figure.axes) == 1
    assert len(lines(figure.axes[0])) == 2 * len(DECAYS)
    assert len(figure.legends) == 1


def test_overlays_are_dashed_and_named_and_in_the_colour_of_their_curve() -> None:
    x, y = np.array([1.0, 1000.0]), np.array([1.0, 1e-3])
    overlays = [
        Overlay("loss", "rate", x, y, {DECAY: 0.1, "network.depth": 3}),
        Overlay("regression_error", "elsewhere", x, y),
    ]
    figure = drawn(
        None, overlays, kind="curves", y="loss", hue=DECAY, panel_by="network.depth", band="none"
    )
    shallow, deep = figure.axes
    assert len(shallow.get_lines()) == 3
    assert len(deep.get_lines()) == 4
    measured, theory = deep.get_lines()[2], deep.get_lines()[3]
    assert theory.get_color() == measured.get_color()
    assert theory.is_dashed()
    assert not measured.is_dashed()
    np.testing.assert_array_equal(theory.get_ydata(), y)
    assert [text.get_text() for text in figure.legends[0].get_texts()][3:] == ["rate"]
    with pytest.raises(SpecError, match="kind 'heatmap' has no place for theory curves"):
        drawn(None, overlays, kind="heatmap", x=DECAY, y="network.depth", value="loss")


@pytest.mark.parametrize("y_scale", ["log", "linear"])
def test_a_formula_on_its_own_curve_has_another_shade(y_scale: str) -> None:
    tables = make_tables()
    steps = np.array(STEPS, dtype=float)
    overlays = [
        Overlay("loss", "on it", steps, np.median(tables.values("loss", **own), axis=1), where)
        for where in ({DECAY: 0.1}, {DECAY: 0.001})
        for own in [{name.replace(".", "__"): value for name, value in where.items()}]
    ]
    # Where it leaves its curve a formula is seen, in the colour by which it is told.
    beside = Overlay("loss", "leaves it", steps, overlays[0].y * [1, 1, 1, 3, 3], {DECAY: 0.1})
    figure = drawn(tables, [*overlays, beside], kind="curves", y="loss", hue=DECAY, y_scale=y_scale)
    *measured, light, dark, other = figure.axes[0].get_lines()
    curves = {line.get_color() for line in measured}
    assert other.get_color() == measured[2].get_color()
    assert {light.get_color(), dark.get_color()}.isdisjoint(curves)
    # Darker on the light curve, lighter on the dark one.
    assert sum(to_rgb(light.get_color())) < sum(to_rgb(measured[2].get_color()))
    assert sum(to_rgb(dark.get_color())) > sum(to_rgb(measured[0].get_color()))


def test_bad_requests_have_sentences() -> None:
    with pytest.raises(SpecError, match=r"figure.y\[0\] is 'los'; .* did you mean 'loss'\?"):
        drawn(kind="curves", y="los")
    with pytest.raises(SpecError, match="which has one value in this sweep"):
        drawn(kind="heatmap", x="problem.signal_dim", y="network.depth", value="loss")
    with pytest.raises(
        SpecError, match=r"figure.where selects no run: network.depth is one of 2, 3"
    ):
        drawn(kind="curves", y="loss", where={"network.depth": 7})
    with pytest.raises(SpecError, match=r"figure.where is 'network.dept', which is not a setting"):
        drawn(kind="curves", y="loss", where={"network.dept": 7})
    with pytest.raises(SpecError, match=r"figure.at is 12, .* nearest recorded step is 10"):
        drawn(kind="final", y="loss", x=DECAY, at=12)


def test_nothing_done_yet_has_a_sentence() -> None:
    everything = {(a, b, c): "planned" for a in DECAYS for b in DEPTHS for c in range(NUM_SEEDS)}
    with pytest.raises(StoreError, match="None of the 30 runs of 'small_sweep' is done yet"):
        drawn(make_tables(everything), kind="curves", y="loss")


def test_a_sweep_in_which_all_runs_diverged_says_so() -> None:
    everything = {(a, b, c): "diverged" for a in DECAYS for b in DEPTHS for c in range(NUM_SEEDS)}
    for table in (
        {"kind": "curves", "y": "loss", "hue": DECAY},
        {"kind": "final", "y": "loss", "x": DECAY},
        {"kind": "heatmap", "x": DECAY, "y": "network.depth", "value": "loss"},
        {"kind": "spectrum"},
    ):
        figure = drawn(make_tables(everything), **table)
        assert "30 runs: 30 diverged, left out" in texts(figure)


@pytest.mark.parametrize("width", [None, 2.5])
def test_nothing_is_cut_off(width: float | None, tmp_path: Path) -> None:
    figure = drawn(kind="curves", y=["regression_error"], hue=DECAY, width_inches=width)
    save(figure, tmp_path / "figure", ["png"])
    canvas: Any = figure.canvas
    page = figure.bbox
    for artist in [*figure.texts, *figure.legends, *figure.axes]:
        box = artist.get_tightbbox(canvas.get_renderer())
        assert box is not None
        assert page.x0 <= box.x0 <= box.x1 <= page.x1, artist
        assert page.y0 <= box.y0 <= box.y1 <= page.y1, artist


@pytest.mark.parametrize(
    "table",
    [
        {"kind": "curves", "y": ["loss"], "hue": DECAY},
        pytest.param(
            {"kind": "heatmap", "x": DECAY, "y": "network.depth", "value": "loss"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_same_figure_gives_the_same_bytes(table: dict, tmp_path: Path) -> None:
    formats = ["png", "pdf", "svg"]
    first = save(drawn(**table, dpi=60), tmp_path / "first", formats)
    second = save(drawn(**table, dpi=60), tmp_path / "deep" / "second.v2", formats)
    assert [path.name for path in second] == ["second.v2.png", "second.v2.pdf", "second.v2.svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "first.pdf", "first.png", "first.svg",
    ]  # fmt: skip


def test_saving_the_same_figure_again_gives_the_same_bytes(tmp_path: Path) -> None:
    figure = drawn(kind="spectrum", where={DECAY: 0.1}, dpi=60)
    (first,) = save(figure, tmp_path / "first", ["png"])
    (second,) = save(figure, tmp_path / "second", ["png"])
    assert first.read_bytes() == second.read_bytes()


def test_a_place_that_cannot_be_written_has_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    figure = drawn(kind="curves", y="loss")
    with pytest.raises(StoreError, match="the figure cannot be written"):
        save(figure, tmp_path / "file" / "figure")
    with pytest.raises(SpecError, match=r"figure.formats has 'jpg'; .* png, pdf, svg"):
        save(figure, tmp_path / "figure", ["jpg"])


def test_the_users_own_matplotlib_settings_neither_matter_nor_change(tmp_path: Path) -> None:
    import matplotlib

    table = {"kind": "curves", "y": "loss", "dpi": 60}
    (plain,) = save(drawn(**table), tmp_path / "plain", ["png"])
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "lines.linewidth": 9}):
        (styled,) = save(drawn(**table), tmp_path / "styled", ["png"])
        assert matplotlib.rcParams["font.size"] == 20
    assert plain.read_bytes() == styled.read_bytes()


def test_values_are_written_as_one_writes_them() -> None:
    assert format_values([1e-3, 1e-2, 0.1]) == ["$10^{-3}$", "$10^{-2}$", "$10^{-1}$"]
    assert format_values([0.0, 1e-4, 0.1]) == ["0", "$10^{-4}$", "$10^{-1}$"]
    assert format_values([2, 3, 10]) == ["2", "3", "10"]
    assert format_values([0.1, 0.01]) == ["0.1", "0.01"]
    assert format_values([3e-4, 0.5, None]) == [r"$3\times10^{-4}$", "0.5", "none"]
    grid = [1e-3, 5.62341325e-3, 0.0316227766, 0.17782794, 1.0, 1024.0]
    assert format_values(grid) == ["0.001", "0.00562", "0.0316", "0.178", "1", "1024"]
    # What is alike is written alike.
    tens = [rf"${m}\times10^{{{k}}}$" for m, k in ((3, -4), (3, -3), (3, -2))]
    assert format_values([3e-4, 3e-3, 3e-2, 0.3]) == [*tens, "0.3"]
    assert format_values([0.0, 1e-3, 3e-3, 0.01]) == ["0", "0.001", "0.003", "0.01"]
    assert format_values([400_000, 40_000, 4000]) == ["400000", "40000", "4000"]
    assert format_values([2.4e7, 24_000]) == [rf"$2.4\times10^{{{k}}}$" for k in (7, 4)]
    assert format_values([200_000, 500_000]) == [rf"${m}\times10^{{5}}$" for m in (2, 5)]
    # Fewer digits are none of an exponent.
    assert format_values([1234.5, 0.123456]) == ["1230", "0.123"]
    assert format_values([0.12345, 0.12346, None]) == ["0.12345", "0.12346", "none"]
    assert format_values([0.1234, 0.5]) == ["0.1234", "0.5"]
    assert format_values([0.123456]) == ["0.123456"]
    assert format_values([float("nan"), 0.123456, 0.5]) == ["nan", "0.123", "0.5"]
    assert format_values(["fan_in_normal", True]) == ["fan in normal", "true"]
    assert format_value(1000) == "1000"
    assert format_value(254_197) == "254197"
    assert format_value(200_000) == r"$2\times10^{5}$"
    assert format_value(-1e-3) == "$-10^{-3}$"
    # With the minus of Matplotlib's own ticks.
    assert [format_value(each) for each in (-1, -0.5, -20_000)] == ["−1", "−0.5", "−20000"]
    assert math_symbol("d_w") == "$d_{w}$"
    assert math_symbol("σ_min") == r"$σ_{\mathrm{min}}$"
    assert setting_label("network.width") == "width $d_{w}$"
    assert setting_label("training.unknown_key") == "unknown key"


def test_a_lowest_value_cuts_the_log_axis_and_a_note_says_so() -> None:
    whole = drawn(kind="curves", y="regression_error", hue=DECAY)
    lowest = 3 * whole.axes[0].get_ylim()[0]
    cut = drawn(kind="curves", y="regression_error", hue=DECAY, y_min=lowest)
    assert cut.axes[0].get_ylim()[0] == lowest
    assert "are not shown" in texts(cut)
    assert "are not shown" not in texts(whole)
    below_everything = drawn(kind="curves", y="regression_error", hue=DECAY, y_min=1e-9)
    assert below_everything.axes[0].get_ylim() == (1e-9, whole.axes[0].get_ylim()[1])
    assert "are not shown" not in texts(below_everything)


def test_a_highest_value_cuts_the_log_axis_too() -> None:
    whole = drawn(kind="curves", y="regression_error", hue=DECAY)
    low, high = whole.axes[0].get_ylim()
    ends = {"y_min": 3 * low, "y_max": high / 3}
    cut = drawn(kind="curves", y="regression_error", hue=DECAY, **ends)
    assert cut.axes[0].get_ylim() == (3 * low, high / 3)
    text = texts(cut).replace("\n", " ")
    assert "values below" in text
    assert "values above" in text
    above = drawn(kind="curves", y="regression_error", hue=DECAY, y_max=1e30)
    assert above.axes[0].get_ylim() == (low, 1e30)


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize(
    ("key", "end", "where"), [("y_min", 1e30, "above"), ("y_max", 1e-30, "below")]
)
def test_an_end_beyond_all_that_is_drawn_is_said_to_be_unused(
    scale: str, key: str, end: float, where: str
) -> None:
    keys: dict[str, Any] = {"kind": "curves", "y": "regression_error", "hue": DECAY}
    whole = drawn(**keys, y_scale=scale)
    if scale == "linear" and key == "y_max":
        # The margin of a linear axis reaches below zero.
        end = -1e30
    beyond = drawn(**keys, y_scale=scale, **{key: end})
    assert beyond.axes[0].get_ylim() == whole.axes[0].get_ylim()
    assert f"is not used: nothing is drawn {where} it" in texts(beyond).replace("\n", " ")
    assert "is not used" not in texts(drawn(**keys, y_scale=scale, **{key: 1e-3}))


def test_a_horizontal_end_beyond_everything_is_said_to_be_unused() -> None:
    figure = Figure()
    ax = figure.subplots()
    ax.set_xlim(1.0, 10.0)
    assert cut_x(ax, (20.0, None)) == ["x_min = 20 is not used: nothing is drawn above it"]
    assert cut_x(ax, (None, 0.5)) == ["x_max = 0.5 is not used: nothing is drawn below it"]
    assert ax.get_xlim() == (1.0, 10.0)
    # One that lies where the axis ends by itself is used.
    assert cut_x(ax, (1.0, None)) == []
    assert cut_x(ax, (1.0, 5.0)) == ["drawn up to 5"]


def test_saving_is_silent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # fontTools complains of the dates in matplotlib's own fonts, which a user cannot mend.
    caplog.set_level("WARNING")
    save(drawn(kind="curves", y="loss", title=r"$Y'$"), tmp_path / "figure", ["pdf"])
    assert caplog.records == []
    assert logging.getLogger("fontTools").level == logging.NOTSET
    # Nor are the tables of other programs' fonts left out.
    assert not {"GSUB", "GPOS"} & {*subset.Options().drop_tables}
