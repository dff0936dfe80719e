"""What runners say of themselves in the results folder, and what others make of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sweep_samples import everything_below, wait_until, write

from dlnsweep.cli.app import main
from dlnsweep.execution import heartbeat
from dlnsweep.execution.events import Event
from dlnsweep.execution.heartbeat import beating, runners
from dlnsweep.execution.preparing import prepare
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return prepare(Sweep.from_file(write(tmp_path)), tmp_path / "small").store


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)


def place(store: Store, seconds: float, **fields: Any) -> Path:
    """Put a sign of life of an age into the folder."""
    beat = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="seconds")
    value = {"host": "node7", "process": 4711, "how": "shard 1/4, 2 workers", "batches": [[1, ""]]}
    folder = store.root / "runners"
    folder.mkdir(exist_ok=True)
    path = folder / f"{len(list(folder.iterdir())):032x}.json"
    path.write_text(json.dumps(value | {"began": beat, "beat": beat} | fields))
    return path


def only(store: Store) -> heartbeat.Runner:
    (runner,) = runners(store)
    return runner


def test_a_runner_tells_what_it_is_at(store: Store, at_once: None) -> None:
    with beating(store, "2 workers") as beat:
        beat(Event("begun", 2, text="node7"))
        beat(Event("begun", 0, text="node7"))
        beat(Event("done", 0))
        wait_until(lambda: [r.batches for r in runners(store)] == [((2, "node7"),)])
        runner = only(store)
        assert (runner.process, runner.how, runner.gone) == (os.getpid(), "2 workers", False)
        assert runner.is_alive
        assert abs(runner.seconds) < 5
        beat(Event("retry", 2))
        wait_until(lambda: only(store).batches == ())
    assert runners(store) == []
    assert not store.verify()


def test_a_run_of_a_moment_leaves_no_trace(store: Store) -> None:
    before = everything_below(store.root)
    with beating(store, "1 worker") as beat:
        beat(Event("begun", 0))
    assert everything_below(store.root) == before


def test_a_folder_that_cannot_be_written_stops_no_run(store: Store, at_once: None) -> None:
    (store.root / "runners").write_text("not a folder")
    with beating(store, "1 worker") as beat:
        beat(Event("begun", 0))
    (store.root / "runners").unlink()
    assert runners(store) == []


def test_signs_of_life_are_judged_by_their_age(store: Store) -> None:
    place(store, 5)
    assert only(store).is_alive
    assert only(store).sentence in [
        f"node7 (process 4711, shard 1/4, 2 workers): batch 1; heard of {s} s ago" for s in (5, 6)
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3600, "not heard of for 1 h 0 min, with batch 1; it has died, or cannot reach the folder"),
        (-3600, "batch 1; its clock is 1 h 0 min ahead of this one"),
    ],
)
def test_an_old_sign_is_no_sign_of_life(store: Store, seconds: float, words: str) -> None:
    place(store, seconds - 0.5)
    assert not only(store).is_alive
    assert only(store).sentence == f"node7 (process 4711, shard 1/4, 2 workers): {words}"


def test_a_dead_process_of_this_machine_is_known_to_be_dead(store: Store) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    known = {"host": socket.gethostname(), "namespace": heartbeat._namespace()}
    place(store, 1, process=dead.pid, **known)
    assert not only(store).is_alive
    assert only(store).sentence.endswith("has died, with batch 1; the next run computes that again")


@pytest.mark.parametrize("other", [{"namespace": "another start/4026531836"}, {}])
def test_a_process_of_a_container_of_the_same_name_is_not_looked_for(
    store: Store, other: dict[str, str]
) -> None:
    """Its number says nothing here; nor does one of a version that told no namespace."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    place(store, 1, host=socket.gethostname(), process=dead.pid, **other)
    assert only(store).is_alive
    place(store, 61, host=socket.gethostname(), process=dead.pid, **other)
    assert [each.is_alive for each in runners(store)] == [True, False]


def test_processes_of_one_namespace_tell_the_same(store: Store) -> None:
    code = "from dlnsweep.execution import heartbeat; print(heartbeat._namespace())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == heartbeat._namespace()


def test_many_batches_are_not_all_named(store: Store) -> None:
    place(store, 1, batches=[[n, "node7" if n else "node8"] for n in range(12)])
    assert "batch 0 on node8, 1, 2, 3, 4, 5, 6, 7 and 4 more;" in only(store).sentence


def test_what_is_no_sign_of_life_is_passed_over(store: Store) -> None:
    place(store, 1, beat="yesterday")
    place(store, 1, process="x")
    place(store, 1, batches=3)
    (store.root / "runners" / "note.json").write_text("{}")
    assert runners(store) == []


def test_signs_of_a_week_ago_are_cleared_away(store: Store, at_once: None) -> None:
    old, recent = place(store, 8 * 24 * 3600), place(store, 3600)
    with beating(store, "1 worker"):
        wait_until(lambda: not old.exists())
    assert recent.exists()


def test_status_shows_who_is_at_work(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place(store, 2, batches=[[2, "node7"]])
    place(store, 7200, how="dask tls://head:8786", batches=[[0, "node1"]])
    monkeypatch.setattr(sys, "argv", ["dlnsweep", "status", str(store.root)])
    with pytest.raises(SystemExit):
        main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["small: 0 of 12 runs done", "  0 of 3 batches; 1 running, 2 left"]
    assert lines[4].startswith("  node7 (process 4711, shard 1/4, 2 workers): batch 2; heard of")
    assert lines[5] == (
        "  node7 (process 4711, dask tls://head:8786): not heard of for 2 h 0 min, with batch 0 on "
        "node1; it has died, or cannot reach the folder"
    )
