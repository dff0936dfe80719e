"""Worker processes: the protocol with small stand-ins for workers, then real ones that die."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sweep_samples import (
    LONG,
    PATIENCE,
    data_files,
    kill,
    start,
    trained_apart,
    wait_until,
    workers_of,
    write,
)

import dlnsweep
from dlnsweep.errors import Interrupted, RunError, StoreError
from dlnsweep.execution.events import Event
from dlnsweep.execution.workers import local as execution
from dlnsweep.execution.workers import process as worker_process
from dlnsweep.execution.workers.local import LocalExecutor
from dlnsweep.numerics import runtime
from dlnsweep.numerics.runtime import python_command

# A worker without JAX: `work` is called with each batch's number.
STAND_IN = """
import json, os, signal, sys, time
folder = sys.argv[1]
def say(**fields):
    print(json.dumps(fields), flush=True)
def done(batch):
    say(kind="progress", batch=batch, run_steps=5)
    say(kind="done", batch=batch, run_steps=5, runs=2)
def first_time(name):
    try:
        os.close(os.open(os.path.join(folder, name), os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False
{body}
first_time(f"worker-{os.getpid()}")
say(kind="ready", text="cpu")
for line in sys.stdin:
    work(json.loads(line)["batch"])
"""


@pytest.fixture
def executor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[dict[int, str], list[Event]]]]:
    """Return a function that executes batches with stand-ins that run the code given."""

    def execute(
        body: str,
        numbers: range = range(4),
        workers: int = 2,
        should_stop: Callable[[], bool] = lambda: False,
        events: list[Event] | None = None,
    ) -> tuple[dict[int, str], list[Event]]:
        script = STAND_IN.replace("{body}", textwrap.dedent(body))
        monkeypatch.setattr(
            worker_process,
            "python_command",
            lambda module, root: [sys.executable, "-c", script, root],
        )
        events = [] if events is None else events
        failures = LocalExecutor(workers)(tmp_path, numbers, events.append, should_stop)
        return failures, events

    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    yield execute
    # Neither pipes nor zombies are left.
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_linear_algebra_has_one_thread_on_one_core(executor):
    # Two threads on one core wait for one another.
    failures, _ = executor("""
        def work(batch):
            say(kind="failed", batch=batch, text=os.environ["OPENBLAS_NUM_THREADS"])
    """)
    assert set(failures.values()) == {"1"}


def kinds(events: list[Event], batch: int) -> list[str]:
    return [event.kind for event in events if event.batch == batch]


def test_every_batch_is_done_once(executor, tmp_path: Path) -> None:
    failures, events = executor("def work(batch): done(batch)", range(20))
    assert failures == {}
    assert all(kinds(events, n) == ["progress", "done"] for n in range(20))
    assert len(list(tmp_path.glob("worker-*"))) <= 2


def test_a_worker_that_began_early_takes_the_first_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = STAND_IN.replace("{body}", "def work(batch): done(batch)")
    monkeypatch.setattr(
        worker_process, "python_command", lambda _, root: [sys.executable, "-c", script, root]
    )
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    started: list[int] = []
    begin = execution.start

    def counted(*given: Any) -> Any:
        worker = begin(*given)
        started.append(worker.process.pid)
        return worker

    monkeypatch.setattr(execution, "start", counted)
    executor, events = LocalExecutor(2), list[Event]()
    with executor.begun(tmp_path):
        assert len(started) == 1
        assert executor(tmp_path, range(6), events.append, lambda: False) == {}
    # It is one of the two, and later rounds start their own.
    assert len(started) == 2
    assert executor(tmp_path, [0], events.append, lambda: False) == {}
    assert len(started) == 3
    assert len([event for event in events if event.kind == "done"]) == 7
    # A plan that is refused: what waited for it has ended.
    with pytest.raises(ZeroDivisionError), executor.begun(tmp_path):
        raise ZeroDivisionError
    assert len(started) == 4
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_no_more_workers_than_batches(executor, tmp_path: Path) -> None:
    executor("def work(batch): done(batch)", range(1), workers=10**11)
    assert len(list(tmp_path.glob("worker-*"))) == 1


def test_lines_may_come_in_pieces(executor) -> None:
    body = """
    def work(batch):
        text = json.dumps(dict(kind="done", batch=batch, run_steps=1, runs=1)) + "\\n"
        for piece in (text[:7], text[7:20], text[20:]):
            sys.stdout.write(piece)
            sys.stdout.flush()
            time.sleep(0.05)
    """
    failures, events = executor(body, range(2))
    assert failures == {}
    assert sum(event.kind == "done" for event in events) == 2


def test_a_batch_whose_worker_dies_is_tried_again(executor) -> None:
    body = """
    def work(batch):
        if batch == 1 and first_time("died"):
            say(kind="progress", batch=1, run_steps=3)
            os.kill(os.getpid(), signal.SIGKILL)
        done(batch)
    """
    failures, events = executor(body)
    assert failures == {}
    assert kinds(events, 1) == ["progress", "retry", "progress", "done"]
    assert all(kinds(events, n)[-1] == "done" for n in range(4))


def test_to_be_asked_to_end_is_no_failure_however_often(executor) -> None:
    body = """
    def work(batch):
        if batch == 0 and any(first_time(f"asked-{k}") for k in range(5)):
            say(kind="kept", batch=batch, run_steps=3, text="kept at 10 % of its steps")
            sys.exit(0)
        done(batch)
    """
    failures, events = executor(body, range(2), workers=1)
    assert failures == {}
    # It goes on before others begin.
    assert [event.batch for event in events if event.kind == "done"] == [0, 1]
    assert kinds(events, 0) == [*["kept", "retry"] * 5, "progress", "done"]


def test_a_batch_that_ends_its_worker_without_a_step_is_reported(executor) -> None:
    failures, events = executor(
        """
        def work(batch):
            say(kind="kept", batch=batch, text="not begun this time")
            sys.exit(0)
        """,
        range(1),
    )
    assert failures == {0: "its worker process ended with status 0, 2 times"}
    assert kinds(events, 0) == ["kept", "retry", "kept", "failed"]


@pytest.mark.parametrize(
    ("death", "reason"),
    [
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            "its worker process was killed by SIGKILL (out of memory? Try fewer --workers), "
            "2 times",
        ),
        ("os._exit(9)", "its worker process ended with status 9, 2 times"),
    ],
)
def test_a_batch_that_kills_every_worker_is_reported(executor, death: str, reason: str) -> None:
    failures, events = executor(
        f"""
        def work(batch):
            if batch == 0:
                {death}
            done(batch)
        """
    )
    assert failures == {0: reason}
    assert kinds(events, 0) == ["retry", "failed"]
    assert all(kinds(events, n)[-1] == "done" for n in (1, 2, 3))


def test_a_batch_that_fails_in_its_worker_is_not_tried_again(executor) -> None:
    body = """
    def work(batch):
        if batch == 2:
            return say(kind="failed", batch=2, text="Traceback: a bug")
        done(batch)
    """
    failures, events = executor(body)
    assert failures == {2: "Traceback: a bug"}
    assert kinds(events, 2) == ["failed"]


def test_what_a_worker_said_before_it_died_counts(executor) -> None:
    body = """
    def work(batch):
        done(batch)
        if first_time("died"):
            os._exit(1)
    """
    failures, events = executor(body)
    assert failures == {}
    assert all(kinds(events, n)[-1] == "done" for n in range(4))


def test_workers_that_cannot_start_end_the_run(executor) -> None:
    with pytest.raises(RunError, match="worker processes cannot start: the last one ended with"):
        executor("sys.exit(1)", range(1000))


def test_a_refused_folder_ends_the_run(executor) -> None:
    with pytest.raises(StoreError, match="the disk is full"):
        executor("def work(batch): say(kind='refused', text='the disk is full')")


def test_stopping_lets_workers_end_what_they_do(executor, tmp_path: Path) -> None:
    body = """
    def finish(*_):
        first_time("ended")
        sys.exit(0)
    signal.signal(signal.SIGTERM, finish)
    def work(batch):
        first_time("began")
        time.sleep(60)
    """
    with pytest.raises(Interrupted):
        executor(body, workers=1, should_stop=lambda: (tmp_path / "began").exists())
    assert (tmp_path / "ended").exists()


def test_a_batch_that_is_handed_to_a_worker_as_it_ends_is_not_begun(executor) -> None:
    """It was said to have kept its process beyond all patience, and to go on from a checkpoint."""
    body = """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    def work(batch):
        done(batch)
        time.sleep(60)
    """
    events: list[Event] = []
    looks = iter(range(10**9))

    def should_stop() -> bool:
        # The next batch is handed out in the round in which the end of the first is heard.
        return any(event.kind == "done" for event in events) and next(looks) >= 2

    with pytest.raises(Interrupted):
        executor(body, range(3), workers=1, should_stop=should_stop, events=events)
    assert [(event.batch, event.text) for event in events if event.kind == "kept"] == [
        (1, "not begun this time")
    ]


def test_a_second_interruption_kills_the_workers(
    executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = subprocess.Popen.wait

    def interrupted(self: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if timeout is not None:
            raise KeyboardInterrupt
        return wait(self, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    body = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    def work(batch):
        first_time("began")
        time.sleep(60)
    """
    with pytest.raises(KeyboardInterrupt):
        executor(body, workers=2, should_stop=lambda: (tmp_path / "began").exists())


def test_a_worker_that_does_not_end_is_killed(
    executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "_STOP_SECONDS", 0.2)
    body = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    def work(batch):
        first_time("began")
        time.sleep(60)
    """
    began = time.monotonic()
    with pytest.raises(Interrupted):
        executor(body, workers=1, should_stop=lambda: (tmp_path / "began").exists())
    assert time.monotonic() - began < 30


def test_without_cpu_affinity_all_cores_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert runtime.usable_cores() == [0, 1, 2]
    assert LocalExecutor(7).num_workers == 7


def test_modules_in_the_users_folder_are_not_imported(tmp_path: Path) -> None:
    for name in ("queue", "json", "numpy", "dlnsweep"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    command = python_command("dlnsweep.worker", "--help")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "computes the batches" in ended.stdout


# Who asks a run to end, or kills the runner alone, is in tests/machine/test_stopping.py, too.
@pytest.mark.parametrize(
    "deaths",
    [
        ("everything", "a worker"),
        pytest.param(
            ("asked to end", "everything", "the runner", "a worker"), marks=pytest.mark.survival
        ),
    ],
    ids=len,
)
def test_a_run_survives_its_deaths(deaths: tuple[str, ...], tmp_path: Path) -> None:
    """SIGTERM, kill -9 of all processes, of the runner alone, of a worker; then the same bytes."""
    path = write(tmp_path, LONG)
    reference = trained_apart(path, tmp_path / "reference")
    root = tmp_path / "out" / "long"
    curves = root / "curves"
    arguments = ("run", path, "--out", tmp_path / "out", "--no-figure", "--workers", "2")
    kept: dict[Path, bytes] = {}

    def committed() -> bool:
        return curves.exists() and set(curves.iterdir()) > set(kept)

    for death in deaths:
        process = start(*arguments, cwd=tmp_path)
        if death == "asked to end":
            # After a first commit.
            wait_until(committed)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=PATIENCE)
            assert process.returncode == 130
            assert said.splitlines()[-1].endswith(
                f" of 24 runs are done and kept in {root}; the same command goes on from there."
            )
            assert "Traceback" not in said
            assert not workers_of(root)
        elif death == "everything":
            # At a random instant after a first commit.
            wait_until(committed)
            time.sleep(random.uniform(0, 0.3))
            kill(process.pid, *workers_of(root))
            process.communicate()
            wait_until(lambda: not workers_of(root))
        elif death == "the runner":
            # Its workers end by themselves, wherever they are.
            wait_until(lambda: workers_of(root))
            kill(process.pid)
            process.communicate()
            wait_until(lambda: not workers_of(root))
        else:
            # In the middle; its batch is tried again and the run completes.
            wait_until(lambda: workers_of(root))
            time.sleep(0.5)
            kill(workers_of(root)[0])
            _, said = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, said
        now = {p: p.read_bytes() for p in curves.iterdir()}
        assert kept.items() <= now.items()
        kept = now
    assert data_files(root) == data_files(reference)
    assert not dlnsweep.open_results(root).store.verify()
    assert not workers_of(root)
