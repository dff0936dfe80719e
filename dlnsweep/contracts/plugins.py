"""Problems, networks, observables and figures of others, registered when their module is loaded.

A package names a module of its own under the entry point group "dlnsweep.problems"; loading it
registers what it brings. A file of one's own is named by `--plugin` or `load_plugin`. Worker
processes load the same entry points and files, so they know it too. What a script registers by
itself is known in its own process only, where `run` then computes.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from dlnsweep.contracts.network import find_network
from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.problem import PROBLEMS
from dlnsweep.errors import SpecError
from dlnsweep.machine.paths import user_path
from dlnsweep.settings.sentences import printable

GROUP = "dlnsweep.problems"
# The package, in name only, that plug-in files are modules of.
_OF_FILES = "dlnsweep_plugins"
# What stands for every module that worker processes load.
SHARED = "dlnsweep"
_LONGEST = 300

_files: dict[Path, Any] = {}
_depth = 0


def load_plugin(path: str | Path) -> None:
    """Load a Python file that registers networks, problems, observables or figures.

    The file is run, with all that it may do: name only what you trust. Worker processes that this
    process starts load it, too; a file is loaded once, however often it is named.

    Args:
        path: The file.

    Raises:
        SpecError: If it cannot be read or run; what it registered before it failed stays.
    """
    file = user_path(path, "the plug-in").resolve()
    if file in _files:
        return
    shown = printable(str(path))
    if not file.exists():
        raise SpecError(f"the plug-in {shown} is not there: no such file.")
    if not file.is_file() or file.suffix != ".py":
        raise SpecError(f"the plug-in {shown} is no Python file; name a file that ends in .py.")
    name = f"{_OF_FILES}.{file.stem}"
    if name in sys.modules:
        other = getattr(sys.modules[name], "__file__", "")
        raise SpecError(f"the plug-in {shown} has the name of {printable(str(other))}; rename one.")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # What lies beside it can be imported, as where Python runs the file; after all else.
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    try:
        with _loading():
            spec.loader.exec_module(module)
    # Whatever a stranger's file raises, but for a wish to end.
    except Exception as error:
        del sys.modules[name]
        raise SpecError(
            f"the plug-in {shown} cannot be loaded{_line_of(error, file)} "
            f"({type(error).__name__}: {printable(str(error), _LONGEST)}); {_remedy(error)}."
        ) from error
    _files[file] = module


def _remedy(error: Exception) -> str:
    relative = "attempted relative import" in str(error) or (
        isinstance(error, ImportError) and str(error.name).partition(".")[0] == _OF_FILES
    )
    if relative:
        return (
            "a plug-in is a file in no package, and has no relative imports: import what lies "
            "beside it by its own name, as in import helper"
        )
    return "mend it"


def _line_of(error: Exception, file: Path) -> str:
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
             if Path(frame.filename) == file]  # fmt: skip
    return f", line {lines[-1]}" if lines else ""


@contextmanager
def _loading() -> Iterator[None]:
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1


def is_loading() -> bool:
    """Return whether a plug-in or an entry point is being loaded, as worker processes load it."""
    return _depth > 0


def plugin_files() -> list[str]:
    """Return the plug-in files that this process has loaded."""
    return [str(file) for file in _files]


def has_any() -> bool:
    """Return whether any plug-in file has been loaded, or a package has an entry point for us."""
    return bool(_files) or bool(_points())


@lru_cache(maxsize=1)
def load() -> tuple[str, ...]:
    """Load every entry point of the group, once; return a sentence for each that is broken.

    One that names a function is called. JAX is imported only if such a module imports it itself.
    """
    return load_points(_points())


def load_points(points: Iterable[EntryPoint]) -> tuple[str, ...]:
    """Load some entry points, by their names' order; return a sentence for each that is broken."""
    return tuple(filter(None, map(_load, sorted(points, key=lambda point: point.name))))


def _points() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))


def _load(point: EntryPoint) -> str:
    try:
        with _loading():
            found: Any = point.load()
            if point.attr:
                found()
    # Whatever a stranger's module raises: the sweep at hand may not need it.
    except Exception as error:
        return (
            f"the entry point '{point.name}' = '{point.value}' of the group {GROUP} cannot be "
            f"loaded ({type(error).__name__}: {error}); mend its package, or uninstall it."
        )
    return ""


def only_here(
    problem_kind: str,
    network_kind: str,
    observables: Sequence[str],
    words: Mapping[str, str] | None = None,
) -> list[str]:
    """Return what worker processes would not know of a sweep, as words.

    Args:
        problem_kind: The kind of problem.
        network_kind: The kind of network.
        observables: What is recorded.
        words: The module that brings it for each of a stranger's optimizers and the like.
    """
    shared = {SHARED, _OF_FILES, *(point.module.partition(".")[0] for point in _points())}
    network = find_network(problem_kind, network_kind)
    homes = {
        f"problem.kind '{problem_kind}'": (PROBLEMS[problem_kind].settings.__module__,),
        f"network.kind '{network.kind}'": network.homes(),
    }
    for name in observables:
        homes[f"observable '{name}'"] = (OBSERVABLES[name].compute.__module__,)
    homes |= {what: (module,) for what, module in (words or {}).items()}
    return [
        what
        for what, modules in homes.items()
        if not shared & {module.partition(".")[0] for module in modules}
    ]
