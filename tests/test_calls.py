"""The public functions called with what they do not take: sentences, all at once, nothing started."""

# ruff: noqa: E501  (a mistake and its sentence stand in one line of a table)

from __future__ import annotations

import csv
import tomllib
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import store_samples as samples
from spec_samples import document
from sweep_samples import BARE, everything_below

import dlnsweep
from dlnsweep.errors import SpecError
from dlnsweep.results.wide_tables import fitted

W = [np.ones((3, 2))]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"overrides": "training.num_steps=1"}, ["overrides is 'training.num_steps=1'; it must be a list of strings"]),
        ({"overrides": [3]}, ["overrides is [3]; it must be a list of strings"]),
        ({"shard": (1, 2)}, ["shard is (1, 2); it must be a string such as '1/8', or None."]),
        ({"shard": "3/2"}, ["--shard is '3/2'; it must be i/n"]),
        ({"workers": 1.5, "dask": 3}, ["workers is 1.5; it must be an integer from 0", "dask is 3; it must be"]),
        ({"workers": -1}, ["workers is -1; it must be an integer from 0"]),
        ({"workers": True}, ["workers is true; it must be an integer from 0"]),
        ({"on_event": 3, "should_stop": None}, ["on_event is 3; it must be a function.", "should_stop is None"]),
        ({"checkpoint_seconds": 0}, ["checkpoint_seconds is 0; it must be a positive number"]),
        ({"checkpoint_seconds": "5"}, ["checkpoint_seconds is '5'; it must be a positive number"]),
        ({"out": 3}, ["the folder is 3; it must be a path"]),
        ({"out": ""}, ["the folder is ''; it must name a file or folder"]),
    ],
)  # fmt: skip
def test_run(
    options: dict[str, Any], says: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError) as caught:
        dlnsweep.run(document(), **options)
    assert len(caught.value.problems) == len(says)
    for problem, start in zip(caught.value.problems, says, strict=True):
        assert problem.startswith(start)
    assert everything_below(tmp_path) == []


@pytest.mark.parametrize("sweep", [3, None, b"a.toml", ["a.toml"]])
def test_run_of_what_is_no_sweep(sweep: Any) -> None:
    with pytest.raises(SpecError, match=r"the sweep file is .*; it must be a path"):
        dlnsweep.run(sweep)


def test_run_takes_a_dictionary(tmp_path: Path) -> None:
    # Its program is that of many other tests.
    results = dlnsweep.run(
        tomllib.loads(BARE), tmp_path, overrides=["training.num_steps=3"], workers=0
    )
    assert len(results.runs()) == 4
    assert set(results.runs()["training.num_steps"]) == {3}
    sweep = dlnsweep.Sweep.from_dict(document())
    with pytest.raises(SpecError, match="overrides are given beside a Sweep"):
        dlnsweep.run(sweep, tmp_path, overrides=["sweep.seeds=3"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"weights": 3}, "weights is a int; it must be a list or tuple of matrices"),
        ({"weights": np.ones((3, 2))}, "weights is a ndarray of shape (3, 2); it must be a list"),
        ({"weights": []}, "weights is empty"),
        ({"signals": "x"}, "signals has dtype"),
        ({"observables": "loss"}, "observables is 'loss'; it must be a list of names"),
        ({"observables": 3}, "observables is 3; it must be a list of names"),
        ({"record_steps": 5}, "record_steps is 5; it must be a non-empty list"),
        ({"record_steps": [[1], [1, 2]]}, "record_steps is [[1], [1, 2]]; it must be"),
        ({"record_steps": [0.5]}, "record_steps is [0.5]; it must be"),
        ({"learning_rate": "x"}, "learning_rate is 'x'; it must be a number"),
        ({"stop_when": 3}, "stop_when is 3; it must be a table"),
    ],
)  # fmt: skip
def test_train(changes: dict[str, Any], says: str) -> None:
    arguments: dict[str, Any] = {
        "weights": W, "signals": np.ones((3, 4)), "measurements": np.ones((2, 4)),
        "learning_rate": 0.1, "record_steps": [0, 1],
    } | changes  # fmt: skip
    with pytest.raises(SpecError) as caught:
        dlnsweep.train(**arguments)
    assert any(problem.startswith(says) for problem in caught.value.problems)
    assert len(caught.value.problems) <= 2


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dlnsweep.Results:
    return dlnsweep.open_results(samples.complete(tmp_path_factory.mktemp("s") / "a").root)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda r: r.runs(where=3), "where is 3; it must be a dictionary"),
        (lambda r: r.runs(where=[("seed", 1)]), "it must be a dictionary"),
        (lambda r: r.curves(3), "observables is 3; it must be a name, or a list of names."),
        (lambda r: r.curves(settings=3), "settings is 3; it must be a name"),
        (lambda r: r.curves(vectors="lists"), "vectors is 'lists'; it must be 'arrays' or 'col"),
        (lambda r: r.summary(3), "by is 3; it must be a name, or a list of names."),
        (lambda r: r.summary([["seed"]]), "by is [['seed']]; it must be a name"),
        (lambda r: r.summary("depth"), "'depth' is no setting of this sweep; did you mean 'network.depth'?"),
        (lambda r: r.summary("wd"), "did you mean 'training.weight_decay'?"),
        (lambda r: r.summary("seed", at=None), "at is None; it must be 'final', 'min', 'argmin', { minimise = OBSERVABLE } or a recorded step"),
        (lambda r: r.summary("seed", at=2**63), "at is 9223372036854775808; it must be 'final'"),
        (lambda r: r.summary("seed", at=2**63 - 1), "at is 9223372036854775807, but no run has a record at that step"),
        (lambda r: dlnsweep.open_results(cast(Any, 3)), "the folder is 3; it must be a path"),
    ],
)  # fmt: skip
def test_results(results: dlnsweep.Results, call: Any, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        call(results)
    assert says in str(caught.value)


def test_vectors_as_columns_are_read_back_from_a_csv_file(
    results: dlnsweep.Results, tmp_path: Path
) -> None:
    arrays, columns = results.curves(), results.curves(vectors="columns")
    vector = next(n for n in results.sweep["observables"] if arrays[n].dtype == object)
    names = [name for name in columns.columns if name.startswith(f"{vector}_")]
    assert names == [f"{vector}_{i + 1}" for i in range(len(arrays[vector][0]))]
    assert np.array_equal(columns[names].to_numpy(), np.stack(list(arrays[vector])))
    columns.to_csv(tmp_path / "a.csv", index=False)
    with (tmp_path / "a.csv").open() as file:
        read = [[float(row[name]) for name in names] for row in csv.DictReader(file)]
    assert np.array_equal(np.array(read), columns[names].to_numpy())
    assert set(columns.columns) - set(names) == set(arrays.columns) - {vector}


def test_runs_have_no_empty_settings(results: dlnsweep.Results) -> None:
    runs = results.runs()
    empty = [
        name for name in runs.columns if "." in name and bool(runs[name].isna().to_numpy().all())
    ]
    assert empty == []
    every = results.runs(unused=True)
    assert {"run_id", *results.settings} <= set(every.columns)
    left_out = set(every.columns) - set(runs.columns)
    assert left_out == {"record.note"}
    # How runs ended is always there, so that a script need not ask.
    assert {"status", "diverged_step", "truncation_error"} <= set(runs.columns)


@pytest.mark.parametrize("width", [25, 40, 60, 100, 1000])
def test_a_table_fits_its_terminal(width: int) -> None:
    table = pd.DataFrame(
        {"network.depth": [2, 3], "network.width": [10, 1000]}
        | {f"regression_error_{name}": [0.125, 0.25] for name in ("q25", "median", "q75", "min")}
    )
    text = fitted(table, ["network.depth", "network.width"], width)
    lines = text.split("\n")
    assert max(map(len, lines)) <= max(width, len("regression_error_median: 0.125"))
    words = {word.rstrip(":") for line in lines for word in line.split()}
    assert {*table.columns, "0.125", "1000", "3"} <= words
    if width == 60:
        # Each block says again which row is which.
        assert text.count("network.depth") == len(text.split("\n\n")) > 1


def test_columns_is_heeded(
    results: dlnsweep.Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dlnsweep.cli.summary import summary

    widths = {}
    for columns in ("60", "80", "", "x"):
        monkeypatch.setenv("COLUMNS", columns)
        summary([str(results.path)], ["training.weight_decay,network.depth"])
        widths[columns] = max(map(len, capsys.readouterr().out.split("\n")))
    assert widths["60"] <= 60 < widths[""] == widths["x"]


def test_success_may_be_to_finish() -> None:
    from dlnsweep.analysis.transitions import Condition

    assert Condition.read(" finished ") == Condition("", float("inf"))
    with pytest.raises(SpecError, match="or 'finished'"):
        Condition.read("done")


class Nameless:
    """Of which Python would write where it lies."""


def test_messages_do_not_tell_where_a_value_lies_in_memory(tmp_path: Path):
    folder = tmp_path / "results"
    samples.complete(folder)
    results: Any = dlnsweep.open_results(folder)
    found: list[str] = []
    junk: Any = Nameless()
    for call in (
        lambda: results.curves(junk),
        lambda: results.summary(by=[junk]),
        lambda: results.weights(junk),
        lambda: results.runs(unused=junk),
        lambda: dlnsweep.open_results(junk),
        lambda: dlnsweep.run({"name": "x"}, workers=cast(Any, lambda: 1)),
        lambda: dlnsweep.load_plugin(junk),
        lambda: dlnsweep.extrapolate(results, junk, ["error"]),
        lambda: dlnsweep.extrapolate(results, "network.width", junk),
        lambda: dlnsweep.extrapolate(results, "network.width", ["error"], at_most=junk),
    ):
        with pytest.raises(SpecError) as caught:
            call()
        found.append(str(caught.value))
    assert not [text for text in found if "0x" in text or "object at" in text]
    assert found[0].startswith("observables is a value of type test_calls.Nameless; it must be")
    assert "workers is <function" in found[5]
    assert found[6].startswith("the plug-in is a value of type")


@pytest.mark.parametrize("unused", [None, "x", np.array([1, 2]), pd.Series([True]), 1])
def test_unused_is_true_or_false(unused: Any, tmp_path: Path):
    samples.complete(tmp_path / "results")
    results = dlnsweep.open_results(tmp_path / "results")
    with pytest.raises(SpecError, match=r"unused is .*; it must be True or False\.$"):
        results.runs(unused=unused)
