"""Files in an object store: put whole, listed at once, never renamed.

What holds the protocol up, and what it asks of a store (S3, Google Cloud Storage, Azure give it):

- A put is atomic: an object is its old content or its new one, never a part. Nothing is staged.
  A process that dies within a large put leaves an upload that no reader sees; a life-cycle rule
  of the bucket (AbortIncompleteMultipartUpload) frees its space.
- Reads and listings show every put that has returned. A batch's objects are put in order, each
  after the one before it has returned, so the last one's presence says that all are there.
- Commits take no lock: two runners that commit the same batch put the same bytes (on other
  hardware, perhaps other last bits; `verify` then names what does not belong together). Plans do:
  a lock is an object of one's own, put first; who then sees another's takes its own away and
  waits. Of two, at least one sees the other, because listings show what was put.
"""

from __future__ import annotations

import contextlib
import random
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from dlnsweep.errors import StoreError
from dlnsweep.store.address import join
from dlnsweep.store.bounds import Unfit
from dlnsweep.store.filesystems import file_system
from dlnsweep.store.footers import check_footer
from dlnsweep.store.interface import STAGING, Files
from dlnsweep.store.system import Data

_LOCK = re.compile(r"lock-[0-9a-f]{32}")
# Of a lock that is older, the holder has died: plans are written in seconds.
_LOCK_ENDS = timedelta(minutes=5)
_LOCK_PATIENCE_SECONDS = 60.0
_LOCK_PAUSE_SECONDS = 1.0
# No commit takes longer from its first put to its last.
_COMMIT_ENDS = timedelta(days=1)

_ADVICE = (
    (
        r"NO_SUCH_BUCKET|[Bb]ucket does not exist|NoSuchBucket",
        "make the bucket, or give another address with --out",
    ),
    (
        r"ACCESS_DENIED|FORBIDDEN|Forbidden|INVALID_ACCESS_KEY|SIGNATURE|UNAUTHORIZED|PERMISSION"
        r"|[Cc]redential|HTTP status 40[13]|Permission denied",
        "check the keys in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a "
        "profile) and what they may do, and run the same command again",
    ),
    (
        r"NETWORK|curl|[Cc]onnect|[Tt]imed? ?out|SLOW_DOWN|SERVICE_UNAVAILABLE|HTTP status 5",
        "check the network and the endpoint (AWS_ENDPOINT_URL) and run the same command again",
    ),
    (r"[Nn]ot found|No such file|NO_SUCH_KEY", "it vanished meanwhile; restore it, or run again"),
)
# What a store says while a file is read, in contrast to what pyarrow says of a damaged file.
_FROM_STORE = re.compile(r"AWS Error|curl|google::cloud|Azure|HTTP status|[Cc]onnection")


class ObjectFiles(Files):
    """The objects below an address such as "s3://bucket/results/fig4".

    Args:
        root: The address.
        system: Its file system; found by the address by default.
        base: The path of the root in it.
    """

    remote = True

    def __init__(
        self, root: str, system: pafs.FileSystem | None = None, base: str | None = None
    ) -> None:
        self.root = root
        with self._told("", "reach"):
            found, path = (system, base) if system and base else file_system(root)
        self._system: pafs.FileSystem = found
        self._base = path.rstrip("/")

    def is_folder(self) -> bool:
        """Tell whether anything stands below the address."""
        return bool(self.names())

    def exists(self, name: str) -> bool:
        """Tell whether an object stands under this name."""
        with self._told(name, "look at"):
            return self._system.get_file_info(self._at(name)).type == pafs.FileType.File

    def names(self, folder: str = "") -> list[str]:
        """Return the sorted names that stand in a folder; none if there is no such folder."""
        return sorted(info.base_name for info in self._listed(folder))

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[tuple[Any, int]]:
        with self._told(name, "read"), self._system.open_input_file(self._at(name)) as file:
            yield file, file.size()

    @contextlib.contextmanager
    def _parquet(self, name: str) -> Iterator[tuple[pq.ParquetFile, int]]:
        with self._told(name, "read"):
            source = self._system.open_input_file(self._at(name))
        try:
            with source:
                size = source.size()
                check_footer(source, size)
                source.seek(0)
                # Columns are fetched together, in a few large requests.
                with pq.ParquetFile(
                    source, page_checksum_verification=True, pre_buffer=True
                ) as file:
                    yield file, size
        except (StoreError, Unfit):
            raise
        except (pa.ArrowException, OSError) as error:
            if getattr(error, "errno", None) or _FROM_STORE.search(str(error)):
                raise self._refusal(name, "read", error) from error
            raise

    def create_folders(self, folders: Sequence[str], *, anew: bool = False) -> list[Path]:
        """Do nothing: an object store has no folders, only names with slashes."""
        del folders, anew
        return []

    def remove_folders(self, made: Sequence[Any]) -> None:
        """Do nothing: there are no folders."""
        del made

    def write_in_order(self, files: Sequence[tuple[str, Data]]) -> None:
        """Put objects whole, one after another.

        Raises:
            StoreError: If the store refuses; each object is then as before or as asked.
        """
        for name, data in files:
            with self._told(name, "write"):
                self._put(name, data)

    def staged(self) -> list[str]:
        """Return the locks of runners that died."""
        return [f"{STAGING}/{info.base_name}" for info in self._locks()]

    def abandoned(self, names: Sequence[str]) -> list[str]:
        """Return those of the files that are older than any commit in progress."""
        return [name for name in names if self._is_abandoned(name)]

    def remove(self, name: str) -> None:
        """Remove an object if it is there."""
        if self.exists(name):
            with self._told(name, "remove"):
                self._system.delete_file(self._at(name))

    def remove_lock(self) -> None:
        """Do nothing: a lock here goes with its holder."""

    def check_no_links(self, names: Sequence[str]) -> None:
        """Do nothing: an object store has no links."""
        del names

    @contextlib.contextmanager
    def locked(self, *, exclusive: bool, required: bool = True) -> Iterator[None]:
        """Hold the lock; a shared one, for commits, is none.

        Raises:
            StoreError: If another runner keeps it for long.
        """
        del required
        if not exclusive:
            yield
            return
        own = self._take_lock()
        try:
            yield
        finally:
            with contextlib.suppress(StoreError):
                self.remove(own)

    def _take_lock(self) -> str:
        own = f"{STAGING}/lock-{uuid.uuid4().hex}"
        deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
        while True:
            self.write_in_order([(own, now_text())])
            try:
                others = self._other_locks(own)
            except StoreError:
                with contextlib.suppress(StoreError):
                    self.remove(own)
                raise
            if not others:
                return own
            self.remove(own)
            if time.monotonic() > deadline:
                raise StoreError(
                    f"{self.root}: another runner is writing the plan here; wait for it and run "
                    f"the same command again, or, if there is none, remove {self.path(others[0])}."
                )
            time.sleep(_LOCK_PAUSE_SECONDS * random.uniform(0.2, 1.0))

    def _other_locks(self, own: str) -> list[str]:
        locks = {f"{STAGING}/{info.base_name}": info.mtime for info in self._locks()}
        now = locks.pop(own, None)
        # Both times are of the store's clock, never of ours.
        return [name for name, put in locks.items() if not (now and put and now - put > _LOCK_ENDS)]

    def _locks(self) -> list[pafs.FileInfo]:
        return [info for info in self._listed(STAGING) if _LOCK.fullmatch(info.base_name)]

    def _is_abandoned(self, name: str) -> bool:
        with self._told(name, "look at"):
            put = self._system.get_file_info(self._at(name)).mtime
        # Only a day of difference between the store's clock and ours would matter.
        ends = _LOCK_ENDS if name.startswith(f"{STAGING}/") else _COMMIT_ENDS
        return put is not None and datetime.now(UTC) - put > ends

    def _listed(self, folder: str) -> list[pafs.FileInfo]:
        base = f"{self._base}/{folder}" if folder else self._base
        with self._told(folder, "list"):
            return self._system.get_file_info(pafs.FileSelector(base, allow_not_found=True))

    def _put(self, name: str, data: Data) -> None:
        at = self._at(name)
        handler = getattr(self._system, "handler", None)
        if isinstance(handler, pafs.FSSpecHandler):
            handler.fs.pipe_file(at, bytes(data))
            return
        # In one piece and without `with`: a stream that is closed after a failure would make what
        # had been sent so far an object.
        stream = self._system.open_output_stream(at, compression=None)
        stream.write(data)
        stream.close()

    def _at(self, name: str) -> str:
        self.path(name)
        return f"{self._base}/{name}"

    @contextlib.contextmanager
    def _told(self, name: str, action: str) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            # Packages that fsspec brings in have exceptions of their own.
            raise self._refusal(name, action, error) from error

    def _refusal(self, name: str, action: str, error: BaseException) -> StoreError:
        where = join(self.root, *name.split("/")) if name else self.root
        found = str(error).partition("\n")[0].strip().rstrip(".") or type(error).__name__
        advice = "mend this and run the same command again"
        for pattern, known in _ADVICE:
            if re.search(pattern, f"{type(error).__name__} {found}"):
                advice = known
                break
        return StoreError(
            f"{where}: cannot {action} it ({found}); every committed batch is kept; {advice}."
        )


def now_text() -> bytes:
    """Return the present time as the content of a lock, for whoever looks at it."""
    return datetime.now(UTC).isoformat(timespec="seconds").encode()
