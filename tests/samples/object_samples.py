"""An object store in memory: puts are whole, listings show them at once, and any call may fail."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from dlnsweep.store.objects import ObjectFiles

ROOT = "s3://bucket/results/sample"
BASE = "bucket/results/sample"


class Killed(BaseException):
    """Stands for the death of the process: no clean-up code can act any more."""


@dataclass
class Bucket:
    """Objects by path, and what is asked of them.

    Attributes:
        fails_at: The number of the request that fails; 0 for none.
        lasting: Whether all later ones fail too.
        late: Whether the failing one is carried out, and only its answer is lost.
        failure: What is raised.
    """

    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    fails_at: int = 0
    lasting: bool = False
    late: bool = False
    failure: Callable[[], BaseException] = lambda: ConnectionError("Connection reset by peer")
    count: int = 0
    log: list[str] = field(default_factory=list)

    def request(self, what: str, act: Callable[[], Any]) -> Any:
        self.count += 1
        hit = self.count == self.fails_at or (self.lasting and 0 < self.fails_at < self.count)
        if hit and not self.late:
            raise self.failure()
        result = act()
        self.log.append(what)
        if hit:
            raise self.failure()
        return result

    def put(self, path: str, data: bytes) -> None:
        now = datetime.now(UTC)
        self.request(f"put {path}", lambda: self.objects.update({path: (data, now)}))

    def age(self, **past: float) -> None:
        """Let all objects be as much older."""
        old = {k: (data, at - timedelta(**past)) for k, (data, at) in self.objects.items()}
        self.objects.update(old)

    def data(self) -> dict[str, bytes]:
        """Return what must be the same in every run of a sweep."""
        names = {k.removeprefix(f"{BASE}/"): data for k, (data, _) in self.objects.items()}
        return {k: v for k, v in names.items() if not k.startswith(("receipts/", "_staging/"))}


class _Upload(io.BytesIO):
    """A put in progress, of which nothing is seen before its end."""

    def __init__(self, bucket: Bucket, path: str) -> None:
        super().__init__()
        self._bucket, self._path = bucket, path

    def close(self) -> None:
        if not self.closed:
            data = self.getvalue()
            super().close()
            self._bucket.put(self._path, data)


class Handler(pafs.FileSystemHandler):
    """What pyarrow asks of a file system, answered by a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def get_type_name(self) -> str:
        return "bucket"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[pafs.FileInfo]:
        return [
            self._bucket.request(f"head {path}", lambda p=path: self._info(p)) for path in paths
        ]

    def get_file_info_selector(self, selector: pafs.FileSelector) -> list[pafs.FileInfo]:
        base = f"{selector.base_dir}/"

        def listed() -> list[pafs.FileInfo]:
            inner = [k.removeprefix(base) for k in self._bucket.objects if k.startswith(base)]
            return [
                self._info(base + name)
                for name in dict.fromkeys(k.partition("/")[0] for k in inner)
            ]

        return self._bucket.request(f"list {base}", listed)

    def open_input_stream(self, path: str) -> pa.NativeFile:
        return pa.PythonFile(
            io.BytesIO(self._bucket.request(f"get {path}", lambda: self._get(path))), mode="r"
        )

    def open_input_file(self, path: str) -> pa.NativeFile:
        return self.open_input_stream(path)

    def open_output_stream(self, path: str, metadata: Any) -> pa.NativeFile:
        return pa.PythonFile(_Upload(self._bucket, path), mode="w")

    def delete_file(self, path: str) -> None:
        self._bucket.request(f"delete {path}", lambda: self._bucket.objects.pop(path, None))

    def _get(self, path: str) -> bytes:
        if path not in self._bucket.objects:
            raise FileNotFoundError(path)
        return self._bucket.objects[path][0]

    def _info(self, path: str) -> pafs.FileInfo:
        if path in self._bucket.objects:
            data, at = self._bucket.objects[path]
            return pafs.FileInfo(path, pafs.FileType.File, size=len(data), mtime=at)
        inner = any(k.startswith(f"{path}/") for k in self._bucket.objects)
        return pafs.FileInfo(path, pafs.FileType.Directory if inner else pafs.FileType.NotFound)

    def _not_asked_for(self, *_: Any) -> Any:
        raise AssertionError("an object store has neither folders nor renames")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = _not_asked_for
    move = copy_file = open_append_stream = _not_asked_for


def files_of(bucket: Bucket, root: str = ROOT) -> ObjectFiles:
    """Return the files of the sample's results in a bucket."""
    return ObjectFiles(root, pafs.PyFileSystem(Handler(bucket)), BASE)
