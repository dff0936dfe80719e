"""Why batches failed: kept in the results folder until they are done, for who looks later.

A file a batch, `failures/batch-*.json`. Nothing of it decides what is computed, and nothing of it
can fail a run: a folder that cannot be written is for the batches to find.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from dlnsweep.errors import DlnsweepError
from dlnsweep.execution.events import Event
from dlnsweep.settings.sentences import printable
from dlnsweep.store import Store
from dlnsweep.store.layout import FAILURES, batch_name, batches_in

# One bug makes many of them, and their reasons are alike.
MOST_WRITTEN, MOST_READ = 100, 100
# The end of a traceback says most.
LONGEST = 4000
_MOST_BYTES = 2**15
_SHOWN = 300
_MOST_REASONS = 5


@contextmanager
def keeping(store: Store) -> Iterator[Any]:
    """Keep why batches fail, for the time of the block, and forget it where they are done.

    Args:
        store: The results folder.

    Yields:
        A function to call with every event.
    """
    known: set[int] = set()
    with contextlib.suppress(DlnsweepError, OSError):
        known = set(batches_in(store.files, FAILURES))
    written: set[int] = set()

    def hear(event: Event) -> None:
        number = event.batch
        with contextlib.suppress(DlnsweepError, OSError):
            if event.kind == "done" and number in known:
                store.files.remove(batch_name(FAILURES, number))
                known.discard(number)
            elif event.kind == "failed" and len(written | {number}) <= MOST_WRITTEN:
                store.files.create_folders([FAILURES])
                store.files.write_in_order([(batch_name(FAILURES, number), _content(event))])
                written.add(number)
                known.add(number)

    try:
        yield hear
    finally:
        with contextlib.suppress(DlnsweepError, OSError):
            store.files.remove_folders([store.files.path(FAILURES)])


def _content(event: Event) -> bytes:
    value = {
        "batch": event.batch,
        "reason": event.text.rstrip()[-LONGEST:],
        "host": socket.gethostname(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return (json.dumps(value, indent=1) + "\n").encode()


def failures(store: Store) -> dict[int, str]:
    """Return why batches that are not done failed when they were last tried, as plain lines.

    A folder may be a stranger's: what is no such file is passed over.

    Args:
        store: The results folder.
    """
    found: dict[int, str] = {}
    with contextlib.suppress(DlnsweepError, OSError):
        store.files.check_no_links([FAILURES])
        done = store.done()
        numbers = [n for n in batches_in(store.files, FAILURES) if n not in done]
        for number in numbers[:MOST_READ]:
            with contextlib.suppress(DlnsweepError, OSError):
                value = store.files.read_json(batch_name(FAILURES, number), _MOST_BYTES)
                if isinstance(reason := value.get("reason"), str):
                    found[number] = _in_short(reason)
    return found


def _in_short(reason: str) -> str:
    """Return what a reason comes down to: the sentence, or the exception of a traceback.

    What JAX, for one, adds to an exception stands below it.
    """
    lines = [line for line in reason.splitlines() if line.strip()] or ["no reason was given"]
    frames = [i for i, line in enumerate(lines) if line.startswith("  File ")]
    below = [line for line in lines[frames[-1] + 1 :] if line[0] != " "] if frames else []
    return printable((below or lines[-1:])[0].strip(), _SHOWN)


def listed(reasons: Mapping[int, str]) -> list[str]:
    """Return the reasons of failures, a line for each with its batches.

    Args:
        reasons: The reason of each batch.
    """
    batches: dict[str, list[int]] = {}
    for number, text in sorted(reasons.items()):
        batches.setdefault(text.rstrip(), []).append(number)
    lines = []
    for text, numbers in list(batches.items())[:_MOST_REASONS]:
        named = ", ".join(map(str, numbers[:_MOST_REASONS]))
        more = f" and {len(numbers) - _MOST_REASONS} more" if len(numbers) > _MOST_REASONS else ""
        lines.append(f"batch {named}{more}: {text}")
    if len(batches) > _MOST_REASONS:
        lines.append(f"and {len(batches) - _MOST_REASONS} other reasons")
    return lines
