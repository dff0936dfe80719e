"""Signs of life: what a working runner says of itself in the results folder, and who reads it.

A runner writes `runners/<id>.json` every few seconds and removes it when it ends. One that was
killed leaves its file behind; readers tell by its age, or, where processes have the same numbers,
by its process: containers may share the name of a host, and each has numbers of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from dlnsweep.errors import DlnsweepError
from dlnsweep.execution.events import Event
from dlnsweep.store import Store
from dlnsweep.store.layout import RUNNERS

FOLDER = RUNNERS
# Runs of a moment leave no trace.
FIRST_SECONDS = 3.0
BEAT_SECONDS = 10.0
# Three beats that did not come, and clocks that differ a little.
STALE_SECONDS = 60.0
_FORGOTTEN_SECONDS = 7 * 24 * 3600.0
_MOST_SHOWN = 8
# No runner writes more; a folder from elsewhere may hold anything.
_MOST_BYTES = 2**20
_MOST_READ = 10_000
_LONGEST = 200


@dataclass
class _Pulse:
    """What a runner says of itself."""

    how: str
    began: float = field(default_factory=time.time)
    batches: dict[int, str] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        if event.kind == "begun":
            self.batches[event.batch] = event.text
        elif event.kind in ("done", "failed", "retry", "kept"):
            self.batches.pop(event.batch, None)

    def content(self) -> bytes:
        # A copy: events come in meanwhile.
        batches = sorted(dict(self.batches).items())
        value = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "namespace": _namespace(),
            "how": self.how,
            "began": _stamp(self.began),
            "beat": _stamp(time.time()),
            "batches": [[number, place] for number, place in batches],
        }
        return (json.dumps(value, indent=1) + "\n").encode()


@contextmanager
def beating(store: Store, how: str) -> Iterator[Any]:
    """Say in the results folder that this process is at work, for the time of the block.

    Nothing of it can fail the run: a folder that cannot be written is for the batches to find.

    Args:
        store: The results folder.
        how: How it works, such as "2 workers" or "shard 1/4".

    Yields:
        A function to call with every event.
    """
    pulse, ended = _Pulse(how), threading.Event()
    name = f"{FOLDER}/{uuid.uuid4().hex}.json"

    def beat() -> None:
        wait = FIRST_SECONDS
        while not ended.wait(wait):
            with contextlib.suppress(DlnsweepError, OSError):
                if wait == FIRST_SECONDS:
                    _forget_old(store)
                # The last runner to end removes it.
                store.files.create_folders([FOLDER])
                store.files.write_in_order([(name, pulse.content())])
            wait = BEAT_SECONDS

    thread = threading.Thread(target=beat, name="dlnsweep heartbeat", daemon=True)
    thread.start()
    try:
        yield pulse.add
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(DlnsweepError, OSError):
            store.files.remove(name)
            store.files.remove_folders([store.files.path(FOLDER)])


@dataclass(frozen=True)
class Runner:
    """A runner as its last sign of life shows it.

    Attributes:
        host: Its machine.
        process: The number of its process there.
        how: How it works.
        seconds: Age of the sign by this machine's clock; below zero where the clocks differ.
        batches: The batches that it was computing, with the place of each where it is known.
        gone: Whether its process is known to have ended (told only on its own machine, and in a
            container only of its own runners).
    """

    host: str
    process: int
    how: str
    seconds: float
    batches: tuple[tuple[int, str], ...]
    gone: bool

    @property
    def is_alive(self) -> bool:
        """Whether it may be taken to be at work."""
        return not self.gone and abs(self.seconds) < STALE_SECONDS

    @property
    def sentence(self) -> str:
        """What is to be said of it, in a line."""
        from dlnsweep.settings.sentences import duration

        who = f"{self.host} (process {self.process}, {self.how})"
        shown = ", ".join(
            f"{number} on {place}" if place and place != self.host else f"{number}"
            for number, place in self.batches[:_MOST_SHOWN]
        )
        more = f" and {len(self.batches) - _MOST_SHOWN} more" * (len(self.batches) > _MOST_SHOWN)
        what = f"batch {shown}{more}" if shown else "no batch yet"
        if self.gone:
            return f"{who}: has died, with {what}; the next run computes that again"
        if self.is_alive:
            heard = f"heard of {duration(max(0.0, self.seconds))} ago"
            return f"{who}: {what}; {heard}"
        if self.seconds < 0:
            return f"{who}: {what}; its clock is {duration(-self.seconds)} ahead of this one"
        return (
            f"{who}: not heard of for {duration(self.seconds)}, with {what}; it has died, or "
            "cannot reach the folder"
        )


def runners(store: Store) -> list[Runner]:
    """Return the runners whose signs of life stand in a results folder, the latest first."""
    found = []
    for name in store.files.names(FOLDER)[:_MOST_READ]:
        with _unless_malformed():
            value = store.files.read_json(f"{FOLDER}/{name}", _MOST_BYTES)
            host, process = str(value["host"])[:_LONGEST], int(value["process"])
            batches = tuple((int(n), str(place)[:_LONGEST]) for n, place in value["batches"])
            found.append(
                Runner(
                    host,
                    process,
                    str(value["how"])[:_LONGEST],
                    _age(value),
                    batches,
                    _is_known(value) and not _is_alive(process),
                )
            )
    return sorted(found, key=lambda runner: runner.seconds)


def _unless_malformed() -> contextlib.AbstractContextManager[None]:
    """Pass over a file that is no sign of life, whatever is wrong with it."""
    return contextlib.suppress(
        DlnsweepError, OSError, ValueError, TypeError, KeyError, OverflowError, AttributeError
    )


def _is_known(value: dict[str, Any]) -> bool:
    """Return whether the number of a sign's process is that of a process of ours.

    A sign of a version that told no namespace is not known: its age says whether it is alive.
    """
    return value["host"] == socket.gethostname() and value.get("namespace") == _namespace()


@lru_cache(maxsize=1)
def _namespace() -> str:
    """Return what tells apart where processes have numbers of their own.

    On Linux the start of the system and the namespace of its processes; elsewhere, where containers
    are none of the system's own, the address of a network card.
    """
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{start}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except (OSError, UnicodeDecodeError):
        return f"{uuid.getnode():x}"


def _is_alive(process: int) -> bool:
    try:
        if process <= 0:
            return False
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _forget_old(store: Store) -> None:
    for name in store.files.names(FOLDER)[:_MOST_READ]:
        with _unless_malformed():
            if _age(store.files.read_json(f"{FOLDER}/{name}", _MOST_BYTES)) > _FORGOTTEN_SECONDS:
                store.files.remove(f"{FOLDER}/{name}")


def _age(value: dict[str, Any]) -> float:
    return time.time() - datetime.fromisoformat(value["beat"]).timestamp()


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
