"""What a Dask worker does: it has one batch computed at a time by a worker process of its own.

The batch is computed as everywhere else, by `python -m dlnsweep.worker` on one core or GPU, so the
numbers are those of any other executor, JAX never starts in the Dask worker, and a batch that
crashes takes only that process with it.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from dlnsweep.errors import DlnsweepError, Interrupted, RunError
from dlnsweep.execution.events import Event
from dlnsweep.execution.workers.local import Crew
from dlnsweep.execution.workers.process import Worker
from dlnsweep.machine.places import Place, claim
from dlnsweep.numerics.runtime import accelerators, usable_cores
from dlnsweep.version import NUMERICS_VERSION, __version__

# A worker process that has nothing to do ends after this time, and gives its place free.
IDLE_SECONDS = 30.0
_WAIT_SECONDS = 0.5
_REPORT_SECONDS = 1.0

_lock = threading.Lock()
_stopped: set[str] = set()


class _Idle:
    """A worker process between two batches, and the GPU that it holds."""

    def __init__(self, what: tuple[str, ...], worker: Worker, place: Place | None) -> None:
        self.what, self.worker, self.place = what, worker, place
        self.timer = threading.Timer(IDLE_SECONDS, _retire, [self])
        self.timer.daemon = True
        self.timer.start()


_idle: list[_Idle] = []


def versions() -> tuple[str, int]:
    """Return what client and workers must have in common."""
    return __version__, NUMERICS_VERSION


def stop(session: str) -> None:
    """Have this Dask worker's batches of a session end at their next segment."""
    _stopped.add(session)


def compute(
    root: str, number: int, session: str, wanted: tuple[str, int], options: Sequence[str] = ()
) -> str:
    """Compute one batch of a results folder and commit it.

    Args:
        root: The folder, as this machine sees it.
        number: The batch.
        session: The topic to which events are sent.
        wanted: The client's `versions`.
        options: Arguments of the worker process; see `worker_options`.

    Returns:
        Why it failed; empty if it is done, or if the session was stopped.

    Raises:
        StoreError: If the folder cannot be used.
        RunError: If this machine has another dlnsweep, or no worker process can start.
    """
    host = socket.gethostname()
    if tuple(wanted) != versions():
        raise RunError(
            f"{host}: the Dask worker has dlnsweep {versions()[0]} (numerics version "
            f"{versions()[1]}), but the client has {wanted[0]} ({wanted[1]}); install the same "
            "version everywhere."
        )
    if session in _stopped:
        return ""
    failures: dict[int, str] = {}
    report = _Report(session)
    crew = Crew(root, [number], report, options)
    what = (root, *options)
    place = None
    try:
        place = _staff(crew, what, session)
        while crew.has_work:
            crew.hand_out()
            if session in _stopped:
                return ""
            crew.listen()
            crew.replace_dead()
        failures = crew.failures
        for worker in crew.release():
            with _lock:
                _idle.append(_Idle(what, worker, place))
                place = None
    except Interrupted:
        return ""
    except DlnsweepError as error:
        raise type(error)(f"{host}: {error}") from None
    finally:
        crew.dismiss()
        if place is not None:
            place.release()
    reason = failures.get(number, "")
    return reason and f"on {host}: {reason}"


def _staff(crew: Crew, what: tuple[str, ...], session: str) -> Place | None:
    """Give a crew its one worker process; return the GPU that it holds."""
    with _lock:
        for idle in list(_idle):
            idle.timer.cancel()
            _idle.remove(idle)
            if idle.what == what and idle.worker.process.poll() is None:
                crew.adopt(idle.worker)
                return idle.place
            _end(idle)
    gpus = accelerators()
    if not gpus:
        crew.hire({}, usable_cores())
        return None
    while (place := claim("gpu", gpus)) is None:
        if session in _stopped:
            raise Interrupted("stopped")
        time.sleep(_WAIT_SECONDS)
    crew.hire({"CUDA_VISIBLE_DEVICES": place.name}, None)
    return place


def retire_all() -> None:
    """End the worker processes that have nothing to do, and wait for it."""
    for idle in list(_idle):
        idle.timer.cancel()
        _retire(idle)


def _retire(idle: _Idle) -> None:
    with _lock:
        if idle not in _idle:
            return
        _idle.remove(idle)
    _end(idle)


def _end(idle: _Idle) -> None:
    for stream in (idle.worker.process.stdin, idle.worker.process.stdout):
        if stream is not None:
            stream.close()
    idle.worker.process.wait()
    if idle.place is not None:
        idle.place.release()


class _Report:
    """Sends events to the client; progress once a second."""

    def __init__(self, session: str) -> None:
        self._session = session
        self._waiting = 0
        self._last = time.monotonic()

    def __call__(self, event: Event) -> None:
        fields = vars(event)
        if event.kind == "progress":
            self._waiting += event.run_steps
            if time.monotonic() - self._last < _REPORT_SECONDS:
                return
        if event.kind in ("failed", "retry"):
            # What it told so far does not count.
            self._waiting = 0
        if event.kind in ("progress", "done", "kept"):
            steps = self._waiting + (0 if event.kind == "progress" else event.run_steps)
            fields = fields | {"run_steps": steps}
            self._waiting, self._last = 0, time.monotonic()
        self._send(fields)

    def _send(self, fields: dict[str, Any]) -> None:
        from distributed import get_worker

        # Dask adds the worker's address.
        get_worker().log_event(self._session, {"event": fields})
