"""Figures asked for in Python: drawn where a notebook shows values, saved the same each time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import store_samples as samples

from dlnsweep.cli.app import app
from dlnsweep.errors import SpecError
from dlnsweep.figures.folder import stored_figures
from dlnsweep.results import Results, open_results
from dlnsweep.store import Store

KEYS = {"y": "error", "hue": "training.weight_decay"}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    samples.complete(tmp_path / "a")
    return open_results(tmp_path / "a")


def test_a_figure_is_drawn_from_keywords_or_a_table(results: Results) -> None:
    by_keywords = results.figure(**KEYS)
    by_table = results.figure({"kind": "curves", **KEYS})
    decays = np.unique(results.runs()["training.weight_decay"])
    for figure in (by_keywords, by_table):
        (ax,) = figure.axes
        assert len(ax.get_lines()) == len(decays)
    # NumPy's values, tuples and paths are what a file would hold.
    where = {"training.weight_decay": np.array([0.1])}
    (ax,) = results.figure(y=("error",), where=where).axes
    assert len(ax.get_lines()) == 1
    with pytest.raises(SpecError, match=r"^figure\.y\[0\] is 'eror'; "):
        results.figure(y="eror")
    with pytest.raises(SpecError, match=r"has no .figure.; say what to draw"):
        results.figure()


def test_without_keys_it_is_the_sweeps_own_figure(tmp_path: Path) -> None:
    own = {"figures": [{"kind": "curves", **KEYS, "title": "mine"}]}
    record = {**samples.plan().record, **own}
    store = Store.create(tmp_path / "b", samples.plan(record=record), samples.ENVIRONMENT)
    samples.commit(store, 0)
    assert "mine" in [text.get_text() for text in open_results(store.root).figure().texts]


def test_keys_are_set_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    small = {"dpi": 50, "formats": ["png"]}
    own = {"figures": [{"kind": "curves", **KEYS, **small}, {"kind": "curves", **KEYS, **small}]}
    record = {**samples.plan().record, **own}
    store = Store.create(tmp_path / "b", samples.plan(record=record), samples.ENVIRONMENT)
    samples.commit(store, 0)

    def figure(*arguments: str) -> list[str]:
        app(["figure", "b", *arguments], standalone_mode=False)
        return capsys.readouterr().out.split()

    several = figure("--set", "figure.title=Mine", "--set", "figure.1.legend_names.0.1=strong")
    assert several == [f"{tmp_path}/b/figures/{name}.png" for name in ("curves", "curves-2")]
    drawn = stored_figures(
        open_results(store.root), ["figure.title=Mine", "figure.1.legend_names.0.1=strong"]
    )
    assert [each.title for each in drawn] == ["Mine", "Mine"]
    assert [each.legend_names for each in drawn] == [{}, {"0.1": "strong"}]
    assert figure("--out", "here", "--set", "figure.0.width=jmlr")[0] == "here/curves.png"
    # What the other kind was by default is nobody's wish.
    (made, _) = stored_figures(
        open_results(store.root),
        ["figure.0.kind=final", "figure.0.x=network.depth", "figure.0.x_scale=linear"],
    )
    assert (made.kind, made.x, made.y, made.dpi) == ("final", "network.depth", ("error",), 50)
    # A heatmap has its observable in another key.
    (made, _) = stored_figures(
        open_results(store.root),
        ["figure.kind=heatmap", "figure.hue=", "figure.x=network.depth", "figure.y=seed"],
    )
    assert (made.kind, made.x, made.y, made.value) == ("heatmap", "network.depth", "seed", "error")
    # A folder without figures is drawn all the same, as in Python.
    samples.complete(tmp_path / "c")
    (made,) = stored_figures(open_results(tmp_path / "c"), ["figure.y=error"])
    assert (made.kind, made.y) == ("curves", ("error",))
    for override, sentence in [
        ("figure.2.title=a", "there is no figure.2; they are figure.0 to figure.1."),
        ("training.depth=3", "only keys of the figures can be set here"),
        ("figure.title.size=3", "keys of tables stand behind where, rc, legend_names"),
        ("figure.titel=a", "figure[0].titel is not a key of [figure[0]]; did you mean 'title'?"),
    ]:
        with pytest.raises(SpecError, match=re.escape(sentence)):
            figure("--set", override)


def test_a_notebook_shows_it_and_pyplot_knows_nothing_of_it(results: Results) -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums(), dict(matplotlib.rcParams)
    figure = results.figure(**KEYS)
    png, size = figure._repr_png_()  # type: ignore[attr-defined]
    assert png.startswith(b"\x89PNG")
    assert size["width"] == round(110 * figure.get_figwidth())
    assert (plt.get_fignums(), dict(matplotlib.rcParams)) == before


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_it_is_saved_the_same_each_time_whatever_the_users_style(
    results: Results, tmp_path: Path, ending: str
) -> None:
    written = []
    others: list[Any] = [{}, {"svg.hashsalt": "other", "font.size": 30.0}]
    for number, style in enumerate(others):
        path = tmp_path / f"{number}.{ending}"
        with matplotlib.rc_context(style):
            results.figure(**KEYS).savefig(path)
        written.append(path.read_bytes())
    assert written[0] == written[1]
