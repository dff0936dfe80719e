"""The source files that may decide about a number: what they hold, and when they were changed.

Ours are read whole. Of the libraries' thousand files sizes and times tell: who mends a step of
optax where it is installed, or works on a copy of it, has another version that bears no number.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

# What traces, lowers and compiles; the rest of them are numbers' libraries by their versions alone.
# Programs of gradient flow call back, and so are not kept: with a diffrax that does not, they are.
_TRACED = ("jax", "jaxlib", "optax", "diffrax", "equinox", "lineax", "optimistix")

# The rooms that may decide about a batch's numbers: the engine's, and those below it.
ROOMS_OF_NUMBERS = frozenset(
    {"builtins", "contracts", "engine", "errors", "machine", "networks", "numerics"}
    | {"jumps", "optimizers", "problems", "reduced", "settings", "simd", "version"}
)


def _files() -> Iterator[tuple[str, Path]]:
    home = Path(__file__).parents[1]
    for path in sorted(home.rglob("*.py")):
        name = path.relative_to(home)
        if name.with_suffix("").parts[0] in ROOMS_OF_NUMBERS:
            yield name.as_posix(), path


@cache
def code_of_numbers() -> str:
    """Return a hash of the source of every module that may decide about a batch's numbers."""
    digest = hashlib.sha256()
    for name, path in _files():
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def newest_change() -> float:
    """Return when one of these files was last changed, or put there, as `time.time()` has it."""
    # What is copied or unpacked over them may bear an older time.
    return max(max(found.st_mtime, found.st_ctime) for found in (p.stat() for _, p in _files()))


@cache
def code_of_libraries() -> str:
    """Return a text that is another one where a file of JAX, optax or diffrax has been changed."""
    return code_of_packages(_TRACED)


def code_of_packages(names: Iterable[str]) -> str:
    """Return a text that is another one where a file of some packages has been changed.

    Args:
        names: Their names, as they are imported.
    """
    digest = hashlib.sha256()
    for name in names:
        spec = importlib.util.find_spec(name)
        for home in sorted((spec and spec.submodule_search_locations) or ()):
            for place, found in sorted(_found_in(Path(home))):
                digest.update(f"{name}/{place} {found.st_size} {found.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _found_in(home: Path) -> Iterator[tuple[str, os.stat_result]]:
    folders = [str(home)]
    while folders:
        for entry in os.scandir(folders.pop()):
            if entry.is_dir():
                if entry.name != "__pycache__":
                    folders.append(entry.path)
            elif entry.name.endswith((".py", ".so")):
                yield os.path.relpath(entry.path, home), entry.stat()
