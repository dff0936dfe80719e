"""`dlnsweep summary`: of one folder, and of several in one table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import store_samples as samples

import dlnsweep
from dlnsweep.cli.app import app
from dlnsweep.errors import SpecError
from dlnsweep.store import Store

DECAY = "training.weight_decay"
COMMON = [0.1, 0.01]


@pytest.fixture(autouse=True)
def _two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, decays in (("one", (*COMMON, 0.0, 0.5)), ("two", (*COMMON, 0.3))):
        planned = samples.plan(decays, name=name)
        store = Store.create(tmp_path / name, planned, samples.ENVIRONMENT)
        for number in range(len(planned.run_ids) // 6 + (len(planned.run_ids) % 6 > 0)):
            samples.commit(store, number)


def summary(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    app(["summary", *arguments], standalone_mode=False)
    return capsys.readouterr().out


def test_of_several_folders_each_row_is_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    whole = json.loads(summary(capsys, "one", "two", "--of", "error", "--format", "json"))
    # All that vary, the sweep first.
    assert list(whole[0])[:3] == ["sweep", DECAY, "training.momentum"]
    by = ("--by", f"sweep,{DECAY}")
    rows = json.loads(summary(capsys, "one", "two", "--of", "error", *by, "--format", "json"))
    assert [row["sweep"] for row in rows] == ["one"] * 4 + ["two"] * 3
    for row in rows:
        alone = dlnsweep.open_results(row["sweep"]).summary(DECAY, "error")
        own = alone[alone[DECAY] == row[DECAY]].iloc[0]
        assert row["error_median"] == own["error_median"]
        assert row["num_runs"] == own["num_runs"] == 3
    (alone, *_) = json.loads(summary(capsys, "one", "--of", "error", "--format", "json"))
    assert "sweep" not in alone


def test_sweeps_stand_beside_each_other_as_columns(capsys: pytest.CaptureFixture[str]) -> None:
    by = ("--by", DECAY, "--pivot", "sweep")
    text = summary(capsys, "one", "two", "--of", "error", *by, "--format", "csv")
    head, *lines = text.splitlines()
    assert head == f"observable,statistic,{DECAY},sweep=one,sweep=two"
    medians = {}
    for line in lines:
        _, statistic, decay, *cells = line.split(",")
        if statistic == "median":
            medians[float(decay)] = [bool(cell) for cell in cells]
    # A decay that one of them does not have is an empty cell.
    assert medians == {0.01: [True, True], 0.1: [True, True], 0.0: [True, False],
                       0.3: [False, True], 0.5: [True, False]}  # fmt: skip
    for form in ("text", "markdown", "latex"):
        told = summary(capsys, "one", "two", "--pivot", "sweep", "--format", form)
        assert "one" in told
        assert "two" in told


def test_what_cannot_stand_in_one_table_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, told in (
        (["one", "one"], "is given twice; its runs would be counted twice"),
        (["one", "two", "--by", DECAY], r"give by = \['sweep', ...\]"),
        (["one", "two", "--by", "training.decay"], "is no setting of these sweeps; did you mean"),
        (["one", "two", "--of", "eror"], "'eror'"),
    ):
        with pytest.raises(SpecError, match=told):
            summary(capsys, *arguments)
