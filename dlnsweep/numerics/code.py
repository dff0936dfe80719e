"""The source files that may decide about a number: what they hold, and when they were changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

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
    """Return when one of these files was last changed, as `time.time()` has it."""
    return max(path.stat().st_mtime for _, path in _files())
