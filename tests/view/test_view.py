"""The page without a browser: who may ask it, what it draws, and the TOML that draws the same."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import store_samples as samples

from dlnsweep.errors import SpecError
from dlnsweep.figures.draw import draw
from dlnsweep.figures.folder import read_figures
from dlnsweep.figures.statistics import summarize
from dlnsweep.results import open_results
from dlnsweep.store import Store
from dlnsweep.view import artists
from dlnsweep.view.address import address_of, form_in, read_address
from dlnsweep.view.forms import settled
from dlnsweep.view.held import Columns, HeldResults
from dlnsweep.view.picture import picture
from dlnsweep.view.sweeps import Offer, Sweep
from dlnsweep.view.tables import figure_toml, form_of, table_of, toml_lines
from dlnsweep.view.words import plain_words, words

HUE = "training.weight_decay"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("view") / "a"
    samples.complete(root)
    return root


@pytest.fixture
def held(folder: Path) -> HeldResults:
    return HeldResults(Store.open(folder), Columns())


TABLES: list[dict[str, Any]] = [
    {"kind": "curves", "y": "error", "hue": HUE},
    {"kind": "curves", "y": "error", "hue": HUE, "band": "std", "where": {HUE: [0.1, 0.5]}},
    {"kind": "final", "y": ["error"], "x": HUE},
    {"kind": "scatter", "y": ["error"], "x": HUE, "x_scale": "linear"},
    {"kind": "heatmap", "x": HUE, "y": "seed", "value": "error"},
]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table["kind"])
def test_the_copied_toml_draws_what_the_page_shows(
    held: HeldResults, folder: Path, tmp_path: Path, table: dict[str, Any]
) -> None:
    """Medians, bands, cells and points, number by number, against a figure drawn from the TOML."""
    form, more = form_of(table)
    again = table_of(form, more)
    (tmp_path / "figure.toml").write_text(figure_toml(again))
    read = tomllib.loads((tmp_path / "figure.toml").read_text())["figure"]
    page = picture(held, again)
    json.dumps(page.figure, allow_nan=False)
    (settings,) = read_figures([read], "")
    (asked,) = read_figures([dict(table)], "")
    assert settings == asked
    drawn = draw(open_results(folder), settings)
    ax: Any = drawn.axes[0]
    traces = page.figure["data"]
    if table["kind"] == "heatmap":
        (cells,) = [each for each in traces if each["type"] == "heatmap"]
        mesh = np.ma.filled(ax.collections[0].get_array(), np.nan)
        shown = np.array(cells["z"], dtype=float)
        assert np.isnan(shown).any()
        logs = np.log10(mesh).reshape(shown.shape)
        # A logarithm and back: two roundings.
        assert np.allclose(shown, logs, rtol=1e-14, atol=1e-15, equal_nan=True)
        for (i, j), value in np.ndenumerate(mesh.reshape(shown.shape)):
            told = cells["hovertext"][i][j].split("<br>")
            column, row = (axis.get_ticklabels()[k] for axis, k in ((ax.xaxis, j), (ax.yaxis, i)))
            assert [line.rpartition(" ")[2] for line in told] == [
                column.get_text(),
                row.get_text(),
                "value" if np.isnan(value) else f"{value:.6g}",
            ]
        return
    filled = [each for each in traces if each.get("fill")]
    lines = [each for each in traces if not each.get("fill")]
    theirs = list(ax.get_lines())
    if table["kind"] == "final":
        lines = [each for each in lines if "error_y" in each]
        theirs = [ax.containers[0][0]]
        ends = np.array([segment[:, 1] for segment in ax.containers[0][2][0].get_segments()])
        (y, bars) = (np.array(lines[0]["y"]), lines[0]["error_y"])
        assert np.allclose(y + bars["array"], ends[:, 1], rtol=1e-14)
        assert np.allclose(y - bars["arrayminus"], ends[:, 0], rtol=1e-14)
    assert len(lines) == len(theirs) > 0
    for trace, line in zip(lines, theirs, strict=True):
        assert np.array_equal(np.array(trace["y"], dtype=float), line.get_ydata(), equal_nan=True)
    for trace, band in zip(filled, ax.collections, strict=False):
        assert np.array_equal(trace["y"], band.get_paths()[0].vertices[:, 1])
    assert bool(filled) == (table["kind"] == "curves")


def test_a_scatter_of_too_many_points_says_how_many_are_shown(
    held: HeldResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"kind": "scatter", "y": ["error"], "x": HUE, "x_scale": "linear"}
    assert "points shown" not in picture(held, table).notes
    monkeypatch.setattr(artists, "MOST_POINTS", 3)
    page = picture(held, table)
    (trace,) = page.figure["data"]
    assert len(trace["x"]) == 3
    assert page.notes.startswith("3 of ")


def test_single_runs_that_do_not_use_the_setting_below_stand_over_none(held: HeldResults) -> None:
    table = {"kind": "final", "y": ["error"], "x": "training.momentum"}
    page = picture(held, table, single=True)
    dots = next(each for each in page.figure["data"] if each.get("opacity") == 0.45)
    runs = held.runs(unused=True)
    levels = sorted(runs["training.momentum"].dropna().unique())
    wanted = [
        len(levels) if np.isnan(value) else levels.index(value)
        for value in runs["training.momentum"]
    ]
    assert [float(x) for x in dots["x"]] == wanted
    shown = [np.nan if y is None else float(y) for y in dots["y"]]
    np.testing.assert_array_equal(
        shown, runs["final_error"].where(runs["status"] != "diverged").to_numpy(dtype=float)
    )


def test_what_is_held_is_what_the_files_say_and_no_more_than_may_be(folder: Path) -> None:
    plain = open_results(folder)
    for most in (0, 2**20):
        columns = Columns(most)
        held = HeldResults(Store.open(folder), columns)
        for _ in range(2):
            ours = [t.to_pydict() for t in held.curve_batches(["error"])]
            assert ours == [t.to_pydict() for t in plain.curve_batches(["error"])]
        assert columns.bytes <= most
        assert held.runs(unused=True).equals(plain.runs(unused=True))


def test_another_sweep_in_the_folders_place_is_drawn_from_its_own_records(tmp_path: Path) -> None:
    root = tmp_path / "a"
    samples.complete(root, samples.plan((0.1, 0.01)))
    shown, beside = (Sweep(str(root), Columns()) for _ in range(2))
    for sweep in (shown, beside):
        list(sweep.results.curve_batches(["error"]))
    shutil.rmtree(root)
    # Batch 0 has some of the runs that it had, and others.
    samples.complete(root, samples.plan((0.1, 0.5)))
    plain = open_results(root)
    ours = [t.to_pydict() for t in shown.results.curve_batches(["error"])]
    assert ours == [t.to_pydict() for t in plain.curve_batches(["error"])]
    # The clock asks for a mark before anything is drawn.
    assert beside.results.mark()
    assert beside.offer().settings[HUE] == [0.1, 0.5]
    ours = [t.to_pydict() for t in beside.results.curve_batches(["error"])]
    assert ours == [t.to_pydict() for t in plain.curve_batches(["error"])]
    # Who looks is told, on the page.
    assert "another sweep than the page began with" in shown.progress()


def test_what_happens_to_a_folder_is_told_in_an_object_store_too() -> None:
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    root = "memory://view/a"
    files = fsspec.filesystem("memory")
    try:
        store = Store.create(root, samples.plan((0.1, 0.01)), samples.ENVIRONMENT)
        samples.commit(store, 0)
        sweep = Sweep(root, Columns())
        before = sweep.results.mark()
        # More runs, and more batches: the same sweep.
        more = samples.plan((0.1, 0.01, 0.5))
        new = samples.some_rows(more, store.missing_rows(np.asarray(more.run_ids)))
        store.extend(new, samples.ENVIRONMENT, more)
        assert sweep.results.mark() != before
        assert sweep.offer().settings[HUE] == [0.01, 0.1, 0.5]
        assert sweep.replaced == ""
        files.rm("/view", recursive=True)
        samples.complete(root, samples.plan((0.1, 0.5)))
        assert "another sweep than the page began with" in sweep.progress()
        assert sweep.offer().settings[HUE] == [0.1, 0.5]
        # The same sweep, begun anew.
        sweep = Sweep(root, Columns())
        files.rm("/view", recursive=True)
        Store.create(root, samples.plan((0.1, 0.5)), samples.ENVIRONMENT)
        assert sweep.progress().endswith(", batches that were done were taken away")
    finally:
        if files.exists("/view"):
            files.rm("/view", recursive=True)


def test_an_address_says_the_form_and_nobody_is_trusted_with_it() -> None:
    form = {"kind": "final", "x": HUE, "y": ["error", "a&b=#"], "where": ['["seed", 1]'],
            "hue": None, "value": "error", "at": "10"}  # fmt: skip
    said = read_address("#" + address_of(form, ["é 1"], ["same"], "title = 'a'\n"))
    assert said is not None
    assert said["sweeps"] == ["é 1"]
    assert said["switches"] == ["same"]
    assert said["more"] == ["title = 'a'\n"]
    # The value is of heatmaps; it is not shown, and not said.
    again = form_in(said)
    assert {key: again[key] for key in form} == {**form, "value": None}
    assert address_of(form, [], [], "x" * 30_000) == ""
    for bad in (None, 3, "", "#", "y=error", "kind=curves&" + "y=x&" * 2000, "kind" * 9000):
        assert read_address(bad) is None
    # What is not offered is not taken.
    strange = read_address("kind=<b>&y=../x&hue=__class__&at=1e999&band=x&where=%5B&kind=final")
    assert strange is not None
    offer = Offer({HUE: [0.1, 0.5]}, ["error"], [0, 10])
    found = settled(form_in(strange), offer)
    assert table_of(found) == {"kind": "curves", "y": "error"}


def test_a_new_batch_appears_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    pytest.importorskip("dash", reason="the extra view is not installed")
    from dlnsweep.view.page import _drawn
    from dlnsweep.view.sweeps import Sweeps

    store = Store.create(tmp_path / "b", samples.plan(), samples.ENVIRONMENT)
    samples.commit(store, 0)
    sweeps = Sweeps([str(tmp_path / "b")])
    before, progress = sweeps.mark(), sweeps.all[0].progress()
    samples.commit(store, 1)
    assert sweeps.mark() != before
    assert sweeps.all[0].progress() != progress
    form = {"kind": "curves", "y": ["error"], "hue": HUE, "where": []}
    _, figures, _, problems, *_ = _drawn(sweeps, [0], form, "", [])
    assert figures[0]["data"]
    assert problems == [""]
    (path,) = (tmp_path / "b" / "curves").glob("*1.parquet")
    path.write_bytes(path.read_bytes()[:100])
    _, figures, _, problems, *_ = _drawn(Sweeps([str(tmp_path / "b")]), [0], form, "", [])
    assert not figures[0]["data"]
    assert str(path) in problems[0]
    *_, toml = _drawn(sweeps, [0], form, "title = ", [])
    assert toml == ""
    wrong = _drawn(sweeps, [0], form, "colour = 1", [])[3]
    assert "figure.colour is not a key" in wrong[0]


def test_a_form_is_the_table_of_a_figure() -> None:
    table = {"kind": "curves", "y": "error", "hue": HUE, "title": 'a "b" \\ é \x7f', "x_min": 1e-7}
    form, more = form_of(table)
    assert tomllib.loads(more) == {"title": table["title"], "x_min": 1e-7}
    assert table_of(form, more) == table
    assert tomllib.loads(toml_lines(table)) == table
    assert table_of({"kind": "final", "x": HUE, "y": ["error"], "band": "quantile", "at": 10}) == {
        "kind": "final",
        "x": HUE,
        "y": "error",
        "at": 10,
    }
    # What a kind does not have is dropped, such as the x of curves.
    assert table_of({"kind": "curves", "x": HUE, "value": "error"}) == {"kind": "curves"}
    with pytest.raises(SpecError, match="no TOML"):
        table_of({}, "title = ")


def test_nothing_of_a_folder_is_markup() -> None:
    assert words("<a href='x'>b</a> $d_{w}$ $10^{-3}$") == (
        "&lt;a href=&#x27;x&#x27;&gt;b&lt;/a&gt; d<sub>w</sub> 10<sup>-3</sup>"
    )
    assert "<" not in words("$<b>x</b>$ \\$5 <i>").replace("&lt;", "")
    assert plain_words("$10^{-3}$ of $d_{w}$ & <b>") == "10⁻³ of d_w & <b>"
    assert words("error $\\|W_{L:1}\\|_F$") == "error"


def test_medians_without_gaps_have_the_bits_of_those_that_look_for_gaps() -> None:
    table = np.random.default_rng(0).lognormal(0, 3, (40, 701))
    quick = summarize(np.arange(40), table, "quantile", (0.25, 0.75))
    gap = np.concatenate([table, np.full((40, 1), np.nan)], axis=1)
    slow = summarize(np.arange(40), gap, "quantile", (0.25, 0.75))
    for one, other in zip(
        (quick.median, quick.lower, quick.upper), (slow.median, slow.lower, slow.upper), strict=True
    ):
        assert one is not None
        assert other is not None
        assert np.array_equal(one, other)


@pytest.fixture
def server(folder: Path) -> Any:
    pytest.importorskip("dash", reason="the extra view is not installed")
    from dlnsweep.view.serve import Server

    served = Server([str(folder)])
    yield served
    served.close()


def test_only_who_has_the_token_is_answered(server: Any) -> None:
    from dlnsweep.view.serve import Server

    client = server._server.app.test_client()
    host = server.address.removeprefix("http://").partition("/")[0]
    own = {"base_url": f"http://{host}"}
    assert client.get("/", **own).status_code == 403
    assert client.get("/_dash-layout", **own).status_code == 403
    assert client.get("/?token=wrong", **own).status_code == 403
    token = f"/?token={server.guard.token}"
    assert client.get(token, base_url="http://evil.example").status_code == 403
    assert client.get(token, headers={"Sec-Fetch-Site": "cross-site"}, **own).status_code == 403
    assert client.get(f"/_dash-layout{token[1:]}", **own).status_code == 403
    first = client.get(token, **own)
    assert (first.status_code, first.headers["Location"]) == (303, "/")
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert server.guard.token not in cookie
    page = client.get("/", **own)
    assert page.status_code == 200
    assert "Access-Control-Allow-Origin" not in page.headers
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert client.get("/", headers={"Origin": "http://evil.example"}, **own).status_code == 403
    assert client.get("/", base_url="http://rebound.example").status_code == 403
    assert client.delete("/", **own).status_code == 403
    # Everything is served from here.
    assert "https://" not in page.get_data(as_text=True)
    port = int(host.rpartition(":")[2])
    with pytest.raises(SpecError, match=rf"^port {port} is taken by another program; give another"):
        Server(server.paths, port)


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    import sys

    from dlnsweep.view.serve import Server

    monkeypatch.setitem(sys.modules, "dash", None)
    with pytest.raises(SpecError, match=r"pip install 'dlnsweep\[view\]'"):
        Server([str(folder)])
