"""Paths as users write them: `~`, odd characters, `file:` addresses, a folder that is left."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from spec_samples import document
from sweep_samples import BARE, everything_below, write

import dlnsweep
from dlnsweep.errors import DlnsweepError, SpecError, StoreError
from dlnsweep.execution.slurm import Resources, job_script
from dlnsweep.machine.paths import user_path
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store.address import location

ODD = "50%25 of #1? a:b&c é+"
# One batch of one step, of the program of other tests: the quickest sweep there is.
ONE = BARE.replace("[30, 40, 50]", "2")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own; the current folder is another one."""
    folder, here = tmp_path / "home", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(here)
    return folder


@pytest.mark.parametrize("given", ["~/x", Path("~/x"), "file:///~/x", "file://~/x", "file:/~/x"])
def test_the_home_folder_is_one_place(home: Path, given: str | Path) -> None:
    assert location(given) == home / "x"


def test_a_folder_named_like_a_home_can_be_named(home: Path) -> None:
    assert location("./~") == home.parent / "here" / "~"
    assert location("~") == home


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (f"/a/{ODD}", f"/a/{ODD}"),
        ("file:/a/b", "/a/b"),
        ("FILE:///a/b", "/a/b"),
        ("file:///a/50%25%20%23", "/a/50% #"),
        ("file://localhost/a", "/a"),
    ],
)
def test_a_path_is_taken_as_it_is_written(given: str, expected: str) -> None:
    assert location(given) == Path(expected)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("~nosuchuser/x", "no home folder is known for '~nosuchuser'; write ./~"),
        ("", "it must name a file or folder"),
        ("a\0b", "it must name a file or folder"),
        ("a" * 5000, "which is longer than the system takes; shorten it"),
        ("b/" * 5000, "which is longer than the system takes; shorten it"),
        (3, "it must be a path"),
        (None, "it must be a path"),
        (b"x", "it must be a path"),
        ("file:a/b", "is not absolute; give file:///path"),
        ("file://elsewhere/a", "names another machine"),
        ("file:///a?b", "which a file: address writes %3F and %23"),
        ("s3:/bucket/x", "an address has two slashes"),
        (Path("s3://bucket/x"), "drops a slash"),
    ],
)
def test_what_is_no_place_is_a_sentence(home: Path, given: object, sentence: str) -> None:
    with pytest.raises(DlnsweepError) as caught:
        location(given)  # pyright: ignore[reportArgumentType]
    assert sentence in str(caught.value)
    assert everything_below(home.parent) == ["here", "home"]


def test_a_run_under_the_home_folder_is_found_again(home: Path) -> None:
    path = write(home, ONE)
    results = dlnsweep.run("~/sweep.toml", "~/x", workers=0)
    assert results.path == home / "x" / "small"
    assert len(dlnsweep.open_results("~/x/small").curves()) > 0
    assert everything_below(home.parent / "here") == []
    assert Sweep.from_file(Path("~") / path.name).name == "small"


def test_odd_characters_in_a_folder(home: Path) -> None:
    """With worker processes, which get the folder as text; and relative to where one stands."""
    here = home.parent / "here"
    results = dlnsweep.run(write(here, ONE), ODD, workers=1)
    assert results.path == here / ODD / "small"
    os.chdir(home)
    assert len(results.curves()) == len(dlnsweep.open_results(here / ODD / "small").curves()) > 0
    assert results.store.verify() == []


def test_an_operator_under_the_home_folder(home: Path) -> None:
    np.save(home / "a.npy", np.eye(4, 8))
    settings = {"problem__operator": "file", "problem__operator_file": "~/a.npy"}
    sweep = Sweep.from_dict(document(**settings))
    # Where the home folder stands is no part of a run.
    assert sweep.values["problem.operator_file"][0].startswith("~/a.npy#sha256=")
    settings["problem__operator_file"] = "~nosuchuser/a.npy"
    with pytest.raises(SpecError, match="no home folder is known for '~nosuchuser'"):
        Sweep.from_dict(document(**settings))


def test_a_job_script_names_places_that_stay(home: Path) -> None:
    script = job_script("s", user_path("~/a.toml"), 2, Resources(), location("~/my results"))
    assert f"run {home}/a.toml --out '{home}/my results'" in script


def test_a_current_folder_that_is_gone(home: Path) -> None:
    gone = home / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    try:
        with pytest.raises((SpecError, StoreError), match="relative to a current folder that is"):
            location("results")
    finally:
        os.chdir(home)


def test_a_name_that_is_not_utf8_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"x\xff")
    path = write(tmp_path)
    with pytest.raises(SpecError, match="which is not UTF-8; give it, or the folder above"):
        dlnsweep.run(path, odd, workers=0)
    assert not odd.exists()
    odd.mkdir()
    before = Path.cwd()
    os.chdir(odd)
    try:
        with pytest.raises(SpecError, match="which is not UTF-8"):
            location("results")
    finally:
        os.chdir(before)
