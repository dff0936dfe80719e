"""dlnsweep: a JAX sweep engine for deep-learning theory.

The public names are imported when first used, so that `import dlnsweep` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dlnsweep.version import __version__

if TYPE_CHECKING:
    from dlnsweep.drawing import draw_figures
    from dlnsweep.errors import (
        DlnsweepError,
        FigureError,
        Interrupted,
        RunError,
        SpecError,
        StoreError,
    )
    from dlnsweep.figures import register_figure
    from dlnsweep.observables.registry import Observable
    from dlnsweep.observables.registry import register as register_observable
    from dlnsweep.problems.registry import Problem
    from dlnsweep.problems.registry import register as register_problem
    from dlnsweep.results import Results, open_results
    from dlnsweep.runner import run
    from dlnsweep.spec import Sweep
    from dlnsweep.training import Trajectory, train

_HOMES = {
    "DlnsweepError": "errors",
    "FigureError": "errors",
    "Interrupted": "errors",
    "RunError": "errors",
    "SpecError": "errors",
    "StoreError": "errors",
    "draw_figures": "drawing",
    "register_figure": "figures",
    "Observable": "observables.registry",
    "register_observable": ("observables.registry", "register"),
    "Problem": "problems.registry",
    "register_problem": ("problems.registry", "register"),
    "Results": "results",
    "open_results": "results",
    "run": "runner",
    "Sweep": "spec",
    "Trajectory": "training",
    "train": "training",
}

__all__ = [
    "DlnsweepError",
    "FigureError",
    "Interrupted",
    "Observable",
    "Problem",
    "Results",
    "RunError",
    "SpecError",
    "StoreError",
    "Sweep",
    "Trajectory",
    "__version__",
    "draw_figures",
    "open_results",
    "register_figure",
    "register_observable",
    "register_problem",
    "run",
    "train",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'dlnsweep' has no attribute {name!r}")
    module, attribute = (home, name) if isinstance(home, str) else home
    value = getattr(importlib.import_module(f"dlnsweep.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
