"""What cannot be drawn is found before anything runs, or costs a sentence: never a result."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from figure_samples import make_tables
from spec_samples import problems, sweep
from sweep_samples import BARE, PATIENCE, write
from test_figures import drawn, texts

import dlnsweep
from dlnsweep.contracts.figure import read_figure
from dlnsweep.errors import FigureError, SpecError
from dlnsweep.figures import folder as drawing
from dlnsweep.figures.draw import draw, save
from dlnsweep.spec.figures.wording import why_not, words_of_text

REPOSITORY = Path(__file__).parents[2]
DECAY, DEPTH, RATE = "training.weight_decay", "network.depth", "training.learning_rate"
AXES = {
    "network__depth": [2, 3], "training__weight_decay": [1e-3, 1e-2], "sweep__seeds": 2,
}  # fmt: skip


def wrong(axes: dict[str, Any] | None = None, **figure: Any) -> list[str]:
    """Return what is wrong with a sweep of two depths, two weight decays, and this figure."""
    table = {"kind": "curves", "y": "regression_error", **figure}
    return [each.removeprefix("sweep: ") for each in problems(figure=table, **(axes or AXES))]


@pytest.mark.parametrize(
    ("figure", "sentence"),
    [
        ({"where": {DEPTH: 7}}, "where selects no run: network.depth is one of 2, 3 here."),
        ({"where": {DEPTH: [2, 7]}}, "where names 7, but network.depth is one of 2, 3 here."),
        ({"where": {"seed": 5}}, "where selects no run: seed is one of 0, 1 here."),
        (
            {"kind": "final", "x": DEPTH, "where": {DEPTH: 2}},
            "x is 'network.depth', which has one value in this sweep; settings with several "
            "values: training.weight_decay, seed.",
        ),
        (
            {"kind": "final", "x": DECAY, "at": 10**9},
            "at is 1000000000, but the last step (training.num_steps) is 100.",
        ),
        (
            {"kind": "final", "x": DECAY, "at": 99},
            "at is 99, a step that no run records; the nearest one is 98 (or name it: "
            'record.spacing = "explicit", record.steps).',
        ),
        ({"x_min": 100}, "x_min is 100, but the last step (training.num_steps) is 100."),
        (
            {"kind": "final", "x": DECAY, "x_min": 1},
            "x_min is 1, but the largest value of training.weight_decay is 0.01.",
        ),
        (
            {
                "kind": "final",
                "x": DECAY,
                "panel_by": DEPTH,
                "levels": [{"at": 0.1, "label": "baseline", "panel": 4}],
            },
            "levels[0].panel is 4, but network.depth is one of 2, 3 here.",
        ),
        (
            {"kind": "final", "x": DECAY, "levels": [{"at": 0.1, "label": "a", "panel": 2}]},
            "levels[0].panel is given, but there is one panel only; set panel_by.",
        ),
        (
            {"kind": "final", "x": DECAY, "levels": [{"at": 0.1, "label": "a", "y": "loss"}]},
            "levels[0].y is 'loss', which is not drawn; y is ['regression_error'].",
        ),
        (
            {"title": "$x_$"},
            "title is '$x_$'; its mathematics cannot be read (end of text at character 2 of it); "
            "write \\$ for a dollar sign.",
        ),
        (
            {"title": "two\nlines"},
            "title is 'two\\nlines'; it must be one line of at most 500 characters.",
        ),
        ({"title": "日"}, "title is '日'; the font of figures (DejaVu Sans) has no 日."),
        (
            {"width_inches": 30.0, "height_inches": 40.0, "dpi": 1200},
            "dpi is 1200, which makes 1728 million pixels of 30 x 40 in; 100 million at most: set "
            "dpi = 288 or less (lines and text of a PDF or SVG have no pixels).",
        ),
    ],
)
def test_what_cannot_be_drawn_is_found_before_anything_runs(figure: dict, sentence: str) -> None:
    assert wrong(**figure) == [f"figure.{sentence}"]


def test_where_can_select_no_pair_of_settings_that_move_together() -> None:
    axes = {
        "network__depth": [2, 3], "training__learning_rate": [0.02, 0.01],
        "sweep__zip": [[DEPTH, RATE]],
    }  # fmt: skip
    assert wrong(axes, where={DEPTH: 2, RATE: 0.01}) == [
        "figure.where selects no run: network.depth, training.learning_rate move together."
    ]
    right = {"kind": "curves", "y": "regression_error", "where": {DEPTH: 2, RATE: 0.02}}
    assert sweep(figure=right, **axes).num_runs == 2


def test_panels_that_nobody_reads_are_refused() -> None:
    many = {"sweep__seeds": 65}
    (told,) = wrong(many, panel_by="seed")
    assert told.startswith("figure.panel_by is 'seed', which makes 65 panels; 64 at most:")


@pytest.mark.parametrize(
    "keys",
    [
        {"width_inches": 1.5, "height_inches": 1.2},
        {"width_inches": 3.0, "height_inches": 1.2, "y": ["loss", "regression_error"]},
        {"width_inches": 1.5, "height_inches": 1.2, "hue": DECAY, "panel_by": DEPTH},
    ],
)
def test_the_smallest_sizes_that_are_taken_can_be_laid_out(keys: dict, tmp_path: Path) -> None:
    table = {"kind": "curves", "y": "loss", "dpi": 50, **keys}
    if "panel_by" in keys:
        with pytest.raises(SpecError, match=r"too narrow for 2 panels .* give 3 or"):
            drawn(**table)
        table["width_inches"] = 3.0
    figure = drawn(**table)
    # A warning of the layout would be an error here.
    save(figure, tmp_path / "figure", ["png"])
    for ax in figure.axes:
        box = ax.get_position()
        assert box.width * figure.get_figwidth() > 0.4
        assert box.height * figure.get_figheight() > 0.4


def test_two_figures_do_not_write_the_same_file() -> None:
    tables = [{"kind": "curves", "y": "regression_error", "file": name} for name in ("a", "A")]
    (told,) = problems(figure=tables)
    assert "figure.file is 'a' in 2 figures; give each its own." in told


def test_settings_that_a_figure_does_not_show_are_told() -> None:
    def notes(**figure: Any) -> list[str]:
        table = {"kind": "curves", "y": "regression_error", **figure}
        return sweep(figure=table, **AXES).figure_notes

    assert notes(hue=DECAY, panel_by=DEPTH) == []
    assert notes(hue=DECAY, where={DEPTH: 3}) == []
    assert notes(hue=DECAY) == [
        "figure: its medians mix runs of every network.depth (2 values), which neither hue nor "
        "panel_by shows."
    ]
    one = notes(hue="network.width", where={DEPTH: 3, DECAY: 1e-3})
    assert one == ["figure: hue is 'network.width', which has one value in the runs that it draws."]


def test_what_moves_with_a_shown_setting_is_not_told() -> None:
    axes = {
        "network__depth": [2, 3], "training__learning_rate": [0.02, 0.01],
        "sweep__zip": [[DEPTH, RATE]],
    }  # fmt: skip
    figure = {"kind": "curves", "y": "regression_error", "hue": RATE}
    assert sweep(figure=figure, **axes).figure_notes == []


def test_mathematics_with_spaces_is_not_broken_between_lines() -> None:
    assert words_of_text(r"costs \$5 $a + b$, $6") == ["costs", r"\$5", "$a + b$,", "$6"]
    title = "a long title whose formula $x_{1} + x_{2} + x_{3} + x_{4}$ stands near the line's end"
    shown = texts(drawn(kind="curves", y="loss", title=title))
    assert "$x_{1} + x_{2} + x_{3} + x_{4}$" in shown


@pytest.mark.parametrize("text", ["$x_$", "$$", r"$\nothing$", "$" + "{" * 200 + "}" * 200 + "$"])
def test_texts_of_a_folder_that_are_no_mathematics_are_drawn_as_they_are(text: str) -> None:
    assert why_not(text)
    tables = make_tables()
    tables.name, tables.sweep = text, {"name": text, "source": text}
    tables.run_table["problem.operator_file"] = [text, "b"] * (len(tables.run_table) // 2)
    figure = draw(
        tables, read_figure({"kind": "curves", "y": "loss", "hue": "problem.operator_file"})
    )
    figure.draw_without_rendering()


# Four runs in one batch: the program of other tests' sweeps.
SMALL = (
    BARE.replace('"small"', '"s"')
    .replace("[1e-2, 1e-3]", "[1e-2, 1e-3, 1e-4, 1e-5]")
    .replace("[30, 40, 50]", "30")
    .replace("seeds = 2", "seeds = 1")
)
SMALL += """
[figure]
kind = "curves"
y = "regression_error"
dpi = 50
formats = ["png"]
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a results folder whose figure was drawn by Python's `run`."""
    folder = tmp_path_factory.mktemp("failures")
    found = dlnsweep.run(write(folder, SMALL), folder / "results", workers=0)
    return Path(str(found.path))


def command(folder: Path, *arguments: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    return subprocess.run(
        [sys.executable, "-m", "dlnsweep", *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE,
        env={**kept, "PYTHONPATH": str(REPOSITORY), **environment},
    )  # fmt: skip


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense"])
def test_the_shells_backend_does_not_matter(results: Path, backend: str, tmp_path: Path) -> None:
    (picture,) = (results / "figures").glob("curves.png")
    before = picture.read_bytes()
    # A settings file of the user's, of which every value would show.
    (tmp_path / "matplotlibrc").write_text("font.size: 30\ntext.usetex: True\nbackend: qtagg\n")
    picture.unlink()
    ended = command(tmp_path, "figure", results, MPLBACKEND=backend)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.strip() == str(picture)
    assert picture.read_bytes() == before


def test_the_users_own_matplotlib_is_left_as_it_was(results: Path, tmp_path: Path) -> None:
    code = (
        "import os, sys, dlnsweep\n"
        f"dlnsweep.draw_figures({str(results)!r})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert os.environ['MPLBACKEND'] == 'svg'\n"
        "import matplotlib; assert matplotlib.rcParams['backend'] == 'svg'\n"
        "import matplotlib.pyplot as plt; figure = plt.figure(); plt.rcParams['font.size'] = 30\n"
        f"dlnsweep.draw_figures({str(results)!r})\n"
        "assert plt.gcf() is figure and plt.get_fignums() == [1]\n"
        "assert plt.rcParams['font.size'] == 30\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "MPLBACKEND": "svg"},
    )  # fmt: skip


def test_a_bare_figure_is_judged_by_what_the_folder_holds(results: Path, tmp_path: Path) -> None:
    bare = write(tmp_path, '[figure]\nkind = "curves"\ny = "regression_error"\nfile = "bare"\n')
    (path,) = (
        p for p in drawing.draw_figures(results, drawing.figures_of(bare)) if "png" in Path(p).name
    )
    assert path == results / "figures" / "bare.png"
    absent = write(tmp_path, '[figure]\nkind = "curves"\ny = "loss"\n', "absent.toml")
    with pytest.raises(SpecError, match=r"figure.y\[0\] is 'loss'; the sweep recorded off_subsp"):
        drawing.draw_figures(results, drawing.figures_of(absent))
    wrong_kind = write(tmp_path, '[figure]\nkind = "curve"\n', "kind.toml")
    with pytest.raises(SpecError, match=r"figure.kind is 'curve'; it must be one of curves, final"):
        drawing.figures_of(wrong_kind)
    with pytest.raises(SpecError, match=r"the file has no \[figure\]"):
        drawing.figures_of(write(tmp_path, "name = 's'\n", "none.toml"))


def test_python_draws_tables_too(results: Path) -> None:
    table = {"kind": "final", "x": "seed", "y": "regression_error", "formats": ["svg"]}
    with pytest.raises(SpecError, match="seed', which has one value in this sweep"):
        dlnsweep.draw_figures(results, [table])
    table = {"kind": "curves", "y": "regression_error", "formats": ["svg"], "file": "mine"}
    (path,) = dlnsweep.draw_figures(dlnsweep.open_results(results), [table])
    assert path == results / "figures" / "mine.svg"
    # A table alone, as in a sweep file.
    assert dlnsweep.draw_figures(results, table) == [path]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("given", [3, "curves", [3], [{"kind": "curves"}, "curves"], [None]])
def test_what_is_no_table_of_a_figure_is_told(results: Path, given: Any) -> None:
    with pytest.raises(SpecError, match=r"^figures has .+; give a list of tables with the keys of"):
        dlnsweep.draw_figures(results, given)


def test_a_figure_that_fails_costs_a_sentence_and_no_other_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = '[[figure]]\nkind = "curves"\ny = "regression_error"\nformats = ["png"]\ndpi = 50\n'
    text = SMALL.replace("[figure]", second + 'file = "other"\n[[figure]]')
    real = drawing.draw

    def fails(results: Any, settings: Any) -> Any:
        if settings.file != "other":
            raise MemoryError("no room")
        return real(results, settings)

    monkeypatch.setattr(drawing, "draw", fails)
    with pytest.raises(FigureError) as caught:
        dlnsweep.run(write(tmp_path, text), tmp_path / "results", workers=0)
    folder = tmp_path / "results" / "s"
    assert str(caught.value).startswith(
        f"{folder}: the figure 'curves' cannot be drawn (MemoryError: no room); the results are "
        "complete:"
    )
    assert caught.value.exit_status == 6
    assert [path.name for path in (folder / "figures").glob("*.png")] == ["other.png"]
    assert list(dlnsweep.open_results(folder).runs()["status"]) == ["finished"] * 4

    monkeypatch.setattr(drawing, "draw", lambda results, settings: np)
    with pytest.raises(FigureError, match="returned module; it must return a matplotlib Figure"):
        dlnsweep.draw_figures(folder, [{"kind": "curves", "y": "regression_error"}])


def test_what_was_found_too_late_does_not_say_that_nothing_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(results: Any, settings: Any) -> Any:
        raise SpecError("figure.x_scale is wrong.")

    monkeypatch.setattr(drawing, "draw", fails)
    with pytest.raises(FigureError, match=r"all runs are kept\. figure\.x_scale") as caught:
        dlnsweep.run(write(tmp_path, SMALL), tmp_path / "results", workers=0)
    assert caught.value.exit_status == 6


def test_python_can_run_without_drawing(tmp_path: Path) -> None:
    dlnsweep.run(write(tmp_path, SMALL), tmp_path, workers=0, figures=False)
    assert not (tmp_path / "s" / "figures").exists()
