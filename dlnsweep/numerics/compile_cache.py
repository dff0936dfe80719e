"""Compiled programs kept between processes, in a folder that only the user may write.

JAX decides what is kept and under which key (the program, its compiler options, the versions of
XLA); here are the files. A file counts only if it is whole to the byte, is the one that the key
asks for, and was written by this user: it holds machine code. So a broken or foreign file is as
good as none, and neither a full disk nor a missing folder stops a run.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import stat
import time
import uuid
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

VARIABLE = "DLNSWEEP_COMPILE_CACHE"
OFF = ("off", "0", "")
# Programs take some 100 KB each.
MAX_BYTES = 512 * 2**20
_KEPT_SHARE = 0.8
_SUFFIX, _UNFINISHED = ".program", ".part"
_STALE_SECONDS = 3600.0
_DIGEST_BYTES = 32


def wanted_folder() -> Path | None:
    """Return the folder that is asked for, or None where the cache is turned off.

    `DLNSWEEP_COMPILE_CACHE` names it, or is "off"; else it is `dlnsweep` in `XDG_CACHE_HOME`, or in
    `~/.cache`.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen is not None:
        return None if chosen.strip().lower() in OFF else Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a path that is not absolute is to be ignored.
    if Path(base).is_absolute():
        return Path(base) / "dlnsweep"
    try:
        return Path.home() / ".cache" / "dlnsweep"
    except RuntimeError:
        return None


def why_unusable(folder: Path) -> str:
    """Return why a folder is not used for compiled programs; empty if it is fit (it then exists).

    Whoever can write to it can have this user run any code. The last part of the path is made if
    need be, and those before it, with mode 0700.
    """
    try:
        # mkdir gives its mode to the last part alone; the others would be as open as the umask.
        for path in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
            path.mkdir(exist_ok=True, mode=0o700)
        found = os.lstat(folder)
    except OSError as error:
        return f"{folder}: cannot be used for compiled programs ({error.strerror or error})"
    if not stat.S_ISDIR(found.st_mode):
        what = "a link" if stat.S_ISLNK(found.st_mode) else "no folder"
        return f"{folder}: is {what}, so compiled programs are not kept there"
    if found.st_uid != os.getuid():
        return f"{folder}: belongs to another user, so compiled programs are not kept there"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return (
            f"{folder}: others can write to it (mode {stat.S_IMODE(found.st_mode):04o}), so "
            f"compiled programs are not kept there; chmod 700 {folder}"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder}: cannot be written, so compiled programs are not kept there"
    return ""


def problem() -> str:
    """Return a sentence if the cache is wanted and its folder unfit; else an empty text."""
    folder = wanted_folder()
    reason = why_unusable(folder) if folder else ""
    return reason and f"{reason}, or set {VARIABLE} to another folder or to 'off'."


@lru_cache(maxsize=8)
def _host(cores: int, xla_threads: str) -> str:
    """Return what machine code depends on beside JAX's own key, as a short text.

    XLA's key says nothing of the CPU, for whose instructions it compiles, nor of the number of
    threads among which it splits large sums: other bits, where a home folder is shared.
    """
    described = [
        platform.machine(),
        platform.system(),
        platform.processor(),
        str(cores),
        xla_threads,
    ]
    with contextlib.suppress(OSError):
        wanted = ("model name", "flags", "Features", "CPU implementer", "CPU part")
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if not line.strip():
                break
            if line.startswith(wanted):
                described.append(line)
    for package in ("jax", "jaxlib"):
        described.append(importlib.metadata.version(package))
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:16]


def host(num_cores: int) -> str:
    """Return a text that is equal for processes which may share compiled programs.

    Args:
        num_cores: CPU cores that the process may use.
    """
    named = (os.environ.get(name, "") for name in ("NPROC", "PJRT_NPROC"))
    return _host(num_cores, " ".join(named))


def kept_programs(num_cores: int) -> CompileCache | None:
    """Return the compiled programs that a process may use; None where none are kept.

    Args:
        num_cores: CPU cores that it may use.
    """
    folder = wanted_folder()
    if folder is None or why_unusable(folder):
        return None
    return CompileCache(folder, host(num_cores))


class CompileCache:
    """The compiled programs of one kind of process; has what JAX asks of a cache.

    Args:
        folder: A folder that `why_unusable` finds fit.
        host: What `host` says of this process.
        max_bytes: The most that all files may take; what was used last stays.
    """

    def __init__(self, folder: Path, host: str, max_bytes: int = MAX_BYTES) -> None:
        self.folder = folder
        # JAX names this in its messages.
        self._path = str(folder)
        self._host = host
        self._max_bytes = max_bytes
        self._bytes: int | None = None
        self._asleep = False

    def path_of(self, key: str) -> Path:
        """Return where the program of a key stands."""
        return self.folder / f"{hashlib.sha256(self._full(key)).hexdigest()}{_SUFFIX}"

    def get(self, key: str) -> bytes | None:
        """Return the program kept under a key, or None; what is broken is removed."""
        if self._asleep:
            return None
        path = self.path_of(key)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file, contextlib.suppress(OSError):
            found = os.fstat(descriptor)
            shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if found.st_uid == os.getuid() and not shared and found.st_size <= self._max_bytes:
                data = file.read()
                value = data[_DIGEST_BYTES:]
                if data[:_DIGEST_BYTES] == self._digest(key, value):
                    os.utime(path)
                    return value
        with contextlib.suppress(OSError):
            path.unlink()
        return None

    def put(self, key: str, value: bytes) -> None:
        """Keep a program under a key; where that cannot be done, nothing happens."""
        if self._asleep or len(value) > self._max_bytes:
            return
        path = self.path_of(key)
        part = self.folder / f"{uuid.uuid4().hex}{_UNFINISHED}"
        try:
            with contextlib.suppress(OSError):
                self._make_room(len(value) + _DIGEST_BYTES)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                with os.fdopen(os.open(part, flags, 0o600), "wb") as file:
                    file.write(self._digest(key, value) + value)
                # No fsync: what a power cut leaves of it, the checksum tells.
                part.replace(path)
        finally:
            with contextlib.suppress(OSError):
                part.unlink()

    @contextlib.contextmanager
    def asleep(self) -> Iterator[None]:
        """Have nothing, and keep nothing, for the calls inside."""
        self._asleep = True
        try:
            yield
        finally:
            self._asleep = False

    def clear(self) -> None:
        """Forget nothing: files of other processes stay."""

    def _full(self, key: str) -> bytes:
        return f"{self._host} {key}".encode()

    def _digest(self, key: str, value: bytes) -> bytes:
        return hashlib.sha256(self._full(key) + b"\0" + value).digest()

    def _make_room(self, more: int) -> None:
        """Remove what was not used for longest, if `more` bytes would be too many."""
        if self._bytes is not None and self._bytes + more <= self._max_bytes:
            self._bytes += more
            return
        files = []
        for entry in os.scandir(self.folder):
            with contextlib.suppress(OSError):
                if entry.name.endswith(_UNFINISHED):
                    if time.time() - entry.stat().st_mtime > _STALE_SECONDS:
                        Path(entry.path).unlink()
                elif entry.name.endswith(_SUFFIX):
                    found = entry.stat(follow_symlinks=False)
                    files.append((found.st_mtime, found.st_size, entry.path))
        total = sum(size for _, size, _ in files) + more
        limit = self._max_bytes if total <= self._max_bytes else self._max_bytes * _KEPT_SHARE
        for _, size, path in sorted(files):
            if total <= limit:
                break
            with contextlib.suppress(OSError):
                Path(path).unlink()
            total -= size
        self._bytes = total
