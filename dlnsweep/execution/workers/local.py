"""Worker processes that compute batches: one a CPU core or GPU. Nothing of JAX starts here."""

from __future__ import annotations

import contextlib
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dlnsweep.contracts.plugins import plugin_files
from dlnsweep.errors import Interrupted, RunError, StoreError
from dlnsweep.execution.events import NOT_BEGUN, Event
from dlnsweep.execution.workers.process import (
    POLL_SECONDS,
    Worker,
    close,
    death,
    is_alive,
    receive,
    send,
    start,
    wait_until_ready,
)
from dlnsweep.machine.environment import changing, told
from dlnsweep.machine.memory import WORKER_BYTES, available_memory, workers_that_fit
from dlnsweep.numerics.runtime import accelerators, check_platforms, usable_cores

# Workers end at their next segment, but a program may be compiling, and a state large.
_STOP_SECONDS = 300.0
_TRIES = 2
NOT_KEPT = "not kept now: its process did not end in time; it goes on from an older checkpoint"
_CHECKPOINT = "--checkpoint-seconds"
# A worker that ends before it is ready has had no batch: something is wrong with all of them.
_MOST_FAILED_STARTS = 3


def worker_options(checkpoint_seconds: float | None) -> list[str]:
    """Return what worker processes are told: how often to keep a checkpoint, and the plug-ins."""
    options = [f"--plugin={file}" for file in plugin_files()]
    return options + ([] if checkpoint_seconds is None else [f"{_CHECKPOINT}={checkpoint_seconds}"])


class LocalExecutor:
    """Computes batches in worker processes on this machine.

    Each worker is one process with one device: a GPU, or one CPU core to which it is pinned, so
    that XLA runs one thread in it. On small products that is faster than one program on all
    cores, and the numbers do not depend on the number of cores. A batch that kills its worker is
    tried once more and then reported; the others go on.

    Args:
        workers: Number of processes; one for each GPU or usable CPU core by default, as far as
            memory allows.
        checkpoint_seconds: See `execute_batch`.

    Raises:
        RunError: If the environment asks for GPUs and there is none.

    Attributes:
        num_workers: Number of worker processes, if there are as many batches.
    """

    def __init__(self, workers: int | None = None, checkpoint_seconds: float | None = None) -> None:
        self._options = worker_options(checkpoint_seconds)
        self._gpus, self._cores = accelerators(), usable_cores()
        if self._gpus:
            self.num_workers = min(len(self._gpus), workers or len(self._gpus))
        else:
            check_platforms()
            fitting = max(1, available_memory() // WORKER_BYTES)
            self.num_workers = workers or min(len(self._cores), fitting)
        self._early: Worker | None = None

    def _place(self, index: int) -> tuple[dict[str, str], list[int] | None]:
        """Return the variables of a worker process, and the cores that it may be pinned to."""
        if self._gpus:
            return {"CUDA_VISIBLE_DEVICES": self._gpus[index]}, None
        # The first that no other worker of this machine has taken, so that two runners beside each
        # other use different cores.
        return {}, _from(self._cores, index)

    @contextlib.contextmanager
    def begun(self, root: str | Path) -> Iterator[None]:
        """Have the first worker start now, for batches that are still being planned.

        It imports what it needs beside this process, and waits. What does not come to work in the
        context ends with it: plans may be refused.

        Args:
            root: The results folder, which need not be there yet.
        """
        place, cores = self._place(0)
        try:
            # Told by what needs it, where it is needed.
            with contextlib.suppress(OSError):
                self._early = start(root, place, cores, self._options)
            yield
        finally:
            if early := self._taken():
                # It has had no batch.
                early.process.kill()
                early.process.wait()
                close(early.process.stdin)
                close(early.output)

    def check_plugins(self, should_stop: Callable[[], bool]) -> None:
        """Wait until the worker that was started ahead, if one was, has loaded the plug-ins.

        Args:
            should_stop: Asked while it waits.

        Raises:
            SpecError: If it cannot, as where a module is found by this process alone.
            Interrupted: If `should_stop` said so.
        """
        if self._early is not None and plugin_files():
            wait_until_ready(self._early, should_stop)

    def _taken(self) -> Worker | None:
        early, self._early = self._early, None
        return early

    def __call__(
        self,
        root: str | Path,
        numbers: Sequence[int],
        on_event: Callable[[Event], None],
        should_stop: Callable[[], bool],
        batch_bytes: int = 0,
    ) -> dict[int, str]:
        """Compute batches of a results folder.

        Args:
            root: The folder.
            numbers: The batches.
            on_event: Called with what happens.
            should_stop: Asked often.
            batch_bytes: What a worker needs for one of them, beside itself.

        Returns:
            The reason for each batch that failed.

        Raises:
            Interrupted: If `should_stop` said so.
            StoreError: If the folder cannot be written; the other batches are not tried.
            RunError: If no worker process can start.
        """
        crew = Crew(root, numbers, on_event, self._options)
        if ignored := changing():
            on_event(Event("note", text=f"worker processes do without {told(ignored)}"))
        places = [self._place(i) for i in range(min(self.num_workers, len(numbers)))]
        if places[0][1] is not None:
            count, fewer = workers_that_fit(len(places), batch_bytes)
            if fewer:
                on_event(Event("note", text=fewer))
            places = places[:count]
        try:
            if early := self._taken():
                crew.adopt(early)
                places = places[1:]
            for place, cores in places:
                crew.hire(place, cores)
            while crew.has_work:
                crew.hand_out()
                if should_stop():
                    on_event(Event("stopping"))
                    raise Interrupted("stopped")
                crew.listen()
                crew.replace_dead()
            return crew.failures
        finally:
            crew.dismiss()


def _from(cores: list[int], first: int) -> list[int]:
    return [cores[(first + k) % len(cores)] for k in range(len(cores))]


class Crew:
    """Worker processes of this machine, and what is left for them to do.

    Args:
        root: The results folder.
        numbers: The batches.
        on_event: Called with what happens.
        options: More arguments of the worker processes.

    Attributes:
        failures: The reason for each batch that failed.
    """

    def __init__(
        self,
        root: str | Path,
        numbers: Sequence[int],
        on_event: Callable[[Event], None],
        options: Sequence[str] = (),
    ) -> None:
        self._options = options
        self.failures: dict[int, str] = {}
        self._root = root
        self._on_event = on_event
        self._waiting = deque(numbers)
        self._tries = dict.fromkeys(numbers, 0)
        self._failed_starts = 0
        self._workers: list[Worker] = []
        self._selector = selectors.DefaultSelector()

    @property
    def _num_busy(self) -> int:
        return sum(worker.batch is not None for worker in self._workers)

    @property
    def has_work(self) -> bool:
        """Whether batches are waiting or being computed."""
        return bool(self._waiting) or self._num_busy > 0

    def hire(self, place: dict[str, str], cores: list[int] | None) -> None:
        """Start a worker; see `LocalExecutor` for its place."""
        self.adopt(start(self._root, place, cores, self._options))

    def adopt(self, worker: Worker) -> None:
        """Take a worker that another crew has released; it must be of the same folder."""
        self._workers.append(worker)
        self._selector.register(worker.output, selectors.EVENT_READ, worker)
        heard, worker.unheard = worker.unheard, []
        self._listen_to(worker, heard)

    def release(self) -> list[Worker]:
        """Let the idle workers go on living, without this crew."""
        released = [w for w in self._workers if w.batch is None and w.process.poll() is None]
        for worker in released:
            self._selector.unregister(worker.output)
            self._workers.remove(worker)
        return released

    def hand_out(self) -> None:
        """Give idle workers a batch each."""
        for worker in self._workers:
            if worker.ready and worker.batch is None and self._waiting:
                worker.batch = self._waiting.popleft()
                self._tries[worker.batch] += 1
                send(worker, {"batch": worker.batch})

    def listen(self) -> None:
        """Hear what workers say, for a moment at most."""
        for key, _ in self._selector.select(POLL_SECONDS):
            self._hear(key.data)

    def replace_dead(self) -> None:
        """Take the batches of dead workers back, and start others."""
        for worker in [w for w in self._workers if w.process.poll() is not None]:
            # What it said last may still lie in the pipe.
            self._hear(worker)
            self._selector.unregister(worker.output)
            self._workers.remove(worker)
            close(worker.process.stdin)
            close(worker.output)
            self._take_back(worker)
            if len(self._workers) < len(self._waiting) + self._num_busy:
                self.hire(worker.place, worker.cores)

    def dismiss(self) -> None:
        """End all workers: gently; by force after a time, or at once if interrupted again.

        They are heard until they have ended: what they keep they say last.
        """
        deadline = time.monotonic() + _STOP_SECONDS
        try:
            for worker in self._workers:
                worker.process.terminate()
                close(worker.process.stdin)
            while any(map(is_alive, self._workers)) and time.monotonic() < deadline:
                self._hear_last_words(POLL_SECONDS)
            self._hear_last_words(0.0)
            for worker in self._workers:
                if worker.batch is not None and not worker.kept:
                    text = NOT_BEGUN if worker.process.poll() == 0 else NOT_KEPT
                    # Whoever hears of it may be why we end.
                    with contextlib.suppress(Exception):
                        self._on_event(Event("kept", worker.batch, text=text))
        finally:
            self._selector.close()
            for worker in self._workers:
                worker.process.kill()
                worker.process.wait()
                close(worker.process.stdin)
                close(worker.output)

    def _hear_last_words(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            # Something else ends the run, and is told.
            with contextlib.suppress(Exception):
                self._hear(key.data)

    def _hear(self, worker: Worker) -> None:
        self._listen_to(worker, receive(worker))

    def _listen_to(self, worker: Worker, messages: Sequence[dict[str, Any]]) -> None:
        for message in messages:
            if message["kind"] == "refused":
                # The folder cannot be written (a full disk, say): no other batch will fare better.
                raise StoreError(message["text"])
            if message["kind"] == "unfit":
                # The others have the same environment.
                raise RunError(message["text"])
            event = Event(**message)
            worker.ready = True
            if event.kind == "failed":
                self.failures[event.batch] = event.text
            if event.kind in ("done", "failed"):
                worker.batch, worker.steps = None, 0
            if event.kind in ("progress", "kept"):
                worker.steps += event.run_steps
            worker.kept = event.kind == "kept"
            self._on_event(event)

    def _take_back(self, worker: Worker) -> None:
        """Try the batch of a dead worker again, or give it up."""
        number, reason = worker.batch, death(worker.process.returncode)
        if number is not None and worker.kept and worker.steps:
            # It was asked to end, and another one goes on from where it was: that is no failure.
            self._tries[number] -= 1
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _MOST_FAILED_STARTS:
                raise RunError(
                    f"worker processes cannot start: the last one {reason}. What it said stands "
                    "above; mend it and run the same command again."
                )
        elif number is not None and self._tries[number] < _TRIES:
            # What was kept goes on at once; what died waits, lest it take others' workers along.
            (self._waiting.appendleft if worker.kept else self._waiting.append)(number)
            self._on_event(Event("retry", number, text=reason))
        elif number is not None:
            self.failures[number] = f"its worker process {reason}, {_TRIES} times"
            self._on_event(Event("failed", number, text=self.failures[number]))
