"""Progress of `dlnsweep.run` where it runs: in a notebook, or as lines of a file."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sweep_samples import BARE, write

import dlnsweep
from dlnsweep.errors import SpecError
from dlnsweep.execution.events import Event
from dlnsweep.progress import notebook
from dlnsweep.progress.reporting import Tally, in_notebook


class Cells:
    """IPython's display: what each cell shows, one after the other."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def __call__(self, content: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        self.shown.append(content)
        return SimpleNamespace(update=lambda content, raw: self.shown.append(content))


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> Cells:
    """Let this process be a notebook's."""
    found = Cells()
    module = SimpleNamespace(
        get_ipython=lambda: SimpleNamespace(kernel=object()),
        display=SimpleNamespace(display=found),
    )
    monkeypatch.setitem(sys.modules, "IPython", module)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "IPython.display", module.display)  # type: ignore[arg-type]
    return found


def test_a_cell_shows_how_far_it_is_and_escapes_what_it_is_told(monkeypatch: pytest.MonkeyPatch):
    now = iter(range(100))
    monkeypatch.setattr(notebook, "time", SimpleNamespace(monotonic=lambda: next(now)))
    cells = Cells()
    with in_notebook(Tally(4, 0, 400), cells) as tell:
        tell(Event("note", text="<script>alert(1)</script>\x1b[2J"))
        tell(Event("progress", batch=0, run_steps=100))
        tell(Event("done", batch=0, run_steps=300, runs=4, diverged=1))
    first, last = cells.shown[0], cells.shown[-1]
    assert first["text/plain"] == "0 of 4 runs done, 0 diverged"
    assert last["text/plain"].startswith("4 of 4 runs done")
    assert last["text/plain"].endswith("1 diverged")
    assert 'value="0"' in first["text/html"]
    assert any('value="25"' in each["text/html"] for each in cells.shown)
    assert 'value="100"' in last["text/html"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[2J" in last["text/html"]
    assert "<script" not in last["text/html"]


def test_a_run_shows_its_progress_where_it_runs(
    tmp_path: Path, cells: Cells, capsys: pytest.CaptureFixture[str]
):
    path, events = write(tmp_path, BARE), []
    dlnsweep.run(path, tmp_path, workers=0, on_event=lambda event: events.append(event.kind))
    assert cells.shown[-1]["text/plain"].startswith("12 of 12 runs done")
    assert events.count("done") == 3
    # What is done already is no work to be shown, and whoever wants no cell gets none.
    count = len(cells.shown)
    dlnsweep.run(path, tmp_path, workers=0)
    dlnsweep.run(path, tmp_path / "other", workers=0, progress=False)
    assert len(cells.shown) == count
    assert capsys.readouterr().err == ""


def test_outside_of_a_notebook_lines_are_written_where_they_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = write(tmp_path, BARE)
    dlnsweep.run(path, tmp_path / "quiet", workers=0)
    assert capsys.readouterr().err == ""
    dlnsweep.run(path, tmp_path, workers=0, progress=True)
    assert capsys.readouterr().err.splitlines()[-1].startswith("dlnsweep: 12 of 12 runs done")
    wrong: Any = "yes"
    with pytest.raises(SpecError, match="progress is 'yes'; it must be True, False or None"):
        dlnsweep.run(path, tmp_path, progress=wrong)
