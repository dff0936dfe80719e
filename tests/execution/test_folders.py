"""`ls` and `diff`: what lies in results folders, damaged ones too, and in what sweeps differ."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import store_samples as samples
from sweep_samples import BARE, write
from typer.testing import CliRunner

from dlnsweep.cli.app import app
from dlnsweep.errors import SpecError
from dlnsweep.execution.differences import differences, side
from dlnsweep.execution.folders import Overview, Search, overview, overviews
from dlnsweep.execution.preparing import prepare
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    samples.complete(folder / "whole")
    half = Store.create(folder / "deeper" / "half", samples.plan(), {})
    samples.commit(half, 1)
    samples.complete(folder / ".hidden")
    (folder / "link").symlink_to(folder / "whole")
    (folder / "loop").symlink_to(folder)
    for name in ("text", "nothing", "pipe", "receipt"):
        samples.complete(folder / "bad" / name)
    (folder / "bad" / "text" / "sweep.json").write_text("\x1b[2J{")
    (folder / "bad" / "nothing" / "runs.parquet").unlink()
    (folder / "bad" / "pipe" / "sweep.json").unlink()
    os.mkfifo(folder / "bad" / "pipe" / "sweep.json")
    receipt = folder / "bad" / "receipt" / "receipts" / "batch-000000.json"
    receipt.write_text(json.dumps({"status": {"diverged": "many"}}))
    return folder


def test_every_folder_is_listed_whatever_is_wrong_with_it(below: Path):
    found = {str(each.path.relative_to(below)): each for each in overviews(below)}
    assert list(found) == [
        *(f"bad/{name}" for name in ("nothing", "pipe", "receipt", "text")),
        "deeper/half",
        "whole",
    ]
    whole, half = found["whole"], found["deeper/half"]
    assert (whole.state, whole.done, whole.planned) == ("done", 12, 12)
    assert whole.diverged == 2
    files = [path for path in whole.path.rglob("*") if path.is_file()]
    assert whole.size == sum(path.stat().st_size for path in files)
    assert (half.state, half.done, half.planned) == ("unfinished", 6, 12)
    for name in ("nothing", "pipe", "receipt", "text"):
        bad = found[f"bad/{name}"]
        assert bad.state == "damaged"
        assert bad.problem.startswith(str(below / "bad" / name))
        assert bad.problem.isprintable()


def test_a_results_folder_itself_is_listed(below: Path):
    assert [each.path for each in overviews(below / "whole")] == [below / "whole"]


def test_what_is_no_folder_is_told(tmp_path: Path):
    with pytest.raises(SpecError, match="no results can be looked for there"):
        list(overviews(tmp_path / "none"))


def test_the_command_lists_them(below: Path, tmp_path: Path):
    ended = CliRunner().invoke(app, ["ls", str(below)], catch_exceptions=False)
    assert ended.exit_code == 0
    lines = ended.stdout.splitlines()
    assert lines[0].split() == ["sweep", "state", "runs", "diverged", "size", "changed"]
    assert [line.split()[:4] for line in lines if line.startswith(("whole", "deeper"))] == [
        ["deeper/half", "unfinished", "6/12", "2"],
        ["whole", "done", "12/12", "2"],
    ]
    assert len(ended.stderr.splitlines()) == 4
    empty = CliRunner().invoke(app, ["ls", str(tmp_path)], catch_exceptions=False)
    assert "no results folders" in empty.stdout


def test_other_file_systems_are_passed_over_and_named(below: Path, monkeypatch: pytest.MonkeyPatch):
    def system(path: Path) -> int:
        return 2 if path == below / "deeper" else 1

    monkeypatch.setattr("dlnsweep.execution.folders._system", system)
    ended = CliRunner().invoke(app, ["ls", str(below)], catch_exceptions=False)
    assert "deeper/half" not in ended.stdout
    assert f"other file systems were not looked into: {below / 'deeper'};" in ended.stderr


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs another file system")
def test_the_folder_that_is_named_may_be_a_link_to_another_file_system(tmp_path: Path):
    (tmp_path / "results").symlink_to("/proc/self/task")
    search = Search()
    assert list(overviews(tmp_path / "results", search)) == []
    assert search.elsewhere == []
    assert search.num_folders > 1


def test_a_folder_that_went_away_is_no_other_file_system(
    below: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "dlnsweep.execution.folders._system", lambda path: None if path.name == "deeper" else 1
    )
    search = Search()
    assert below / "deeper" / "half" not in [each.path for each in overviews(below, search)]
    assert search.elsewhere == []


def test_a_search_ends_and_says_so(below: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dlnsweep.execution.folders._MOST_FOLDERS", 3)
    ended = CliRunner().invoke(app, ["ls", str(below)], catch_exceptions=False)
    assert "3 folders were looked into, and no more; name one" in ended.stderr


def test_a_long_search_says_where_it_is_and_a_ctrl_c_lists_what_it_found(
    below: Path, monkeypatch: pytest.MonkeyPatch
):
    def found(folder: Path, search: Search) -> Iterator[Overview]:
        search.num_folders = 7
        search.on_folder(folder)
        yield overview(below / "whole")
        raise KeyboardInterrupt

    monkeypatch.setattr("dlnsweep.execution.folders.overviews", found)
    monkeypatch.setattr("dlnsweep.cli.folders._FIRST_WORD", 0.0)
    ended = CliRunner().invoke(app, ["ls", str(below)])
    assert ended.stdout.splitlines()[1].split()[:2] == ["whole", "done"]
    assert f"1 folders looked into, now {below}; Ctrl-C lists" in ended.stderr
    assert str(ended.exception) == "stopped: 7 folders had been looked into."


def told(left: object, right: object) -> dict[str, tuple[str, str]]:
    found = differences(side(str(left)), side(str(right)))
    return {each.what: (each.left, each.right) for each in found}


def test_a_file_and_what_it_made_do_not_differ(tmp_path: Path):
    path = write(tmp_path, BARE)
    prepare(Sweep.from_file(path), tmp_path / "made")
    assert told(path, tmp_path / "made") == {}
    renamed = write(tmp_path, BARE.replace('"small"', '"other"'), "other.toml")
    ended = CliRunner().invoke(app, ["diff", str(renamed), str(tmp_path / "made")])
    assert (ended.exit_code, ended.stdout) == (0, "no difference: the same 12 runs\n")
    # A folder of an earlier version does not know every setting, and its runs have the default.
    one = side(str(tmp_path / "made"))
    less = one.settings.drop_columns(["training.lion_beta2", "training.warmup_steps"])
    object.__setattr__(one, "settings", less)
    longer = write(tmp_path, BARE.replace("seeds = 2", "seeds = 3"), "longer.toml")
    found = {each.what: (each.left, each.right) for each in differences(one, side(str(longer)))}
    assert found == {"seed": ("[0, 1]", "[0, 1, 2]")}


def test_what_differs_is_told(tmp_path: Path):
    path = write(tmp_path, BARE)
    changed = BARE.replace("[1e-2, 1e-3]", "1e-2").replace('"off_subspace_error"', '"test_error"')
    figure = '[figure]\nkind = "curves"\ny = "regression_error"\n'
    other = write(tmp_path, changed + 'precision = "float32"\n' + figure, "other.toml")
    found = told(path, other)
    assert found == {
        "training.weight_decay": ("[0.001, 0.01]", "0.01"),
        "sweep.precision": ("'float64'", "'float32'"),
        "record.observables": (
            '["regression_error", "off_subspace_error"]',
            '["regression_error", "test_error"]',
        ),
        "number of figures": ("0", "1"),
        "axes": (
            '[["training.weight_decay"], ["training.num_steps"]]',
            '[["training.num_steps"]]',
        ),
    }
    ended = CliRunner().invoke(app, ["diff", str(path), str(other)])
    assert ended.exit_code == 1
    assert ended.stdout.splitlines()[:2] == [
        f"--- {path}: 12 runs",
        f"+++ {other}: 6 runs, 0 of them in both",
    ]


def test_the_same_values_in_other_combinations(tmp_path: Path):
    crossed = BARE.replace("[30, 40, 50]", "[30, 40]")
    moved = crossed + 'zip = [["training.weight_decay", "training.num_steps"]]\n'
    found = told(write(tmp_path, crossed), write(tmp_path, moved, "moved.toml"))
    assert found["combinations of the same values"] == (
        "4 runs that are only here",
        "0 runs that are only here",
    )


def test_versions_of_two_folders_are_compared(below: Path, tmp_path: Path):
    environments = (
        {"versions": {"jax": "0.10.2", "numpy": "2.0"}, "cpu": "a"},
        {"versions": {"jax": "0.12.0", "numpy": "2.0"}, "cpu": "b\x1b[2J"},
        {"versions": ["jax"]},
    )
    for number, environment in enumerate(environments):
        Store.create(tmp_path / str(number), samples.plan(), environment)
    assert told(tmp_path / "0", tmp_path / "1") == {
        "jax": ("0.10.2", "0.12.0"),
        "cpu": ("a", r"b\x1b[2J"),
    }
    assert told(tmp_path / "0", tmp_path / "2") == {}
