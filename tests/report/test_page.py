"""The page of a results folder, as a parser of HTML reads it."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import tomllib
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples

import dlnsweep
from dlnsweep.cli import app as cli
from dlnsweep.errors import StoreError
from dlnsweep.plan.plan import make_plan
from dlnsweep.report import content, write_report
from dlnsweep.report.svg import inline_svg
from dlnsweep.report.sweep_text import sweep_text
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store

# What an address in a page may be: a place in it, a picture in it, a paper.
ADDRESS = re.compile(
    r"#[\w-]+|data:image/png;base64,[\w+/=]+|https://arxiv\.org/abs/\d{4}\.\d{4,5}|"
    r"http://www\.w3\.org/2000/svg"
)
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """The elements of a page with their attributes, and the text of each kind."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str) -> str:
        return "".join(self.texts.get(tag, []))


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def check_safe(page: Page) -> None:
    """Nothing runs but the page's own script, and nothing is asked of a network."""
    (script,), (style,) = page.texts["script"], page.texts["style"]
    policy = next(
        m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"
    )
    for text, of in ((script, "script-src"), (style, "style-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{of} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert [len(page.all(tag)) for tag in ("script", "style")] == [1, 1]
    assert not {"iframe", "object", "embed", "form", "base", "link", "foreignobject", "input"} & {
        name for name, _ in page.elements
    }
    for _, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("style", "srcset", "formaction", "srcdoc")
            if name in ("href", "src", "xlink:href", "xmlns"):
                assert ADDRESS.fullmatch(value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return samples.small(tmp_path_factory.mktemp("report") / "small")


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    path = dlnsweep.open_results(folder).report(folder.parent / "pages" / "page.html")
    assert [each.name for each in path.parent.iterdir()] == ["page.html"]
    return read(path)


def test_a_page_has_what_an_advisor_asks_for(page: Page):
    assert page.text("h1") == "sample"
    headings = ["Figures", "Summary", "Divergence", "Settings", "Provenance"]
    assert page.texts["h2"] == headings
    assert [each["href"] for each in page.all("a")[2:]] == [
        f"#{each}" for each in ("figures", "summary", "diverged", "settings", "made")
    ]
    assert len(page.all("svg")) == 2
    words = "".join("".join(texts) for texts in page.texts.values())
    for said in ("training.weight_decay", "problem.signal_dim", "jax 0", "12 runs", "float64",
                 "2 of 12 runs diverged", "curves", "linear", "[[figure]]"):  # fmt: skip
        assert said in words
    assert not page.all("progress")
    assert page.all("a")[1]["href"] == "https://arxiv.org/abs/2502.15522"
    check_safe(page)


def test_ids_are_unique_and_what_points_at_one_finds_it(page: Page):
    ids = Counter(a["id"] for _, a in page.elements if "id" in a)
    assert set(ids.values()) == {1}
    pointed = {
        found
        for _, attributes in page.elements
        for name, value in attributes.items()
        for found in (
            [value[1:]]
            if name == "href" and value.startswith("#")
            else re.findall(r"url\(#(.+?)\)", value)
        )
    }
    assert len(pointed) > 20
    assert pointed <= set(ids)
    labels = {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a}
    assert labels <= set(ids)


def test_tables_have_heads_names_and_what_they_are_sorted_by(page: Page):
    regions = [a for a in page.all("div") if a.get("class") == "scroll"]
    assert all(a["role"] == "region" and a["tabindex"] == "0" and a["aria-label"] for a in regions)
    assert {a["scope"] for a in page.all("th")} == {"col", "row"}
    keys = [float(a["data-key"]) for a in page.all("td") if "data-key" in a]
    assert 0.5 in keys
    assert page.all("html") == [{"lang": "en"}]


def test_the_same_folder_gives_the_same_page(folder: Path, page: Page, tmp_path: Path):
    assert page
    before = folder.parent / "pages" / "page.html"
    assert write_report(folder, tmp_path / "b.html").read_bytes() == before.read_bytes()


def test_nothing_of_a_hostile_folder_is_markup(tmp_path: Path):
    page = read(write_report(samples.hostile_but_drawn(tmp_path / "h"), tmp_path / "p.html"))
    check_safe(page)
    assert len(page.all("svg")) == 2
    assert page.text("h1").startswith(samples.ALL.split(" $x$")[0])
    whole = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", whole)
    assert "49" not in page.text("h1")
    # A figure of an unknown kind is told of; the rest of the page stands.
    page = read(write_report(samples.hostile(tmp_path / "unknown"), tmp_path / "q.html"))
    check_safe(page)
    assert not page.all("svg")
    assert "it must be one of curves" in "".join(page.texts["span"])


def test_a_picture_keeps_shapes_and_nothing_else():
    source = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"
      xmlns:xlink="http://www.w3.org/1999/xlink"><style>*{fill:red}</style><script>1</script>
      <g id="a" onclick="1"><path id="b" d="M 0 0" style="fill: #fff; background: url(x)"/></g>
      <a xlink:href="javascript:1"><path d="M 1 1"/></a><use xlink:href="#b"/>
      <use xlink:href="http://x/y.svg#b"/><image xlink:href="data:image/svg+xml;base64,AA=="/>
      <path fill="url(http://x)" clip-path="url(#b)"/></svg>"""
    text = str(inline_svg(source, "f1-", "x"))
    page = Page(text)
    assert [name for name, _ in page.elements] == [
        "svg", "path", "use", "use", "image", "path"
    ]  # fmt: skip
    assert page.elements[1][1] == {"id": "f1-b", "d": "M 0 0", "fill": "#fff"}
    assert page.elements[2][1] == {"href": "#f1-b"}
    assert page.elements[3][1] == page.elements[4][1] == {}
    assert page.elements[5][1] == {"fill": "", "clip-path": "url(#f1-b)"}


def test_a_marker_has_its_colour_where_it_is_used():
    source = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"
      xmlns:xlink="http://www.w3.org/1999/xlink"><g id="as-drawn-3"><defs><path id="m" d="M 0 0"
      style="stroke-width: 2; stroke: #123456; stroke-linejoin: miter"/></defs>
      <use xlink:href="#m" style="fill: #abcdef; stroke: #123456"/></g></svg>"""
    page = Page(str(inline_svg(source, "f1-", "x")))
    assert [name for name, _ in page.elements] == ["svg", "g", "defs", "path", "use"]
    assert page.elements[1][1] == {"class": "as-drawn"}
    assert page.elements[3][1] == {
        "id": "f1-m", "d": "M 0 0", "stroke-width": "2", "stroke-linejoin": "miter",
    }  # fmt: skip
    assert page.elements[4][1] == {"href": "#f1-m", "fill": "#abcdef", "stroke": "#123456"}


def test_a_page_that_is_sent_does_not_say_where_a_home_lies(tmp_path: Path):
    folder = samples.small(tmp_path / "home" / "damaged")
    (path,) = (folder / "curves").glob("*1.parquet")
    path.write_bytes(path.read_bytes()[:100])
    text = write_report(folder, tmp_path / "p.html").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert "damaged/curves/" in text


def test_an_unfinished_sweep_says_how_far_it_is(tmp_path: Path):
    page = read(write_report(samples.begun(tmp_path / "begun"), tmp_path / "p.html"))
    assert page.all("progress") == [{"max": "12", "value": "6", "aria-label": "Runs done"}]
    assert "6 of 12 runs are done" in page.text("strong")
    assert len(page.all("svg")) == 1
    store = Store.create(tmp_path / "new", samples.samples.plan(), {})
    page = read(write_report(store.root, tmp_path / "p.html"))
    assert "Nothing is done yet" in page.texts["h2"]
    assert page.all("progress")[0]["value"] == "0"


def test_a_damaged_receipt_is_told_and_the_rest_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`status`, `report` and the card: what the others say, a sentence, and the status 3."""
    root = samples.small(tmp_path / "small")
    store = Store.open(root)
    whole = store.status()
    receipt = root / "receipts" / "batch-000000.json"
    receipt.write_text(receipt.read_text().replace('"seconds": ', '"seconds": "x", "was": '))
    sentence = "batch-000000.json: is damaged (its 'seconds' is a str that it cannot be)"
    with pytest.raises(StoreError) as refused:
        store.status()
    assert sentence in str(refused.value)
    found = store.status(with_damage=True)
    assert len(found.damaged) == 1
    assert (found.done, found.batches_done) == (whole.done, whole.batches_done)
    assert found.seconds < whole.seconds

    def command(*arguments: str) -> str:
        # The command line turns it into text and the exit status 3.
        with pytest.raises(StoreError) as ended:
            cli.app([*arguments])
        assert sentence in str(ended.value)
        return capsys.readouterr().out

    out = command("status", str(root))
    assert "12 of 12 runs done" in out
    assert "of computing, without 1 batch whose receipt is damaged" in out
    path = tmp_path / "p.html"
    assert command("report", str(root), "--out", str(path)) == f"{path}\n"
    page = read(path)
    check_safe(page)
    assert "Damage" in page.texts["h2"]
    assert "1 of their 2 batches has a damaged receipt</a>." in path.read_text()
    assert any("1 of 2 batches that are done have a damaged" in text for text in page.texts["p"])
    # Who is sent the page need not know where it was made; and figures are there.
    assert str(tmp_path) not in path.read_text()
    assert page.all("svg")
    # Diverged runs are counted from the outcomes, which know those of the damaged batch.
    assert any("2 of 12 runs diverged" in text for text in page.texts["p"])
    card = dlnsweep.open_results(root)._repr_html_()
    assert "1 receipt; `dlnsweep verify` tells what to do" in card


def test_runs_that_diverged_before_any_step_have_their_own_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = dlnsweep.open_results(folder)
    status = results.store.status()
    runs = results.runs(unused=True)
    grown, unbegun = "exceeded `training.divergence_factor`", "targets are all zero"

    def told(steps: list[int]) -> str:
        made: Any = runs.copy()
        made.loc[made["status"] == "diverged", "diverged_step"] = steps
        monkeypatch.setattr(type(results), "runs", lambda *_, **__: made)
        (section,) = content._endings(results, status)
        return section.lead

    assert (grown in told([3, 3]), unbegun in told([3, 3])) == (True, False)
    assert (grown in told([0, 0]), unbegun in told([0, 0])) == (False, True)
    assert grown in told([0, 3])
    assert "; 1 of them at step 0, before any step: their targets" in told([0, 3])


def test_claims_of_many_runs_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = dlnsweep.open_results(samples.small(tmp_path / "small"))
    status = results.store.status()
    monkeypatch.setattr(content, "_MOST_JUDGED", 11)
    # None is about these runs.
    assert list(content._claims(results, status)) == []
    monkeypatch.setattr(content, "claims_about", lambda runs: ["one"] * (len(runs) == 12))
    (section,) = content._claims(results, status)
    told = "12 runs are judged by `dlnsweep claims`, which takes a while, not here."
    assert (section.heading, section.notes) == ("Claims", (told,))


def test_a_page_of_10000_runs_is_small_and_says_what_it_leaves_out(tmp_path: Path):
    path = write_report(samples.large(tmp_path / "large", 5000), tmp_path / "p.html")
    assert path.stat().st_size < 5e6
    page = read(path)
    assert "10&#8239;000" in path.read_text(encoding="utf-8")
    assert len(page.all("svg")) == len(page.all("image")) == 4
    # Dark as a whole on a dark screen; those of a heatmap's cells are not.
    assert sum(each.get("class") == "plate turned" for each in page.all("div")) == 4
    notes = "".join(page.texts["p"])
    assert "4600 more rows: " in notes
    assert "an image of 160 dots an inch" in "".join(page.texts["span"])
    check_safe(page)


def test_what_cannot_be_written_is_told(folder: Path, tmp_path: Path):
    with pytest.raises(StoreError, match="is a folder; give the name of a file"):
        write_report(folder, tmp_path)
    # A device would be replaced for all of the system.
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="is a device or a pipe, which a page cannot replace"):
        write_report(folder, tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="the page cannot be written"):
        write_report(folder, tmp_path / "file" / "page.html")
    with pytest.raises(StoreError, match=r"sweep\.json"):
        write_report(tmp_path, tmp_path / "page.html")


def test_the_command_writes_a_page(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.app(["report", str(folder)])
    assert not ended.value.code
    assert capsys.readouterr().out == "sample.html\n"
    assert read(tmp_path / "sample.html").text("h1") == "sample"
    # It is made to be sent: where it was made is nobody's business.
    assert str(folder.parent) not in (tmp_path / "sample.html").read_text()
    assert f"dlnsweep report {folder.name}" in (tmp_path / "sample.html").read_text()


SWEEP = """
name = "again"
[problem]
kind = "subspace"
signal_dim = 8
measurement_dim = 4
subspace_dim = 2
num_samples = 20
[network]
depth = [2, 3]
width = 8
[training]
learning_rate = [0.1, 0.2]
weight_decay = [0.1, 0.0]
num_steps = [10, 20]
[record]
observables = ["regression_error"]
count = 5
[sweep]
seeds = [0, 1, 5]
zip = [["training.learning_rate", "training.num_steps"]]
[figure]
kind = "curves"
y = "regression_error"
where = { "network.depth" = 2 }
"""


def test_the_sweep_as_a_file_gives_the_same_runs(tmp_path: Path):
    from dlnsweep.execution.preparing import prepare

    (tmp_path / "sweep.toml").write_text(SWEEP)
    sweep = Sweep.from_file(tmp_path / "sweep.toml")
    prepared = prepare(sweep, tmp_path / "again")
    text = sweep_text(dlnsweep.open_results(prepared.store.root))
    assert text.whole
    again = Sweep.from_dict(tomllib.loads(text.text))
    assert again.figures == sweep.figures
    assert sorted(make_plan(again).run_ids) == sorted(make_plan(sweep).run_ids)
