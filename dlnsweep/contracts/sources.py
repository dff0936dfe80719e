"""What a stranger's functions are known by: a hash of their source. No JAX."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dlnsweep.contracts.plugins import SHARED


def source_of(parts: Sequence[Any], what: str, example: str) -> str:
    """Return a hash of the source of some functions and classes, and of what they import.

    Of what their modules import by name that counts which lies in their folders, or below.

    Args:
        parts: The functions and classes.
        what: What they make up, for a sentence.
        example: How a version is declared, for a sentence.

    Raises:
        ValueError: If one has no source file, as in an interactive session.
    """
    try:
        files = {inspect.getfile(inspect.unwrap(part)): part.__module__ for part in parts}
        found = {Path(file).resolve() for file in files}
        todo, folders = list(files.values()), {file.parent for file in found}
        while todo:
            for name, file in _imported(todo.pop()):
                if file not in found and folders & set(file.parents) and not _installed(name, file):
                    found.add(file)
                    todo.append(name)
        contents = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in found)
    except (OSError, TypeError) as error:
        raise ValueError(
            f"{what}: a function of it has no source file to tell its version by ({error}); give "
            f"{example}, and another one when it changes"
        ) from error
    return hashlib.sha256("".join(contents).encode()).hexdigest()[:16]


def _installed(name: str, file: Path) -> bool:
    """Return whether a module is a package's, though its environment lies beside a plug-in."""
    ours = name.partition(".")[0] == SHARED
    return ours or bool({"site-packages", "dist-packages"} & set(file.parts))


def _imported(name: str) -> Iterator[tuple[str, Path]]:
    """Yield the modules that a module's names are from, with their files."""
    for value in list(vars(sys.modules[name]).values()):
        other = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None)
        file = getattr(sys.modules.get(other), "__file__", None) if isinstance(other, str) else None
        # What stands for a module until it is used (JAX, here) has no file.
        if isinstance(file, str) and isinstance(other, str):
            yield other, Path(file).resolve()
