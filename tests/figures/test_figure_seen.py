"""What a legend names is there to be seen, and few survivors do not look like many."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from figure_samples import DECAYS, NUM_SEEDS, make_tables
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from test_figures import DECAY, drawn, heatmap_cells, texts

from dlnsweep.figures.overlays import Overlay
from dlnsweep.figures.survivors import RAN_OUT


def on_screen(ax: Axes, line: Line2D) -> bool:
    """Return whether one of many points along a line lies within its axes, by plain loops."""
    points = line.get_transform().transform(np.asarray(line.get_xydata(), dtype=float))
    box = ax.bbox

    def inside(point: np.ndarray) -> bool:
        x, y = point
        return bool(box.x0 - 1 <= x <= box.x1 + 1 and box.y0 - 1 <= y <= box.y1 + 1)

    if line.get_marker() not in (None, "None"):
        every = line.get_markevery()
        shown = points[every] if isinstance(every, list) else points
        if any(np.isfinite(point).all() and inside(point) for point in shown):
            return True
    for first, last in itertools.pairwise(points):
        if np.isfinite([first, last]).all():
            along = np.linspace(0, 1, 2001)[:, None]
            if any(inside(point) for point in first + along * (last - first)):
                return True
    return False


def entries(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def formulas_on_screen(figure: Figure) -> set[str]:
    figure.draw_without_rendering()
    return {
        str(line.get_label())
        for ax in figure.axes
        for line in ax.get_lines()
        if not str(line.get_label()).startswith("_") and on_screen(ax, line)
    }


STEPS_OF_A_FORMULA = np.array([1.0, 10.0, 100.0, 1000.0])


def formulas(observable: str, at: float) -> list[Overlay]:
    """Return formulas of every sort: some can be seen, some not."""
    nowhere = np.full(1, np.nan)
    level = np.full(4, 1e-4)
    alone = np.array([np.nan, 1e-4, np.nan, np.nan])
    x = STEPS_OF_A_FORMULA
    return [
        Overlay(observable, "τ", np.array([at]), nowhere, vertical=True),
        Overlay(observable, "level", x, level),
        Overlay(observable, "one point", x, alone),
        Overlay(observable, "zero", x, 0 * level),
        Overlay(observable, "far above", x, 1e30 * level),
        Overlay(observable, "not a number", x, np.nan * level),
    ]


@pytest.mark.parametrize("x_scale", ["log", "linear"])
@pytest.mark.parametrize("y_scale", ["log", "linear"])
def test_the_legend_names_what_is_drawn(x_scale: str, y_scale: str) -> None:
    figure = drawn(
        None, formulas("loss", 50.0), kind="curves", y="loss", x_scale=x_scale, y_scale=y_scale
    )
    seen = formulas_on_screen(figure)
    assert {"τ", "level", "one point"} <= seen
    assert ("zero" in seen) == (y_scale == "linear")
    assert not {"far above", "not a number"} & seen
    assert set(entries(figure)) == seen
    (note,) = [text for text in texts(figure).split(" · ") if "not within the axes" in text]
    assert "far above" in note.replace("\n", " ")


@pytest.mark.parametrize("kind", ["curves", "spectrum"])
def test_a_vertical_line_spans_a_logarithmic_axis(kind: str) -> None:
    observable = {"curves": "loss", "spectrum": "singular_values"}[kind]
    figure = drawn(None, formulas(observable, 50.0)[:1], kind=kind, y=observable)
    figure.draw_without_rendering()
    (ax, *_) = figure.axes
    (line,) = [each for each in ax.get_lines() if each.get_label() == "τ"]
    ends = line.get_transform().transform(line.get_xydata())
    np.testing.assert_allclose(ends[:, 1], [ax.bbox.y0, ax.bbox.y1])
    assert ax.bbox.x0 < ends[0, 0] == ends[1, 0] < ax.bbox.x1


def test_the_theorems_own_times_are_drawn() -> None:
    # With the settings that τ and T are evaluated with.
    tables = make_tables()
    settings: dict[str, Any] = {
        "problem.kind": "subspace", "problem.measurement_dim": 32, "problem.subspace_dim": 4,
        "problem.num_samples": 100, "problem.condition_number": 1.0, "problem.noise_std": 0.0,
        "network.kind": "deep_linear", "network.width": 100, "training.data_fit_scale": 1.0,
        "training.optimizer": "gradient_descent", "training.step_rule": "fan_in",
        "training.num_steps": 1000, "training.minibatch_size": None,
        "network.layer_init_scale": 1.0, "network.product_init_scale": 1.0,
        "network.relative_init_scale": 1.0,
    }  # fmt: skip
    for name, value in settings.items():
        tables.run_table[name] = value
    tables.run_table["network.initializer"] = "fan_in_normal"
    tables.run_table["training.learning_rate"] = 3.0
    figure = drawn(tables, kind="curves", y="regression_error", theory=["tau", "horizon"])
    seen = formulas_on_screen(figure)
    assert set(entries(figure)) == seen
    told = texts(figure).replace("\n", " ")
    labels = {line.get_label() for line in figure.axes[0].get_lines()} - seen
    for label in (each for each in labels if not str(each).startswith("_")):
        assert f"{label} lies beyond the last step" in told
    assert seen


def test_marks_that_cannot_be_seen_are_not_in_the_legend() -> None:
    marks = [{"at": 0.03, "label": "here"}, {"at": 0.0, "label": "no place on a log axis"}]
    figure = drawn(kind="final", y="loss", x=DECAY, marks=marks)
    assert entries(figure) == ["here"] == sorted(formulas_on_screen(figure))
    assert "not within the axes: no place on a log axis" in texts(figure).replace("\n", " ")


def test_a_curve_of_one_record_is_a_point() -> None:
    tables = make_tables()
    tables.curve_table = tables.curve_table[tables.curve_table["step"] == 10]
    figure = drawn(tables, kind="curves", y="loss")
    (line,) = figure.axes[0].get_lines()
    assert line.get_marker() == "o"
    assert on_screen(figure.axes[0], line)


def gone(*lost: tuple[float, int, int]) -> dict:
    """Return so many diverged runs of (weight decay, depth)."""
    return {(a, b, s): "diverged" for a, b, count in lost for s in range(count)}


def test_a_hue_without_a_curve_is_not_in_the_legend() -> None:
    tables = make_tables(gone((0.1, 2, 5), (0.1, 3, 5)))
    figure = drawn(tables, y="loss", hue=DECAY, kind="curves")
    assert entries(figure) == ["$10^{-3}$", "$10^{-2}$"]
    assert "nothing to draw for $λ$ = 0.1" in texts(figure).replace("\n", " ")


def crosses(figure: Figure) -> list[tuple[float, float]]:
    """Return where crosses stand: the value of x, and the share of the height."""
    lines = [line for line in figure.axes[0].get_lines() if line.get_marker() == "x"]
    return sorted(
        (float(x), float(y)) for line in lines for x, y in np.asarray(line.get_xydata(), float)
    )


def test_a_hue_whose_runs_all_diverged_has_crosses_and_its_name() -> None:
    keys = {"kind": "final", "y": "loss", "x": "network.depth", "hue": DECAY}
    figure = drawn(make_tables(gone((0.1, 2, 5), (0.1, 3, 5), (0.01, 2, 5))), **keys)
    # Two at depth 2: one below the other, not one upon the other.
    (low, high, alone) = crosses(figure)
    assert (low[0], high[0], alone[0]) == (2, 2, 3)
    assert 0 < low[1] < high[1] - 0.03 < 1
    assert entries(figure) == ["$10^{-3}$", "$10^{-2}$", "$10^{-1}$"]
    text = texts(figure).replace("\n", " ")
    assert "×: none of the runs is left" in text
    assert "nothing to draw" not in text


def test_a_figure_whose_runs_all_diverged_has_a_cross_at_each_place() -> None:
    tables = make_tables(gone(*((decay, depth, 5) for decay in DECAYS for depth in (2, 3))))
    figure = drawn(tables, kind="final", y="loss", x=DECAY)
    assert [x for x, _ in crosses(figure)] == sorted(DECAYS)
    assert "×: none of the runs is left" in texts(figure).replace("\n", " ")
    figure = drawn(tables, kind="scatter", x="regression_error", y="loss")
    assert "nothing to draw" in texts(figure)
    assert "each point" not in texts(figure)


def shares(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("kind", ["curves", "final"])
def test_shares_at_the_ends_of_curves_do_not_cover_the_names_of_rows(kind: str) -> None:
    """They stood in the same place: "4/6" upon "κ = 1"."""
    keys: dict[str, Any] = {"kind": kind, "y": "regression_error", "row_by": "network.depth"}
    keys |= {"hue": DECAY} if kind == "curves" else {"x": DECAY, "hue": "network.initializer"}
    lost = gone(*((decay, depth, 1) for decay in DECAYS for depth in (2, 3)))
    figure = drawn(make_tables(lost), **keys, y_min=1e-9, y_max=1e9)
    figure.draw_without_rendering()
    beside = []
    for ax in figure.axes:
        (name,) = [text for text in ax.texts if text.get_rotation() == 270]
        others = [text for text in ax.texts if text is not name]
        assert others
        box = name.get_window_extent()
        beside.append(box.x0 - ax.bbox.x1)
        assert not any(box.overlaps(text.get_window_extent()) for text in others)
        assert box.x1 <= figure.bbox.x1
    np.testing.assert_allclose(beside, beside[0], rtol=0, atol=0.5)
    (plain, _) = drawn(**keys).axes
    (name,) = plain.texts
    # Without lost runs a name stands at its panel.
    assert name.get_window_extent().x0 - plain.bbox.x1 < 6 * plain.figure.dpi / 72


def test_points_of_few_survivors_are_hollow_and_say_how_many() -> None:
    figure = drawn(
        make_tables(gone((0.1, 2, 4), (0.01, 3, 1))), kind="final", y="loss", x=DECAY,
        hue="network.depth",
    )  # fmt: skip
    (ax,) = figure.axes
    assert sorted(shares(ax)) == ["1/5", "4/5"]
    hollow = [line for line in ax.get_lines() if line.get_markerfacecolor() == "white"]
    assert sorted(x for line in hollow for x in np.asarray(line.get_xdata())) == [0.01, 0.1]
    assert "k/n: only k of the n runs are left" in texts(figure).replace("\n", " ")
    whole = drawn(kind="final", y="loss", x=DECAY, hue="network.depth")
    assert shares(whole.axes[0]) == []
    assert "are left" not in texts(whole)


def test_notes_at_points_cover_neither_each_other_nor_points() -> None:
    everywhere = gone(*((decay, depth, 4) for decay in DECAYS for depth in (2, 3)))
    tables = make_tables(everywhere)
    # The depths' curves are one.
    tables.run_table["final_loss"] = 1.0
    figure = drawn(tables, kind="final", y="loss", x=DECAY, hue="network.depth")
    figure.draw_without_rendering()
    (ax,) = figure.axes
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 2 * len(DECAYS)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    at = [point for line in ax.get_lines() for point in ax.transData.transform(line.get_xydata())]
    assert not any(box.contains(*point) for box in boxes for point in at)
    assert "would cover another" not in texts(figure)


@pytest.mark.parametrize("y_scale", ["log", "linear"])
def test_notes_at_points_stay_below_the_top_of_their_panel(y_scale: str) -> None:
    tables = make_tables(gone(*((decay, depth, 1) for decay in DECAYS for depth in (2, 3))))
    keys = {"kind": "final", "y": "loss", "x": DECAY, "panel_by": "network.depth"}
    figure = drawn(tables, y_scale=y_scale, **keys)
    figure.draw_without_rendering()
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    for ax in figure.axes:
        assert shares(ax) == ["4/5"] * len(DECAYS)
        assert all(text.get_window_extent().y1 <= ax.bbox.y1 for text in ax.texts)
    # An end that was asked for stays.
    largest = float(tables.run_table["final_loss"].max())
    assert drawn(tables, y_max=largest, **keys).axes[0].get_ylim()[1] < 1.2 * largest


@pytest.mark.parametrize(("kind", "y"), [("curves", "loss"), ("spectrum", "singular_values")])
def test_curves_of_few_survivors_are_hollow_and_say_how_many(kind: str, y: str) -> None:
    tables = make_tables(gone((0.1, 2, 4), (0.01, 2, 1)))
    figure = drawn(tables, kind=kind, y=y, hue=DECAY, where={"network.depth": 2})
    ax = figure.axes[0]
    assert sorted(shares(ax)) == ["1/5", "4/5"]
    pale = {line.get_color() for line in ax.get_lines() if line.get_alpha() == 0.5}
    hollow = {line.get_color() for line in ax.get_lines() if line.get_markerfacecolor() == "white"}
    assert len(pale) == 1
    assert len(hollow) == 2
    assert pale < hollow


def test_notes_at_the_ends_of_curves_that_end_alike_do_not_cover_each_other() -> None:
    # 1/5 upon 3/5 would be read as another number.
    tables = make_tables(gone((0.1, 2, 4), (0.01, 2, 2), (0.001, 2, 1)))
    tables.curve_table["loss"] = tables.curve_table["loss"].where(
        tables.curve_table["loss"].isna(), 1.0
    )
    figure = drawn(tables, kind="curves", y="loss", hue=DECAY, where={"network.depth": 2})
    figure.draw_without_rendering()
    (ax,) = figure.axes
    assert sorted(shares(ax)) == ["1/5", "3/5", "4/5"]
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert "would cover another" not in texts(figure)


def test_cells_of_few_survivors_say_how_many() -> None:
    tables = make_tables(gone((0.1, 2, 4), (0.01, 3, 1)))
    keys = {"kind": "heatmap", "x": DECAY, "y": "network.depth"}
    success = {"value": "success", "success": {"observable": "loss", "below": 1.0}}
    for more in ({"value": "loss"}, success):
        figure = drawn(tables, **keys, **more)
        assert heatmap_cells(figure).shape == (2, len(DECAYS))
        ends = [text.split("\n")[1:] for text in shares(figure.axes[0])]
        assert ends == [[], [], ["1/5"], [], ["4/5"], []]
        dotted: Any
        (dotted,) = figure.axes[0].patches
        assert (dotted.get_hatch(), dotted.get_x(), dotted.get_y()) == ("...", 1.5, -0.5)
        assert "k/n: only k of the n runs are left" in texts(figure).replace("\n", " ")
        said = texts(drawn(tables, **keys, **more, annotate=False)).replace("\n", " ")
        assert "dotted: fewer than half of the runs are left" in said
        assert "k/n" not in said
    assert NUM_SEEDS == 5


def test_cells_without_survivors_say_what_their_hatching_is() -> None:
    keys = {"kind": "heatmap", "x": DECAY, "y": "network.depth", "value": "loss"}
    # No cell has a share to show.
    said = texts(drawn(make_tables(gone((0.1, 2, 5))), **keys)).replace("\n", " ")
    assert "hatched: none of the runs is left" in said
    assert "k/n" not in said
    both = drawn(make_tables(gone((0.1, 2, 5), (0.01, 3, 1))), **keys)
    assert "k/n: only k of the n runs are left; hatched: none" in texts(both).replace("\n", " ")
    assert "hatched" not in texts(drawn(**keys))


def test_axes_begin_and_end_where_they_are_told() -> None:
    keys = {"kind": "curves", "y": "loss", "y_scale": "linear", "band": "none"}
    assert drawn(**keys, y_min=0.0).axes[0].get_ylim()[0] == 0.0
    assert drawn(**keys, y_min=-1.0, y_max=0.5).axes[0].get_ylim() == (-1.0, 0.5)
    whole, cut = drawn(**keys), drawn(**keys, x_min=10, x_max=100)
    assert whole.axes[0].get_xlim() == (0, 1000)
    assert cut.axes[0].get_xlim() == (10, 100)
    assert "from 10 on" in texts(cut)
    assert "up to 100" in texts(cut)
    (line,) = cut.axes[0].get_lines()
    x, y = (np.asarray(each) for each in line.get_data())
    # The vertical axis is that of what is shown.
    shown = y[(x >= 10) & (x <= 100)]
    assert shown.max() < cut.axes[0].get_ylim()[1] < 1.5 * shown.max() < y.max()
    final = drawn(kind="final", y="loss", x=DECAY, x_min=2e-3, x_max=0.05)
    assert final.axes[0].get_xlim() == pytest.approx((2e-3, 0.05))
    scatter = drawn(kind="scatter", x="loss", y="regression_error", x_min=1e-5, y_max=1.0)
    assert scatter.axes[0].get_xlim()[0] == pytest.approx(1e-5)


def test_levels_stand_in_their_panels_and_in_the_legend():
    levels = [
        {"at": 1e-3, "label": "baseline", "panel": 2},
        {"at": 5e-4, "label": "baseline", "panel": 3},
        {"at": 2e4, "label": "far above"},
    ]
    figure = drawn(kind="final", y="loss", x=DECAY, panel_by="network.depth", levels=levels)
    assert formulas_on_screen(figure) == {"baseline"}
    # As for a formula: a level far from all that was measured makes no room for itself.
    assert entries(figure) == ["baseline"]
    assert "far above" in texts(figure)
    for ax, at in zip(figure.axes, (1e-3, 5e-4), strict=True):
        lines = {str(line.get_label()): line for line in ax.get_lines()}
        assert np.array_equal(lines["baseline"].get_ydata(), [at, at])
        # From the least weight decay to the largest.
        assert np.array_equal(lines["baseline"].get_xdata(), [min(DECAYS), max(DECAYS)])
        assert lines["baseline"].get_linestyle() == "--"


def test_steps_that_half_of_the_runs_used_up_have_an_arrow():
    """Of five seeds two and three used all their steps, at depth 2; all arrived at depth 3."""
    left = {0.001: 2, 0.01: 3, 0.1: 0}
    status = {
        (decay, depth, seed): "stopped"
        for decay, count in left.items()
        for depth in (2, 3)
        for seed in range(count if depth == 2 else 0, NUM_SEEDS)
    }
    tables = make_tables(status)
    shared = {"training.stop_when": {"observable": "loss", "below": 0.1}}
    tables.sweep["sweep"] = {"shared": shared}
    runs = tables.run_table
    runs["final_steps_taken"] = np.where(runs["status"] == "finished", 1000.0, 10.0)
    keys = {"kind": "final", "x": DECAY, "hue": "network.depth"}
    figure = drawn(tables, y="steps_taken", **keys)
    (ax,) = figure.axes
    notes = [note for note in ax.texts if isinstance(note, Annotation)]
    arrows = [note for note in notes if note.get_text() == "↑"]
    assert [note.xy for note in arrows] == [(0.01, 1000.0)]
    assert RAN_OUT in " ".join(texts(figure).split())
    # The point is at the top of what was measured, and yet the arrow is within the axes.
    figure.draw_without_rendering()
    assert all(each.get_window_extent().y1 <= ax.bbox.y1 for each in arrows)
    # Also where no run arrived; but not where nothing would have stopped one.
    for condition, arrows in ((shared["training.stop_when"], 6), (None, 0)):
        tables = make_tables()
        tables.sweep["sweep"] = {"shared": {"training.stop_when": condition}}
        tables.run_table["final_steps_taken"] = 1000.0
        figure = drawn(tables, y="steps_taken", **keys)
        assert [note.get_text() for note in figure.axes[0].texts] == ["↑"] * arrows
        assert ("↑" in texts(figure)) == bool(arrows)
