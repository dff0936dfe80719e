"""Problems, observables and figures of other packages, which register them when they are loaded.

A package names a module of its own under the entry point group "dlnsweep.problems"; loading it
registers what it brings. Worker processes load the same entry points, so they know it too. What a
script registers by itself is known in its own process only, where `run` then computes.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from dlnsweep.contracts.observable import OBSERVABLES
from dlnsweep.contracts.problem import PROBLEMS

GROUP = "dlnsweep.problems"


@lru_cache(maxsize=1)
def load() -> tuple[str, ...]:
    """Load every entry point of the group, once; return a sentence for each that is broken.

    One that names a function is called. JAX is imported only if such a module imports it itself.
    """
    return tuple(filter(None, map(_load, sorted(_points(), key=lambda point: point.name))))


def _points() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))


def _load(point: EntryPoint) -> str:
    try:
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


def only_here(problem_kind: str, observables: tuple[str, ...]) -> list[str]:
    """Return what worker processes would not know of a sweep, as words.

    Args:
        problem_kind: The kind of problem.
        observables: What is recorded.
    """
    shared = {"dlnsweep", *(point.module.partition(".")[0] for point in _points())}
    problem = PROBLEMS[problem_kind]
    homes = {f"problem.kind '{problem_kind}'": problem.settings.__module__}
    homes |= {f"observable '{name}'": OBSERVABLES[name].compute.__module__ for name in observables}
    return [what for what, home in homes.items() if home.partition(".")[0] not in shared]
