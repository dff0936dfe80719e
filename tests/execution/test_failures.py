"""Why batches failed: kept until they are done, and told whatever the folder holds."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path

import jax
import pytest
from sweep_samples import everything_below, write

from dlnsweep.cli.app import main
from dlnsweep.errors import RunError
from dlnsweep.execution import failures as kept
from dlnsweep.execution.events import Event
from dlnsweep.execution.failures import failures, keeping, listed
from dlnsweep.execution.preparing import prepare
from dlnsweep.execution.runner import run
from dlnsweep.report import write_report
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store

TRACEBACK = "Traceback (most recent call last):\n  File 'x', line 1\nValueError: it \x1b[31mbroke\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return prepare(Sweep.from_file(write(tmp_path)), tmp_path / "small").store


def test_a_reason_is_kept_until_its_batch_is_done(store: Store) -> None:
    before = everything_below(store.root)
    with keeping(store) as hear:
        hear(Event("begun", 0))
        hear(Event("failed", 0, text=TRACEBACK))
        hear(Event("failed", 1, text="its worker process was killed by SIGKILL, 2 times"))
    assert failures(store) == {
        0: "ValueError: it \\x1b[31mbroke",
        1: "its worker process was killed by SIGKILL, 2 times",
    }
    whole = json.loads((store.root / "failures" / "batch-000000.json").read_text())
    assert whole["reason"] == TRACEBACK.rstrip()
    # Neither harm nor leftovers: the batches are not done.
    assert not store.verify()
    assert not store.gc(dry_run=True)
    with keeping(store) as hear:
        hear(Event("done", 0))
        assert list(failures(store)) == [1]
        hear(Event("done", 1))
    assert everything_below(store.root) == before


def test_of_a_traceback_the_exception_is_told_whatever_jax_adds_to_it(store: Store) -> None:
    def wrong(x: jax.Array) -> jax.Array:
        raise RuntimeError("my init is broken\nin two lines")

    with pytest.raises(RuntimeError) as caught:
        jax.jit(wrong)(1.0)
    reason = "".join(traceback.format_exception(caught.value))
    assert not reason.rstrip().endswith("in two lines"), "JAX says something of its own frames"
    with keeping(store) as hear:
        hear(Event("failed", 0, text=reason))
        hear(Event("failed", 1, text="\n  \n"))
    assert failures(store) == {0: "RuntimeError: my init is broken", 1: "no reason was given"}


def test_no_more_is_kept_than_may_be(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_WRITTEN", 2)
    with keeping(store) as hear:
        for number in (3, 1, 1, 2):
            hear(Event("failed", number, text="x" * 100_000 + "the end"))
    assert sorted(failures(store)) == [1, 3]
    assert all(path.stat().st_size < 5000 for path in (store.root / "failures").iterdir())


def test_a_folder_that_cannot_be_written_stops_no_run(store: Store) -> None:
    (store.root / "failures").write_text("not a folder")
    with keeping(store) as hear:
        hear(Event("failed", 0, text="x"))
        hear(Event("done", 0))
    assert failures(store) == {}


@pytest.mark.parametrize(
    "content", ["", "[1]", '{"reason": 3}', "{" * 5000, '{"reason": "' + "x" * 40_000 + '"}']
)
def test_what_is_no_such_file_is_passed_over(store: Store, content: str) -> None:
    with keeping(store) as hear:
        hear(Event("failed", 1, text="known"))
    (store.root / "failures" / "batch-000000.json").write_text(content)
    (store.root / "failures" / "other.json").write_text('{"reason": "x"}')
    assert failures(store) == {1: "known"}


def test_many_failures_stay_readable() -> None:
    lines = listed({n: "same" if n < 20 else f"reason {n}" for n in range(30)})
    assert lines[0] == "batch 0, 1, 2, 3, 4 and 15 more: same"
    assert lines[1] == "batch 20: reason 20"
    assert lines[-1] == "and 6 other reasons"
    assert len(lines) == 6


def test_a_run_that_fails_leaves_its_reason_and_one_that_does_not_takes_it_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dlnsweep.execution import runner
    from dlnsweep.execution.runner import executor_for

    def broken(root, numbers, on_event, should_stop, batch_bytes=0):
        on_event(Event("failed", numbers[0], text=TRACEBACK))
        return {numbers[0]: TRACEBACK}

    file, root = write(tmp_path), tmp_path / "small"
    with monkeypatch.context() as changed:
        changed.setattr(runner, "executor_for", lambda *_: (broken, "1 worker"))
        with pytest.raises(RunError, match="batch 0: Traceback"):
            run(file, tmp_path)
    monkeypatch.setattr(sys, "argv", ["dlnsweep", "status", str(root)])
    with pytest.raises(SystemExit, match="0"):
        main()
    told = capsys.readouterr().out
    assert "failed when they were last tried" in told
    assert "batch 0: ValueError: it \\x1b[31mbroke" in told
    page = write_report(root, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Failed batches" in page
    assert "31mbroke" in page
    monkeypatch.setattr(runner, "executor_for", lambda *_: executor_for(0))
    run(file, tmp_path)
    assert not (root / "failures").exists()
    with pytest.raises(SystemExit, match="0"):
        main()
    assert "failed when" not in capsys.readouterr().out


def test_one_that_a_killed_runner_left_of_a_done_batch_is_a_leftover(tmp_path: Path) -> None:
    results = run(write(tmp_path), tmp_path / "small", workers=0)
    store = results.store
    with keeping(store) as hear:
        hear(Event("failed", 0, text="x"))
    assert failures(store) == {}
    assert [path.name for path in store.gc()] == ["batch-000000.json"]
