"""Controls that cannot be honoured: a sentence before anything runs, and no file but one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import store_samples as samples
from figure_samples import make_tables
from spec_samples import problems, sweep

from dlnsweep.contracts.figure import read_figure
from dlnsweep.errors import SpecError
from dlnsweep.figures.draw import draw
from dlnsweep.figures.folder import draw_figures
from dlnsweep.results import open_results
from dlnsweep.store import Store

DECAY, DEPTH, INIT = "training.weight_decay", "network.depth", "network.initializer"
AXES = {
    "network__depth": [2, 3], "training__weight_decay": [1e-3, 1e-2], "sweep__seeds": 2,
    "network__initializer": ["balanced", "fan_in_normal"],
}  # fmt: skip


def wrong(axes: dict[str, Any] | None = None, **figure: Any) -> list[str]:
    table = {"kind": "curves", "y": ["regression_error"], **figure}
    return [each.removeprefix("sweep: ") for each in problems(figure=table, **(axes or AXES))]


SENTENCES: list[tuple[dict[str, Any], str]] = [
    (
        {"style": "no_such.mplstyle"},
        "style is 'no_such.mplstyle'; no style is called so, and no file can be read there (No "
        "such file or directory); name a file, or a style of Matplotlib's.",
    ),
    ({"style": "gplot"}, "(No such file or directory); did you mean 'ggplot'?"),
    ({"style": "/dev/zero"}, "style is '/dev/zero'; it is no regular file; name a Matplotlib"),
    ({"style": ""}, "style is ''; the path is ''; it must name a file or folder."),
    (
        {"rc": {"font.sise": 9}},
        "rc has 'font.sise', which Matplotlib does not know; did you mean 'font.size'?",
    ),
    ({"rc": {"font.size": "huge"}}, "rc has 'font.size' = 'huge'; "),
    ({"rc": {"font.size": 500}}, "rc has 'font.size' = 500; it must be from 1 to 72."),
    ({"rc": {"lines.linewidth": "wide"}}, "rc has 'lines.linewidth' = 'wide'; "),
    (
        {"rc": {"font": {"family": "No Such Font"}}},
        "rc has 'font.family' = 'No Such Font', a font that is not installed here.",
    ),
    (
        {"rc": {"text.usetex": True}},
        "rc has 'text.usetex', which figures here cannot honour; they can fonts, sizes,",
    ),
    ({"rc": {"animation.ffmpeg_path": "/bin/sh"}}, "which figures here cannot honour; "),
    ({"rc": {"axes.prop_cycle": "x"}}, "which figures have keys for: set colours."),
    ({"rc": 3}, 'rc is 3; it must be a table, such as { "font.size" = 9 }.'),
    (
        {"hue": DECAY, "colours": ["red"]},
        "colours has 1 colours, but training.weight_decay has 2 values; give as many, or the name "
        "of a colour map, such as 'viridis'.",
    ),
    ({"hue": DECAY, "colours": ["red", "rde"]}, "colours[1] is 'rde', no colour of Matplotlib's;"),
    ({"hue": DECAY, "colours": "viridris"}, "no colour map of Matplotlib's; did you mean 'viridis"),
    ({"hue": DECAY, "colours": "red"}, "(one colour is a list: ['black'])"),
    ({"colours": "viridis"}, "colours is given, but no hue; set hue, or give one colour:"),
    ({"colours": [1, 2]}, "colours is [1, 2]; it must be the name of a colour map, such as"),
    ({"x_min": 5.0, "x_max": 2.0}, "x_min is 5 and x_max is 2; the first must be smaller"),
    ({"y_min": {"lss": 1.0}}, "y_min names 'lss', which is not drawn; y is ['"),
    ({"y_max": {"regression_error": -1.0}}, "y_max.regression_error is -1, which a logarithmic"),
    ({"y_max": "large"}, "y_max is 'large'; it must be a number, or a table such as { loss = 1e-6"),
    ({"y_min": 0.0}, "y_min is 0, which a logarithmic axis does not have; leave it out, or set"),
    (
        {"hue": DECAY, "style_by": DECAY},
        "hue and style_by are both 'training.weight_decay'; name two different settings.",
    ),
    ({"style_by": "network.dept"}, "style_by is 'network.dept', which is not a setting; did you"),
    (
        {"hue": DECAY, "legend_names": {"0.5": "half"}},
        "legend_names names '0.5'; what the legend names is 0.001, 0.01.",
    ),
    ({"legend_names": {"0.5": "half"}}, "is nothing: set hue or style_by."),
    ({"hue": DECAY, "legend_names": {"1e-3": ""}}, "legend_names.1e-3 is ''; a legend does not"),
    ({"legend_names": "a"}, "legend_names is 'a'; it must be a table of texts, such as"),
    ({"legend": "outside"}, "legend is 'outside'; it must be 'above', 'right', 'none', 'bar', "),
    ({"legend": "bar"}, "legend is 'bar', which stands for the numbers of a hue; set hue."),
    ({"hue": INIT, "legend": "bar"}, "has values that are no numbers; leave it out."),
    (
        {"panel_by": DECAY, "row_by": DEPTH},
        "panel_by is given beside row_by; use row_by and column_by alone.",
    ),
    (
        {"y": ["regression_error", "off_subspace_error"], "row_by": DEPTH, "column_by": DECAY},
        "row_by and column_by are given, but y has 2 observables, which need the rows or the",
    ),
    ({"letters": True}, "letters is true, but there is one panel only; leave it out."),
    (
        {"y": ["regression_error", "off_subspace_error"], "y_label": "one"},
        "y_label is one text, but y has 2 observables; give a table, such as",
    ),
    ({"y_label": {"loss": "a"}}, "y_label names 'loss', which is not drawn; y is ['regression"),
    ({"x_label": "$x_$"}, "x_label is '$x_$'; its mathematics cannot be read"),
    ({"width": "nature"}, "width is 'nature'; it must be 'one_column', 'two_columns', "),
    (
        {"width": "jmlr", "width_inches": 3.0},
        "width is 'jmlr' and width_inches is 3; give one of them.",
    ),
    (
        {"kind": "heatmap", "x": DECAY, "y": DEPTH, "value": "regression_error", "row_by": INIT},
        "row_by is a key of figures of kind 'curves', 'final', 'spectrum', 'scatter' or 'noise'; "
        "kind = 'heatmap' cannot honour it: leave it out (--set figure.row_by= takes it out).",
    ),
]


@pytest.mark.parametrize(("figure", "sentence"), SENTENCES)
def test_a_control_that_cannot_be_honoured_is_told_before_anything_runs(
    figure: dict[str, Any], sentence: str
) -> None:
    told = wrong(**figure)
    assert [each for each in told if sentence in each], told
    assert all(each.startswith("figure.") for each in told)
    assert len(told) == 1, told


def test_too_many_panels_and_kinds_of_lines() -> None:
    many = {"sweep__seeds": 40, "network__depth": [2, 3]}
    (told,) = wrong(many, row_by="seed", column_by=DEPTH)
    assert told.startswith("figure.row_by is 'seed' and column_by is 'network.depth', which make")
    assert "80 panels; 64 at most" in told
    (told,) = wrong({"sweep__seeds": 7}, style_by="seed")
    assert "which has 7 values; 6 kinds of lines can be told apart" in told
    (told,) = wrong({"sweep__seeds": 4}, column_by="seed", width="one_column")
    assert "width = 'one_column' is 3.4, too narrow for 4 panels beside each other" in told


def test_a_style_file_becomes_settings_that_are_kept_with_the_results(tmp_path: Path) -> None:
    file = tmp_path / "paper.mplstyle"
    file.write_text(
        "# a style\nfont.size : 9  # points\nlines.linewidth: 2.5\naxes.edgecolor: '#445566'\n"
        "figure.figsize: 8, 4\naxes.prop_cycle: cycler('color', ['r'])\nxtick.direction: in\n"
    )
    table = {"kind": "curves", "y": ["regression_error"], "style": str(file)}
    (read,) = sweep(figure={**table, "rc": {"font.size": 7}}, **AXES).figures
    assert read.style is None
    wanted = {"lines.linewidth": "2.5", "axes.edgecolor": "#445566", "xtick.direction": "in"}
    assert read.rc == {"font.size": 7, **wanted}
    # What is not said is not stored: sweep.json of earlier versions stays what it is.
    assert "footer" not in (stored := read.model_dump(mode="json"))
    assert stored["rc"] == read.rc
    assert read_figure(stored) == read
    (ax,) = draw(make_tables(), read_figure(table)).axes
    assert ax.get_lines()[0].get_linewidth() == 2.5
    assert ax.xaxis.label.get_fontsize() == 9
    file.write_text("font.size: 9\nnonsense\nfont.sise: 3\ntext.usetex: True\n")
    told = " ".join(wrong(style=str(file)))
    assert "line 2 of it is no 'key: value'." in told
    assert "it has 'font.sise', which Matplotlib does not know; did you mean 'font.size'?" in told
    assert "it asks for LaTeX (text.usetex), which figures here are drawn without." in told
    known = draw(make_tables(), read_figure({**table, "style": "ggplot"}))
    assert known.axes[0].get_facecolor()[:3] == pytest.approx((0.898, 0.898, 0.898), abs=1e-3)


def test_a_folder_of_somebody_else_names_no_file_and_no_command(tmp_path: Path) -> None:
    for number, (own, sentence) in enumerate(
        [
            ({"style": "/etc/passwd"}, "sweep.json names a style for a figure"),
            ({"rc": {"text.usetex": True}}, "'text.usetex', which figures here cannot honour"),
        ]
    ):
        figures = {"figures": [{"kind": "curves", "y": ["error"], **own}]}
        record = {**samples.plan().record, **figures}
        store = Store.create(tmp_path / str(number), samples.plan(record=record), {})
        samples.commit(store, 0)
        with pytest.raises(SpecError, match=sentence):
            draw_figures(store.root)


@pytest.mark.parametrize(
    ("rc", "sentence"),
    [
        ({"font.sise": 9}, "'font.sise', which Matplotlib does not know; did you mean 'font.size'"),
        ({"font.size": "huge"}, "'font.size' = 'huge'; Could not convert 'huge' to float"),
        ({"text.usetex": True}, "'text.usetex', which figures here cannot honour"),
    ],
)
def test_python_is_told_the_same(rc: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s", samples.plan(), {})
    samples.commit(store, 0)
    with pytest.raises(SpecError, match=rf"^figure\.rc has {sentence}"):
        open_results(store.root).figure(y="error", rc=rc)


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"kind": "curves", "y": "loss", "hue": DECAY, "legend": "right"}, "a legend"),
        ({"kind": "curves", "y": "loss", "hue": DECAY, "legend": "bar"}, "a colour bar"),
        ({"kind": "heatmap", "x": DECAY, "y": DEPTH, "value": "loss"}, "a colour bar"),
    ],
)
def test_a_figure_too_narrow_for_what_stands_beside_its_panel_is_refused(
    keys: dict[str, Any], what: str
) -> None:
    sentence = f"is 2, too narrow for one panel and {what}; give 2.5 or more"
    with pytest.raises(SpecError, match=sentence):
        draw(make_tables(), read_figure({**keys, "width_inches": 2.0}))
    # Warnings are errors: at the least width the layout does not collapse.
    figure = draw(make_tables(), read_figure({**keys, "width_inches": 2.5}))
    figure.draw_without_rendering()
    assert figure.axes[0].get_position().width * 2.5 > 0.4
