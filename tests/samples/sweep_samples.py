"""Sweeps of a moment for the tests of the engine, and what to look at in their folders."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

REPOSITORY = Path(__file__).parents[2]
# Seconds that a test waits for another process: long, for a machine may be busy with ten other
# things, and who waits in vain has failed anyway.
PATIENCE = 1500.0

# Runs with different numbers of steps are different batches of one compiled program.
SMALL = """
name = "small"
[problem]
kind = "subspace"
signal_dim = 8
measurement_dim = 4
subspace_dim = 2
num_samples = 20
[network]
depth = 2
width = 8
[training]
learning_rate = 0.05
weight_decay = [1e-2, 1e-3]
num_steps = [30, 40, 50]
[record]
count = 10
observables = ["regression_error", "off_subspace_error"]
[sweep]
seeds = 2
[figure]
kind = "curves"
y = "regression_error"
hue = "training.weight_decay"
"""
# To draw takes as long as all the rest; a run without figures is enough for most tests.
BARE = SMALL.partition("[figure]")[0]
# A figure that costs little.
QUICK = SMALL + 'formats = ["png"]\ndpi = 50\n'
# Seconds of training, so that there is something to interrupt.
LONG = SMALL.replace('"small"', '"long"').replace(
    "[30, 40, 50]", "[50_000, 60_000, 70_000, 80_000, 90_000, 100_000]"
)


def write(folder: Path, text: str = SMALL, name: str = "sweep.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def data_files(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all data files of a results folder.

    What a process that was killed was just writing is left in `_staging`, which `gc` removes.
    """
    paths = [path for path in sorted(folder.rglob("*.parquet")) if path.parent.name != "_staging"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# Makes the standard input the controlling terminal, from which Ctrl-C comes.
_ON_A_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


def terminal_command(arguments: Sequence[str]) -> list[str]:
    """Return arguments of Python that first make its standard input its terminal."""
    return ["-c", _ON_A_TERMINAL, *arguments]


def start(
    *arguments: str | Path,
    cwd: Path,
    terminal: int | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
    **options: Any,
) -> subprocess.Popen[str]:
    """Start the command line in a process of its own, as a user would.

    With the descriptor of a pseudo-terminal it is in the foreground there.
    """
    command = ["-W", "error", "-m", "dlnsweep", *map(str, arguments)]
    if terminal is not None:
        command = terminal_command(command)
        options |= dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
        options["start_new_session"] = True
    kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    # Users have no such setting, and it hid what is lost when Python ends.
    kept.pop("PYTHONUNBUFFERED", None)
    environment = {**kept, "PYTHONPATH": str(REPOSITORY), **environment}
    return started([sys.executable, *command], cwd=cwd, env=environment, **options)


def trained_apart(sweep: Path, folder: Path) -> Path:
    """Train a sweep in a process of its own; return the folder of its results.

    It compiles as a user's process does, and this one does not (tests/conftest.py), so that its
    results have the bits of worker processes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    process = start("run", sweep, "--out", folder, "--no-figure", "--workers", "0", cwd=folder)
    _, said = process.communicate()
    assert process.returncode == 0, said
    (description,) = folder.glob("*/sweep.json")
    return description.parent


_STARTED: list[subprocess.Popen[str]] = []


def started(command: Sequence[str | Path], **options: Any) -> subprocess.Popen[str]:
    """Start a process that `end_all` ends, should the test fail before it does."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(list(map(str, command)), text=True, **{**pipes, **options})
    _STARTED.append(process)
    return process


def end_all() -> None:
    """End what `started` began and what that began in turn, wait for it, and close its pipes."""
    while _STARTED:
        process = _STARTED.pop()
        if process.poll() is None:
            below = _below(process.pid)
            process.kill()
            kill(*below)
            wait_until(lambda below=below: not any(map(_is_running, below)))
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _below(number: int) -> list[int]:
    """Return the ids of the processes that a process began, and those that they began."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The name of a program may hold blanks and brackets.
            parents[int(entry.name)] = int(
                (entry / "stat").read_text().rpartition(")")[2].split()[1]
            )
    found = [number]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def _is_running(number: int) -> bool:
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX"
    return False


def workers_of(folder: Path) -> list[int]:
    """Return the ids of the living worker processes of a results folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if str(folder).encode() in command and b"-P" in command:
            found.append(int(entry.name))
    return found


def wait_until(condition: Callable[[], Any], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def kill(*numbers: int) -> None:
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
