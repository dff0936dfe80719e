"""What is asked of several sweeps as one: each run once, and what is of one sweep told apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import store_samples as samples

import dlnsweep
from dlnsweep.analysis.claims import claims_table
from dlnsweep.analysis.transitions import Condition, transitions
from dlnsweep.cli.app import app
from dlnsweep.errors import SpecError

WIDTH, DECAY = "network.width", "training.weight_decay"
UNTIL = {"asked": {"observable": "error", "width": 0.5, "relative": True, "most_seeds": 40}}


def sweep(folder: Path, widths: Sequence[int], decay: float = 0.1, **record: Any) -> Path:
    """Write a folder with six seeds a width, whose errors are by their ids."""
    width, seed = np.repeat(widths, 6), np.tile(np.arange(6), len(widths))
    settings = {
        WIDTH: width,
        DECAY: np.full(len(seed), decay),
        "training.learning_rate": np.full(len(seed), 0.1),
        "seed": seed,
    }
    ids = 7919 * width + 100 * seed + int(1000 * decay)
    plan = samples.plan(
        name=folder.name,
        settings=settings,
        run_ids=ids,
        batch=np.arange(len(seed)) // 6,
        lane=np.arange(len(seed)) % 6,
        record={"axes": [[WIDTH]], **record},
    )
    samples.complete(folder, plan)
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Return two folders with a width in common, and one that holds the runs of both."""
    return (
        sweep(tmp_path / "small", [4, 8, 16, 32]),
        sweep(tmp_path / "large", [32, 64, 128]),
        sweep(tmp_path / "whole", [4, 8, 16, 32, 64, 128]),
    )


def test_joined_runs_are_extrapolated_as_those_of_one_folder(folders: Any) -> None:
    small, large, whole = folders
    found = dlnsweep.extrapolate(dlnsweep.concat([small, large]), WIDTH, ["error"])
    assert found["num_sizes"].tolist() == [6]
    pd.testing.assert_frame_equal(found, dlnsweep.extrapolate(whole, WIDTH, ["error"]))
    assert np.isfinite(found["largest"]).all()


def test_a_transition_of_joined_runs_is_that_of_one_folder(folders: Any) -> None:
    small, large, whole = folders
    joined, success = dlnsweep.concat([small, large]), [Condition("error", 0.5)]
    found = transitions(joined, WIDTH, success).table
    assert found["num_runs"].tolist() == [36]
    pd.testing.assert_frame_equal(found, transitions(whole, WIDTH, success).table)
    results = dlnsweep.open_results(whole)
    pd.testing.assert_frame_equal(found, transitions(results, WIDTH, success).table)
    apart = transitions(joined, WIDTH, success, ["sweep"]).table
    assert apart[["sweep", "num_runs"]].to_numpy().tolist() == [["large", 18], ["small", 24]]


def test_of_a_run_in_two_folders_the_one_that_is_done_counts(folders: Any) -> None:
    small, large, whole = folders
    for file in [*large.glob("*/batch-000000.*")]:
        file.unlink()
    for both in ([small, large], [large, small]):
        runs = dlnsweep.concat(both).distinct_runs()
        assert len(runs) == 36
        assert "planned" not in set(runs["status"])
        found = dlnsweep.extrapolate(dlnsweep.concat(both), WIDTH, ["error"])
        pd.testing.assert_frame_equal(found, dlnsweep.extrapolate(whole, WIDTH, ["error"]))


def test_boundaries_and_intervals_are_those_of_each_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refine = {"between": WIDTH, "success": [{"observable": "error", "below": 0.5}]}
    until = UNTIL | {"first": 4}
    own = {"refine": refine, "until": until}
    parts = {
        "one": sweep(tmp_path / "one", [4, 8, 16], **own),
        "two": sweep(tmp_path / "two", [4, 8, 32], 0.2, **own),
    }
    joined = dlnsweep.concat(list(parts.values()))
    for name, table in (("boundary", dlnsweep.boundaries), ("intervals", dlnsweep.intervals)):
        found: Any = table(joined)
        assert found.columns[0] == "sweep"
        for part, folder in parts.items():
            here = found[found["sweep"] == part].drop(columns="sweep").reset_index(drop=True)
            assert len(here)
            pd.testing.assert_frame_equal(here, table(folder))
        app([name, *map(str, parts.values())], standalone_mode=False)
        said = capsys.readouterr().out
        assert "one" in said
        assert "two" in said
    different = refine | {"between": "training.learning_rate"}
    axes = [[WIDTH], ["training.learning_rate"]]
    other = sweep(tmp_path / "three", [4, 8], 0.3, refine=different, axes=axes)
    with pytest.raises(SpecError, match="refine different settings"):
        dlnsweep.boundaries(dlnsweep.concat([parts["one"], other]))
    plain = sweep(tmp_path / "plain", [4, 8], 0.4)
    for of in (dlnsweep.boundaries, dlnsweep.intervals):
        with pytest.raises(SpecError, match=r"plain: the sweep has no \[sweep."):
            of(dlnsweep.concat([parts["one"], plain]))


def test_claims_count_no_run_twice(folders: Any) -> None:
    small, large, _ = folders
    joined = dlnsweep.concat([small, large])
    with pytest.raises(SpecError, match="6 runs stand in more than one of the sweeps"):
        claims_table(joined)
    # Told apart they are judged; these have not recorded what the statements are about.
    with pytest.raises(SpecError, match="did not record regression_error"):
        claims_table(joined, ["sweep"])


def test_several_folders_on_the_command_line_are_one(
    folders: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    small, large, whole = map(str, folders)
    keys = ["--in", WIDTH, "--of", "error"]
    app(["extrapolate", small, large, *keys], standalone_mode=False)
    said = capsys.readouterr().out
    app(["extrapolate", whole, *keys], standalone_mode=False)
    assert capsys.readouterr().out == said
    keys = ["--x", WIDTH, "--success", "error < 0.5"]
    app(["transition", small, large, *keys], standalone_mode=False)
    said = capsys.readouterr().out
    app(["transition", whole, *keys], standalone_mode=False)
    assert capsys.readouterr().out == said


def test_what_is_of_one_sweep_says_where_it_is(folders: Any) -> None:
    joined = dlnsweep.concat(folders[:2])
    with pytest.raises(AttributeError, match=r"of one sweep; .*results.parts\['small'\].weights"):
        _ = joined.weights
    with pytest.raises(AttributeError, match="has no attribute 'weight'"):
        _ = joined.weight


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["", "b"], "names has ''; a name needs"),
        (["a", "  "], "names has '  '; a name needs"),
        (["a", "b\nc"], "a name needs"),
        ("ab", "names is 'ab'; it must be a list of 2 names"),
        (3, "names is 3; it must be a list of 2 names"),
        (["a"], "give each of the 2 sweeps its own name"),
    ],
)
def test_a_name_is_one_that_can_be_read(folders: Any, names: Any, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        dlnsweep.concat(folders[:2], names)
    kept: Any = {1: folders[0], "ß": folders[1]}
    assert list(dlnsweep.concat(kept).parts) == ["1", "ß"]


def test_a_table_of_chosen_runs_is_of_these_alone(folders: Any) -> None:
    store = dlnsweep.open_results(folders[2]).store
    chosen = dlnsweep.Results(store, {WIDTH: [8, 64]})
    for at in ("final", "min"):
        assert chosen.summary(WIDTH, "error", at)[WIDTH].tolist() == [8, 64]
