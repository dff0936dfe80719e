"""Worker processes that compute batches: one a CPU core or GPU. Nothing of JAX starts here."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlnsweep.errors import Interrupted, StoreError
from dlnsweep.runtime import accelerators, available_memory, usable_cores

# A worker of a CPU holds JAX and its compiled programs.
_WORKER_BYTES = 400 * 1024**2
_POLL_SECONDS = 0.2
_STOP_SECONDS = 60.0
_TRIES = 2


@dataclass(frozen=True)
class Event:
    """Something that happened while batches are computed.

    Attributes:
        kind: "ready" (a worker has started), "progress", "done" or "failed".
        batch: The batch, or -1.
        run_steps: Run-steps done since the batch's last event.
        runs: Runs of the batch; of "done".
        diverged: Diverged runs of the batch so far.
        text: The device of "ready", the reason of "failed".
    """

    kind: str
    batch: int = -1
    run_steps: int = 0
    runs: int = 0
    diverged: int = 0
    text: str = ""


@dataclass
class _Worker:
    """A worker process and the batch that it has."""

    process: subprocess.Popen[bytes]
    place: dict[str, str]
    cores: list[int] | None
    batch: int | None = None
    buffer: bytes = b""


class LocalExecutor:
    """Computes batches in worker processes on this machine.

    Each worker is one process with one device: a GPU, or one CPU core to which it is pinned, so
    that XLA runs one thread in it. On small products that is faster than one program on all
    cores, and the numbers do not depend on the number of cores. A batch that kills its worker is
    tried once more and then reported; the others go on.

    Args:
        workers: Number of processes; one for each GPU or usable CPU core by default, as far as
            memory allows.
    """

    def __init__(self, workers: int | None = None) -> None:
        gpus = accelerators()
        cores = usable_cores()
        if gpus:
            count = min(len(gpus), workers or len(gpus))
            self._places = [({"CUDA_VISIBLE_DEVICES": gpus[i]}, None) for i in range(count)]
        else:
            fitting = max(1, available_memory() // _WORKER_BYTES)
            count = workers or min(len(cores), fitting)
            self._places = [({}, [cores[i % len(cores)]]) for i in range(count)]

    @property
    def num_workers(self) -> int:
        return len(self._places)

    def execute(
        self,
        root: Path,
        numbers: Sequence[int],
        on_event: Callable[[Event], None],
        should_stop: Callable[[], bool],
    ) -> dict[int, str]:
        """Compute batches of a results folder.

        Returns:
            The reason for each batch that failed.

        Raises:
            Interrupted: If `should_stop` said so.
            StoreError: If the folder cannot be written; the other batches are not tried.
        """
        waiting = deque(numbers)
        tries = dict.fromkeys(numbers, 0)
        failures: dict[int, str] = {}
        workers: list[_Worker] = []
        selector = selectors.DefaultSelector()
        try:
            for place, cores in self._places[: len(waiting)]:
                workers.append(_start(root, place, cores, selector))
            while workers:
                for worker in workers:
                    if worker.batch is None and waiting:
                        worker.batch = waiting.popleft()
                        tries[worker.batch] += 1
                        _send(worker, {"batch": worker.batch})
                if not waiting and all(worker.batch is None for worker in workers):
                    return failures
                if should_stop():
                    raise Interrupted("stopped")
                for key, _ in selector.select(_POLL_SECONDS):
                    worker = key.data
                    for message in _receive(worker):
                        _handle(worker, message, failures, on_event)
                for worker in [w for w in workers if w.process.poll() is not None]:
                    selector.unregister(worker.process.stdout)  # type: ignore[arg-type]
                    workers.remove(worker)
                    number = worker.batch
                    if number is not None:
                        reason = _death(worker)
                        if tries[number] < _TRIES:
                            waiting.append(number)
                        else:
                            failures[number] = reason
                            on_event(Event("failed", number, text=reason))
                    elif not waiting:
                        continue
                    workers.append(_start(root, worker.place, worker.cores, selector))
            return failures
        finally:
            _stop(workers)
            selector.close()


def _start(
    root: Path,
    place: dict[str, str],
    cores: list[int] | None,
    selector: selectors.BaseSelector,
) -> _Worker:
    environment = {**os.environ, **place}
    command = [sys.executable, "-m", "dlnsweep.worker", str(root)]
    if cores is not None:
        environment.setdefault("JAX_PLATFORMS", "cpu")
        command += ["--cores", ",".join(map(str, cores))]
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # A Ctrl-C of the terminal reaches us alone; we tell the workers.
        start_new_session=True,
    )
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    worker = _Worker(process, place, cores)
    selector.register(process.stdout, selectors.EVENT_READ, worker)
    return worker


def _send(worker: _Worker, message: dict[str, Any]) -> None:
    assert worker.process.stdin is not None
    try:
        worker.process.stdin.write(json.dumps(message).encode() + b"\n")
        worker.process.stdin.flush()
    except BrokenPipeError:
        # It has died; its batch is taken back when its end is noticed.
        pass


def _receive(worker: _Worker) -> list[dict[str, Any]]:
    assert worker.process.stdout is not None
    chunk = worker.process.stdout.read()
    if not chunk:
        # End of file comes a moment before the process can be waited for.
        time.sleep(0.01)
        return []
    worker.buffer += chunk
    *lines, worker.buffer = worker.buffer.split(b"\n")
    return [json.loads(line) for line in lines if line]


def _handle(
    worker: _Worker,
    message: dict[str, Any],
    failures: dict[int, str],
    on_event: Callable[[Event], None],
) -> None:
    if message["kind"] == "refused":
        # The folder cannot be written (a full disk, say): no other batch will fare better.
        raise StoreError(message["text"])
    event = Event(**message)
    if event.kind == "failed":
        failures[event.batch] = event.text
    if event.kind in ("done", "failed"):
        worker.batch = None
    on_event(event)


def _death(worker: _Worker) -> str:
    code = worker.process.returncode
    if code < 0:
        name = signal.Signals(-code).name if -code in {int(s) for s in signal.Signals} else code
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"its worker process was killed by {name}{hint}, {_TRIES} times"
    return f"its worker process ended with status {code}, {_TRIES} times"


def _stop(workers: list[_Worker]) -> None:
    """End all workers: gently, then after a time by force."""
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    for worker in workers:
        # The worker must not wait for us to read what it still says.
        for stream in (worker.process.stdin, worker.process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        try:
            worker.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
