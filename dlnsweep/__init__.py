"""dlnsweep: a JAX sweep engine for deep-learning theory.

The public names are imported when first used, so that `import dlnsweep` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dlnsweep.version import __version__

if TYPE_CHECKING:
    from dlnsweep.analysis.boundaries import boundaries
    from dlnsweep.analysis.intervals import intervals
    from dlnsweep.analysis.limits import extrapolate
    from dlnsweep.contracts.claim import Claim, register_claim
    from dlnsweep.contracts.figure import register_figure
    from dlnsweep.contracts.loss import Loss, register_loss
    from dlnsweep.contracts.network import Network
    from dlnsweep.contracts.observable import Observable
    from dlnsweep.contracts.observable import register as register_observable
    from dlnsweep.contracts.optimizer import Optimizer, register_optimizer
    from dlnsweep.contracts.plugins import load_plugin
    from dlnsweep.contracts.problem import Problem
    from dlnsweep.contracts.problem import register as register_problem
    from dlnsweep.contracts.structure import Structure
    from dlnsweep.errors import (
        DlnsweepError,
        FigureError,
        Interrupted,
        RunError,
        SpecError,
        StoreError,
    )
    from dlnsweep.figures.folder import draw_figures
    from dlnsweep.networks.generic.kind import register_network
    from dlnsweep.networks.layered.initializers import Initializer, register_initializer
    from dlnsweep.progress.run import run
    from dlnsweep.results import Results, open_results
    from dlnsweep.results.joined import concat
    from dlnsweep.single.training import Trajectory, train
    from dlnsweep.spec.sweep import Sweep

_HOMES = {
    "DlnsweepError": "errors",
    "FigureError": "errors",
    "Interrupted": "errors",
    "RunError": "errors",
    "SpecError": "errors",
    "StoreError": "errors",
    "draw_figures": "figures.folder",
    "register_figure": "contracts.figure",
    "boundaries": "analysis.boundaries",
    "intervals": "analysis.intervals",
    "extrapolate": "analysis.limits",
    "Initializer": "networks.layered.initializers",
    "register_initializer": "networks.layered.initializers",
    "Claim": "contracts.claim",
    "register_claim": "contracts.claim",
    "Loss": "contracts.loss",
    "register_loss": "contracts.loss",
    "Optimizer": "contracts.optimizer",
    "register_optimizer": "contracts.optimizer",
    "Network": "contracts.network",
    "Structure": "contracts.structure",
    "load_plugin": "contracts.plugins",
    "register_network": "networks.generic.kind",
    "Observable": "contracts.observable",
    "register_observable": ("contracts.observable", "register"),
    "Problem": "contracts.problem",
    "register_problem": ("contracts.problem", "register"),
    "Results": "results",
    "open_results": "results",
    "concat": "results.joined",
    "run": "progress.run",
    "Sweep": "spec.sweep",
    "Trajectory": "single.training",
    "train": "single.training",
}

__all__ = [
    "Claim",
    "DlnsweepError",
    "FigureError",
    "Initializer",
    "Interrupted",
    "Loss",
    "Network",
    "Observable",
    "Optimizer",
    "Problem",
    "Results",
    "RunError",
    "SpecError",
    "StoreError",
    "Structure",
    "Sweep",
    "Trajectory",
    "__version__",
    "boundaries",
    "concat",
    "draw_figures",
    "extrapolate",
    "intervals",
    "load_plugin",
    "open_results",
    "register_claim",
    "register_figure",
    "register_initializer",
    "register_loss",
    "register_network",
    "register_observable",
    "register_optimizer",
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
