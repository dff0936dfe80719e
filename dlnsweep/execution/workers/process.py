"""One worker process of this machine, and what is said to it and heard from it. No JAX."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from dlnsweep.errors import Interrupted, SpecError
from dlnsweep.machine.environment import for_workers
from dlnsweep.numerics.runtime import python_command

POLL_SECONDS = 0.2


@dataclass
class Worker:
    """A worker process and the batch that it has."""

    process: subprocess.Popen[bytes]
    place: dict[str, str]
    cores: list[int] | None
    ready: bool = False
    batch: int | None = None
    buffer: bytes = b""
    # Of its batch: run-steps that it did, and whether it was asked to end and told how far it is.
    steps: int = 0
    kept: bool = False
    # What it said before it came to a crew.
    unheard: list[dict[str, Any]] = field(default_factory=list)

    @property
    def output(self) -> IO[bytes]:
        """Its end of the pipe through which it speaks."""
        assert self.process.stdout is not None
        return self.process.stdout


def start(
    root: str | Path, place: dict[str, str], cores: list[int] | None, options: Sequence[str]
) -> Worker:
    """Start a worker process.

    Args:
        root: The results folder.
        place: The variables of its own.
        cores: The cores that it may be pinned to; None on a GPU.
        options: More arguments.
    """
    environment = for_workers(os.environ, on_cpu=cores is not None) | place
    command = [*python_command("dlnsweep.worker", str(root)), *options]
    if cores is not None:
        command += ["--cores", ",".join(map(str, cores))]
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # A Ctrl-C of the terminal reaches us alone; we tell the workers.
        start_new_session=True,
    )
    worker = Worker(process, place, cores)
    os.set_blocking(worker.output.fileno(), False)
    return worker


def send(worker: Worker, message: dict[str, Any]) -> None:
    """Tell a worker something."""
    assert worker.process.stdin is not None
    # If it has died, its batch is taken back when its end is noticed.
    with contextlib.suppress(BrokenPipeError):
        worker.process.stdin.write(json.dumps(message).encode() + b"\n")
        worker.process.stdin.flush()


def receive(worker: Worker) -> list[dict[str, Any]]:
    """Return the messages that have come in whole; never wait for more."""
    chunk = worker.output.read()
    if not chunk:
        # End of file comes a moment before the process can be waited for.
        time.sleep(0.01)
        return []
    worker.buffer += chunk
    *lines, worker.buffer = worker.buffer.split(b"\n")
    return [json.loads(line) for line in lines if line]


def close(stream: IO[bytes] | None) -> None:
    """Close an end of a pipe, whoever has closed the other."""
    if stream is not None:
        with contextlib.suppress(BrokenPipeError):
            stream.close()


def is_alive(worker: Worker) -> bool:
    """Return whether a worker process has not ended."""
    try:
        worker.process.wait(0.0)
    except subprocess.TimeoutExpired:
        return True
    return False


def death(code: int) -> str:
    """Return how a process ended, by its status, as words."""
    if code >= 0:
        return f"ended with status {code}"
    name = signal.Signals(-code).name if -code in {int(s) for s in signal.Signals} else code
    hint = " (out of memory? Try fewer --workers)" if -code == signal.SIGKILL else ""
    return f"was killed by {name}{hint}"


def wait_until_ready(worker: Worker, should_stop: Callable[[], bool]) -> None:
    """Wait until a worker has loaded the plug-ins; one that ends is for a crew to notice.

    Args:
        worker: It; a plug-in may take long, or for ever.
        should_stop: Asked all the while.

    Raises:
        SpecError: If it cannot load what this process has loaded.
        Interrupted: If `should_stop` said so.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(worker.output, selectors.EVENT_READ)
        ended = False
        while not (worker.unheard or ended):
            if should_stop():
                raise Interrupted("stopped while worker processes loaded plug-ins.")
            selector.select(POLL_SECONDS)
            # What it said last may still lie in the pipe.
            ended = worker.process.poll() is not None
            worker.unheard += receive(worker)
    for message in worker.unheard:
        if message["kind"] == "unfit":
            raise SpecError(
                f"a worker process cannot load what this one has loaded: {message['text']} What "
                "sys.path was given here, worker processes do not have: let the module lie beside "
                "the plug-in, install it, or name its folder in PYTHONPATH; or take workers=0."
            )
