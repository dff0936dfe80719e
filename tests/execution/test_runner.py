from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_samples import BARE, QUICK, SMALL, data_files, everything_below, trained_apart, write

import dlnsweep
from dlnsweep.errors import Interrupted, RunError, SpecError, StoreError
from dlnsweep.execution import preparing, runner
from dlnsweep.execution.events import Event
from dlnsweep.execution.workers import worker
from dlnsweep.spec.sweep import Sweep
from dlnsweep.store import Store


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("sweeps"), BARE)


@pytest.fixture(scope="module")
def reference(sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of an undisturbed run in this process."""
    results = dlnsweep.run(sweep, tmp_path_factory.mktemp("reference"), workers=0)
    return results.path


def stamps(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in folder.rglob("*.parquet")}


def test_what_was_run_is_what_was_planned(reference: Path) -> None:
    runs = dlnsweep.open_results(reference).runs()
    assert len(runs) == 12
    assert set(runs["status"]) == {"finished"}
    assert np.array_equal(runs["last_step"], runs["training.num_steps"])
    assert np.isfinite(runs["final_regression_error"]).all()


def test_worker_processes_write_the_same_bytes(sweep: Path, tmp_path: Path) -> None:
    reference = trained_apart(sweep, tmp_path / "apart")
    events: list[Event] = []
    # Two at once are a matter of tests/execution/test_execution.py.
    results = dlnsweep.run(sweep, tmp_path, workers=1, on_event=events.append)
    assert data_files(results.path) == data_files(reference)
    assert {e.kind for e in events} >= {"ready", "done"}
    assert sum(e.runs for e in events if e.kind == "done") == 12
    # Every step of every run is told of once.
    assert sum(e.run_steps for e in events) == 4 * (30 + 40 + 50)


def test_a_batch_is_computed_without_pandas(sweep: Path, tmp_path: Path) -> None:
    """Which pyarrow imports for whoever makes an array by it: 0.2 s of every worker process."""
    root = preparing.prepare(Sweep.from_file(sweep), tmp_path / "small").store.root
    code = (
        "import sys; from dlnsweep.execution.workers.worker import execute_batch\n"
        f"execute_batch({str(root)!r}, 0)\nprint('pandas' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


def test_steps_that_stopped_runs_do_not_take_are_told_apart(sweep: Path, tmp_path: Path) -> None:
    """Errors start at about 1, so that every run stops at its first record."""
    events: list[Event] = []
    stop = 'training.stop_when={observable="regression_error", below=1e9}'
    results = dlnsweep.run(sweep, tmp_path, overrides=[stop], workers=0, on_event=events.append)
    runs = results.runs()
    assert set(runs["status"]) == {"stopped"}
    taken, planned = int(np.sum(runs["last_step"].to_numpy())), 4 * (30 + 40 + 50)
    assert taken < planned
    assert sum(e.run_steps for e in events) == planned
    # A segment that has begun is carried to its end.
    assert 0 < sum(e.saved for e in events) <= planned - taken
    status = Store.open(results.path).status()
    assert (status.run_steps, status.run_steps_taken) == (planned, taken)


def test_workers_cannot_write_to_one_process_s_memory(sweep: Path) -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(StoreError, match="seen by one process only, but 2 workers would write"):
        dlnsweep.run(sweep, "memory://here", workers=2)
    assert len(dlnsweep.run(sweep, "memory://here", workers=0).runs()) == 12


def test_running_again_computes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = write(tmp_path, QUICK)
    root = dlnsweep.run(sweep, tmp_path, workers=0).path
    before = stamps(root)
    monkeypatch.setattr(worker, "execute_batch", lambda *_: pytest.fail("computed again"))
    events: list[Event] = []
    dlnsweep.run(sweep, tmp_path, workers=0, on_event=events.append)
    assert stamps(root) == before
    # What is said of the figure is no event of a batch.
    assert {event.kind for event in events} <= {"note"}


def test_an_enlarged_sweep_computes_what_is_missing(
    sweep: Path, reference: Path, tmp_path: Path
) -> None:
    root = dlnsweep.run(sweep, tmp_path, workers=0).path
    times = stamps(root)
    events: list[Event] = []
    results = dlnsweep.run(
        sweep,
        tmp_path,
        overrides=["training.num_steps=[30, 40, 50, 60]"],
        workers=0,
        on_event=events.append,
    )
    assert sum(e.runs for e in events if e.kind == "done") == 4
    assert len(results.runs()) == 16
    kept = {name for name in data_files(reference) if name != "runs.parquet"}
    after = data_files(root)
    assert {name: after[name] for name in kept} == {
        name: data for name, data in data_files(reference).items() if name in kept
    }
    assert {str(root / name): times[str(root / name)] for name in kept}.items() <= stamps(
        root
    ).items()


def test_a_stopped_run_goes_on_to_the_same_bytes(
    sweep: Path, reference: Path, tmp_path: Path
) -> None:
    done: list[int] = []

    def on_event(event: Event) -> None:
        if event.kind == "done":
            done.append(event.batch)

    with pytest.raises(Interrupted, match="stopped"):
        dlnsweep.run(
            sweep, tmp_path, workers=0, on_event=on_event, should_stop=lambda: len(done) == 2
        )
    assert len(list((tmp_path / "small" / "curves").iterdir())) == 2
    dlnsweep.run(sweep, tmp_path, workers=0)
    assert data_files(tmp_path / "small") == data_files(reference)


def test_two_runners_on_one_folder_do_no_harm(sweep: Path, reference: Path, tmp_path: Path) -> None:
    others: list[Path] = []
    events: list[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        if not others:
            others.append(tmp_path)
            dlnsweep.run(sweep, tmp_path, workers=0)

    dlnsweep.run(sweep, tmp_path, workers=0, on_event=on_event)
    assert data_files(tmp_path / "small") == data_files(reference)
    assert sum(e.runs for e in events if e.kind == "done") == 12
    assert not dlnsweep.open_results(tmp_path / "small").store.verify()


def test_the_second_of_two_runners_finds_the_batch_committed(
    sweep: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlnsweep.engine import batch

    train, inner = batch.train_batch, []

    def slow(*arguments: object) -> object:
        if not inner:
            inner.append(True)
            dlnsweep.run(sweep, tmp_path, workers=0)
        return train(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "train_batch", slow)
    dlnsweep.run(sweep, tmp_path, workers=0)
    assert data_files(tmp_path / "small") == data_files(reference)
    assert not dlnsweep.open_results(tmp_path / "small").store.verify()


def test_a_full_disk_ends_the_run_with_a_sentence(
    sweep: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlnsweep.store import files

    write_new, written = files.write_new, []

    def full(path: Path, data: object) -> None:
        if "batch-" in path.name:
            written.append(path)
            if len(written) > 4:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_new(path, data)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_new", full)
        with pytest.raises(StoreError) as raised:
            dlnsweep.run(sweep, tmp_path, workers=0)
    assert "No space left on device" in str(raised.value)
    assert "free space on this disk and run the same command again" in str(raised.value)
    root = tmp_path / "small"
    assert [p.name for p in (root / "curves").iterdir()] == ["batch-000000.parquet"]
    assert [p.name for p in (root / "_staging").iterdir()] == ["lock"]
    dlnsweep.run(sweep, tmp_path, workers=0)
    assert data_files(root) == data_files(reference)


def test_a_bug_keeps_its_traceback(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlnsweep.engine import batch

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(batch, "train_batch", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        dlnsweep.run(sweep, tmp_path, workers=0)


def test_a_wrong_sweep_makes_no_folder(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL.replace("learning_rate = 0.05", "learning_rate = -1.0"))
    with pytest.raises(SpecError, match=r"training\.learning_rate is -1\.0"):
        dlnsweep.run(path, tmp_path / "out")
    assert everything_below(tmp_path) == ["sweep.toml"]


def test_a_folder_is_not_made_within_another_sweeps(sweep: Path, tmp_path: Path) -> None:
    """Who names the results folder itself would have everything computed anew, unseen."""
    name = Sweep.from_file(sweep).name
    for own, ending in ((name, f"{tmp_path}\\.$"), ("moved", f"rename moved to {name} first")):
        (tmp_path / own).mkdir()
        (tmp_path / own / "sweep.json").touch()
        with pytest.raises(StoreError, match=f"{own}: is itself the results folder.*{ending}"):
            dlnsweep.run(sweep, tmp_path / own, workers=0)
        assert [each.name for each in (tmp_path / own).iterdir()] == ["sweep.json"]


def test_failures_are_listed_by_their_reason(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(self: object, root: Path, numbers: list[int], *_: object) -> dict[int, str]:
        return dict.fromkeys(numbers, "its worker process was killed by SIGKILL")

    monkeypatch.setattr(runner.LocalExecutor, "__call__", execute)
    with pytest.raises(RunError) as raised:
        dlnsweep.run(sweep, tmp_path)
    assert str(raised.value) == (
        f"{tmp_path / 'small'}: 3 of 3 batches failed; the others are done. Run the same command "
        "again to retry.\nbatch 0, 1, 2: its worker process was killed by SIGKILL"
    )


def test_a_batch_reads_its_own_rows_of_the_table_of_runs(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlnsweep.store.files import LocalFiles

    read, reads = LocalFiles.read_table, []

    def counted(self: LocalFiles, name: str, *arguments: Any, **options: Any) -> Any:
        reads.append(name)
        return read(self, name, *arguments, **options)

    def plan(*overrides: str) -> None:
        preparing.prepare(Sweep.from_file(sweep, overrides), root)
        reads.clear()

    monkeypatch.setattr(LocalFiles, "read_table", counted)
    root = tmp_path / "small"
    plan()
    for number in range(3):
        worker.execute_batch(root, number)
    assert "runs.parquet" not in reads
    # An enlarged plan is noticed ...
    plan("training.num_steps=[30, 40, 50, 60]")
    worker.execute_batch(root, 3)
    assert "runs.parquet" not in reads
    # ... and so is another sweep that has taken the folder's place.
    shutil.rmtree(root)
    plan("sweep.seeds=[7, 8]")
    worker.execute_batch(root, 0)
    assert "runs.parquet" not in reads
    runs = dlnsweep.open_results(root).runs()
    assert set(runs[runs["status"] == "finished"]["seed"]) == {7, 8}
