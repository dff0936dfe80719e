"""Batches computed by the workers of a Dask cluster; the folder coordinates, Dask only calls."""

from __future__ import annotations

import contextlib
import importlib.util
import queue
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from dlnsweep.errors import Interrupted, RunError, SpecError, StoreError
from dlnsweep.execution.events import Event
from dlnsweep.execution.workers import dask_task
from dlnsweep.execution.workers.local import NOT_KEPT, LocalExecutor, worker_options
from dlnsweep.machine.stopping import POLITE

LOCAL = "local"
_POLL_SECONDS = 0.2
_CONNECT_SECONDS = 20.0
# Longer than a Dask worker waits for its own process.
_STOP_SECONDS = 330.0
# A Dask worker that came meanwhile, in the place of a lost one, has to be told, too.
_REPEAT_SECONDS = 5.0


class DaskExecutor:
    """Computes batches on a Dask cluster.

    Every task computes one batch with the machinery of a local run (`dask_task.compute`) and
    commits it to the results folder, which all machines must see under the same path; nothing but
    reasons of failure and progress comes back. Dask runs the batches of a lost worker again.

    Args:
        address: The scheduler's ("tcp://10.0.0.5:8786", "tls://..."), or "local" for a cluster of
            worker processes on this machine that listens on the loopback interface alone.
        workers: Number of worker processes of a local cluster; one a core or GPU by default.
        checkpoint_seconds: See `execute_batch`.

    Raises:
        SpecError: If Dask is not installed, or the number of workers is not ours to choose.
    """

    def __init__(
        self, address: str, workers: int | None = None, checkpoint_seconds: float | None = None
    ) -> None:
        if importlib.util.find_spec("distributed") is None:
            raise SpecError(
                f"--dask {address} needs the packages of the extra 'cluster'; install them with "
                "pip install 'dlnsweep[cluster]'."
            )
        if workers is not None and address != LOCAL:
            raise SpecError(
                f"--workers is {workers} together with --dask {address}; that cluster has the "
                "workers that it has: leave --workers out, or give --dask local."
            )
        self.address = address
        self._workers = workers
        self._options = worker_options(checkpoint_seconds)

    def __call__(
        self,
        root: str | Path,
        numbers: Sequence[int],
        on_event: Callable[[Event], None],
        should_stop: Callable[[], bool],
        batch_bytes: int = 0,  # noqa: ARG002 - other machines have other memories
    ) -> dict[int, str]:
        """Compute batches of a results folder; see `LocalExecutor`."""
        session = f"dlnsweep-{uuid.uuid4().hex}"
        with self._client(len(numbers)) as client:
            try:
                return _Session(client, session, on_event, self._options).run(
                    root, numbers, should_stop
                )
            finally:
                if self.address == LOCAL:
                    # Their worker processes end with them, but nobody would wait for that.
                    with contextlib.suppress(Exception):
                        client.run(dask_task.retire_all, on_error="ignore")

    @contextmanager
    def _client(self, most: int) -> Iterator[Any]:
        """Connect; "local" starts a cluster for the time of the block."""
        import distributed

        with contextlib.ExitStack() as stack:
            target: Any = self.address
            if self.address == LOCAL:
                count = min(LocalExecutor(self._workers or None).num_workers, most)
                with _deaf():
                    cluster = distributed.LocalCluster(
                        n_workers=count,
                        threads_per_worker=1,
                        processes=True,
                        host="127.0.0.1",
                        dashboard_address=None,  # pyright: ignore[reportArgumentType]
                        # Any free port: the usual one belongs to whoever came first.
                        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                        memory_limit=0,
                        silence_logs=50,
                    )
                target = stack.enter_context(cluster)
            elif self.address.startswith("tls://"):
                _check_certificate(self.address, distributed.Security())
            try:
                client = distributed.Client(target, timeout=_CONNECT_SECONDS, set_as_default=False)
            except (OSError, ValueError, TimeoutError, RuntimeError) as error:
                raise RunError(
                    f"no Dask scheduler answers at {self.address} ({error}); start one with "
                    "`dask scheduler`, or give --dask local."
                ) from None
            yield stack.enter_context(client)


def _check_certificate(address: str, security: Any) -> None:
    found = security.get_tls_config_for_role("client")
    missing = [name for name in ("ca_file", "cert", "key") if not found.get(name)]
    if missing:
        raise RunError(
            f"--dask {address} asks for TLS, but Dask's settings name no "
            f"{' and no '.join(missing)}; set distributed.comm.tls.ca-file, .client.cert and "
            ".client.key in Dask's configuration (~/.config/dask/*.yaml, or "
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE and so on)."
        )


@contextmanager
def _deaf() -> Iterator[None]:
    """Have processes started in the block hear no polite signal: we tell them when to stop.

    Terminals and schedulers signal all of a group, and a Dask worker that ends takes its batch
    along. Signals are blocked in this thread and, as they inherit it, in Dask's thread and what
    that starts, also later. To ignore them instead would lose what comes in the meantime.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, POLITE)
    try:
        # The first process that multiprocessing starts brings this one along, which ends with
        # Ctrl-C and SIGTERM unblocked.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, POLITE)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Session:
    """The batches of one call of `execute` on a cluster."""

    def __init__(
        self,
        client: Any,
        name: str,
        on_event: Callable[[Event], None],
        options: Sequence[str] = (),
    ) -> None:
        self._client = client
        self._options = tuple(options)
        self._name = name
        self._on_event = on_event
        # Filled by Dask's thread, emptied by ours: events and futures.
        self._news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._failures: dict[int, str] = {}
        # What a batch has told since it began, and its machine; a lost worker's does not count.
        self._open: set[int] = set()

    def run(
        self, root: str | Path, numbers: Sequence[int], should_stop: Callable[[], bool]
    ) -> dict[int, str]:
        self._client.subscribe_topic(self._name, lambda event: self._news.put(event[1]))
        arguments = (self._name, dask_task.versions(), self._options)
        folder = root if isinstance(root, str) else str(root.absolute())
        futures = {
            self._client.submit(
                dask_task.compute,
                folder,
                number,
                *arguments,
                key=f"{self._name}-{number}",
                pure=False,
            ): number
            for number in numbers
        }
        for future in futures:
            future.add_done_callback(self._news.put)
        left = set(futures)
        try:
            while left:
                if should_stop():
                    self._on_event(Event("stopping"))
                    raise Interrupted("stopped")
                for news in self._take():
                    if isinstance(news, dict):
                        self._hear(Event(**news["event"]))
                    elif news in left:
                        left.remove(news)
                        self._end(news, futures[news])
            return self._failures
        except BaseException:
            self._stop(left)
            raise
        finally:
            with contextlib.suppress(Exception):
                self._client.unsubscribe_topic(self._name)

    def _take(self) -> list[Any]:
        """Return what has happened; wait a moment for it."""
        found = []
        with contextlib.suppress(queue.Empty):
            found.append(self._news.get(timeout=_POLL_SECONDS))
            while True:
                found.append(self._news.get_nowait())
        return found

    def _hear(self, event: Event) -> None:
        if event.kind == "begun":
            if event.batch in self._open:
                # Its Dask worker was lost, and another one has begun it again.
                self._on_event(Event("retry", event.batch, text="its Dask worker was lost"))
            self._open.add(event.batch)
        elif event.kind in ("done", "failed", "retry", "kept"):
            self._open.discard(event.batch)
        if event.kind != "failed":
            self._on_event(event)

    def _end(self, future: Any, number: int) -> None:
        """Note how a batch's task ended."""
        if future.status == "finished":
            reason = future.result()
        elif future.status == "error":
            error = future.exception()
            if isinstance(error, RunError | StoreError):
                raise error
            reason = _words(error)
        else:
            raise RunError(
                "the Dask scheduler is gone; every committed batch is kept, and the same command "
                "goes on from there."
            )
        if reason:
            self._failures[number] = reason
            self._on_event(Event("failed", number, text=reason))
        # The cluster keeps nothing of it.
        future.release()

    def _stop(self, left: set[Any]) -> None:
        """Begin no further batch, and hear those in progress until they have ended."""
        deadline = time.monotonic() + _STOP_SECONDS
        self._tell_workers_to_stop()
        rest = left
        # A scheduler that is gone runs nothing any more.
        with contextlib.suppress(Exception):
            running = {key for keys in self._client.processing().values() for key in keys}
            rest = {future for future in left if future.key in running}
            self._client.cancel(list(left - rest))
        again = time.monotonic() + _REPEAT_SECONDS
        # They end at their next segment, and what they keep they say before: it comes first.
        while any(future.status == "pending" for future in rest) and time.monotonic() < deadline:
            if time.monotonic() > again:
                self._tell_workers_to_stop()
                again = time.monotonic() + _REPEAT_SECONDS
            self._hear_last_words()
        self._hear_last_words()
        for number in sorted(self._open):
            self._hear(Event("kept", number, text=NOT_KEPT))
        with contextlib.suppress(Exception):
            self._client.cancel(list(rest))

    def _tell_workers_to_stop(self) -> None:
        with contextlib.suppress(Exception):
            self._client.run(dask_task.stop, self._name, on_error="ignore")

    def _hear_last_words(self) -> None:
        for news in self._take():
            if isinstance(news, dict):
                # Something else ends the run, and is told.
                with contextlib.suppress(Exception):
                    self._hear(Event(**news["event"]))


def _words(error: Any) -> str:
    """Return what became of a batch's task, in words."""
    import distributed

    if isinstance(error, distributed.KilledWorker):
        return "its Dask worker was lost again and again"
    return f"{type(error).__name__}: {error}"
