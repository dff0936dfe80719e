"""The Dask executor; most of this file needs the extra `cluster` and is skipped without."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import guides
import pytest
from sweep_samples import (
    BARE,
    LONG,
    PATIENCE,
    REPOSITORY,
    data_files,
    start,
    trained_apart,
    wait_until,
    workers_of,
    write,
)
from test_execution import STAND_IN, kinds

import dlnsweep
from dlnsweep.errors import Interrupted, RunError, SpecError, StoreError
from dlnsweep.execution.events import Event
from dlnsweep.execution.workers import dask as dask_execution
from dlnsweep.execution.workers import dask_task
from dlnsweep.execution.workers import local as execution
from dlnsweep.execution.workers import process as worker_process
from dlnsweep.execution.workers.dask import DaskExecutor

needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="needs the extra 'cluster'"
)
distributed: Any = None
if importlib.util.find_spec("distributed") is not None:
    distributed = importlib.import_module("distributed")

# Dask's own; sockets of stopped clusters are closed when Python comes to it.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def two_processes() -> Any:
    """Return a cluster of two Dask workers, each a process of its own."""
    return distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
        host="127.0.0.1", memory_limit=0,
    )  # fmt: skip


def test_without_dask_a_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_execution.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SpecError) as raised:
        dlnsweep.run(write(tmp_path), tmp_path / "out", dask="tcp://10.0.0.5:8786")
    assert str(raised.value) == (
        "--dask tcp://10.0.0.5:8786 needs the packages of the extra 'cluster'; install them with "
        "pip install 'dlnsweep[cluster]'."
    )
    assert not (tmp_path / "out").exists()


@needs_dask
def test_workers_of_a_cluster_are_not_ours_to_choose() -> None:
    with pytest.raises(SpecError, match="leave --workers out, or give --dask local"):
        DaskExecutor("tcp://10.0.0.5:8786", 3)


@needs_dask
def test_no_scheduler_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_execution, "_CONNECT_SECONDS", 0.3)
    with pytest.raises(RunError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 "):
        DaskExecutor("tcp://127.0.0.1:9")(tmp_path, [0], print, lambda: False)


@needs_dask
def test_tls_without_certificates_is_a_sentence(tmp_path: Path) -> None:
    address = "tls://127.0.0.1:9"
    with pytest.raises(RunError) as raised:
        DaskExecutor(address)(tmp_path, [0], print, lambda: False)
    assert str(raised.value) == (
        f"--dask {address} asks for TLS, but Dask's settings name no ca_file and no cert and no "
        "key; set distributed.comm.tls.ca-file, .client.cert and .client.key in Dask's "
        "configuration (~/.config/dask/*.yaml, or DASK_DISTRIBUTED__COMM__TLS__CA_FILE and so on)."
    )


@pytest.fixture
def executor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[dict[int, str], list[Event]]]]:
    """Return a function that executes batches with stand-ins, on a cluster in this process."""

    def execute(
        body: str,
        numbers: range = range(4),
        should_stop: Callable[[], bool] = lambda: False,
        on_event: Callable[[Event], None] = lambda _: None,
    ) -> tuple[dict[int, str], list[Event]]:
        script = STAND_IN.replace("{body}", textwrap.dedent(body))
        monkeypatch.setattr(
            worker_process,
            "python_command",
            lambda module, root: [sys.executable, "-c", script, root],
        )
        events: list[Event] = []

        def hear(event: Event) -> None:
            events.append(event)
            on_event(event)

        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster:
            address = cluster.scheduler_address
            failures = DaskExecutor(address)(tmp_path, numbers, hear, should_stop)
        return failures, events

    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    yield execute
    dask_task.retire_all()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@needs_dask
def test_every_batch_is_done_once_by_one_process_a_worker(executor, tmp_path: Path) -> None:
    failures, events = executor("def work(batch): done(batch)", range(20))
    assert failures == {}
    assert all(kinds(events, n)[-1] == "done" for n in range(20))
    # Steps told in pieces are all told.
    assert sum(event.run_steps for event in events) == 20 * 10
    assert len(list(tmp_path.glob("worker-*"))) == 2


@needs_dask
def test_a_batch_that_kills_every_process_is_reported_and_the_others_are_done(executor) -> None:
    failures, events = executor(
        """
        def work(batch):
            if batch == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            if batch == 1:
                return say(kind="failed", batch=1, text="Traceback: a bug")
            done(batch)
        """
    )
    assert set(failures) == {0, 1}
    assert failures[0].endswith(
        "was killed by SIGKILL (out of memory? Try fewer --workers), 2 times"
    )
    assert failures[1].endswith(": Traceback: a bug")
    assert kinds(events, 0) == ["retry", "failed"]
    assert kinds(events, 1) == ["failed"]
    assert all(kinds(events, n)[-1] == "done" for n in (2, 3))


@needs_dask
def test_a_refused_folder_ends_the_run(executor) -> None:
    with pytest.raises(StoreError, match="the disk is full"):
        executor("def work(batch): say(kind='refused', text='the disk is full')")


@needs_dask
def test_stopping_lets_batches_end_at_their_segment(executor, tmp_path: Path) -> None:
    body = """
    def work(batch):
        def finish(*_):
            # Longer than anyone waits for news, as the rest of a segment is.
            time.sleep(1)
            first_time(f"ended-{os.getpid()}")
            say(kind="kept", batch=batch, run_steps=3, text="kept at 10 % of its steps")
            sys.exit(0)
        signal.signal(signal.SIGTERM, finish)
        say(kind="begun", batch=batch)
        first_time(f"began-{batch}")
        time.sleep(60)
    """
    events: list[Event] = []
    with pytest.raises(Interrupted):
        executor(body, range(8), lambda: len(list(tmp_path.glob("began-*"))) == 2, events.append)
    assert len(list(tmp_path.glob("ended-*"))) == 2
    began = {int(path.name[-1]) for path in tmp_path.glob("began-*")}
    assert len(began) == 2
    kept = [event for event in events if event.kind == "kept"]
    assert {event.batch for event in kept} == began
    assert {event.text for event in kept} == {"kept at 10 % of its steps"}
    assert events.index(kept[0]) > [event.kind for event in events].index("stopping")


@needs_dask
def test_a_batch_that_is_not_kept_in_time_is_named(
    executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_execution, "_STOP_SECONDS", 0.0)
    monkeypatch.setattr(execution, "_STOP_SECONDS", 0.5)
    body = """
    def work(batch):
        signal.signal(signal.SIGTERM, lambda *_: None)
        say(kind="begun", batch=batch)
        time.sleep(600)
    """
    events: list[Event] = []
    with pytest.raises(Interrupted):
        executor(body, range(1), lambda: kinds(events, 0) != [], events.append)
    assert kinds(events, 0) == ["begun", "kept"]
    assert events[-1].text == execution.NOT_KEPT


@needs_dask
def test_another_version_on_the_workers_is_refused(
    executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [("1.0", 1), ("2.0", 2)]
    monkeypatch.setattr(dask_task, "versions", lambda: found[min(1, len(found) - 1)])
    real = dask_execution._Session.run

    def run(self: Any, *arguments: Any) -> Any:
        monkeypatch.setattr(
            dask_task, "versions", lambda: found.pop(0) if len(found) > 1 else found[0]
        )
        return real(self, *arguments)

    monkeypatch.setattr(dask_execution._Session, "run", run)
    with pytest.raises(RunError, match=r"has dlnsweep 2\.0 \(numerics version 2\), but the client"):
        executor("def work(batch): done(batch)", range(1))


@needs_dask
def test_a_batch_that_costs_every_dask_worker_is_reported() -> None:
    events: list[Event] = []
    session = dask_execution._Session(None, "session", events.append)
    lost = distributed.KilledWorker("key", "tcp://10.0.0.7:1", 4)
    future = SimpleNamespace(status="error", exception=lambda: lost, release=lambda: None)
    session._end(future, 3)
    assert session._failures == {3: "its Dask worker was lost again and again"}
    assert [(event.kind, event.batch) for event in events] == [("failed", 3)]
    # A scheduler that is gone is no fault of the batches.
    with pytest.raises(RunError, match="the Dask scheduler is gone; every committed batch is kept"):
        session._end(SimpleNamespace(status="lost"), 4)


@needs_dask
def test_a_lost_dask_worker_takes_back_what_it_told() -> None:
    events: list[Event] = []
    session = dask_execution._Session(None, "session", events.append)
    for event in (Event("begun", 1), Event("progress", 1, 5), Event("begun", 1), Event("done", 1)):
        session._hear(event)
    assert kinds(events, 1) == ["begun", "progress", "retry", "begun", "done"]


# What a user's program does; it tells what its process loaded and who listens where.
CLIENT = """
import json, sys
from pathlib import Path
import dlnsweep

def listening():
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A":
                found.add((parts[1].rpartition(":")[0], parts[9]))
    return found

if __name__ == "__main__":
    before, during = listening(), set()
    results = dlnsweep.run(sys.argv[1], sys.argv[2], dask="local", workers=2,
                           on_event=lambda event: during.update(listening()))
    print(json.dumps([sorted({a for a, _ in during - before}), "jax" in sys.modules]))
"""


@needs_dask
def test_a_local_cluster_gives_the_same_bytes_on_the_loopback_interface(tmp_path: Path) -> None:
    sweep = write(tmp_path)
    reference = trained_apart(sweep, tmp_path / "reference")
    script = tmp_path / "client.py"
    script.write_text(CLIENT)
    with socket.socket() as other:
        # Where another cluster has taken the usual port of its pages, ours takes a free one.
        with contextlib.suppress(OSError):
            other.bind(("", 8787))
            other.listen()
        done = subprocess.run(
            [sys.executable, "-W", "error", script, sweep, tmp_path / "out"],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    addresses, jax_was_loaded = json.loads(done.stdout)
    # Other programs of this machine may begin to listen meanwhile, but ours do.
    assert "0100007F" in addresses
    assert not {"00000000", "0" * 32} & set(addresses)
    assert not jax_was_loaded
    assert data_files(tmp_path / "out" / "small") == data_files(reference)


ASKED = {
    # What is asked for beside `BARE`, and what a first sweep keeps for it.
    "rounds of [sweep.refine]": {
        "training.learning_rate": "[0.01, 30.0]",
        "training.num_steps": "40",
        "sweep.refine": '{ between = "training.learning_rate", tolerance = 0.2 }',
    },
    "rounds of [sweep.until]": {
        "sweep.until": '{ observable = "regression_error", width = 0.3, relative = true, '
        "most_seeds = 12 }",
    },
    "going on": {"training.num_steps": "60", "record.count": "7", "sweep.go_on_from": "FOLDER"},
    "a warm start": {"training.num_steps": "60", "sweep.warm_start": "FOLDER"},
}


@needs_dask
@pytest.mark.slow
def test_rounds_going_on_and_warm_starts_by_dask_have_the_same_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, BARE.replace("[record]\n", '[record]\nweights = "final"\n'))
    plain = {"training.num_steps": "30", "record.count": "4", "record.spacing": '"linear"'}

    def run(out: str, settings: dict[str, str], dask: str | None = None) -> Path:
        chosen = [f"{key}={value}" for key, value in settings.items()]
        how: dict[str, Any] = {"dask": dask} if dask else {"workers": 1}
        results = dlnsweep.run(path, tmp_path / out, overrides=chosen, figures=False, **how)
        assert results.store.verify() == []
        return results.path

    ended = run("ended", plain)
    with two_processes() as cluster:
        for number, (what, asked) in enumerate(ASKED.items()):
            settings = plain | {k: v.replace("FOLDER", f'"{ended}"') for k, v in asked.items()}
            apart = run(f"apart{number}", settings)
            dask = run(f"dask{number}", settings, cluster.scheduler_address)
            assert data_files(dask) == data_files(apart), what
            weights = [sorted((each / "weights").iterdir()) for each in (dask, apart)]
            for one, other in zip(*weights, strict=True):
                assert one.read_bytes() == other.read_bytes(), what
            store = dlnsweep.open_results(dask).store
            if what.startswith("rounds"):
                assert len(store.known_run_ids()) > 8, what
            if what == "going on":
                receipts = [store.files.read_json(f"receipts/batch-{n:06d}.json")
                            for n in store.done()]  # fmt: skip
                assert {each["went_on_from_step"] for each in receipts} == {30}


# Two decay rates, two seeds, rounds between two learning rates of which one diverges.
ROUNDS = BARE.replace("[30, 40, 50]", "40_000").replace("= 0.05", "= [0.01, 30.0]") + (
    'refine = { between = "training.learning_rate", tolerance = 0.05 }\n'
)


@needs_dask
@pytest.mark.slow
def test_rounds_by_dask_killed_in_between_have_the_same_bytes(tmp_path: Path) -> None:
    """Killed with -9 in the first round and after it, client and Dask worker: nothing is lost."""
    path = write(tmp_path, ROUNDS)
    reference = trained_apart(path, tmp_path / "reference")
    root = tmp_path / "out" / "small"
    with two_processes() as cluster, distributed.Client(cluster) as client:
        arguments = ("run", path, "--out", tmp_path / "out", "--no-figure", "--dask")

        def files() -> int:
            return len(list((root / "curves").iterdir())) if (root / "curves").exists() else 0

        counts = []
        for _ in range(3):
            before = files()
            process = start(*arguments, cluster.scheduler_address, cwd=tmp_path)
            wait_until(lambda before=before: files() > before)
            process.kill()
            process.wait()
            wait_until(lambda: not any(client.processing().values()))
            counts.append(files())
        last = start(*arguments, cluster.scheduler_address, cwd=tmp_path)
        wait_until(lambda: any(client.processing().values()) or last.poll() is not None)
        for info in client.run(pid_and_tasks).values():
            if info["tasks"]:
                os.kill(info["pid"], signal.SIGKILL)
                break
        _, said = last.communicate(timeout=PATIENCE)
        assert last.returncode == 0, said
    assert data_files(root) == data_files(reference)
    # The kills fell into rounds, of which there was more to do.
    assert counts[-1] < files()
    assert dlnsweep.open_results(root).store.verify() == []


@needs_dask
def test_ctrl_c_and_a_killed_dask_worker(tmp_path: Path) -> None:
    """Stopped, resumed, a Dask worker killed in the middle: the same bytes as undisturbed."""
    path = write(tmp_path, LONG)
    reference = trained_apart(path, tmp_path / "reference")
    root = tmp_path / "out" / "long"
    with two_processes() as cluster, distributed.Client(cluster) as client:
        arguments = ("run", path, "--out", tmp_path / "out", "--no-figure", "--dask")
        first = start(*arguments, cluster.scheduler_address, cwd=tmp_path)
        wait_until(lambda: (root / "curves").exists() and list((root / "curves").iterdir()))
        first.send_signal(signal.SIGINT)
        _, said = first.communicate(timeout=PATIENCE)
        assert first.returncode == 130, said
        assert said.splitlines()[-1].endswith(
            f" of 24 runs are done and kept in {root}; the same command goes on from there."
        )
        # Worker processes go on living for a while; what they had is over.
        wait_until(lambda: not any(client.processing().values()))
        second = start(*arguments, cluster.scheduler_address, cwd=tmp_path)
        wait_until(lambda: any(client.processing().values()))
        wait_until(lambda: workers_of(root))
        victim = next(info["pid"] for info in client.run(pid_and_tasks).values() if info["tasks"])
        os.kill(victim, signal.SIGKILL)
        _, said = second.communicate(timeout=PATIENCE)
        assert second.returncode == 0, said
    assert data_files(root) == data_files(reference)
    wait_until(lambda: not workers_of(root))


def pid_and_tasks(dask_worker: Any = None) -> dict[str, int]:
    return {"pid": os.getpid(), "tasks": len(dask_worker.state.executing)}


needs_jobqueue = pytest.mark.skipif(
    importlib.util.find_spec("dask_jobqueue") is None, reason="needs the extra 'cluster'"
)


@needs_jobqueue
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_example_for_slurm_as_far_as_it_goes_without_slurm(tmp_path: Path) -> None:
    path = tmp_path / "dask_on_slurm.py"
    code = guides.block("clusters", "Ways to compute a sweep", "python")
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("dask_on_slurm", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    with example.make_cluster() as cluster:
        script = cluster.job_script()
        address = cluster.scheduler_address
    assert address.startswith("tcp://127.0.0.1:")
    lines = script.splitlines()
    assert lines[0].startswith("#!")
    directives = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")]
    assert {"-n 1", "--cpus-per-task=1", "-t 04:00:00", "--partition=short"} <= set(directives)
    # One batch a worker at a time, on one core.
    assert f"distributed.cli.dask_worker {address} " in script
    assert "--nthreads 1 " in script
    assert "--lifetime 3h50m --lifetime-stagger 5m" in script
    job = tmp_path / "job.sh"
    job.write_text(script)
    checked = subprocess.run(["bash", "-n", job], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
