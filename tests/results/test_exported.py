"""Results as one file: the numbers of `curves()` and `runs()`, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import store_samples as samples

from dlnsweep.cli.app import app
from dlnsweep.errors import SpecError, StoreError
from dlnsweep.machine.whole_files import whole_file
from dlnsweep.results import Results, open_results
from dlnsweep.results.exported import export, named_table
from dlnsweep.store import Store

DECAY = "training.weight_decay"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("exported") / "a"
    samples.complete(folder)
    return open_results(folder)


@pytest.mark.parametrize("table", ["curves", "outcomes", "runs"])
def test_a_choice_of_no_run_is_told_and_writes_nothing(
    results: Results, tmp_path: Path, table: str
) -> None:
    path = tmp_path / "a.csv"
    with pytest.raises(SpecError, match=r"no run has training.weight_decay = 7; .* is 0.1, 0.01"):
        export(results, path, table, where={DECAY: 7})
    # Each value is there, but no run has both.
    with pytest.raises(SpecError, match=r"no run has .* = 0.1, seed = 9; .*; seed is 0, 1, 2\."):
        export(results, path, table, where={DECAY: 0.1, "seed": 9})
    assert not path.exists()


def read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found.columns) == list(expected.columns)
    for name in expected:
        left, right = found[name].to_numpy(object), expected[name].to_numpy(object)
        there = ~pd.isna(right)
        assert (pd.isna(left) != there).all(), name
        assert left[there].tolist() == right[there].tolist(), name


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_curves_have_every_digit_and_a_column_for_each_entry(
    results: Results, ending: str, tmp_path: Path
):
    path = tmp_path / f"any.{ending}"
    expected = results.curves(vectors="columns")
    assert export(results, path) == expected.shape
    same(read(path), expected)
    assert "singular_values_3" in expected
    # Nothing else is left beside it, and it may be read as any other file may.
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    other = tmp_path / "other"
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


def test_curves_of_some_runs_and_observables(results: Results, tmp_path: Path):
    path = tmp_path / "curves.csv"
    export(results, path, observables=["error"], where={DECAY: [0.1, 0.5]})
    same(read(path), results.curves("error", {DECAY: [0.1, 0.5]}))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_name_says_which_table(results: Results, ending: str, tmp_path: Path):
    runs = results.runs()
    vectors = np.stack(runs.pop("final_singular_values").tolist())
    export(results, tmp_path / f"runs.{ending}")
    found = read(tmp_path / f"runs.{ending}")
    parts = [found.pop(f"final_singular_values_{i}") for i in (1, 2, 3)]
    assert (np.stack(parts, axis=1) == vectors).all()
    same(found, runs)
    export(results, tmp_path / f"outcomes.{ending}", where={"seed": 1})
    found = read(tmp_path / f"outcomes.{ending}")
    export(results, tmp_path / f"my_Outcomes-2.{ending}", where={"seed": 1})
    same(read(tmp_path / f"my_Outcomes-2.{ending}"), found)
    expected = results.runs({"seed": 1}).set_index("run_id")
    assert len(found) == len(expected) == 4
    for name in ("status", "final_error", DECAY, "last_step"):
        assert found[name].tolist() == expected.loc[found["run_id"], name].tolist()


def test_the_command_says_which_table_and_calls_its_options_by_their_names(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = str(tmp_path / "runs.csv")
    app(["export", str(results.path), file], standalone_mode=False)
    assert f"{file}: runs, {len(results.runs())} rows, " in capsys.readouterr().out
    with pytest.raises(SpecError, match=r"^--where seed: it must be KEY=VALUE"):
        app(["export", str(results.path), file, "--where", "seed"], standalone_mode=False)


@pytest.mark.parametrize("name", ["any", "reruns", "curves_of_runs"])
def test_a_name_that_does_not_say_it_is_of_curves(name: str):
    assert named_table(Path(f"{name}.csv")) == "curves"


def test_a_table_with_no_runs_done_has_its_columns(tmp_path: Path):
    store = Store.create(tmp_path / "a", samples.plan(), {})
    path = tmp_path / "curves.csv"
    assert export(open_results(store.root), path)[0] == 0
    assert {"run_id", "step", "seed", DECAY} <= set(read(path).columns)


def test_a_choice_of_runs_of_which_none_is_done_is_told(tmp_path: Path):
    root = tmp_path / "a"
    samples.complete(root)
    # The runs with decay 0.1 and 0.01, and no others.
    (done,) = (path for path in (root / "receipts").iterdir() if "000000" in path.name)
    for path in (*(root / "receipts").iterdir(), *(root / "outcomes").iterdir()):
        if "000000" not in path.name:
            path.unlink()
    assert done.exists()
    path = tmp_path / "file.csv"
    told = r"none of the 3 runs that have .* = 0.5 is done, so that there are no {}; carry on with"
    for table in ("curves", "outcomes"):
        with pytest.raises(SpecError, match=told.format(table)):
            export(open_results(root), path, table, where={DECAY: 0.5})
    assert not path.exists()
    assert export(open_results(root), path, "runs", where={DECAY: 0.5})[0] == 3
    assert export(open_results(root), path, "outcomes", where={DECAY: [0.1, 0.5]}, force=True)[0]


def test_ids_stay_whole_where_a_file_has_them_in_another_type(tmp_path: Path):
    root = samples.complete(tmp_path / "a").root
    whole = open_results(root).curves()["run_id"].tolist()
    path = root / "curves" / "batch-000001.parquet"
    table = pq.read_table(path)
    # As floats, which they became, real ids of 60 bits lose digits or end in a traceback.
    small = table["run_id"].cast(pa.int32())
    pq.write_table(table.set_column(table.column_names.index("run_id"), "run_id", small), path)
    file = tmp_path / "curves.parquet"
    export(open_results(root), file, "curves")
    assert pq.read_schema(file).field("run_id").type == pa.int64()
    assert sorted(pq.read_table(file)["run_id"].to_pylist()) == sorted(whole)


def test_no_text_is_a_formula(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    runs = results.runs().assign(kernel="=1+1")
    monkeypatch.setattr(Results, "runs", lambda *_: runs)
    export(results, tmp_path / "runs.csv")
    assert set(read(tmp_path / "runs.csv")["kernel"]) == {"'=1+1"}


def test_a_file_that_is_there_is_kept(results: Results, tmp_path: Path):
    path = tmp_path / "curves.csv"
    path.write_text("mine")
    with pytest.raises(SpecError, match=r"curves.csv: there is a file of this name already"):
        export(results, path)
    assert path.read_text() == "mine"
    export(results, path, force=True)
    assert len(read(path)) == len(results.curves())
    # A device would be replaced for all of the system.
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(SpecError, match="is a device or a pipe, which a file cannot replace"):
        export(results, tmp_path / "pipe.csv", "curves", force=True)
    assert (tmp_path / "pipe.csv").is_fifo()


def test_one_that_appears_meanwhile_is_kept(tmp_path: Path):
    path = tmp_path / "a.csv"

    def write() -> None:
        with whole_file(path) as file:
            file.write(b"ours")
            path.write_text("another's")

    with pytest.raises(SpecError, match="already"):
        write()
    assert path.read_text() == "another's"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("force", [True, False])
def test_what_fails_leaves_no_half(results: Results, force: bool, tmp_path: Path):
    path = tmp_path / "curves.csv"
    if force:
        path.write_text("old")
    broken = tmp_path / "broken"
    samples.complete(broken)
    last = sorted((broken / "curves").iterdir())[-1]
    content = bytearray(last.read_bytes())
    content[len(content) // 3] ^= 1
    last.write_bytes(content)
    with pytest.raises(StoreError):
        export(open_results(broken), path, force=force)
    left = {each.name for each in tmp_path.iterdir()} - {"broken"}
    assert left == ({"curves.csv"} if force else set())
    assert not force or path.read_text() == "old"


@pytest.mark.parametrize(
    ("file", "options", "told"),
    [
        ("curves.xlsx", {}, r"says no format that there is; end it with \.csv or \.parquet"),
        ("no/curves.csv", {}, r"cannot be written \(No such file"),
        ("curves.csv", {"observables": ["eror"]}, "'eror' is not recorded; did you mean 'error'"),
        ("runs.csv", {"observables": ["error"]}, "observables are chosen of curves"),
        ("curves.csv", {"where": {"seeds": 1}}, "'seeds' is no setting of this sweep"),
    ],
)
def test_what_cannot_be_is_told(results: Results, file: str, options: dict, told: str, tmp_path):
    with pytest.raises(SpecError, match=told):
        export(results, tmp_path / file, **options)
    assert not list(tmp_path.iterdir())
