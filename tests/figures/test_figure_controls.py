"""Every kind of figure with every control, by what Matplotlib is handed: from one small sweep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from figure_samples import DECAY, DECAYS, DEPTH, DEPTHS, INIT, KINDS, make_tables, of_every_kind
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from dlnsweep.contracts.figure import FIGURES, read_figure
from dlnsweep.figures.draw import draw
from dlnsweep.figures.looks import MARKERS, OKABE_ITO
from dlnsweep.settings.figure_look import WIDTHS
from dlnsweep.spec.figures.reading import read_table


def drawn(kind: str, **keys: Any) -> Figure:
    return draw(of_every_kind(), read_figure({"kind": kind, "dpi": 50, **KINDS[kind], **keys}))


def test_every_kind_of_this_package_is_among_them() -> None:
    assert set(KINDS) == {name for name, kind in FIGURES.items() if kind.described}


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_label_below_the_panels_is_broken_and_costs_them_no_height(kind: str) -> None:
    label = "number of steps of full-batch gradient descent with weight decay on all layers"
    figures = [drawn(kind, x_label=each, rc={"font.size": 13}) for each in ("short", label)]
    heights = []
    for figure in figures:
        figure.draw_without_rendering()
        for ax in figure.axes:
            if ax.get_xlabel():
                box = ax.xaxis.label.get_window_extent()
                assert box.x0 >= 0
                assert box.x1 <= figure.bbox.x1
        heights.append(figure.axes[0].get_window_extent().height / figure.dpi)
    shown = {ax.get_xlabel() for ax in figures[1].axes} - {""}
    assert {each.replace("\n", " ") for each in shown} == {label}
    # The width of tick labels, which the height decides, moves it by a little.
    assert heights[1] > 0.9 * heights[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_frame_labels_widths_and_settings_of_matplotlib(kind: str) -> None:
    usual = drawn(kind)
    figure = drawn(
        kind, footer=False, source=False, title="Mine", width="aps_column", x_label="across $x$",
        y_label="up", rc={"font.size": 10, "axes.linewidth": 2.5, "axes.grid": False},
    )  # fmt: skip
    assert "runs" in texts(usual)
    assert "arXiv:2502.15522, Figure 4" in texts(usual)
    assert texts(figure) == "Mine"
    # What the small print says is not lost, and stands in the file.
    caption = figure.caption  # type: ignore[attr-defined]
    assert "30 runs: 8 diverged" in caption
    assert "learning rate" in caption or "$η$ = " in caption
    assert figure.get_figwidth() == WIDTHS["aps_column"]
    (ax,) = (each for each in figure.axes if each.get_label() != "<colorbar>")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("across $x$", "up")
    assert ax.spines["left"].get_linewidth() == 2.5
    assert not ax.xaxis.get_gridlines()[0].get_visible()
    # Labels are as large as the font, all other texts follow.
    assert ax.xaxis.label.get_fontsize() == 10
    assert ax.xaxis.get_ticklabels()[0].get_fontsize() == pytest.approx(7.5 * 10 / 8)
    assert drawn(kind, x_label="", y_label="").axes[0].get_xlabel() == ""


HUED = [kind for kind in KINDS if "hue" in FIGURES[kind].settings.model_fields]


def measured(figure: Figure) -> list[Any]:
    """Return the lines that were measured, not those of legends."""
    return [line for line in figure.axes[0].get_lines() if len(np.asarray(line.get_xdata()))]


@pytest.mark.parametrize("kind", HUED)
def test_colours_and_the_legends_words_and_place(kind: str) -> None:
    hue = KINDS[kind]["hue"]
    values = {DECAY: sorted(DECAYS), DEPTH: DEPTHS, INIT: ["fan_in_normal", "balanced"]}[hue]
    colours = ["#112233", "#445566", "#778899"]
    figure = drawn(
        kind, colours=colours, legend="right", legend_title="mine",
        legend_names={str(values[0]): "the first"},
    )  # fmt: skip
    there = {to_hex(line.get_color()) for line in measured(figure)}
    assert there == set(colours[: len(values)])
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "mine"
    named = [text.get_text() for text in legend.get_texts()]
    assert "the first" in named
    assert len(named) == len(values)
    handles = dict(zip(named, legend.legend_handles, strict=True))
    first: Any = handles["the first"]
    assert to_hex(first.get_color()) == colours[0]
    # Beside the panels, once all is laid out.
    figure.draw_without_rendering()
    assert legend.get_window_extent().x0 >= figure.axes[0].bbox.x1
    inside = drawn(kind, legend="lower left")
    assert not inside.legends
    assert inside.axes[0].get_legend() is not None
    none = drawn(kind, legend="none")
    assert not none.legends
    assert none.axes[0].get_legend() is None
    mapped = {to_hex(line.get_color()) for line in measured(drawn(kind, colours="plasma"))}
    assert to_hex((0.050383, 0.029803, 0.527975)) in mapped


@pytest.mark.parametrize("kind", [kind for kind in HUED if kind != "boundary"])
def test_a_colour_bar_stands_for_numbers(kind: str) -> None:
    figure = drawn(kind, legend="bar")
    assert not figure.legends
    *_, bar = figure.axes
    values = ["2", "3"] if kind == "final" else ["$10^{-3}$", "$10^{-2}$", "$10^{-1}$"]
    assert [each.get_text() for each in bar.get_yticklabels()] == values
    fields: Any = bar.collections[-1].get_cmap()
    colours = [to_hex(colour) for colour in fields.colors]
    assert {to_hex(line.get_color()) for line in measured(figure)} == {*colours}
    assert len(colours) == len(values)


@pytest.mark.parametrize("kind", HUED)
def test_lines_and_markers_stand_for_another_setting(kind: str) -> None:
    hue = DEPTH if kind == "final" else None if kind == "boundary" else DECAY
    figure = drawn(kind, hue=hue, style_by=INIT, legend_names={"balanced": "B"})
    # Error bars have caps, and places where all runs diverged a cross.
    bare = ("None", "", None, "_", "x")
    marked = [line for line in measured(figure) if line.get_marker() not in bare]
    looks = {(to_hex(line.get_color()), line.get_marker()) for line in marked}
    colours = {colour for colour, _ in looks}
    assert len(colours) == {DECAY: 3, DEPTH: 2, None: 1}[hue]
    assert {marker for _, marker in looks} == {*MARKERS[:2]}
    if kind in ("curves", "noise", "spectrum"):
        assert len({str(line._dash_pattern) for line in measured(figure)}) == 2
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named[-2:] in (["fan in normal", "B"], ["B", "fan in normal"])
    handle: Any = legend.legend_handles[named.index("B")]
    assert handle.get_marker() == MARKERS[named[-2:].index("B")]


PANELLED = [kind for kind in KINDS if "row_by" in FIGURES[kind].settings.model_fields]


@pytest.mark.parametrize("kind", PANELLED)
def test_panels_stand_in_rows_and_columns_with_letters(kind: str) -> None:
    keys: dict[str, Any] = {"row_by": DEPTH, "column_by": INIT}
    if kind == "final":
        keys |= {"hue": None}
    figure = drawn(kind, **keys)
    axes = [ax for ax in figure.axes if ax.get_subplotspec() is not None][:4]
    assert len(axes) == 4
    places = [ax.get_subplotspec() for ax in axes]
    assert [(p.rowspan.start, p.colspan.start) for p in places if p] == [
        (0, 0), (0, 1), (1, 0), (1, 1),
    ]  # fmt: skip
    assert [ax.get_title(loc="left") for ax in axes] == ["(a)", "(b)", "(c)", "(d)"]
    columns = [ax.get_title() for ax in axes]
    assert sorted(columns[:2]) == ["initializer balanced", "initializer fan in normal"]
    assert columns[2:] == ["", ""]
    beside = [[text.get_text() for text in ax.texts] for ax in axes]
    assert "$L$ = 2" in beside[1]
    assert "$L$ = 3" in beside[3]
    assert [bool(ax.get_xlabel()) for ax in axes] == [False, False, True, True]
    assert [bool(ax.get_ylabel()) for ax in axes] == [True, False, True, False]
    # Each panel has its own runs: more than one share of the whole is nowhere.
    assert len({str(np.asarray(measured_in(ax)[0].get_ydata())) for ax in axes}) == 4
    assert drawn(kind, row_by=DEPTH, hue=None, letters=False).axes[0].get_title(loc="left") == ""


def measured_in(ax: Any) -> list[Any]:
    return [line for line in ax.get_lines() if len(np.asarray(line.get_xdata()))]


def test_several_observables_take_the_rows_or_the_columns() -> None:
    both = ["regression_error", "loss"]
    by_row = drawn("curves", y=both, row_by=DEPTH, y_label={"loss": "mine"}).axes
    assert [ax.get_ylabel() for ax in by_row][1::2] == ["mine", "mine"]
    by_column = drawn("curves", y=both, column_by=DEPTH, y_label={"loss": "mine"}).axes
    assert [ax.get_ylabel() for ax in by_column][2:] == ["mine", ""]
    for axes, place in ((by_row, 3), (by_column, 3)):
        values = of_every_kind().values("loss", network__depth=3, training__weight_decay=0.001)
        (line, *_) = measured_in(axes[place])
        np.testing.assert_allclose(np.asarray(line.get_ydata()), np.median(values, axis=1))


def test_axes_of_several_observables_end_where_each_is_told_to() -> None:
    y = ["regression_error", "loss"]
    usual = drawn("curves", y=y)
    first, second = (ax.get_ylim() for ax in usual.axes[:2])
    figure = drawn("curves", y=y, y_min={y[1]: 2e-5}, y_max={y[0]: 7e4, y[1]: 8e4})
    assert figure.axes[0].get_ylim() == (first[0], 7e4)
    assert figure.axes[1].get_ylim() == (2e-5, 8e4)
    # One for all, as ever.
    assert [ax.get_ylim()[1] for ax in drawn("curves", y=y, y_max=7e4).axes[:2]] == [7e4, 7e4]
    points = drawn("scatter", x="loss", y=y[:1], y_max={y[0]: 7e4})
    assert points.axes[0].get_ylim()[1] == 7e4
    assert second[0] != 2e-5


LIMITED = [kind for kind in KINDS if "y_min" in FIGURES[kind].settings.model_fields]


@pytest.mark.parametrize("kind", LIMITED)
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_axes_begin_and_end_where_they_are_told_to(kind: str, scale: str) -> None:
    ends = {"x_min": 1.5, "x_max": 2.5, "y_min": 2e-5, "y_max": 7e4}
    if kind in ("curves", "spectrum"):
        ends |= {"x_min": 5, "x_max": 5000}
    elif kind in ("final", "noise"):
        ends |= {"x_min": 0.005, "x_max": 0.5}
    (ax, *_) = drawn(kind, x_scale=scale, y_scale=scale, **ends).axes
    assert ax.get_xlim() == (ends["x_min"], ends["x_max"])
    assert ax.get_ylim() == (ends["y_min"], ends["y_max"])
    assert ax.get_yscale() == scale


def test_a_heatmap_has_own_colours_with_own_ends_and_a_label() -> None:
    figure = drawn("heatmap", value_min=1e-9, value_max=1e3, value_label="L", colours="magma")
    ax, bar = figure.axes
    assert bar.get_ylabel() == "L"
    (mesh,) = [each for each in ax.collections if each.get_array() is not None]
    assert (mesh.norm.vmin, mesh.norm.vmax) == (1e-9, 1e3)
    assert mesh.get_cmap().name == "magma"
    between = drawn("heatmap", colours=["white", "black"]).axes[0].collections[0].get_cmap()
    assert to_hex(between(0.0)) == "#ffffff"
    assert to_hex(between(1.0)) == "#000000"


def test_without_a_hue_one_colour_may_be_given() -> None:
    usual, own = drawn("curves", hue=None), drawn("curves", hue=None, colours=["black"])
    assert {line.get_color() for line in measured(usual)} == {OKABE_ITO[0]}
    assert {to_hex(line.get_color()) for line in measured(own)} == {"#000000"}
    by_place = drawn("spectrum", hue=None, colours=["red", "green", "blue"])
    lines = {to_hex(line.get_color()) for line in measured(by_place)}
    assert lines == {"#ff0000", "#008000", "#0000ff"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kind_cannot_honour_is_refused_by_one_sentence(kind: str) -> None:
    """Whatever another kind has a key for: none is taken and ignored."""
    known = set(FIGURES[kind].settings.model_fields)
    others = {key for each in KINDS for key in FIGURES[each].settings.model_fields} - known
    assert others
    for key in others:
        settings, found = read_table({"kind": kind, **KINDS[kind], key: 1}, "figure")
        assert settings is None
        (sentence,) = found
        assert sentence.startswith(f"figure.{key} is a key of figures of kind '")
        told = f"; kind = '{kind}' cannot honour it: leave it out (--set figure."
        assert told in sentence


def test_a_cross_stands_where_no_run_is_left() -> None:
    gone = {(0.1, depth, seed): "diverged" for depth in DEPTHS for seed in range(5)}
    keys = {"kind": "final", "x": DECAY, "y": ["loss"], "dpi": 50}
    figure = draw(make_tables(gone), read_figure(keys))
    (ax,) = figure.axes
    (cross,) = [line for line in ax.get_lines() if line.get_marker() == "x"]
    assert np.asarray(cross.get_xdata()).tolist() == [0.1]
    assert ax.get_xlim()[1] >= 0.1
    assert "×: none of the runs is left" in texts(figure).replace("\n", " ")
    whole = draw(make_tables(), read_figure(keys))
    assert not [line for line in whole.axes[0].get_lines() if line.get_marker() == "x"]
