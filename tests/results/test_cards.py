"""What a notebook shows of results, and one run of them."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples
from sweep_samples import SMALL, write

import dlnsweep
from dlnsweep.errors import SpecError
from dlnsweep.spec.sweep import Sweep


class Card(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.said = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said += data + "\n"

    @property
    def images(self) -> list[str]:
        return [attributes["src"] for tag, attributes in self.elements if tag == "img"]


def card(path: Path) -> Card:
    return Card(dlnsweep.open_results(path)._repr_html_())


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    evil = chunk(b"tEXt", b"Title\0<script>")
    return b"\x89PNG\r\n\x1a\n" + head + evil + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return samples.small(tmp_path_factory.mktemp("cards") / "small")


def test_a_card_says_what_varies_and_how_far_it_is(folder: Path, tmp_path: Path):
    found = card(folder)
    for said in ("sample", "12 done", "2 diverged", "training.weight_decay", "0.1, 0.01, 0, 0.5"):
        assert f"{said}\n" in found.said
    assert not found.images
    assert "6 of 12 done\n" in card(samples.begun(tmp_path / "begun")).said


def test_a_card_has_a_small_figure(folder: Path):
    (folder / "figures").mkdir()
    picture = folder / "figures" / "a.png"
    picture.write_bytes(png(900, 600, zlib.compress((b"\0" + b"\x20\x80\xff" * 900) * 600)))
    (source,) = card(folder).images
    data = base64.b64decode(source.removeprefix("data:image/png;base64,"), validate=True)
    assert struct.unpack(">II", data[16:24]) == (480, 320)
    # Of a file that anybody may have written only what is seen is kept.
    assert b"script" not in data
    for broken in (b"<svg onload=alert(1)>", png(60_000, 60_000, b""), png(9, 9, b"no"), b""):
        picture.write_bytes(broken)
        assert not card(folder).images
    picture.unlink()
    picture.symlink_to("/etc/passwd")
    assert not card(folder).images
    picture.unlink()


def test_a_card_shows_the_figure_that_the_sweep_asks_for_first(tmp_path: Path):
    root = samples.small(tmp_path / "small")
    samples.add_figures(root, [{"kind": "final"}, {"kind": "curves"}, {"kind": "final"}])
    (root / "figures").mkdir()

    def width() -> int:
        (source,) = card(root).images
        return struct.unpack(">I", base64.b64decode(source.partition(",")[2])[16:20])[0]

    sizes = {"another": 10, "curves": 20, "final-2": 30, "final": 40}
    for shown, (name, size) in enumerate(sizes.items(), 1):
        rows = zlib.compress((b"\0" + b"\x20\x80\xff" * size) * 9)
        (root / "figures" / f"{name}.png").write_bytes(png(size, 9, rows))
        # The second figure of the file comes before the third one.
        assert width() == [10, 20, 20, 40][shown - 1]


def test_nothing_of_a_hostile_folder_is_markup_in_a_card(tmp_path: Path):
    found = card(samples.hostile(tmp_path / "hostile"))
    assert {tag for tag, _ in found.elements} == {"div", "table", "tbody", "tr", "td"}
    assert {name for _, attributes in found.elements for name in attributes} == {"style"}
    assert "<script>window.pwned=1</script>" in found.said
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", found.said)


def test_a_sweep_has_a_card(tmp_path: Path):
    found = Card(Sweep.from_file(write(tmp_path, SMALL))._repr_html_())
    assert "12\n" in found.said
    assert "training.weight_decay (2) x training.num_steps (3) x seed (2)\n" in found.said


def test_one_run_has_its_settings_its_curves_and_a_figure(folder: Path):
    results = dlnsweep.open_results(folder)
    rows: Any = results.runs()
    for row in rows.to_dict("records"):
        run = results.run(row["run_id"])
        assert (run.run_id, run.status) == (row["run_id"], row["status"])
        assert run.settings["training.weight_decay"] == row["training.weight_decay"]
        assert run.settings["seed"] == row["seed"]
        assert run.final["error"] == row["final_error"]
    diverged = results.run(rows[rows["status"] == "diverged"]["run_id"].iloc[0])
    assert repr(diverged) == f"Run({diverged.run_id}, diverged at step 10)"
    finished = results.run(rows[rows["status"] == "finished"]["run_id"].iloc[0])
    assert (finished.diverged_step, finished.last_step) == (None, 100)
    assert "status\nfinished\n" in Card(finished._repr_html_()).said
    whole = results.curves(where={"run_id": finished.run_id})
    assert finished.curves["error"].tolist() == whole["error"].tolist()
    # What diverged is drawn as far as it came, though figures of many leave it out.
    for run in (finished, diverged):
        (axes,) = run.plot().axes
        drawn: list[Any] = [line.get_ydata() for line in axes.lines]
        assert any(list(each) == run.curves["error"].tolist() for each in drawn)
    assert finished.plot("error", y_scale="linear").axes[0].get_yscale() == "linear"


def test_what_is_no_run_is_refused(folder: Path, tmp_path: Path):
    wrongs: list[Any] = [5, "5", True, None]
    for wrong in wrongs:
        with pytest.raises(SpecError, match="there is no such run"):
            dlnsweep.open_results(folder).run(wrong)
    results = dlnsweep.open_results(samples.begun(tmp_path / "begun"))
    rows: Any = results.runs()
    planned = results.run(rows[rows["status"] == "planned"]["run_id"].iloc[0])
    assert planned.last_step is None
    assert planned.curves.empty
    with pytest.raises(SpecError, match="is not done yet"):
        planned.plot()


def test_a_summary_is_by_what_varies(folder: Path):
    results = dlnsweep.open_results(folder)
    assert results.summary().equals(results.summary(by=results.varying))
    assert len(results.summary()) == 8
