"""Polite stops, as they come from terminals, shells and schedulers: what runs is kept, and told.

Everything is a process of its own here, with worker processes unless it says otherwise: that is
what a user has.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sweep_samples import BARE, PATIENCE, REPOSITORY, start, started, wait_until, workers_of, write

from dlnsweep.engine.journal import KINDS
from dlnsweep.machine import console
from dlnsweep.machine.stopping import AGAIN, stoppable
from dlnsweep.store import Store
from dlnsweep.store.layout import batch_name
from dlnsweep.store.packing import unpack

needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="needs the extra 'cluster'"
)
# Nobody waits for its end.
ENDLESS = BARE.replace("[30, 40, 50]", "[1_000_000_000, 1_000_000_001, 1_000_000_002]")
# All runs of a batch are in one call, which may have places that no run has.
RUNS, STEPS = 4, 4e9
KEPT = re.compile(r"dlnsweep: batch (\d+): kept at ([\d.]+|less than 0\.1) % of its steps")


def checkpoints(root: Path) -> dict[str, int]:
    return {p.stem: p.stat().st_mtime_ns for p in (root / "checkpoints").glob("*.npz")}


def begin(folder: Path, *arguments: str, running: int = 2, **options: Any) -> Any:
    """Start an endless run; return when so many batches are training."""
    path = write(folder, ENDLESS)
    process = start("run", path, "--out", folder, "--checkpoint", "0.001", "--no-figure",
                    *arguments, cwd=folder, **options)  # fmt: skip
    root = folder / "small"
    seen: dict[str, int] = {}

    def all_train() -> bool:
        nonlocal seen
        if (kept := checkpoints(root)) == seen:
            # To read them again and again takes the core from the workers.
            return False
        seen = kept
        return len(kept) >= running and all(done_share(root, int(name[-6:])) > 0 for name in kept)

    wait_until(lambda: process.poll() is not None or all_train())
    assert process.poll() is None, process.communicate()
    return process


def done_share(root: Path, number: int) -> float:
    """Return the share of a batch's run-steps that its checkpoint holds."""
    state = unpack(Path(root, batch_name("checkpoints", number)).read_bytes(), KINDS)[1]
    if state.call is None:
        return 0.0
    return state.call.position[1] * RUNS / STEPS


def assert_kept(process: subprocess.Popen[str], root: Path, count: int, at: dict[str, int]) -> str:
    """The process ends as stopped, and tells of each running batch what its checkpoint holds."""
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    told = KEPT.findall(said)
    assert len(told) == count, said
    for number, share in told:
        found = 100 * done_share(root, int(number))
        # Told are tenths of a percent, rounded down.
        least = 0.0 if share.startswith("less") else float(share)
        assert least <= found < least + 0.1 + 1e-9
        name = f"batch-{int(number):06d}"
        assert checkpoints(root)[name] > at.get(name, 0), "it was kept when it was stopped"
    assert said.splitlines()[-1].endswith(
        f"are done and kept in {root}; the same command goes on from there."
    )
    assert not workers_of(root)
    assert not list(root.glob("runners/*"))
    return said


SIGNALS = ("INT", "TERM", "HUP", "USR1", "USR2", "XCPU")
OTHERS = [
    pytest.param(
        name,
        where,
        arguments,
        marks=[pytest.mark.survival, *([needs_dask] if "--dask" in arguments else [])],
    )
    for name in SIGNALS
    for where, arguments in (
        ("parent", ("--workers", "2")),
        ("group", ("--workers", "1")),
        ("everyone", ("--workers", "2")),
        ("parent twice", ("--workers", "2", "--shard", "1/1")),
        ("parent", ("--workers", "0")),
        ("group", ("--dask", "local", "--workers", "1")),
        ("parent", ("--dask", "local", "--workers", "2")),
    )
]


@pytest.mark.parametrize(
    ("name", "where", "arguments"),
    [
        ("INT", "group twice", ("--workers", "2")),
        pytest.param("TERM", "group", ("--dask", "local", "--workers", "1"), marks=needs_dask),
        *OTHERS,
    ],
)
def test_a_polite_stop_keeps_every_running_batch(
    name: str, where: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    number = getattr(signal, f"SIG{name}")
    running = 2 if "2" in arguments else 1
    root = tmp_path / "small"
    process = begin(tmp_path, *arguments, running=running, start_new_session=True)
    before = checkpoints(root)
    for _ in range(2 if "twice" in where else 1):
        if "group" in where:
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)
    if where == "everyone":
        for worker in workers_of(root):
            os.kill(worker, number)
    said = assert_kept(process, root, running, before)
    # Two signals of one number that come close together are one for the system.
    assert said.count(AGAIN) <= ("twice" in where)


def test_a_worker_that_ends_is_replaced_and_one_without_a_runner_ends(tmp_path: Path) -> None:
    """How often it is replaced is a matter of tests/execution/test_execution.py."""
    root = tmp_path / "small"
    process = begin(tmp_path, "--workers", "1", running=1)
    (worker,) = workers_of(root)
    share = done_share(root, 0)
    os.kill(worker, signal.SIGTERM)
    wait_until(lambda: workers_of(root) not in ([worker], []))
    at = checkpoints(root)
    wait_until(lambda: checkpoints(root) != at)
    assert done_share(root, 0) >= share
    # Before its runner dies: the worker may be quicker than who reads it afterwards.
    before = checkpoints(root)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not workers_of(root))
    after = checkpoints(root)
    assert before
    assert all(after[name] > before[name] for name in before)


@pytest.mark.survival
def test_a_run_under_nohup_goes_on_when_its_terminal_is_closed(tmp_path: Path) -> None:
    root = tmp_path / "small"
    deaf = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    command = f"{deaf}os.execv(sys.executable, [sys.executable, '-m', 'dlnsweep', *sys.argv[1:]])"
    process = started(
        [sys.executable, "-c", command, "run", write(tmp_path, ENDLESS), "--out", tmp_path,
         "--workers", "1", "--checkpoint", "0.001"], cwd=REPOSITORY,
    )  # fmt: skip
    wait_until(lambda: checkpoints(root) or process.poll() is not None)
    process.send_signal(signal.SIGHUP)
    at = checkpoints(root)
    wait_until(lambda: checkpoints(root) != at)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert said.count("stopping: ") == 1


SCRIPT = """
import sys
import dlnsweep
dlnsweep.run(sys.argv[1], sys.argv[2], workers=int(sys.argv[3]), checkpoint_seconds=0.05)
"""


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.survival), 1])
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.survival)]
)
def test_a_program_that_calls_run_ends_as_it_would_but_keeps_what_runs(
    number: signal.Signals, workers: int, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = started([sys.executable, script, write(tmp_path, ENDLESS), tmp_path, str(workers)])
    wait_until(lambda: checkpoints(tmp_path / "small") or process.poll() is not None)
    before = checkpoints(tmp_path / "small")
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)
    # Python ends by the signal after a KeyboardInterrupt, too.
    assert process.returncode == -number, said
    assert ("KeyboardInterrupt" in said) == (number == signal.SIGINT)
    after = checkpoints(tmp_path / "small")
    assert all(after[name] > before[name] for name in before)
    assert not workers_of(tmp_path / "small")


@pytest.fixture
def _hangs_up() -> Iterator[None]:
    """Under nohup a signal is ignored that these tests send; what is tested leaves it so."""
    found = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, found)


@pytest.mark.usefixtures("_hangs_up")
def test_a_third_control_c_ends_at_once_and_the_second_says_so() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    answered: list[int] = []
    with stoppable(answered.append) as should_stop:
        assert not should_stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert should_stop()
        os.kill(os.getpid(), signal.SIGINT)
        # What schedulers send never ends at once, however often.
        for name in SIGNALS[1:]:
            os.kill(os.getpid(), getattr(signal, f"SIG{name}"))
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert answered == [1, 2, 3, 4, 5, 6, 7]
    assert {number: signal.getsignal(number) for number in before} == before


# What cannot be written.


def shell(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command line as a newcomer's shell does; `DLN` stands for the program."""
    text = command.replace("DLN", f"{sys.executable} -m dlnsweep")
    # And the session's cache of compiled programs, not the user's own.
    names = ("HOME", "PATH", "LANG", "DLNSWEEP_COMPILE_CACHE")
    bare = {name: os.environ[name] for name in names if name in os.environ}
    bare |= {"TERM": "dumb", "PYTHONPATH": str(REPOSITORY), **environment}
    process = started(["bash", "-c", text], cwd=folder, env=bare)
    out, said = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(text, process.returncode, out, said)


LOSSES = (
    *("2>/dev/full", "2>&-", "1>&-", ">/dev/full", ">/dev/full 2>&1", "<&- 1>&- 2>&-"),
    *("2>&1 | head -1", "2>&1 | true", "2> >(true)"),
)


@pytest.mark.parametrize(
    "loss",
    ["2>&1 | head -1", "<&- 1>&- 2>&-"]
    + [pytest.param(loss, marks=pytest.mark.survival) for loss in LOSSES],
)
def test_a_run_that_cannot_report_computes_all_the_same(loss: str, tmp_path: Path) -> None:
    write(tmp_path, BARE)
    ended = shell(f"DLN run sweep.toml --workers 1 {loss}; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "Exception ignored" not in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
    store = Store.open(tmp_path / "results" / "small")
    assert len(store.done()) == 3
    # Nothing that was said went into a file of the results.
    assert store.verify() == []


@pytest.mark.parametrize(
    "loss", ["2>/dev/full", pytest.param("2> >(head -1)", marks=pytest.mark.survival)]
)
def test_a_stop_that_cannot_report_has_its_status(loss: str, tmp_path: Path) -> None:
    write(tmp_path, ENDLESS)
    root = tmp_path / "results" / "small"
    ended = shell(
        "DLN run sweep.toml --workers 0 --checkpoint 0.001 > >(cat) & RUN=$!; "
        "until ls results/small/checkpoints/*.npz >/dev/null 2>&1; do sleep 0.1; done; "
        "kill -TERM $RUN; wait $RUN".replace(
            "> >(cat)", loss if "|" not in loss else "2> >(head -1)"
        ),
        tmp_path,
    )
    assert ended.returncode == 130, ended.stderr
    assert list(checkpoints(root)) == ["batch-000000"]


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("DLN explain training >/dev/full", 5),
        ("DLN explain training 1>&-", 5),
        ("DLN explain training | true", 0),
        ("DLN explain training 2>&-", 0),
        ("DLN check nosuch.toml 2>/dev/full", 2),
    ],
)
def test_what_a_command_has_to_say_is_lost_with_a_status(
    command: str, status: int, tmp_path: Path
) -> None:
    ended = shell(f"{command}; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert ended.returncode == status
    assert "Exception ignored" not in ended.stderr
    assert "Traceback" not in ended.stderr
    if status == 5:
        assert "could not all be written" in ended.stderr


def test_a_reader_that_takes_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a terminal after Ctrl-S, or a pager that nobody scrolls."""
    monkeypatch.setattr(console, "_PATIENCE_SECONDS", 0.01)
    read, write_end = os.pipe()
    try:
        outlet = console._Outlet(write_end, closed=False)
        outlet.patient = False
        for _ in range(100):
            assert outlet.write(bytes(4096)) == 4096
        assert len(os.read(read, 1 << 20)) < 100 * 4096
        outlet.write(b"again")
        assert os.read(read, 1 << 20).endswith(b"again")
    finally:
        os.close(read)
        os.close(write_end)
